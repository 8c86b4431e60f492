//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// TestNetworkPolicy tries from inside the pods whom a sidecar lets in and whom it may call, by the values of the chart as they are
// and by narrower ones. It is not parallel: the others are of one installation.
func TestNetworkPolicy(t *testing.T) {
	if !kube.local {
		t.Skip("only the pods' networks of the local cluster can be entered")
	}
	s, other := newStage(t, "policy"), newStage(t, "stranger")
	s.serve(t)
	ofApp := client.MatchingLabels{"app": appName}
	sidecar, app, stranger := s.podIP(t, client.MatchingLabels{v1alpha1.LabelEndpoint: s.name}), s.podIP(t, ofApp), other.podIP(t, ofApp)
	callbacks, ops := sidecar+":8080", sidecar+":8081"

	awaitWay(t, true, "a callback from anywhere", stranger, callbacks)
	awaitWay(t, false, "the status, to a stranger", stranger, ops)
	awaitWay(t, true, "a callback from the app", app, callbacks)
	awaitWay(t, false, "the status, to the app", app, ops)
	awaitWay(t, true, "a call of the sidecar's to anybody", sidecar, stranger+":8080")

	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
		defer cancel()
		if err := kube.install(ctx); err != nil {
			t.Errorf("widening the policies: %v", err)
		}
	})
	err := kube.install(t.Context(), "sidecar.networkPolicy.egress=true",
		`sidecar.networkPolicy.metricsFrom[0].matchLabels.kubernetes\.io/metadata\.name=`+other.namespace)
	if err != nil {
		t.Fatal(err)
	}
	awaitWay(t, false, "a call of the sidecar's to anybody, when egress is limited", sidecar, stranger+":8080")
	awaitWay(t, true, "a call of the sidecar's to its app", sidecar, app+":8080")
	awaitWay(t, true, "a question of the sidecar's to DNS", sidecar, "198.19.0.10:53")
	awaitWay(t, true, "a callback from anywhere, when egress is limited", stranger, callbacks)
	awaitWay(t, true, "the metrics, to a namespace that reads them", stranger, ops)
	awaitWay(t, false, "the metrics, to another one", app, ops)

	// The operator still gets to the pods, the messages to the app.
	s.token = "EndToEndToken2"
	s.patchSecret(t, func(secret *corev1.Secret) { secret.Data[v1alpha1.KeyToken] = []byte(s.token) })
	s.awaitGeneration(t, 2)
	s.awaitReady(t)
	s.replies(t, s.text(t, "behind a policy"), "behind a policy")

	// So do the pods to each other.
	s.change(t, withReplicas(2))
	pods := client.MatchingLabels{v1alpha1.LabelEndpoint: s.name}
	s.awaitFleet(t, pods, 2)
	eventually(t, patience, "each pod to hand a message over to the other", func(ctx context.Context) error {
		s.replies(t, s.text(t, "to another pod"), "to another pod")
		return s.handedOver(ctx, t, pods)
	})
}

// podIP is the address of the one pod with the labels.
func (s *stage) podIP(t *testing.T, labels client.MatchingLabels) string {
	t.Helper()
	pods, err := s.pods(t.Context(), labels)
	if err != nil || len(pods) != 1 || pods[0].Status.PodIP == "" {
		t.Fatalf("want one pod with %v that has an address: there are %d, %v", labels, len(pods), err)
	}
	return pods[0].Status.PodIP
}

// awaitWay waits until a connection from inside a pod to an address comes about, or is refused.
func awaitWay(t *testing.T, open bool, what, from, to string) {
	t.Helper()
	network, err := networkOf(from)
	if err != nil {
		t.Fatal(err)
	}
	expected := map[bool]string{true: "allowed", false: "refused"}[open]
	eventually(t, patience, fmt.Sprintf("%s (%s to %s) to be %s", what, from, to, expected), func(ctx context.Context) error {
		host, port, _ := strings.Cut(to, ":")
		_, err := call(ctx, "nsenter", "--net="+network, "timeout", "2", "bash", "-c", "exec 3<>/dev/tcp/"+host+"/"+port)
		if open {
			return err
		}
		if err == nil {
			return errors.New("it is let through")
		}
		return nil
	})
}

// networkOf is the network namespace of the pod with that address: that of a process whose routes call the address its own.
func networkOf(podIP string) (string, error) {
	local := regexp.MustCompile(`-- ` + regexp.QuoteMeta(podIP) + `\n\s+/32 host LOCAL`)
	tables, err := filepath.Glob("/proc/[0-9]*/net/fib_trie")
	if err != nil {
		return "", err
	}
	for _, table := range tables {
		if content, err := os.ReadFile(table); err == nil && local.Match(content) {
			return filepath.Join(filepath.Dir(filepath.Dir(table)), "ns/net"), nil
		}
	}
	return "", fmt.Errorf("no process has the address %s", podIP)
}
