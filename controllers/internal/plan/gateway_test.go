// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/installation"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/probe"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/rollout"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/shards"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/snapshot"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

const front = "front-wechat-gateway"

// gatewayScene is a gateway, what was read for it, and what the platform team chose.
type gatewayScene struct {
	*snapshot.Gateway
	options installation.Options
}

// freshGateway is a scene of a gateway that is new, with two endpoints.
func freshGateway(t *testing.T, edits ...func(*gatewayScene)) *gatewayScene {
	t.Helper()
	gateway := &v1alpha1.WeChatGateway{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "front", UID: "g", Generation: 1}}
	gateway.Spec.Replicas = new(int32(2))
	s := &gatewayScene{options: installation.Options{SidecarImage: "x:1", SidecarPullPolicy: "IfNotPresent"}, Gateway: &snapshot.Gateway{
		Gateway: gateway, Entries: map[string]snapshot.Document{},
		Fleet: snapshot.Fleet{Fleet: render.GatewayFleet(gateway), Now: now, Readable: true},
	}}
	comes(t, "game")(s)
	comes(t, "shop")(s)
	for _, edit := range edits {
		edit(s)
	}
	return s
}

// comes lets an endpoint come onto the gateway, whose own Secret is there.
func comes(t *testing.T, name string, edits ...func(*scene)) func(*gatewayScene) {
	t.Helper()
	return func(s *gatewayScene) {
		s.Endpoints = slices.DeleteFunc(s.Endpoints, func(e *v1alpha1.WeChatEndpoint) bool { return e.Name == name })
		endpoint := fresh(append([]func(*scene){func(s *scene) {
			s.Endpoint.Name, s.Endpoint.UID, s.Endpoint.Spec.URL.Path = name, types.UID(name), "/"+name
			s.Endpoint.Spec.Gateway, s.Endpoint.Spec.Sidecar = &v1alpha1.GatewayReference{Name: "front"}, v1alpha1.Sidecar{}
			s.Endpoint.CreationTimestamp = metav1.NewTime(now.Add(-time.Hour))
			s.Endpoint.Status.Fleet.LeadsTo = front
		}}, edits...)...)
		s.Endpoints = append(s.Endpoints, endpoint.Endpoint)
		slices.SortFunc(s.Endpoints, func(a, b *v1alpha1.WeChatEndpoint) int { return strings.Compare(a.Name, b.Name) })
		for _, write := range endpoint.decide().Whole.Writes {
			if write.Entry {
				s.Entries[name] = snapshot.Document{Generation: endpoint.decide().Whole.Generation, Text: documentIn(t, write.Object)}
			}
		}
	}
}

// goes lets an endpoint go.
func goes(name string) func(*gatewayScene) {
	return func(s *gatewayScene) {
		s.Endpoints = slices.DeleteFunc(s.Endpoints, func(e *v1alpha1.WeChatEndpoint) bool { return e.Name == name })
		delete(s.Entries, name)
	}
}

// servingGateway is a scene of a gateway that is as it should be, before the edits: two pods serve two endpoints.
func servingGateway(t *testing.T, edits ...func(*gatewayScene)) *gatewayScene {
	t.Helper()
	s := freshGateway(t, func(s *gatewayScene) {
		s.Gateway.Gateway.Finalizers = []string{v1alpha1.FinalizerInUse, "example.com/other"}
	})
	for _, write := range s.decide().Batch.Writes {
		object := write.Object
		s.Children = append(s.Children, snapshot.Child{
			Kind: object.GetKind(), Name: object.GetName(), UID: types.UID(object.GetKind()), ResourceVersion: "7", Owned: true,
			Applied: render.Digest(object), Around: render.Digest(render.AroundTemplate(object)), OwnsReplicas: object.GetKind() == "Deployment",
		})
		switch object.GetKind() {
		case "Secret":
			for number := range render.Shards {
				if object.GetName() == render.ShardName("front", number) {
					s.Shards[number] = strings.Fields(string(into(t, object, &corev1.Secret{}).Data[render.ShardList(number)]))
				}
			}
		case "Deployment":
			s.Deployment = into(t, object, &appsv1.Deployment{})
			s.Deployment.Status = appsv1.DeploymentStatus{Replicas: 2, UpdatedReplicas: 2, AvailableReplicas: 2}
		}
	}
	for _, name := range []string{"a", "b"} {
		pod := snapshot.Pod{Pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}}, Ready: true, Newest: true, Entries: map[string]config.Status{}}
		pod.Answer.Status.Ready = true
		for entry, document := range s.Entries {
			pod.Entries[entry] = config.Status{Generation: document.Generation, Ready: true}
		}
		s.Pods = append(s.Pods, pod)
	}
	s.Gateway.Gateway.Status = s.judge(s.whole(), nil).Status
	for _, edit := range edits {
		edit(s)
	}
	return s
}

func (s *gatewayScene) decide() *GatewayPlan {
	s.Paused, s.Readable = s.Gateway.Gateway.Spec.Paused, len(s.Gateway.Gateway.Spec.Unreadable) == 0
	s.Fleet.Fleet = render.GatewayFleet(s.Gateway.Gateway)
	p := DecideGateway(&s.options, s.Gateway)
	return &p
}

func (s *gatewayScene) after(done Done) *GatewayJudgement {
	return s.decide().After(&s.options, s.Gateway, done)
}

func (s *gatewayScene) judge(done Done, results [][]error) GatewayReport {
	return s.after(done).Judge(results)
}

// whole is what became of a plan that was written, or found in order.
func (s *gatewayScene) whole() Done {
	p := s.decide()
	return Done{Generation: p.Batch.Generation, Whole: p.Accepted == nil && !s.Gateway.Gateway.Spec.Paused}
}

func onGateway(edit func(*v1alpha1.WeChatGateway)) func(*gatewayScene) {
	return func(s *gatewayScene) { s.Gateway.Gateway.Generation++; edit(s.Gateway.Gateway) }
}

var (
	pausedGateway     = onGateway(func(g *v1alpha1.WeChatGateway) { g.Spec.Paused = true })
	unreadableGateway = onGateway(func(g *v1alpha1.WeChatGateway) {
		g.Spec = v1alpha1.WeChatGatewaySpec{Unreadable: []string{"spec.replicas"}}
	})
	deletedGateway = onGateway(func(g *v1alpha1.WeChatGateway) { g.DeletionTimestamp = new(metav1.NewTime(now)) })
	morePods       = onGateway(func(g *v1alpha1.WeChatGateway) { g.Spec.Replicas = new(int32(3)) })
)

func installs(image string) func(*gatewayScene) {
	return func(s *gatewayScene) { s.options.SidecarImage = image }
}

// entryOf edits what a pod says of an entry; nil is of one that it does not know.
func entryOf(pod int, entry string, status *config.Status) func(*gatewayScene) {
	return func(s *gatewayScene) {
		delete(s.Pods[pod].Entries, entry)
		if status != nil {
			s.Pods[pod].Entries[entry] = *status
		}
	}
}

// differing are the objects of the plan that are not as they should be, with what is done to each; a shard with its number.
func (s *gatewayScene) differing() []string {
	batch := s.decide().Batch
	texts := written(batch)
	for i, w := range batch.Writes {
		for number := range render.Shards {
			if w.Object.GetName() == render.ShardName("front", number) {
				texts[i] = fmt.Sprint("shard ", number, strings.TrimPrefix(texts[i], "Secret"))
			}
		}
	}
	return slices.DeleteFunc(texts, func(text string) bool {
		return strings.HasSuffix(text, " same") || strings.Contains(text, " same around")
	})
}

// given are the endpoints whose documents the plan writes, each with its shard.
func (s *gatewayScene) given(t *testing.T) map[string]int {
	t.Helper()
	given := map[string]int{}
	for _, w := range s.decide().Batch.Writes {
		for number := range render.Shards {
			if w.Object.GetName() != render.ShardName("front", number) {
				continue
			}
			secret := into(t, w.Object, &corev1.Secret{})
			list := strings.Fields(string(secret.Data[render.ShardList(number)]))
			for _, name := range list {
				given[name] = number
				if text := secret.Data[name+config.DocumentSuffix]; string(text) != string(s.Entries[name].Text) {
					t.Errorf("shard %d has another document of %s: %.100s", number, name, text)
				}
			}
			if len(secret.Data) != len(list)+1 {
				t.Errorf("shard %d lists %v and has %v", number, list, slices.Sorted(maps.Keys(secret.Data)))
			}
		}
	}
	return given
}

// TestTheOrderOfAGatewaysWrites: the documents come first, so that nothing holds up what was revoked, and then what pods need.
func TestTheOrderOfAGatewaysWrites(t *testing.T) {
	networks := func(s *gatewayScene) { s.options.NetworkPolicy = render.NetworkPolicy{Enabled: true} }
	autoscaled := onGateway(func(g *v1alpha1.WeChatGateway) {
		g.Spec.Replicas, g.Spec.Autoscaling = nil, &v1alpha1.Autoscaling{MaxReplicas: 9}
	})
	want := []string{
		"shard 0 new", "ServiceAccount new", "NetworkPolicy new", "Deployment new", "HorizontalPodAutoscaler new", "PodDisruptionBudget new", "Service new", "Service new",
	}
	if diff := cmp.Diff(want, freshGateway(t, networks, autoscaled).differing()); diff != "" {
		t.Errorf("at first (-want +got):\n%s", diff)
	}
}

// TestWhatIsWrittenForAGateway: what its spec cannot say leaves its pods as they are; documents reach them all the same.
func TestWhatIsWrittenForAGateway(t *testing.T) {
	foreign := func(kind, name string) func(*gatewayScene) {
		return func(s *gatewayScene) {
			s.Children = slices.DeleteFunc(s.Children, func(c snapshot.Child) bool { return c.Kind == kind && c.Name == name })
			s.Children = append(s.Children, snapshot.Child{Kind: kind, Name: name})
		}
	}
	own := func(kind string) func(*gatewayScene) {
		return func(s *gatewayScene) {
			s.Children = append(s.Children, snapshot.Child{Kind: kind, Name: front, Owned: true})
		}
	}
	newer := comes(t, "shop", token("a-newer-token"))
	for name, test := range map[string]struct {
		s    *gatewayScene
		want []string
	}{
		"a new gateway without endpoints has an empty shard": {freshGateway(t, goes("game"), goes("shop")), []string{"shard 0 new", "ServiceAccount new", "Deployment new", "PodDisruptionBudget new", "Service new", "Service new"}},
		"nothing changed":                          {servingGateway(t), nil},
		"a token was changed":                      {servingGateway(t, newer), []string{"shard 0"}},
		"an endpoint comes":                        {servingGateway(t, comes(t, "mall")), []string{"shard 1 new"}},
		"an endpoint goes":                         {servingGateway(t, goes("shop")), []string{"shard 0"}},
		"all go, and the shards stay":              {servingGateway(t, goes("game"), goes("shop")), []string{"shard 0"}},
		"an endpoint has no document yet":          {servingGateway(t, comes(t, "mall"), func(s *gatewayScene) { delete(s.Entries, "mall") }), nil},
		"there are to be more pods":                {servingGateway(t, morePods), []string{"Deployment"}},
		"the installation has another image":       {servingGateway(t, installs("x:2")), nil},
		"so it has, and there are to be more pods": {servingGateway(t, installs("x:2"), morePods), []string{"Deployment around its template"}},
		"so it has, and the gateway has a slot": {servingGateway(t, installs("x:2"), func(s *gatewayScene) {
			s.Gateway.Gateway.Status = s.judge(Done{Whole: true, Answer: rollout.Admission{Admitted: true}}, nil).Status
		}), []string{"Deployment"}},
		"the gateway has an image of its own":        {servingGateway(t, onGateway(func(g *v1alpha1.WeChatGateway) { g.Spec.ImageVersion = "2" })), []string{"Deployment"}},
		"it is paused":                               {servingGateway(t, pausedGateway, newer), nil},
		"its spec cannot be read":                    {servingGateway(t, unreadableGateway), nil},
		"so it is, and a token was changed":          {servingGateway(t, unreadableGateway, newer), []string{"shard 0"}},
		"so it is, and an endpoint comes":            {servingGateway(t, unreadableGateway, comes(t, "mall")), []string{"shard 1 new"}},
		"so it is, and the Deployment is gone":       {servingGateway(t, unreadableGateway, func(s *gatewayScene) { s.Children, s.Deployment = s.Children[:1], nil }), nil},
		"so it is, and it has an autoscaler":         {servingGateway(t, unreadableGateway, own("HorizontalPodAutoscaler")), nil},
		"somebody else's Service has the name":       {servingGateway(t, foreign("Service", front)), []string{"Service taken"}},
		"somebody else's Secret has that of a shard": {servingGateway(t, foreign("Secret", front+"-5")), []string{"shard 5 taken"}},
		"it does not autoscale any more":             {servingGateway(t, own("HorizontalPodAutoscaler")), []string{"HorizontalPodAutoscaler gone"}},
		"the installation wants no NetworkPolicies":  {servingGateway(t, own("NetworkPolicy")), []string{"NetworkPolicy gone"}},
		"somebody else's autoscaler is left alone":   {servingGateway(t, foreign("HorizontalPodAutoscaler", front)), nil},
		"it is being deleted, and a token changed":   {servingGateway(t, deletedGateway, newer), []string{"shard 0"}},
	} {
		t.Run(name, func(t *testing.T) {
			if err := test.s.decide().Err; err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, test.s.differing(), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestWhoIsGivenToAGatewaysPods: everyone has one place, where it stays, and one generation names them all.
func TestWhoIsGivenToAGatewaysPods(t *testing.T) {
	late := func(s *scene) { s.Endpoint.CreationTimestamp = metav1.NewTime(now.Add(time.Second)) }
	elsewhere := func(s *scene) { s.Endpoint.Status.Fleet = v1alpha1.FleetStatus{LeadsTo: "mall-sidecar"} }
	left := func(s *scene) { s.Endpoint.Status.Fleet = v1alpha1.FleetStatus{LeadsTo: "mall-sidecar", Former: front} }
	large := func(s *gatewayScene) {
		s.Entries["mall"] = snapshot.Document{Generation: "0123456789-1", Text: make([]byte, shards.MaxEntry+1)}
	}
	lost := func(s *gatewayScene) {
		s.Shards = [render.Shards][]string{}
		s.Children = slices.DeleteFunc(s.Children, func(c snapshot.Child) bool { return c.Kind == "Secret" })
	}
	both := map[string]int{"game": 0, "shop": 0}
	three := map[string]int{"game": 0, "shop": 0, "mall": 1}
	for name, test := range map[string]struct {
		s    *gatewayScene
		want map[string]int
		left []string
	}{
		"two":                                    {servingGateway(t), both, nil},
		"one that was moved by hand stays there": {servingGateway(t, func(s *gatewayScene) { s.Shards[0], s.Shards[9] = []string{"game"}, []string{"shop"} }), map[string]int{"game": 0, "shop": 9}, nil},
		"a third one":                            {servingGateway(t, comes(t, "mall")), three, nil},
		"a third one that has no room":           {servingGateway(t, comes(t, "mall"), large), both, []string{"mall"}},
		"one that its shard has, and that gives nothing any more":            {servingGateway(t, func(s *gatewayScene) { delete(s.Entries, "shop") }), map[string]int{"game": 0}, nil},
		"the shards were deleted":                                            {servingGateway(t, lost), both, nil},
		"a gateway that is being deleted serves on":                          {servingGateway(t, deletedGateway), both, nil},
		"it takes nobody who comes now":                                      {servingGateway(t, deletedGateway, comes(t, "mall", late)), both, nil},
		"nor who has pods of its own until now":                              {servingGateway(t, deletedGateway, comes(t, "mall", elsewhere)), both, nil},
		"nor who came in that very second":                                   {servingGateway(t, deletedGateway, comes(t, "mall", func(s *scene) { s.Endpoint.CreationTimestamp = metav1.NewTime(now) })), both, nil},
		"it keeps who was about to move to it":                               {servingGateway(t, deletedGateway, comes(t, "mall", elsewhere), func(s *gatewayScene) { s.Shards[2] = []string{"mall"} }), map[string]int{"game": 0, "shop": 0, "mall": 2}, nil},
		"it keeps who is about to leave it":                                  {servingGateway(t, deletedGateway, comes(t, "mall", left), lost), map[string]int{"game": 0, "mall": 0, "shop": 0}, nil},
		"it serves on also where somebody deletes its shards":                {servingGateway(t, deletedGateway, lost), both, nil},
		"of two that are led there, it takes the one that was there before ": {servingGateway(t, deletedGateway, comes(t, "shop", late), lost), map[string]int{"game": 0}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := test.s.decide()
			if diff := cmp.Diff(test.want, test.s.given(t)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.left, p.Left); diff != "" {
				t.Errorf("left (-want +got):\n%s", diff)
			}
			if p.Served != len(test.want) || !strings.HasSuffix(p.Batch.Generation, fmt.Sprint("-", len(test.want))) {
				t.Errorf("it says that it serves %d, by generation %s", p.Served, p.Batch.Generation)
			}
		})
	}
	before := servingGateway(t).decide().Batch.Generation
	for what, edit := range map[string]func(*gatewayScene){
		"a configuration was changed": comes(t, "shop", spec(func(s *v1alpha1.WeChatEndpointSpec) { s.URL.Path = "/other" })),
		"one came, and one went":      func(s *gatewayScene) { goes("shop")(s); comes(t, "mall")(s) },
	} {
		if after := servingGateway(t, edit).decide().Batch.Generation; after == before || !render.IsGeneration(after) {
			t.Errorf("%s: generation %s becomes %s", what, before, after)
		}
	}
}

// TestWhatKeepsAGateway: the finalizer is there while endpoints use the gateway, and can be added to nothing that is being deleted.
func TestWhatKeepsAGateway(t *testing.T) {
	unheld := onGateway(func(g *v1alpha1.WeChatGateway) { g.Finalizers = []string{"example.com/other"} })
	for name, test := range map[string]struct {
		edits []func(*gatewayScene)
		want  *bool
	}{
		"endpoints use it, and it is kept":                            {nil, nil},
		"endpoints use it, and nothing keeps it":                      {[]func(*gatewayScene){unheld}, new(true)},
		"nobody uses it any more":                                     {[]func(*gatewayScene){goes("game"), goes("shop")}, new(false)},
		"nobody uses it, and nothing keeps it":                        {[]func(*gatewayScene){goes("game"), goes("shop"), unheld}, nil},
		"it is being deleted, and endpoints use it":                   {[]func(*gatewayScene){deletedGateway}, nil},
		"it is being deleted, and endpoints came too late":            {[]func(*gatewayScene){deletedGateway, unheld}, nil},
		"it is being deleted, and nobody uses it any more":            {[]func(*gatewayScene){deletedGateway, goes("game"), goes("shop")}, new(false)},
		"it is paused all the same":                                   {[]func(*gatewayScene){unheld, pausedGateway}, new(true)},
		"one that has no document yet uses it too":                    {[]func(*gatewayScene){goes("game"), goes("shop"), unheld, comes(t, "mall"), func(s *gatewayScene) { delete(s.Entries, "mall") }}, new(true)},
		"its spec cannot be read: it is kept as long as it is needed": {[]func(*gatewayScene){unheld, unreadableGateway}, new(true)},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, servingGateway(t, test.edits...).decide().Hold); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestWhomAGatewaysPodsMayCall: the namespaces of the apps, and its own. Without any endpoint it is its own.
func TestWhomAGatewaysPodsMayCall(t *testing.T) {
	egress := func(s *gatewayScene) { s.options.NetworkPolicy = render.NetworkPolicy{Enabled: true, Egress: true} }
	calls := func(s *gatewayScene) { // another one than what it asks for now
		document := s.Entries["shop"]
		document.Text = []byte(strings.ReplaceAll(string(document.Text), "app.team-a.svc", "app.apps.svc"))
		s.Entries["shop"], s.Endpoints[1].Spec.Backend.Service.Namespace = document, "newer"
	}
	for name, test := range map[string]struct {
		edits []func(*gatewayScene)
		want  []string
	}{
		"endpoints of the namespace alone": {nil, []string{"team-a"}},
		"no endpoints":                     {[]func(*gatewayScene){goes("game"), goes("shop")}, []string{"team-a"}},
		"an app in another namespace, and what the endpoint is served with": {[]func(*gatewayScene){calls}, []string{"apps", "newer", "team-a"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, w := range freshGateway(t, append(test.edits, egress)...).decide().Batch.Writes {
				if w.Object.GetKind() != "NetworkPolicy" {
					continue
				}
				policy := into(t, w.Object, &networkingv1.NetworkPolicy{})
				for _, peer := range policy.Spec.Egress[2].To {
					got = append(got, peer.NamespaceSelector.MatchLabels[corev1.LabelMetadataName])
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" || test.want == nil {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestWhatIsSaidOfAGateway is the report of what was read, written and played.
func TestWhatIsSaidOfAGateway(t *testing.T) {
	well := [][]error{{nil, nil}}
	rejected := func(kind string, reached bool) func(*gatewayScene) Done {
		return func(s *gatewayScene) Done {
			return Done{Generation: s.decide().Batch.Generation, ReachedPods: reached, Rejection: &Rejection{Kind: kind, Err: errors.New("denied")}}
		}
	}
	taken := func(kind string) func(*gatewayScene) Done {
		return func(s *gatewayScene) Done {
			return Done{Generation: s.decide().Batch.Generation, Taken: Taken(render.GatewayFleet(s.Gateway.Gateway), kind, front)}
		}
	}
	answered := func(admission rollout.Admission) func(*gatewayScene) Done {
		return func(s *gatewayScene) Done { d := s.whole(); d.Answer = admission; return d }
	}
	rolling := func(since time.Duration) func(*gatewayScene) {
		return func(s *gatewayScene) {
			installs("x:2")(s)
			s.Gateway.Gateway.Status = s.judge(answered(rollout.Admission{Admitted: true})(s), nil).Status
			s.Gateway.Gateway.Status.Rollout.Since = new(metav1.NewTime(now.Add(-since)))
		}
	}
	rolledOut := func(s *gatewayScene) {
		for _, w := range s.decide().Batch.Writes {
			if w.Object.GetKind() == "Deployment" {
				status := s.Deployment.Status
				s.Deployment = into(t, w.Object, &appsv1.Deployment{})
				s.Deployment.Status = status
			}
		}
	}
	refused := entryOf(1, "shop", &config.Status{Problem: "no room for it"})
	for name, test := range map[string]struct {
		s       *gatewayScene
		done    func(*gatewayScene) Done
		results [][]error
		want    said
		again   verdict.Again
	}{
		"all is well": {servingGateway(t), (*gatewayScene).whole, well, said{
			"Ready": "True Ready", "Accepted": "True Accepted", "SidecarAvailable": "True SidecarAvailable", "Verified": "True Verified", "SidecarCurrent": "True SidecarCurrent",
		}, verdict.Never},
		"no endpoint uses it": {servingGateway(t, goes("game"), goes("shop"), entryOf(0, "game", nil), entryOf(1, "game", nil), entryOf(0, "shop", nil), entryOf(1, "shop", nil)), (*gatewayScene).whole, nil, said{
			"Ready": "True Ready", "Verified": "True Verified",
		}, verdict.Never},
		"a pod lacks an entry": {servingGateway(t, entryOf(1, "shop", nil)), (*gatewayScene).whole, nil, said{
			"Ready": "False Progressing", "SidecarAvailable": "False Progressing", "Verified": "Unknown Waiting",
		}, verdict.In(verdict.Soon)},
		"a pod has an entry of before": {servingGateway(t, entryOf(1, "shop", &config.Status{Generation: "0123456789-9", Ready: true})), (*gatewayScene).whole, nil, said{
			"Ready": "False Progressing", "SidecarAvailable": "False Progressing",
		}, verdict.In(verdict.Soon)},
		"a pod has an entry of before, and its kubelet was woken": {servingGateway(t, entryOf(1, "shop", &config.Status{Generation: "0123456789-9", Ready: true}), wokenPods), (*gatewayScene).whole, nil, said{
			"Ready": "False Progressing", "SidecarAvailable": "False Progressing",
		}, verdict.In(verdict.Soon)},
		"a pod still has an entry of who went": {servingGateway(t, goes("shop")), (*gatewayScene).whole, nil, said{
			"Ready": "False Progressing", "SidecarAvailable": "False Progressing",
		}, verdict.In(verdict.Soon)},
		"a pod has an entry that nobody gave it": {servingGateway(t, entryOf(1, "stranger", &config.Status{Generation: "0123456789-1"})), (*gatewayScene).whole, nil, said{
			"Ready": "False Progressing", "SidecarAvailable": "False Progressing",
		}, verdict.In(verdict.Soon)},
		"a pod has another entry in place of one": {servingGateway(t, entryOf(1, "shop", nil), entryOf(1, "stranger", &config.Status{Generation: "0123456789-1"})), (*gatewayScene).whole, nil, said{
			"Ready": "False Progressing", "SidecarAvailable": "False Progressing",
		}, verdict.In(verdict.Soon)},
		"a pod refuses an entry: its endpoint tells": {servingGateway(t, refused, wokenPods), (*gatewayScene).whole, well, said{
			"Ready": "True Ready", "SidecarAvailable": "True SidecarAvailable",
		}, verdict.Never},
		"a pod refused an entry of before, and may not have looked again": {servingGateway(t, refused), (*gatewayScene).whole, nil, said{
			"Ready": "False Progressing", "SidecarAvailable": "False Progressing",
		}, verdict.In(verdict.Soon)},
		"a pod refuses an entry, and lacks another one": {servingGateway(t, refused, entryOf(1, "game", nil)), (*gatewayScene).whole, nil, said{
			"Ready": "False Progressing", "SidecarAvailable": "False Progressing",
		}, verdict.In(verdict.Soon)},
		"a pod is silent": {servingGateway(t, func(s *gatewayScene) {
			s.Pods[1].Answer, s.Pods[1].Entries = probe.Result{Err: errors.New("no route")}, nil
		}), (*gatewayScene).whole, nil, said{
			"Ready": "False PodsUnreachable", "SidecarAvailable": "False PodsUnreachable",
		}, verdict.In(verdict.Soon)},
		"a pod is not ready": {servingGateway(t, func(s *gatewayScene) { s.Pods[1].Ready, s.Deployment.Status.AvailableReplicas = false, 1 }), (*gatewayScene).whole, nil, said{
			"Ready": "False Progressing", "SidecarAvailable": "False Progressing",
		}, verdict.In(verdict.Soon)},
		"a pod answers otherwise than WeChat needs it": {servingGateway(t), (*gatewayScene).whole, [][]error{{nil, nil}, {nil, errors.New("302")}}, said{
			"Ready": "False NotVerified", "Verified": "False NotVerified",
		}, verdict.In(verdict.Seldom)},
		"an endpoint has no room": {servingGateway(t, comes(t, "mall"), func(s *gatewayScene) {
			s.Entries["mall"] = snapshot.Document{Text: make([]byte, shards.MaxEntry+1)}
		}), (*gatewayScene).whole, well, said{"Ready": "True Ready", "Accepted": "True GatewayFull"}, verdict.Never},
		"it is paused, as it was": {servingGateway(t, pausedGateway), (*gatewayScene).whole, well, said{
			"Ready": "True Ready", "Accepted": "True Paused", "SidecarAvailable": "True SidecarAvailable", "Verified": "True Verified", "SidecarCurrent": "True SidecarCurrent",
		}, verdict.Never},
		"it is paused, and a path was changed since": {servingGateway(t, pausedGateway, comes(t, "shop", spec(func(s *v1alpha1.WeChatEndpointSpec) { s.URL.Path = "/other" }))), (*gatewayScene).whole, nil, said{
			"Ready": "False Paused", "Accepted": "True Paused", "SidecarAvailable": "False Paused",
		}, verdict.In(verdict.Soon)},
		"it is paused, and is to have more pods": {servingGateway(t, pausedGateway, morePods), (*gatewayScene).whole, nil, said{
			"Ready": "False Paused", "SidecarAvailable": "False Paused", "SidecarCurrent": "True SidecarCurrent",
		}, verdict.In(verdict.Seldom)},
		"it is paused, and the installation has another image": {servingGateway(t, pausedGateway, installs("x:2")), (*gatewayScene).whole, well, said{
			"Ready": "True Ready", "SidecarCurrent": "Unknown Paused",
		}, verdict.Never},
		"its spec cannot be read: the pods serve on": {servingGateway(t, unreadableGateway), (*gatewayScene).whole, well, said{
			"Ready": "False SpecUnreadable", "Accepted": "False SpecUnreadable", "SidecarAvailable": "True SidecarAvailable", "Verified": "True Verified", "SidecarCurrent": "True SidecarCurrent",
		}, verdict.Never},
		"somebody else's object has a child's name": {servingGateway(t), taken("Service"), well, said{
			"Ready": "False NameTaken", "Accepted": "False NameTaken", "SidecarAvailable": "False NameTaken",
		}, verdict.In(verdict.Seldom)},
		"the pods are rejected": {servingGateway(t), rejected("Deployment", true), nil, said{
			"Ready": "False PodsNotCreated", "Accepted": "True Accepted", "SidecarAvailable": "False PodsNotCreated", "Verified": "Unknown Waiting",
		}, verdict.In(verdict.Seldom)},
		"a shard is rejected": {servingGateway(t, comes(t, "mall")), rejected("Secret", false), nil, said{
			"Ready": "False Progressing", "SidecarAvailable": "False Progressing",
		}, verdict.In(verdict.Soon)},
		"it is being deleted, and endpoints use it": {servingGateway(t, deletedGateway), (*gatewayScene).whole, well, said{
			"Ready": "False GatewayDeleted", "Accepted": "False GatewayDeleted", "SidecarAvailable": "True SidecarAvailable", "Verified": "True Verified",
		}, verdict.Never},
		"the API server fails on the way: of what comes after, what was said stays": {servingGateway(t, entryOf(1, "shop", nil)), func(*gatewayScene) Done { return Done{Err: errors.New("500")} }, nil, said{
			"Ready": "True Ready", "SidecarAvailable": "True SidecarAvailable", "Verified": "True Verified",
		}, verdict.Never},
		"it waits for its slot": {servingGateway(t, installs("x:2")), answered(rollout.Admission{Queued: true}), well, said{
			"Ready": "True Ready", "SidecarCurrent": "False RolloutQueued",
		}, verdict.Never},
		"another one's pods failed": {servingGateway(t, installs("x:2")), answered(rollout.Admission{Stopped: true}), well, said{
			"Ready": "True Ready", "SidecarCurrent": "False RolloutStopped",
		}, verdict.Never},
		"it gets its slot, and comes back at once": {servingGateway(t, installs("x:2")), answered(rollout.Admission{Admitted: true}), well, said{
			"Ready": "True Ready", "SidecarCurrent": "False RollingOut",
		}, verdict.Now()},
		"the new pods serve":                          {servingGateway(t, rolling(time.Minute), rolledOut), (*gatewayScene).whole, well, said{"SidecarCurrent": "True SidecarCurrent"}, verdict.Never},
		"a new pod lacks an entry: the rollout waits": {servingGateway(t, rolling(time.Minute), rolledOut, entryOf(1, "shop", nil)), (*gatewayScene).whole, nil, said{"SidecarCurrent": "False RollingOut"}, verdict.In(verdict.Soon)},
		"a new pod lacks an entry for too long":       {servingGateway(t, rolling(time.Hour), rolledOut, entryOf(1, "shop", nil)), (*gatewayScene).whole, nil, said{"SidecarCurrent": "False RolloutFailed"}, verdict.In(verdict.Soon)},
		"it is paused, and gives its slot up":         {servingGateway(t, rolling(time.Minute), pausedGateway), (*gatewayScene).whole, nil, said{"SidecarCurrent": "Unknown Paused"}, verdict.In(verdict.Seldom)},
	} {
		t.Run(name, func(t *testing.T) {
			report := test.s.judge(test.done(test.s), test.results)
			wantSaid(t, Report{Status: v1alpha1.WeChatEndpointStatus{Conditions: report.Status.Conditions}}, test.want)
			if report.Again != test.again {
				t.Errorf("looked at again %+v, want %+v", report.Again, test.again)
			}
			if slot := report.Status.Rollout; (slot != nil) != (test.want["SidecarCurrent"] == "False RollingOut" || test.want["SidecarCurrent"] == "False RolloutFailed") {
				t.Errorf("its slot is %+v", slot)
			}
		})
	}
}

// wokenPods are pods whose kubelets were woken for what there is now.
func wokenPods(s *gatewayScene) {
	generation := s.decide().Batch.Generation
	for i := range s.Pods {
		s.Pods[i].Pod = s.Pods[i].DeepCopy()
		s.Pods[i].Annotations = map[string]string{v1alpha1.AnnotationGeneration: generation + " " + now.Format(time.RFC3339)}
	}
}

// TestWhatAGatewaysStatusCounts: endpoints, pods, and some of those that have no room.
func TestWhatAGatewaysStatusCounts(t *testing.T) {
	s := servingGateway(t, func(s *gatewayScene) {
		s.Pods[1].Ready = false
		for i := range 300 {
			s.Entries[fmt.Sprintf("large-%03d", i)] = snapshot.Document{Text: make([]byte, shards.MaxEntry+1)}
		}
	})
	after := s.judge(s.whole(), nil).Status
	if *after.Endpoints != 2 || *after.Pods != 1 || len(after.Left) != 256 || after.Left[255] != "large-255" {
		t.Errorf("%d endpoints, %d pods, left %v", *after.Endpoints, *after.Pods, after.Left)
	}
}

// TestWhomAGatewayIsPlayedFor: one endpoint of each platform, of those that every pod serves.
func TestWhomAGatewayIsPlayedFor(t *testing.T) {
	miniProgram := func(s *scene) { s.Endpoint.Spec.Platform = v1alpha1.PlatformMiniProgram }
	knows := func(entries ...string) func(*gatewayScene) {
		return func(s *gatewayScene) {
			for i := range s.Pods {
				for _, entry := range entries {
					s.Pods[i].Entries[entry] = config.Status{Generation: s.Entries[entry].Generation, Ready: true}
				}
			}
		}
	}
	broken := func(s *gatewayScene) {
		s.Entries["game"] = snapshot.Document{Generation: s.Entries["game"].Generation, Text: []byte("{}")}
	}
	for name, test := range map[string]struct {
		s    *gatewayScene
		done func(*gatewayScene) Done
		want []string
	}{
		"two of one platform":                         {servingGateway(t), (*gatewayScene).whole, []string{"OfficialAccount /game"}},
		"three of two platforms":                      {servingGateway(t, comes(t, "app", miniProgram), knows("app")), (*gatewayScene).whole, []string{"MiniProgram /app", "OfficialAccount /game"}},
		"the first is refused by a pod":               {servingGateway(t, entryOf(1, "game", &config.Status{Problem: "no room for it"}), wokenPods), (*gatewayScene).whole, []string{"OfficialAccount /shop"}},
		"the document of the first cannot be read":    {servingGateway(t, broken), (*gatewayScene).whole, []string{"OfficialAccount /shop"}},
		"the first has no document yet":               {servingGateway(t, func(s *gatewayScene) { delete(s.Entries, "game") }, entryOf(0, "game", nil), entryOf(1, "game", nil)), (*gatewayScene).whole, []string{"OfficialAccount /shop"}},
		"a pod that is not ready is not asked":        {servingGateway(t, onGateway(func(g *v1alpha1.WeChatGateway) { g.Spec.Replicas = new(int32(1)) }), func(s *gatewayScene) { s.Pods[1] = snapshot.Pod{Pod: s.Pods[1].Pod} }), (*gatewayScene).whole, []string{"OfficialAccount /game"}},
		"a pod lacks an entry: nobody":                {servingGateway(t, entryOf(1, "shop", nil)), (*gatewayScene).whole, nil},
		"the API server failed: nobody":               {servingGateway(t), func(*gatewayScene) Done { return Done{Err: errors.New("500")} }, nil},
		"it is paused, as it was":                     {servingGateway(t, pausedGateway), (*gatewayScene).whole, []string{"OfficialAccount /game"}},
		"its spec cannot be read":                     {servingGateway(t, unreadableGateway), (*gatewayScene).whole, []string{"OfficialAccount /game"}},
		"it is being deleted, and another one is new": {servingGateway(t, deletedGateway, comes(t, "app", miniProgram, func(s *scene) { s.Endpoint.CreationTimestamp = metav1.NewTime(now) })), (*gatewayScene).whole, []string{"OfficialAccount /game"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			trial := test.s.after(test.done(test.s)).Trial()
			for _, subject := range trial.Subjects {
				got = append(got, subject.Platform+" "+subject.Path)
				if subject.Pair.Token != "a-fine-token" || subject.Host != "wx.example.com" || len(trial.Pods) != len(test.s.ReadyPods()) {
					t.Errorf("the trial is %+v", subject)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestOfAGatewayThatCouldNotBeReadNothingIsSaid, but that Ready speaks of an earlier spec.
func TestOfAGatewayThatCouldNotBeReadNothingIsSaid(t *testing.T) {
	s := servingGateway(t, morePods)
	report := UnjudgedGateway(s.Gateway)
	wantSaid(t, Report{Status: v1alpha1.WeChatEndpointStatus{Conditions: report.Status.Conditions}}, said{"Ready": "Unknown Waiting", "Accepted": "True Accepted", "Verified": "True Verified"})
}

// TestWhereTheURLOfANewEndpointLeads: its document may be there although nobody has stored where its URL leads. It has pods of its own only if they
// were made.
func TestWhereTheURLOfANewEndpointLeads(t *testing.T) {
	own := func(kind string) snapshot.Child {
		return snapshot.Child{Kind: kind, Name: "shop-sidecar", Owned: true}
	}
	for name, test := range map[string]struct {
		children []snapshot.Child
		want     string
	}{
		"the document alone":                     {[]snapshot.Child{own("Secret")}, front},
		"a Service that leads to the gateway":    {[]snapshot.Child{own("Secret"), own("Service")}, front},
		"pods of its own":                        {[]snapshot.Child{own("Secret"), own("ServiceAccount"), own("Deployment")}, "shop-sidecar"},
		"somebody deletes the Deployment":        {[]snapshot.Child{own("Secret"), own("ServiceAccount")}, "shop-sidecar"},
		"somebody deletes the ServiceAccount":    {[]snapshot.Child{own("Secret"), own("Deployment")}, "shop-sidecar"},
		"a Deployment that was there before all": {[]snapshot.Child{own("Secret"), {Kind: "Deployment", Name: "shop-sidecar"}}, front},
	} {
		s := fresh(func(s *scene) {
			s.Endpoint.Spec.Gateway, s.Endpoint.Spec.Sidecar = &v1alpha1.GatewayReference{Name: "front"}, v1alpha1.Sidecar{}
			s.Live.Generation, s.Children = "0123456789-1", test.children
		})
		if got := s.decide().Move.LeadsTo; got != test.want {
			t.Errorf("%s: it leads to %s, want %s", name, got, test.want)
		}
	}
}
