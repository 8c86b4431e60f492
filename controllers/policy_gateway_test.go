//go:build integration

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
)

// gatewayState is a gateway in the suite's installation.
type gatewayState struct {
	name  string
	input render.GatewayInput
}

// gatewayStates are the renderer's goldens of gateways, and others that may follow them.
func gatewayStates(t *testing.T) []gatewayState {
	t.Helper()
	files, err := filepath.Glob("internal/render/testdata/gateways/inputs/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are %d inputs: %v", len(files), err)
	}
	var states []gatewayState
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		one := gatewayState{name: strings.TrimSuffix(filepath.Base(file), ".yaml")}
		if err := yaml.UnmarshalStrict(text, &one.input); err != nil {
			t.Fatalf("reading %s: %v", file, err)
		}
		if one.input.Backends == nil {
			one.input.Backends = []string{"team-a"} // its own namespace is always one of them
		}
		one.input.Gateway.Spec.SidecarPod = one.input.Defaults // the suite's installation has none
		if affinity := one.input.Gateway.Spec.Affinity; affinity != nil {
			affinity.NodeAffinity = nil // an empty section is not compared
		}
		states = append(states, one)
	}
	more := states[0]
	more.name, more.input.Gateway = "more pods", more.input.Gateway.DeepCopy()
	more.input.Gateway.Spec.Replicas, more.input.Shards[7] = new(int32(5)), render.Shard{strings.Repeat("a", 40): make([]byte, 64<<10)}
	return append(states, more)
}

// store makes the gateway be what the state says. It is paused, so that the suite's own operator leaves its objects to the test.
func (s gatewayState) store(t *testing.T, namespace string) *v1alpha1.WeChatGateway {
	t.Helper()
	gateway := &v1alpha1.WeChatGateway{}
	gateway.Namespace, gateway.Name = namespace, "front"
	eventually(t, func() string { // the suite's operator writes the status
		spec := s.input.Gateway.Spec
		spec.Paused = true
		err := cluster.client.Get(t.Context(), client.ObjectKeyFromObject(gateway), gateway)
		gateway.Spec = spec
		if err != nil {
			err = cluster.client.Create(t.Context(), gateway)
		} else {
			err = cluster.client.Update(t.Context(), gateway)
		}
		if err != nil {
			return err.Error()
		}
		return ""
	})
	return gateway
}

// children renders the state for a gateway that the API server has stored.
func (s gatewayState) children(t *testing.T, gateway *v1alpha1.WeChatGateway) []*unstructured.Unstructured {
	t.Helper()
	input := s.input
	input.Gateway, input.Installed = gateway, installedBySuite(gateway.Spec.Sidecar)
	rendered, err := render.MakeGateway(input)
	if err != nil {
		t.Fatal(err)
	}
	var children []*unstructured.Unstructured
	for _, child := range rendered {
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(child)
		if err != nil {
			t.Fatal(err)
		}
		object := &unstructured.Unstructured{Object: content}
		if scaling := gateway.Spec.Autoscaling; scaling != nil && object.GetKind() == "Deployment" { // where an autoscaler begins
			if err := unstructured.SetNestedField(content, int64(render.MinReplicas(scaling)), "spec", "replicas"); err != nil {
				t.Fatal(err)
			}
		}
		children = append(children, object)
	}
	return children
}

func installedBySuite(sidecar v1alpha1.Sidecar) render.Installed {
	options := suiteOptions()
	return options.Installed(sidecar)
}

// operatorOfSuite has the identity of the suite's operator.
func operatorOfSuite(t *testing.T) client.Client {
	t.Helper()
	config := impersonate(cluster.config)
	config.QPS = -1
	operator, err := client.New(config, client.Options{Scheme: cluster.client.Scheme(), Mapper: cluster.client.RESTMapper()})
	if err != nil {
		t.Fatal(err)
	}
	return operator
}

func refusedByPolicy(err error) bool {
	return err != nil && strings.Contains(err.Error(), "ValidatingAdmissionPolicy 'wechatendpoint-operator") && !strings.Contains(err.Error(), "resulted in error")
}

// TestPolicyTakesWhatIsRenderedOfAGateway makes what is rendered of every gateway, writes it once more as it is, and over it that of every other one.
func TestPolicyTakesWhatIsRenderedOfAGateway(t *testing.T) {
	operator, states := operatorOfSuite(t), gatewayStates(t)
	writes := 0
	must := func(what string, try func() error) {
		t.Helper()
		writes++
		if err := onceSpecIsSeen(try); err != nil {
			t.Errorf("%s is refused: %v", what, err)
		}
	}
	for _, from := range states {
		namespace := newBareNamespace(t)
		before := from.children(t, from.store(t, namespace))
		for range 2 {
			for _, child := range before {
				must(from.name+": "+child.GetKind()+" "+child.GetName(), applyWith(operator, render.FieldManager, child))
			}
		}
		for _, to := range states {
			after := to.children(t, to.store(t, namespace))
			for _, child := range after {
				must(fmt.Sprintf("%s %s after %s", child.GetKind(), to.name, from.name), applyWith(operator, render.FieldManager, child, client.DryRunAll))
			}
			must("the pods' template of before", applyWith(operator, render.FieldManager, withTemplateOf(childOfKind(before, "Deployment"), childOfKind(after, "Deployment")), client.DryRunAll))
			if old := childOfKind(before, "HorizontalPodAutoscaler"); old != nil && childOfKind(after, "HorizontalPodAutoscaler") == nil {
				must("deleting the autoscaler", func() error { return operator.Delete(t.Context(), old.DeepCopy(), client.DryRunAll) })
			}
		}
	}
	t.Logf("policy: %d writes of %d gateways taken", writes, len(states))
}

// TestPolicyOfAGatewaysFinalizer: the operator writes its own finalizer on a gateway, and nothing else of it.
func TestPolicyOfAGatewaysFinalizer(t *testing.T) {
	operator := operatorOfSuite(t)
	gateway := gatewayStates(t)[0].store(t, newBareNamespace(t))
	eventually(t, func() string {
		gateway.Finalizers, gateway.Labels = []string{"example.com/other"}, map[string]string{"team": "a"}
		if err := cluster.client.Update(t.Context(), gateway); err != nil {
			_ = cluster.client.Get(t.Context(), client.ObjectKeyFromObject(gateway), gateway)
			return err.Error()
		}
		return ""
	})
	t.Cleanup(func() { release(t, gateway) })
	held := &unstructured.Unstructured{}
	held.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("WeChatGateway"))
	held.SetNamespace(gateway.Namespace)
	held.SetName(gateway.Name)
	held.SetUID(gateway.UID)
	free := held.DeepCopy()
	held.SetFinalizers([]string{v1alpha1.FinalizerInUse})
	for _, one := range []*unstructured.Unstructured{held, free, held} {
		if err := applyWith(operator, render.FieldManager, one)(); err != nil {
			t.Fatalf("the finalizers %v are refused: %v", one.GetFinalizers(), err)
		}
	}
	patched := func(patch string) func() error {
		return func() error {
			return operator.Patch(t.Context(), free.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(patch)), client.DryRunAll)
		}
	}
	for name, try := range map[string]func() error{
		"other pods":                      patched(`{"spec":{"replicas":9}}`),
		"a pause":                         patched(`{"spec":{"paused":false}}`),
		"an image":                        patched(`{"spec":{"imageVersion":"9"}}`),
		"a label":                         patched(`{"metadata":{"labels":{"a":"b"}}}`),
		"a label of others that goes":     patched(`{"metadata":{"labels":{"team":null}}}`),
		"an annotation":                   patched(`{"metadata":{"annotations":{"a":"b"}}}`),
		"an owner":                        patched(`{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"a","uid":"1"}]}}`),
		"a finalizer of others that goes": patched(`{"metadata":{"finalizers":["wechatendpoint.io/in-use"]}}`),
		"no finalizer at all":             patched(`{"metadata":{"finalizers":[]}}`),
		"another finalizer":               patched(`{"metadata":{"finalizers":["example.com/other","example.com/more","wechatendpoint.io/in-use"]}}`),
		"another order of theirs, twice":  patched(`{"metadata":{"finalizers":["example.com/other","example.com/other"]}}`),
		"its deletion":                    func() error { return operator.Delete(t.Context(), free.DeepCopy(), client.DryRunAll) },
		"another gateway": func() error {
			other := free.DeepCopy()
			other.SetName("back")
			other.SetUID("")
			return operator.Create(t.Context(), other, client.DryRunAll)
		},
	} {
		if err := try(); !refusedByPolicy(err) && !isForbidden(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func isForbidden(err error) bool { return err != nil && strings.Contains(err.Error(), "is forbidden") }

// release lets the gateway go that a test leaves behind.
func release(t *testing.T, gateway *v1alpha1.WeChatGateway) {
	t.Helper()
	patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))
	if err := cluster.client.Patch(t.Context(), gateway, patch); client.IgnoreNotFound(err) != nil && t.Context().Err() == nil {
		t.Error(err)
	}
}

// TestPolicyOfWhatAGatewayHas: a shard holds documents of endpoints under their names, and only what a gateway asks for is its own.
func TestPolicyOfWhatAGatewayHas(t *testing.T) {
	operator, states := operatorOfSuite(t), gatewayStates(t)
	everything := states[slices.IndexFunc(states, func(s gatewayState) bool { return s.name == "gateway-with-everything" })]
	namespace := newBareNamespace(t)
	gateway := everything.store(t, namespace)
	all := everything.children(t, gateway)
	for _, child := range all {
		if err := onceSpecIsSeen(applyWith(operator, render.FieldManager, child)); err != nil {
			t.Fatal(err)
		}
	}
	refuse := func(name string, try func() error) {
		t.Helper()
		if err := try(); !refusedByPolicy(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	changed := func(kind string, edit func(*unstructured.Unstructured)) func() error {
		object := childOfKind(all, kind).DeepCopy()
		edit(object)
		return applyWith(operator, render.FieldManager, object, client.DryRunAll)
	}
	data := func(key string) func(*unstructured.Unstructured) {
		return func(o *unstructured.Unstructured) { _ = unstructured.SetNestedField(o.Object, "e30=", "data", key) }
	}
	for _, key := range []string{
		"shop.txt", "Shop.json", "-shop.json", "shop-.json", "9.json", ".json", "endpoint.json.bak", "tls.key", "shard-16.list", "shard-01.list", "shard-0.json.list",
		strings.Repeat("a", 41) + ".json",
	} {
		refuse("a shard with the key "+key, changed("Secret", data(key)))
	}
	refuse("a document that is too long", changed("Secret", func(o *unstructured.Unstructured) {
		_ = unstructured.SetNestedField(o.Object, strings.Repeat("AAAA", 32<<10+1), "data", "shop.json")
	}))
	renamed := func(name string) func(*unstructured.Unstructured) {
		return func(o *unstructured.Unstructured) { o.SetName(name) }
	}
	refuse("a shard of another gateway", changed("Secret", renamed("back-wechat-gateway-0")))
	refuse("a shard that no gateway has", changed("Secret", renamed("front-wechat-gateway-16")))
	refuse("a shard that is an endpoint's document", changed("Secret", renamed("front-sidecar")))
	refuse("a Deployment of another gateway", changed("Deployment", renamed("back-wechat-gateway")))
	refuse("a Service of an endpoint", changed("Service", renamed("front-sidecar")))
	refuse("an Ingress of a gateway", func() error {
		ingress := childOfKind(all, "Service").DeepCopy()
		ingress.SetAPIVersion("networking.k8s.io/v1")
		ingress.SetKind("Ingress")
		ingress.Object["spec"] = map[string]any{"defaultBackend": map[string]any{"service": map[string]any{"name": "front-wechat-gateway", "port": map[string]any{"number": int64(80)}}}}
		return applyWith(operator, render.FieldManager, ingress, client.DryRunAll)()
	})
	for _, kind := range []string{"Service", "Deployment", "ServiceAccount", "PodDisruptionBudget", "NetworkPolicy", "HorizontalPodAutoscaler"} {
		refuse("a "+kind+" of an earlier gateway of that name", changed(kind, func(o *unstructured.Unstructured) {
			owners := o.GetOwnerReferences()
			owners[0].UID = "another"
			o.SetOwnerReferences(owners)
		}))
	}
	for _, child := range all {
		refuse("deleting "+child.GetKind()+" "+child.GetName(), func() error { return operator.Delete(t.Context(), child.DeepCopy(), client.DryRunAll) })
	}
}

// TestPolicyOfWhereAnEndpointLeads: its URL leads to the pods that it asks for, and its own pods go only where it asks for a gateway's.
func TestPolicyOfWhereAnEndpointLeads(t *testing.T) {
	installGatewayAPI(t)
	operator, golden := operatorOfSuite(t), goldenStates(t)
	named := func(name string) goldenState {
		return golden[slices.IndexFunc(golden, func(s goldenState) bool { return s.name == name })]
	}
	replaced := func(child *unstructured.Unstructured, old, new string) *unstructured.Unstructured {
		text, err := child.MarshalJSON()
		if err != nil || !strings.Contains(string(text), old) {
			t.Fatalf("%s has no %s: %v", child.GetKind(), old, err)
		}
		changed := &unstructured.Unstructured{}
		if err := changed.UnmarshalJSON([]byte(strings.ReplaceAll(string(text), old, new))); err != nil {
			t.Fatal(err)
		}
		return changed
	}
	for name, of := range map[string]struct{ kind, old string }{
		"on-a-gateway":               {"Ingress", `"name":"front-wechat-gateway"`},
		"on-a-gateway-by-httproute":  {"HTTPRoute", `"name":"front-wechat-gateway"`},
		"on-a-gateway-not-published": {"Service", `"app.kubernetes.io/instance":"front"`},
	} {
		state := named(name).ofSuite()
		child := childOfKind(state.children(t, state.store(t, newBareNamespace(t))), of.kind)
		if err := onceSpecIsSeen(applyWith(operator, render.FieldManager, child, client.DryRunAll)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, instead := range []string{"back-wechat-gateway", "back-sidecar", "app"} {
			other := strings.ReplaceAll(of.old, "front-wechat-gateway", instead)
			if of.kind == "Service" {
				other = strings.ReplaceAll(of.old, "front", strings.TrimSuffix(strings.TrimSuffix(instead, "-wechat-gateway"), "-sidecar"))
			}
			if err := applyWith(operator, render.FieldManager, replaced(child, of.old, other), client.DryRunAll)(); !refusedByPolicy(err) {
				t.Errorf("%s: %s may be led to %s: %v", name, of.kind, instead, err)
			}
		}
	}
	own, namespace := named("minimal").ofSuite(), newBareNamespace(t)
	before := own.children(t, own.store(t, namespace))
	for _, child := range before {
		if err := onceSpecIsSeen(applyWith(operator, render.FieldManager, child)); err != nil {
			t.Fatal(err)
		}
	}
	pods := []string{"Deployment", "Service", "ServiceAccount", "PodDisruptionBudget", "NetworkPolicy"}
	deleting := func(kind string) func() error {
		return func() error {
			return operator.Delete(t.Context(), childOfKind(before, kind).DeepCopy(), client.DryRunAll)
		}
	}
	for _, kind := range append([]string{"Secret", "Ingress"}, pods...) {
		if err := deleting(kind)(); !refusedByPolicy(err) {
			t.Errorf("the %s of an endpoint with pods of its own may be deleted: %v", kind, err)
		}
	}
	named("on-a-gateway").ofSuite().store(t, namespace)
	for _, kind := range pods {
		if err := onceSpecIsSeen(deleting(kind)); err != nil {
			t.Errorf("the %s of an endpoint that a gateway serves is kept: %v", kind, err)
		}
	}
}

// writtenForGateways are the objects of a gateway that has everything: as they are made, and as those are changed that lead to pods, or hold what these
// serve. All others are compared as an endpoint's are.
func writtenForGateways(t *testing.T, operator client.Client) (made, changed []writtenObject) {
	t.Helper()
	for _, from := range gatewayStates(t) {
		if from.name != "gateway-with-everything" {
			continue
		}
		there, absent := newBareNamespace(t), newBareNamespace(t)
		for _, child := range from.children(t, from.store(t, there)) {
			if !slices.Contains([]string{"Secret", "Service", "NetworkPolicy"}, child.GetKind()) {
				continue
			}
			if err := onceSpecIsSeen(applyWith(operator, render.FieldManager, child)); err != nil {
				t.Fatal(err)
			}
			changed = append(changed, beingChanged(t, operator, child, nil))
		}
		for _, child := range from.children(t, from.store(t, absent)) {
			made = append(made, beingMade(t, operator, child, nil))
		}
	}
	for _, all := range [][]writtenObject{made, changed} {
		for i := range all {
			all[i].shared = true
		}
	}
	return made, changed
}
