//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/test/e2e/rights"
)

// TestSomeNamespaces narrows the installation to one namespace while messages come, and widens it again. It is not parallel: the
// others need an operator of the whole cluster.
func TestSomeNamespaces(t *testing.T) {
	inside, outside := newStage(t, "inside"), newStage(t, "outside")
	inside.serve(t)
	t.Cleanup(func() { // if it fails midway
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
		defer cancel()
		if err := kube.install(ctx); err != nil {
			t.Errorf("widening the installation: %v", err)
		}
		rolesBack()
	})

	stop := inside.load(t)
	rolesGone()
	if err := kube.install(t.Context(), "watchNamespaces={"+inside.namespace+"}"); err != nil {
		t.Fatal(err)
	}
	if err := kube.Get(t.Context(), client.ObjectKey{Name: operatorName}, &rbacv1.ClusterRole{}); !apierrors.IsNotFound(err) {
		t.Errorf("the ClusterRole is left: %v", err)
	}
	stop()
	outside.create(t, outside.secret(), outside.endpoint())
	inside.token = "EndToEndToken2"
	inside.patchSecret(t, func(secret *corev1.Secret) { secret.Data[v1alpha1.KeyToken] = []byte(inside.token) })
	inside.awaitPublished(t)
	inside.awaitReady(t)
	message := inside.await(t, v1alpha1.ConditionRouteProgrammed, metav1.ConditionTrue, v1alpha1.ReasonRouteProgrammed)
	if !strings.Contains(message, "the class was not looked up") {
		t.Errorf("it claims what it cannot know: %s", message)
	}
	untouched, err := outside.current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if said := untouched.Status.Conditions; len(said) != 1 || said[0].Reason != v1alpha1.ReasonNotObserved {
		t.Errorf("the operator of another namespace judges it: %v", untouched.Status.Conditions)
	}

	inside.allowed(t)

	if err := kube.install(t.Context()); err != nil {
		t.Fatal(err)
	}
	outside.awaitPublished(t)
	outside.awaitReady(t)
}

// allowed holds that the operator that runs now did something in the stage, that all of it was by the roles of its chart, and
// that nothing was refused.
func (s *stage) allowed(t *testing.T) {
	t.Helper()
	if !kube.local {
		return // there is no audit log
	}
	running, err := kube.ofRunningOperator(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	here := 0
	found, err := kube.compareRights(t.Context(), func(request rights.Request) bool {
		if !running(request) {
			return false
		}
		if request.ObjectRef.Namespace == s.namespace {
			here++
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, finding := range append(found.Refused, found.Stray...) {
		t.Error(finding)
	}
	if here == 0 {
		t.Error("the audit log has nothing of the operator's that it did here")
	}
}
