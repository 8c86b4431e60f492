//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// dump tells what a failed test left: its objects as kubectl shows them, the sidecars' logs and the operator's.
func (s *stage) dump(ctx context.Context, t *testing.T) {
	t.Helper()
	for _, arguments := range [][]string{
		{"get", "wechatendpoints", "-o", "yaml"},
		{"get", "deployments,pods,services,ingresses,configmaps,poddisruptionbudgets", "-o", "wide"},
		{"get", "events", "--sort-by", ".lastTimestamp"},
	} {
		said, err := call(ctx, kube.kubectl, append([]string{"-n", s.namespace}, arguments...)...)
		t.Logf("kubectl %v (%v):\n%s", arguments, err, said)
	}
	dumpLogs(ctx, t, s.namespace)
	dumpLogs(ctx, t, operatorNamespace)
}

func dumpLogs(ctx context.Context, t *testing.T, namespace string) {
	t.Helper()
	var pods corev1.PodList
	if err := kube.List(ctx, &pods, client.InNamespace(namespace)); err != nil {
		t.Logf("listing pods of %s: %v", namespace, err)
	}
	for _, pod := range pods.Items {
		t.Logf("log of %s/%s:\n%s", namespace, pod.Name, kube.podLog(ctx, namespace, pod.Name, 80))
	}
}

func podLogOptions(lines int64) *corev1.PodLogOptions {
	return &corev1.PodLogOptions{TailLines: &lines}
}
