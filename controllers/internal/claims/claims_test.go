// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/installation"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/status"
)

const host = "wx.example.com"

type endpoint = v1alpha1.WeChatEndpoint

// asking is an endpoint, made as many minutes after the first, that asks for a path of the host, and for files.
func asking(name, path string, minute int, files ...string) *endpoint {
	namespace, short, _ := strings.Cut(name, "/")
	e := &endpoint{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: short, UID: types.UID(name), Generation: 1, CreationTimestamp: metav1.NewTime(time.Date(2026, 11, 20, 12, minute, 0, 0, time.UTC))},
		Spec:       v1alpha1.WeChatEndpointSpec{Platform: "Shop", URL: v1alpha1.CallbackURL{Host: host, Path: path, Exposure: v1alpha1.ExposureIngress}},
	}
	for _, file := range files {
		e.Spec.DomainFiles = append(e.Spec.DomainFiles, v1alpha1.DomainFile{Name: file})
	}
	return e
}

// publishing has published what it asks for, and then does something else.
func publishing(e *endpoint, then ...func(*endpoint)) *endpoint {
	e.Status.Published = With(e.Status.Published, e, e.Spec.URL.Exposure)
	for _, edit := range then {
		e.Generation++
		edit(e)
	}
	return e
}

func moves(path string) func(*endpoint) { return func(e *endpoint) { e.Spec.URL.Path = path } }
func leaves(e *endpoint)                { e.Spec.URL.Host = "elsewhere.example.com" }
func unexposed(e *endpoint)             { e.Spec.URL.Exposure = v1alpha1.ExposureNone }
func unreadable(e *endpoint) {
	e.Spec = v1alpha1.WeChatEndpointSpec{Unreadable: []string{"spec is no object"}}
}
func deleting(e *endpoint) { e.DeletionTimestamp = &metav1.Time{Time: time.Now()} }
func loses(e *endpoint)    { e.Status = v1alpha1.WeChatEndpointStatus{} }
func addsFile(name string) func(*endpoint) {
	return func(e *endpoint) { e.Spec.DomainFiles = append(e.Spec.DomainFiles, v1alpha1.DomainFile{Name: name}) }
}

// on is an endpoint that asks for the gateway, with the query.
func on(gateway, query string, e *endpoint) *endpoint {
	e.Spec.Gateway, e.Spec.URL.Query = &v1alpha1.GatewayReference{Name: gateway}, query
	return e
}

func leadsTo(deployment string) func(*endpoint) {
	return func(e *endpoint) { e.Status.Fleet.LeadsTo = deployment }
}
func away(e *endpoint) { e.Spec.Gateway = nil }

// TestJudge: a row is what another endpoint of the host is and did, and why the endpoint of team-b at /weixin, made in minute 1, is refused.
func TestJudge(t *testing.T) {
	const conflict, forbidden = v1alpha1.ReasonURLConflict, v1alpha1.ReasonHostNotAllowed
	mine := func() *endpoint { return asking("team-b/mine", "/weixin", 1, "a.txt") }
	for name, test := range map[string]struct {
		mine    *endpoint
		rival   *endpoint
		allowed [2]installation.Allowance // mine, the rival's
		want    string
	}{
		"nobody else is of this host":                        {mine: mine(), rival: publishing(asking("team-b/first", "/weixin", 0), leaves, loses), want: ""},
		"an older one of the team asks for the path":         {mine: mine(), rival: asking("team-b/first", "/weixin", 0), want: conflict},
		"an older one asks for the path with a slash":        {mine: mine(), rival: asking("team-b/first", "/weixin/", 0), want: conflict},
		"an older one asks for all below":                    {mine: mine(), rival: asking("team-b/first", "/weixin/$APPID$", 0), want: conflict},
		"an older one asks for all of the host":              {mine: mine(), rival: asking("team-b/first", "/$APPID$/callback", 0), want: conflict},
		"an older one asks for the root":                     {mine: mine(), rival: asking("team-b/first", "/", 0), want: ""},
		"a younger one has published all of the host":        {mine: mine(), rival: publishing(asking("team-b/last", "/$APPID$", 2)), want: conflict},
		"an older one asks for the file":                     {mine: mine(), rival: asking("team-b/first", "/other", 0, "a.txt"), want: conflict},
		"a younger one asks for the path":                    {mine: mine(), rival: asking("team-b/last", "/weixin", 2), want: ""},
		"a younger one has published it":                     {mine: mine(), rival: publishing(asking("team-b/last", "/weixin", 2)), want: conflict},
		"a younger one has published the file":               {mine: mine(), rival: publishing(asking("team-b/last", "/other", 2, "a.txt")), want: conflict},
		"who has published holds against the older":          {mine: publishing(mine()), rival: asking("team-b/first", "/weixin", 0), want: ""},
		"and keeps the file":                                 {mine: publishing(mine()), rival: publishing(asking("team-b/first", "/other", 0), addsFile("a.txt")), want: ""},
		"but not a file that came later":                     {mine: publishing(asking("team-b/mine", "/weixin", 1), addsFile("a.txt")), rival: publishing(asking("team-b/last", "/other", 2, "a.txt")), want: conflict},
		"nor another path":                                   {mine: publishing(asking("team-b/mine", "/first", 1), moves("/weixin")), rival: publishing(asking("team-b/last", "/weixin", 2)), want: conflict},
		"of what both have published the older one keeps it": {mine: publishing(mine()), rival: publishing(asking("team-b/first", "/weixin", 0)), want: conflict},
		"what was published is held until it is given up":    {mine: mine(), rival: publishing(asking("team-b/last", "/weixin", 2), moves("/other")), want: conflict},
		"on another host too":                                {mine: mine(), rival: publishing(asking("team-b/last", "/weixin", 2), leaves), want: conflict},
		"by one that asks for no route any more":             {mine: mine(), rival: publishing(asking("team-b/last", "/weixin", 2), unexposed), want: conflict},
		"by one whose spec cannot be read":                   {mine: mine(), rival: publishing(asking("team-b/last", "/weixin", 2), unreadable), want: conflict},
		"by one that is about to be deleted":                 {mine: mine(), rival: publishing(asking("team-b/last", "/weixin", 2), deleting), want: conflict},
		"a status that is lost lends no right":               {mine: mine(), rival: publishing(asking("team-b/last", "/weixin", 2), loses), want: ""},
		"nor does it to mine":                                {mine: publishing(mine(), loses), rival: asking("team-b/first", "/weixin", 0), want: conflict},
		"who asks for no route asks for nothing":             {mine: mine(), rival: func() *endpoint { e := asking("team-b/first", "/weixin", 0); unexposed(e); return e }(), want: ""},
		"what cannot be read asks for nothing":               {mine: mine(), rival: func() *endpoint { e := asking("team-b/first", "/weixin", 0); unreadable(e); return e }(), want: ""},
		"who is about to be deleted asks for nothing":        {mine: mine(), rival: func() *endpoint { e := asking("team-b/first", "/weixin", 0); deleting(e); return e }(), want: ""},

		"one gateway serves both, and the queries differ":            {mine: publishing(on("front", "a=1", mine())), rival: publishing(on("front", "a=2", asking("team-b/first", "/weixin", 0))), want: ""},
		"likewise, and one has no query":                             {mine: on("front", "", mine()), rival: publishing(on("front", "a=2", asking("team-b/first", "/weixin", 0))), want: ""},
		"one gateway serves both, and the queries are the same":      {mine: on("front", "a=1", mine()), rival: publishing(on("front", "a=1", asking("team-b/first", "/weixin", 0))), want: conflict},
		"the queries differ, and the paths overlap otherwise":        {mine: on("front", "a=1", mine()), rival: publishing(on("front", "a=2", asking("team-b/first", "/weixin/", 0))), want: conflict},
		"the queries differ, and a file is the same":                 {mine: on("front", "a=1", mine()), rival: publishing(on("front", "a=2", asking("team-b/first", "/weixin", 0, "a.txt"))), want: conflict},
		"two gateways serve them":                                    {mine: on("front", "a=1", mine()), rival: publishing(on("back", "a=2", asking("team-b/first", "/weixin", 0))), want: conflict},
		"the other one has pods of its own":                          {mine: on("front", "a=1", mine()), rival: publishing(asking("team-b/first", "/weixin", 0)), want: conflict},
		"the other one still moves there":                            {mine: on("front", "a=1", mine()), rival: publishing(on("front", "a=2", asking("team-b/first", "/weixin", 0)), leadsTo("first-sidecar")), want: conflict},
		"both move to another gateway, and the older one is there":   {mine: publishing(on("back", "a=1", mine()), leadsTo("front-wechat-gateway")), rival: publishing(on("back", "a=2", asking("team-b/first", "/weixin", 0)), leadsTo("back-wechat-gateway")), want: ""},
		"both were served by one, and mine leaves, which is younger": {mine: publishing(on("front", "a=1", mine()), leadsTo("front-wechat-gateway"), away), rival: publishing(on("front", "a=2", asking("team-b/first", "/weixin", 0))), want: conflict},
		"both were served by one, and mine leaves, which is older":   {mine: publishing(on("front", "a=1", mine()), leadsTo("front-wechat-gateway"), away), rival: publishing(on("front", "a=2", asking("team-b/last", "/weixin", 2))), want: conflict},
		"both were served by one, and the older one leaves":          {mine: publishing(on("front", "a=1", mine()), leadsTo("front-wechat-gateway")), rival: publishing(on("front", "a=2", asking("team-b/first", "/weixin", 0)), leadsTo("front-wechat-gateway"), away), want: ""},

		"the host is another namespace's":             {mine: mine(), rival: asking("team-c/first", "/other", 0), want: forbidden},
		"who has published there owns it":             {mine: mine(), rival: publishing(asking("team-c/last", "/other", 2)), want: forbidden},
		"until it is given up":                        {mine: mine(), rival: publishing(asking("team-c/last", "/other", 2), leaves), want: forbidden},
		"not who was made later":                      {mine: mine(), rival: asking("team-c/last", "/other", 2), want: ""},
		"nor who asks for another host":               {mine: mine(), rival: func() *endpoint { e := asking("team-c/first", "/other", 0); leaves(e); return e }(), want: ""},
		"who published first holds against the older": {mine: publishing(mine()), rival: asking("team-c/first", "/other", 0), want: ""},

		"a stranger was there first":                 {mine: mine(), rival: asking("team-c/first", "/weixin", 0), allowed: [2]installation.Allowance{installation.Named, installation.Forbidden}, want: ""},
		"one who may use it as everybody may":        {mine: mine(), rival: asking("team-c/first", "/weixin", 0), allowed: [2]installation.Allowance{installation.Named, installation.FirstCome}, want: ""},
		"who had published before the map was":       {mine: mine(), rival: publishing(asking("team-c/first", "/weixin", 0)), allowed: [2]installation.Allowance{installation.Named, installation.Forbidden}, want: conflict},
		"and now asks for more":                      {mine: mine(), rival: publishing(asking("team-c/first", "/other", 0), moves("/weixin")), allowed: [2]installation.Allowance{installation.Named, installation.Forbidden}, want: ""},
		"another team that it is given to":           {mine: mine(), rival: asking("team-c/first", "/weixin", 0), allowed: [2]installation.Allowance{installation.Named, installation.Named}, want: conflict},
		"an older endpoint of the same team":         {mine: mine(), rival: asking("team-b/first", "/weixin", 0), allowed: [2]installation.Allowance{installation.Named, installation.Named}, want: conflict},
		"a stranger on another path of the host":     {mine: mine(), rival: publishing(asking("team-c/first", "/other", 0)), allowed: [2]installation.Allowance{installation.Named, installation.Forbidden}, want: ""},
		"a younger one of another team, unpublished": {mine: mine(), rival: asking("team-c/last", "/weixin", 2), allowed: [2]installation.Allowance{installation.Named, installation.Named}, want: ""},
		"the map forbids it":                         {mine: mine(), rival: asking("team-b/first", "/other", 0), allowed: [2]installation.Allowance{installation.Forbidden, installation.Forbidden}, want: forbidden},
		"the map forbids what had been published":    {mine: publishing(mine()), rival: asking("team-b/first", "/other", 0), allowed: [2]installation.Allowance{installation.Forbidden, installation.Forbidden}, want: forbidden},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if problem := Judge(Contender{test.mine, test.allowed[0]}, []Contender{{test.rival, test.allowed[1]}}); problem != nil {
				got = problem.Reason
			}
			if got != test.want {
				t.Errorf("refused for %q, want %q", got, test.want)
			}
			isOfHost := slices.Contains(Hosts(test.rival), host)
			if test.want != "" && test.allowed[0] != installation.Forbidden && !isOfHost {
				t.Errorf("the index does not find the rival by the host: %v", Hosts(test.rival))
			}
		})
	}
}

// TestTheLoserIsToldWhatConcernsIt: not who it is in another namespace.
func TestTheLoserIsToldWhatConcernsIt(t *testing.T) {
	mine := Contender{asking("team-b/mine", "/weixin/$APPID$", 1), installation.Named}
	for rival, want := range map[string]string{
		"team-b/first": "a path below wx.example.com/weixin is held by WeChatEndpoint first: choose another host, path or domain file, or delete the other endpoint",
		"team-c/first": "a path below wx.example.com/weixin is held by an endpoint in another namespace: choose another host, path or domain file, or delete the other endpoint",
	} {
		err := Judge(mine, []Contender{{asking(rival, "/weixin/a", 0), installation.Named}})
		if err == nil || err.Message != want {
			t.Errorf("told is %v, want %q", err, want)
		}
	}
	mine.Spec.URL.Path, mine.Spec.URL.Query = "/weixin", "id=5"
	err := Judge(mine, []Contender{{asking("team-b/first", "/weixin", 0), installation.Named}})
	if want := "wx.example.com/weixin is held by WeChatEndpoint first: two endpoints of one path are told apart by url.query only where one WeChatGateway serves both: name the same in gateway.name, choose another host"; err == nil || !strings.HasPrefix(err.Message, want) {
		t.Errorf("told is %v, want %q", err, want)
	}
	bare := Contender{asking("team-b/mine", "/weixin", 1), installation.Forbidden}
	bare.Spec.URL.Host = ""
	if err := Judge(bare, nil); err == nil || !strings.HasPrefix(err.Message, "url.host * is not given to namespace team-b") {
		t.Errorf("told is %v", err)
	}
}

// TestPublishedIsWrittenDownAsItWasMade, by one object, and by a second one while the exposure changes.
func TestPublishedIsWrittenDownAsItWasMade(t *testing.T) {
	e := publishing(asking("team-b/mine", "/weixin", 0, "a.txt"))
	ingress := v1alpha1.PublishedRoute{By: "Ingress", Host: host, Paths: []string{"/weixin", "/weixin/", "/a.txt"}}
	if diff := cmp.Diff([]v1alpha1.PublishedRoute{ingress}, e.Status.Published); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	e.Spec.URL.Path, e.Spec.DomainFiles = "/wecom/$CORPID$", nil
	if Covers(status.Published(e), e, "Ingress") {
		t.Error("it publishes what it only asks for")
	}
	e.Status.Published = With(e.Status.Published, e, "HTTPRoute")
	if !Covers(status.Published(e), e, "HTTPRoute") || Covers(status.Published(e), e, "Ingress") {
		t.Error("it does not publish what it has published, or by another object")
	}
	route := v1alpha1.PublishedRoute{By: "HTTPRoute", Host: host, Paths: []string{"/wecom/*"}}
	if diff := cmp.Diff([]v1alpha1.PublishedRoute{route, ingress}, e.Status.Published); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	again := e.DeepCopy()
	if again.Status.Published = With(again.Status.Published, again, "HTTPRoute"); !cmp.Equal(e.Status, again.Status) {
		t.Errorf("the same is written otherwise: %+v", again.Status.Published)
	}
	if diff := cmp.Diff([]v1alpha1.PublishedRoute{route}, Without(e.Status.Published, "Ingress")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	e.Spec.URL.Host = "elsewhere.example.com"
	if Covers(status.Published(e), e, "HTTPRoute") {
		t.Error("it publishes a path of another host")
	}
	if diff := cmp.Diff([]string{"elsewhere.example.com", host}, Hosts(e)); diff != "" {
		t.Errorf("hosts -want +got:\n%s", diff)
	}
}

func TestReleased(t *testing.T) {
	for name, test := range map[string]struct {
		then func(*endpoint)
		want bool
	}{
		"nothing":             {func(*endpoint) {}, false},
		"a spec that changes": {moves("/other"), false},
		"another path":        {func(e *endpoint) { moves("/other")(e); e.Status.Published = With(e.Status.Published, e, "Ingress") }, true},
		"one file more":       {func(e *endpoint) { addsFile("b.txt")(e); e.Status.Published = With(e.Status.Published, e, "Ingress") }, false},
		"one file less": {func(e *endpoint) {
			e.Spec.DomainFiles = nil
			e.Status.Published = With(e.Status.Published, e, "Ingress")
		}, true},
		"another host":      {func(e *endpoint) { leaves(e); e.Status.Published = With(e.Status.Published, e, "Ingress") }, true},
		"no route":          {func(e *endpoint) { e.Status.Published = nil }, true},
		"another object":    {func(e *endpoint) { e.Status.Published = With(e.Status.Published, e, "HTTPRoute") }, false},
		"that object alone": {func(e *endpoint) { e.Status.Published = With(e.Status.Published, e, "HTTPRoute")[:1] }, false},
		"all below, and not": {func(e *endpoint) {
			moves("/weixin/$APPID$")(e)
			e.Status.Published = With(e.Status.Published, e, "Ingress")
		}, true},
		"a status that is odd": {func(e *endpoint) { e.Status = v1alpha1.WeChatEndpointStatus{Unreadable: []string{"status"}} }, true},
	} {
		t.Run(name, func(t *testing.T) {
			before := publishing(asking("team-b/mine", "/weixin", 0, "a.txt"))
			after := before.DeepCopy()
			test.then(after)
			if got := Released(before, after); got != test.want {
				t.Errorf("released: %v, want %v", got, test.want)
			}
		})
	}
}

// TestAStatusOfBeforeIsReadByItsConditions: an operator that did not write down what it published has told it by them.
func TestAStatusOfBeforeIsReadByItsConditions(t *testing.T) {
	all, url := []string{"/weixin", "/weixin/", "/a.txt"}, []string{"/weixin", "/weixin/"}
	for name, test := range map[string]struct {
		then func(*endpoint)
		want []string
	}{
		"of this spec":                  {func(*endpoint) {}, all},
		"of an earlier one":             {func(e *endpoint) { e.Generation++ }, url},
		"with a file that came since":   {func(e *endpoint) { e.Generation++; addsFile("b.txt")(e) }, url},
		"paused, so that it may not be": {func(e *endpoint) { setReason(e, v1alpha1.ConditionAccepted, "True", v1alpha1.ReasonPaused) }, url},
		"refused meanwhile":             {func(e *endpoint) { setReason(e, v1alpha1.ConditionAccepted, "False", v1alpha1.ReasonHostNotAllowed) }, url},
		"of another URL":                {moves("/other"), nil},
		"of another host":               {leaves, nil},
		"not programmed": {func(e *endpoint) {
			setReason(e, v1alpha1.ConditionRouteProgrammed, "False", v1alpha1.ReasonIngressClassNotFound)
		}, nil},
		"of none that is published": {func(e *endpoint) {
			setReason(e, v1alpha1.ConditionRouteProgrammed, "True", v1alpha1.ReasonNotPublished)
		}, nil},
		"of one that asks for none any more": {unexposed, all},
		"that was written down since": {func(e *endpoint) {
			e.Status.Published = []v1alpha1.PublishedRoute{{By: "Ingress", Host: host, Paths: url}}
		}, url},
	} {
		t.Run(name, func(t *testing.T) {
			e := asking("team-b/mine", "/weixin", 0, "a.txt")
			e.Status.URL, e.Status.ObservedGeneration = "https://"+host+"/weixin", 1
			setReason(e, v1alpha1.ConditionAccepted, "True", v1alpha1.ReasonAccepted)
			setReason(e, v1alpha1.ConditionRouteProgrammed, "True", v1alpha1.ReasonRouteProgrammed)
			test.then(e)
			var got []string
			for _, route := range status.Published(e) {
				got = append(got, route.Paths...)
				if route.By != "Ingress" || route.Host != host {
					t.Errorf("published is %+v", route)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if len(e.Spec.DomainFiles) == 0 {
				t.Error("the endpoint itself was changed")
			}
		})
	}
}

func setReason(e *endpoint, condition string, status metav1.ConditionStatus, reason string) {
	apimeta.SetStatusCondition(&e.Status.Conditions, metav1.Condition{Type: condition, Status: status, Reason: reason, ObservedGeneration: e.Generation})
}

// TestHalfOfAURLIsNotPublished: the path and its twin with a slash, and every domain file, or nothing.
func TestHalfOfAURLIsNotPublished(t *testing.T) {
	e := asking("team-b/mine", "/weixin", 0, "a.txt")
	whole := With(nil, e, "Ingress")
	for i := range whole[0].Paths {
		half := []v1alpha1.PublishedRoute{{By: "Ingress", Host: host, Paths: slices.Delete(slices.Clone(whole[0].Paths), i, i+1)}}
		if Covers(half, e, "Ingress") {
			t.Errorf("without %s the URL counts as published", whole[0].Paths[i])
		}
	}
	if !Covers(whole, e, "Ingress") {
		t.Errorf("all of it does not: %v", whole)
	}
}

// TestAHostThatIsGivenIsNotSquatted: whoever the map does not give the host to cannot keep a path from those that it does.
func TestAHostThatIsGivenIsNotSquatted(t *testing.T) {
	toB, toBoth := installation.Hosts{host: {"team-b"}}, installation.Hosts{host: {"team-b", "team-c"}}
	for name, test := range map[string]struct {
		hosts installation.Hosts
		rival *endpoint
		want  string // the reason of the refusal
	}{
		"a stranger was there first":             {toB, asking("team-c/first", "/weixin", 0), ""},
		"one who may use it as everybody may":    {installation.Hosts{host: {"team-b", installation.EveryNamespace}}, asking("team-c/first", "/weixin", 0), ""},
		"who had published before the map was":   {toB, publishing(asking("team-c/first", "/weixin", 0)), v1alpha1.ReasonURLConflict},
		"another team that it is given to":       {toBoth, asking("team-c/first", "/weixin", 0), v1alpha1.ReasonURLConflict},
		"an older endpoint of the same team":     {toB, asking("team-b/first", "/weixin", 0), v1alpha1.ReasonURLConflict},
		"a stranger on another path of the host": {toB, publishing(asking("team-c/first", "/other", 0)), ""},
		"nobody is given it":                     {installation.Hosts{"*": {"team-c"}}, asking("team-c/first", "/other", 0), v1alpha1.ReasonHostNotAllowed},
		"there is no map, and it is another's":   {nil, asking("team-c/first", "/other", 0), v1alpha1.ReasonHostNotAllowed},
	} {
		t.Run(name, func(t *testing.T) {
			if problem := Check(test.hosts, asking("team-b/shop", "/weixin", 1), []*endpoint{test.rival}); problem.Is(test.want) != (test.want != "") || test.want == "" && problem != nil {
				t.Errorf("refused is %+v, want %q", problem, test.want)
			}
		})
	}
	if problem := Check(toB, unexposedOf(asking("team-c/shop", "/weixin", 1)), nil); problem != nil {
		t.Errorf("who publishes nothing is refused: %+v", problem)
	}
}

func unexposedOf(e *endpoint) *endpoint { unexposed(e); return e }
