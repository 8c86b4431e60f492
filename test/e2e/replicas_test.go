//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// takeover is how long nobody may lead: the 15 s for which a Lease holds, and what a busy machine takes besides.
const takeover = 40 * time.Second

// TestSecondReplica takes the working one of two operators away while messages come: another works on. It is not parallel: the
// operator is everybody's.
func TestSecondReplica(t *testing.T) {
	s := newStage(t, "second-replica")
	s.serve(t)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
		defer cancel()
		if err := kube.install(ctx); err != nil {
			t.Errorf("going back to one operator: %v", err)
		}
	})
	if err := kube.install(t.Context(), "replicaCount=2"); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "two operators", func(ctx context.Context) error {
		var deployment appsv1.Deployment
		err := kube.Get(ctx, client.ObjectKey{Namespace: operatorNamespace, Name: operatorName}, &deployment)
		if err == nil && (deployment.Status.ReadyReplicas != 2 || deployment.Status.Replicas != 2) {
			err = fmt.Errorf("%d are ready of %d", deployment.Status.ReadyReplicas, deployment.Status.Replicas)
		}
		return err
	})
	var budget policyv1.PodDisruptionBudget
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: operatorNamespace, Name: operatorName}, &budget); err != nil {
		t.Errorf("the PodDisruptionBudget of two: %v", err)
	}
	first := awaitLeader(t, "")
	stop := s.load(t)
	before := time.Now()
	pod := &corev1.Pod{}
	pod.Namespace, pod.Name = operatorNamespace, first
	if err := kube.Delete(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	second := awaitLeader(t, first)
	t.Logf("%s leads %v after %s was deleted", second, time.Since(before).Round(100*time.Millisecond), first)
	stop()
	s.token = "EndToEndToken2"
	s.patchSecret(t, func(secret *corev1.Secret) { secret.Data[v1alpha1.KeyToken] = []byte(s.token) })
	s.awaitPublished(t)
	s.awaitReady(t)
}

// awaitLeader returns the pod that holds the Lease and is to stay: another than the one that is gone.
func awaitLeader(t *testing.T, gone string) string {
	t.Helper()
	leader := ""
	eventually(t, takeover, "an operator to lead", func(ctx context.Context) error {
		var lease coordinationv1.Lease
		if err := kube.Get(ctx, client.ObjectKey{Namespace: operatorNamespace, Name: operatorName}, &lease); err != nil {
			return err
		}
		if lease.Spec.HolderIdentity == nil {
			return fmt.Errorf("nobody holds the Lease")
		}
		leader, _, _ = strings.Cut(*lease.Spec.HolderIdentity, "_")
		if leader == "" || leader == gone {
			return fmt.Errorf("the Lease is held by %q", *lease.Spec.HolderIdentity)
		}
		var pod corev1.Pod
		err := kube.Get(ctx, client.ObjectKey{Namespace: operatorNamespace, Name: leader}, &pod)
		if err == nil && !pod.DeletionTimestamp.IsZero() {
			err = fmt.Errorf("the Lease is held by %s, which is on its way out", leader)
		}
		return err
	})
	return leader
}
