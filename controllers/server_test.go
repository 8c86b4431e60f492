//go:build integration

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers"
)

// server is a world on an API server.
type server struct {
	*world
	config      *rest.Config
	environment *envtest.Environment
}

func newServer(t *testing.T) *server {
	t.Helper()
	environment := envtest.Environment{
		CRDs:              []*apiextensionsv1.CustomResourceDefinition{olderDefinition(t)},
		CRDDirectoryPaths: []string{filepath.Join("..", "config", "crd", "bases", "wechatendpoint.io_wechatgateways.yaml")}, ErrorIfCRDPathMissing: true,
	}
	environment.ControlPlane.GetAPIServer().Configure().Set("service-cluster-ip-range", "10.0.0.0/16") // two for each scene
	settings, err := environment.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := environment.Stop(); err != nil {
			t.Error(err)
		}
	})
	settings.QPS, settings.Burst = -1, -1
	scheme, err := controllers.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	installGatewayDefinitions(t, settings)
	w := &server{world: &world{}, config: settings, environment: &environment}
	if w.client, err = newClient(settings); err != nil {
		t.Fatal(err)
	}
	if w.operators, err = client.NewWithWatch(settings, client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	w.forbidHost(t)
	w.create(t, anyClass())
	return w
}

// forbidHost is a policy of the platform team's own, which allows a host in no Ingress.
func (w *server) forbidHost(t *testing.T) {
	t.Helper()
	meta := metav1.ObjectMeta{Name: "forbidden-host"}
	w.create(t, &admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: meta, Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: &admissionregistrationv1.MatchResources{ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{
			RuleWithOperations: admissionregistrationv1.RuleWithOperations{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{"networking.k8s.io"}, APIVersions: []string{"v1"}, Resources: []string{"ingresses"}},
			},
		}}},
		Validations: []admissionregistrationv1.Validation{{Expression: `object.spec.?rules.orValue([]).all(r, r.?host.orValue('') != '` + theForbiddenHost + `')`}},
	}})
	w.create(t, &admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: meta, Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
		PolicyName: meta.Name, ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
	}})
	forbidden := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "any"}, Spec: networkingv1.IngressSpec{
		DefaultBackend: &networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "any", Port: networkingv1.ServiceBackendPort{Number: 1}}},
		Rules:          []networkingv1.IngressRule{{Host: theForbiddenHost}},
	}}
	eventually(t, func() string {
		if w.client.Create(t.Context(), forbidden.DeepCopy(), client.DryRunAll) == nil {
			return "the policy is not in force yet"
		}
		return ""
	})
}

// newClient makes a client of the tests' own. Of the Gateway API it knows all, while the operator's reads what the operator needs.
func newClient(config *rest.Config) (client.WithWatch, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme), gatewayv1.Install(scheme), gatewayv1beta1.Install(scheme)); err != nil {
		return nil, err
	}
	return client.NewWithWatch(config, client.Options{Scheme: scheme})
}

func installGatewayDefinitions(t *testing.T, config *rest.Config) {
	t.Helper()
	folder, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").Output()
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, kind := range []string{"gatewayclasses", "gateways", "httproutes", "referencegrants"} {
		files = append(files, filepath.Join(strings.TrimSpace(string(folder)), "config/crd/standard/gateway.networking.k8s.io_"+kind+".yaml"))
	}
	if _, err := envtest.InstallCRDs(config, envtest.CRDInstallOptions{Paths: files, ErrorIfPathMissing: true}); err != nil {
		t.Fatal(err)
	}
}

// TestScenesAreAsOnAnAPIServer plays each story in this process and on an API server: the operator makes the same calls in the same order,
// and comes to the same status. What is refused in this process is refused there too.
func TestScenesAreAsOnAnAPIServer(t *testing.T) {
	t.Parallel()
	w := newServer(t)
	for name, story := range stories() {
		t.Run(name, func(t *testing.T) {
			calls, status := settled(t, newWorld(t), story)
			wantCalls, wantStatus := settled(t, w.world, story)
			if diff := cmp.Diff(wantCalls, calls); diff != "" {
				t.Errorf("which calls write (-API server +in process):\n%s", diff)
			}
			if diff := cmp.Diff(wantStatus, status); diff != "" {
				t.Errorf("the status (-API server +in process):\n%s", diff)
			}
		})
	}
	tryReasons(t, w.world, rejections())
	t.Run("what is refused changes nothing for endpoints that serve", func(t *testing.T) { whatIsRefusedChangesNothing(t, w.world) })
}

// TestWhatServesGoesOnAnAPIServer plays one of the random trials there. Many are played in this process.
func TestWhatServesGoesOnAnAPIServer(t *testing.T) {
	onTheNewestAlone(t)
	atLength(t)
	t.Parallel()
	tryTrials(t, newServer(t).world, []uint64{0})
}

// settled plays a story. It returns which calls of the operator write, and the status in the end.
func settled(t *testing.T, w *world, story func(*testing.T, *scene)) (calls []bool, status string) {
	t.Helper()
	s := w.newScene(t)
	story(t, s)
	calls = s.settle(t)
	text, err := json.MarshalIndent(s.endpoint(t).Status, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	s.leave(t)
	return calls, s.shown(string(text))
}
