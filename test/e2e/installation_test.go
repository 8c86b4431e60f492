//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/google/go-cmp/cmp"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// ofRelease selects the chart's objects.
var ofRelease = client.MatchingLabels{"app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/instance": release}

// TestInstallation upgrades, removes and installs the operator under an endpoint that serves. It is the first test and not
// parallel: the others need an operator.
func TestInstallation(t *testing.T) {
	s := newStage(t, "installation")
	s.serve(t)

	t.Run("an upgrade to the same changes nothing", func(t *testing.T) {
		before := chartObjects(t)
		if len(before) < 5 {
			t.Fatalf("the chart has only %v", before.names())
		}
		if err := kube.install(t.Context()); err != nil {
			t.Fatal(err)
		}
		if after := chartObjects(t); !maps.Equal(before, after) {
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
	t.Run("the kustomization is accepted by the API server", func(t *testing.T) {
		said, err := call(t.Context(), kube.kubectl, "apply", "--server-side", "--force-conflicts", "--dry-run=server", "-k", "../../config/default")
		if err != nil {
			t.Error(err)
		}
		for _, kind := range []string{"customresourcedefinition", "clusterrole", "serviceaccount", "deployment"} {
			if !strings.Contains(said, kind) {
				t.Errorf("it has no %s:\n%s", kind, said)
			}
		}
	})
	t.Run("an installation over the definition takes the endpoints over", func(t *testing.T) {
		if err := kube.install(t.Context()); err != nil {
			t.Fatal(err)
		}
		rolesBack()
		s.token = "EndToEndToken2"
		s.patchSecret(t, func(secret *corev1.Secret) { secret.Data[v1alpha1.KeyToken] = []byte(s.token) })
		s.awaitPublished(t)
		s.awaitReady(t)
	})
}

// chartObjects lists what the chart has, but the Lease, which the operator renews.
func chartObjects(t *testing.T) inventory {
	t.Helper()
	found, err := kube.inventory(t.Context(), ofRelease)
	if err != nil {
		t.Fatal(err)
	}
	return found.without(restless...)
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
		"CustomResourceDefinition /" + definition, "ConfigMap " + operatorNamespace + "/kube-root-ca.crt", "ServiceAccount " + operatorNamespace + "/default",
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
	return found.without(restless...)
}
