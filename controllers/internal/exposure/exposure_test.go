// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package exposure

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/gatewayapi"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/installation"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/probe"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/snapshot"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
)

var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

type (
	options = installation.Options
	edit    = func(*snapshot.Snapshot)
)

// named are the metadata of a child.
func named() metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: "team-a", Name: "shop-sidecar", Generation: 3, CreationTimestamp: metav1.NewTime(now.Add(-time.Hour)),
	}
}

func newSnapshot(exposure v1alpha1.Exposure, edits []edit) *snapshot.Snapshot {
	s := &snapshot.Snapshot{Now: now, GatewayAPI: true, Children: []snapshot.Child{{Kind: string(exposure), Owned: true, Route: true}}, Endpoint: &v1alpha1.WeChatEndpoint{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "shop", UID: "e"},
		Spec:       v1alpha1.WeChatEndpointSpec{Platform: "Shop", URL: v1alpha1.CallbackURL{Host: "wx.example.com", Path: "/weixin", Exposure: exposure}},
	}}
	for _, edit := range edits {
		edit(s)
	}
	return s
}

// withIngress has the Ingress that the endpoint asks for, of a class that exists.
func withIngress(edits ...edit) *snapshot.Snapshot {
	return newSnapshot(v1alpha1.ExposureIngress, append([]edit{func(s *snapshot.Snapshot) {
		s.Classes = []networkingv1.IngressClass{{ObjectMeta: metav1.ObjectMeta{Name: "edge"}}, {ObjectMeta: metav1.ObjectMeta{Name: "default", Annotations: map[string]string{networkingv1.AnnotationIsDefaultIngressClass: "true"}}}}
		s.Ingress = &networkingv1.Ingress{ObjectMeta: named(), Spec: networkingv1.IngressSpec{IngressClassName: new("edge")}}
		paths := &networkingv1.HTTPIngressRuleValue{}
		for _, route := range render.Routes(s.Endpoint) {
			paths.Paths = append(paths.Paths, networkingv1.HTTPIngressPath{Path: route.Path, PathType: new(route.PathType())})
		}
		s.Ingress.Spec.Rules = []networkingv1.IngressRule{{Host: "wx.example.com", IngressRuleValue: networkingv1.IngressRuleValue{HTTP: paths}}}
	}}, edits...))
}

func class(name string) edit {
	return func(s *snapshot.Snapshot) { s.Endpoint.Spec.URL.Ingress = &v1alpha1.IngressExposure{ClassName: name} }
}

func addressed(s *snapshot.Snapshot) {
	s.Ingress.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: "203.0.113.7", Hostname: "lb.example.com"}}
}

func TestWhetherAnIngressPublishesTheURL(t *testing.T) {
	const edge = v1alpha1.ExposureIngress
	for name, test := range map[string]struct {
		options options
		s       *snapshot.Snapshot
		applied bool
		want    Route
		reason  string // of the problem; empty where it does
		message string // part of it
	}{
		"it is there, and nobody says where":          {options{}, withIngress(), true, Route{Kind: edge, SettlesIn: 30*time.Second - time.Hour}, "", ""},
		"it has an address":                           {options{}, withIngress(addressed), true, Route{Kind: edge, SettlesIn: 5*time.Second - time.Hour, Address: "203.0.113.7"}, "", ""},
		"TLS ends there":                              {options{}, withIngress(addressed, func(s *snapshot.Snapshot) { s.Ingress.Spec.TLS = []networkingv1.IngressTLS{{}} }), true, Route{Kind: edge, SettlesIn: 5*time.Second - time.Hour, Address: "203.0.113.7", Secure: true}, "", ""},
		"it was there before, and is not applied now": {options{}, withIngress(), false, Route{Kind: edge, SettlesIn: 30*time.Second - time.Hour}, "", ""},
		"it is new":                                   {options{}, withIngress(func(s *snapshot.Snapshot) { s.Ingress.CreationTimestamp = metav1.NewTime(now.Add(-time.Second)) }), true, Route{Kind: edge, SettlesIn: 29 * time.Second}, "", ""},
		"it is so new that nobody knows it":           {options{}, withIngress(func(s *snapshot.Snapshot) { s.Ingress = nil }), true, Route{Kind: edge, SettlesIn: 30 * time.Second}, "", ""},
		"there is none":                               {options{}, withIngress(func(s *snapshot.Snapshot) { s.Ingress = nil }), false, Route{}, v1alpha1.ReasonWaiting, "not published yet"},
		"it is somebody else's":                       {options{}, withIngress(func(s *snapshot.Snapshot) { s.Children[0].Owned = false }), false, Route{}, v1alpha1.ReasonWaiting, "not published yet"},
		"it publishes another host":                   {options{}, withIngress(func(s *snapshot.Snapshot) { s.Ingress.Spec.Rules[0].Host = "a" }), false, Route{}, v1alpha1.ReasonWaiting, ""},
		"it publishes half of the paths": {options{}, withIngress(func(s *snapshot.Snapshot) {
			s.Ingress.Spec.Rules[0].HTTP.Paths = s.Ingress.Spec.Rules[0].HTTP.Paths[:1]
		}), false, Route{}, v1alpha1.ReasonWaiting, ""},
		"it was made before there was a class":      {options{}, withIngress(func(s *snapshot.Snapshot) { s.Ingress.Spec.IngressClassName = nil }), true, Route{}, v1alpha1.ReasonIngressClassNotFound, "was made before the cluster had a default class"},
		"it names a class that exists":              {options{}, withIngress(class("edge")), true, Route{Kind: edge, SettlesIn: 30*time.Second - time.Hour}, "", ""},
		"it names a class that does not":            {options{}, withIngress(class("other")), true, Route{}, v1alpha1.ReasonIngressClassNotFound, "IngressClass other does not exist; set url.ingress.className to one of: default, edge"},
		"no class is the default":                   {options{}, withIngress(func(s *snapshot.Snapshot) { s.Classes = s.Classes[:1] }), true, Route{}, v1alpha1.ReasonIngressClassNotFound, "no IngressClass is the cluster's default; set url.ingress.className to one of: edge"},
		"there is no class at all":                  {options{}, withIngress(func(s *snapshot.Snapshot) { s.Classes = nil }), true, Route{}, v1alpha1.ReasonIngressClassNotFound, "install an ingress controller"},
		"classes cannot be seen, and it names one":  {options{Namespaces: []string{"team-a"}}, withIngress(class("unseen"), func(s *snapshot.Snapshot) { s.Classes = nil }), true, Route{Kind: edge, SettlesIn: 30*time.Second - time.Hour}, "", ""},
		"classes cannot be seen, and it names none": {options{Namespaces: []string{"team-a"}}, withIngress(func(s *snapshot.Snapshot) { s.Classes = nil }), true, Route{}, v1alpha1.ReasonIngressClassNotFound, "this installation sees no IngressClasses"},
		"the user routes the URL":                   {options{}, newSnapshot(v1alpha1.ExposureNone, nil), true, Route{}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, problem := Judge(&test.options, test.s, test.applied)
			wantProblem(t, problem, test.reason, test.message)
			if got != test.want {
				t.Errorf("the route is %+v, want %+v", got, test.want)
			}
		})
	}
}

func wantProblem(t *testing.T, problem *verdict.Problem, reason, message string) {
	t.Helper()
	if (problem == nil) != (reason == "") || problem != nil && (problem.Reason != reason || !strings.Contains(problem.Message, message)) {
		t.Errorf("the problem is %+v, want %s with %q", problem, reason, message)
	}
}

// withHTTPRoute has the HTTPRoute that the endpoint asks for, which its Gateways have accepted.
func withHTTPRoute(edits ...edit) *snapshot.Snapshot {
	return newSnapshot(v1alpha1.ExposureHTTPRoute, append([]edit{func(s *snapshot.Snapshot) {
		s.Endpoint.Spec.URL.HTTPRoute = &v1alpha1.HTTPRouteExposure{ParentRefs: []v1alpha1.ParentReference{{Name: "edge"}, {Name: "inner", Namespace: "platform", SectionName: "web"}}}
		s.HTTPRoute = &gatewayapi.HTTPRoute{ObjectMeta: named()}
		s.HTTPRoute.Spec.Hostnames, s.HTTPRoute.Spec.ParentRefs = []gatewayv1.Hostname{"wx.example.com"}, render.ParentRefs(s.Endpoint)
		rule := gatewayapi.HTTPRouteRule{}
		for _, route := range render.Routes(s.Endpoint) {
			rule.Matches = append(rule.Matches, gatewayapi.HTTPRouteMatch{Path: &gatewayv1.HTTPPathMatch{Type: new(route.MatchType()), Value: &route.Path}})
		}
		s.HTTPRoute.Spec.Rules = []gatewayapi.HTTPRouteRule{rule}
		s.Gateways = map[types.NamespacedName]*gatewayapi.Gateway{}
		for i, parent := range s.HTTPRoute.Spec.ParentRefs {
			s.HTTPRoute.Status.Parents = append(s.HTTPRoute.Status.Parents, gatewayapi.ParentStatus{ParentRef: parent, Conditions: []metav1.Condition{
				{Type: "Accepted", Status: metav1.ConditionTrue, ObservedGeneration: 3, LastTransitionTime: metav1.NewTime(now.Add(-time.Duration(i+1) * time.Minute))},
				{Type: "ResolvedRefs", Status: metav1.ConditionTrue, ObservedGeneration: 3, LastTransitionTime: metav1.NewTime(now.Add(-time.Hour))},
			}})
			gateway := &gatewayapi.Gateway{}
			gateway.Spec.GatewayClassName = "any"
			s.Gateways[types.NamespacedName{Namespace: string(*parent.Namespace), Name: string(parent.Name)}] = gateway
		}
	}}, edits...))
}

// silent takes the first Gateway's answer away.
func silent(s *snapshot.Snapshot) { s.HTTPRoute.Status.Parents = s.HTTPRoute.Status.Parents[1:] }

func accepted(edit func(*metav1.Condition)) edit {
	return func(s *snapshot.Snapshot) { edit(&s.HTTPRoute.Status.Parents[1].Conditions[0]) }
}

func listening(gateway string, listeners ...gatewayapi.Listener) edit {
	return func(s *snapshot.Snapshot) {
		for name, g := range s.Gateways {
			if name.Name == gateway {
				g.Spec.Listeners, g.Status.Addresses = listeners, []gatewayapi.Address{{Value: gateway + ".example.com"}}
			}
		}
	}
}

func TestWhetherAnHTTPRoutePublishesTheURL(t *testing.T) {
	since := func(d time.Duration) Route {
		return Route{Kind: v1alpha1.ExposureHTTPRoute, SettlesIn: 5*time.Second - d}
	}
	at := func(address string, secure bool) Route {
		route := since(time.Minute)
		route.Address, route.Secure = address, secure
		return route
	}
	https := gatewayapi.Listener{Name: "web", Protocol: gatewayv1.HTTPSProtocolType}
	of := func(listener gatewayapi.Listener, host gatewayv1.Hostname) gatewayapi.Listener {
		listener.Hostname = &host
		return listener
	}
	for name, test := range map[string]struct {
		options options
		s       *snapshot.Snapshot
		want    Route
		reason  string
		message string
	}{
		"every Gateway has accepted it":             {options{}, withHTTPRoute(), since(time.Minute), "", ""},
		"one accepted it just now":                  {options{}, withHTTPRoute(accepted(func(c *metav1.Condition) { c.LastTransitionTime = metav1.NewTime(now) })), since(0), "", ""},
		"the cluster knows no HTTPRoutes":           {options{}, withHTTPRoute(func(s *snapshot.Snapshot) { s.GatewayAPI = false }), Route{}, v1alpha1.ReasonGatewayAPINotFound, "or set url.exposure to Ingress"},
		"there is none":                             {options{}, withHTTPRoute(func(s *snapshot.Snapshot) { s.HTTPRoute = nil }), Route{}, v1alpha1.ReasonWaiting, ""},
		"it is somebody else's":                     {options{}, withHTTPRoute(func(s *snapshot.Snapshot) { s.Children[0].Owned = false }), Route{}, v1alpha1.ReasonWaiting, ""},
		"it publishes another host":                 {options{}, withHTTPRoute(func(s *snapshot.Snapshot) { s.HTTPRoute.Spec.Hostnames = []gatewayv1.Hostname{"a"} }), Route{}, v1alpha1.ReasonWaiting, ""},
		"it publishes half of the paths":            {options{}, withHTTPRoute(func(s *snapshot.Snapshot) { s.HTTPRoute.Spec.Rules[0].Matches = s.HTTPRoute.Spec.Rules[0].Matches[:1] }), Route{}, v1alpha1.ReasonWaiting, ""},
		"it hangs on another Gateway":               {options{}, withHTTPRoute(func(s *snapshot.Snapshot) { s.HTTPRoute.Spec.ParentRefs = s.HTTPRoute.Spec.ParentRefs[:1] }), Route{}, v1alpha1.ReasonWaiting, ""},
		"a Gateway does not exist":                  {options{}, withHTTPRoute(silent, func(s *snapshot.Snapshot) { s.Gateways = nil }), Route{}, v1alpha1.ReasonGatewayNotFound, "Gateway team-a/edge does not exist"},
		"a Gateway has not answered":                {options{}, withHTTPRoute(silent), Route{}, v1alpha1.ReasonRouteNotAccepted, "whether the controller of GatewayClass any runs"},
		"a Gateway that cannot be seen has not":     {options{Namespaces: []string{"other"}}, withHTTPRoute(silent), Route{}, v1alpha1.ReasonRouteNotAccepted, "this installation cannot see whether it exists"},
		"a Gateway has answered for an earlier one": {options{}, withHTTPRoute(accepted(func(c *metav1.Condition) { c.ObservedGeneration = 2 })), Route{}, v1alpha1.ReasonRouteNotAccepted, "Gateway platform/inner has not answered for the newest"},
		"a Gateway does not accept it":              {options{}, withHTTPRoute(accepted(func(c *metav1.Condition) { c.Status, c.Reason, c.Message = "False", "NotAllowed", "no listener" })), Route{}, v1alpha1.ReasonRouteNotAccepted, "(NotAllowed: no listener): correct url.host"},
		"a Gateway says nothing of the backend": {options{}, withHTTPRoute(func(s *snapshot.Snapshot) {
			s.HTTPRoute.Status.Parents[0].Conditions = s.HTTPRoute.Status.Parents[0].Conditions[:1]
		}), Route{}, v1alpha1.ReasonRouteNotAccepted, ""},
		"a Gateway answers with what is left out": {options{}, withHTTPRoute(func(s *snapshot.Snapshot) {
			s.HTTPRoute.Status.Parents[0].ParentRef = gatewayv1.ParentReference{Name: "edge"}
		}), since(time.Minute), "", ""},
		"a Gateway has an address":             {options{}, withHTTPRoute(listening("edge")), at("edge.example.com", false), "", ""},
		"one of two ends TLS: that one counts": {options{}, withHTTPRoute(listening("edge"), listening("inner", https)), at("inner.example.com", true), "", ""},
		"another listener ends TLS":            {options{}, withHTTPRoute(listening("inner", gatewayapi.Listener{Name: "other", Protocol: gatewayv1.HTTPSProtocolType})), at("inner.example.com", false), "", ""},
		"the listener is of the host":          {options{}, withHTTPRoute(listening("edge", of(https, "wx.example.com"))), at("edge.example.com", true), "", ""},
		"the listener is of all below":         {options{}, withHTTPRoute(listening("edge", of(https, "*.example.com"))), at("edge.example.com", true), "", ""},
		"the listener is of another host":      {options{}, withHTTPRoute(listening("edge", of(https, "www.example.com"))), at("edge.example.com", false), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, problem := Judge(&test.options, test.s, true)
			wantProblem(t, problem, test.reason, test.message)
			if got != test.want {
				t.Errorf("the route is %+v, want %+v", got, test.want)
			}
		})
	}
}

// TestTheOldRouteGoesLast: only what the endpoint owns, and only while another kind publishes the URL.
func TestTheOldRouteGoesLast(t *testing.T) {
	old := snapshot.Child{Kind: "Ingress", Name: "shop-sidecar", Route: true, Owned: true}
	foreign, deleting, other := old, old, old
	foreign.Owned, deleting.Deleting, other.Route = false, true, false
	for name, test := range map[string]struct {
		child snapshot.Child
		now   v1alpha1.Exposure
		want  int
	}{
		"an HTTPRoute has replaced it": {old, v1alpha1.ExposureHTTPRoute, 1},
		"it publishes the URL itself":  {old, v1alpha1.ExposureIngress, 0},
		"nothing publishes the URL":    {old, "", 0},
		"it is somebody else's":        {foreign, v1alpha1.ExposureHTTPRoute, 0},
		"it goes already":              {deleting, v1alpha1.ExposureHTTPRoute, 0},
		"it is no route":               {other, v1alpha1.ExposureHTTPRoute, 0},
	} {
		s := &snapshot.Snapshot{Children: []snapshot.Child{test.child}}
		if got := Left(s, Route{Kind: test.now}); len(got) != test.want {
			t.Errorf("%s: left are %v", name, got)
		}
	}
}

func TestTheSchemeOfTheURL(t *testing.T) {
	https := gatewayapi.Listener{Name: "web", Protocol: gatewayv1.HTTPSProtocolType}
	for name, test := range map[string]struct {
		s    *snapshot.Snapshot
		want v1alpha1.Scheme
	}{
		"an Ingress": {withIngress(), v1alpha1.SchemeHTTP},
		"an Ingress with a certificate": {withIngress(func(s *snapshot.Snapshot) {
			s.Endpoint.Spec.URL.Ingress = &v1alpha1.IngressExposure{TLSSecretName: "tls"}
		}), v1alpha1.SchemeHTTPS},
		"a Gateway that ends TLS": {withHTTPRoute(listening("edge", https)), v1alpha1.SchemeHTTPS},
		"a Gateway that does not": {withHTTPRoute(listening("edge")), v1alpha1.SchemeHTTP},
		"the spec says it":        {withHTTPRoute(func(s *snapshot.Snapshot) { s.Endpoint.Spec.URL.Scheme = v1alpha1.SchemeHTTPS }), v1alpha1.SchemeHTTPS},
		"the user routes the URL": {newSnapshot(v1alpha1.ExposureNone, nil), v1alpha1.SchemeHTTP},
	} {
		if got := Scheme(test.s); got != test.want {
			t.Errorf("%s: the scheme is %s, want %s", name, got, test.want)
		}
	}
}

func TestWhatIsSaidOfTheWayThroughTheAddress(t *testing.T) {
	route := Route{Kind: v1alpha1.ExposureIngress, Address: "203.0.113.7"}
	private := &probe.NotAllowedError{Address: netip.MustParseAddr("10.0.0.1"), Private: true}
	local := &probe.NotAllowedError{Address: netip.MustParseAddr("127.0.0.1")}
	for name, test := range map[string]struct {
		err     error
		since   time.Duration
		status  metav1.ConditionStatus
		reason  string
		message string
		again   verdict.Again // if it was said for a minute
	}{
		"it leads to the pods":                    {nil, time.Hour, metav1.ConditionTrue, v1alpha1.ReasonReachable, "through 203.0.113.7", verdict.Never},
		"it does not":                             {errors.New("404"), time.Hour, metav1.ConditionFalse, v1alpha1.ReasonNotReachable, "(404): see the ingress controller's log", verdict.In(15 * time.Second)},
		"it does not yet":                         {errors.New("404"), 10 * time.Second, metav1.ConditionUnknown, v1alpha1.ReasonProgressing, "the route is new", verdict.In(15 * time.Second)},
		"an address of a private network":         {private, time.Hour, metav1.ConditionUnknown, v1alpha1.ReasonAddressNotAllowed, "add the network to loadBalancerNetworks", verdict.Never},
		"an address that no route should publish": {local, 0, metav1.ConditionUnknown, v1alpha1.ReasonAddressNotAllowed, "ask the platform team what publishes it", verdict.Never},
	} {
		t.Run(name, func(t *testing.T) {
			got := Reached(withIngress().Endpoint, route, test.err, test.since)
			if got.Status != test.status || got.Reason != test.reason || !strings.Contains(got.Message, test.message) {
				t.Errorf("said is %+v", got)
			}
			if again := ReachAgain(got, time.Minute); again != test.again {
				t.Errorf("tried again %+v, want %+v", again, test.again)
			}
		})
	}
}

// TestWhatCouldBePublished asks before the route is written.
func TestWhatCouldBePublished(t *testing.T) {
	web := gatewayapi.Listener{Name: "web", Protocol: gatewayv1.HTTPProtocolType}
	of := func(change func(*gatewayapi.Listener)) []edit {
		l := web
		change(&l)
		return []edit{listening("edge", l), listening("inner", allowing(web, gatewayv1.NamespacesFromAll))}
	}
	well := of(func(*gatewayapi.Listener) {})
	for name, test := range map[string]struct {
		options options
		s       *snapshot.Snapshot
		reason  string // empty where nothing is known against it
		message string
	}{
		"an Ingress of a class that exists":         {options{}, withIngress(), "", ""},
		"an Ingress of a class that does not":       {options{}, withIngress(class("other")), v1alpha1.ReasonIngressClassNotFound, "other does not exist"},
		"an Ingress whose certificate is missing":   {options{}, withIngress(class("edge"), func(s *snapshot.Snapshot) { s.MissingTLS = true }), v1alpha1.ReasonTLSSecretNotFound, "correct url.ingress.tlsSecretName"},
		"what the user routes":                      {options{}, newSnapshot(v1alpha1.ExposureNone, nil), "", ""},
		"an HTTPRoute of two Gateways that take it": {options{}, withHTTPRoute(well...), "", ""},
		"the cluster knows no HTTPRoutes":           {options{}, withHTTPRoute(append(slices.Clone(well), func(s *snapshot.Snapshot) { s.GatewayAPI = false })...), v1alpha1.ReasonGatewayAPINotFound, ""},
		"a Gateway that does not exist":             {options{}, withHTTPRoute(append(slices.Clone(well), func(s *snapshot.Snapshot) { s.Gateways = nil })...), v1alpha1.ReasonGatewayNotFound, "team-a/edge does not exist"},
		"a Gateway that cannot be seen": {options{Namespaces: []string{"team-a"}}, withHTTPRoute(append(slices.Clone(well), func(s *snapshot.Snapshot) {
			delete(s.Gateways, types.NamespacedName{Namespace: "platform", Name: "inner"})
		})...), "", ""},
		"a listener that does not exist":            {options{}, withHTTPRoute(append(slices.Clone(well), listening("inner", allowing(gatewayapi.Listener{Name: "other", Protocol: web.Protocol}, gatewayv1.NamespacesFromAll)))...), v1alpha1.ReasonRouteNotAccepted, "platform/inner has no listener web that"},
		"a listener of another protocol":            {options{}, withHTTPRoute(of(func(l *gatewayapi.Listener) { l.Protocol = gatewayv1.TLSProtocolType })...), v1alpha1.ReasonRouteNotAccepted, "team-a/edge has no listener that"},
		"a listener of HTTPS":                       {options{}, withHTTPRoute(of(func(l *gatewayapi.Listener) { l.Protocol = gatewayv1.HTTPSProtocolType })...), "", ""},
		"a listener of another host":                {options{}, withHTTPRoute(of(func(l *gatewayapi.Listener) { l.Hostname = new(gatewayv1.Hostname("a.example.com")) })...), v1alpha1.ReasonRouteNotAccepted, ""},
		"a listener of every host below":            {options{}, withHTTPRoute(of(func(l *gatewayapi.Listener) { l.Hostname = new(gatewayv1.Hostname("*.example.com")) })...), "", ""},
		"a listener that takes its own namespace's": {options{}, withHTTPRoute(append(slices.Clone(well), listening("inner", web))...), v1alpha1.ReasonRouteNotAccepted, "platform/inner"},
		"a listener that takes nobody's":            {options{}, withHTTPRoute(append(slices.Clone(well), listening("inner", allowing(web, "None")))...), v1alpha1.ReasonRouteNotAccepted, ""},
		"a listener whose selector is not known":    {options{}, withHTTPRoute(append(slices.Clone(well), listening("inner", allowing(web, gatewayv1.NamespacesFromSelector)))...), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			wantProblem(t, Unprogrammable(&test.options, test.s), test.reason, test.message)
		})
	}
}

// allowing is a listener that takes routes from these namespaces.
func allowing(listener gatewayapi.Listener, from gatewayv1.FromNamespaces) gatewayapi.Listener {
	listener.AllowedRoutes = &gatewayapi.AllowedRoutes{Namespaces: &gatewayapi.RouteNamespaces{From: &from}}
	return listener
}
