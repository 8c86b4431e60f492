//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/diagnose"
)

// TestAppDown stops the app: the sidecar tries until the deadline and says 503, so that WeChat sends the message again.
func TestAppDown(t *testing.T) {
	t.Parallel()
	const deadline = 1500 * time.Millisecond
	s := newStage(t, "app-down")
	s.serve(t, withDeadline(deadline))
	s.scaleApp(t, 0)
	s.await(t, v1alpha1.ConditionBackendAvailable, metav1.ConditionFalse, v1alpha1.ReasonNoBackendPods)
	s.awaitReady(t) // nothing rests on it

	request := s.text(t, "are you there?")
	answer, err := s.sender().Send(t.Context(), request)
	if err != nil || answer.Status != http.StatusServiceUnavailable {
		t.Fatalf("status %d, %v; want 503", answer.Status, err)
	}
	if answer.Elapsed < deadline-600*time.Millisecond {
		t.Errorf("the answer came after %v, long before the deadline of %v", answer.Elapsed, deadline)
	}
	// The first try may still have been sent to the address of the pod that was, where nobody refuses it.
	eventually(t, patience, "the sidecar to try more than once", func(ctx context.Context) error {
		answer, err := s.sender().Send(ctx, request)
		if err != nil {
			return err
		}
		if answer.Status != http.StatusServiceUnavailable {
			return fmt.Errorf("status %d, want 503", answer.Status)
		}
		if !retried(s.ops(t, "metrics")[0]) {
			return errors.New("no retry is counted")
		}
		return nil
	})
	if refusal := diagnose.URLCheck(s.sender().URLCheck(t.Context())); refusal != nil {
		t.Errorf("the URL check needs no app: %v", refusal)
	}

	s.scaleApp(t, 1)
	s.awaitApp(t)
	eventually(t, patience, "the same message to be delivered", func(ctx context.Context) error {
		attempts := s.sender().Deliver(ctx, request)
		last := attempts[len(attempts)-1]
		if _, refusal := diagnose.Message(last.Answer, last.Err); refusal != nil {
			return fmt.Errorf("after %d tries: %v", len(attempts), refusal)
		}
		return nil
	})
	s.replies(t, request, "are you there?")
	s.await(t, v1alpha1.ConditionBackendAvailable, metav1.ConditionTrue, v1alpha1.ReasonBackendAvailable)
	if content := s.seen(t).Messages[0].Content; content != "are you there?" {
		t.Errorf("the app got %q", content)
	}
}

// TestAppBehindAPolicy keeps the sidecar from the app, as a namespace does whose NetworkPolicies deny by default.
func TestAppBehindAPolicy(t *testing.T) {
	t.Parallel()
	if !kube.local {
		t.Skip("only the pods' networks of the local cluster can be entered")
	}
	s := newStage(t, "app-behind-a-policy")
	s.serve(t, withDeadline(1500*time.Millisecond))
	policy := &networkingv1.NetworkPolicy{ObjectMeta: s.object("deny"), Spec: networkingv1.NetworkPolicySpec{
		PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": appName}}, PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
	}}
	s.create(t, policy)
	awaitWay(t, false, "a call of the app", s.podIP(t, client.MatchingLabels{v1alpha1.LabelEndpoint: s.name}), s.podIP(t, client.MatchingLabels{"app": appName})+":8080")
	request := s.text(t, "is there a way?")
	if answer, err := s.sender().Send(t.Context(), request); err != nil || answer.Status != http.StatusServiceUnavailable {
		t.Errorf("status %d, %v; want 503", answer.Status, err)
	}
	message := s.await(t, v1alpha1.ConditionBackendAvailable, metav1.ConditionFalse, v1alpha1.ReasonBackendUnreached)
	if !strings.Contains(message, "NetworkPolicy") {
		t.Errorf("the message does not lead to the NetworkPolicy: %s", message)
	}
	s.awaitReady(t)
	if err := kube.Delete(t.Context(), policy); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "the same message to be delivered", func(ctx context.Context) error {
		_, refusal := diagnose.Message(s.sender().Send(ctx, request))
		if refusal != nil {
			return errors.New(refusal.String())
		}
		return nil
	})
	s.await(t, v1alpha1.ConditionBackendAvailable, metav1.ConditionTrue, v1alpha1.ReasonBackendAvailable)
}

// retried reads the counter of retries.
func retried(metrics string) bool {
	for line := range strings.Lines(metrics) {
		if _, value, found := strings.Cut(line, "} "); found && strings.HasPrefix(line, "wechat_sidecar_backend_retries_total{") {
			return strings.TrimSpace(value) != "0"
		}
	}
	return false
}

// TestSlowApp lets the app take too long: WeChat is told success at the deadline, and sends nothing again.
func TestSlowApp(t *testing.T) {
	t.Parallel()
	const deadline = time.Second
	s := newStage(t, "slow-app")
	s.serve(t, withDeadline(deadline))

	s.behave(t, map[string]string{"delay": "3s"})
	before := s.seen(t).Count
	attempts := s.sender().Deliver(t.Context(), s.text(t, "take your time"))
	answer := attempts[0].Answer
	if len(attempts) != 1 || answer.Status != http.StatusOK || string(answer.Body) != wechat.Success {
		t.Fatalf("%d tries; the first: %d %q, %v", len(attempts), answer.Status, answer.Body, attempts[0].Err)
	}
	if answer.Elapsed < deadline || answer.Elapsed > 2500*time.Millisecond {
		t.Errorf("the answer came after %v, want it at the deadline of %v", answer.Elapsed, deadline)
	}
	if after := s.seen(t).Count; after != before+1 {
		t.Errorf("the app saw the message %d times, not once", after-before)
	}
	s.behave(t, nil)
	s.replies(t, s.text(t, "fast again"), "fast again")
}

// TestBadReplies lets the app answer what WeChat would show its user as a fault: none of it passes, and none is followed.
func TestBadReplies(t *testing.T) {
	t.Parallel()
	s := newStage(t, "bad-replies")
	s.serve(t)
	for _, behaviour := range []map[string]string{
		{"status": "500"}, {"status": "404"}, {"status": "302"}, {"reply": "field"}, {"reply": "<html></html>"},
	} {
		s.behave(t, behaviour)
		answer, err := s.sender().Send(t.Context(), s.text(t, fmt.Sprint(behaviour)))
		if err != nil || answer.Status != http.StatusBadGateway || len(answer.Body) > 0 || answer.Header.Get("Location") != "" {
			t.Errorf("an app that answers with %v: %d %q, %v; want 502 and nothing", behaviour, answer.Status, answer.Body, err)
		}
	}
	s.behave(t, map[string]string{"reply": wechat.Success})
	answer, err := s.sender().Send(t.Context(), s.text(t, "nothing to say"))
	if reply, refusal := diagnose.Message(answer, err); refusal != nil || reply.Kind != diagnose.ReplySuccess {
		t.Errorf("an app that says success: %+v, %v", reply, refusal)
	}
}
