// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
)

// lookInterval is the pause between two looks at what the operator says.
const lookInterval = 500 * time.Millisecond

// await looks at an endpoint until its credentials are as wanted and every sidecar serves the newest spec with them, by the
// operator's word. Its error says why that did not come in time.
func await(ctx context.Context, cluster client.Reader, endpoint *v1alpha1.WeChatEndpoint, wanted func(v1alpha1.CredentialsStatus) bool) error {
	for {
		if err := cluster.Get(ctx, client.ObjectKeyFromObject(endpoint), endpoint); err != nil && ctx.Err() == nil {
			return text.Errorf("reading WeChatEndpoint %s: %w", endpoint.Name, err)
		}
		if served(endpoint) && wanted(endpoint.Status.Credentials) {
			return nil
		}
		select {
		case <-time.After(lookInterval):
		case <-ctx.Done():
			return missing(endpoint)
		}
	}
}

// served reports whether every sidecar serves the newest spec. What was said of an earlier one says nothing of what has
// changed since. While the endpoint moves, the operator speaks of the pods that are asked for, and others serve.
func served(endpoint *v1alpha1.WeChatEndpoint) bool {
	available := meta.FindStatusCondition(endpoint.Status.Conditions, v1alpha1.ConditionSidecarAvailable)
	return available != nil && available.Status == metav1.ConditionTrue && available.ObservedGeneration == endpoint.Generation &&
		endpoint.Status.ObservedGeneration == endpoint.Generation && moves(endpoint).IsZero()
}

// missing says why the sidecars do not get what they should: what was said of the newest spec, the first cause first.
func missing(endpoint *v1alpha1.WeChatEndpoint) error {
	if endpoint.Spec.Paused {
		return text.Errorf("spec.paused is true")
	}
	for _, name := range []string{
		v1alpha1.ConditionAccepted, v1alpha1.ConditionCredentialsResolved, v1alpha1.ConditionBackendResolved,
		v1alpha1.ConditionSidecarAvailable, v1alpha1.ConditionRouteProgrammed,
	} {
		if why := hindrance(endpoint, name); why != "" {
			return text.Errorf("%s", why)
		}
	}
	if moving := moves(endpoint); !moving.IsZero() {
		return text.Errorf("%s: wait until the move has ended", moving)
	}
	return text.Errorf("is the operator running?")
}

// hindrance is what a condition says that does not hold of the newest spec, or "".
func hindrance(endpoint *v1alpha1.WeChatEndpoint, name string) string {
	condition := meta.FindStatusCondition(endpoint.Status.Conditions, name)
	if condition == nil || condition.Status == metav1.ConditionTrue || condition.ObservedGeneration != endpoint.Generation {
		return ""
	}
	return name + ": " + printable(condition.Message)
}
