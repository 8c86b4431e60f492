//go:build integration

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers"
)

// systemNamespace is where the chart of these tests is installed.
const systemNamespace = "wechatendpoint-system"

// TestOperatorOfSomeNamespaces runs an operator that has the rights of the chart with watchNamespaces and no others, as the API
// server enforces them: it serves these namespaces, and never asks for what it may not have.
func TestOperatorOfSomeNamespaces(t *testing.T) {
	t.Parallel()
	n := newNarrowWorld(t, "team-a", "team-b")
	refused := n.startOperator(t, "team-a", "team-b")

	n.run(t, "an endpoint that names its class gets all its objects, and is told what was not looked at", func(t *testing.T) {
		endpoint := n.create(t, newEndpoint("team-a"), withIngress("any"))
		condition := n.await(t, endpoint, v1alpha1.ConditionRouteProgrammed, metav1.ConditionTrue, v1alpha1.ReasonRouteProgrammed)
		if want := "the class was not looked up: this installation sees no IngressClasses"; !strings.Contains(condition.Message, want) {
			t.Errorf("the message is %q and does not say %q", condition.Message, want)
		}
		for _, condition := range []string{v1alpha1.ConditionAccepted, v1alpha1.ConditionCredentialsResolved, v1alpha1.ConditionBackendResolved} {
			n.await(t, endpoint, condition, metav1.ConditionTrue, condition)
		}
		for _, kind := range []string{"v1 ServiceAccount", "v1 Secret", "v1 Service", "apps/v1 Deployment", "networking.k8s.io/v1 Ingress"} {
			child := &unstructured.Unstructured{}
			version, name, _ := strings.Cut(kind, " ")
			child.SetAPIVersion(version)
			child.SetKind(name)
			if err := n.client.Get(t.Context(), client.ObjectKey{Namespace: "team-a", Name: "shop-sidecar"}, child); err != nil {
				t.Errorf("the %s: %v", name, err)
			}
		}
	})
	n.run(t, "an endpoint without a class is told to name one", func(t *testing.T) {
		endpoint := n.create(t, newEndpoint("team-b"), withIngress(""))
		condition := n.await(t, endpoint, v1alpha1.ConditionRouteProgrammed, metav1.ConditionFalse, v1alpha1.ReasonIngressClassNotFound)
		if want := "set url.ingress.className"; !strings.Contains(condition.Message, want) {
			t.Errorf("the message is %q and does not say %q", condition.Message, want)
		}
	})
	n.run(t, "a new token is served", func(t *testing.T) {
		endpoint := newEndpoint("team-a")
		if err := n.client.Update(t.Context(), tokenSecret("team-a", "a-newer-token")); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() string {
			if err := n.client.Get(t.Context(), client.ObjectKeyFromObject(endpoint), endpoint); err != nil {
				return err.Error()
			}
			if endpoint.Status.Credentials.Generation != 2 {
				return fmt.Sprintf("the generation is %d", endpoint.Status.Credentials.Generation)
			}
			return ""
		})
	})
	n.run(t, "a Service of a namespace that is not seen is refused, granted or not", func(t *testing.T) {
		endpoint := n.create(t, newEndpoint("team-a"), named("abroad"), func(e *v1alpha1.WeChatEndpoint) { e.Spec.Backend.Service.Namespace = "elsewhere" })
		condition := n.await(t, endpoint, v1alpha1.ConditionBackendResolved, metav1.ConditionFalse, v1alpha1.ReasonReferenceNotGranted)
		if want := "add elsewhere to watchNamespaces"; !strings.Contains(condition.Message, want) {
			t.Errorf("the message is %q and does not say %q", condition.Message, want)
		}
	})
	n.run(t, "a Gateway of a namespace that is not seen is taken at its word", func(t *testing.T) {
		parent := v1alpha1.ParentReference{Name: "edge", Namespace: "elsewhere"}
		endpoint := n.create(t, newEndpoint("team-b"), named("by-gateway"), func(e *v1alpha1.WeChatEndpoint) { withHTTPRoute(e, parent) })
		condition := n.await(t, endpoint, v1alpha1.ConditionRouteProgrammed, metav1.ConditionFalse, v1alpha1.ReasonRouteNotAccepted)
		if want := "cannot see whether it exists"; !strings.Contains(condition.Message, want) {
			t.Errorf("the message is %q and does not say %q", condition.Message, want)
		}
		n.acceptRoute(t, endpoint)
		n.await(t, endpoint, v1alpha1.ConditionRouteProgrammed, metav1.ConditionTrue, v1alpha1.ReasonRouteProgrammed)
	})
	n.run(t, "an endpoint of another namespace is left alone", func(t *testing.T) {
		endpoint := newEndpoint("elsewhere") // there since before the operator started
		if err := n.client.Get(t.Context(), client.ObjectKeyFromObject(endpoint), endpoint); err != nil {
			t.Fatal(err)
		}
		conditions := endpoint.Status.Conditions
		if len(conditions) != 1 || conditions[0].Type != v1alpha1.ConditionReady || conditions[0].Reason != v1alpha1.ReasonNotObserved ||
			conditions[0].Status != metav1.ConditionUnknown || !strings.Contains(conditions[0].Message, "watchNamespaces") {
			t.Errorf("its conditions do not tell that nobody looks at it: %v", conditions)
		}
	})
	if got := refused.list(); len(got) > 0 {
		t.Errorf("the API server refused:\n%s", strings.Join(got, "\n"))
	}
}

// TestChartOfSomeNamespaces looks at all that the chart installs with watchNamespaces.
func TestChartOfSomeNamespaces(t *testing.T) {
	var wide []string
	kinds := map[string]int{}
	for _, object := range renderChart(t, "watchNamespaces={team-a,team-b}", "crds.enabled=true", "rbac.aggregateToDefaultRoles=true", "metrics.secure=true") {
		mapping, err := cluster.client.RESTMapper().RESTMapping(object.GroupVersionKind().GroupKind(), object.GroupVersionKind().Version)
		if err != nil {
			t.Fatal(err)
		}
		kinds[object.GetKind()]++
		if mapping.Scope.Name() == apimeta.RESTScopeNameRoot && object.GetKind() != "CustomResourceDefinition" {
			wide = append(wide, object.GetKind()+" "+object.GetName())
		}
	}
	if len(wide) > 0 {
		t.Errorf("it has objects of the whole cluster: %v", wide)
	}
	if kinds["Role"] != 3 || kinds["RoleBinding"] != 3 {
		t.Errorf("it has %d Roles and %d RoleBindings, not one in each namespace and those for the Lease", kinds["Role"], kinds["RoleBinding"])
	}
}

// narrowWorld is an API server with namespaces that the operator sees, and one, elsewhere, that it does not.
type narrowWorld struct {
	environment *envtest.Environment
	client      client.Client
}

func newNarrowWorld(t *testing.T, namespaces ...string) *narrowWorld {
	t.Helper()
	n := &narrowWorld{environment: &envtest.Environment{CRDDirectoryPaths: []string{filepath.Join("..", "config", "crd", "bases")}, ErrorIfCRDPathMissing: true}}
	settings, err := n.environment.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.environment.Stop(); err != nil {
			t.Error(err)
		}
	})
	installGatewayDefinitions(t, settings)
	if n.client, err = newClient(settings); err != nil {
		t.Fatal(err)
	}
	n.add(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: systemNamespace}})
	for _, name := range append(namespaces, "elsewhere") {
		n.add(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
		n.add(t, appService(name))
		n.add(t, tokenSecret(name, "a-fine-token"))
	}
	n.add(t, newEndpoint("elsewhere"))
	for _, object := range renderChart(t, "watchNamespaces={"+strings.Join(namespaces, ",")+"}") {
		if slices.Contains([]string{"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "Lease"}, object.GetKind()) {
			n.add(t, object)
		}
	}
	return n
}

// renderChart returns the objects that helm would install.
func renderChart(t *testing.T, values ...string) []*unstructured.Unstructured {
	t.Helper()
	helm, err := exec.CommandContext(t.Context(), "../tools/install", "helm").Output()
	if err != nil {
		t.Fatal(err)
	}
	arguments := []string{"template", "wechat-endpoint", "../charts/wechat-endpoint", "--skip-tests", "--namespace", systemNamespace}
	for _, value := range values {
		arguments = append(arguments, "--set", value)
	}
	rendered, err := exec.CommandContext(t.Context(), strings.TrimSpace(string(helm)), arguments...).Output()
	if err != nil {
		t.Fatal(err)
	}
	var objects []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(rendered), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(object)
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}

// startOperator runs an operator with the identity of the chart's ServiceAccount until the test ends.
func (n *narrowWorld) startOperator(t *testing.T, namespaces ...string) *refusals {
	t.Helper()
	user, err := n.environment.AddUser(envtest.User{Name: operatorUser, Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + systemNamespace}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	settings, refused := user.Config(), &refusals{}
	settings.Wrap(refused.watch)
	scheme, err := controllers.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	manager, err := ctrl.NewManager(settings, ctrl.Options{
		Scheme: scheme, Cache: controllers.CacheOptions(controllers.Options{Namespaces: namespaces}), Metrics: metricsserver.Options{BindAddress: "0"},
		LeaderElection: true, LeaderElectionID: "wechatendpoint-operator", LeaderElectionNamespace: systemNamespace, LeaderElectionReleaseOnCancel: true,
		Controller: ctrlconfig.Controller{SkipNameValidation: new(true)}, // the suite's operator is in this process too
	})
	if err != nil {
		t.Fatal(err)
	}
	reconciler := &controllers.Reconciler{
		Client: manager.GetClient(), Live: manager.GetAPIReader(), Events: manager.GetEventRecorder("wechatendpoint-operator"), Probe: &pods{},
		Options: controllers.Options{SidecarImage: "example.com/sidecar:1", SidecarPullPolicy: "IfNotPresent", Namespaces: namespaces},
	}
	ctx, cancel := context.WithCancel(context.Background())
	if err := reconciler.SetupWithManager(ctx, manager); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- manager.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the operator ended: %v", err)
		}
	})
	return refused
}

// run keeps the order of the steps and their names apart from each other.
func (n *narrowWorld) run(t *testing.T, name string, step func(*testing.T)) {
	t.Helper()
	if !t.Run(name, step) {
		t.FailNow()
	}
}

func (n *narrowWorld) add(t *testing.T, object client.Object) {
	t.Helper()
	if err := n.client.Create(t.Context(), object); err != nil {
		t.Fatalf("creating %T %s: %v", object, object.GetName(), err)
	}
}

func (n *narrowWorld) create(t *testing.T, endpoint *v1alpha1.WeChatEndpoint, edits ...func(*v1alpha1.WeChatEndpoint)) *v1alpha1.WeChatEndpoint {
	t.Helper()
	for _, edit := range edits {
		edit(endpoint)
	}
	n.add(t, endpoint)
	return endpoint
}

func named(name string) func(*v1alpha1.WeChatEndpoint) {
	return func(e *v1alpha1.WeChatEndpoint) {
		e.Name, e.Spec.URL.Host = name, name+".example.com"
	}
}

func withIngress(class string) func(*v1alpha1.WeChatEndpoint) {
	return func(e *v1alpha1.WeChatEndpoint) {
		e.Spec.URL.Exposure = v1alpha1.ExposureIngress
		if class != "" {
			e.Spec.URL.Ingress = &v1alpha1.IngressExposure{ClassName: class}
		}
	}
}

func (n *narrowWorld) await(t *testing.T, endpoint *v1alpha1.WeChatEndpoint, name string, status metav1.ConditionStatus, reason string) metav1.Condition {
	t.Helper()
	var condition *metav1.Condition
	eventually(t, func() string {
		if err := n.client.Get(t.Context(), client.ObjectKeyFromObject(endpoint), endpoint); err != nil {
			return err.Error()
		}
		condition = apimeta.FindStatusCondition(endpoint.Status.Conditions, name)
		if condition == nil || condition.Status != status || condition.Reason != reason {
			return fmt.Sprintf("%s is not %s/%s but %+v", name, status, reason, condition)
		}
		return ""
	})
	return *condition
}

// acceptRoute plays the Gateway.
func (n *narrowWorld) acceptRoute(t *testing.T, endpoint *v1alpha1.WeChatEndpoint) {
	t.Helper()
	eventually(t, func() string {
		route := &gatewayv1.HTTPRoute{}
		if err := n.client.Get(t.Context(), client.ObjectKey{Namespace: endpoint.Namespace, Name: endpoint.Name + "-sidecar"}, route); err != nil {
			return err.Error()
		}
		status := gatewayv1.RouteParentStatus{ParentRef: route.Spec.ParentRefs[0], ControllerName: "example.com/gateway"}
		for _, condition := range []gatewayv1.RouteConditionType{gatewayv1.RouteConditionAccepted, gatewayv1.RouteConditionResolvedRefs} {
			apimeta.SetStatusCondition(&status.Conditions, metav1.Condition{
				Type: string(condition), Status: metav1.ConditionTrue, Reason: string(condition), ObservedGeneration: route.Generation,
			})
		}
		route.Status.Parents = []gatewayv1.RouteParentStatus{status}
		if err := n.client.Status().Update(t.Context(), route); err != nil {
			return err.Error()
		}
		return ""
	})
}

// refusals are the requests that the API server answered with 403.
type refusals struct {
	mu       sync.Mutex
	requests []string
}

func (r *refusals) list() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.requests)
}

// watch is a transport's wrapper.
func (r *refusals) watch(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		response, err := next.RoundTrip(request)
		if err == nil && response.StatusCode == http.StatusForbidden {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.requests = append(r.requests, request.Method+" "+request.URL.String())
		}
		return response, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }
