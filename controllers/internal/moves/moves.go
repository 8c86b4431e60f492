// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package moves decides to whose pods an endpoint's URL leads, while the endpoint moves between its own and a gateway's. It is pure.
//
// The pods that are asked for are proven first: all of them serve what the endpoint is served with, and answer WeChat as it needs it. Then the
// URL is led to them. Those before go on until what publishes the URL has settled. A move that gets stuck changes nothing of what serves.
package moves

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
)

// Move is where the URL leads, and what is needed for it.
type Move struct {
	// Asked is the Deployment that the spec asks for, and LeadsTo the one to whose pods the URL leads.
	Asked, LeadsTo string
	// Before is the one to which it led until now.
	Before string
	// Former is the one whose pods are still needed beside these; empty is none.
	Former string
	// SettlesIn is how long it is.
	SettlesIn time.Duration
	// KeepsOwn says that the endpoint's own pods are needed, although it asks for others.
	KeepsOwn bool
}

// Moving reports whether the URL still leads elsewhere than it is asked to.
func (m Move) Moving() bool { return m.LeadsTo != m.Asked }

// Rests reports whether the URL has led to the asked pods before already.
func (m Move) Rests() bool { return !m.Moving() && m.LeadsTo == m.Before }

// Decide says where the URL leads. Own says that it leads to the endpoint's own pods where no status tells, and proven that every ready pod of
// the asked ones serves what the endpoint gives. Settles is how long what publishes a URL takes to act on a change.
func Decide(endpoint *v1alpha1.WeChatEndpoint, known v1alpha1.FleetStatus, own, proven bool, settles time.Duration, now time.Time) Move {
	name := render.Name(endpoint)
	m := Move{Asked: render.Asked(endpoint), Before: known.LeadsTo, Former: known.Former}
	switch {
	case m.Before == "" && own:
		m.Before = name
	case m.Before == "":
		m.Before = m.Asked
	}
	m.LeadsTo = m.Before
	if m.Former != "" && known.Since != nil {
		m.SettlesIn = min(known.Since.Add(settles).Sub(now), settles) // the clock may have been set back
	}
	if m.SettlesIn <= 0 {
		m.Former = ""
	}
	// What it left a moment ago may still be called: it goes on, or the URL leads there again.
	if m.Moving() && known.Verified == m.Asked && proven && (m.Former == "" || m.Former == m.Asked) {
		m.LeadsTo, m.Former, m.SettlesIn = m.Asked, m.Before, settles
	}
	m.KeepsOwn = m.Asked != name && (m.LeadsTo == name || m.Former == name)
	return m
}

// Status is what is to be remembered of the move, once it is carried out. An endpoint that is served by its own pods, as most are, says nothing.
func (m Move) Status(endpoint *v1alpha1.WeChatEndpoint, known v1alpha1.FleetStatus, now time.Time) v1alpha1.FleetStatus {
	after := v1alpha1.FleetStatus{LeadsTo: m.LeadsTo, Former: m.Former}
	switch {
	case m.Former == "":
	case m.LeadsTo != m.Before:
		after.Since = new(metav1.NewTime(now).Rfc3339Copy())
	default:
		after.Since = known.Since
	}
	if m.LeadsTo == render.Name(endpoint) && m.Former == "" {
		after.LeadsTo = ""
	}
	return after
}

// Again says when the pods before may go.
func (m Move) Again() verdict.Again {
	if m.Former == "" {
		return verdict.Never
	}
	return verdict.In(m.SettlesIn)
}

// Stays is what to add to what stands against a move: where the URL leads meanwhile.
func (m Move) Stays() string {
	if gateway, is := render.GatewayOf(m.LeadsTo); is {
		return "; until then the pods of WeChatGateway " + gateway + " serve on"
	}
	return "; until then the endpoint's own pods serve on"
}

// Gateways are those that must give their pods the endpoint's entry, each once: the endpoint asks for it, or its URL leads there, or did so until
// a moment ago.
func Gateways(endpoint *v1alpha1.WeChatEndpoint) []string {
	var names []string
	for _, deployment := range []string{render.Asked(endpoint), endpoint.Status.Fleet.LeadsTo, endpoint.Status.Fleet.Former} {
		if gateway, is := render.GatewayOf(deployment); is && !slices.Contains(names, gateway) {
			names = append(names, gateway)
		}
	}
	return names
}
