// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// definition is the CRD as an API server applies it: by the same code, in this process.
type definition struct {
	schema     apiextensionsv1.JSONSchemaProps
	structural *schema.Structural
	fields     validation.SchemaValidator
	rules      *cel.Validator
}

func newDefinition(t testing.TB) *definition {
	t.Helper()
	var stored apiextensionsv1.CustomResourceDefinition
	readDefinition(t, &stored)
	d := &definition{schema: *stored.Spec.Versions[0].Schema.OpenAPIV3Schema}
	var internal apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(&d.schema, &internal, nil); err != nil {
		t.Fatal(err)
	}
	var err error
	if d.structural, err = schema.NewStructural(&internal); err != nil {
		t.Fatal(err)
	}
	if d.fields, _, err = validation.NewSchemaValidator(&internal); err != nil {
		t.Fatal(err)
	}
	d.rules = cel.NewValidator(d.structural, true, celconfig.PerCallLimit)
	return d
}

// store fills in the defaults of an object, and returns it as it is stored, or why it is refused. Before is what was stored before; nil
// for a new one.
func (d *definition) store(object, before map[string]any) (map[string]any, error) {
	object = runtime.DeepCopyJSON(object)
	object["apiVersion"], object["kind"] = v1alpha1.GroupVersion.String(), "WeChatEndpoint"
	pruning.Prune(object, d.structural, true)
	defaulting.PruneNonNullableNullsWithoutDefaults(object, d.structural)
	defaulting.Default(object, d.structural)
	problems := validation.ValidateCustomResource(nil, object, d.fields)
	problems = append(problems, listtype.ValidateListSetsAndMaps(nil, d.structural, object)...)
	if len(problems) == 0 { // as an API server, which asks no rule about a field of another type
		var old any
		if before != nil {
			old = before
		}
		more, _ := d.rules.Validate(context.Background(), nil, d.structural, object, old, celconfig.RuntimeCELCostBudget)
		problems = append(problems, more...)
	}
	if len(problems) > 0 {
		return nil, problems.ToAggregate()
	}
	return object, nil
}

// accept returns what is stored as the operator reads it.
func (d *definition) accept(object, before map[string]any) (*v1alpha1.WeChatEndpoint, error) {
	stored, err := d.store(object, before)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(stored)
	if err != nil {
		return nil, err
	}
	var endpoint v1alpha1.WeChatEndpoint
	return &endpoint, json.Unmarshal(text, &endpoint)
}

// TestBeforeAnOperatorLooks: the definition's default says of a new endpoint that nothing is known, and what to do if that lasts. GitOps tools take
// an object without a condition for one that is well.
func TestBeforeAnOperatorLooks(t *testing.T) {
	d := newDefinition(t)
	fresh, err := runtime.DefaultUnstructuredConverter.ToUnstructured(newEndpoint("fresh"))
	if err != nil {
		t.Fatal(err)
	}
	delete(fresh, "status") // as an API server drops what a user writes there
	stored, err := d.accept(fresh, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := struct{ reason, message string }{v1alpha1.ReasonNotObserved, "if that lasts, none runs or none serves this namespace"}
	ready := apimeta.FindStatusCondition(stored.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil || len(stored.Status.Conditions) != 1 || ready.Status != metav1.ConditionUnknown || ready.Reason != want.reason || !strings.Contains(ready.Message, want.message) {
		t.Errorf("its conditions are %+v, want Ready Unknown with %+v", stored.Status.Conditions, want)
	}
}

func readDefinition(t testing.TB, into any) {
	t.Helper()
	text, err := os.ReadFile("../config/crd/bases/wechatendpoint.io_wechatendpoints.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}
