//go:build integration

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// goldenState is an endpoint in an installation: what the renderer needs.
type goldenState struct {
	name   string
	golden bool
	input  render.Input
	// spec replaces the spec of the input, where a user writes what Go would leave out.
	spec map[string]any
	// more are choices of the installation that the renderer does not know.
	more controllers.Options
}

// goldenStates are what the renderer's goldens are rendered from.
func goldenStates(t *testing.T) []goldenState {
	t.Helper()
	files, err := filepath.Glob("internal/render/testdata/inputs/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are %d inputs: %v", len(files), err)
	}
	var states []goldenState
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		one := goldenState{golden: true, name: strings.TrimSuffix(filepath.Base(file), ".yaml")}
		if err := yaml.UnmarshalStrict(text, &one.input); err != nil {
			t.Fatalf("reading %s: %v", file, err)
		}
		one.more = controllers.Options{AllowEmptyHost: true, AllowedIngressAnnotations: []string{"cert-manager.io/issuer"}}
		states = append(states, one)
	}
	return states
}

// options are those of the state's installation.
func (s goldenState) options() controllers.Options {
	options := s.more
	options.SidecarImage, options.SidecarPullPolicy = s.input.Image, s.input.PullPolicy
	options.SidecarDefaults, options.NetworkPolicy = s.input.Defaults, s.input.NetworkPolicy
	options.CommonLabels, options.PodLabels, options.PodAnnotations = s.input.CommonLabels, s.input.PodLabels, s.input.PodAnnotations
	options.PodSecurityContext = s.input.PodSecurityContext
	options.OperatorNamespace, options.SidecarLane, options.Tracing = s.input.OperatorNamespace, s.input.Lane, s.input.Tracing
	return options
}

// ofSuite is the state in the suite's installation.
func (s goldenState) ofSuite() goldenState {
	s.input.Installed = installedBySuite(s.input.Endpoint.Spec.Sidecar)
	return s
}

// children renders the state for an endpoint that the API server has stored.
func (s goldenState) children(t *testing.T, endpoint *v1alpha1.WeChatEndpoint) []*unstructured.Unstructured {
	t.Helper()
	input := s.input
	input.Endpoint = endpoint
	input.Image = render.Image(endpoint.Spec.Sidecar, s.input.Image)
	objects, err := render.Make(input)
	if err != nil {
		t.Fatal(err)
	}
	var children []*unstructured.Unstructured
	for _, child := range objects.Children {
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(child)
		if err != nil {
			t.Fatal(err)
		}
		children = append(children, &unstructured.Unstructured{Object: content})
	}
	return children
}

// store makes the endpoint be what the state says. It is paused, so that the suite's own operator leaves its objects to the test.
func (s goldenState) store(t *testing.T, namespace string) *v1alpha1.WeChatEndpoint {
	t.Helper()
	spec := s.spec
	if spec == nil {
		var err error
		if spec, err = runtime.DefaultUnstructuredConverter.ToUnstructured(&s.input.Endpoint.Spec); err != nil {
			t.Fatal(err)
		}
	}
	spec = maps.Clone(spec)
	spec["paused"] = true
	wanted := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	wanted.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("WeChatEndpoint"))
	wanted.SetNamespace(namespace)
	wanted.SetName("shop")
	live := wanted.DeepCopy()
	eventually(t, func() string { // the suite's operator writes the status
		err := cluster.client.Get(t.Context(), client.ObjectKeyFromObject(wanted), live)
		if apierrors.IsNotFound(err) {
			err = cluster.client.Create(t.Context(), wanted.DeepCopy())
		} else if err == nil {
			live.Object["spec"] = wanted.Object["spec"]
			err = cluster.client.Update(t.Context(), live)
		}
		if err != nil {
			return "storing the endpoint of " + s.name + ": " + err.Error()
		}
		return ""
	})
	endpoint := &v1alpha1.WeChatEndpoint{}
	eventually(t, func() string { // its URL leads where the state says
		if err := cluster.client.Get(t.Context(), client.ObjectKeyFromObject(wanted), endpoint); err != nil {
			return err.Error()
		}
		if endpoint.Status.Fleet.LeadsTo == s.input.LeadsTo {
			return ""
		}
		endpoint.Status.Fleet.LeadsTo = s.input.LeadsTo
		if err := cluster.client.Status().Update(t.Context(), endpoint); err != nil {
			return err.Error()
		}
		return ""
	})
	return endpoint
}

// otherInstallations are operators with other choices, each with an identity and policies of its own.
type otherInstallations struct {
	mu    sync.Mutex
	known map[string]client.Client // by their choices
}

// installed counts them: the API server keeps a policy for a moment that was deleted, and another one of its name would seem to be there.
var installed atomic.Int32

// operator returns a client with the identity of an operator that was installed with these choices.
func (i *otherInstallations) operator(t *testing.T, options controllers.Options) client.Client {
	t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	choices, err := json.Marshal(options)
	if err != nil {
		t.Fatal(err)
	}
	if known, ok := i.known[string(choices)]; ok {
		return known
	}
	suffix := fmt.Sprint(installed.Add(1))
	// Another name, which the suite's own policies do not confine.
	user := "system:serviceaccount:installation-" + suffix + ":operator-" + suffix
	objects, err := policiesFor(options)
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range objects {
		text, err := object.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if err := object.UnmarshalJSON([]byte(strings.ReplaceAll(string(text), "^system:serviceaccount:[^:]+:wechatendpoint-operator$", "^"+user+"$"))); err != nil {
			t.Fatal(err)
		}
		object.SetName(object.GetName() + "-" + suffix)
		if policy, found, _ := unstructured.NestedString(object.Object, "spec", "policyName"); found {
			unstructured.SetNestedField(object.Object, policy+"-"+suffix, "spec", "policyName")
		}
		createForTest(t, object)
	}
	createForTest(t, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "installation-" + suffix},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "wechatendpoint-operator"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}},
	})
	config := rest.CopyConfig(cluster.config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:serviceaccounts", "system:authenticated"}}
	config.QPS = -1
	operator, err := client.New(config, client.Options{Scheme: cluster.client.Scheme(), Mapper: cluster.client.RESTMapper()})
	if err != nil {
		t.Fatal(err)
	}
	if i.known == nil {
		i.known = map[string]client.Client{}
	}
	i.known[string(choices)] = operator
	return operator
}

// createForTest creates what one test needs of the whole cluster, until it has ended.
func createForTest(t *testing.T, object client.Object) {
	t.Helper()
	create(t, object)
	t.Cleanup(func() {
		if err := cluster.client.Delete(context.Background(), object); err != nil {
			t.Error(err)
		}
	})
}

// awaitConfined waits until the API server has taken up the role and both policies: one refuses what no endpoint owns, and the other
// what is right, but for the owner.
func awaitConfined(t *testing.T, operator client.Client, labels map[string]string) {
	t.Helper()
	golden := goldenStates(t)[0]
	golden.input.CommonLabels = labels
	endpoint := golden.store(t, newBareNamespace(t))
	endpoint.UID = "another"
	foreign := childOfKind(golden.children(t, endpoint), "ServiceAccount")
	wrong := foreign.DeepCopy()
	wrong.SetName("wrong")
	for message, object := range map[string]client.Object{"its endpoints own": wrong, "not this endpoint's": foreign} {
		eventually(t, func() string {
			err := operator.Create(t.Context(), object.DeepCopyObject().(client.Object), client.DryRunAll)
			if err == nil || !strings.Contains(err.Error(), message) {
				return fmt.Sprintf("the operator is not confined yet: %v", err)
			}
			return ""
		})
	}
}

// refusedBySpec reports whether the API server refuses what is right, because it has not seen the endpoint's newest spec.
func refusedBySpec(err error) bool {
	return err != nil && strings.Contains(err.Error(), "wechatendpoint-operator-spec")
}

// onceSpecIsSeen tries what may be refused for a moment.
func onceSpecIsSeen(try func() error) error {
	var err error
	for deadline := time.Now().Add(3 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if err = try(); !refusedBySpec(err) {
			return err
		}
	}
	return err
}

func applyWith(operator client.Client, manager client.FieldOwner, object *unstructured.Unstructured, options ...client.ApplyOption) func() error {
	return func() error {
		options := append([]client.ApplyOption{manager, client.ForceOwnership}, options...)
		return operator.Apply(context.Background(), client.ApplyConfigurationFromUnstructured(object.DeepCopy()), options...)
	}
}

// TestPolicyTakesWhatIsRendered applies every golden, and over it the minimal one and a third of the others that can follow, each as an
// operator that is installed as the golden says: endpoints change, and so do installations. An older API server may end while a policy is compiled and another one
// judges: https://github.com/kubernetes/kubernetes/issues/135757. It takes what the suite's own operator renders.
func TestPolicyTakesWhatIsRendered(t *testing.T) {
	onTheNewestAlone(t)
	t.Parallel()
	installGatewayAPI(t)
	var operators otherInstallations
	states := append(goldenStates(t), otherStates(t)...)
	for _, one := range states {
		operators.operator(t, one.options()) // all before the first is awaited
	}
	awaited := map[client.Client]bool{}
	for _, one := range states {
		if operator := operators.operator(t, one.options()); !awaited[operator] {
			awaitConfined(t, operator, one.input.CommonLabels)
			awaited[operator] = true
		}
	}
	var taken struct {
		sync.Mutex
		writes int
	}
	t.Run("all", func(t *testing.T) {
		for i, from := range states {
			t.Run(from.name, func(t *testing.T) {
				t.Parallel()
				writes := 0
				must := func(what string, try func() error) {
					t.Helper()
					writes++
					if err := onceSpecIsSeen(try); err != nil {
						t.Errorf("%s is refused: %v", what, err)
					}
				}
				namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "rendered-"}}
				create(t, namespace)
				operator := operators.operator(t, from.options())
				endpoint := from.store(t, namespace.Name)
				before := from.children(t, endpoint)
				withSize(t, endpoint, before, 0)
				live := int64(0) // that has no pods of its own
				if pods := childOfKind(before, "Deployment"); pods != nil {
					live, _, _ = unstructured.NestedInt64(pods.Object, "spec", "replicas")
				}
				for _, child := range before {
					must("making "+child.GetKind(), applyWith(operator, render.FieldManager, child))
				}
				for j, to := range states {
					if !mayFollow(to, from) || !isMinimal(from, to) && (i+j)%3 != 0 {
						continue
					}
					operator := operators.operator(t, to.options())
					endpoint := to.store(t, namespace.Name)
					after := to.children(t, endpoint)
					withSize(t, endpoint, after, live)
					for _, child := range after {
						if slices.ContainsFunc(before, func(o *unstructured.Unstructured) bool { return equality.Semantic.DeepEqual(o, child) }) {
							continue // it is not written
						}
						what := fmt.Sprintf("%s after %s", child.GetKind(), to.name)
						must(what, applyWith(operator, render.FieldManager, child, client.DryRunAll))
						if child.Object["spec"] != nil && isAmong(before, child) {
							must(what+", as a whole", overwritingSpec(operator, child))
						}
					}
					if was, is := childOfKind(before, "Deployment"), childOfKind(after, "Deployment"); was != nil && is != nil {
						must("the pods' template of before", applyWith(operator, render.FieldManager, withTemplateOf(was, is), client.DryRunAll))
					}
					for _, old := range before {
						if !isAmong(after, old) && old.GetKind() != "Secret" {
							must("deleting "+old.GetKind(), func() error { return operator.Delete(t.Context(), old.DeepCopy(), client.DryRunAll) })
						}
					}
					if endpoint.Spec.Sidecar.Autoscaling != nil && live > 0 {
						must("the number of pods alone", applyWith(operator, render.HandoverManager, replicasAlone(t, endpoint, live), client.DryRunAll))
					}
				}
				taken.Lock()
				defer taken.Unlock()
				taken.writes += writes
			})
		}
	})
	t.Logf("policy: %d writes of %d states taken", taken.writes, len(states))
}

// overwritingSpec replaces the spec, as where somebody's entry in a list is in the way.
func overwritingSpec(operator client.Client, child *unstructured.Unstructured) func() error {
	return func() error {
		text, err := json.Marshal(map[string]any{"spec": child.Object["spec"]})
		if err != nil {
			return err
		}
		return operator.Patch(context.Background(), child.DeepCopy(), client.RawPatch(types.MergePatchType, text), client.DryRunAll)
	}
}

// mayFollow reports whether one state may follow the other. The platform cannot be changed; and what a golden does not have is tried
// after the minimal one, and before it.
func mayFollow(to, from goldenState) bool {
	if (!to.golden || !from.golden) && !isMinimal(from, to) {
		return false
	}
	return from.input.Endpoint.Spec.Platform == to.input.Endpoint.Spec.Platform
}

// isMinimal reports whether one of two states is the minimal one.
func isMinimal(one, other goldenState) bool { return one.name == "minimal" || other.name == "minimal" }

// withTemplateOf is what waits for its slot in a rollout: all as it is asked for now, but the pods.
func withTemplateOf(before, after *unstructured.Unstructured) *unstructured.Unstructured {
	kept := after.DeepCopy()
	kept.SetAnnotations(before.GetAnnotations())
	template, _, _ := unstructured.NestedFieldCopy(before.Object, "spec", "template")
	unstructured.SetNestedField(kept.Object, template, "spec", "template")
	return kept
}

// withSize writes the number of pods that an autoscaler chooses: where it begins, or what is there, which was handed over before.
func withSize(t *testing.T, endpoint *v1alpha1.WeChatEndpoint, children []*unstructured.Unstructured, live int64) {
	t.Helper()
	scaling := endpoint.Spec.Sidecar.Autoscaling
	if scaling == nil {
		return
	}
	size := int64(render.Replicas(endpoint.Spec.Sidecar))
	if live > 0 {
		size = max(live, int64(render.MinReplicas(scaling)))
	}
	if err := unstructured.SetNestedField(childOfKind(children, "Deployment").Object, size, "spec", "replicas"); err != nil {
		t.Fatal(err)
	}
}

// replicasAlone is the number of pods alone, as it is left to an autoscaler.
func replicasAlone(t *testing.T, endpoint *v1alpha1.WeChatEndpoint, live int64) *unstructured.Unstructured {
	t.Helper()
	size := max(int32(live), render.MinReplicas(endpoint.Spec.Sidecar.Autoscaling))
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(render.MakeReplicas(render.OwnFleet(endpoint), size))
	if err != nil {
		t.Fatal(err)
	}
	return &unstructured.Unstructured{Object: content}
}

func childOfKind(of []*unstructured.Unstructured, kind string) *unstructured.Unstructured {
	i := slices.IndexFunc(of, func(o *unstructured.Unstructured) bool { return o.GetKind() == kind })
	if i < 0 {
		return nil
	}
	return of[i]
}

// isAmong reports whether there is an object of the kind and the name.
func isAmong(all []*unstructured.Unstructured, one *unstructured.Unstructured) bool {
	return slices.ContainsFunc(all, func(o *unstructured.Unstructured) bool {
		return o.GetKind() == one.GetKind() && o.GetName() == one.GetName()
	})
}

// otherStates are options of the installation and of spec.sidecar that no golden has: each in a spelling that a user may choose.
func otherStates(t *testing.T) []goldenState {
	t.Helper()
	golden := goldenStates(t)
	base := golden[slices.IndexFunc(golden, func(s goldenState) bool { return s.name == "minimal" })]
	var states []goldenState
	add := func(name, patch string, edit func(*goldenState)) {
		one := base
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&base.input.Endpoint.Spec)
		if err != nil {
			t.Fatal(err)
		}
		var more map[string]any
		if err := yaml.Unmarshal([]byte(patch), &more); err != nil {
			t.Fatal(err)
		}
		for key, value := range more {
			content[key] = value
		}
		one.name, one.golden, one.spec = name, false, content
		if edit != nil {
			edit(&one)
		}
		states = append(states, one)
	}
	defaults := func(text string) func(*goldenState) {
		return func(s *goldenState) {
			if err := yaml.UnmarshalStrict([]byte(text), &s.input.Defaults); err != nil {
				t.Fatal(err)
			}
		}
	}
	const everything = `
resources: {requests: {cpu: "0.5", memory: 32Mi}, limits: {memory: 134217728, ephemeral-storage: 1Gi}}
nodeSelector: {disk: "true", zone: ""}
tolerations: [{operator: Exists}, {key: edge, value: "", effect: NoExecute, tolerationSeconds: 0}, {key: a, operator: Equal, value: b, effect: NoSchedule}]
affinity:
  nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Exists, values: []}]}]}}
  podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, podAffinityTerm: {topologyKey: zone, namespaces: [], labelSelector: {matchLabels: {}}}}]}
imagePullSecrets: [{name: b}, {name: a}, {name: c}]
priorityClassName: callbacks`
	add("all by the endpoint", "sidecar: {replicas: 3, imageVersion: 1.2.3, "+strings.ReplaceAll(inOneLine(t, everything), "\n", " ")+"}", nil)
	add("all by the installation", "sidecar: {}", defaults(everything))
	add("none, and all by the installation", "sidecar: {replicas: 0, resources: {}, nodeSelector: {}, tolerations: [], affinity: {}, imagePullSecrets: []}", defaults(everything))
	add("quantities", `sidecar: {resources: {requests: {cpu: 1000m, memory: 1e6}, limits: {cpu: 2, memory: "0.5Gi"}}}`, nil)
	add("a digest", "sidecar: {imageVersion: sha256:"+strings.Repeat("0", 64)+"}", func(s *goldenState) {
		s.input.Image, s.input.PullPolicy = "registry.example.com:5000/a/sidecar@sha256:"+strings.Repeat("1", 64), "Always"
	})
	add("a registry's port", "sidecar: {}", func(s *goldenState) { s.input.Image, s.input.PullPolicy = "localhost:5000/sidecar", "Never" })
	add("a tag and a digest", "sidecar: {}", func(s *goldenState) { s.input.Image = "localhost:5000/sidecar:0.2.0@sha256:" + strings.Repeat("2", 64) })
	add("autoscaled by default", "sidecar: {autoscaling: {maxReplicas: 4}}", nil)
	add("a class of the list", "url: {host: wx.example.com, path: /a, ingress: {className: edge}}", func(s *goldenState) {
		s.more.AllowedIngressClasses = []string{"traefik", "edge"}
	})
	add("a host of the map", "url: {host: a.b.example.com, path: /a}", func(s *goldenState) {
		s.more.Hosts = controllers.Hosts{"example.com": {"other"}, "*.example.com": {"other"}, "*.b.example.com": {"*"}, "*": {"other"}}
	})
	add("any host", "url: {host: wx.example.org, path: /a}", func(s *goldenState) {
		s.more.Hosts = controllers.Hosts{"*.example.com": {"other"}, "*": {"*"}, "": {"other"}}
	})
	add("a quoted annotation", `url: {host: wx.example.com, path: /a, ingress: {annotations: {example.com/a: "it's \\ \"so\" 微信 <b>"}}}`, func(s *goldenState) {
		s.more.AllowedIngressAnnotations = []string{"example.com/a", "example.com/b"}
	})
	add("readers of metrics", "{}", func(s *goldenState) {
		s.input.OperatorNamespace, s.input.NetworkPolicy = "platform", render.NetworkPolicy{Enabled: true, Egress: true, MetricsFrom: []metav1.LabelSelector{
			{}, {MatchLabels: map[string]string{}, MatchExpressions: []metav1.LabelSelectorRequirement{
				{Key: "a", Operator: metav1.LabelSelectorOpExists, Values: []string{}}, {Key: "b", Operator: metav1.LabelSelectorOpIn, Values: []string{"c"}},
			}},
			{MatchLabels: map[string]string{"a": "b"}, MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "b", Operator: metav1.LabelSelectorOpDoesNotExist}}},
		}}
	})
	add("numbers as OpenShift gives them", "{}", func(s *goldenState) {
		s.input.PodSecurityContext = render.PodSecurityContext{RunAsUser: new(int64(1000650000)), FSGroup: new(int64(1000650000))}
		s.input.CommonLabels = map[string]string{"example.com/empty": "", "kubernetes.io/a": "b"} // one of another name follows it
		s.input.PodAnnotations = map[string]string{"example.com/quoted": "it's \\ \"so\" 微信 <b>\n"}
	})
	add("the largest", "{}", func(s *goldenState) {
		authority, err := os.ReadFile("internal/render/testdata/ca.pem")
		if err != nil {
			t.Fatal(err)
		}
		backend := func(bundle int) map[string]any {
			return map[string]any{"service": map[string]any{"name": "app", "port": int64(8080)}, "tls": map[string]any{"caBundle": strings.Repeat(string(authority), bundle/len(authority))}}
		}
		var rules, files []any
		for i := range 32 {
			rules = append(rules, map[string]any{"match": map[string]any{"event": fmt.Sprint("e", i)}, "action": "Forward", "backend": backend((64 << 10) / 32)})
			s.input.RuleURLs = append(s.input.RuleURLs, "https://app.team-a.svc:8080")
		}
		for i := range 16 {
			files = append(files, map[string]any{"name": fmt.Sprint(i, ".txt"), "content": strings.Repeat("a", 4<<10)})
		}
		s.spec["backend"], s.spec["rules"], s.spec["domainFiles"], s.input.BackendURL = backend(16<<10), rules, files, "https://app.team-a.svc:8080"
	})
	add("parents", "url: {host: wx.example.com, path: /a/$APPID$/b, exposure: HTTPRoute, httpRoute: {parentRefs: [{name: a}, {name: b, namespace: c, sectionName: d}]}}\ndomainFiles: [{name: a.txt, content: a}, {name: B-c.txt, content: b}]", nil)
	return states
}

// inOneLine writes a YAML map in one line.
func inOneLine(t *testing.T, text string) string {
	t.Helper()
	written, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(strings.TrimPrefix(string(written), "{"), "}")
}

// TestPolicyOfTheInstallation: what an installation does not allow is refused whoever asks, also under the name of no endpoint.
func TestPolicyOfTheInstallation(t *testing.T) {
	installGatewayAPI(t)
	golden := goldenStates(t)
	named := func(name string) goldenState {
		return golden[slices.IndexFunc(golden, func(s goldenState) bool { return s.name == name })]
	}
	minimal, http := named("minimal"), named("httproute")
	minimal.input.Image = "registry.example.com:5000/a/sidecar:1"
	minimal.input.OperatorNamespace, minimal.input.NetworkPolicy = "platform", render.NetworkPolicy{Enabled: true, MetricsFrom: []metav1.LabelSelector{{MatchLabels: map[string]string{"a": "b"}}}}
	minimal.input.Lane = render.LaneStandard
	minimal.input.Tracing = config.Tracing{Endpoint: "http://otel-collector.observability.svc:4318", SamplingRatePerMillion: new(2500)}
	namespace := newBareNamespace(t)
	minimal.store(t, namespace)
	given := controllers.Hosts{
		"wx.example.com": {namespace}, "*.example.com": {"other"}, "*.any.example.com": {"*"}, "*.mine.any.example.com": {"other", namespace},
		"*.both.example.com": {namespace}, "a.both.example.com": {"other"}, // keys of one length
	}
	minimal.input.CommonLabels, minimal.input.PodLabels = map[string]string{"team": "platform"}, map[string]string{"mesh": "off"}
	minimal.input.PodAnnotations = map[string]string{"example.com/scrape": "no"}
	minimal.input.PodSecurityContext = render.PodSecurityContext{RunAsUser: new(int64(1000))}
	minimal.more = controllers.Options{Hosts: given, AllowedIngressClasses: []string{"edge"}, AllowedIngressAnnotations: []string{"example.com/a"}}
	var operators otherInstallations
	operator := operators.operator(t, minimal.options())
	awaitConfined(t, operator, minimal.input.CommonLabels)
	made := func(from goldenState, kindOf string) *unstructured.Unstructured {
		from.input.Installed = minimal.input.Installed
		from.input.Image, from.input.OperatorNamespace, from.input.NetworkPolicy = minimal.input.Image, minimal.input.OperatorNamespace, minimal.input.NetworkPolicy
		from.input.Lane, from.input.Tracing = minimal.input.Lane, minimal.input.Tracing
		endpoint := from.input.Endpoint.DeepCopy()
		endpoint.Namespace, endpoint.Name = namespace, "nobody"
		return childOfKind(from.children(t, endpoint), kindOf)
	}
	const another = "publishes a host only in a namespace"
	host := func(name string) func(*unstructured.Unstructured) {
		return func(o *unstructured.Unstructured) {
			if o.GetKind() == "HTTPRoute" {
				setField(t, o, []any{name}, "spec", "hostnames")
				return
			}
			rules, _, _ := unstructured.NestedSlice(o.Object, "spec", "rules")
			rules[0].(map[string]any)["host"] = name
			setField(t, o, rules, "spec", "rules")
		}
	}
	path := func(value string) func(*unstructured.Unstructured) {
		return func(o *unstructured.Unstructured) {
			rules, _, _ := unstructured.NestedSlice(o.Object, "spec", "rules")
			one := rules[0].(map[string]any)["http"].(map[string]any)["paths"].([]any)[0].(map[string]any)
			one["path"], one["pathType"] = value, "Prefix"
			setField(t, o, rules, "spec", "rules")
		}
	}
	field := func(value any, path ...string) func(*unstructured.Unstructured) {
		return func(o *unstructured.Unstructured) { setField(t, o, value, path...) }
	}
	without := func(path ...string) func(*unstructured.Unstructured) {
		return func(o *unstructured.Unstructured) { unstructured.RemoveNestedField(o.Object, path...) }
	}
	container := func(name string, value any) func(*unstructured.Unstructured) {
		return func(o *unstructured.Unstructured) {
			containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
			containers[0].(map[string]any)[name] = value
			setField(t, o, containers, "spec", "template", "spec", "containers")
		}
	}
	arguments := func(more ...any) func(*unstructured.Unstructured) {
		return container("args", append([]any{"--config-dir=/etc/wechat-sidecar", "--peers=nobody-sidecar-peers:8081"}, more...))
	}
	const lane = "--lane=standard"
	const collector, sample = "--tracing-endpoint=http://otel-collector.observability.svc:4318", "--tracing-sampling-rate-per-million=2500"
	reader := func(value any) func(*unstructured.Unstructured) {
		return func(o *unstructured.Unstructured) {
			rules, _, _ := unstructured.NestedSlice(o.Object, "spec", "ingress")
			rules[1].(map[string]any)["from"] = append(rules[1].(map[string]any)["from"].([]any), value)
			setField(t, o, rules, "spec", "ingress")
		}
	}
	for name, test := range map[string]struct {
		object  *unstructured.Unstructured
		edit    func(*unstructured.Unstructured)
		message string // empty: taken
	}{
		"a host of this namespace":             {made(minimal, "Ingress"), host("wx.example.com"), ""},
		"a host of another namespace":          {made(minimal, "Ingress"), host("a.example.com"), another},
		"a host of any namespace":              {made(minimal, "Ingress"), host("a.any.example.com"), ""},
		"a host of the longest key":            {made(minimal, "Ingress"), host("a.mine.any.example.com"), ""},
		"a host of another by its name":        {made(minimal, "Ingress"), host("a.both.example.com"), another},
		"a host beside it":                     {made(minimal, "Ingress"), host("b.both.example.com"), ""},
		"the host above a key":                 {made(minimal, "Ingress"), host("example.com"), another},
		"a host that is given to nobody":       {made(minimal, "Ingress"), host("example.org"), another},
		"a host that ends like a key":          {made(minimal, "Ingress"), host("a.notexample.com"), another},
		"the root of it":                       {made(minimal, "Ingress"), path("/"), ""}, // whether the endpoint asks for it, the other policy knows
		"a path that no endpoint can ask for":  {made(minimal, "Ingress"), path("/a$1"), "spec.rules.0.http"},
		"every host":                           {made(minimal, "Ingress"), host(""), another},
		"a route for a host of this one":       {made(http, "HTTPRoute"), host("wx.example.com"), ""},
		"a route for a host of another":        {made(http, "HTTPRoute"), host("a.example.com"), another},
		"a route for every host below":         {made(http, "HTTPRoute"), host("*.any.example.com"), "spec.hostnames"},
		"a route for every host":               {made(http, "HTTPRoute"), func(o *unstructured.Unstructured) { unstructured.RemoveNestedField(o.Object, "spec", "hostnames") }, another},
		"a class that is allowed":              {made(minimal, "Ingress"), field("edge", "spec", "ingressClassName"), ""},
		"a class that is not":                  {made(minimal, "Ingress"), field("internal", "spec", "ingressClassName"), "spec.ingressClassName"},
		"an annotation that is allowed":        {made(minimal, "Ingress"), field(map[string]any{"example.com/a": "a"}, "metadata", "annotations"), ""},
		"in two lines":                         {made(minimal, "Ingress"), field(map[string]any{"example.com/a": "a\nb"}, "metadata", "annotations"), "metadata.annotations.example.com/a"},
		"a very long one":                      {made(minimal, "Ingress"), field(map[string]any{"example.com/a": strings.Repeat("a", 1025)}, "metadata", "annotations"), "metadata.annotations.example.com/a"},
		"an annotation that is not":            {made(minimal, "Ingress"), field(map[string]any{"example.com/b": "a"}, "metadata", "annotations"), "metadata.annotations.example.com/b"},
		"another registry's port":              {made(minimal, "Deployment"), container("image", "registry.example.com:1/a/sidecar:1"), "containers.0.image"},
		"a repository below":                   {made(minimal, "Deployment"), container("image", "registry.example.com:5000/a/sidecar:1/evil"), "containers.0.image"},
		"another repository beside":            {made(minimal, "Deployment"), container("image", "registry.example.com:5000/a/sidecar2:1"), "containers.0.image"},
		"another tag":                          {made(minimal, "Deployment"), container("image", "registry.example.com:5000/a/sidecar:2"), ""},
		"another pull policy":                  {made(minimal, "Deployment"), container("imagePullPolicy", "Always"), "containers.0.imagePullPolicy"},
		"the labels of all objects":            {made(minimal, "ServiceAccount"), func(*unstructured.Unstructured) {}, ""},
		"without one of them":                  {made(minimal, "ServiceAccount"), without("metadata", "labels", "team"), "metadata.labels.team"},
		"with another value":                   {made(minimal, "ServiceAccount"), field("apps", "metadata", "labels", "team"), "metadata.labels.team"},
		"one that is for pods alone":           {made(minimal, "ServiceAccount"), field("off", "metadata", "labels", "mesh"), "metadata.labels.mesh"},
		"pods without their label":             {made(minimal, "Deployment"), without("spec", "template", "metadata", "labels", "mesh"), "template.metadata.labels.mesh"},
		"pods with one more":                   {made(minimal, "Deployment"), field("platform", "spec", "template", "metadata", "labels", "team"), "template.metadata.labels.team"},
		"pods with another annotation":         {made(minimal, "Deployment"), field("yes", "spec", "template", "metadata", "annotations", "example.com/scrape"), "annotations.example.com/scrape"},
		"pods of another user":                 {made(minimal, "Deployment"), field(int64(1001), "spec", "template", "spec", "securityContext", "runAsUser"), "template.spec.securityContext"},
		"pods of the image's user":             {made(minimal, "Deployment"), without("spec", "template", "spec", "securityContext", "runAsUser"), "template.spec.securityContext"},
		"pods of root":                         {made(minimal, "Deployment"), field(false, "spec", "template", "spec", "securityContext", "runAsNonRoot"), "template.spec.securityContext"},
		"pods of another group":                {made(minimal, "Deployment"), field(int64(1), "spec", "template", "spec", "securityContext", "fsGroup"), "template.spec.securityContext"},
		"the collector of traces":              {made(minimal, "Deployment"), arguments(lane, collector, sample), ""},
		"another collector":                    {made(minimal, "Deployment"), arguments(lane, "--tracing-endpoint=http://collector.thief.svc:4318", sample), "containers.0.args"},
		"another sample":                       {made(minimal, "Deployment"), arguments(lane, collector, "--tracing-sampling-rate-per-million=1000000"), "containers.0.args"},
		"the pods of another endpoint":         {made(minimal, "Deployment"), container("args", []any{"--config-dir=/etc/wechat-sidecar", "--peers=shop-sidecar-peers:8081", lane, collector, sample}), "containers.0.args"},
		"no other pods":                        {made(minimal, "Deployment"), container("args", []any{"--config-dir=/etc/wechat-sidecar", lane, collector, sample}), "containers.0.args"},
		"no collector":                         {made(minimal, "Deployment"), arguments(lane), "containers.0.args"},
		"one argument more":                    {made(minimal, "Deployment"), arguments(lane, collector, sample, "--ops-listen=:8080"), "containers.0.args"},
		"another lane":                         {made(minimal, "Deployment"), arguments(collector, sample), "containers.0.args"},
		"the readers of metrics":               {made(minimal, "NetworkPolicy"), func(*unstructured.Unstructured) {}, ""},
		"one more":                             {made(minimal, "NetworkPolicy"), reader(map[string]any{"namespaceSelector": map[string]any{"matchLabels": map[string]any{"a": "c"}}}), "spec.ingress"},
		"everybody":                            {made(minimal, "NetworkPolicy"), reader(map[string]any{"namespaceSelector": map[string]any{}}), "spec.ingress"},
		"egress, which nobody confines":        {made(minimal, "NetworkPolicy"), field([]any{map[string]any{}}, "spec", "egress"), "spec.egress"},
		"and a policy without pods to be read": {made(minimal, "NetworkPolicy"), field(map[string]any{}, "spec", "podSelector"), "spec.podSelector"},
	} {
		t.Run(name, func(t *testing.T) {
			test.edit(test.object)
			wantRefusal(t, operator.Create(t.Context(), test.object, client.DryRunAll), test.message)
		})
	}
}
