// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"slices"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wechatendpoint/wechatendpoint/api/decode"
	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/rotation"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// defaultOverlap is that of the CRD, for an endpoint that was stored before the field existed.
const defaultOverlap = 24 * time.Hour

// lastUsedPrecision is that of lastUsed in the status: a settled endpoint is not written anew for every message.
const lastUsedPrecision = time.Hour

// rotationPolicy reads the policy from the spec, and from the status who was seen using what.
func rotationPolicy(endpoint *v1alpha1.WeChatEndpoint, now time.Time) rotation.Policy {
	spec := endpoint.Spec
	policy := rotation.Policy{
		Counter:      endpoint.Status.Credentials.Generation,
		FirstUsed:    map[int64]time.Time{},
		Overlap:      defaultOverlap,
		RevokeBefore: spec.Credentials.RevokeBefore,
		Encrypted:    config.Encrypted(string(spec.Platform), string(spec.MessageMode)),
		Now:          now,
	}
	if spec.Credentials.Overlap != nil {
		policy.Overlap = spec.Credentials.Overlap.Duration
	}
	for _, accepted := range endpoint.Status.Credentials.Accepted {
		if accepted.FirstUsed != nil {
			policy.FirstUsed[accepted.Generation] = accepted.FirstUsed.Time
		}
	}
	return policy
}

// showCredentials puts the accepted generations into the status, with what is known of their use.
func showCredentials(endpoint *v1alpha1.WeChatEndpoint, pairs []config.Pair) {
	known := endpoint.Status.Credentials.Accepted
	endpoint.Status.Credentials.Generation = pairs[0].Generation
	endpoint.Status.Credentials.Accepted = nil
	for _, pair := range pairs {
		accepted := v1alpha1.AcceptedCredentials{Generation: pair.Generation}
		if i := slices.IndexFunc(known, func(a v1alpha1.AcceptedCredentials) bool { return a.Generation == pair.Generation }); i >= 0 {
			accepted = known[i]
		}
		accepted.Until = nil
		if pair.NotAfter != nil {
			accepted.Until = &metav1.Time{Time: *pair.NotAfter}
		}
		endpoint.Status.Credentials.Accepted = append(endpoint.Status.Credentials.Accepted, accepted)
	}
}

// noteUses adds what a pod says about the use of the accepted generations. A status holds whole seconds. A pod may say anything: what is yet to
// come was now, and what no status can hold was never.
func noteUses(endpoint *v1alpha1.WeChatEndpoint, uses map[int64]config.Use, now time.Time) {
	accepted := endpoint.Status.Credentials.Accepted
	for i := range accepted {
		use, used := uses[accepted[i].Generation]
		if !used || !decode.Writable(use.First) || !decode.Writable(use.Last) {
			continue
		}
		use.First, use.Last = earlier(use.First, now), earlier(use.Last, now)
		if first := use.First.Truncate(time.Second); accepted[i].FirstUsed == nil || first.Before(accepted[i].FirstUsed.Time) {
			accepted[i].FirstUsed = &metav1.Time{Time: first}
		}
		if last := use.Last.Truncate(lastUsedPrecision); accepted[i].LastUsed == nil || last.After(accepted[i].LastUsed.Time) {
			accepted[i].LastUsed = &metav1.Time{Time: last}
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// untilRotationTurns returns when to look again at a rotation, which no watch tells of: for a use while older values wait
// for the console, at once when their end has become known, and at that end. Zero is never.
func untilRotationTurns(endpoint *v1alpha1.WeChatEndpoint, now time.Time) time.Duration {
	var soon time.Duration
	newerUsed := false
	for i, accepted := range endpoint.Status.Credentials.Accepted {
		switch {
		case i == 0:
		case accepted.Until != nil:
			soon = soonest(soon, max(accepted.Until.Sub(now), 0)+time.Second)
		case newerUsed:
			return time.Millisecond
		default:
			soon = soonest(soon, lookAgain)
		}
		newerUsed = newerUsed || accepted.FirstUsed != nil
	}
	return soon
}

// rotating reports whether more than the newest values are accepted.
func rotating(endpoint *v1alpha1.WeChatEndpoint) bool {
	return len(endpoint.Status.Credentials.Accepted) > 1
}

// describeRotation returns the reason and message of resolved credentials: what the user has to do next.
func describeRotation(endpoint *v1alpha1.WeChatEndpoint) (reason, message string) {
	message = "Secret " + endpoint.Spec.Credentials.SecretName + " holds well-formed values"
	if !rotating(endpoint) {
		return v1alpha1.ReasonCredentialsResolved, message
	}
	accepted := endpoint.Status.Credentials.Accepted
	newest, earlier := accepted[0], accepted[1:]
	if newest.FirstUsed == nil && !podsServe(endpoint) {
		return v1alpha1.ReasonRotationStarting, fmt.Sprintf(
			"%s, accepted as generation %d beside the earlier ones, but not every pod serves them yet: wait, and do not press Save (提交) in the console before",
			message, newest.Generation)
	}
	if newest.FirstUsed == nil {
		return v1alpha1.ReasonRotationPending, fmt.Sprintf(
			"%s, accepted as generation %d beside the earlier ones, and WeChat was not seen using them: enter them in the console and press Save (提交) now",
			message, newest.Generation)
	}
	if slices.ContainsFunc(earlier, func(a v1alpha1.AcceptedCredentials) bool { return a.Until == nil }) { // some may end by an earlier rotation
		return v1alpha1.ReasonRotationEnding, fmt.Sprintf("%s, and WeChat uses them; the earlier ones are about to end", message)
	}
	return v1alpha1.ReasonRotationEnding, fmt.Sprintf("%s, and WeChat uses them; the earlier ones are accepted until %s",
		message, earlier[0].Until.UTC().Format(time.RFC3339))
}

// podsServe reports whether every pod was seen to serve what it was given, be that all that the spec asks for or less.
func podsServe(endpoint *v1alpha1.WeChatEndpoint) bool {
	available := apimeta.FindStatusCondition(endpoint.Status.Conditions, v1alpha1.ConditionSidecarAvailable)
	return available != nil && (available.Status == metav1.ConditionTrue ||
		available.Reason == v1alpha1.ReasonSidecarOutdated || available.Reason == v1alpha1.ReasonPaused)
}
