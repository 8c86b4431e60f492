//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// TestAPIServerRestart kills the API server while messages come: they are answered while it is gone, and what is changed after
// it came back is served. It is not parallel: the others talk to the API server all the time.
func TestAPIServerRestart(t *testing.T) {
	if !kube.local {
		t.Skip("this cluster's API server is not the tests' to kill")
	}
	s := newStage(t, "apiserver")
	s.serve(t, withReplicas(2))
	pods := s.sidecars(t)

	stop := s.load(t)
	rolesGone() // an API server that has just started refuses for a moment what it has not read the roles for
	killAPIServer(t)
	eventually(t, patience, "the API server to be back", func(ctx context.Context) error {
		_, err := s.current(ctx)
		return err
	})
	s.change(t, func(spec *v1alpha1.WeChatEndpointSpec) {
		spec.DomainFiles = []v1alpha1.DomainFile{{Name: "MP_verify_abc.txt", Content: "abc"}}
	})
	s.awaitReady(t)
	rolesBack()
	stop()

	s.token = "EndToEndToken2"
	s.patchSecret(t, func(secret *corev1.Secret) { secret.Data[v1alpha1.KeyToken] = []byte(s.token) })
	s.awaitPublished(t)
	for uid, restarts := range s.sidecars(t) {
		if before, known := pods[uid]; !known || before != restarts {
			t.Errorf("pod %s is new or was restarted", uid)
		}
	}

	// Kubernetes' own parts look again only after a while. The next test begins when a new Service leads to its pods.
	sidecars, err := s.pods(t.Context(), client.MatchingLabels{v1alpha1.LabelEndpoint: s.name})
	if err != nil || len(sidecars) == 0 {
		t.Fatalf("the sidecar has pods %v, %v", sidecars, err)
	}
	service := &corev1.Service{ObjectMeta: s.object("later"), Spec: corev1.ServiceSpec{Selector: map[string]string{"app": appName}, Ports: []corev1.ServicePort{{Port: 8080}}}}
	s.create(t, service)
	awaitWay(t, true, "a Service made after the restart", sidecars[0].Status.PodIP, service.Spec.ClusterIP+":8080")
}

// killAPIServer kills the local cluster's API server without a warning. The cluster starts another one a second later.
func killAPIServer(t *testing.T) {
	t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	killed := 0
	for _, file := range processes {
		line, err := os.ReadFile(file)
		if err != nil || !bytes.HasPrefix(line, []byte("kube-apiserver\x00")) { // others are called by their path
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(fmt.Errorf("killing the API server: %w", err))
		}
		killed++
	}
	if killed != 1 {
		t.Fatalf("%d API servers were killed, want the cluster's", killed)
	}
}
