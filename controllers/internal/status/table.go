// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package status is how the operator speaks of an endpoint or a gateway, and how it remembers what it said: the table of the conditions, their
// only writer and their only reader. It is pure.
package status

import (
	"cmp"
	"slices"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
)

// row is one condition.
type row struct {
	name string
	// ready says that the condition is a part of Ready.
	ready bool
	// ofURL says that it speaks of the URL: of another one it is withdrawn.
	ofURL bool
	// warning says that it is True where somebody may have to act, and absent otherwise.
	warning bool
	// words are what it says where nothing stands against it; nil where the decision itself says that.
	words func(*v1alpha1.WeChatEndpoint) verdict.Verdict
}

// table has every condition of an endpoint in the order of docs/status.md, which is also the order of a status.
var table = []row{
	{name: v1alpha1.ConditionAccepted, ready: true, ofURL: true, words: acceptedWords},
	{name: v1alpha1.ConditionCredentialsResolved, ready: true},
	{name: v1alpha1.ConditionBackendResolved, ready: true, words: backendWords},
	{name: v1alpha1.ConditionSidecarAvailable, ready: true, words: sidecarAvailableWords},
	{name: v1alpha1.ConditionRouteProgrammed, ready: true, ofURL: true},
	{name: v1alpha1.ConditionVerified, ready: true, words: verifiedWords},
	{name: v1alpha1.ConditionReady}, // which follows from the others: see summary
	{name: v1alpha1.ConditionReachable},
	{name: v1alpha1.ConditionBackendAvailable},
	{name: v1alpha1.ConditionSidecarCurrent},
	{name: v1alpha1.ConditionBackendExposed, warning: true},
	{name: v1alpha1.ConditionWrongReceiver, warning: true},
}

// gatewayTable has every condition of a gateway, in the order of its status.
var gatewayTable = []row{
	{name: v1alpha1.ConditionAccepted, ready: true},
	{name: v1alpha1.ConditionSidecarAvailable, ready: true},
	{name: v1alpha1.ConditionVerified, ready: true},
	{name: v1alpha1.ConditionReady},
	{name: v1alpha1.ConditionSidecarCurrent},
}

func rowOf(name string) row {
	if i := place(name); i >= 0 {
		return table[i]
	}
	return row{name: name}
}

// Words are what a condition says where nothing stands against it.
func Words(name string, endpoint *v1alpha1.WeChatEndpoint) verdict.Verdict {
	return rowOf(name).words(endpoint)
}

// Said are verdicts by the type of their condition. A condition without one stays as it is; one with the zero Verdict goes.
type Said map[string]verdict.Verdict

// Write puts what was said into a status, and what follows from it: Ready, and the observed generation.
func Write(endpoint *v1alpha1.WeChatEndpoint, status *v1alpha1.WeChatEndpointStatus, said Said, now time.Time) {
	for _, row := range table {
		said, judged := said[row.name]
		switch {
		case !judged && row.ofURL && endpoint.Spec.Readable() && !speaksOfURL(endpoint):
			withdraw(status, row.name, now)
		case !judged:
		case said == verdict.Verdict{}:
			apimeta.RemoveStatusCondition(&status.Conditions, row.name)
		default:
			set(&status.Conditions, endpoint.Generation, row.name, said, now)
		}
	}
	if observed(table, status.Conditions, endpoint.Generation) {
		status.ObservedGeneration = endpoint.Generation
	}
	set(&status.Conditions, endpoint.Generation, v1alpha1.ConditionReady, summary(endpoint, status), now)
}

// WriteGateway puts what was said of a gateway into its status, and what follows from it.
func WriteGateway(gateway *v1alpha1.WeChatGateway, status *v1alpha1.WeChatGatewayStatus, said Said, now time.Time) {
	for _, row := range gatewayTable {
		if said, judged := said[row.name]; judged {
			set(&status.Conditions, gateway.Generation, row.name, said, now)
		}
	}
	if observed(gatewayTable, status.Conditions, gateway.Generation) {
		status.ObservedGeneration = gateway.Generation
	}
	set(&status.Conditions, gateway.Generation, v1alpha1.ConditionReady, gatewaySummary(gateway, status), now)
}

// Known reports whether the operator writes a condition of that type.
func Known(name string) bool { return place(name) >= 0 }

// place is where a condition stands in a status. A condition that is not in the table comes first.
func place(name string) int {
	return slices.IndexFunc(table, func(r row) bool { return r.name == name })
}

// Refused writes that the API server does not take the status. What was stored before stays beside it.
func Refused(endpoint *v1alpha1.WeChatEndpoint, status *v1alpha1.WeChatEndpointStatus, slot verdict.Verdict, refusal error, now time.Time) {
	if slot != (verdict.Verdict{}) {
		set(&status.Conditions, endpoint.Generation, v1alpha1.ConditionSidecarCurrent, slot, now)
	}
	set(&status.Conditions, endpoint.Generation, v1alpha1.ConditionReady, verdict.False(v1alpha1.ReasonStatusRefused,
		"the API server does not take the status of this endpoint, so that the other conditions may be out of date: %s; correct what it names, or tell the platform team", refusal), now)
}

// set writes one condition, at its place.
func set(conditions *[]metav1.Condition, generation int64, name string, said verdict.Verdict, now time.Time) {
	if was := apimeta.FindStatusCondition(*conditions, name); was != nil && was.Reason == v1alpha1.ReasonNotObserved {
		apimeta.RemoveStatusCondition(conditions, name) // its time is that of no transition
	}
	apimeta.SetStatusCondition(conditions, metav1.Condition{
		Type: name, Status: said.Status, Reason: said.Reason, Message: Shortened(said.Message),
		ObservedGeneration: generation, LastTransitionTime: metav1.NewTime(now),
	})
	slices.SortStableFunc(*conditions, func(a, b metav1.Condition) int { return cmp.Compare(place(a.Type), place(b.Type)) })
}

// withdraw makes a condition unknown that holds for another URL. Its observed generation stays: nobody has judged the newest
// spec.
func withdraw(status *v1alpha1.WeChatEndpointStatus, name string, now time.Time) {
	condition := apimeta.FindStatusCondition(status.Conditions, name)
	if condition != nil && condition.Status == metav1.ConditionTrue {
		set(&status.Conditions, condition.ObservedGeneration, name, verdict.Unknown(v1alpha1.ReasonWaiting, "not known yet of this URL"), now)
	}
}

// summary is what Ready says: it quotes the first condition that does not hold. Where the API server failed on the way, nothing is known of
// some conditions; then it quotes a later one that is False, if there is one.
func summary(endpoint *v1alpha1.WeChatEndpoint, status *v1alpha1.WeChatEndpointStatus) verdict.Verdict {
	said := firstMissing(table, status.Conditions, endpoint.Generation)
	switch {
	case said != verdict.Verdict{}:
		return said
	case endpoint.Spec.Paused:
		return verdict.True(v1alpha1.ReasonReady, "enter the URL in the console: %s (paused: later changes of this endpoint or its Secret are not served)", status.URL)
	}
	return verdict.True(v1alpha1.ReasonReady, "enter the URL in the console: %s", status.URL)
}

// gatewaySummary does the same for a gateway.
func gatewaySummary(gateway *v1alpha1.WeChatGateway, status *v1alpha1.WeChatGatewayStatus) verdict.Verdict {
	said := firstMissing(gatewayTable, status.Conditions, gateway.Generation)
	switch {
	case said != verdict.Verdict{}:
		return said
	case status.Pods == nil || status.Endpoints == nil || *status.Endpoints == 0:
		return verdict.True(v1alpha1.ReasonReady, "the pods are ready for endpoints that name this gateway in spec.gateway")
	}
	return verdict.True(v1alpha1.ReasonReady, "%d pods serve %d endpoints", *status.Pods, *status.Endpoints)
}

// firstMissing quotes the first condition of Ready that does not hold; the zero Verdict where all do.
func firstMissing(table []row, conditions []metav1.Condition, generation int64) verdict.Verdict {
	unknown := ""
	for _, row := range table {
		if !row.ready {
			continue
		}
		condition := apimeta.FindStatusCondition(conditions, row.name)
		switch {
		case condition == nil || condition.ObservedGeneration != generation:
			unknown = cmp.Or(unknown, row.name)
		case condition.Status == metav1.ConditionFalse || condition.Status == metav1.ConditionUnknown && unknown == "":
			return verdict.False(condition.Reason, "%s: %s", row.name, condition.Message)
		}
	}
	if unknown != "" {
		return verdict.Unknown(v1alpha1.ReasonWaiting, "%s: not known yet of this spec", unknown)
	}
	return verdict.Verdict{}
}

// observed reports whether every condition of Ready speaks of the generation.
func observed(table []row, conditions []metav1.Condition, generation int64) bool {
	return !slices.ContainsFunc(table, func(r row) bool {
		condition := apimeta.FindStatusCondition(conditions, r.name)
		return r.ready && (condition == nil || condition.ObservedGeneration != generation)
	})
}
