// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// Readable reports whether what the spec says of the credentials could be read.
func Readable(endpoint *v1alpha1.WeChatEndpoint) bool {
	return endpoint.Spec.Platform != "" && endpoint.Spec.Credentials.SecretName != "" && !slices.ContainsFunc(endpoint.Spec.Unreadable, func(problem string) bool {
		return strings.HasPrefix(problem, "spec.credentials") || strings.HasPrefix(problem, "spec.messageMode")
	})
}

// Accepted decides which pairs are accepted, newest first. Where the user's Secret is missing or broken, the newest of the live
// ones stands in for it: what else was asked for goes on being served with it. The Problem says what is wrong with the Secret.
// Served, where the spec cannot be served, is the configuration that goes on instead; otherwise nil.
func Accepted(endpoint *v1alpha1.WeChatEndpoint, secret *corev1.Secret, live []config.Pair, served *config.Config, known v1alpha1.CredentialsStatus, now time.Time) ([]config.Pair, *verdict.Problem) {
	var wanted config.Pair
	problem := verdict.Waiting("the spec cannot be read: first see to Accepted")
	if Readable(endpoint) {
		wanted, problem = Pair(secret, endpoint)
	}
	policy := policyOf(endpoint, known, now)
	if served != nil {
		policy.Encrypted = served.Encrypted()
	}
	if problem != nil {
		usable := policy.Usable(live)
		if len(usable) == 0 {
			return nil, problem
		}
		wanted = usable[0]
	}
	return Rotate(live, wanted, policy), problem
}

// policyOf reads the policy from the spec, and from the status when each generation was first used.
func policyOf(endpoint *v1alpha1.WeChatEndpoint, known v1alpha1.CredentialsStatus, now time.Time) Policy {
	spec := endpoint.Spec
	policy := Policy{
		Counter:      known.Generation,
		FirstUsed:    map[int64]time.Time{},
		Overlap:      defaultOverlap,
		RevokeBefore: spec.Credentials.RevokeBefore,
		Encrypted:    config.Encrypted(string(spec.Platform), string(spec.MessageMode)),
		Now:          now,
	}
	if spec.Credentials.Overlap != nil {
		policy.Overlap = spec.Credentials.Overlap.Duration
	}
	for _, accepted := range known.Accepted {
		if accepted.FirstUsed != nil {
			policy.FirstUsed[accepted.Generation] = accepted.FirstUsed.Time
		}
	}
	return policy
}

// Show writes the accepted generations down for the status, with what is known of their use.
func Show(known v1alpha1.CredentialsStatus, pairs []config.Pair, now time.Time) v1alpha1.CredentialsStatus {
	shown := v1alpha1.CredentialsStatus{Generation: pairs[0].Generation}
	for _, pair := range pairs {
		accepted := v1alpha1.AcceptedCredentials{Generation: pair.Generation}
		if i := slices.IndexFunc(known.Accepted, func(a v1alpha1.AcceptedCredentials) bool { return a.Generation == pair.Generation }); i >= 0 {
			accepted = known.Accepted[i]
		}
		accepted.Until = nil
		if pair.NotAfter != nil {
			accepted.Until = &metav1.Time{Time: *pair.NotAfter}
		}
		shown.Accepted = append(shown.Accepted, accepted)
	}
	if newest := &shown.Accepted[0]; len(pairs) > 1 && newest.Since == nil {
		newest.Since = new(metav1.NewTime(now).Rfc3339Copy())
	}
	return shown
}

// PendingSince is since when newer values wait for the console, beside earlier ones; nil where none do, or where that is not known.
func PendingSince(known v1alpha1.CredentialsStatus) *metav1.Time {
	if len(known.Accepted) < 2 || known.Accepted[0].FirstUsed != nil {
		return nil
	}
	return known.Accepted[0].Since
}

// LastUsed is when WeChat was last seen using any of the accepted generations, to the hour; nil where it was not.
func LastUsed(known v1alpha1.CredentialsStatus) *metav1.Time {
	var last *metav1.Time
	for i := range known.Accepted {
		if used := known.Accepted[i].LastUsed; used != nil && (last == nil || last.Before(used)) {
			last = used
		}
	}
	return last
}

// Lost are the earlier generations that were accepted and stand nowhere any more, although nobody has revoked them and WeChat was not seen using
// newer ones: somebody has deleted the pods' document and its copy. Before and after are the status as it was and as it will be.
func Lost(before, after v1alpha1.CredentialsStatus, live []config.Pair, revokeBefore int64, now time.Time) []int64 {
	if len(after.Accepted) == 0 || after.Accepted[0].FirstUsed != nil {
		return nil
	}
	candidates := slices.Clone(before.Lost)
	for i, accepted := range before.Accepted {
		there := slices.ContainsFunc(live, func(pair config.Pair) bool { return pair.Generation == accepted.Generation })
		if i > 0 && !there && (accepted.Until == nil || accepted.Until.After(now)) {
			candidates = append(candidates, accepted.Generation)
		}
	}
	slices.Sort(candidates)
	candidates = slices.DeleteFunc(slices.Compact(candidates), func(generation int64) bool {
		return generation < revokeBefore || slices.ContainsFunc(after.Accepted, func(a v1alpha1.AcceptedCredentials) bool { return a.Generation == generation })
	})
	return candidates[max(0, len(candidates)-config.MaxPairs):]
}

// Words say what the user has to do next, where the Secret holds well-formed values. PodsServe says that every pod serves what it
// was given.
func Words(secret string, known v1alpha1.CredentialsStatus, podsServe bool) verdict.Verdict {
	holds, accepted := "Secret "+secret+" holds well-formed values", known.Accepted
	if len(known.Lost) > 0 {
		return verdict.False(v1alpha1.ReasonCredentialsLost,
			"%s, but generation %d, which WeChat may still use, stands nowhere any more: somebody deleted the Secrets that had it, and messages signed with it are refused. Enter the values of the Secret in the console and press Save (提交) now, or put those back that the console has",
			holds, known.Lost[len(known.Lost)-1])
	}
	if len(accepted) < 2 {
		return verdict.True(v1alpha1.ReasonCredentialsResolved, holds)
	}
	newest, earlier := accepted[0], accepted[1:]
	switch {
	case newest.FirstUsed == nil && !podsServe:
		return verdict.True(v1alpha1.ReasonRotationStarting,
			"%s, accepted as generation %d beside the earlier ones, but not every pod serves them yet: wait, and do not press Save (提交) in the console before",
			holds, newest.Generation)
	case newest.FirstUsed == nil:
		return verdict.True(v1alpha1.ReasonRotationPending,
			"%s, accepted as generation %d beside the earlier ones, and WeChat was not seen using them: enter them in the console and press Save (提交) now",
			holds, newest.Generation)
	case slices.ContainsFunc(earlier, func(a v1alpha1.AcceptedCredentials) bool { return a.Until == nil }): // some may end by an earlier rotation
		return verdict.True(v1alpha1.ReasonRotationEnding, "%s, and WeChat uses them; the earlier ones are about to end", holds)
	}
	return verdict.True(v1alpha1.ReasonRotationEnding, "%s, and WeChat uses them; the earlier ones are accepted until %s",
		holds, earlier[0].Until.UTC().Format(time.RFC3339))
}
