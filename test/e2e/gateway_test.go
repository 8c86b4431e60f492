//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/diagnose"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
)

// newGateway makes a WeChatGateway of the stage and waits until it is ready.
func (s *stage) newGateway(t *testing.T, name string) {
	t.Helper()
	s.create(t, &v1alpha1.WeChatGateway{ObjectMeta: s.object(name)})
	eventually(t, patience, "WeChatGateway "+name+" to be ready", func(ctx context.Context) error {
		var gateway v1alpha1.WeChatGateway
		if err := kube.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, &gateway); err != nil {
			return err
		}
		if ready := meta.FindStatusCondition(gateway.Status.Conditions, v1alpha1.ConditionReady); ready == nil || ready.Status != metav1.ConditionTrue {
			return fmt.Errorf("it says %+v", gateway.Status.Conditions)
		}
		return nil
	})
}

// gatewayPods are the gateway's pods, by UID, with how often each was restarted.
func (s *stage) gatewayPods(t *testing.T, gateway string) map[string]int32 {
	t.Helper()
	pods, err := s.pods(t.Context(), client.MatchingLabels{v1alpha1.LabelGateway: gateway})
	if err != nil {
		t.Fatal(err)
	}
	return restartsOf(pods)
}

// onGateway lets what is applied at the stage be served by the gateway.
func (s *stage) onGateway(name string) *stage {
	on := *s
	on.gateway = name
	return &on
}

// account is an endpoint that plaintext messages are sent to, beside others of the stage.
func (s *stage) account(name string) (*stage, *v1alpha1.WeChatEndpoint) {
	own := *s
	own.name, own.path = name, "/"+name
	endpoint := own.endpoint()
	endpoint.Spec.Gateway, endpoint.Spec.Sidecar = &v1alpha1.GatewayReference{Name: s.gateway}, v1alpha1.Sidecar{}
	return &own, endpoint
}

// TestManyAccountsOnOneGateway serves thirty accounts of all platforms by two pods. While messages come, another one joins and one goes: no pod
// is touched, and no message is lost.
func TestManyAccountsOnOneGateway(t *testing.T) {
	t.Parallel()
	s := newStage(t, "many")
	s.newGateway(t, "front")
	s.awaitFleet(t, client.MatchingLabels{v1alpha1.LabelGateway: "front"}, 2)
	s = s.onGateway("front")
	s.create(t, s.secret())
	all := kinds()
	var loaded []*stage
	t.Run("of all platforms", func(t *testing.T) {
		for name, k := range all {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s.apply(t, name, k, 0).playsAlong(t, k)
			})
		}
		t.Run("pay", func(t *testing.T) {
			t.Parallel()
			s.playsPay(t)
		})
		for n := len(all) + 2; n <= 30; n++ {
			own, endpoint := s.account(fmt.Sprint("account-", n))
			s.create(t, endpoint)
			own.awaitReady(t)
			own.awaitPublished(t)
			loaded = append(loaded, own)
		}
	})
	if t.Failed() {
		return
	}
	before := s.gatewayPods(t, "front")
	stop := loadAll(t, loaded...)
	own, endpoint := s.account("account-31")
	applied := time.Now()
	s.create(t, endpoint)
	own.awaitReady(t)
	t.Logf("gateway: the 31st endpoint is ready after %.1f s", time.Since(applied).Seconds())
	own.awaitPublished(t)
	gone := &v1alpha1.WeChatEndpoint{ObjectMeta: s.object(slices.Sorted(maps.Keys(all))[4])}
	if err := kube.Delete(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	s.awaitGone(t, gone)
	eventually(t, patience, "the gateway to have thirty endpoints", func(ctx context.Context) error {
		var gateway v1alpha1.WeChatGateway
		if err := kube.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: "front"}, &gateway); err != nil {
			return err
		}
		if gateway.Status.Endpoints == nil || *gateway.Status.Endpoints != 30 {
			return fmt.Errorf("it has %v", gateway.Status.Endpoints)
		}
		return nil
	})
	time.Sleep(aWhile)
	stop()
	if diff := cmp.Diff(before, s.gatewayPods(t, "front")); diff != "" || len(before) != 2 {
		t.Errorf("the pods are others (-before +after):\n%s", diff)
	}
}

// loadAll sends messages to all of the endpoints until the function that it returns is called, each once. That function fails the test unless
// every message was answered rightly.
func loadAll(t *testing.T, endpoints ...*stage) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var senders sync.WaitGroup
	var mu sync.Mutex
	sent, failures := 0, []string{}
	deliver := func(s *stage, content string) {
		answer, err := s.sender().Text(context.WithoutCancel(ctx), openID, content) // what was begun is finished
		reply, refusal := diagnose.Message(answer, err)
		mu.Lock()
		defer mu.Unlock()
		sent++
		if refusal != nil || reply.Content != "you said: "+content {
			failures = append(failures, fmt.Sprintf("%s: %s after %v: %v, reply %q", s.name, content, answer.Elapsed, refusal, reply.Content))
		}
	}
	for sender := range loadSenders {
		senders.Go(func() {
			tick := time.NewTicker(loadInterval)
			defer tick.Stop()
			for n := 0; ; n++ {
				deliver(endpoints[n%len(endpoints)], fmt.Sprintf("message %d of sender %d", n, sender))
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
		t.Logf("serving: %s: %d sent to %d endpoints, %d answered, %d failed", t.Name(), sent, len(endpoints), sent-len(failures), len(failures))
		if len(failures) > 0 {
			t.Errorf("%d of %d messages were lost or answered wrongly:\n%s", len(failures), sent, strings.Join(failures[:min(len(failures), 10)], "\n"))
		}
	}
}

// TestMovesUnderLoad moves an endpoint from its own pods to a gateway's, back, and to another gateway's, while messages come: each is answered,
// and of the pods that it leaves nothing is left.
func TestMovesUnderLoad(t *testing.T) {
	atLength(t)
	t.Parallel()
	s := newStage(t, "moves")
	s.newGateway(t, "front")
	s.newGateway(t, "back")
	s.serve(t, withReplicas(2))
	dedicated := s.objects(t)
	for _, move := range []struct{ what, gateway string }{
		{"to a gateway", "front"}, {"back to its own pods", ""}, {"to another gateway", "back"}, {"between two gateways", "front"},
	} {
		t.Run(move.what, func(t *testing.T) {
			stop := s.load(t)
			s.change(t, func(spec *v1alpha1.WeChatEndpointSpec) {
				spec.Gateway, spec.Sidecar = nil, v1alpha1.Sidecar{Replicas: new(int32(2))}
				if move.gateway != "" {
					spec.Gateway, spec.Sidecar = &v1alpha1.GatewayReference{Name: move.gateway}, v1alpha1.Sidecar{}
				}
			})
			s.awaitMoved(t, move.gateway)
			s.awaitReady(t)
			time.Sleep(aWhile)
			stop()
			left := s.objects(t)
			if move.gateway == "" {
				if diff := cmp.Diff(dedicated, left); diff != "" {
					t.Errorf("other objects are there than before (-before +after):\n%s", diff)
				}
				return
			}
			want := slices.DeleteFunc(slices.Clone(dedicated), func(object string) bool {
				own := strings.HasSuffix(object, "/"+childName) || object == "Service/"+childName+"-peers" || object == "Pod/wechat-sidecar/"+endpointName || object == "ReplicaSet/wechat-sidecar/"+endpointName
				return own && !strings.HasPrefix(object, "Ingress/") && !strings.HasPrefix(object, "Secret/")
			})
			if diff := cmp.Diff(want, left); diff != "" {
				t.Errorf("other objects are there (-want +got):\n%s", diff)
			}
		})
	}
}

// awaitMoved waits until the URL leads to the gateway's pods, or to the endpoint's own, and those before are not needed any more.
func (s *stage) awaitMoved(t *testing.T, gateway string) {
	t.Helper()
	want := ""
	if gateway != "" {
		want = gateway + "-wechat-gateway"
	}
	eventually(t, patience, "the move to end", func(ctx context.Context) error {
		endpoint, err := s.current(ctx)
		if err == nil && (endpoint.Status.Fleet.LeadsTo != want || endpoint.Status.Fleet.Former != "") {
			err = fmt.Errorf("it has come to %+v: %+v", endpoint.Status.Fleet, meta.FindStatusCondition(endpoint.Status.Conditions, v1alpha1.ConditionReady))
		}
		return err
	})
}

// objects are what the operator has made for the endpoint and its gateways, and what was made of that, as kind/name; of pods and ReplicaSets, whose
// they are.
func (s *stage) objects(t *testing.T) []string {
	t.Helper()
	found := map[string]bool{}
	for kind, list := range map[string]client.ObjectList{
		"Secret": &corev1.SecretList{}, "Service": &corev1.ServiceList{}, "ServiceAccount": &corev1.ServiceAccountList{}, "Deployment": &appsv1.DeploymentList{},
		"PodDisruptionBudget": &policyv1.PodDisruptionBudgetList{}, "Ingress": &networkingv1.IngressList{}, "Pod": &corev1.PodList{}, "ReplicaSet": &appsv1.ReplicaSetList{},
	} {
		eventually(t, patience, "the pods that go to be gone", func(ctx context.Context) error {
			if err := kube.List(ctx, list, client.InNamespace(s.namespace), client.MatchingLabels{"app.kubernetes.io/managed-by": "wechatendpoint"}); err != nil {
				return err
			}
			return meta.EachListItem(list, func(item runtime.Object) error {
				object := item.(client.Object)
				if !object.GetDeletionTimestamp().IsZero() {
					return fmt.Errorf("%s %s is going", kind, object.GetName())
				}
				return nil
			})
		})
		_ = meta.EachListItem(list, func(item runtime.Object) error {
			object := item.(client.Object)
			name := object.GetName()
			if kind == "Pod" || kind == "ReplicaSet" {
				name = object.GetLabels()["app.kubernetes.io/name"] + "/" + object.GetLabels()["app.kubernetes.io/instance"]
			}
			found[kind+"/"+name] = true
			return nil
		})
	}
	return slices.Sorted(maps.Keys(found))
}

// TestNoisyNeighbours floods one endpoint of a gateway with valid messages to an app that is frozen, and another one with forged ones, as fast as
// this machine can. The others lose nothing, and no pod is killed.
func TestNoisyNeighbours(t *testing.T) {
	atLength(t)
	s := newStage(t, "noisy")
	s.deployFrozen(t)
	s.newGateway(t, "front")
	s = s.onGateway("front")
	s.create(t, s.secret())
	var stages []*stage
	for _, name := range []string{"quiet-1", "quiet-2", "frozen", "forged"} {
		own, endpoint := s.account(name)
		if name == "frozen" {
			endpoint.Spec.Backend.Service.Name = frozenApp
		}
		s.create(t, endpoint)
		stages = append(stages, own)
	}
	for _, own := range stages {
		own.awaitReady(t)
		own.awaitPublished(t)
	}
	quiet, frozen, forged := stages[:2], stages[2], stages[3]
	before := s.gatewayPods(t, "front")
	alone := measure(t, quiet, 5*time.Second)
	stopFrozen, stopForged := frozen.flood(t.Context(), 32), forged.forgedFlood(t.Context(), 32)
	beside := measure(t, quiet, 20*time.Second)
	toFrozen, toForged := stopFrozen(), stopForged()
	t.Logf("noisy: %d of the others sent, %d lost, p99 %v; beside %d to a frozen app and %d forged: %d sent, %d lost, p99 %v",
		alone.sent, alone.lost, alone.p99, toFrozen, toForged, beside.sent, beside.lost, beside.p99)
	if alone.lost+beside.lost > 0 {
		t.Errorf("messages of the others were lost: %s", strings.Join(append(alone.failures, beside.failures...), "\n"))
	}
	if diff := cmp.Diff(before, s.gatewayPods(t, "front")); diff != "" {
		t.Errorf("the pods are others (-before +after):\n%s", diff)
	}
}

// frozenApp is an app that takes messages and answers none for a minute.
const frozenApp = "frozen-app"

func (s *stage) deployFrozen(t *testing.T) {
	t.Helper()
	s.deployNamed(t, frozenApp)
	s.behaveNamed(t, frozenApp, map[string]string{"delay": "60s"})
}

// flood lets so many clients send messages to an endpoint, as fast as this machine can, until the function that it returns is called. That function
// returns how many were sent.
func (s *stage) flood(ctx context.Context, clients int, mutations ...caller.Mutation) (stop func() int64) {
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	var sent atomic.Int64
	for n := range clients {
		group.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				_, _ = s.sender().Post(ctx, textMessage(fmt.Sprintf("noise %d of %d", i, n)), mutations...) // whatever becomes of it
				sent.Add(1)
			}
		})
	}
	return func() int64 {
		cancel()
		group.Wait()
		return sent.Load()
	}
}

// forgedFlood is a flood of what somebody sends who guesses the token.
func (s *stage) forgedFlood(ctx context.Context, clients int) (stop func() int64) {
	return s.flood(ctx, clients, wechattest.WithToken("GuessedToken"))
}

// measured is what became of messages that were delivered as WeChat does, with its further tries.
type measured struct {
	sent, lost int
	p99        time.Duration // until the answer of the try that was answered
	failures   []string
}

func measure(t *testing.T, endpoints []*stage, during time.Duration) measured {
	t.Helper()
	var result measured
	var took []time.Duration
	var mu sync.Mutex
	var senders sync.WaitGroup
	for i, s := range endpoints {
		senders.Go(func() {
			for until := time.Now().Add(during); time.Now().Before(until); time.Sleep(loadInterval) {
				sender := s.sender()
				request, err := sender.NewText(openID, fmt.Sprintf("quiet words of %d at %d", i, time.Now().UnixNano()))
				if err != nil {
					t.Error(err)
					return
				}
				began := time.Now()
				attempts := sender.Deliver(t.Context(), request)
				last := attempts[len(attempts)-1]
				mu.Lock()
				result.sent++
				took = append(took, time.Since(began))
				if last.Err != nil || last.Answer.Status != 200 {
					result.lost++
					result.failures = append(result.failures, fmt.Sprintf("%s: %d %v", s.name, last.Answer.Status, last.Err))
				}
				mu.Unlock()
			}
		})
	}
	senders.Wait()
	slices.Sort(took)
	if len(took) > 0 {
		result.p99 = took[len(took)*99/100].Round(time.Millisecond)
	}
	return result
}
