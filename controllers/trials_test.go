// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"bytes"
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
	policyv1 "k8s.io/api/policy/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/google/go-cmp/cmp"

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
var foundSeeds = []uint64{34, 42, 45}

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

// TestANewGatewayKeyLosesNoHistory follows the procedure of docs/threat-model.md while WeChat uses one token and the Secret holds the next.
func TestANewGatewayKeyLosesNoHistory(t *testing.T) {
	for name, rotating := range map[string]bool{"during a rotation": true, "without one": false} {
		t.Run(name, func(t *testing.T) {
			p := newWorld(t).newPlay(t)
			p.serve(t, anything)
			if rotating {
				p.changeToken(t)
				for range 3 {
					p.round(t)
				}
			}
			_, before := p.files(t)
			p.change(t, func(e *v1alpha1.WeChatEndpoint) { e.Spec.Paused = true })
			p.round(t)
			for _, secret := range []string{"shop-gateway-key", "shop-sidecar"} {
				if err := p.client.Delete(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: secret}}); err != nil {
					t.Fatal(err)
				}
			}
			p.round(t)
			for _, condition := range p.endpoint(t).Status.Conditions {
				if strings.Contains(condition.Message, "nothing runs yet") || condition.Type == v1alpha1.ConditionReady && condition.Status == metav1.ConditionTrue {
					t.Errorf("while the pods go on, and none could start, %s is %s: %s", condition.Type, condition.Status, condition.Message)
				}
			}
			p.change(t, func(e *v1alpha1.WeChatEndpoint) { e.Spec.Paused = false })
			for range 3 {
				p.round(t)
			}
			_, after := p.files(t)
			if diff := cmp.Diff(before.Pairs, after.Pairs); diff != "" {
				t.Errorf("what is accepted changed (-before +after):\n%s", diff)
			}
			if bytes.Equal(before.GatewayKey, after.GatewayKey) {
				t.Error("the gateway key is the old one")
			}
			p.wantCondition(t, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
		})
	}
}

// TestALostHistoryIsTold deletes all that knows what is accepted beside the user's Secret, while WeChat uses an earlier token.
func TestALostHistoryIsTold(t *testing.T) {
	p := newWorld(t).newPlay(t)
	p.serve(t, anything)
	p.changeToken(t)
	for range 3 {
		p.round(t)
	}
	for _, secret := range []string{"shop-sidecar", "shop-sidecar-copy"} {
		p.deleteChild(t, &corev1.Secret{}, secret)
	}
	p.settleAs(t, v1alpha1.ConditionCredentialsResolved, v1alpha1.ReasonCredentialsLost)
	if lost := p.endpoint(t).Status.Credentials.Lost; !slices.Equal(lost, []int64{1}) {
		t.Errorf("lost are the generations %v", lost)
	}
	p.use() // the console was saved
	p.used = map[int64]config.Use{p.endpoint(t).Status.Credentials.Generation: p.used[2]}
	for range 3 {
		p.round(t)
	}
	p.wantCondition(t, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
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
}

func newTrial(t *testing.T, w *world, seed uint64) *trial {
	t.Helper()
	tr := &trial{play: w.newPlay(t), random: rand.New(rand.NewPCG(seed, seed)), excused: map[string]bool{}}
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

// act is what somebody does. Gentle acts take nothing away that serves: not even for a moment may WeChat find nothing.
type act struct {
	name   string
	gentle bool
	do     func(*testing.T, *trial) bool // reports whether there was something to do
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
	} else if why := tr.notAccepted(t); !tr.isRouted(t, tr.console.host, tr.console.path) || strings.Contains(why, "certificate") {
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

// settleTrial lets operators and the cluster work for a while.
func (tr *trial) settleTrial(t *testing.T, gentle bool) {
	t.Helper()
	for range 6 {
		tr.err = tr.reconcile(t) // what is refused is told
		if gentle {
			tr.holds(t, "on the way")
		}
		tr.workOn(t)
		if gentle {
			tr.holds(t, "on the way")
		}
	}
}

// holds tries both rules.
func (tr *trial) holds(t *testing.T, when string) {
	t.Helper()
	if t.Failed() {
		return
	}
	problems := tr.untrue(t)
	if why := tr.notAccepted(t); why != "" && len(tr.excused) == 0 && tr.console.host != "" {
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
	var ingress networkingv1.Ingress
	if tr.has(t, &ingress) && len(ingress.Spec.TLS) > 0 && len(tr.excused) == 0 {
		return "the certificate does not exist"
	}
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

// isRouted plays the ingress controller, of the class "any", and the Gateway "edge".
func (tr *trial) isRouted(t *testing.T, host, path string) bool {
	t.Helper()
	var ingress networkingv1.Ingress
	if tr.has(t, &ingress) && ingress.Spec.IngressClassName != nil && *ingress.Spec.IngressClassName == "any" {
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
				Type: string(conditionType), Status: said, Reason: "Played", ObservedGeneration: route.Generation, LastTransitionTime: metav1.NewTime(time.Now().Add(-time.Hour)),
			})
		}
		parents = append(parents, parent)
	}
	route.Status.Parents = parents
	tr.updateStatus(t, route)
}

// runPods lets the pods be what the Deployment asks for, and the kubelet give them their files.
func (tr *trial) runPods(t *testing.T) {
	t.Helper()
	tr.scene.run(t)
	var deployment appsv1.Deployment
	tr.has(t, &deployment)
	size := *deployment.Spec.Replicas
	deployment.Status = appsv1.DeploymentStatus{ObservedGeneration: deployment.Generation, Replicas: size, UpdatedReplicas: size, ReadyReplicas: size, AvailableReplicas: size}
	tr.updateStatus(t, &deployment)
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
		case tr.answers(host, path, tr.console.token) != "" && len(tr.excused) == 0:
			wrong(v1alpha1.ConditionSidecarAvailable, "%s", tr.answers(host, path, tr.console.token))
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
	if says(v1alpha1.ConditionSidecarCurrent) && there && len(deployment.Spec.Template.Spec.Containers) > 0 && len(tr.excused) == 0 {
		image := deployment.Spec.Template.Spec.Containers[0].Image
		if want := "example.com/sidecar:" + max(spec.Sidecar.ImageVersion, strings.TrimPrefix(tr.options.SidecarImage, "example.com/sidecar:")); spec.Sidecar.ImageVersion == "" && image != want {
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

// acts are what people do.
var acts = []act{
	spoil("a class that does not exist", func(s *v1alpha1.WeChatEndpointSpec) bool {
		if s.URL.Ingress == nil {
			return false
		}
		s.URL.Ingress.ClassName = "missing"
		return true
	}),
	spoil("a certificate that does not exist", func(s *v1alpha1.WeChatEndpointSpec) bool {
		if s.URL.Ingress == nil {
			return false
		}
		s.URL.Ingress.TLSSecretName = "missing"
		return true
	}),
	spoil("an annotation that is not allowed", func(s *v1alpha1.WeChatEndpointSpec) bool {
		if s.URL.Ingress == nil {
			return false
		}
		s.URL.Ingress.Annotations = map[string]v1alpha1.AnnotationValue{"not.allowed/here": "a"}
		return true
	}),
	spoil("a Gateway that does not exist", func(s *v1alpha1.WeChatEndpointSpec) bool {
		s.URL.Exposure, s.URL.Ingress = v1alpha1.ExposureHTTPRoute, nil
		s.URL.HTTPRoute = &v1alpha1.HTTPRouteExposure{ParentRefs: []v1alpha1.ParentReference{{Name: "missing"}}}
		return true
	}),
	spoil("a listener that does not exist", func(s *v1alpha1.WeChatEndpointSpec) bool {
		s.URL.Exposure, s.URL.Ingress = v1alpha1.ExposureHTTPRoute, nil
		s.URL.HTTPRoute = &v1alpha1.HTTPRouteExposure{ParentRefs: []v1alpha1.ParentReference{{Name: "edge", SectionName: "missing"}}}
		return true
	}),
	spoil("the host of another team", func(s *v1alpha1.WeChatEndpointSpec) bool { s.URL.Host = "other.example.com"; return true }),
	spoil("an app that does not exist", func(s *v1alpha1.WeChatEndpointSpec) bool { s.Backend.Service.Name = "missing"; return true }),
	spoil("a Secret that does not exist", func(s *v1alpha1.WeChatEndpointSpec) bool { s.Credentials.SecretName = "missing"; return true }),
	spoil("another path, and a class that does not exist", func(s *v1alpha1.WeChatEndpointSpec) bool {
		if s.URL.Ingress == nil {
			return false
		}
		s.URL.Path, s.URL.Ingress.ClassName = "/mistyped", "missing"
		return true
	}),
	{"mend the spec", true, func(t *testing.T, tr *trial) bool { tr.mend(t, v1alpha1.ExposureIngress); return true }},
	{"mend the spec", true, func(t *testing.T, tr *trial) bool { tr.mend(t, v1alpha1.ExposureIngress); return true }},
	{"mend the spec, and publish by the Gateway", true, func(t *testing.T, tr *trial) bool { tr.mend(t, v1alpha1.ExposureHTTPRoute); return true }},
	spoil("more memory", func(s *v1alpha1.WeChatEndpointSpec) bool {
		limit := resource.MustParse("64Mi")
		if s.Sidecar.Resources != nil {
			limit.Add(*s.Sidecar.Resources.Limits.Memory())
		}
		s.Sidecar.Resources = &corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("50m"), corev1.ResourceMemory: resource.MustParse("32Mi")},
			Limits:   corev1.ResourceList{corev1.ResourceMemory: limit},
		}
		return limit.Cmp(resource.MustParse("1Gi")) < 0
	}),
	spoil("another number of pods", func(s *v1alpha1.WeChatEndpointSpec) bool {
		if s.Sidecar.Autoscaling != nil {
			return false
		}
		s.Sidecar.Replicas = new(*s.Sidecar.Replicas%3 + 1)
		return true
	}),
	spoil("autoscaling", func(s *v1alpha1.WeChatEndpointSpec) bool {
		s.Sidecar.Autoscaling = &v1alpha1.Autoscaling{MinReplicas: new(int32(1)), MaxReplicas: 4}
		return true
	}),
	spoil("no autoscaling", func(s *v1alpha1.WeChatEndpointSpec) bool {
		there := s.Sidecar.Autoscaling != nil
		s.Sidecar.Autoscaling = nil
		return there
	}),
	spoil("an image of its own", func(s *v1alpha1.WeChatEndpointSpec) bool { s.Sidecar.ImageVersion = "7"; return true }),
	spoil("the installation's image again", func(s *v1alpha1.WeChatEndpointSpec) bool {
		there := s.Sidecar.ImageVersion != ""
		s.Sidecar.ImageVersion = ""
		return there
	}),
	spoil("pause", func(s *v1alpha1.WeChatEndpointSpec) bool { s.Paused = true; return true }),
	{"unpause", true, func(t *testing.T, tr *trial) bool {
		there := tr.endpoint(t).Spec.Paused
		tr.change(t, func(e *v1alpha1.WeChatEndpoint) { e.Spec.Paused = false })
		return there
	}},
	{"unpause", true, func(t *testing.T, tr *trial) bool {
		tr.change(t, func(e *v1alpha1.WeChatEndpoint) { e.Spec.Paused = false })
		return true
	}},
	{"the installation gets another image", true, func(_ *testing.T, tr *trial) bool {
		tr.options.SidecarImage = fmt.Sprintf("example.com/sidecar:%d", 1+tr.random.IntN(3))
		return true
	}},
	{"another token", true, func(t *testing.T, tr *trial) bool { return tr.newToken(t) }},
	{"press Save", true, func(t *testing.T, tr *trial) bool { return tr.save(t) }},
	{"delete the user's Secret", true, func(t *testing.T, tr *trial) bool {
		return tr.once("of the credentials") && tr.client.Delete(t.Context(), tokenSecret(tr.namespace, "")) == nil
	}},
	{"restore the user's Secret", true, func(t *testing.T, tr *trial) bool {
		return tr.client.Create(t.Context(), tokenSecret(tr.namespace, tr.token())) == nil
	}},
	onChild("delete", func(t *testing.T, tr *trial, child client.Object) bool {
		return tr.client.Delete(t.Context(), child) == nil
	}),
	onChild("delete", func(t *testing.T, tr *trial, child client.Object) bool {
		return tr.client.Delete(t.Context(), child) == nil
	}),
	onChild("empty", func(t *testing.T, tr *trial, child client.Object) bool {
		switch o := child.(type) {
		case *corev1.Secret:
			o.Data = nil
		case *corev1.Service:
			o.Spec.Ports, o.Spec.Selector = nil, nil
		case *networkingv1.Ingress:
			o.Spec.Rules = nil
		case *gatewayv1.HTTPRoute:
			o.Spec.Rules, o.Spec.Hostnames = nil, nil
		case *appsv1.Deployment:
			o.Spec.Replicas = new(int32)
		default:
			return false
		}
		tr.update(t, child)
		return true
	}),
	{"orphan all", true, func(t *testing.T, tr *trial) bool {
		for _, child := range tr.allChildren(t) {
			child.SetOwnerReferences(nil)
			tr.update(t, child)
		}
		return true
	}},
	{"orphan one", true, func(t *testing.T, tr *trial) bool {
		all := tr.allChildren(t)
		child := all[tr.random.IntN(len(all))]
		child.SetOwnerReferences(nil)
		tr.update(t, child)
		return true
	}},
	{"delete one that a finalizer keeps", true, func(t *testing.T, tr *trial) bool {
		all := tr.allChildren(t)
		child := all[tr.random.IntN(len(all))]
		if !child.GetDeletionTimestamp().IsZero() || !tr.takesAway(child) {
			return false
		}
		child.SetFinalizers([]string{"example.com/stay"})
		tr.update(t, child)
		return tr.client.Delete(t.Context(), child) == nil
	}},
	{"take the finalizers away", false, func(t *testing.T, tr *trial) bool {
		did := false
		for _, child := range tr.allChildren(t) {
			if len(child.GetFinalizers()) > 0 {
				child.SetFinalizers(nil)
				tr.update(t, child)
				did = true
			}
		}
		return did
	}},
	{"take a name", false, func(t *testing.T, tr *trial) bool {
		all := tr.allChildren(t)
		child := all[tr.random.IntN(len(all))]
		if _, isSecret := child.(*corev1.Secret); isSecret && child.GetName() != "shop-gateway-key" {
			return false // whoever puts another Secret there has deleted what stands nowhere else
		}
		if len(child.GetFinalizers()) > 0 || tr.client.Delete(t.Context(), child) != nil {
			return false
		}
		foreign := child.DeepCopyObject().(client.Object)
		foreign.SetLabels(map[string]string{"theirs": "yes"})
		foreign.SetOwnerReferences(nil)
		foreign.SetManagedFields(nil)
		foreign.SetResourceVersion("")
		foreign.SetUID("")
		tr.create(t, foreign)
		tr.excused["a name is taken"] = true
		return true
	}},
	{"give the names back", false, giveBack},
	{"give the names back", false, giveBack},
	{"give the names back", false, giveBack},
}

func giveBack(t *testing.T, tr *trial) bool {
	did := false
	for _, child := range tr.allOfTheName(t) {
		if child.GetLabels()["theirs"] != "" {
			did = tr.client.Delete(t.Context(), child) == nil || did
		}
	}
	delete(tr.excused, "a name is taken")
	return did
}

// spoil changes the spec.
func spoil(name string, edit func(*v1alpha1.WeChatEndpointSpec) bool) act {
	return act{name, true, func(t *testing.T, tr *trial) bool {
		did := false
		tr.change(t, func(e *v1alpha1.WeChatEndpoint) { did = edit(&e.Spec) })
		return did
	}}
}

// onChild does something to one of the children that may take it away for a moment.
func onChild(verb string, do func(*testing.T, *trial, client.Object) bool) act {
	return act{verb + " one", false, func(t *testing.T, tr *trial) bool {
		all := tr.allChildren(t)
		child := all[tr.random.IntN(len(all))]
		if len(child.GetFinalizers()) > 0 || !tr.takesAway(child) || !do(t, tr, child) {
			return false
		}
		return true
	}}
}

// takesAway reports whether the child may be taken away now. What the pods are given stands in the document, its copy and the user's Secret:
// nobody loses two of them at once.
func (tr *trial) takesAway(child client.Object) bool {
	_, isSecret := child.(*corev1.Secret)
	return !isSecret || child.GetName() == "shop-gateway-key" || tr.once("of the credentials")
}

// once reports whether this is the first of its kind since the operator looked.
func (tr *trial) once(what string) bool {
	key := fmt.Sprint(len(tr.steps), what)
	if tr.did == nil {
		tr.did = map[string]bool{}
	}
	before := tr.did[key]
	tr.did[key] = true
	return !before
}

func (tr *trial) token() string {
	if tr.tokens == 0 {
		return "a-fine-token"
	}
	return fmt.Sprintf("token-%d", tr.tokens)
}

// newToken writes another token into the user's Secret, if WeChat uses the last one: preparing twice is another story.
func (tr *trial) newToken(t *testing.T) bool {
	t.Helper()
	if tr.console.token != tr.token() || !tr.once("of the credentials") {
		return false
	}
	next := tr.tokens + 1
	if tr.client.Update(t.Context(), tokenSecret(tr.namespace, fmt.Sprintf("token-%d", next))) != nil {
		return false
	}
	tr.tokens = next
	return true
}

// save enters the newest token in the console, once the status asks for that.
func (tr *trial) save(t *testing.T) bool {
	t.Helper()
	endpoint := tr.endpoint(t)
	condition := apimeta.FindStatusCondition(endpoint.Status.Conditions, v1alpha1.ConditionCredentialsResolved)
	if condition == nil || condition.Reason != v1alpha1.ReasonRotationPending || condition.ObservedGeneration != endpoint.Generation {
		return false
	}
	tr.console.token = tr.token()
	return true
}

// mend asks for what is right again.
func (tr *trial) mend(t *testing.T, exposure v1alpha1.Exposure) {
	t.Helper()
	tr.change(t, func(e *v1alpha1.WeChatEndpoint) {
		e.Spec.URL = v1alpha1.CallbackURL{Host: tr.namespace + ".example.com", Path: "/weixin", Exposure: exposure}
		if exposure == v1alpha1.ExposureHTTPRoute {
			withHTTPRoute(e, v1alpha1.ParentReference{Name: "edge", SectionName: "web"})
		} else {
			e.Spec.URL.Ingress = &v1alpha1.IngressExposure{ClassName: "any"}
		}
		e.Spec.Backend.Service.Name, e.Spec.Credentials.SecretName = "app", "shop-wechat"
	})
}

// allOfTheName are the objects that have the names of children.
func (tr *trial) allOfTheName(t *testing.T) []client.Object {
	t.Helper()
	var all []client.Object
	for _, object := range []client.Object{
		&corev1.ServiceAccount{}, &corev1.Secret{}, &appsv1.Deployment{}, &policyv1.PodDisruptionBudget{}, &corev1.Service{}, &networkingv1.NetworkPolicy{},
		&autoscalingv2.HorizontalPodAutoscaler{}, &networkingv1.Ingress{}, &gatewayv1.HTTPRoute{},
	} {
		if tr.has(t, object) {
			all = append(all, object)
		}
	}
	for _, name := range []string{"shop-gateway-key", "shop-sidecar-copy"} {
		secret := &corev1.Secret{}
		if tr.client.Get(t.Context(), client.ObjectKey{Namespace: tr.namespace, Name: name}, secret) == nil {
			all = append(all, secret)
		}
	}
	return all
}

// allChildren are those that are the endpoint's.
func (tr *trial) allChildren(t *testing.T) []client.Object {
	t.Helper()
	return slices.DeleteFunc(tr.allOfTheName(t), func(o client.Object) bool { return o.GetLabels()["theirs"] != "" })
}
