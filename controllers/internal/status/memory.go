// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package status

import (
	"strings"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
)

// Memory is what the operator said of an endpoint before.
type Memory struct {
	// Published is what the operator has published for the endpoint: its claim.
	Published []v1alpha1.PublishedRoute
	// Slot is the endpoint's place in a rollout.
	Slot Slot
	// Credentials are the generations that are accepted, with what is known of their use.
	Credentials v1alpha1.CredentialsStatus
	// Fleet is where the URL leads, and what a move to other pods has come to.
	Fleet v1alpha1.FleetStatus
	// Settled says that the endpoint was Ready with this very spec.
	Settled bool

	Conditions
}

// Conditions are what was said before.
type Conditions []metav1.Condition

// Remember reads what the status of an endpoint tells.
func Remember(endpoint *v1alpha1.WeChatEndpoint) Memory {
	status := endpoint.Status
	return Memory{
		Published:   Published(endpoint),
		Slot:        SlotOf(endpoint),
		Credentials: status.Credentials,
		Settled:     apimeta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionReady) && status.ObservedGeneration == endpoint.Generation,
		Fleet:       status.Fleet,
		Conditions:  status.Conditions,
	}
}

// Said is what a condition said; the zero Verdict if it was never judged.
func (c Conditions) Said(name string) verdict.Verdict {
	condition := apimeta.FindStatusCondition(c, name)
	if condition == nil {
		return verdict.Verdict{}
	}
	return verdict.Verdict{Status: condition.Status, Reason: condition.Reason, Message: condition.Message}
}

// SaidFor is for how long a condition has had the status of the verdict; zero if it had another.
func (c Conditions) SaidFor(name string, said verdict.Verdict, now time.Time) time.Duration {
	condition := apimeta.FindStatusCondition(c, name)
	if condition == nil || condition.Status != said.Status {
		return 0
	}
	return now.Sub(condition.LastTransitionTime.Time)
}

// WrongFor is for how long a condition has not held; zero if it held, or was never judged.
func (c Conditions) WrongFor(name string, now time.Time) time.Duration {
	condition := apimeta.FindStatusCondition(c, name)
	if condition == nil || condition.Status == metav1.ConditionTrue {
		return 0
	}
	return now.Sub(condition.LastTransitionTime.Time)
}

// Slot is an endpoint's place in a rollout. The zero value is none.
type Slot struct {
	// Reason is what SidecarCurrent says.
	Reason string
	// Stored is status.rollout: there while the endpoint is rolling, and after its pods failed.
	Stored *v1alpha1.RolloutSlot
}

// SlotOf reads an endpoint's slot.
func SlotOf(endpoint *v1alpha1.WeChatEndpoint) Slot {
	return slotIn(endpoint.Status.Conditions, endpoint.Status.Rollout)
}

// SlotOfGateway reads a gateway's slot.
func SlotOfGateway(gateway *v1alpha1.WeChatGateway) Slot {
	return slotIn(gateway.Status.Conditions, gateway.Status.Rollout)
}

func slotIn(conditions []metav1.Condition, stored *v1alpha1.RolloutSlot) Slot {
	slot := Slot{Stored: stored}
	if condition := apimeta.FindStatusCondition(conditions, v1alpha1.ConditionSidecarCurrent); condition != nil {
		slot.Reason = condition.Reason
	}
	return slot
}

// Rolling reports whether the endpoint's pods are being replaced.
func (s Slot) Rolling() bool { return s.Reason == v1alpha1.ReasonRollingOut }

// Failed reports whether its new pods failed.
func (s Slot) Failed() bool { return s.Reason == v1alpha1.ReasonRolloutFailed }

// Waits reports whether the endpoint waits for a slot.
func (s Slot) Waits() bool { return waitsForSlot(s.Reason) }

func waitsForSlot(reason string) bool {
	return reason == v1alpha1.ReasonRolloutQueued || reason == v1alpha1.ReasonRolloutStopped
}

// LostClaim reports whether the endpoint was refused its host or a route.
func LostClaim(endpoint *v1alpha1.WeChatEndpoint) bool {
	accepted := apimeta.FindStatusCondition(endpoint.Status.Conditions, v1alpha1.ConditionAccepted)
	return accepted != nil && (accepted.Reason == v1alpha1.ReasonURLConflict || accepted.Reason == v1alpha1.ReasonHostNotAllowed)
}

// Published is what the operator has published for the endpoint. An older status does not say that, and is read by its
// conditions: the URL that it speaks of was published, and the domain files too, if it speaks of this very spec.
func Published(endpoint *v1alpha1.WeChatEndpoint) []v1alpha1.PublishedRoute {
	status := endpoint.Status
	programmed := apimeta.FindStatusCondition(status.Conditions, v1alpha1.ConditionRouteProgrammed)
	if status.Published != nil || programmed == nil || programmed.Status != metav1.ConditionTrue || programmed.Reason != v1alpha1.ReasonRouteProgrammed ||
		!speaksOfURL(endpoint) {
		return status.Published
	}
	before := endpoint.DeepCopy()
	accepted := apimeta.FindStatusCondition(status.Conditions, v1alpha1.ConditionAccepted)
	if accepted == nil || accepted.Reason != v1alpha1.ReasonAccepted || accepted.ObservedGeneration != endpoint.Generation || status.ObservedGeneration != endpoint.Generation {
		before.Spec.DomainFiles = nil
	}
	kind := endpoint.Spec.URL.Exposure
	if kind == v1alpha1.ExposureNone {
		kind = v1alpha1.ExposureIngress // it may have been either
	}
	return []v1alpha1.PublishedRoute{RouteOf(before, kind)}
}

// speaksOfURL reports whether the status is of the URL that the spec asks for.
func speaksOfURL(endpoint *v1alpha1.WeChatEndpoint) bool {
	_, url, _ := strings.Cut(endpoint.Status.URL, "://")
	return url == endpoint.Spec.URL.Shown()
}

// below ends a published path that stands for all paths below it. No path of an endpoint holds the character.
const below = "/*"

// RouteOf writes down what an object of the kind publishes of the spec.
func RouteOf(endpoint *v1alpha1.WeChatEndpoint, kind v1alpha1.Exposure) v1alpha1.PublishedRoute {
	route := v1alpha1.PublishedRoute{By: kind, Host: endpoint.Spec.URL.Host}
	for _, asked := range render.Routes(endpoint) {
		path := asked.Path
		if asked.Prefix {
			path += below
		}
		route.Paths = append(route.Paths, path)
	}
	return route
}

// RoutesOf reads what RouteOf wrote down.
func RoutesOf(published v1alpha1.PublishedRoute) []render.Route {
	routes := make([]render.Route, 0, len(published.Paths))
	for _, path := range published.Paths {
		path, prefix := strings.CutSuffix(path, below)
		routes = append(routes, render.Route{Path: path, Prefix: prefix})
	}
	return routes
}
