//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/diagnose"
)

// TestRotationLosesNothing changes the Secret while messages come: signed, and encrypted, with the old values until Save is pressed
// in the console, with either for a while after it, and then with the new ones.
func TestRotationLosesNothing(t *testing.T) {
	t.Parallel()
	const newToken, newKey = "EndToEndToken2", "ZYXWVUTSRQPONMLKJIHGFEDCBAzyxwvutsrqponmlkj"
	encrypted := caller.Sender{Token: "EndToEndToken1", EncodingAESKey: sampleKey, ReceiverID: "wx5823bf96d3bd56c7"}
	renewed := encrypted
	renewed.Token, renewed.EncodingAESKey = newToken, newKey
	for name, test := range map[string]struct {
		mode          v1alpha1.MessageMode
		before, after caller.Sender
		edits         []map[string]string // of the Secret, one after the other
	}{
		"plaintext": {
			v1alpha1.MessageModePlaintext, caller.Sender{Token: "EndToEndToken1"}, caller.Sender{Token: newToken},
			[]map[string]string{{v1alpha1.KeyToken: newToken}},
		},
		"apart": { // token and key
			v1alpha1.MessageModeEncrypted, encrypted, renewed,
			[]map[string]string{{v1alpha1.KeyToken: newToken}, {v1alpha1.KeyEncodingAESKey: newKey}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, "rotation-"+name)
			var turn atomic.Int64
			var saved, done atomic.Bool
			s.plays = func() caller.Sender {
				if done.Load() || saved.Load() && turn.Add(1)%2 == 0 {
					return test.after
				}
				return test.before
			}
			secret := s.secret()
			if test.before.EncodingAESKey != "" {
				secret.Data[v1alpha1.KeyEncodingAESKey] = []byte(test.before.EncodingAESKey)
			}
			s.create(t, secret, s.endpoint(withReplicas(2), func(spec *v1alpha1.WeChatEndpointSpec) { spec.MessageMode = test.mode }))
			s.awaitReady(t)
			s.awaitPublished(t)
			pods := s.sidecars(t)

			stop := s.load(t)
			for n, edit := range test.edits {
				s.patchSecret(t, func(secret *corev1.Secret) {
					for key, value := range edit {
						secret.Data[key] = []byte(value)
					}
				})
				s.awaitGeneration(t, int64(n+2))
			}
			s.await(t, v1alpha1.ConditionCredentialsResolved, metav1.ConditionTrue, v1alpha1.ReasonRotationPending)
			saved.Store(true) // at once: what the condition says must hold of every pod
			console := *s.senderOf(test.after)
			if refusal := diagnose.URLCheck(console.URLCheck(t.Context())); refusal != nil {
				t.Fatalf("on Save: %v", refusal)
			}
			s.await(t, v1alpha1.ConditionCredentialsResolved, metav1.ConditionTrue, v1alpha1.ReasonRotationEnding)
			time.Sleep(settled)
			done.Store(true)
			time.Sleep(settled)
			stop()
			if after := s.sidecars(t); !maps.Equal(pods, after) {
				t.Errorf("the pods (UID and restarts) were %v and are %v", pods, after)
			}

			late := s.senderOf(test.before)
			want := func(sender *caller.Sender, content string, status int) {
				t.Helper()
				if answer, err := sender.Text(t.Context(), openID, content); err != nil || answer.Status != status {
					t.Errorf("%q is answered with %d, %v; want %d", content, answer.Status, err, status)
				}
			}
			want(late, "a late retry", http.StatusOK)
			s.change(t, func(spec *v1alpha1.WeChatEndpointSpec) { spec.Credentials.RevokeBefore = int64(len(test.edits) + 1) })
			s.await(t, v1alpha1.ConditionCredentialsResolved, metav1.ConditionTrue, v1alpha1.ReasonCredentialsResolved)
			s.awaitReady(t)
			want(late, "with what leaked", http.StatusForbidden)
			want(s.sender(), "after", http.StatusOK)
		})
	}
}

// awaitGeneration waits until the status says that the newest credentials are of that generation.
func (s *stage) awaitGeneration(t *testing.T, generation int64) {
	t.Helper()
	eventually(t, patience, fmt.Sprintf("generation %d of the credentials", generation), func(ctx context.Context) error {
		endpoint, err := s.current(ctx)
		if err == nil && endpoint.Status.Credentials.Generation != generation {
			err = fmt.Errorf("they are of generation %d", endpoint.Status.Credentials.Generation)
		}
		return err
	})
}

// rotations is how many changes of a Secret TestRotationIsQuick times.
const rotations = 100

// TestRotationIsQuick prints how long it takes from a change of the Secret until every pod says that it serves it.
func TestRotationIsQuick(t *testing.T) {
	atLength(t)
	t.Parallel()
	s := newStage(t, "rotations")
	s.serve(t, withReplicas(2))
	before := s.sidecars(t)
	var took []time.Duration
	for n := range rotations {
		suffix := fmt.Sprintf("-%d", n+2)
		began := time.Now()
		s.patchSecret(t, func(secret *corev1.Secret) { secret.Data[v1alpha1.KeyToken] = fmt.Appendf(nil, "EndToEndToken%d", n+2) })
		for {
			behind := slices.DeleteFunc(s.generations(t), func(generation string) bool { return strings.HasSuffix(generation, suffix) })
			if len(behind) == 0 {
				break
			}
			if time.Since(began) > patience {
				t.Fatalf("after %v, there are pods that serve %v", patience, behind)
			}
			time.Sleep(20 * time.Millisecond)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	t.Logf("%d rotations × %d pods: until every pod serves the new pair, p50 %v, p99 %v, max %v", rotations, len(before),
		took[len(took)/2].Round(time.Millisecond), took[len(took)*99/100-1].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
	if after := s.sidecars(t); !maps.Equal(before, after) || len(after) != 2 {
		t.Errorf("the pods (UID and restarts) were %v and are %v", before, after)
	}
	endpoint, err := s.current(t.Context())
	if err != nil || endpoint.Status.Credentials.Generation != rotations+1 {
		t.Errorf("the generation of the credentials is %d, not %d (%v)", endpoint.Status.Credentials.Generation, rotations+1, err)
	}
	s.token = fmt.Sprintf("EndToEndToken%d", rotations+1)
	s.replies(t, s.text(t, "after all"), "after all")
}

// generations are what the sidecar's pods serve, by their own word.
func (s *stage) generations(t *testing.T) []string {
	t.Helper()
	var generations []string
	for _, answer := range s.ops(t, "status") {
		var status config.ProcessStatus
		if err := json.Unmarshal([]byte(answer), &status); err != nil {
			t.Fatal(err)
		}
		generations = append(generations, status.Entries[config.Entry].Generation)
	}
	return generations
}

// TestBrokenSecretStopsNothing breaks and deletes the Secret of an endpoint that serves.
func TestBrokenSecretStopsNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t, "broken-secret")
	s.serve(t)
	before := s.sidecars(t)

	s.patchSecret(t, func(secret *corev1.Secret) { secret.Data[v1alpha1.KeyToken] = []byte("EndToEndToken2\n") })
	s.await(t, v1alpha1.ConditionCredentialsResolved, metav1.ConditionFalse, v1alpha1.ReasonSecretMalformed)
	s.replies(t, s.text(t, "malformed"), "malformed")

	if err := kube.Delete(t.Context(), s.secret()); err != nil {
		t.Fatal(err)
	}
	s.await(t, v1alpha1.ConditionCredentialsResolved, metav1.ConditionFalse, v1alpha1.ReasonSecretNotFound)
	s.replies(t, s.text(t, "deleted"), "deleted")

	s.create(t, s.secret())
	s.awaitReady(t)
	s.replies(t, s.text(t, "back"), "back")
	if after := s.sidecars(t); !maps.Equal(before, after) {
		t.Errorf("the pods (UID and restarts) were %v and are %v", before, after)
	}
}
