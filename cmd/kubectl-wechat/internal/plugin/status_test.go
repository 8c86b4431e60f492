// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/doctor"
)

// servingPod is a pod of the endpoint demo, or of the gateway front.
func servingPod(name string, ready bool, labels map[string]string) *corev1.Pod {
	all := map[string]string{}
	for _, set := range []map[string]string{sidecarPods, labels} {
		for key, value := range set {
			all[key] = value
		}
	}
	p := pod("shop", name, sidecarContainer, "example.com/sidecar:0.2.0", all)
	p.Spec.NodeName = "node-1"
	if ready {
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	} else {
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: sidecarContainer, RestartCount: 4,
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "no such image"}}}}
	}
	return p
}

var ofDemo = map[string]string{v1alpha1.LabelEndpoint: "demo"}

// seen is an endpoint that WeChat has called.
func seen(e *v1alpha1.WeChatEndpoint) {
	hour := metav1.NewTime(time.Date(2026, 11, 28, 8, 0, 0, 0, time.UTC))
	end := metav1.NewTime(time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC))
	e.Status.URL, e.Status.Backend = "https://wx.example.com/weixin", "app:8080"
	e.Status.Credentials = v1alpha1.CredentialsStatus{Generation: 2, Accepted: []v1alpha1.AcceptedCredentials{{Generation: 2}, {Generation: 1, LastUsed: &hour}}}
	e.Status.CertificateNotAfter = &end
}

func condition(name string, status metav1.ConditionStatus, reason, message string) func(*v1alpha1.WeChatEndpoint) {
	return func(e *v1alpha1.WeChatEndpoint) {
		for i := range e.Status.Conditions {
			if e.Status.Conditions[i].Type == name {
				e.Status.Conditions[i] = metav1.Condition{Type: name, Status: status, Reason: reason, Message: message}
				return
			}
		}
		e.Status.Conditions = append(e.Status.Conditions, metav1.Condition{Type: name, Status: status, Reason: reason, Message: message})
	}
}

func TestStatusOfAnEndpoint(t *testing.T) {
	there := cluster(t, demo(seen), servingPod("demo-1", true, ofDemo), servingPod("demo-2", false, ofDemo), servingPod("other", true, map[string]string{v1alpha1.LabelEndpoint: "other"}))
	got := run(t, there, "", "status", "demo")
	got.check(t, StatusOK, "endpoint  shop/demo\n", "url       https://wx.example.com/weixin\n", "platform  OfficialAccount, Plaintext\n", "backend   app:8080\n",
		"pods      its own pods\n", "seen      WeChat was last seen in the hour of 2026-11-28T08:00:00Z; the newest credentials are generation 2\n",
		"tls       the certificate ends at 2027-01-02T03:04:05Z\n", "pod       demo-1: ready, 0 restarts\n",
		"pod       demo-2: not ready, 4 restarts: container sidecar waits: ImagePullBackOff no such image\n")
	if strings.Contains(got.out, "other") || strings.Contains(got.out, "node-1") || strings.Contains(got.out, "next:") {
		t.Errorf("more is said than there is to say:\n%s", got.out)
	}
	run(t, there, "", "status", "demo", "-o", "wide").check(t, StatusOK, "demo-1: ready, 0 restarts; node node-1, image example.com/sidecar:0.2.0\n")
}

func TestStatusSaysWhatToDoNext(t *testing.T) {
	for name, test := range map[string]struct {
		change []func(*v1alpha1.WeChatEndpoint)
		words  []string
	}{
		"a Secret that is missing": {[]func(*v1alpha1.WeChatEndpoint){
			condition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonSecretNotFound, "there is no Secret demo-token"),
			condition(v1alpha1.ConditionCredentialsResolved, metav1.ConditionFalse, v1alpha1.ReasonSecretNotFound, "there is no Secret demo-token"),
		}, []string{"FAILED     CredentialsResolved  SecretNotFound: there is no Secret demo-token\n", "do: create it, or label it", "next: create it, or label it: kubectl label secret NAME"}},
		"an endpoint that nobody has looked at": {[]func(*v1alpha1.WeChatEndpoint){func(e *v1alpha1.WeChatEndpoint) { e.Status.Conditions = nil }},
			[]string{"next: wait some seconds; if it lasts, see whether the operator runs", "pod       there is none\n"}},
		"a warning": {[]func(*v1alpha1.WeChatEndpoint){
			condition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonWaiting, "wait"),
			condition(v1alpha1.ConditionWrongReceiver, metav1.ConditionTrue, v1alpha1.ReasonWrongReceiver, "for wx2"),
		}, []string{"FAILED     WrongReceiver        WrongReceiver: for wx2\n", "do: compare appID and receiverIDs with the console"}},
		"a spec that the operator has not seen": {[]func(*v1alpha1.WeChatEndpoint){
			condition(v1alpha1.ConditionReady, metav1.ConditionUnknown, v1alpha1.ReasonProgressing, "soon"), func(e *v1alpha1.WeChatEndpoint) { e.Generation = 2 },
		}, []string{"unknown    Ready                Progressing: soon\n", "it speaks of an earlier spec", "the operator has seen generation 0 of the spec, and the newest is 2", "next: wait some seconds"}},
		"what could steer a terminal": {[]func(*v1alpha1.WeChatEndpoint){condition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonPodsFailing, "a\x1b[2Jb")},
			[]string{`a\u001b[2Jb`}},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, cluster(t, demo(test.change...)), "", "status", "demo").check(t, StatusRefused, test.words...)
		})
	}
}

// TestStatusForPrograms: the fields are those that the documentation lists.
func TestStatusForPrograms(t *testing.T) {
	there := cluster(t, demo(seen, condition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonPodsFailing, "no image")), servingPod("demo-2", false, ofDemo))
	got := run(t, there, "", "status", "demo", "-o", "json")
	got.check(t, StatusRefused)
	golden(t, "status.json", got.out)
	yaml := run(t, there, "", "status", "demo", "--output=yaml")
	yaml.check(t, StatusRefused, "kind: WeChatEndpoint\n", "next: see kubectl describe pod\n")
	all := run(t, there, "", "status", "-o", "json")
	var list []Summary
	if err := json.Unmarshal([]byte(all.out), &list); err != nil || len(list) != 1 || list[0].Name != "demo" {
		t.Errorf("%v: %s", err, all.out)
	}
	if none := run(t, cluster(t), "", "status", "-o", "json"); none.out != "[]\n" || none.status != StatusOK {
		t.Errorf("of no endpoint: %q", none.out)
	}
}

func TestStatusOfAGateway(t *testing.T) {
	gateway := wxg(false)
	number := int32(3)
	gateway.Status = v1alpha1.WeChatGatewayStatus{Endpoints: &number, Left: []string{"big"}, Conditions: []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: "Ready"}}}
	there := cluster(t, gateway, servingPod("front-1", true, map[string]string{v1alpha1.LabelGateway: "front"}))
	run(t, there, "", "status", "--gateway", "front").check(t, StatusOK, "gateway   shop/front\n", "serves    3 endpoints\n", "no room   big\n", "pod       front-1: ready")
	run(t, there, "", "status", "--gateway", "fron").check(t, StatusUsage, "there is no WeChatGateway fron in namespace shop: did you mean front?")
	run(t, there, "", "status", "demo", "--gateway", "front").check(t, StatusUsage, "name an endpoint or a --gateway, and not both")
}

func TestStatusOfANamespace(t *testing.T) {
	there := cluster(t, demo(seen), wxg(false), demo(func(e *v1alpha1.WeChatEndpoint) { e.Name, e.Status.Conditions = "new", nil }))
	run(t, there, "", "status").check(t, StatusRefused, "KIND", "WeChatEndpoint   demo    True", "https://wx.example.com/weixin", "WeChatEndpoint   new     Unknown", "WeChatGateway    front   Unknown")
	run(t, cluster(t), "", "status").check(t, StatusOK, "there is no endpoint in namespace shop: kubectl wechat init makes one")
	run(t, there, "", "status", "demo", "-o", "table").check(t, StatusUsage, "--output must be json, yaml or wide")
}

// TestStatusWithoutTheRightToListPods goes on without them.
func TestStatusWithoutTheRightToListPods(t *testing.T) {
	inner, _, err := cluster(t, demo(seen))(nil)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(err error) Connect {
		return connectTo(interceptor.NewClient(inner.(client.WithWatch), interceptor.Funcs{
			List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error { return err },
		}))
	}
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", errors.New("not you"))
	run(t, refused(forbidden), "", "status", "demo").check(t, StatusOK, "pod       not known: you may not list them\n")
	run(t, refused(errors.New("weather")), "", "status", "demo").check(t, StatusOK, "pod       not known: they could not be listed: weather\n")
	run(t, refused(forbidden), "", "status").check(t, StatusUsage, "you may not get WeChatEndpoint")
}

func TestWhyAPodDoesNotServe(t *testing.T) {
	gone := metav1.Now()
	for want, pod := range map[string]corev1.Pod{
		"":                    {Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}},
		"it is being deleted": {ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &gone}},
		"container a ended with status 137: OOMKilled": {Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "a",
			State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}}}}}},
		"no node takes it: too full":                                    {Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "too full"}}}},
		"it does not answer the kubelet's question whether it is ready": {},
	} {
		if diff := cmp.Diff(want, doctor.PodProblem(pod).String()); diff != "" {
			t.Error(diff)
		}
	}
}
