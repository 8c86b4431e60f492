// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/backends"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/gatewayapi"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/installation"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/probe"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/rollout"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/snapshot"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/status"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

var app = types.NamespacedName{Namespace: "team-a", Name: "app"}

// scene is an endpoint, what was read for it, and what the platform team chose.
type scene struct {
	*snapshot.Snapshot
	options installation.Options
}

// fresh is a scene of an endpoint that is new.
func fresh(edits ...func(*scene)) *scene {
	s := &scene{options: installation.Options{SidecarImage: "x:1", SidecarPullPolicy: "IfNotPresent"}, Snapshot: &snapshot.Snapshot{
		Now: now, GatewayKey: make([]byte, config.GatewayKeySize), Classes: []networkingv1.IngressClass{{ObjectMeta: metav1.ObjectMeta{Name: "edge"}}},
		Endpoint: &v1alpha1.WeChatEndpoint{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "shop", UID: "e", Generation: 1}, Spec: v1alpha1.WeChatEndpointSpec{
			Platform: "OfficialAccount", MessageMode: "Plaintext", AppID: "wx5823bf96d3bd56c7", Credentials: v1alpha1.CredentialsReference{SecretName: "wechat"},
			URL:     v1alpha1.CallbackURL{Host: "wx.example.com", Path: "/weixin", Exposure: v1alpha1.ExposureIngress, Ingress: &v1alpha1.IngressExposure{ClassName: "edge"}},
			Backend: v1alpha1.Backend{Service: v1alpha1.ServiceReference{Name: "app", Port: intstr.FromInt32(80)}}, Sidecar: v1alpha1.Sidecar{Replicas: new(int32(1))},
		}},
		Services: map[types.NamespacedName]*corev1.Service{app: {Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}}},
		Secret:   &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{v1alpha1.LabelCredentials: v1alpha1.CredentialsUser}}, Data: map[string][]byte{"token": []byte("a-fine-token")}},
	}}
	for _, edit := range edits {
		edit(s)
	}
	return s
}

// served is a scene of an endpoint that is as it should be, before the edits: its objects are what is rendered, its pod serves, and its status says
// so.
func served(t *testing.T, edits ...func(*scene)) *scene {
	t.Helper()
	s := fresh()
	p := s.decide()
	for _, write := range p.Whole.Writes {
		object := write.Object
		s.Children = append(s.Children, snapshot.Child{
			Kind: object.GetKind(), Name: object.GetName(), UID: types.UID(object.GetKind()), ResourceVersion: "7", Owned: true, Route: write.Route != "",
			Applied: render.Digest(object), Around: render.Digest(render.AroundTemplate(object)), OwnsReplicas: object.GetKind() == "Deployment",
		})
		switch object.GetKind() {
		case "Secret":
			if document := documentIn(t, object); document != nil {
				live, err := config.ParseConfig(document)
				if err != nil {
					t.Fatal(err)
				}
				s.Live.Config, s.Live.Version = &live, config.VersionFirst
			}
		case "Ingress":
			s.Ingress = into(t, object, &networkingv1.Ingress{})
			s.Ingress.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: "203.0.113.7"}}
		case "Deployment":
			s.Deployment = into(t, object, &appsv1.Deployment{})
			s.Deployment.Status = appsv1.DeploymentStatus{Replicas: 1, UpdatedReplicas: 1, AvailableReplicas: 1}
		}
	}
	s.Live.Generation, s.Live.Pairs = p.Whole.Generation, p.Pairs
	s.Pods = []snapshot.Pod{{Pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "pod"}}, Ready: true, Newest: true, Answer: probe.Result{Status: config.Status{
		Generation: s.Live.Generation, Ready: true, Used: map[int64]config.Use{p.Pairs[0].Generation: {First: now.Add(-time.Hour), Last: now}},
	}}}}
	s.Endpoint.Status = s.judge(Done{Generation: s.Live.Generation, Pairs: p.Pairs, Whole: true, Route: v1alpha1.ExposureIngress}, Tried{Pods: []error{nil}, Reached: true}).Status
	for _, edit := range edits {
		edit(s)
	}
	return s
}

// documentIn is the document that a Secret of the pods holds; nil in any other.
func documentIn(t *testing.T, secret *unstructured.Unstructured) []byte {
	t.Helper()
	return into(t, secret, &corev1.Secret{}).Data[config.File]
}

func into[O any](t *testing.T, object *unstructured.Unstructured, typed O) O {
	t.Helper()
	text, err := json.Marshal(object)
	if err != nil || json.Unmarshal(text, typed) != nil {
		t.Fatal(err)
	}
	return typed
}

func (s *scene) decide() *Plan {
	p := Decide(&s.options, s.Snapshot, status.Remember(s.Endpoint))
	return &p
}

func (s *scene) after(done Done) *Judgement {
	return s.decide().After(&s.options, s.Snapshot, status.Remember(s.Endpoint), done)
}

func (s *scene) judge(done Done, tried Tried) Report { return s.after(done).Judge(tried) }

// whole is what became of a plan that was written, or found in order.
func (s *scene) whole() Done {
	p := s.decide()
	return Done{Generation: p.Whole.Generation, Pairs: p.Pairs, Whole: true, Route: v1alpha1.ExposureIngress}
}

func spec(edit func(*v1alpha1.WeChatEndpointSpec)) func(*scene) {
	return func(s *scene) { s.Endpoint.Generation++; edit(&s.Endpoint.Spec) }
}

func token(text string) func(*scene) {
	return func(s *scene) { s.Secret.Data["token"] = []byte(text) }
}

func noApp(s *scene)    { delete(s.Services, app) }
func noSecret(s *scene) { s.Secret = nil }

func image(name string) func(*scene) { return func(s *scene) { s.options.SidecarImage = name } }

// written are the kinds that a batch writes, with what it does to each.
func written(batch *Batch) []string {
	if batch == nil {
		return nil
	}
	var all []string
	for _, w := range batch.Writes {
		text := w.Object.GetKind()
		if w.Object.GetName() == "shop-sidecar-copy" {
			text = "Copy"
		}
		for _, note := range []struct {
			holds bool
			word  string
		}{{w.Handover != nil, "handed over"}, {w.Same, "same"}, {w.Live == nil, "new"}, {w.KeepTemplate, "around its template"}, {w.Taken != nil, "taken"}} {
			if note.holds {
				text += " " + note.word
			}
		}
		all = append(all, text)
	}
	for _, child := range batch.Prune {
		all = append(all, child.Kind+" gone")
	}
	for _, child := range batch.Retire {
		all = append(all, child.Kind+" retired")
	}
	return all
}

// changed are those that are not the same.
func changed(batch *Batch) []string {
	return slices.DeleteFunc(written(batch), func(text string) bool {
		return strings.HasSuffix(text, " same") || strings.Contains(text, " same around")
	})
}

// TestTheOrderOfWrites: what a pod needs comes before it, and the route last; where pods serve already, their files come last.
func TestTheOrderOfWrites(t *testing.T) {
	if diff := cmp.Diff([]string{
		"Secret new", "ServiceAccount new", "Secret new", "Deployment new", "PodDisruptionBudget new", "Service new", "Service new", "Ingress new",
	}, written(fresh().decide().Whole)); diff != "" {
		t.Errorf("at first (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{
		"ServiceAccount same", "Secret same", "PodDisruptionBudget same", "Service same", "Service same", "Ingress same", "Deployment same", "Secret same",
	}, written(served(t).decide().Whole)); diff != "" {
		t.Errorf("where pods serve (-want +got):\n%s", diff)
	}
}

// TestWhatIsWritten: all that the spec asks for, or the live configuration with the credentials that are accepted now.
func TestWhatIsWritten(t *testing.T) {
	autoscaled := spec(func(s *v1alpha1.WeChatEndpointSpec) { s.Sidecar.Autoscaling = &v1alpha1.Autoscaling{MaxReplicas: 9} })
	toHTTPRoute := spec(func(s *v1alpha1.WeChatEndpointSpec) {
		s.URL.Exposure, s.URL.Ingress, s.URL.HTTPRoute = v1alpha1.ExposureHTTPRoute, nil, &v1alpha1.HTTPRouteExposure{ParentRefs: []v1alpha1.ParentReference{{Name: "edge"}}}
	})
	terminating := func(kind string) func(*scene) {
		return func(s *scene) {
			for i := range s.Children {
				s.Children[i].Deleting = s.Children[i].Kind == kind
			}
		}
	}
	foreign := func(kind string) func(*scene) {
		return func(s *scene) {
			for i := range s.Children {
				if s.Children[i].Kind == kind {
					s.Children[i].Owned = false
				}
			}
		}
	}
	gatewayAPI := func(s *scene) {
		s.GatewayAPI = true
		gateway := &gatewayapi.Gateway{}
		gateway.Spec.Listeners = []gatewayapi.Listener{{Name: "web", Protocol: gatewayv1.HTTPProtocolType}}
		s.Gateways = map[types.NamespacedName]*gatewayapi.Gateway{{Namespace: "team-a", Name: "edge"}: gateway}
	}
	noGateway := func(s *scene) { s.Gateways = nil }
	toNoClass := spec(func(s *v1alpha1.WeChatEndpointSpec) { s.URL.Ingress = &v1alpha1.IngressExposure{ClassName: "missing"} })
	toTLS := spec(func(s *v1alpha1.WeChatEndpointSpec) {
		s.URL.Ingress = &v1alpha1.IngressExposure{ClassName: "edge", TLSSecretName: "tls"}
	})
	deleted := func(kind string) func(*scene) {
		return func(s *scene) {
			s.Children = slices.DeleteFunc(s.Children, func(c snapshot.Child) bool { return c.Kind == kind })
			if kind == "Deployment" {
				s.Deployment, s.Pods = nil, nil
			}
		}
	}
	for name, test := range map[string]struct {
		s            *scene
		whole, entry []string // what differs
		wholeIsNil   bool
	}{
		"nothing changed":                             {served(t), nil, nil, false},
		"the token was changed":                       {served(t, token("a-newer-token")), []string{"Copy new", "Secret"}, []string{"Secret", "Copy new"}, false},
		"the path was changed":                        {served(t, spec(func(s *v1alpha1.WeChatEndpointSpec) { s.URL.Path = "/other" })), []string{"Ingress", "Secret"}, nil, false},
		"there is no Secret yet":                      {fresh(noSecret), nil, nil, true},
		"the Secret is gone: its last values go on":   {served(t, noSecret), []string{"Copy new"}, []string{"Copy new"}, false},
		"the app is gone":                             {served(t, noApp), nil, []string{"Copy new"}, true},
		"the app is gone, and the token changed":      {served(t, noApp, token("a-newer-token")), nil, []string{"Secret", "Copy new"}, true},
		"the app is gone before anything was served":  {fresh(noApp), nil, nil, true},
		"the spec is not allowed, and a token leaked": {served(t, spec(func(s *v1alpha1.WeChatEndpointSpec) { s.URL.Host = "" }), token("a-newer-token")), nil, []string{"Secret", "Copy new"}, true},
		"the spec cannot be read, and a token leaked": {served(t, spec(func(s *v1alpha1.WeChatEndpointSpec) { s.Unreadable = []string{"spec.rules"} }), token("a-newer-token")), nil, []string{"Secret", "Copy new"}, true},
		"it is paused":                                {served(t, spec(func(s *v1alpha1.WeChatEndpointSpec) { s.Paused = true; s.URL.Path = "/other" })), nil, nil, true},
		"the installation asks for another image":     {served(t, image("x:2")), nil, nil, false},
		"so it does, and the endpoint for more pods":  {served(t, image("x:2"), spec(func(s *v1alpha1.WeChatEndpointSpec) { s.Sidecar.Replicas = new(int32(3)) })), []string{"Deployment around its template"}, nil, false},
		"the endpoint has an image of its own":        {served(t, spec(func(s *v1alpha1.WeChatEndpointSpec) { s.Sidecar.ImageVersion = "2" })), []string{"Deployment"}, nil, false},
		"somebody else's object has the name":         {served(t, foreign("Service")), []string{"Service taken", "Service taken"}, nil, false},
		"an object of somebody else's has the copy's name": {served(t, func(s *scene) {
			s.Children = append(s.Children, snapshot.Child{Kind: "Secret", Name: "shop-sidecar-copy"})
		}), nil, nil, false},
		"there is a copy of an earlier rotation": {served(t, func(s *scene) {
			s.Children = append(s.Children, snapshot.Child{Kind: "Secret", Name: "shop-sidecar-copy", Owned: true})
		}), []string{"Copy"}, nil, false},
		"it autoscales from now on": {served(t, autoscaled), []string{"Deployment handed over", "HorizontalPodAutoscaler new"}, nil, false},
		"it does not any more": {served(t, func(s *scene) {
			s.Children = append(s.Children, snapshot.Child{Kind: "HorizontalPodAutoscaler", Name: "shop-sidecar", Owned: true})
		}), []string{"HorizontalPodAutoscaler gone"}, nil, false},
		"somebody else's autoscaler is left alone": {served(t, func(s *scene) {
			s.Children = append(s.Children, snapshot.Child{Kind: "HorizontalPodAutoscaler", Name: "shop-sidecar"})
		}), nil, nil, false},
		"an autoscaler that goes already": {served(t, func(s *scene) {
			s.Children = append(s.Children, snapshot.Child{Kind: "HorizontalPodAutoscaler", Name: "shop-sidecar", Owned: true, Deleting: true})
		}), nil, nil, false},
		"the URL is no longer published":                 {served(t, spec(func(s *v1alpha1.WeChatEndpointSpec) { s.URL.Exposure, s.URL.Ingress = v1alpha1.ExposureNone, nil })), []string{"Secret", "Ingress gone"}, nil, false},
		"the URL moves to an HTTPRoute: both are needed": {served(t, toHTTPRoute, gatewayAPI), []string{"HTTPRoute new"}, nil, false},
		"the cluster knows no HTTPRoutes":                {served(t, toHTTPRoute), nil, []string{"Copy new"}, true},
		"the Gateway does not exist":                     {served(t, gatewayAPI, noGateway, toHTTPRoute), nil, []string{"Copy new"}, true},
		"the class does not exist":                       {served(t, toNoClass), nil, []string{"Copy new"}, true},
		"so it is, and the path is another one":          {served(t, toNoClass, spec(func(s *v1alpha1.WeChatEndpointSpec) { s.URL.Path = "/other" })), nil, []string{"Copy new"}, true},
		"so it is, and the token was changed":            {served(t, toNoClass, token("a-newer-token")), nil, []string{"Secret", "Copy new"}, true},
		"so it is, and there are to be more pods":        {served(t, toNoClass, spec(func(s *v1alpha1.WeChatEndpointSpec) { s.Sidecar.Replicas = new(int32(3)) })), nil, []string{"Copy new", "Deployment around its template"}, true},
		"so it is, and the pods are to be others":        {served(t, toNoClass, spec(func(s *v1alpha1.WeChatEndpointSpec) { s.Sidecar.ImageVersion = "2" })), nil, []string{"Copy new"}, true},
		"so it is, and the Service was deleted":          {served(t, toNoClass, deleted("Service")), nil, []string{"Copy new", "Service new", "Service new"}, true},
		"so it is, and the Ingress was deleted":          {served(t, toNoClass, deleted("Ingress")), []string{"Ingress new"}, nil, false},
		"so it is, and the document is gone":             {served(t, toNoClass, func(s *scene) { s.Live = snapshot.Entry{} }), []string{"Secret", "Ingress"}, nil, false},
		"so it is, and a finalizer keeps the Ingress":    {served(t, toNoClass, terminating("Ingress")), nil, []string{"Copy new"}, true},
		"the class does not exist, of what is published": {served(t, func(s *scene) { s.Classes = nil }), nil, nil, false},
		"the Secret with the certificate does not exist": {served(t, toTLS, func(s *scene) { s.MissingTLS = true }), nil, []string{"Copy new"}, true},
		"the Secret with the certificate exists":         {served(t, toTLS), []string{"Ingress"}, nil, false},
		"the app is gone, and the Deployment":            {served(t, noApp, deleted("Deployment")), nil, []string{"Copy new", "Deployment new around its template"}, true},
		"the pods cannot read what is asked for":         {served(t, func(s *scene) { s.Live.Version = config.VersionFirst }, spec(func(s *v1alpha1.WeChatEndpointSpec) { s.ReceiverIDs = []string{"*"}; s.URL.Path = "/other" }), token("a-newer-token")), []string{"Copy new", "Secret"}, []string{"Secret", "Copy new"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := test.s.decide()
			if p.Err != nil {
				t.Fatal(p.Err)
			}
			if (p.Whole == nil) != test.wholeIsNil {
				t.Errorf("the whole is written: %v", p.Whole != nil)
			}
			if diff := cmp.Diff(test.whole, changed(p.Whole), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("of the whole (-want +got):\n%s", diff)
			}
			if test.wholeIsNil || test.entry != nil {
				if diff := cmp.Diff(test.entry, changed(p.GoesOn), cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("of the entry alone (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// TestWhatServesGoesOnWithItsConfiguration: with credentials alone, nothing else of the live configuration changes.
func TestWhatServesGoesOnWithItsConfiguration(t *testing.T) {
	s := served(t, noApp, token("a-newer-token"), spec(func(s *v1alpha1.WeChatEndpointSpec) { s.AppID = "wx0000000000000000" }))
	entry := s.decide().GoesOn
	got, err := config.ParseConfig(documentIn(t, entry.Writes[0].Object))
	if err != nil {
		t.Fatal(err)
	}
	want := *s.Live.Config
	want.Generation = entry.Generation
	if diff := cmp.Diff(want, got); diff != "" || entry.Generation == s.Live.Generation {
		t.Errorf("generation %s (-live +written):\n%s", entry.Generation, diff)
	}
}

// TestNothingLeadsOutOfTheCluster: a Service may have been accepted, and then turned to another type.
func TestNothingLeadsOutOfTheCluster(t *testing.T) {
	s := served(t, func(s *scene) { s.Services[app].Spec.Type = corev1.ServiceTypeExternalName })
	p := s.decide()
	if !p.Backend.Is(v1alpha1.ReasonServiceNotAllowed) || p.GoesOn == nil {
		t.Fatalf("the problem is %+v, the entry %v", p.Backend, p.GoesOn)
	}
	if got, err := config.ParseConfig(documentIn(t, p.GoesOn.Writes[0].Object)); err != nil || got.Backend.URL != backends.Close("http://app.team-a.svc:80") {
		t.Errorf("the pods call %s, %v", got.Backend.URL, err)
	}
}

func TestTheRetiredRouteIsOnlyThatOfASettledOne(t *testing.T) {
	for name, test := range map[string]struct {
		age  time.Duration
		want []string
	}{
		"the new route has settled":     {time.Hour, []string{"HTTPRoute retired"}},
		"controllers may not act on it": {time.Second, nil},
	} {
		s := served(t, func(s *scene) {
			s.Ingress.CreationTimestamp = metav1.NewTime(now.Add(-test.age))
			s.Children = append(s.Children, snapshot.Child{Kind: "HTTPRoute", Name: "shop-sidecar", Owned: true, Route: true})
		})
		if diff := cmp.Diff(test.want, changed(s.decide().Whole), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// said are the reasons of the conditions, but for those that a row does not name.
func wantSaid(t *testing.T, report Report, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	for name := range want {
		if condition := apimeta.FindStatusCondition(report.Status.Conditions, name); condition != nil {
			got[name] = string(condition.Status) + " " + condition.Reason
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("said otherwise (-want +got):\n%s", diff)
	}
}

type said = map[string]string

// TestWhatIsKnownOfTheCertificate at the published address is what it showed last, as long as TLS ends there.
func TestWhatIsKnownOfTheCertificate(t *testing.T) {
	before, later := metav1.NewTime(now.Add(time.Hour)), metav1.NewTime(now.Add(24*time.Hour))
	encrypts := func(s *scene) { s.Ingress.Spec.TLS = []networkingv1.IngressTLS{{SecretName: "wx"}} }
	known := func(s *scene) { s.Endpoint.Status.CertificateNotAfter = &before }
	for name, test := range map[string]struct {
		s     *scene
		shown time.Time
		want  *metav1.Time
	}{
		"what was shown": {served(t, encrypts), later.Add(time.Millisecond), &later},
		"what was shown before, where nothing was now":     {served(t, encrypts, known), time.Time{}, &before},
		"what no status can tell is not":                   {served(t, encrypts, known), time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC), &before},
		"nothing, where TLS does not end there":            {served(t, known), time.Time{}, nil},
		"nothing, where the operator publishes no address": {served(t, encrypts, known, func(s *scene) { s.Endpoint.Spec.URL.Exposure = v1alpha1.ExposureNone }), later.Time, nil},
	} {
		report := test.s.judge(test.s.whole(), Tried{Pods: []error{nil}, Reached: true, CertificateNotAfter: test.shown})
		if got := report.Status.CertificateNotAfter; !got.Equal(test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

// TestWhatIsSaid is the report of what was read, written and played.
func TestWhatIsSaid(t *testing.T) {
	well := Tried{Pods: []error{nil}, Reached: true}
	rejected := func(kind string, reached bool) func(*scene) Done {
		return func(s *scene) Done {
			return Done{Generation: s.Live.Generation, ReachedPods: reached, Rejection: &Rejection{Kind: kind, Err: errors.New("denied")}}
		}
	}
	left := func(s *scene) Done { return Done{Generation: s.Live.Generation} }
	for name, test := range map[string]struct {
		s     *scene
		done  func(*scene) Done
		tried Tried
		want  said
		again verdict.Again
	}{
		"all is well": {served(t), (*scene).whole, well, said{
			"Ready": "True Ready", "Accepted": "True Accepted", "CredentialsResolved": "True CredentialsResolved", "BackendResolved": "True BackendResolved",
			"SidecarAvailable": "True SidecarAvailable", "RouteProgrammed": "True RouteProgrammed", "Verified": "True Verified", "Reachable": "True Reachable", "SidecarCurrent": "True SidecarCurrent",
		}, verdict.Never},
		"WeChat was seen for the first time": {served(t, func(s *scene) {
			s.Endpoint.Status.Credentials.Accepted[0].FirstUsed = &metav1.Time{Time: now.Add(-30 * time.Second)}
			s.Pods[0].Answer.Status.Used = nil
		}), (*scene).whole, well, said{
			"Ready": "True Ready",
		}, verdict.In(verdict.Unwatched)},
		"WeChat was not seen yet": {served(t, func(s *scene) {
			s.Pods[0].Answer.Status.Used = nil
			s.Endpoint.Status.Credentials.Accepted[0].FirstUsed = nil
		}), (*scene).whole, well, said{
			"Ready": "True Ready", "CredentialsResolved": "True CredentialsResolved",
		}, verdict.In(verdict.Unwatched)},
		"the files were written just now": {served(t, token("a-newer-token")), (*scene).whole, Tried{}, said{
			"Ready": "False Progressing", "CredentialsResolved": "True RotationStarting", "SidecarAvailable": "False Progressing", "Verified": "Unknown Waiting", "Reachable": "Unknown Waiting",
		}, verdict.In(verdict.Soon)},
		"a pod answers otherwise": {served(t), (*scene).whole, Tried{Pods: []error{errors.New("302")}}, said{
			"Ready": "False NotVerified", "Verified": "False NotVerified", "Reachable": "Unknown Waiting",
		}, verdict.In(verdict.Seldom)},
		"a pod did not reach the app": {served(t, func(s *scene) { s.Pods[0].Answer.Status.Unreached = &config.Unreached{Cause: "refused"} }), (*scene).whole, well, said{
			"Ready": "True Ready", "BackendAvailable": "False BackendUnreached",
		}, verdict.In(verdict.Unwatched)},
		"the address leads elsewhere": {served(t), (*scene).whole, Tried{Pods: []error{nil}, Reached: true, Reach: errors.New("404")}, said{
			"Ready": "True Ready", "Reachable": "Unknown Progressing",
		}, verdict.In(verdict.Soon)},
		"the API server fails on the way: of what comes after, what was said stays": {served(t, token("a-newer-token"), noApp, func(s *scene) { s.Pods[0].Answer.Status.Generation = "other" }), func(s *scene) Done { return Done{Generation: s.Live.Generation, Err: errors.New("500")} }, Tried{}, said{
			"Ready": "False ServiceNotFound", "BackendResolved": "False ServiceNotFound", "SidecarAvailable": "True SidecarAvailable",
		}, verdict.Never},
		"nothing runs, since there is no Secret": {fresh(noSecret), func(*scene) Done { return Done{} }, Tried{}, said{
			"Ready": "False SecretNotFound", "CredentialsResolved": "False SecretNotFound", "SidecarAvailable": "Unknown Waiting", "RouteProgrammed": "Unknown Waiting", "Verified": "Unknown Waiting", "Reachable": "Unknown Waiting",
		}, verdict.Never},
		"the Secret is gone, and its last values go on": {served(t, noSecret), (*scene).whole, well, said{
			"Ready": "False SecretNotFound", "CredentialsResolved": "False SecretNotFound", "SidecarAvailable": "True SidecarAvailable", "Verified": "True Verified",
		}, verdict.Never},
		"the route is rejected: what serves goes on": {served(t), rejected("Ingress", false), Tried{}, said{
			"Ready": "False RouteNotAccepted", "RouteProgrammed": "False RouteNotAccepted", "SidecarAvailable": "True SidecarAvailable", "Verified": "True Verified",
		}, verdict.In(verdict.Soon)},
		"the pods are rejected": {served(t), rejected("Deployment", true), Tried{}, said{
			"Ready": "False PodsNotCreated", "SidecarAvailable": "False PodsNotCreated", "Verified": "Unknown Waiting",
		}, verdict.In(verdict.Soon)},
		"the route of a new endpoint is rejected": {fresh(), rejected("Ingress", true), Tried{}, said{
			"Ready": "False Waiting", "RouteProgrammed": "False RouteNotAccepted", "SidecarAvailable": "Unknown Waiting",
		}, verdict.In(verdict.Soon)},
		"somebody else's object has a child's name": {served(t), func(s *scene) Done {
			return Done{Generation: s.Live.Generation, Taken: Taken(render.OwnFleet(s.Endpoint), "Service", "shop-sidecar")}
		}, Tried{}, said{
			"Ready": "False NameTaken", "Accepted": "False NameTaken", "SidecarAvailable": "True SidecarAvailable", "Verified": "True Verified",
		}, verdict.In(verdict.Unwatched)},
		"it is paused, as it was": {served(t, func(s *scene) { s.Endpoint.Spec.Paused = true }), left, well, said{
			"Ready": "True Ready", "Accepted": "True Paused", "SidecarAvailable": "True SidecarAvailable", "Verified": "True Verified", "SidecarCurrent": "True SidecarCurrent",
		}, verdict.Never},
		"it is paused, and was changed since": {served(t, spec(func(s *v1alpha1.WeChatEndpointSpec) { s.Paused = true; s.AppID = "wx0000000000000000" })), left, Tried{}, said{
			"Ready": "False Paused", "SidecarAvailable": "False Paused",
		}, verdict.Never},
		"it is paused, and is to have more pods": {served(t, spec(func(s *v1alpha1.WeChatEndpointSpec) { s.Paused, s.Sidecar.Replicas = true, new(int32(3)) })), left, Tried{}, said{
			"Ready": "False Paused", "SidecarAvailable": "False Paused", "SidecarCurrent": "True SidecarCurrent",
		}, verdict.Never},
		"it is paused, and is to have other pods": {served(t, spec(func(s *v1alpha1.WeChatEndpointSpec) { s.Paused, s.Sidecar.ImageVersion = true, "2" })), left, Tried{}, said{
			"Ready": "False Paused", "SidecarAvailable": "False Paused", "SidecarCurrent": "Unknown Paused",
		}, verdict.Never},
		"it is paused, and is to scale by itself": {served(t, spec(func(s *v1alpha1.WeChatEndpointSpec) {
			s.Paused, s.Sidecar.Autoscaling = true, &v1alpha1.Autoscaling{MaxReplicas: 9}
		})), left, Tried{}, said{
			"Ready": "False Paused", "SidecarAvailable": "False Paused",
		}, verdict.Never},
		"it is paused, and the installation has another image": {served(t, image("x:2"), spec(func(s *v1alpha1.WeChatEndpointSpec) { s.Paused = true })), left, well, said{
			"Ready": "True Ready", "SidecarAvailable": "True SidecarAvailable", "SidecarCurrent": "Unknown Paused",
		}, verdict.Never},
		"it is paused with a spec that cannot be served, as it was": {served(t, noApp, spec(func(s *v1alpha1.WeChatEndpointSpec) { s.Paused = true })), left, well, said{
			"Ready": "False ServiceNotFound", "SidecarAvailable": "True SidecarAvailable",
		}, verdict.Never},
		"it is paused with a spec that cannot be served, and its Secret is gone": {served(t, noApp, spec(func(s *v1alpha1.WeChatEndpointSpec) { s.Paused = true }), func(s *scene) {
			s.Children = slices.DeleteFunc(s.Children, func(c snapshot.Child) bool { return c.Kind == "Secret" && c.Name == "shop-sidecar" })
		}), left, Tried{}, said{
			"Ready": "False ServiceNotFound", "SidecarAvailable": "False Paused",
		}, verdict.Never},
		"the Deployment's name is taken: what was said of its pods is not so any more": {served(t, func(s *scene) { s.Deployment = nil }), func(s *scene) Done {
			return Done{Generation: s.Live.Generation, Taken: Taken(render.OwnFleet(s.Endpoint), "Deployment", "shop-sidecar")}
		}, Tried{}, said{
			"Ready": "False NameTaken", "SidecarAvailable": "False NameTaken", "SidecarCurrent": "Unknown Waiting",
		}, verdict.In(verdict.Unwatched)},
		"the Deployment is gone, and another one is rejected": {served(t, func(s *scene) { s.Deployment = nil }), rejected("Deployment", true), Tried{}, said{
			"Ready": "False PodsNotCreated", "SidecarAvailable": "False PodsNotCreated", "SidecarCurrent": "Unknown Waiting",
		}, verdict.In(verdict.Soon)},
		"its spec cannot be read: what is known of an earlier one stays": {served(t, spec(func(s *v1alpha1.WeChatEndpointSpec) { *s = v1alpha1.WeChatEndpointSpec{Unreadable: []string{"spec"}} })), left, Tried{}, said{
			"Ready": "False SpecUnreadable", "Accepted": "False SpecUnreadable", "BackendResolved": "Unknown Waiting", "RouteProgrammed": "True RouteProgrammed", "Verified": "True Verified",
		}, verdict.Never},
		"another URL is refused: nothing is said of the one before": {served(t, spec(func(s *v1alpha1.WeChatEndpointSpec) { s.URL.Path = "/other" }), noApp), left, Tried{}, said{
			"Ready": "False ServiceNotFound", "RouteProgrammed": "Unknown Waiting",
		}, verdict.Never},
		"it waits for its slot": {served(t, image("x:2")), func(s *scene) Done { d := s.whole(); d.Answer = rollout.Admission{Queued: true}; return d }, well, said{
			"Ready": "True Ready", "SidecarCurrent": "False RolloutQueued",
		}, verdict.Never},
		"it gets its slot, and comes back at once": {served(t, image("x:2")), func(s *scene) Done { d := s.whole(); d.Answer = rollout.Admission{Admitted: true}; return d }, well, said{
			"Ready": "True Ready", "SidecarCurrent": "False RollingOut",
		}, verdict.Now()},
	} {
		t.Run(name, func(t *testing.T) {
			report := test.s.judge(test.done(test.s), test.tried)
			wantSaid(t, report, test.want)
			if report.Again != test.again {
				t.Errorf("looked at again %+v, want %+v", report.Again, test.again)
			}
		})
	}
}

// TestWhatWaitedIsNotSentBack: where what runs is not what the spec asks for, a condition that is not judged anew names none that holds by now.
func TestWhatWaitedIsNotSentBack(t *testing.T) {
	for _, condition := range []string{v1alpha1.ConditionVerified, v1alpha1.ConditionReachable} {
		s := served(t, func(s *scene) {
			apimeta.SetStatusCondition(&s.Endpoint.Status.Conditions, metav1.Condition{
				Type: condition, Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonWaiting, Message: "first see to what holds by now",
			})
		})
		report := s.judge(Done{Generation: s.Live.Generation}, Tried{})
		got := apimeta.FindStatusCondition(report.Status.Conditions, condition)
		const want = "the pods serve what the spec asked for before: first see to the conditions that are not True"
		if got.Status != metav1.ConditionUnknown || got.Reason != v1alpha1.ReasonWaiting || got.Message != want {
			t.Errorf("%s is %s, %s: %s", condition, got.Status, got.Reason, got.Message)
		}
	}
}

// TestWhatIsPlayed: only what was written, and only once all pods say that they serve it.
func TestWhatIsPlayed(t *testing.T) {
	type edits = []func(*scene)
	left := func(s *scene) Done { return Done{Generation: s.Live.Generation} }
	for name, test := range map[string]struct {
		edits   edits
		done    func(*scene) Done
		play    bool
		address string
	}{
		"all is well":                              {nil, (*scene).whole, true, "203.0.113.7"},
		"a pod is behind":                          {edits{func(s *scene) { s.Pods[0].Answer.Status.Generation = "other" }}, (*scene).whole, false, ""},
		"the files were written just now":          {edits{token("a-newer-token")}, (*scene).whole, false, ""},
		"nothing was written: what was said stays": {edits{noApp}, left, false, ""},
		"the API server failed":                    {nil, func(s *scene) Done { d := s.whole(); d.Err = errors.New("500"); return d }, false, ""},
		"it is paused, as it was":                  {edits{func(s *scene) { s.Endpoint.Spec.Paused = true }}, left, true, "203.0.113.7"},
		"its spec cannot be read":                  {edits{spec(func(s *v1alpha1.WeChatEndpointSpec) { s.Unreadable = []string{"spec.rules"} })}, left, false, ""},
		"the user routes the URL":                  {edits{spec(func(s *v1alpha1.WeChatEndpointSpec) { s.URL.Exposure, s.URL.Ingress = v1alpha1.ExposureNone, nil }), func(s *scene) { s.Pods[0].Answer.Status.Generation = s.decide().Whole.Generation }}, func(s *scene) Done { d := s.whole(); d.Route = ""; return d }, true, ""},
		"the Ingress has no address":               {edits{func(s *scene) { s.Ingress.Status = networkingv1.IngressStatus{} }}, (*scene).whole, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := served(t, test.edits...)
			trial := s.after(test.done(s)).Trial()
			if trial.Play != test.play || trial.Address != test.address {
				t.Errorf("played: %v, through %q", trial.Play, trial.Address)
			}
			if trial.Play && (trial.Subject.Pair.Token != "a-fine-token" || trial.Subject.Path != "/weixin" || len(trial.Pods) != 1) {
				t.Errorf("the trial is %+v", trial)
			}
		})
	}
}

// TestAClaimIsWrittenDown as soon as its route is applied, whatever fails later, and given up when its object is gone.
func TestAClaimIsWrittenDown(t *testing.T) {
	ingress, httpRoute := v1alpha1.ExposureIngress, v1alpha1.ExposureHTTPRoute
	leaving := func(s *scene) {
		s.Endpoint.Status.Published = append(s.Endpoint.Status.Published, v1alpha1.PublishedRoute{By: httpRoute, Host: "wx.example.com", Paths: []string{"/weixin"}})
		s.Children = append(s.Children, snapshot.Child{Kind: string(httpRoute), Name: "shop-sidecar", Owned: true, Route: true})
	}
	lingering := func(s *scene) { leaving(s); s.Children[len(s.Children)-1].Owned = false }
	for name, test := range map[string]struct {
		s    *scene
		done func(*scene) Done
		want []v1alpha1.Exposure
	}{
		"a new route, and the API server fails after it": {fresh(), func(*scene) Done { return Done{Route: ingress, Err: errors.New("500")} }, []v1alpha1.Exposure{ingress}},
		"the API server fails before it":                 {fresh(), func(*scene) Done { return Done{Err: errors.New("500")} }, nil},
		"no route is asked for any more":                 {served(t, spec(func(s *v1alpha1.WeChatEndpointSpec) { s.URL.Exposure, s.URL.Ingress = v1alpha1.ExposureNone, nil })), func(s *scene) Done { d := s.whole(); d.Route = ""; return d }, nil},
		"none is asked for, and the object is not gone":  {served(t, spec(func(s *v1alpha1.WeChatEndpointSpec) { s.URL.Exposure, s.URL.Ingress = v1alpha1.ExposureNone, nil })), func(s *scene) Done { return Done{Generation: s.Live.Generation, Err: errors.New("500")} }, []v1alpha1.Exposure{ingress}},
		"an older object is still there":                 {served(t, leaving), (*scene).whole, []v1alpha1.Exposure{ingress, httpRoute}},
		"it was deleted":                                 {served(t, leaving), func(s *scene) Done { d := s.whole(); d.Retired = true; return d }, []v1alpha1.Exposure{ingress}},
		"somebody else has its name":                     {served(t, lingering), (*scene).whole, []v1alpha1.Exposure{ingress}},
		"the app is gone: the claim is not":              {served(t, noApp), func(s *scene) Done { return Done{Generation: s.Live.Generation} }, []v1alpha1.Exposure{ingress}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []v1alpha1.Exposure
			for _, route := range test.s.judge(test.done(test.s), Tried{Pods: []error{nil}}).Status.Published {
				got = append(got, route.By)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("published by (-want +got):\n%s", diff)
			}
		})
	}
}

// TestWhatTheTenantWroteIsNotProgrammed: the Ingress publishes the URL, and the operator has not published it.
func TestWhatTheTenantWroteIsNotProgrammed(t *testing.T) {
	s := served(t, func(s *scene) {
		s.Endpoint.Status.Published = []v1alpha1.PublishedRoute{{By: "Ingress", Host: "wx.example.com", Paths: []string{"/"}}}
	}, noApp)
	wantSaid(t, s.judge(Done{Generation: s.Live.Generation}, Tried{}), said{"RouteProgrammed": "Unknown Waiting"})
}

// TestARefusedStatusGivesASlotAway: nobody may wait for an end that cannot be told.
func TestARefusedStatusGivesASlotAway(t *testing.T) {
	s := served(t)
	s.Endpoint.Status.Rollout = &v1alpha1.RolloutSlot{}
	status.Write(s.Endpoint, &s.Endpoint.Status, status.Said{v1alpha1.ConditionSidecarCurrent: verdict.False(v1alpha1.ReasonRollingOut, "")}, now)
	after := Refused(s.Endpoint, errors.New("status.x is too long"), now)
	wantSaid(t, Report{Status: after}, said{"Ready": "False StatusRefused", "SidecarCurrent": "Unknown Waiting", "Verified": "True Verified"})
	if after.Rollout != nil {
		t.Errorf("the slot is kept: %+v", after.Rollout)
	}
}

// TestOfWhatCouldNotBeReadNothingIsSaid, but that Ready speaks of an earlier spec.
func TestOfWhatCouldNotBeReadNothingIsSaid(t *testing.T) {
	s := served(t, spec(func(*v1alpha1.WeChatEndpointSpec) {}))
	report := Unjudged(&snapshot.Snapshot{Now: now, Endpoint: s.Endpoint})
	wantSaid(t, report, said{"Ready": "Unknown Waiting", "Accepted": "True Accepted", "Verified": "True Verified"})
}

// TestTheGatewayThatIsSharedByDefault is made where it is missing, and no other.
func TestTheGatewayThatIsSharedByDefault(t *testing.T) {
	for name, test := range map[string]struct {
		mode    installation.Mode
		gateway string
		there   bool
		paused  bool
		want    string
	}{
		"it is missing":                    {installation.ModeGateway, "default", false, false, "default"},
		"it is there":                      {installation.ModeGateway, "default", true, false, ""},
		"another one is missing":           {installation.ModeGateway, "front", false, false, ""},
		"nobody shares by default":         {installation.ModeDedicated, "default", false, false, ""},
		"the endpoint has pods of its own": {installation.ModeGateway, "", false, false, ""},
		"the operator keeps its hands off": {installation.ModeGateway, "default", false, true, ""},
	} {
		s := fresh()
		s.options.SidecarMode = test.mode
		s.Endpoint.Spec.Paused = test.paused
		if test.gateway != "" {
			s.Endpoint.Spec.Gateway = &v1alpha1.GatewayReference{Name: test.gateway}
		}
		if test.there {
			s.WeChatGateway = &v1alpha1.WeChatGateway{}
		}
		if got := s.decide().Gateway; got != test.want {
			t.Errorf("%s: made is %q, want %q", name, got, test.want)
		}
		said := s.judge(Done{Generation: "g"}, Tried{}).Status.Conditions
		condition := apimeta.FindStatusCondition(said, v1alpha1.ConditionSidecarAvailable)
		if told := condition.Reason == v1alpha1.ReasonNoSuchGateway; told && (test.want != "" || test.there) {
			t.Errorf("%s: the user is told to make it: %s", name, condition.Message)
		}
	}
}

// TestWhatIsMadeForAMoveRestoresNothing: the installation lets the endpoint have pods of its own again, and nobody has changed its objects.
func TestWhatIsMadeForAMoveRestoresNothing(t *testing.T) {
	if !served(t).decide().Whole.Restores {
		t.Error("what is written for an endpoint that was well restores nothing")
	}
	s := served(t, func(s *scene) { s.Endpoint.Status.Fleet.LeadsTo = "default-wechat-gateway" })
	if p := s.decide(); p.Move.LeadsTo == p.Move.Asked || p.Whole.Restores {
		t.Errorf("it restores %v: %+v", written(p.Whole), p.Move)
	}
}

// TestWhatIsPruned: what is not rendered any more, by its name. Of an endpoint that has moved to a gateway, the Service by which its own pods
// found each other goes, and the one that leads to the gateway's pods stays. Secrets stay in any case.
func TestWhatIsPruned(t *testing.T) {
	child := func(kind, name string, owned bool) snapshot.Child {
		return snapshot.Child{Kind: kind, Name: name, Owned: owned}
	}
	rendered := func(kind, name string) *unstructured.Unstructured {
		object := &unstructured.Unstructured{}
		object.SetKind(kind)
		object.SetName(name)
		return object
	}
	s := &snapshot.Snapshot{Children: []snapshot.Child{
		child("Secret", "shop-sidecar", true), child("Secret", "shop-sidecar-copy", true), child("Service", "shop-sidecar", true), child("Service", "shop-sidecar-peers", true),
		child("Deployment", "shop-sidecar", true), child("PodDisruptionBudget", "shop-sidecar", false),
	}}
	var batch Batch
	batch.prune(s, []*unstructured.Unstructured{rendered("Secret", "shop-sidecar"), rendered("Service", "shop-sidecar")})
	var got []string
	for _, child := range batch.Prune {
		got = append(got, child.Kind+" "+child.Name)
	}
	if diff := cmp.Diff([]string{"Service shop-sidecar-peers", "Deployment shop-sidecar"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
