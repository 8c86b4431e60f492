//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// burstSize is how many messages TestBurst sends; E2E_BURST=100000 is more than a pod remembers.
func burstSize(t *testing.T) int64 {
	t.Helper()
	text := os.Getenv("E2E_BURST")
	if text == "" {
		return 4000
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestBurst sends different messages as fast as this machine can, each as WeChat does: none is lost, and no pod is killed at its limit.
func TestBurst(t *testing.T) {
	t.Parallel()
	s := newStage(t, "burst")
	s.serve(t, withReplicas(2))
	size := burstSize(t)
	var group sync.WaitGroup
	var sent, lost, again atomic.Int64
	for range 32 {
		group.Go(func() {
			for n := sent.Add(1); n <= size; n = sent.Add(1) {
				sender := s.sender()
				request, err := sender.NewText(openID, fmt.Sprintf("message %d of a burst", n))
				if err != nil {
					t.Error(err)
					return
				}
				attempts := sender.Deliver(t.Context(), request)
				if len(attempts) > 1 {
					again.Add(1)
				}
				if last := attempts[len(attempts)-1]; last.Err != nil || last.Answer.Status != http.StatusOK {
					lost.Add(1)
				}
			}
		})
	}
	group.Wait()
	restarts := int32(0)
	pods, err := s.pods(t.Context(), client.MatchingLabels{v1alpha1.LabelEndpoint: endpointName})
	if err != nil {
		t.Fatal(err)
	}
	for _, pod := range pods {
		for _, status := range pod.Status.ContainerStatuses {
			restarts += status.RestartCount
		}
	}
	t.Logf("burst: %d messages, %d lost, %d tried again, %d restarts", size, lost.Load(), again.Load(), restarts)
	if lost.Load() > 0 || restarts > 0 || len(pods) != 2 {
		t.Errorf("messages were lost, or pods were killed; there are %d", len(pods))
	}
}
