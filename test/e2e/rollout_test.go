//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/diagnose"
)

// TestRollingUpdate replaces every pod of a sidecar while messages come: each is answered on the first try.
func TestRollingUpdate(t *testing.T) {
	t.Parallel()
	s := newStage(t, "rolling-update")
	s.serve(t, withReplicas(2))
	before := s.sidecars(t)

	stop := s.load(t)
	if _, err := call(t.Context(), kube.kubectl, "-n", s.namespace, "rollout", "restart", "deployment/"+childName); err != nil {
		t.Fatal(err)
	}
	if _, err := call(t.Context(), kube.kubectl, "-n", s.namespace, "rollout", "status", "deployment/"+childName, "--timeout", "3m"); err != nil {
		t.Fatal(err)
	}
	s.awaitReplaced(t, before)
	stop()
	for uid := range s.sidecars(t) {
		if _, old := before[uid]; old {
			t.Errorf("the pod %s is one of those before", uid)
		}
	}
	if len(before) != 2 {
		t.Errorf("there were %d pods before: %v", len(before), maps.Keys(before))
	}
	s.awaitReady(t)
}

// The load of a test: so many senders, each with so long between two messages.
const (
	loadSenders  = 4
	loadInterval = 50 * time.Millisecond
)

// load sends messages until the function that it returns is called, each once, without WeChat's further tries. That
// function fails the test unless every message was answered with the right reply and seen by the app.
func (s *stage) load(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var (
		senders        sync.WaitGroup
		sent, answered atomic.Int64
		mu             sync.Mutex
		failures       []string
	)
	before := s.seen(t)
	deliver := func(content string) {
		sent.Add(1)
		// A message that was begun is finished, whatever the test does.
		sender := s.sender()
		answer, err := sender.Text(context.WithoutCancel(ctx), openID, content)
		if opened, sealed := sender.OpenReply(answer.Body); sealed == nil {
			answer.Body = opened
		}
		reply, refusal := diagnose.Message(answer, err)
		if refusal == nil && reply.Content == "you said: "+content {
			answered.Add(1)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		failures = append(failures, fmt.Sprintf("%s after %v: %v, reply %q", content, answer.Elapsed, refusal, reply.Content))
	}
	for sender := range loadSenders {
		senders.Go(func() {
			tick := time.NewTicker(loadInterval)
			defer tick.Stop()
			for n := 0; ; n++ {
				deliver(fmt.Sprintf("message %d of sender %d", n, sender))
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
			}
		})
	}
	t.Cleanup(func() { cancel(); senders.Wait() })
	return func() {
		t.Helper()
		cancel()
		senders.Wait()
		saw := s.seen(t)
		distinct := int64(saw.Distinct - before.Distinct)
		t.Logf("serving: %s: %d sent, %d answered, %d failed; the app saw %d, of which %d different", t.Name(), sent.Load(), answered.Load(), len(failures), saw.Count-before.Count, distinct)
		if len(failures) > 0 {
			t.Errorf("%d of %d messages were lost or answered wrongly:\n%s", len(failures), sent.Load(), strings.Join(failures[:min(len(failures), 10)], "\n"))
		}
		if distinct != sent.Load() {
			t.Errorf("the app saw %d different messages, sent were %d", distinct, sent.Load())
		}
	}
}
