// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package hands

import (
	"errors"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/rollout"
)

// TestBehind: an API server that has not seen the newest spec refuses what is right, and the operator's cache does not show what was written just
// now. Only what lasts is told.
func TestBehind(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	unseen := errors.New(specPolicy + "spec' with binding 'x' denied request: url.host of the endpoint is another one")
	uncached := notYetCached(&unstructured.Unstructured{Object: map[string]any{"kind": "Secret"}}, apierrors.NewConflict(schema.GroupResource{Resource: "secrets"}, "shop", nil))
	endpoint := &v1alpha1.WeChatEndpoint{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "shop"}}
	other := &v1alpha1.WeChatEndpoint{ObjectMeta: metav1.ObjectMeta{Namespace: "team-b", Name: "shop"}}
	var b behind
	for _, step := range []struct {
		what     string
		after    time.Duration
		endpoint *v1alpha1.WeChatEndpoint
		err      error
		again    time.Duration // zero: it is told of
	}{
		{"at first", 0, endpoint, unseen, 50 * time.Millisecond},
		{"a while later", 400 * time.Millisecond, endpoint, unseen, 400 * time.Millisecond},
		{"later", 5 * time.Second, endpoint, unseen, time.Second},
		{"another endpoint", 9 * time.Second, other, unseen, 50 * time.Millisecond},
		{"when it lasts", behindPatience, endpoint, unseen, 0},
		{"still", behindPatience + time.Hour, endpoint, unseen, 0},
		{"when it is taken", behindPatience + time.Hour, endpoint, nil, 0},
		{"the next time", behindPatience + 2*time.Hour, endpoint, unseen, 50 * time.Millisecond},
		{"another error", behindPatience + 2*time.Hour, endpoint, errors.New("quota"), 0},
		{"after it", behindPatience + 3*time.Hour, endpoint, unseen, 50 * time.Millisecond},
		{"the other cache", behindPatience + 3*time.Hour + time.Second, endpoint, uncached, time.Second},
		{"when that lasts", 2*behindPatience + 3*time.Hour, endpoint, uncached, 0},
	} {
		if again := b.check(rollout.OfEndpoint(step.endpoint).Key, step.err, now.Add(step.after)); again != step.again {
			t.Errorf("%s: again in %v, want %v", step.what, again, step.again)
		}
	}
	b.forget(rollout.OfEndpoint(endpoint).Key)
	b.forget(rollout.OfEndpoint(other).Key)
	if len(b.since) != 0 {
		t.Errorf("%d endpoints are kept that are gone", len(b.since))
	}
}
