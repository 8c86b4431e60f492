// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"cmp"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/doctor"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/diagnose"
)

// refusal is why WeChat would refuse something, or what is left to do, in a form that can be said in every language.
type refusal struct {
	code          diagnose.Code
	cause, remedy text.Text
}

// told is a refusal of package diagnose.
func told(r *diagnose.Refusal) *refusal {
	cause, remedy := doctor.Explain(r)
	return &refusal{r.Code, cause, remedy}
}

// refused says what is wrong, and what leads to the end of it in one step.
func (r report) refused(consequence text.Text, why *refusal) int {
	why = r.known(why)
	l := r.plugin.lang
	fmt.Fprintf(r.out, "%s %s%s\n%s %s\n", r.plugin.paint(red, r.plugin.say("refused:"), r.out), l.Say(consequence), l.Say(why.cause), r.plugin.say("do:"), l.Say(r.remedy(why)))
	return StatusRefused
}

// known is the refusal, or what the operator knows better: where the endpoint does not have its URL, another server answers.
func (r report) known(why *refusal) *refusal {
	if general(why.code) == diagnose.CodeNotFound && r.about != nil && r.called == "" && unpublished(r.about) != nil {
		return unpublished(r.about)
	}
	return why
}

// remedy says more than the answer alone tells, by what is known of the endpoint.
func (r report) remedy(why *refusal) text.Text {
	switch {
	case why.code == diagnose.CodeDNS, why.code == diagnose.CodePort: // whose remedy is to dial an address
		return text.New("%s with --address HOST:PORT", why.remedy)
	case r.about == nil:
		return why.remedy
	}
	switch general(why.code) {
	case diagnose.CodeForbidden:
		return text.New("see the reason in the sidecar's log: %s; without the right to read it, %s", logs(r.about), why.remedy)
	case diagnose.CodeNotFound, diagnose.CodeTLSName, diagnose.CodeTLSAuthority, diagnose.CodeTLSNotSpoken:
		return r.elsewhere(why)
	case diagnose.CodeServerError:
		return text.New("%s; the sidecar's log: %s", why.remedy, logs(r.about))
	default:
		return why.remedy
	}
}

// general is the code of which a cause of package doctor is a particular case.
func general(code diagnose.Code) diagnose.Code {
	switch doctor.Cause(code) {
	case doctor.CauseOtherServer:
		return diagnose.CodeNotFound
	case doctor.CauseChain, doctor.CauseSelfSigned, doctor.CausePrivateRoot:
		return diagnose.CodeTLSAuthority
	default:
		return code
	}
}

// elsewhere is the remedy where nobody serves this URL, or none with its certificate.
func (r report) elsewhere(why *refusal) text.Text {
	ingress, own := r.about.Spec.URL.Ingress, endpointURL(r.about)
	switch {
	case r.called != "" && own != "":
		return text.New("enter the endpoint's own URL in the console: %s", own)
	case why.code == diagnose.CodeTLSName && ingress != nil && ingress.TLSSecretName != "":
		return text.New("see whether Secret %s/%s is there and holds a certificate for %s: the ingress controller serves its own for want of it",
			r.about.Namespace, ingress.TLSSecretName, r.about.Spec.URL.Host)
	case unobserved(r.about):
		return findOperator()
	default:
		return why.remedy
	}
}

// findOperator is the remedy where nobody has looked at an endpoint.
func findOperator() text.Text {
	_, remedy := doctor.Reason(v1alpha1.ReasonNotObserved)
	return remedy
}

// unobserved reports whether nobody has looked at an endpoint, as far as its status tells.
func unobserved(endpoint *v1alpha1.WeChatEndpoint) bool {
	ready := meta.FindStatusCondition(endpoint.Status.Conditions, v1alpha1.ConditionReady)
	return ready == nil || ready.Reason == v1alpha1.ReasonNotObserved
}

// codeUnpublished says that the endpoint does not have its URL.
const codeUnpublished diagnose.Code = "unpublished"

// unpublished says why the endpoint does not have its URL, by the word of the operator; nil if it has, or if nothing is known.
func unpublished(endpoint *v1alpha1.WeChatEndpoint) *refusal {
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
	return &refusal{
		code:  codeUnpublished,
		cause: text.New("the endpoint does not have this URL: %s: %s", why.Reason, printable(why.Message)),
		remedy: text.New("see kubectl -n %s describe wechatendpoint %s; until it is published, another server answers this URL, or none",
			endpoint.Namespace, endpoint.Name),
	}
}
