// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package acceptance decides whether a spec is coherent and allowed in this installation. It is pure.
package acceptance

import (
	"maps"
	"slices"
	"strings"
	"time"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/installation"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
)

// Check says why the spec is not allowed here, in words for its author. Claims are judged elsewhere.
func Check(options *installation.Options, endpoint *v1alpha1.WeChatEndpoint, now time.Time) *verdict.Problem {
	if endpoint.Spec.URL.Host == "" && endpoint.Spec.URL.Exposure != v1alpha1.ExposureNone && !options.AllowEmptyHost {
		return verdict.Problemf(v1alpha1.ReasonHostRequired,
			"url.host is left out, which would answer on every host of the cluster: set url.host, or ask the platform team to install the operator with allowEmptyHost")
	}
	return verdict.First(checkClass(options, endpoint), checkAnnotations(options, endpoint), checkAudit(endpoint, now))
}

// checkClass refuses an IngressClass that the installation does not offer.
func checkClass(options *installation.Options, endpoint *v1alpha1.WeChatEndpoint) *verdict.Problem {
	allowed, class := options.AllowedIngressClasses, ""
	if endpoint.Spec.URL.Exposure != v1alpha1.ExposureIngress || len(allowed) == 0 {
		return nil
	}
	if tuning := endpoint.Spec.URL.Ingress; tuning != nil {
		class = tuning.ClassName
	}
	if slices.Contains(allowed, class) {
		return nil
	}
	return verdict.Problemf(v1alpha1.ReasonIngressClassNotAllowed, "url.ingress.className is %q: set it to one that this installation allows: %s",
		class, strings.Join(allowed, ", "))
}

func checkAnnotations(options *installation.Options, endpoint *v1alpha1.WeChatEndpoint) *verdict.Problem {
	if endpoint.Spec.URL.Ingress == nil {
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(endpoint.Spec.URL.Ingress.Annotations)) {
		if !slices.Contains(options.AllowedIngressAnnotations, key) {
			return verdict.Problemf(v1alpha1.ReasonAnnotationNotAllowed,
				"url.ingress.annotations: %s is not allowed here: remove it, or ask the platform team to add it to allowedIngressAnnotations", key)
		}
	}
	return nil
}

// auditDays is how many days ahead an audit may end. The API reference says so too.
const auditDays = 14

const maxAudit = auditDays * 24 * time.Hour

// checkAudit refuses an audit that has ended or that ends too late. The sidecar ends it by itself; what is refused here is
// a spec that does not say what is done.
func checkAudit(endpoint *v1alpha1.WeChatEndpoint, now time.Time) *verdict.Problem {
	until := endpoint.Spec.Verification.AuditUntil
	switch {
	case until == nil:
		return nil
	case !until.After(now):
		return verdict.Problemf(v1alpha1.ReasonAuditEnded,
			"verification.auditUntil is past, so every check is enforced again: remove auditUntil and set verification.enforcement to Enforce, or set a time within %d days", auditDays)
	case until.Sub(now) > maxAudit:
		return verdict.Problemf(v1alpha1.ReasonAuditTooLong,
			"verification.auditUntil is more than %d days ahead: set an earlier time, not after %s", auditDays, now.Add(maxAudit).UTC().Format(time.DateOnly))
	}
	return nil
}

// Again says when an audit will be judged otherwise, which no watch tells of.
func Again(endpoint *v1alpha1.WeChatEndpoint, now time.Time) verdict.Again {
	until := endpoint.Spec.Verification.AuditUntil
	if until == nil || !until.After(now) {
		return verdict.Never
	}
	if ahead := until.Sub(now); ahead <= maxAudit {
		return verdict.In(ahead + time.Second)
	}
	return verdict.In(until.Sub(now) - maxAudit + time.Second)
}
