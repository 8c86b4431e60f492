// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/probe"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

var (
	trials    = flag.Int("trials", 1, "how many trials are drawn at random")
	firstSeed = flag.Int("first-trial", 0, "the seed of the first of them")
)

// stepsOfATrial is how often something is done to an endpoint, by one person or by two at once.
const stepsOfATrial = 25

// foundSeeds are trials in which a rule was broken once.
var foundSeeds = []uint64{11, 20, 45}

// TestWhatServesGoesOn does to an endpoint that serves what people do to theirs: they mistype, delete, empty, orphan and take its objects, change
// its credentials and pods, pause it and mend it again. After every step two rules hold. What WeChat could use before is still accepted, unless
// somebody took it away. And no condition is true whose sentence is not true of what lives.
func TestWhatServesGoesOn(t *testing.T) {
	seeds := slices.Clone(foundSeeds)
	for i := range *trials {
		seeds = append(seeds, uint64(*firstSeed+i))
	}
	tryTrials(t, newWorld(t), seeds)
}

func tryTrials(t *testing.T, w *world, seeds []uint64) {
	t.Helper()
	steps, excused := 0, 0
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			tr := newTrial(t, w, seed)
			tr.run(t)
			steps, excused = steps+len(tr.steps), excused+tr.excusedSteps
		})
	}
	fmt.Printf("trials: %d steps in %d trials; after %d of them somebody had taken away what WeChat needs\n", steps, len(seeds), excused)
}

// trial is an endpoint that people work on.
type trial struct {
	*play
	random *rand.Rand
	// console is what WeChat was told: the URL and the token.
	console struct{ host, path, token string }
	tokens  int // how many there were
	// excused says why WeChat may find nothing: somebody has taken it away, or asked the operator to keep its hands off.
	excused map[string]bool
	steps   []string
	// excusedSteps is how many of them ended with an excuse.
	excusedSteps int
	err          error // of the last reconcile
	did          map[string]bool
	pods         string // the uid of the Deployment whose pod there is
	longAgo      metav1.Time
}

func newTrial(t *testing.T, w *world, seed uint64) *trial {
	t.Helper()
	tr := &trial{play: w.newPlay(t), random: rand.New(rand.NewPCG(seed, seed)), excused: map[string]bool{}}
	tr.longAgo = metav1.NewTime(time.Now().Add(-time.Hour).Truncate(time.Second))
	tr.prober = tr
	tr.options.Hosts = controllers.Hosts{tr.namespace + ".example.com": {tr.namespace}}
	tr.create(t, gateway(tr.namespace, "edge"))
	tr.ask(t, anything)
	tr.settleTrial(t, false)
	tr.console.host, tr.console.path, tr.console.token = tr.namespace+".example.com", "/weixin", "a-fine-token"
	if why := tr.notAccepted(t); why != "" {
		t.Fatalf("before the first step: %s", why)
	}
	return tr
}

func (tr *trial) run(t *testing.T) {
	t.Helper()
	for len(tr.steps) < stepsOfATrial && !t.Failed() {
		gentle := true
		var names []string
		for range 1 + tr.random.IntN(2) {
			one := acts[tr.random.IntN(len(acts))]
			if one.do(t, tr) {
				gentle = gentle && one.gentle
				names = append(names, one.name)
			}
		}
		if len(names) == 0 {
			continue
		}
		tr.steps = append(tr.steps, strings.Join(names, " + "))
		gentle = tr.excuse(t) && gentle
		tr.settleTrial(t, gentle)
		tr.holds(t, "in the end")
		if len(tr.excused) > 0 {
			tr.excusedSteps++
		}
	}
}

// excuse notes what nobody can put back: what was taken away while the operator is to keep its hands off, and a route that nobody asks for any
// more, which a policy would refuse. It reports whether no excuse has ended: what is put back then takes a moment.
func (tr *trial) excuse(t *testing.T) bool {
	t.Helper()
	before := len(tr.excused)
	spec := tr.endpoint(t).Spec
	if why := tr.notAccepted(t); why != "" && spec.Paused {
		tr.excused["paused"] = true
	} else if !spec.Paused {
		delete(tr.excused, "paused")
	}
	well := spec.URL.Host == tr.console.host && spec.URL.Path == tr.console.path &&
		(spec.URL.Ingress == nil || spec.URL.Ingress.ClassName == "any" && spec.URL.Ingress.TLSSecretName == "" && spec.URL.Ingress.Annotations == nil) &&
		(spec.URL.HTTPRoute == nil || spec.URL.HTTPRoute.ParentRefs[0].Name == "edge" && spec.URL.HTTPRoute.ParentRefs[0].SectionName == "web")
	if well && spec.Backend.Service.Name == "app" {
		delete(tr.excused, "nobody asks for the route")
	} else if !tr.isRouted(t, tr.console.host, tr.console.path) {
		tr.excused["nobody asks for the route"] = true
	}
	if !tr.isKept(t) && tr.console.token != tr.token() {
		tr.excused["what is accepted stands nowhere"] = true // deleted while the operator was to keep its hands off
	}
	return len(tr.excused) >= before
}

// isKept reports whether what is accepted stands in the document or in its copy.
func (tr *trial) isKept(t *testing.T) bool {
	t.Helper()
	for _, name := range []string{"shop-sidecar", "shop-sidecar-copy"} {
		if tr.client.Get(t.Context(), client.ObjectKey{Namespace: tr.namespace, Name: name}, &corev1.Secret{}) == nil {
			return true
		}
	}
	return false
}

// settleTrial lets operators and the cluster work until nothing changes any more, or for a while.
func (tr *trial) settleTrial(t *testing.T, gentle bool) {
	t.Helper()
	before := ""
	for range 6 {
		tr.err = tr.reconcile(t) // what is refused is told
		if gentle {
			tr.holds(t, "on the way")
		}
		tr.workOn(t)
		if gentle {
			tr.holds(t, "on the way")
		}
		after := tr.versions(t)
		if after == before {
			return
		}
		before = after
	}
}

// versions differ where something has changed.
func (tr *trial) versions(t *testing.T) string {
	t.Helper()
	versions := []string{tr.loaded, fmt.Sprint(tr.err)}
	for _, object := range append(tr.objects(t), tr.podsThere(t)...) {
		versions = append(versions, string(object.GetUID()), object.GetResourceVersion())
	}
	return strings.Join(versions, " ")
}

func (tr *trial) podsThere(t *testing.T) []client.Object {
	t.Helper()
	var pods corev1.PodList
	if err := tr.client.List(t.Context(), &pods, client.InNamespace(tr.namespace)); err != nil {
		t.Fatal(err)
	}
	var objects []client.Object
	for i := range pods.Items {
		objects = append(objects, &pods.Items[i])
	}
	return objects
}

// holds tries both rules.
func (tr *trial) holds(t *testing.T, when string) {
	t.Helper()
	if t.Failed() {
		return
	}
	problems := tr.untrue(t)
	if why := tr.notAccepted(t); why != "" && len(tr.excused) == 0 {
		problems = append(problems, "a message is not accepted: "+why)
	}
	if len(problems) > 0 {
		t.Errorf("%s, after %d steps: %s\nsteps:\n  %s\nexcused %v; the last error is %v\nstatus: %+v", when, len(tr.steps), strings.Join(problems, "; "), strings.Join(tr.steps, "\n  "),
			slices.Collect(maps.Keys(tr.excused)), tr.err, tr.endpoint(t).Status)
	}
}

// notAccepted says why a message would not be accepted that WeChat sends as the console tells it; "" if it would.
func (tr *trial) notAccepted(t *testing.T) string {
	t.Helper()
	return tr.refuses(t, tr.console.host, tr.console.path, tr.console.token)
}

func (tr *trial) refuses(t *testing.T, host, path, token string) string {
	t.Helper()
	if !tr.isRouted(t, host, path) {
		return fmt.Sprintf("no route leads from %s%s", host, path)
	}
	var service corev1.Service
	if !tr.has(t, &service) || len(service.Spec.Ports) == 0 || service.Spec.Selector["app.kubernetes.io/instance"] != "shop" {
		return "the Service leads to no pod"
	}
	var deployment appsv1.Deployment
	if !tr.has(t, &deployment) || string(deployment.UID) != tr.pods || *deployment.Spec.Replicas == 0 {
		return "there is no pod"
	}
	return tr.answers(host, path, token)
}

// answers says why the pod would refuse a message.
func (tr *trial) answers(host, path, token string) string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	holds := func(pair config.Pair) bool { return pair.Token == token && pair.Accepted(time.Now()) }
	switch document := tr.document; {
	case document.Path != path || document.Host != "" && document.Host != host:
		return fmt.Sprintf("the pod answers at %s%s, not at %s%s", document.Host, document.Path, host, path)
	case !slices.ContainsFunc(document.Credentials.Pairs, holds):
		return "the pod does not accept " + token
	}
	return ""
}

// isRouted plays the ingress controller, of the class "any", and the Gateway "edge". There are no certificates.
func (tr *trial) isRouted(t *testing.T, host, path string) bool {
	t.Helper()
	var ingress networkingv1.Ingress
	if tr.has(t, &ingress) && ingress.Spec.IngressClassName != nil && *ingress.Spec.IngressClassName == "any" && len(ingress.Spec.TLS) == 0 {
		for _, rule := range ingress.Spec.Rules {
			if rule.Host == host && rule.HTTP != nil && slices.ContainsFunc(rule.HTTP.Paths, func(p networkingv1.HTTPIngressPath) bool {
				return p.Path == path && p.Backend.Service != nil && p.Backend.Service.Name == "shop-sidecar"
			}) {
				return true
			}
		}
	}
	var route gatewayv1.HTTPRoute
	if !tr.has(t, &route) || !tr.attaches(&route) || len(route.Spec.Hostnames) != 1 || string(route.Spec.Hostnames[0]) != host {
		return false
	}
	return slices.ContainsFunc(route.Spec.Rules, func(rule gatewayv1.HTTPRouteRule) bool {
		return slices.ContainsFunc(rule.Matches, func(match gatewayv1.HTTPRouteMatch) bool { return *match.Path.Value == path })
	})
}

func (tr *trial) attaches(route *gatewayv1.HTTPRoute) bool {
	return len(route.Spec.ParentRefs) > 0 && !slices.ContainsFunc(route.Spec.ParentRefs, func(parent gatewayv1.ParentReference) bool {
		return parent.Name != "edge" || parent.SectionName != nil && *parent.SectionName != "web"
	})
}

// has reads the child of that kind, and reports whether it is there.
func (tr *trial) has(t *testing.T, into client.Object) bool {
	t.Helper()
	return tr.client.Get(t.Context(), client.ObjectKey{Namespace: tr.namespace, Name: "shop-sidecar"}, into) == nil
}

// workOn plays the cluster: the garbage collector, the controllers of Deployments and Gateways, and the kubelet.
func (tr *trial) workOn(t *testing.T) {
	t.Helper()
	var deployment appsv1.Deployment
	if there := tr.has(t, &deployment); !there || string(deployment.UID) != tr.pods {
		if err := tr.client.DeleteAllOf(t.Context(), &corev1.Pod{}, client.InNamespace(tr.namespace)); err != nil {
			t.Fatal(err)
		}
		tr.mu.Lock()
		tr.loaded, tr.document, tr.pods = "", config.Document{}, ""
		tr.mu.Unlock()
		if there && len(deployment.Spec.Template.Spec.Containers) > 0 && deployment.Spec.Template.Spec.ServiceAccountName == "shop-sidecar" {
			tr.pods = string(deployment.UID)
		}
	}
	if tr.pods != "" {
		tr.runPods(t)
	}
	route := httpRoute(tr.namespace)
	if !tr.has(t, route) || len(route.Spec.ParentRefs) == 0 {
		return
	}
	said := metav1.ConditionFalse
	if tr.attaches(route) {
		said = metav1.ConditionTrue
	}
	var parents []gatewayv1.RouteParentStatus
	for _, reference := range route.Spec.ParentRefs {
		parent := gatewayv1.RouteParentStatus{ParentRef: reference, ControllerName: "example.com/gateway"}
		for _, conditionType := range []gatewayv1.RouteConditionType{gatewayv1.RouteConditionAccepted, gatewayv1.RouteConditionResolvedRefs} {
			parent.Conditions = append(parent.Conditions, metav1.Condition{
				Type: string(conditionType), Status: said, Reason: "Played", ObservedGeneration: route.Generation, LastTransitionTime: tr.longAgo,
			})
		}
		parents = append(parents, parent)
	}
	if !equality.Semantic.DeepEqual(route.Status.Parents, parents) {
		route.Status.Parents = parents
		tr.updateStatus(t, route)
	}
}

// runPods lets the pods be what the Deployment asks for, and the kubelet give them their files.
func (tr *trial) runPods(t *testing.T) {
	t.Helper()
	tr.scene.run(t)
	var deployment appsv1.Deployment
	tr.has(t, &deployment)
	size := *deployment.Spec.Replicas
	status := appsv1.DeploymentStatus{ObservedGeneration: deployment.Generation, Replicas: size, UpdatedReplicas: size, ReadyReplicas: size, AvailableReplicas: size}
	if !equality.Semantic.DeepEqual(deployment.Status, status) {
		deployment.Status = status
		tr.updateStatus(t, &deployment)
	}
	tr.load(t)
}

// Ask implements controllers.Prober: a pod says what it serves, and that WeChat uses the token of the console.
func (tr *trial) Ask(ctx context.Context, addresses []string) []probe.Result {
	results := tr.scene.Ask(ctx, addresses)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for i := range results {
		results[i].Status.Used = map[int64]config.Use{}
		for _, pair := range tr.document.Credentials.Pairs {
			if pair.Token == tr.console.token {
				results[i].Status.Used[pair.Generation] = config.Use{First: time.Now().Add(-time.Minute), Last: time.Now()}
			}
		}
	}
	return results
}

// Play implements controllers.Prober.
func (tr *trial) Play(_ context.Context, addresses []string, _ int, subject probe.Subject) []error {
	results := make([]error, len(addresses))
	for i := range results {
		if why := tr.answers(subject.Host, subject.Path, subject.Pair.Token); why != "" {
			results[i] = errors.New(why)
		}
	}
	return results
}

// untrue are the conditions that say of the newest spec what is not so.
func (tr *trial) untrue(t *testing.T) []string {
	t.Helper()
	endpoint := tr.endpoint(t)
	var problems []string
	says := func(name string) bool {
		condition := apimeta.FindStatusCondition(endpoint.Status.Conditions, name)
		return condition != nil && condition.Status == metav1.ConditionTrue && condition.ObservedGeneration == endpoint.Generation
	}
	wrong := func(name, format string, arguments ...any) {
		problems = append(problems, name+" is True, and "+fmt.Sprintf(format, arguments...))
	}
	spec := endpoint.Spec
	_, address, _ := strings.Cut(endpoint.Status.URL, "://")
	host, path, _ := strings.Cut(address, "/")
	path = "/" + path
	var deployment appsv1.Deployment
	there := tr.has(t, &deployment)
	if says(v1alpha1.ConditionSidecarAvailable) {
		switch {
		case !there || string(deployment.UID) != tr.pods:
			wrong(v1alpha1.ConditionSidecarAvailable, "there is no pod")
		case spec.Sidecar.Autoscaling == nil && *deployment.Spec.Replicas != *spec.Sidecar.Replicas:
			wrong(v1alpha1.ConditionSidecarAvailable, "there are %d pods", *deployment.Spec.Replicas)
		case tr.loaded != tr.given(t):
			wrong(v1alpha1.ConditionSidecarAvailable, "the pod serves %q, not %q", tr.loaded, tr.given(t))
		}
	}
	if says(v1alpha1.ConditionRouteProgrammed) && !tr.isRouted(t, spec.URL.Host, spec.URL.Path) {
		wrong(v1alpha1.ConditionRouteProgrammed, "no route leads from %s%s", spec.URL.Host, spec.URL.Path)
	}
	var secret corev1.Secret
	secretThere := tr.client.Get(t.Context(), client.ObjectKey{Namespace: tr.namespace, Name: spec.Credentials.SecretName}, &secret) == nil
	if says(v1alpha1.ConditionCredentialsResolved) && (!secretThere || len(secret.Data["token"]) == 0) {
		wrong(v1alpha1.ConditionCredentialsResolved, "the Secret holds none")
	}
	if says(v1alpha1.ConditionBackendResolved) && spec.Backend.Service.Name != "app" {
		wrong(v1alpha1.ConditionBackendResolved, "there is no Service %s", spec.Backend.Service.Name)
	}
	if says(v1alpha1.ConditionSidecarCurrent) && there && len(deployment.Spec.Template.Spec.Containers) > 0 {
		want := tr.options.SidecarImage
		if version := spec.Sidecar.ImageVersion; version != "" {
			want = "example.com/sidecar:" + version
		}
		if image := deployment.Spec.Template.Spec.Containers[0].Image; image != want {
			wrong(v1alpha1.ConditionSidecarCurrent, "the image is %s, not %s", image, want)
		}
	}
	if says(v1alpha1.ConditionReady) {
		for _, name := range []string{v1alpha1.ConditionAccepted, v1alpha1.ConditionCredentialsResolved, v1alpha1.ConditionBackendResolved, v1alpha1.ConditionSidecarAvailable, v1alpha1.ConditionRouteProgrammed, v1alpha1.ConditionVerified} {
			if !says(name) {
				wrong(v1alpha1.ConditionReady, "%s is not", name)
			}
		}
		if host != spec.URL.Host || path != spec.URL.Path {
			wrong(v1alpha1.ConditionReady, "status.url is %s", endpoint.Status.URL)
		}
		if why := tr.refuses(t, host, path, string(secret.Data["token"])); why != "" {
			wrong(v1alpha1.ConditionReady, "%s", why)
		}
		if asked := spec.Sidecar.Resources; asked != nil && there && !deployment.Spec.Template.Spec.Containers[0].Resources.Limits.Memory().Equal(*asked.Limits.Memory()) {
			wrong(v1alpha1.ConditionReady, "the pods do not have the memory that is asked for")
		}
		if there && (spec.Sidecar.Autoscaling != nil) != tr.has(t, &autoscalingv2.HorizontalPodAutoscaler{}) {
			wrong(v1alpha1.ConditionReady, "the autoscaler is not as it is asked for")
		}
	}
	return problems
}

// given is the generation of the document that the pods are to serve; "" where there is none.
func (tr *trial) given(t *testing.T) string {
	t.Helper()
	var secret corev1.Secret
	tr.has(t, &secret)
	document, _ := config.Parse(secret.Data[config.File])
	return document.Generation
}
