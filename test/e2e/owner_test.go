//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/test/exposition"
)

// fleets are endpoints with more than one pod.
var fleets = map[string]struct {
	kind     string // of kinds
	replicas int32
}{
	"two-pods-plaintext":   {"official-plaintext", 2},
	"three-pods-plaintext": {"official-plaintext", 3},
	"three-pods-encrypted": {"official-encrypted", 3},
}

// TestEachMessageHasOneOwner sends messages three times at once: the app sees each of them once, whichever pods its repeats come to, unless a
// pod says that another one was too busy to take its message.
func TestEachMessageHasOneOwner(t *testing.T) {
	t.Parallel()
	shared := newStage(t, "owner")
	t.Run("of one host", func(t *testing.T) {
		for name, fleet := range fleets {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				const messages = 10
				k := kinds()[fleet.kind]
				s := shared.apply(t, name, k, fleet.replicas)
				labels := client.MatchingLabels{v1alpha1.LabelEndpoint: s.name}
				s.awaitFleet(t, labels, int(fleet.replicas))
				for n := range messages {
					one := k
					one.message = func(content string) []byte { return k.message(fmt.Sprint(content, " ", n)) }
					s.playsAlong(t, one)
				}
				seen, inVain := s.mine(t), s.waitsInVain(t, labels)
				if len(deliveries(seen)) != messages || len(seen) != messages && inVain == 0 {
					t.Errorf("of %d messages that came three times at once, the app saw %d, of which %d different", messages, len(seen), len(deliveries(seen)))
				}
				if err := s.handedOver(t.Context(), t, labels); err != nil {
					t.Error(err)
				}
				s.refusesForgeries(t, k)
			})
		}
	})
}

// TestAnOwnerIsKilled kills the pod that waits for the app with a message, which came three times at once: the app sees it at most once more, as
// the same delivery, and WeChat's further tries are answered.
func TestAnOwnerIsKilled(t *testing.T) {
	t.Parallel()
	for name, fleet := range fleets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := kinds()[fleet.kind]
			shared := newStage(t, "killed") // the app's behaviour is the stage's
			s := shared.apply(t, name, k, fleet.replicas)
			labels := client.MatchingLabels{v1alpha1.LabelEndpoint: s.name}
			s.awaitFleet(t, labels, int(fleet.replicas))
			s.behave(t, map[string]string{"delay": "20s"})
			request, err := s.sender().NewPost(k.message("sealed words"))
			if err != nil {
				t.Fatal(err)
			}
			var senders sync.WaitGroup
			for range 3 {
				senders.Go(func() {
					attempts := s.sender().Deliver(t.Context(), request)
					if last := attempts[len(attempts)-1]; last.Err != nil || last.Answer.Status != http.StatusOK {
						t.Errorf("after %d tries it was answered %d: %v", len(attempts), last.Answer.Status, last.Err)
					}
				})
			}
			owner := s.awaitOwner(t, labels)
			s.behave(t, nil)
			if err := kube.Delete(t.Context(), &corev1.Pod{ObjectMeta: s.object(owner)}, client.GracePeriodSeconds(0)); err != nil {
				t.Error(err)
			}
			senders.Wait()
			seen := s.mine(t)
			t.Logf("owner: %s: the app saw the message %d times", name, len(seen))
			if len(seen) < 1 || len(seen) > 2 || len(deliveries(seen)) != 1 {
				t.Errorf("of one message whose owner was killed, the app saw %+v", seen)
			}
		})
	}
}

// deliveries are the ids of what the app saw.
func deliveries(seen []entry) map[string]bool {
	ids := map[string]bool{}
	for _, message := range seen {
		ids[message.Headers["X-Wechat-Delivery-Id"]] = true
	}
	return ids
}

// awaitFleet waits until there are so many pods, and each knows all others.
func (s *stage) awaitFleet(t *testing.T, labels client.MatchingLabels, size int) {
	t.Helper()
	eventually(t, patience, fmt.Sprintf("%d pods that know each other", size), func(ctx context.Context) error {
		others, err := s.metric(ctx, t, labels, "wechat_sidecar_peers", "")
		for _, known := range others {
			if int(known) != size-1 {
				err = errors.Join(err, fmt.Errorf("how many others they know: %v", others))
			}
		}
		if err == nil && len(others) != size {
			err = fmt.Errorf("there are %d", len(others))
		}
		return err
	})
}

// handedOver returns an error unless each pod has handed a message over to another one, which has answered.
func (s *stage) handedOver(ctx context.Context, t *testing.T, labels client.MatchingLabels) error {
	t.Helper()
	answered, err := s.metric(ctx, t, labels, "wechat_sidecar_handovers_total", "answered")
	for pod, messages := range answered {
		if messages == 0 {
			err = errors.Join(err, fmt.Errorf("%s has handed over none", pod))
		}
	}
	return err
}

// waitsInVain is how often a pod waited in vain for another one to take a message, as on a machine that is too busy. Then a second one may call
// the app with the same delivery.
func (s *stage) waitsInVain(t *testing.T, labels client.MatchingLabels) (times float64) {
	t.Helper()
	late, err := s.metric(t.Context(), t, labels, "wechat_sidecar_handovers_total", "late")
	if err != nil {
		t.Fatal(err)
	}
	for pod, messages := range late {
		if messages > 0 {
			t.Logf("%s waited %v times in vain", pod, messages)
		}
		times += messages
	}
	return times
}

// awaitOwner waits until a pod waits for the app, and returns its name.
func (s *stage) awaitOwner(t *testing.T, labels client.MatchingLabels) string {
	t.Helper()
	owner := ""
	eventually(t, patience, "a pod to call the app", func(ctx context.Context) error {
		calls, err := s.metric(ctx, t, labels, "wechat_sidecar_in_flight", "")
		for pod, going := range calls {
			if going > 0 {
				owner = pod
			}
		}
		if owner == "" && err == nil {
			err = fmt.Errorf("none does: %v", calls)
		}
		return err
	})
	return owner
}

// metric reads one metric of all pods with the labels, with that result where it has one, and returns it by the names of the pods.
func (s *stage) metric(ctx context.Context, t *testing.T, labels client.MatchingLabels, name, result string) (map[string]float64, error) {
	t.Helper()
	pods, err := s.pods(ctx, labels)
	if err != nil {
		return nil, err
	}
	values := map[string]float64{}
	for _, pod := range pods {
		page, err := kube.typed.CoreV1().Pods(s.namespace).ProxyGet("http", pod.Name, "8081", "metrics", nil).DoRaw(ctx)
		if err != nil {
			return nil, err
		}
		for _, family := range exposition.Parse(t, string(page)) {
			for _, metric := range family.GetMetric() {
				if family.GetName() == name && (result == "" || metric.GetLabel()[0].GetValue() == result) {
					values[pod.Name] = metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
				}
			}
		}
	}
	return values, nil
}
