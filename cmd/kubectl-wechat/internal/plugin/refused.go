// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"cmp"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/diagnose"
)

// refused says what is wrong, and what leads to the end of it in one step.
func (r report) refused(consequence string, refusal *diagnose.Refusal) int {
	if refusal.Code == diagnose.CodeNotFound && r.about != nil && r.called == "" && unpublished(r.about) != nil {
		refusal = unpublished(r.about)
	}
	fmt.Fprintf(r.out, "refused: %s%s\ndo: %s\n", consequence, refusal.Cause, r.remedy(refusal))
	return StatusRefused
}

// remedy says more than the answer alone tells, by what is known of the endpoint.
func (r report) remedy(refusal *diagnose.Refusal) string {
	switch {
	case refusal.Code == diagnose.CodeDNS, refusal.Code == diagnose.CodePort: // whose remedy is to dial an address
		return refusal.Remedy + " with --address HOST:PORT"
	case r.about == nil:
		return refusal.Remedy
	}
	switch refusal.Code {
	case diagnose.CodeForbidden:
		return "see the reason in the sidecar's log: " + logs(r.about) + "; without the right to read it, " + refusal.Remedy
	case diagnose.CodeNotFound, diagnose.CodeTLSName, diagnose.CodeTLSAuthority, diagnose.CodeTLSNotSpoken:
		return r.elsewhere(refusal)
	case diagnose.CodeServerError:
		return refusal.Remedy + "; the sidecar's log: " + logs(r.about)
	default:
		return refusal.Remedy
	}
}

// elsewhere is the remedy where nobody serves this URL, or none with its certificate.
func (r report) elsewhere(refusal *diagnose.Refusal) string {
	ingress, own := r.about.Spec.URL.Ingress, endpointURL(r.about)
	switch {
	case r.called != "" && own != "":
		return "enter the endpoint's own URL in the console: " + own
	case refusal.Code == diagnose.CodeTLSName && ingress != nil && ingress.TLSSecretName != "":
		return fmt.Sprintf("see whether Secret %s/%s is there and holds a certificate for %s: the ingress controller serves its own for want of it",
			r.about.Namespace, ingress.TLSSecretName, r.about.Spec.URL.Host)
	case unobserved(r.about):
		return findOperator
	default:
		return refusal.Remedy
	}
}

// findOperator is the remedy where nobody has looked at an endpoint.
const findOperator = "see whether the operator runs, and whether its chart's value watchNamespaces leaves this namespace out: " +
	"kubectl get deployments -A -l app.kubernetes.io/name=wechatendpoint-operator"

// unobserved reports whether nobody has looked at an endpoint, as far as its status tells.
func unobserved(endpoint *v1alpha1.WeChatEndpoint) bool {
	ready := meta.FindStatusCondition(endpoint.Status.Conditions, v1alpha1.ConditionReady)
	return ready == nil || ready.Reason == v1alpha1.ReasonNotObserved
}

// codeUnpublished says that the endpoint does not have its URL.
const codeUnpublished diagnose.Code = "unpublished"

// unpublished says why the endpoint does not have its URL, by the word of the operator; nil if it has, or if nothing is known.
func unpublished(endpoint *v1alpha1.WeChatEndpoint) *diagnose.Refusal {
	find := func(name string) metav1.Condition {
		return *cmp.Or(meta.FindStatusCondition(endpoint.Status.Conditions, name), &metav1.Condition{})
	}
	why := find(v1alpha1.ConditionAccepted)
	if why.Status != metav1.ConditionFalse {
		why = find(v1alpha1.ConditionRouteProgrammed)
	}
	if why.Status == metav1.ConditionUnknown {
		why = find(v1alpha1.ConditionReady) // it names what the route waits for
	}
	if why.Status != metav1.ConditionFalse || why.Reason == v1alpha1.ReasonNotPublished || why.Reason == v1alpha1.ReasonPaused {
		return nil
	}
	return &diagnose.Refusal{
		Code:   codeUnpublished,
		Cause:  "the endpoint does not have this URL: " + why.Reason + ": " + printable(why.Message),
		Remedy: fmt.Sprintf("see kubectl -n %s describe wechatendpoint %s; until it is published, another server answers this URL, or none", endpoint.Namespace, endpoint.Name),
	}
}
