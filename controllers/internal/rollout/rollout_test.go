// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/installation"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/probe"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/snapshot"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/status"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// ago is a slot that began so long ago, for the template.
func ago(since time.Duration, template string) *v1alpha1.RolloutSlot {
	return &v1alpha1.RolloutSlot{Since: new(metav1.NewTime(now.Add(-since))), Template: template}
}

func rolling(slot *v1alpha1.RolloutSlot) status.Slot {
	return status.Slot{Reason: v1alpha1.ReasonRollingOut, Stored: slot}
}

func failed(slot *v1alpha1.RolloutSlot) status.Slot {
	return status.Slot{Reason: v1alpha1.ReasonRolloutFailed, Stored: slot}
}

func waits(reason string) status.Slot { return status.Slot{Reason: reason} }

// live is a snapshot of an endpoint with a Deployment of the template and the image, for which the spec asked for what it names.
func live(template, image, asked string) *snapshot.Snapshot {
	deployment := &appsv1.Deployment{}
	deployment.Annotations = map[string]string{v1alpha1.AnnotationTemplate: template, v1alpha1.AnnotationAsked: asked}
	deployment.Spec.Replicas = new(int32(1))
	deployment.Spec.Template.Spec.Containers = []corev1.Container{{Image: image}}
	return &snapshot.Snapshot{Now: now, Endpoint: &v1alpha1.WeChatEndpoint{}, Deployment: deployment}
}

func TestWhatMayBeDoneAboutThePods(t *testing.T) {
	pinned := live("old", "x:1", "before")
	pinned.Endpoint.Spec.Sidecar.ImageVersion = "1"
	for name, test := range map[string]struct {
		s    *snapshot.Snapshot
		slot status.Slot
		want Choice
	}{
		"there are no pods yet":                         {&snapshot.Snapshot{Endpoint: &v1alpha1.WeChatEndpoint{}}, status.Slot{}, Choice{Template: "new", Image: "x:2", New: true}},
		"they are as they should be":                    {live("new", "x:2", "now"), status.Slot{}, Choice{Template: "new", Image: "x:2", Current: true}},
		"the installation asks for others":              {live("old", "x:1", "now"), status.Slot{}, Choice{Template: "new", Image: "x:1", Keep: true, Seek: true}},
		"it is known to have no slot":                   {live("old", "x:1", "now"), waits(v1alpha1.ReasonRolloutQueued), Choice{Template: "new", Image: "x:1", Keep: true, Seek: true}},
		"it has a slot":                                 {live("old", "x:1", "now"), rolling(ago(0, "new")), Choice{Template: "new", Image: "x:2"}},
		"it has one for another template":               {live("old", "x:1", "now"), rolling(ago(0, "other")), Choice{Template: "new", Image: "x:2"}},
		"a slot of which nobody knows since when":       {live("old", "x:1", "now"), rolling(nil), Choice{Template: "new", Image: "x:1", Keep: true, Seek: true}},
		"it failed with these very pods":                {live("old", "x:1", "now"), failed(ago(0, "new")), Choice{Template: "new", Image: "x:2"}},
		"it failed with other ones":                     {live("old", "x:1", "now"), failed(ago(0, "other")), Choice{Template: "new", Image: "x:1", Keep: true, Seek: true}},
		"the endpoint itself asks, and has the image":   {live("old", "x:2", "before"), status.Slot{}, Choice{Template: "new", Image: "x:2"}},
		"the endpoint itself asks, and lacks the image": {live("old", "x:1", "before"), status.Slot{}, Choice{Template: "new", Image: "x:1", Seek: true}},
		"the endpoint itself asks for an image":         {pinned, status.Slot{}, Choice{Template: "new", Image: "x:2"}},
		"nobody knows what the endpoint asked for, earlier": {func() *snapshot.Snapshot {
			s := live("old", "x:1", "")
			delete(s.Deployment.Annotations, v1alpha1.AnnotationAsked)
			return s
		}(), status.Slot{}, Choice{Template: "new", Image: "x:1", Keep: true, Seek: true}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, Choose(test.s.Fleet(), test.slot, "new", "x:2", "now")); diff != "" {
				t.Errorf("another choice (-want +got):\n%s", diff)
			}
		})
	}
}

// other is another endpoint with the slot.
func other(name string, slot status.Slot) v1alpha1.WeChatEndpoint {
	e := v1alpha1.WeChatEndpoint{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: name, UID: types.UID(name)}}
	e.Status.Rollout = slot.Stored
	if slot.Reason != "" {
		status.Write(&e, &e.Status, status.Said{v1alpha1.ConditionSidecarCurrent: verdict.False(slot.Reason, "")}, now)
	}
	return e
}

func paused(e v1alpha1.WeChatEndpoint) v1alpha1.WeChatEndpoint { e.Spec.Paused = true; return e }

func deleting(e v1alpha1.WeChatEndpoint) v1alpha1.WeChatEndpoint {
	e.DeletionTimestamp = new(metav1.NewTime(now))
	return e
}

func members(endpoints []v1alpha1.WeChatEndpoint) []Member {
	var all []Member
	for i := range endpoints {
		all = append(all, OfEndpoint(&endpoints[i]))
	}
	return all
}

func names(keys []Key) string {
	var all []string
	for _, key := range keys {
		all = append(all, key.String())
	}
	return strings.Join(all, " ")
}

// TestAGatewayIsAMember: the pods of a gateway take a slot as those of an endpoint do, and stop others as they do.
func TestAGatewayIsAMember(t *testing.T) {
	gateway := &v1alpha1.WeChatGateway{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "b", UID: "gateway"}}
	say := func(slot status.Slot) {
		gateway.Status.Rollout = slot.Stored
		status.WriteGateway(gateway, &gateway.Status, status.Said{v1alpha1.ConditionSidecarCurrent: verdict.False(slot.Reason, "")}, now)
	}
	seeker := other("b", waits(v1alpha1.ReasonRolloutQueued)) // of the gateway's very name
	admit := func(taken map[Key]bool) Admission {
		return Admit(installation.Rollout{MaxEndpoints: 1}, seeker.UID, []Member{OfEndpoint(&seeker), OfGateway(gateway)}, taken, now)
	}
	say(rolling(ago(0, "new")))
	if got := admit(nil); !got.Queued {
		t.Errorf("beside a gateway that is rolling: %+v", got)
	}
	say(failed(ago(0, "new")))
	if got := admit(nil); !got.Stopped {
		t.Errorf("beside a gateway whose pods failed: %+v", got)
	}
	say(waits(v1alpha1.ReasonRolloutQueued))
	if got := admit(map[Key]bool{OfGateway(gateway).Key: true}); !got.Queued {
		t.Errorf("beside a gateway that was given the slot: %+v", got)
	}
	if got := admit(map[Key]bool{OfEndpoint(&seeker).Key: true}); !got.Admitted {
		t.Errorf("beside a gateway that waits: %+v", got)
	}
	next := Next(installation.Rollout{MaxEndpoints: 2}, []Member{OfEndpoint(&seeker), OfGateway(gateway)})
	if len(next) != 2 || next[0].Kind == next[1].Kind {
		t.Errorf("next are %v", next)
	}
}

func TestWhoGetsASlot(t *testing.T) {
	type endpoints = []v1alpha1.WeChatEndpoint
	given, queued, stopped := Admission{Admitted: true}, Admission{Queued: true}, Admission{Stopped: true}
	untold := 2*(5*time.Minute) + time.Second
	for name, test := range map[string]struct {
		others endpoints
		taken  []string
		want   Admission
	}{
		"nobody else is rolling":                      {endpoints{other("b", status.Slot{})}, nil, given},
		"one of two slots is free":                    {endpoints{other("b", rolling(ago(0, "new")))}, nil, given},
		"none is":                                     {endpoints{other("b", rolling(ago(0, "new"))), other("c", rolling(ago(0, "new")))}, nil, queued},
		"one was given that no status shows":          {endpoints{other("b", rolling(ago(0, "new"))), other("c", status.Slot{})}, []string{"c"}, queued},
		"one was given, and is shown: it counts once": {endpoints{other("b", rolling(ago(0, "new")))}, []string{"b"}, given},
		"the seeker's own counts for nothing":         {endpoints{other("seeker", rolling(ago(0, "new"))), other("b", rolling(ago(0, "new")))}, nil, given},
		"new pods of another one failed":              {endpoints{other("b", failed(ago(0, "new")))}, nil, stopped},
		"they failed, and slots are all taken":        {endpoints{other("b", failed(ago(0, "new"))), other("c", rolling(ago(0, "new"))), other("d", rolling(ago(0, "new")))}, nil, stopped},
		"they failed, and somebody has paused it":     {endpoints{paused(other("b", failed(ago(0, "new"))))}, nil, given},
		"who failed is being deleted":                 {endpoints{deleting(other("b", failed(ago(0, "new"))))}, nil, given},
		"who is rolling is being deleted":             {endpoints{deleting(other("b", rolling(ago(0, "new")))), other("c", rolling(ago(0, "new")))}, nil, given},
		"an end that is long due and was not told":    {endpoints{other("b", rolling(ago(untold, "new"))), other("c", rolling(ago(0, "new")))}, nil, given},
		"an end that is due":                          {endpoints{other("b", rolling(ago(untold-2*time.Second, "new"))), other("c", rolling(ago(0, "new")))}, nil, queued},
		"others wait too":                             {endpoints{other("b", waits(v1alpha1.ReasonRolloutQueued)), other("c", waits(v1alpha1.ReasonRolloutStopped))}, nil, given},
	} {
		t.Run(name, func(t *testing.T) {
			seeker, taken := other("seeker", status.Slot{}), map[Key]bool{}
			for _, name := range test.taken {
				taken[Key{render.KindEndpoint, types.NamespacedName{Namespace: "a", Name: name}}] = true
			}
			if got := Admit(installation.Rollout{MaxEndpoints: 2}, seeker.UID, members(test.others), taken, now); got != test.want {
				t.Errorf("the answer is %+v, want %+v", got, test.want)
			}
		})
	}
}

// TestHowASlotEnds judges a slot by the pods: they are of the new template, all of them, and in order, or they are not.
func TestHowASlotEnds(t *testing.T) {
	const deadline = 5 * time.Minute
	replaced := func(edits ...func(*snapshot.Snapshot)) *snapshot.Snapshot {
		s := live("new", "x:2", "now")
		s.Deployment.Generation, s.Deployment.Status = 7, appsv1.DeploymentStatus{ObservedGeneration: 7, Replicas: 1, UpdatedReplicas: 1, AvailableReplicas: 1}
		s.Pods = []snapshot.Pod{{Pod: &corev1.Pod{}, Ready: true, Newest: true, Answer: probe.Result{Status: config.Status{Generation: "g", Ready: true}}}}
		for _, edit := range edits {
			edit(s)
		}
		return s
	}
	known := func(edit func(*appsv1.DeploymentStatus)) func(*snapshot.Snapshot) {
		return func(s *snapshot.Snapshot) { edit(&s.Deployment.Status) }
	}
	before := ago(time.Minute, "new")
	broken := ago(deadline, "new")
	broken.FailingBefore = true
	for name, test := range map[string]struct {
		s       *snapshot.Snapshot
		slot    status.Slot
		failing string
		want    string // the reason that is said; empty for none
		again   verdict.Again
	}{
		"all new pods serve":                              {replaced(), rolling(before), "", v1alpha1.ReasonSidecarCurrent, verdict.Never},
		"they serve, and it had failed":                   {replaced(), failed(ago(time.Hour, "new")), "", v1alpha1.ReasonSidecarCurrent, verdict.Never},
		"an older pod still answers for them":             {replaced(func(s *snapshot.Snapshot) { s.Pods[0].Newest = false }), rolling(before), "", "", verdict.In(verdict.Seldom)},
		"the new pod serves another configuration":        {replaced(func(s *snapshot.Snapshot) { s.Pods[0].Answer.Status.Generation = "h" }), rolling(before), "", "", verdict.In(verdict.Seldom)},
		"the new pod is not ready":                        {replaced(func(s *snapshot.Snapshot) { s.Pods[0].Ready = false }), rolling(before), "", "", verdict.In(verdict.Seldom)},
		"its template is known, and not its pods":         {replaced(func(s *snapshot.Snapshot) { s.Pods = nil }), rolling(before), "", "", verdict.In(verdict.Seldom)},
		"an older pod is still there":                     {replaced(known(func(s *appsv1.DeploymentStatus) { s.Replicas = 2 })), rolling(before), "", "", verdict.In(verdict.Seldom)},
		"not all are of the new template":                 {replaced(known(func(s *appsv1.DeploymentStatus) { s.UpdatedReplicas = 0 })), rolling(before), "", "", verdict.In(verdict.Seldom)},
		"not all are available":                           {replaced(known(func(s *appsv1.DeploymentStatus) { s.AvailableReplicas = 0 })), rolling(before), "", "", verdict.In(verdict.Seldom)},
		"their controller has not seen the template":      {replaced(known(func(s *appsv1.DeploymentStatus) { s.ObservedGeneration = 6 })), rolling(before), "", "", verdict.In(verdict.Seldom)},
		"the Deployment is not written yet":               {live("old", "x:1", "now"), rolling(before), "", "", verdict.In(4 * time.Minute)},
		"all pods serve, and have the template of before": {replaced(func(s *snapshot.Snapshot) { s.Deployment.Annotations[v1alpha1.AnnotationTemplate] = "old" }), rolling(before), "", "", verdict.In(4 * time.Minute)},
		"they do not answer as WeChat needs it":           {replaced(), rolling(before), "Verified", "", verdict.In(verdict.Seldom)},
		"and time is up":                                  {replaced(), rolling(ago(deadline, "new")), "Verified", v1alpha1.ReasonRolloutFailed, verdict.Never},
		"time is up, and the Deployment was refused":      {live("old", "x:1", "now"), rolling(ago(deadline, "new")), "SidecarAvailable", v1alpha1.ReasonRolloutFailed, verdict.Never},
		"time is up, and it was broken before":            {replaced(), rolling(broken), "Verified", v1alpha1.ReasonSidecarCurrent, verdict.Never},
		"it was broken before, and was not written":       {live("old", "x:1", "now"), rolling(broken), "Verified", v1alpha1.ReasonRolloutFailed, verdict.Never},
		"it has failed, and nothing is better":            {replaced(), failed(ago(time.Hour, "new")), "Verified", "", verdict.Never},
		"no pods are wanted": {replaced(func(s *snapshot.Snapshot) {
			s.Deployment.Spec.Replicas, s.Pods = new(int32(0)), nil
			s.Deployment.Status = appsv1.DeploymentStatus{ObservedGeneration: 7}
		}), rolling(before), "SidecarAvailable", v1alpha1.ReasonSidecarCurrent, verdict.Never},
		"the clock was set back: the slot ends all the same": {live("old", "x:1", "now"), rolling(ago(-time.Hour, "new")), "", "", verdict.In(deadline)},
	} {
		t.Run(name, func(t *testing.T) {
			got := Judge(Facts{Options: &installation.Options{}, Fleet: test.s.Fleet(), Slot: test.slot, Choice: Choice{Template: "new", Image: "x:2"}, Generation: "g", Failing: test.failing})
			if got.Verdict.Reason != test.want || got.Again != test.again {
				t.Errorf("said is %+v, again %+v; want %q, %+v", got.Verdict, got.Again, test.want, test.again)
			}
			if ended := got.Slot == nil; ended != (test.want == v1alpha1.ReasonSidecarCurrent) {
				t.Errorf("the slot is %+v", got.Slot)
			}
			if began(got.Slot).After(now) {
				t.Errorf("the slot begins at %v, which is to come", began(got.Slot))
			}
		})
	}
}

func TestHowASlotBegins(t *testing.T) {
	for name, test := range map[string]struct {
		slot   status.Slot
		choice Choice
		answer Admission
		want   string // the reason that is said; empty for none
		ends   string // the template of its slot then; empty for none
	}{
		"it is given":                                {status.Slot{}, Choice{Template: "new", Seek: true}, Admission{Admitted: true}, v1alpha1.ReasonRollingOut, "new"},
		"others come first":                          {failed(ago(0, "old")), Choice{Template: "new", Seek: true}, Admission{Queued: true}, v1alpha1.ReasonRolloutQueued, ""},
		"others have failed":                         {status.Slot{}, Choice{Template: "new", Seek: true}, Admission{Stopped: true}, v1alpha1.ReasonRolloutStopped, ""},
		"none is needed":                             {waits(v1alpha1.ReasonRolloutQueued), Choice{Template: "new", Current: true}, Admission{}, v1alpha1.ReasonSidecarCurrent, ""},
		"it has one, and the template is another":    {rolling(ago(0, "old")), Choice{Template: "new"}, Admission{}, "", "new"},
		"it failed, and its pods are what they were": {failed(ago(0, "new")), Choice{Template: "new", Current: true}, Admission{}, "", "new"},
		"what the endpoint itself asks for":          {waits(v1alpha1.ReasonSidecarCurrent), Choice{Template: "new"}, Admission{}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := Begin(Facts{Options: &installation.Options{}, Fleet: live("old", "x:1", "now").Fleet(), Slot: test.slot, Choice: test.choice, Answer: test.answer, FailingBefore: true})
			template := ""
			if got.Slot != nil {
				template = got.Slot.Template
			}
			if got.Verdict.Reason != test.want || template != test.ends {
				t.Errorf("said is %+v, the slot %+v", got.Verdict, got.Slot)
			}
			if test.answer.Admitted && (!got.Slot.FailingBefore || !got.Slot.Since.Time.Equal(now) || got.Again != verdict.Now()) {
				t.Errorf("the slot is %+v, again %+v", got.Slot, got.Again)
			}
		})
	}
}

func TestWhoLeavesHoldsUpNobody(t *testing.T) {
	current := verdict.True(v1alpha1.ReasonSidecarCurrent, "")
	rollingOut := verdict.False(v1alpha1.ReasonRollingOut, "")
	for name, test := range map[string]struct {
		said   verdict.Verdict
		paused bool
		choice Choice
		want   string
	}{
		"its pods are current":                       {current, false, Choice{Current: true}, v1alpha1.ReasonSidecarCurrent},
		"they were, and it seeks a slot now":         {current, false, Choice{Seek: true}, v1alpha1.ReasonWaiting},
		"they were, and there are none now":          {current, false, Choice{New: true}, v1alpha1.ReasonWaiting},
		"there were none ever":                       {verdict.Verdict{}, false, Choice{New: true}, ""},
		"nothing was ever said of them":              {verdict.Verdict{}, false, Choice{Current: true}, ""},
		"it was rolling":                             {rollingOut, false, Choice{Current: true}, v1alpha1.ReasonWaiting},
		"it was rolling, and somebody has paused it": {rollingOut, true, Choice{Current: true}, v1alpha1.ReasonPaused},
	} {
		endpoint := &v1alpha1.WeChatEndpoint{}
		endpoint.Spec.Paused = test.paused
		test.choice.Template = "new"
		got := Leave(endpoint.Spec.Paused, rolling(ago(0, "new")), test.said, test.choice)
		if got.Verdict.Reason != test.want || (got.Slot == nil) != (test.want == v1alpha1.ReasonWaiting || test.want == v1alpha1.ReasonPaused) {
			t.Errorf("%s: said is %+v, the slot %+v", name, got.Verdict, got.Slot)
		}
	}
}

func TestWhoIsNext(t *testing.T) {
	queued, stopped := waits(v1alpha1.ReasonRolloutQueued), waits(v1alpha1.ReasonRolloutStopped)
	for name, test := range map[string]struct {
		all  []v1alpha1.WeChatEndpoint
		want string
	}{
		"as many as there are slots, by their names": {[]v1alpha1.WeChatEndpoint{other("d", queued), other("b", queued), other("c", queued), other("a", status.Slot{})}, "a/b a/c"},
		"all who wait are told of a failure":         {[]v1alpha1.WeChatEndpoint{other("a", failed(nil)), other("b", queued), other("c", queued), other("d", queued), other("e", stopped)}, "a/b a/c a/d"},
		"all who were stopped are told of its end":   {[]v1alpha1.WeChatEndpoint{other("a", status.Slot{}), other("b", stopped), other("c", stopped), other("d", stopped), other("e", queued)}, "a/b a/c a/d a/e"},
		"one that failed and is paused stops nobody": {[]v1alpha1.WeChatEndpoint{paused(other("a", failed(nil))), other("b", stopped)}, "a/b"},
		"nobody waits": {[]v1alpha1.WeChatEndpoint{other("a", status.Slot{}), other("b", rolling(nil))}, ""},
	} {
		got := names(Next(installation.Rollout{MaxEndpoints: 2}, members(test.all)))
		if got != test.want {
			t.Errorf("%s: woken are %s, want %s", name, got, test.want)
		}
	}
}

func TestWhenOthersAreWoken(t *testing.T) {
	none, current := status.Slot{}, waits(v1alpha1.ReasonSidecarCurrent)
	queued, stopped := waits(v1alpha1.ReasonRolloutQueued), waits(v1alpha1.ReasonRolloutStopped)
	for name, test := range map[string]struct {
		before, after status.Slot
		want          bool
	}{
		"a slot ended":                        {rolling(nil), current, true},
		"new pods failed":                     {rolling(nil), failed(nil), true},
		"a failure was mended":                {failed(nil), current, true},
		"one that failed tries again":         {failed(nil), rolling(nil), true},
		"one that failed waits again":         {failed(nil), queued, true},
		"one was paused while it was rolling": {rolling(nil), waits(v1alpha1.ReasonPaused), true},
		"a slot began":                        {queued, rolling(nil), false},
		"one has to wait":                     {current, queued, false},
		"one waits for something else":        {queued, stopped, false},
		"nothing changed":                     {rolling(nil), rolling(nil), false},
		"one is looked at for the first time": {none, current, false},
	} {
		if got := Moved(test.before, test.after); got != test.want {
			t.Errorf("%s: woken %v, want %v", name, got, test.want)
		}
	}
}
