// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package pods

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/probe"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/snapshot"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// serving is a snapshot of an endpoint with as many pods as it wants, which all serve generation g.
func serving(edits ...func(*snapshot.Snapshot)) *snapshot.Snapshot {
	s := &snapshot.Snapshot{Endpoint: &v1alpha1.WeChatEndpoint{}, Deployment: &appsv1.Deployment{
		Spec:   appsv1.DeploymentSpec{Replicas: new(int32(2))},
		Status: appsv1.DeploymentStatus{Replicas: 2, UpdatedReplicas: 2, AvailableReplicas: 2},
	}}
	s.Endpoint.Spec.Platform, s.Endpoint.Spec.Sidecar.Replicas = v1alpha1.PlatformShop, new(int32(2))
	for _, name := range []string{"a", "b"} {
		s.Pods = append(s.Pods, snapshot.Pod{
			Pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: name}}, Ready: true,
			Answer: probe.Result{Status: config.Status{Generation: "g", Ready: true}},
		})
	}
	for _, edit := range edits {
		edit(s)
	}
	return s
}

func answer(i int, edit func(*probe.Result)) func(*snapshot.Snapshot) {
	return func(s *snapshot.Snapshot) { edit(&s.Pods[i].Answer) }
}

func spec(edit func(*v1alpha1.WeChatEndpointSpec)) func(*snapshot.Snapshot) {
	return func(s *snapshot.Snapshot) { edit(&s.Endpoint.Spec) }
}

func known(edit func(*appsv1.Deployment)) func(*snapshot.Snapshot) {
	return func(s *snapshot.Snapshot) { edit(s.Deployment) }
}

func waiting(reason, message string) func(*snapshot.Snapshot) {
	return func(s *snapshot.Snapshot) {
		s.Pods[1].Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}}
	}
}

func gone(s *snapshot.Snapshot) { s.Deployment, s.Pods = nil, nil }

// TestWhetherThePodsServe is all that SidecarAvailable says.
func TestWhetherThePodsServe(t *testing.T) {
	lag := verdict.Problemf(v1alpha1.ReasonSidecarOutdated, "they lag")
	type edits = []func(*snapshot.Snapshot)
	for name, test := range map[string]struct {
		edits   edits
		lag     *verdict.Problem
		reason  string // empty where they do
		message string // part of it
		again   bool   // whether they are asked again soon
	}{
		"every pod serves it":                           {nil, nil, "", "", false},
		"one serves an earlier generation":              {edits{answer(0, func(r *probe.Result) { r.Status.Generation = "f" })}, nil, v1alpha1.ReasonProgressing, "1 of 2 pods serve", true},
		"one is draining":                               {edits{answer(0, func(r *probe.Result) { r.Status.Ready = false })}, nil, v1alpha1.ReasonProgressing, "1 of 2 pods serve", true},
		"one is silent: it may serve what was revoked":  {edits{answer(1, func(r *probe.Result) { r.Err = errors.New("i/o timeout") })}, nil, v1alpha1.ReasonPodsUnreachable, "pod b does not say what it serves (i/o timeout)", true},
		"one is not ready":                              {edits{func(s *snapshot.Snapshot) { s.Pods[0].Ready = false }, known(func(d *appsv1.Deployment) { d.Status.AvailableReplicas = 1 })}, nil, v1alpha1.ReasonProgressing, "1 of 2 pods are ready", true},
		"more are ready than wanted, and one is behind": {edits{spec(func(s *v1alpha1.WeChatEndpointSpec) { s.Sidecar.Replicas = new(int32(1)) }), answer(0, func(r *probe.Result) { r.Status.Generation = "f" })}, nil, v1alpha1.ReasonProgressing, "1 of 2 pods serve", true},
		"some are of an older template":                 {edits{known(func(d *appsv1.Deployment) { d.Status.UpdatedReplicas = 1 })}, nil, v1alpha1.ReasonProgressing, "2 of 2 pods are ready", true},
		"their controller has not seen the template":    {edits{known(func(d *appsv1.Deployment) { d.Generation = 1 })}, nil, v1alpha1.ReasonProgressing, "", true},
		"an image cannot be pulled":                     {edits{waiting("ErrImagePull", "no such image")}, nil, v1alpha1.ReasonPodsFailing, "pod b: ErrImagePull: no such image; see kubectl -n team-a describe pod b", false},
		"a container is being made":                     {edits{waiting("ContainerCreating", "")}, nil, "", "", false},
		"a pod cannot be scheduled": {edits{func(s *snapshot.Snapshot) {
			s.Pods[0].Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Reason: corev1.PodReasonUnschedulable, Message: "no node"}}
		}}, nil, v1alpha1.ReasonPodsFailing, "it cannot be scheduled: no node", false},
		"a quota forbids the pods": {edits{known(func(d *appsv1.Deployment) {
			d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Message: "exceeded quota"}}
		})}, nil, v1alpha1.ReasonPodsNotCreated, "exceeded quota; raise the quota", false},
		"none is wanted":                               {edits{spec(func(s *v1alpha1.WeChatEndpointSpec) { s.Sidecar.Replicas = new(int32(0)) })}, nil, v1alpha1.ReasonScaledToZero, "set it to 1 or more", false},
		"there is no Deployment yet":                   {edits{gone}, nil, v1alpha1.ReasonProgressing, "is being made", true},
		"there is none, and it is known why":           {edits{gone}, lag, v1alpha1.ReasonSidecarOutdated, "they lag", false},
		"there is none, of an endpoint that is paused": {edits{gone, spec(func(s *v1alpha1.WeChatEndpointSpec) { s.Paused = true })}, nil, v1alpha1.ReasonPaused, "set it to false, and it is made again", false},
		"they serve, and lag behind the spec":          {nil, lag, v1alpha1.ReasonSidecarOutdated, "they lag", false},
		"they lag, and one fails: that comes first":    {edits{waiting("ErrImagePull", "")}, lag, v1alpha1.ReasonPodsFailing, "", false},
		"an autoscaler has chosen their number": {edits{spec(func(s *v1alpha1.WeChatEndpointSpec) {
			s.Sidecar.Replicas, s.Sidecar.Autoscaling = new(int32(9)), &v1alpha1.Autoscaling{MaxReplicas: 9}
		})}, nil, "", "", false},
		"a spec that cannot be read wants what there are": {edits{spec(func(s *v1alpha1.WeChatEndpointSpec) { *s = v1alpha1.WeChatEndpointSpec{Unreadable: []string{"spec"}} })}, nil, "", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			got := Judge(serving(test.edits...).Fleet(), "g", test.lag)
			if (got.Problem == nil) != (test.reason == "") || got.Problem != nil && (got.Problem.Reason != test.reason || !strings.Contains(got.Problem.Message, test.message)) {
				t.Errorf("the problem is %+v, want %s with %q", got.Problem, test.reason, test.message)
			}
			if got.AskAgain != test.again {
				t.Errorf("asked again: %v, want %v", got.AskAgain, test.again)
			}
		})
	}
}

// TestWhosePodsTheyAre: anybody may put our label on his pod, and say that it serves.
func TestWhosePodsTheyAre(t *testing.T) {
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{UID: "d", Annotations: map[string]string{AnnotationRevision: "10"}}}
	set := func(uid, owner types.UID, revision string) metav1.PartialObjectMetadata {
		return metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{UID: uid, Annotations: map[string]string{AnnotationRevision: revision}, OwnerReferences: []metav1.OwnerReference{{UID: owner, Controller: new(true)}}}}
	}
	pod := func(name string, owner types.UID, controls bool) corev1.Pod {
		return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: []metav1.OwnerReference{{UID: owner, Controller: &controls}}}, Status: corev1.PodStatus{
			PodIP: "10.0.0.1", Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
		}}
	}
	sets := []metav1.PartialObjectMetadata{set("older", "d", "9"), set("newest", "d", "10"), set("foreign", "another", "10")}
	all := []corev1.Pod{pod("a", "older", true), pod("b", "newest", true), pod("c", "foreign", true), pod("d", "newest", false), pod("e", "made-up", true), {ObjectMeta: metav1.ObjectMeta{Name: "f"}}}
	for name, test := range map[string]struct {
		edit func(*appsv1.Deployment)
		want []string
	}{
		"by the chain of UIDs":                          {func(*appsv1.Deployment) {}, []string{"a", "b newest"}},
		"of a revision that no ReplicaSet has":          {func(d *appsv1.Deployment) { d.Annotations[AnnotationRevision] = "11" }, []string{"a", "b"}},
		"of a revision that is none":                    {func(d *appsv1.Deployment) { d.Annotations[AnnotationRevision] = "" }, []string{"a", "b"}},
		"after going back, the older one is the newest": {func(d *appsv1.Deployment) { d.Annotations[AnnotationRevision] = "9" }, []string{"a newest", "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			one := deployment.DeepCopy()
			test.edit(one)
			var got []string
			for _, pod := range Of(one, sets, all) {
				got = append(got, strings.TrimSuffix(pod.Name+" "+map[bool]string{true: "newest"}[pod.Newest], " "))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("other pods (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhichPodsMayBeAsked(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(*corev1.Pod)
		want bool
	}{
		"one that is ready":             {func(*corev1.Pod) {}, true},
		"one without an address":        {func(p *corev1.Pod) { p.Status.PodIP = "" }, false},
		"one that is not ready":         {func(p *corev1.Pod) { p.Status.Conditions[0].Status = corev1.ConditionFalse }, false},
		"one that nobody has looked at": {func(p *corev1.Pod) { p.Status.Conditions = nil }, false},
		"one that is being deleted": {func(p *corev1.Pod) {
			p.DeletionTimestamp = &metav1.Time{}
			p.DeletionTimestamp.Time = p.DeletionTimestamp.AddDate(2026, 0, 0)
		}, false},
	} {
		pod := &corev1.Pod{Status: corev1.PodStatus{PodIP: "10.0.0.1", Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}}
		test.edit(pod)
		if got := MayBeAsked(pod); got != test.want {
			t.Errorf("%s is asked: %v", name, got)
		}
	}
}

// TestPodsAreNotGivenWhatTheyCannotRead: they would go on with their last files, and none could start anew.
func TestPodsAreNotGivenWhatTheyCannotRead(t *testing.T) {
	says := func(version int) func(*probe.Result) { return func(r *probe.Result) { r.Status.Version = version } }
	type edits = []func(*snapshot.Snapshot)
	for name, test := range map[string]struct {
		live, version int
		edits         edits
		want          string // the pod that is named; empty where they may be given it
	}{
		"nothing is live yet":                          {0, 2, nil, ""},
		"what is live is of the version already":       {2, 2, nil, ""},
		"what is live is newer":                        {3, 2, nil, ""},
		"no pod says what it reads":                    {1, 2, nil, "pod a"},
		"one pod does not":                             {1, 2, edits{answer(0, says(2))}, "pod b"},
		"all of them read it":                          {1, 2, edits{answer(0, says(2)), answer(1, says(3))}, ""},
		"one is silent":                                {1, 2, edits{answer(0, says(2)), answer(1, says(2)), answer(1, func(r *probe.Result) { r.Err = errors.New("i/o timeout") })}, "pod b"},
		"one is not ready: nobody knows what it reads": {1, 2, edits{answer(0, says(2)), answer(1, says(2)), func(s *snapshot.Snapshot) { s.Pods[1].Ready = false }}, "pod b"},
		"one that does not is being deleted":           {1, 2, edits{answer(0, says(2)), func(s *snapshot.Snapshot) { s.Pods[1].DeletionTimestamp = &metav1.Time{} }}, "pod b"},
		"an older sidecar reads the first version":     {1, config.VersionFirst, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := serving(test.edits...)
			s.Live.Version = test.live
			problem := Understand(s.Fleet(), s.Live.Version, test.version)
			if problem.Is(v1alpha1.ReasonSidecarOutdated) != (test.want != "") || problem != nil && !strings.Contains(problem.Message, test.want+" does not say") {
				t.Errorf("the problem is %+v, want %s named", problem, test.want)
			}
		})
	}
}

func TestWhoIsWoken(t *testing.T) {
	s := serving(answer(0, func(r *probe.Result) { r.Status.Generation = "f" }))
	for _, edit := range []func(*snapshot.Pod){func(p *snapshot.Pod) { p.Ready = false }, func(p *snapshot.Pod) { p.Answer.Status.Ready = false }} {
		pod := s.Pods[1]
		edit(&pod)
		s.Pods = append(s.Pods, pod)
	}
	var names []string
	for _, pod := range Asleep(s.Fleet(), "g") {
		names = append(names, pod.Name)
	}
	if !slices.Equal(names, []string{"a"}) {
		t.Errorf("woken are %v: only a is behind, is ready, and does not drain", names)
	}
}

func TestThePodThatAnswersOtherwiseIsNamed(t *testing.T) {
	s := serving()
	if problem := Verified(s.Pods, []error{nil, nil}); problem != nil {
		t.Errorf("all is well, and said is %+v", problem)
	}
	problem := Verified(s.Pods, []error{nil, errors.New("302 Found")})
	if !problem.Is(v1alpha1.ReasonNotVerified) || !strings.HasPrefix(problem.Message, "pod b does not answer as WeChat needs it (302 Found)") {
		t.Errorf("said is %+v", problem)
	}
}
