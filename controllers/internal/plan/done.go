// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"time"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/rollout"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/status"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// Done is what became of a Plan.
type Done struct {
	// Generation is the one that the pods should serve; empty before the first.
	Generation string
	// Pairs are those that they accept, if they were written or found in order; otherwise nil.
	Pairs []config.Pair
	// Whole says that all that the spec asks for was written or found in order, and Retired that what it replaces is gone.
	Whole, Retired bool
	// Route is the kind of route that publishes what the spec asks for, as it was written or found in order; "" if neither.
	Route v1alpha1.Exposure
	// ReachedPods says that the API server took all that comes before the Deployment. A later rejection counts against the slot.
	ReachedPods bool
	// Taken says that somebody else's object has the name of a child.
	Taken *verdict.Problem
	// Rejection is what the API server did not take, or nil.
	Rejection *Rejection
	// Answer is of an endpoint that seeks a slot.
	Answer rollout.Admission
	// Err is what the API server failed at: nothing is known of what comes after it. Late failed when all was written.
	Err, Late error
	// Behind is how long to wait for an API server that has not seen the endpoint's newest spec, or for the operator's cache that has not seen
	// what was written; zero if they have.
	Behind time.Duration
}

// LeavesRollout reports whether the endpoint cannot be applied now. It gives up its slot, and nobody waits for it.
func (d Done) LeavesRollout() bool { return !d.Whole && (d.Rejection == nil || !d.ReachedPods) }

// Rejection is an object that the API server, a quota or an admission policy does not take. It is tried again, because no watch
// tells when a policy changes, and the status quotes it meanwhile.
type Rejection struct {
	Kind string
	Err  error
}

func (r *Rejection) Error() string {
	return "the API server refuses the " + r.Kind + ": " + status.Shortened(r.Err.Error())
}

func (r *Rejection) Unwrap() error { return r.Err }

// route is what to say of the route, if it is what was rejected.
func (r *Rejection) route() *verdict.Problem {
	if r == nil || routeOf(r.Kind) == "" {
		return nil
	}
	return verdict.Problemf(v1alpha1.ReasonRouteNotAccepted, "%s; correct url, or ask the platform team", r)
}

// pods is what to say of the pods, if it is not the route that was rejected.
func (r *Rejection) pods() *verdict.Problem {
	if r == nil || routeOf(r.Kind) != "" {
		return nil
	}
	return verdict.Problemf(v1alpha1.ReasonPodsNotCreated, "%s; correct what sidecar asks for, or ask the platform team", r)
}
