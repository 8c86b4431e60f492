// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
)

// reasons say what a condition's reason means and what to do about it, as docs/status.md does, without the particulars of one condition,
// which stand in its message. What needs nothing to be done is not among them.
var reasons = map[string][2]string{
	v1alpha1.ReasonPaused:                 {"spec.paused is true", "set spec.paused to false when the operator may work on"},
	v1alpha1.ReasonSpecUnreadable:         {"the stored spec holds what the operator cannot read", "correct the field with kubectl edit"},
	v1alpha1.ReasonHostRequired:           {"url.host is left out, and the installation does not allow that", "set url.host, or ask the platform team for allowEmptyHost"},
	v1alpha1.ReasonAnnotationNotAllowed:   {"url.ingress.annotations has a key that the installation does not allow", "remove it, or ask the platform team for it in allowedIngressAnnotations"},
	v1alpha1.ReasonIngressClassNotAllowed: {"the installation does not allow the IngressClass", "set url.ingress.className to one that is allowed"},
	v1alpha1.ReasonHostNotAllowed:         {"url.host belongs to another namespace", "choose another host, or ask the platform team for it in hosts"},
	v1alpha1.ReasonAuditTooLong:           {"verification.auditUntil is more than 14 days ahead", "set an earlier time"},
	v1alpha1.ReasonAuditEnded:             {"verification.auditUntil is past", "remove auditUntil and set enforcement to Enforce, or set a time within 14 days"},
	v1alpha1.ReasonURLConflict:            {"another endpoint holds this host and path", "choose another path, host or file, or delete the other endpoint"},
	v1alpha1.ReasonNameTaken:              {"an object that this endpoint does not control has a name that it needs", "delete or rename that object, or choose another name for the endpoint"},

	v1alpha1.ReasonRotationStarting: {"new values are accepted beside the earlier ones, but not yet by every pod", "wait some seconds, and do not press Save yet"},
	v1alpha1.ReasonRotationPending:  {"new values are accepted beside the earlier ones, and WeChat was not seen using them", "enter them in the console and press Save (提交)"},
	v1alpha1.ReasonCredentialsLost:  {"earlier values, which WeChat may still use, stand nowhere any more", "enter the values of the Secret in the console and press Save, or put those back into the Secret that the console has"},
	v1alpha1.ReasonSecretNotFound:   {"there is no such Secret, or it lacks the label", "create it, or label it: kubectl label secret NAME wechatendpoint.io/credentials=true"},
	v1alpha1.ReasonSecretKeyMissing: {"the Secret lacks a key that the platform needs", "add the key"},
	v1alpha1.ReasonSecretMalformed:  {"a value in the Secret cannot be the one of the console", "write it again; mostly it is the newline of echo"},

	v1alpha1.ReasonServiceNotFound:     {"there is no such Service", "create it, or correct backend.service.name"},
	v1alpha1.ReasonReferenceNotGranted: {"the Service is in another namespace, which has no ReferenceGrant for it", "ask that namespace's team for one"},
	v1alpha1.ReasonTLSMalformed:        {"tls.caBundle holds something else than certificates", "copy ca.crt from who issued the app's certificate"},
	v1alpha1.ReasonServiceNotAllowed:   {"the Service is of type ExternalName, or is a sidecar's own", "name the Service of the app"},
	v1alpha1.ReasonPortNotFound:        {"the Service has no such port", "correct backend.service.port; a number is written without quotes"},
	v1alpha1.ReasonNoBackendPods:       {"the app's Service has no pod that is ready", "look at the app's pods, and at the Service's selector"},
	v1alpha1.ReasonBackendUnreached:    {"the last message of a sidecar reached no app", "let NetworkPolicies of the app's namespace admit the sidecars' pods, and see the app's log"},
	v1alpha1.ReasonBackendExposed:      {"another Ingress or HTTPRoute leads to the app, past every check", "remove that route, or let the app check X-WeChat-Gateway-Signature"},
	v1alpha1.ReasonWrongReceiver:       {"a message for another account was refused", "compare appID and receiverIDs with the console"},

	v1alpha1.ReasonProgressing:      {"it has not come to an end yet", "wait some seconds"},
	v1alpha1.ReasonPodsUnreachable:  {"a pod is ready and does not tell the operator what it serves", "let the operator reach port 8081 of the pods (NetworkPolicies, mesh)"},
	v1alpha1.ReasonPodsNotCreated:   {"the API server refuses the pods, or another object that they need", "raise the quota, or change the policy or sidecar.resources"},
	v1alpha1.ReasonPodsFailing:      {"pods do not start", "see kubectl describe pod"},
	v1alpha1.ReasonSidecarOutdated:  {"the spec asks for something that the pods' image does not know yet", "wait until SidecarCurrent is true, or choose a newer sidecar.imageVersion"},
	v1alpha1.ReasonScaledToZero:     {"sidecar.replicas is 0: nothing answers", "set sidecar.replicas to 1 or more"},
	v1alpha1.ReasonNoSuchGateway:    {"gateway.name names a WeChatGateway that does not exist", "create it, or correct the name"},
	v1alpha1.ReasonGatewayDeleted:   {"the WeChatGateway is being deleted", "name another one, or remove gateway for pods of its own"},
	v1alpha1.ReasonGatewayFull:      {"the WeChatGateway has no room for the endpoint", "use another gateway, or pods of its own"},
	v1alpha1.ReasonGatewayNotReady:  {"no pod of the WeChatGateway is ready", "see kubectl describe wxg"},
	v1alpha1.ReasonEntryRefused:     {"a pod of the WeChatGateway does not take the endpoint", "raise the gateway's memory limit, change the URL, or remove gateway for pods of its own"},
	v1alpha1.ReasonChildTerminating: {"somebody deletes an object of the endpoint, and a finalizer keeps it", "ask whose finalizer that is"},

	v1alpha1.ReasonRolloutQueued:  {"the pods are older than what the installation asks for, and others get theirs first", "nothing: older pods serve as well"},
	v1alpha1.ReasonRolloutStopped: {"the pods are older than what the installation asks for, and the rollout stands still, because another endpoint's new pods fail", "tell the platform team"},
	v1alpha1.ReasonRollingOut:     {"the pods are being replaced", "wait"},
	v1alpha1.ReasonRolloutFailed:  {"the new pods did not become available and verified in time", "see SidecarAvailable and Verified"},

	v1alpha1.ReasonIngressClassNotFound: {"the IngressClass does not exist, or none is named and the cluster has no default", "set url.ingress.className to one of kubectl get ingressclass"},
	v1alpha1.ReasonTLSSecretNotFound:    {"there is no Secret with the certificate", "make the Secret, or correct url.ingress.tlsSecretName"},
	v1alpha1.ReasonGatewayAPINotFound:   {"url.exposure is HTTPRoute, and the cluster does not know that kind", "ask the platform team to install the Gateway API, or set url.exposure to Ingress"},
	v1alpha1.ReasonGatewayNotFound:      {"a Gateway of url.httpRoute.parentRefs does not exist", "correct the name or the namespace: kubectl get gateways -A"},
	v1alpha1.ReasonRouteNotAccepted:     {"a Gateway has not accepted the HTTPRoute, or the cluster refuses the route", "correct url.host or url.httpRoute.parentRefs, or ask the platform team to allow routes of this namespace"},

	v1alpha1.ReasonNotVerified:       {"a pod answered the operator's URL check otherwise than WeChat needs, or not at all", "let the operator reach port 8080 of the pods (NetworkPolicies, mesh), and see the pod's log"},
	v1alpha1.ReasonNotObserved:       {"no operator has looked at the endpoint yet", "wait some seconds; if it lasts, see whether the operator runs, and whether its chart's value watchNamespaces leaves this namespace out: kubectl get deployments -A -l app.kubernetes.io/name=wechatendpoint-operator"},
	v1alpha1.ReasonStatusRefused:     {"the API server does not take the status", "correct the field that the message names; if it is one of the status, tell the platform team"},
	v1alpha1.ReasonWaiting:           {"another condition must hold first", "see the condition before it"},
	v1alpha1.ReasonNotReachable:      {"through the published address something else answered, or nothing", "see the ingress controller's log; kubectl wechat verify tries it from where you are"},
	v1alpha1.ReasonAddressNotAllowed: {"the published address is one that the operator does not call", "kubectl wechat verify tries it from where you are; platform team: set loadBalancerNetworks"},
	v1alpha1.ReasonNoAddress:         {"the Ingress or Gateway publishes no address, which many ingress controllers never do", "kubectl wechat verify tries it from where you are"},
}

// Reason says what a reason means and what to do about it; both are empty where there is nothing to do.
func Reason(reason string) (meaning, remedy text.Text) {
	known, ok := reasons[reason]
	if !ok {
		return text.Text{}, text.Text{}
	}
	return text.New(known[0]), text.New(known[1])
}

// Warnings are conditions that are bad when they are true.
var warnings = map[string]bool{v1alpha1.ConditionBackendExposed: true, v1alpha1.ConditionWrongReceiver: true}

// Holds reports whether a condition says that all is well.
func Holds(condition metav1.Condition) bool {
	return (condition.Status == metav1.ConditionTrue) != warnings[condition.Type]
}

// Said is what a condition says of itself: the operator's message, or in Chinese what its reason means, and then the message.
func Said(condition metav1.Condition) text.Text {
	meaning, _ := Reason(condition.Reason)
	if meaning.IsZero() {
		return text.Verbatim(condition.Message)
	}
	return text.Translated(condition.Message, text.New("%s (%s)", meaning, condition.Message))
}
