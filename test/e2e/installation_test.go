//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/google/go-cmp/cmp"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

// ofRelease selects the chart's objects.
var ofRelease = client.MatchingLabels{"app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/instance": release}

// TestInstallation upgrades, removes and installs the operator under an endpoint that serves. It is the first test and not
// parallel: the others need an operator.
func TestInstallation(t *testing.T) {
	s := newStage(t, "installation")
	s.serve(t)

	t.Run("an upgrade to the same changes nothing", func(t *testing.T) {
		before, generation := chartObjects(t), policyGeneration(t)
		if len(before) < 5 {
			t.Fatalf("the chart has only %v", before.names())
		}
		if err := kube.install(t.Context()); err != nil {
			t.Fatal(err)
		}
		if after := chartObjects(t); !maps.Equal(before, after) || policyGeneration(t) != generation {
			t.Errorf("the objects were\n%v\nand are\n%v", before, after)
		}
	})
	t.Run("an uninstall leaves the definition and nothing else", func(t *testing.T) {
		stop := s.load(t)
		rolesGone()
		if err := kube.uninstall(t.Context()); err != nil {
			t.Fatal(err)
		}
		eventually(t, patience, "the chart's objects to be gone", onlyDefinition)
		stop()
		s.replies(t, s.text(t, "without an operator"), "without an operator")
		if _, err := s.current(t.Context()); err != nil {
			t.Errorf("the endpoint: %v", err)
		}
	})
	t.Run("an overlay of the kustomization takes the endpoint over, with another namespace and another image", s.isServedFromAnOverlay)
	t.Run("an earlier chart over newer definitions, an upgrade, a test and a rollback lose nothing", s.passesThroughReleases)
	t.Run("an installation over the definition takes the endpoints over, and a change that nobody saw", func(t *testing.T) {
		const changed = "EndToEndToken2" // in the Secret, and not yet in the console
		s.patchSecret(t, func(secret *corev1.Secret) { secret.Data[v1alpha1.KeyToken] = []byte(changed) })
		stop := s.load(t)
		if err := kube.install(t.Context()); err != nil {
			t.Fatal(err)
		}
		rolesBack()
		s.await(t, v1alpha1.ConditionCredentialsResolved, metav1.ConditionTrue, v1alpha1.ReasonRotationPending)
		s.takes(t, caller.Sender{Token: changed}, caller.Sender{Token: s.token})
		time.Sleep(settled)
		stop()
		endpoint, err := s.current(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if accepted := endpoint.Status.Credentials.Accepted; len(accepted) != 2 || accepted[0].Generation != 2 || accepted[1].Generation != 1 {
			t.Errorf("accepted are %+v, not the generations 2 and 1", accepted)
		}
		s.token = changed
		s.replies(t, s.text(t, "after Save"), "after Save")

		s.token = "EndToEndToken3"
		s.patchSecret(t, func(secret *corev1.Secret) { secret.Data[v1alpha1.KeyToken] = []byte(s.token) })
		s.awaitPublished(t)
		s.awaitReady(t)
	})
	t.Run("a choice of the installation reaches what is there", func(t *testing.T) {
		policy := &networkingv1.NetworkPolicy{ObjectMeta: s.object(childName)}
		if err := kube.Get(t.Context(), client.ObjectKeyFromObject(policy), policy); err != nil {
			t.Fatal(err)
		}
		// As OpenShift runs pods: by a number of the namespace's own, which no image knows.
		const user = 1000660000
		if err := kube.install(t.Context(), "sidecar.networkPolicy.enabled=false", "sidecar.mode=Gateway",
			fmt.Sprint("podSecurityContext.runAsUser=", user), fmt.Sprint("podSecurityContext.fsGroup=", user),
			fmt.Sprint("sidecar.podSecurityContext.runAsUser=", user), fmt.Sprint("sidecar.podSecurityContext.fsGroup=", user)); err != nil {
			t.Fatal(err)
		}
		s.awaitGone(t, policy)
		plain, endpoint := s.account("plain")
		endpoint.Spec.Gateway = nil // it says nothing
		s.create(t, endpoint)
		plain.awaitReady(t)
		plain.awaitMoved(t, "default")
		plain.awaitPublished(t)
		wantUser(t, user, client.InNamespace(operatorNamespace), client.MatchingLabels{"app.kubernetes.io/name": operatorName})
		wantUser(t, user, client.InNamespace(plain.namespace), client.MatchingLabels{v1alpha1.LabelGateway: "default"})
		stop := loadAll(t, plain)
		if err := kube.install(t.Context()); err != nil {
			t.Fatal(err)
		}
		plain.awaitMoved(t, "")
		stop()
		for _, reasons := range plain.events(t) {
			if slices.Contains(reasons, v1alpha1.ReasonNoSuchGateway) || slices.Contains(reasons, v1alpha1.ReasonChildRecreated) {
				t.Errorf("the events speak of what nobody has to see to: %v", reasons)
			}
		}
		eventually(t, patience, "the NetworkPolicy", func(ctx context.Context) error {
			return kube.Get(ctx, client.ObjectKeyFromObject(policy), policy)
		})
		s.awaitReady(t)
	})
	t.Run("a real Prometheus reads every pod that the chart's monitors select, and no alert fires", s.isReadByPrometheus)
}

// wantUser wants containers that run, all of them by this user.
func wantUser(t *testing.T, user int64, pods ...client.ListOption) {
	t.Helper()
	var found corev1.PodList
	if err := kube.List(t.Context(), &found, pods...); err != nil {
		t.Fatal(err)
	}
	ready := 0
	for _, pod := range found.Items {
		if given := pod.Spec.SecurityContext.RunAsUser; given == nil || *given != user {
			if pod.DeletionTimestamp == nil {
				t.Errorf("%s runs as %v", pod.Name, given)
			}
		} else if len(pod.Status.ContainerStatuses) > 0 && pod.Status.ContainerStatuses[0].Ready {
			ready++
		}
	}
	if ready == 0 {
		t.Errorf("none of %d pods is ready as user %d", len(found.Items), user)
	}
}

// policyGeneration counts the changes of the admission policy. Its resource version also counts what the cluster notes about it.
func policyGeneration(t *testing.T) int64 {
	t.Helper()
	policy := &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: operatorName}}
	if err := kube.Get(t.Context(), client.ObjectKeyFromObject(policy), policy); err != nil {
		t.Fatal(err)
	}
	return policy.Generation
}

// chartObjects lists what the chart has, but the Lease, which the operator renews, and the admission policy.
func chartObjects(t *testing.T) inventory {
	t.Helper()
	found, err := kube.inventory(t.Context(), ofRelease)
	if err != nil {
		t.Fatal(err)
	}
	return found.without(append(restless, "ValidatingAdmissionPolicy")...)
}

// onlyDefinition looks at all that bears the chart's labels, and at all that is in its namespace but what every
// namespace has.
func onlyDefinition(ctx context.Context) error {
	labelled, err := kube.inventory(ctx, ofRelease)
	if err != nil {
		return err
	}
	inside, err := kube.inventory(ctx, client.InNamespace(operatorNamespace))
	if err != nil {
		return err
	}
	left := labelled
	maps.Copy(left, inside.without("Event"))
	for _, expected := range []string{
		"CustomResourceDefinition /" + definition, "CustomResourceDefinition /" + gatewayDefinition, "ConfigMap " + operatorNamespace + "/kube-root-ca.crt", "ServiceAccount " + operatorNamespace + "/default",
	} {
		if _, found := left[expected]; !found {
			return fmt.Errorf("there is no %s", expected)
		}
		delete(left, expected)
	}
	if len(left) > 0 {
		return fmt.Errorf("left are %v", left.names())
	}
	return nil
}

// TestOperatorRestart replaces the operator while messages come. It is not parallel: the others' patience is for an
// operator that is there.
func TestOperatorRestart(t *testing.T) {
	s := newStage(t, "operator-restart")
	s.serve(t)
	s.await(t, v1alpha1.ConditionReachable, metav1.ConditionTrue, v1alpha1.ReasonReachable) // the last to settle
	before, endpoint := s.everything(t), s.withoutUses(t)

	stop := s.load(t)
	if _, err := call(t.Context(), kube.kubectl, "-n", operatorNamespace, "delete", "pod", "-l", "app.kubernetes.io/name="+operatorName, "--wait"); err != nil {
		t.Fatal(err)
	}
	if _, err := call(t.Context(), kube.kubectl, "-n", operatorNamespace, "rollout", "status", "deployment/"+operatorName, "--timeout", "2m"); err != nil {
		t.Fatal(err)
	}
	// A new endpoint stands at the end of the new operator's queue.
	later := s.endpoint()
	later.Name, later.Spec.URL.Host = "later", "later."+s.host
	s.create(t, later)
	eventually(t, patience, "the new operator to make a new endpoint ready", func(ctx context.Context) error {
		if err := kube.Get(ctx, client.ObjectKeyFromObject(later), later); err != nil {
			return err
		}
		for _, c := range later.Status.Conditions {
			if c.Type == v1alpha1.ConditionReady && c.Reason == v1alpha1.ReasonReady {
				return nil
			}
		}
		return fmt.Errorf("its conditions are %+v", later.Status.Conditions)
	})
	stop()

	if diff := cmp.Diff(endpoint, s.withoutUses(t)); diff != "" {
		t.Errorf("the new operator wrote the endpoint, although nothing had changed (-before +after):\n%s", diff)
	}
	now := s.everything(t)
	for name, version := range before {
		if now[name] != version && !strings.HasPrefix(name, "WeChatEndpoint ") {
			t.Errorf("the new operator wrote %s, although nothing had changed", name)
		}
	}
	s.token = "EndToEndToken2"
	s.patchSecret(t, func(secret *corev1.Secret) { secret.Data[v1alpha1.KeyToken] = []byte(s.token) })
	s.awaitPublished(t)
}

// withoutUses is the endpoint as its user sees it, but for when WeChat was seen, which is news to every operator.
func (s *stage) withoutUses(t *testing.T) *v1alpha1.WeChatEndpoint {
	t.Helper()
	endpoint, err := s.current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range endpoint.Status.Credentials.Accepted {
		endpoint.Status.Credentials.Accepted[i].FirstUsed, endpoint.Status.Credentials.Accepted[i].LastUsed = nil, nil
	}
	endpoint.ResourceVersion, endpoint.ManagedFields = "", nil
	return endpoint
}

// everything is the namespace's inventory with versions.
func (s *stage) everything(t *testing.T) inventory {
	t.Helper()
	found, err := kube.inventory(t.Context(), client.InNamespace(s.namespace))
	if err != nil {
		t.Fatal(err)
	}
	return found.without(append(restless, "ValidatingAdmissionPolicy")...)
}
