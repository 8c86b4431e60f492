// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package controllers is the operator: it keeps what runs for a WeChatEndpoint in step with what was asked for, and says
// in the status what is missing.
package controllers

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	"github.com/wechatendpoint/wechatendpoint/controllers/internal/hands"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/plan"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/pods"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/probe"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/rollout"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/status"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/world"
)

// Prober asks pods what they serve, and plays WeChat against them and through the published address.
type Prober interface {
	Ask(ctx context.Context, addresses []string) []probe.Result
	AskShared(ctx context.Context, addresses []string) []probe.Process
	Play(ctx context.Context, addresses []string, port int, subject probe.Subject) []error
	Reach(ctx context.Context, address string, secure bool, subject probe.Subject) (certificateNotAfter time.Time, err error)
}

// Reconciler reconciles WeChatEndpoints and WeChatGateways.
type Reconciler struct {
	client.Client
	// Live reads past the cache, for the rare object that the filtered cache cannot show.
	Live    client.Reader
	Events  events.EventRecorder
	Probe   Prober
	Options Options

	gateway world.GatewayAPI
	state   hands.State
}

// Reconcile brings one endpoint nearer to what its spec asks for: look, decide, do, judge, store.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	seen, err := r.world().Look(ctx, request.NamespacedName, time.Now()) // every read, once, and what the pods answer
	switch {
	case seen == nil:
		r.state.Forget(rollout.Key{Kind: render.KindEndpoint, NamespacedName: request.NamespacedName})
		return ctrl.Result{}, err
	case !seen.Endpoint.DeletionTimestamp.IsZero():
		return ctrl.Result{}, nil // children are owned; nothing lives outside the cluster
	}
	tellUnreadable(ctx, seen.Endpoint)
	hands := r.hands()
	if err != nil { // a snapshot is whole, or there is none
		return ctrl.Result{}, errors.Join(err, hands.Store(ctx, seen.Endpoint, plan.Unjudged(seen).Status, seen.Now))
	}
	memory := status.Remember(seen.Endpoint)
	decided := plan.Decide(&r.Options, seen, memory) // pure: what to write, what must not be touched
	done := hands.Do(ctx, seen, &decided)            // every write; stops at the first that is not taken, and says which
	if done.Behind > 0 {
		return ctrl.Result{RequeueAfter: done.Behind}, nil
	}
	if apierrors.HasStatusCause(done.Err, corev1.NamespaceTerminatingCause) {
		return ctrl.Result{}, nil // the endpoint goes with its namespace
	}
	judgement := decided.After(&r.Options, seen, memory, done)
	report := judgement.Judge(r.play(ctx, judgement.Trial())) // pure: every condition, once; when to look again
	if err := errors.Join(done.Err, done.Late, hands.Store(ctx, seen.Endpoint, report.Status, seen.Now)); err != nil {
		return ctrl.Result{}, err
	}
	return schedule(report.Again), nil
}

func (r *Reconciler) world() *world.World {
	return &world.World{
		Reader: r.Client, Live: r.Live, Ask: r.Probe.Ask, AskShared: r.Probe.AskShared, Options: &r.Options,
		Installed: func() (bool, error) { return r.gateway.Installed(r.RESTMapper()) },
	}
}

func (r *Reconciler) hands() *hands.Hands {
	return &hands.Hands{Client: r.Client, Live: r.Live, Events: r.Events, Options: &r.Options, State: &r.state}
}

// play plays WeChat against the pods, and through the published address if each of them answers well.
func (r *Reconciler) play(ctx context.Context, trial plan.Trial) plan.Tried {
	var tried plan.Tried
	if trial.Play {
		tried.Pods = r.Probe.Play(ctx, pods.Addresses(trial.Pods), render.NumberHTTP, trial.Subject)
	}
	if trial.Address != "" && errors.Join(tried.Pods...) == nil {
		tried.Reached = true
		tried.CertificateNotAfter, tried.Reach = r.Probe.Reach(ctx, trial.Address, trial.Secure, trial.Subject)
	}
	return tried
}

// waitsLong is from when on an endpoint that waits gives way to those that changed just now.
const waitsLong = 5 * time.Second

// schedule says when to look at the endpoint again, and how urgently. Each is looked at once in a while, also where nothing asks for it:
// no watch tells when WeChat last came, or that somebody closed the way to the pods.
func schedule(again verdict.Again) ctrl.Result {
	resync := verdict.In(wait.Jitter(verdict.Resync, 0.2))
	after, _ := verdict.Soonest(again, resync).After()
	priority := 0
	if after >= waitsLong {
		priority = handler.LowPriority
	}
	return ctrl.Result{RequeueAfter: max(after, time.Millisecond), Priority: &priority} // zero would be never
}
