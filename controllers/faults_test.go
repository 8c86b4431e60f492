// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// TestEveryCallMayFail lets every single call to the API server fail in turn, before it took effect and after it. The operator dies of it and
// another one goes on, or it goes on itself: the end must be the undisturbed one, no earlier credentials may be lost on the way, and no status may
// have said Ready of what was not there.
func TestEveryCallMayFail(t *testing.T) {
	if testing.Short() {
		t.Skip("it plays every story many times")
	}
	w := newWorld(t)
	var tried atomic.Int64
	t.Run("while", func(t *testing.T) {
		for name, story := range stories() {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w.disturb(t, story, readsFailIn[name], &tried)
			})
		}
	})
	t.Logf("faults: %d calls × faults tried", tried.Load())
	if tried.Load() < 250 {
		t.Errorf("only %d calls were disturbed", tried.Load())
	}
}

// stories are what happens to an endpoint before an operator settles it.
func stories() map[string]func(*testing.T, *scene) {
	return map[string]func(*testing.T, *scene){
		"an endpoint is made":            func(t *testing.T, s *scene) { s.make(t) },
		"the token is changed":           func(t *testing.T, s *scene) { s.make(t); s.settle(t); s.changeToken(t) },
		"the URL is no longer published": func(t *testing.T, s *scene) { s.make(t); s.settle(t); s.unpublish(t) },
		"the URL moves to an HTTPRoute":  func(t *testing.T, s *scene) { s.make(t); s.settle(t); s.moveToHTTPRoute(t) },
		"the HTTPRoute is accepted":      func(t *testing.T, s *scene) { s.make(t); s.settle(t); s.moveToHTTPRoute(t); s.settleOnce(t) },
		"children are deleted":           func(t *testing.T, s *scene) { s.make(t); s.settle(t); s.deleteChildren(t) },
		"autoscaling comes, and NetworkPolicies go": func(t *testing.T, s *scene) {
			s.make(t)
			s.scaleTo(t, 3)
			s.settle(t)
			s.autoscale(t)
			s.openNetwork()
		},
		"what leaked is revoked":                func(t *testing.T, s *scene) { s.make(t); s.settle(t); s.changeToken(t); s.settle(t); s.revoke(t) },
		"WeChat is seen using the newer token":  func(t *testing.T, s *scene) { s.make(t); s.settle(t); s.changeToken(t); s.settle(t); s.use() },
		"the app's Service goes, and the token": func(t *testing.T, s *scene) { s.make(t); s.settle(t); s.deleteService(t); s.changeToken(t) },
		"the class is mistyped, and the Service deleted": func(t *testing.T, s *scene) {
			s.make(t)
			s.settle(t)
			s.edit(t, func(spec *v1alpha1.WeChatEndpointSpec) { spec.URL.Ingress.ClassName = "missing" })
			s.deleteChild(t, &corev1.Service{}, "shop-sidecar")
		},
		"during a rotation the pods' Secret is deleted": func(t *testing.T, s *scene) {
			s.make(t)
			s.settle(t)
			s.changeToken(t)
			s.settle(t)
			s.deleteChild(t, &corev1.Secret{}, "shop-sidecar")
		},
		"the objects lose their owner":       func(t *testing.T, s *scene) { s.make(t); s.settle(t); s.orphan(t) },
		"the installation has another image": func(t *testing.T, s *scene) { s.make(t); s.settle(t); s.options.SidecarImage = "example.com/sidecar:2" },
	}
}

// readsFailIn are the stories in which what only reads fails too: it is nearly the same in all of them.
var readsFailIn = map[string]bool{"an endpoint is made": true, "the app's Service goes, and the token": true}

// disturb plays a story once undisturbed, and then for each of its calls: the call fails, before it took effect or after it, and the operator dies
// of it or goes on. A dead one does not mind what it died of. For one that goes on, each call fails in another way than the one before; what is
// forbidden is left out, since the status tells of that, and may remember it.
func (w *world) disturb(t *testing.T, story func(*testing.T, *scene), reads bool, tried *atomic.Int64) {
	t.Helper()
	undisturbed := w.newScene(t)
	story(t, undisturbed)
	calls := undisturbed.settle(t)
	want := undisturbed.leave(t)
	outlived := []string{"conflict", "timeout", "500"}
	for call, writes := range calls {
		if !writes && !reads {
			continue
		}
		ways := []struct{ tookEffect, survived bool }{{false, false}, {false, true}, {true, false}, {true, true}}
		if !writes {
			ways = ways[:2] // what only reads has no effect
		}
		for i, way := range ways {
			tried.Add(1)
			fault := outlived[(call+i)%len(outlived)]
			s := w.newScene(t)
			story(t, s)
			_, _ = s.reconcileWith(t, &failure{call: call, err: faults[fault], tookEffect: way.tookEffect, survived: way.survived})
			s.wantHonest(t)
			s.settle(t)
			if diff := cmp.Diff(want, s.leave(t)); diff != "" {
				t.Errorf("after call %d failed (%s, %+v), the end is another one (-undisturbed +disturbed):\n%s", call, fault, way, diff)
			}
		}
	}
}

// TestACacheIsBehind fails each write of a new endpoint once, as an API server does that has not seen its spec, or that has an object of another
// version than the operator: nothing is told of it, and the operator comes back at once.
func TestACacheIsBehind(t *testing.T) {
	w := newWorld(t)
	undisturbed := w.newScene(t)
	undisturbed.make(t)
	calls := undisturbed.settle(t)
	want := undisturbed.leave(t)
	for behind, fails := range map[string]struct {
		err        error
		tookEffect bool
	}{
		"the API server's": {err: apierrors.NewForbidden(schema.GroupResource{Resource: "things"}, "thing", errors.New(
			"ValidatingAdmissionPolicy 'wechatendpoint-operator-spec' with binding 'wechatendpoint-operator-spec' denied request: url.host of the endpoint is another one"))},
		"the operator's": {err: faults["conflict"], tookEffect: true},
	} {
		for call, writes := range calls[:len(calls)-1] { // the last one stores the status, which no policy sees
			if !writes {
				continue
			}
			s := w.newScene(t)
			s.make(t)
			result, err := s.reconcileWith(t, &failure{call: call, err: fails.err, tookEffect: fails.tookEffect, survived: true})
			if err != nil || result.RequeueAfter <= 0 || result.RequeueAfter > time.Second {
				t.Errorf("%s, at call %d: the operator comes back with %v, %v", behind, call, result, err)
			}
			if conditions := s.endpoint(t).Status.Conditions; len(conditions) != 1 || conditions[0].Reason != v1alpha1.ReasonNotObserved {
				t.Errorf("%s, at call %d: the status says %v", behind, call, conditions)
			}
			s.settle(t)
			if diff := cmp.Diff(want, s.leave(t)); diff != "" {
				t.Errorf("%s, at call %d: the end is another one (-undisturbed +disturbed):\n%s", behind, call, diff)
			}
		}
	}
}

// TestTwoOperatorsAtOnce lets two of them work on one endpoint without a leader, while its user changes it.
func TestTwoOperatorsAtOnce(t *testing.T) {
	w := newWorld(t)
	alone, both := w.newScene(t), w.newScene(t)
	for _, s := range []*scene{alone, both} {
		s.make(t)
		if s == alone {
			s.settle(t)
			s.changeToken(t)
			s.settle(t)
			continue
		}
		s.race(t)
		s.settle(t)
		s.changeToken(t)
		s.race(t)
		s.settle(t)
	}
	if diff := cmp.Diff(alone.end(t), both.end(t)); diff != "" {
		t.Errorf("two operators come to another end than one (-one +two):\n%s", diff)
	}
}

var faults = map[string]error{
	"conflict":  apierrors.NewConflict(schema.GroupResource{Resource: "things"}, "thing", errors.New("somebody was faster")),
	"timeout":   context.DeadlineExceeded,
	"500":       apierrors.NewInternalError(errors.New("the API server is broken")),
	"forbidden": &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden}},
}
