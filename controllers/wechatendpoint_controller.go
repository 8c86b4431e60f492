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
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/claims"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/probe"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/refs"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// Prober asks pods what they serve, and plays WeChat against them and through the published address.
type Prober interface {
	Ask(ctx context.Context, addresses []string) []probe.Result
	Play(ctx context.Context, addresses []string, port int, subject probe.Subject) []error
	Reach(ctx context.Context, address string, secure bool, subject probe.Subject) error
}

// Reconciler reconciles WeChatEndpoints.
type Reconciler struct {
	client.Client
	// Live reads past the cache, for the rare object that the filtered cache cannot show.
	Live    client.Reader
	Events  events.EventRecorder
	Probe   Prober
	Options Options

	gateway gatewayAPI
	turns   turns
	ahead   ahead
}

// Reconcile brings one endpoint nearer to what its spec asks for.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var endpoint v1alpha1.WeChatEndpoint
	if err := r.Get(ctx, request.NamespacedName, &endpoint); err != nil {
		r.turns.seen(request.NamespacedName)
		r.ahead.forget(request.NamespacedName)
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !endpoint.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil // children are owned; nothing lives outside the cluster
	}
	before := endpoint.DeepCopy()
	tellUnreadable(ctx, &endpoint)
	endpoint.Status.Unreadable = nil // it is written anew
	endpoint.Status.Published = claims.Published(&endpoint)
	again, err := r.sync(ctx, &endpoint)
	if behind := (aheadError{}); errors.As(err, &behind) {
		return ctrl.Result{RequeueAfter: behind.again}, nil
	}
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return ctrl.Result{}, nil // the endpoint goes with its namespace
	}
	if err := errors.Join(err, r.storeStatus(ctx, before, &endpoint)); err != nil {
		return ctrl.Result{}, err
	}
	return schedule(again), nil
}

// schedule says when to look at the endpoint again, and how urgently: what has waited for seconds gives way to what changed
// just now. Zero is in a while, since no watch tells when WeChat last came, or that somebody closed the way to the pods.
func schedule(again time.Duration) ctrl.Result {
	again = soonest(again, wait.Jitter(resync, 0.2))
	priority := 0
	if again >= askSeldom {
		priority = handler.LowPriority
	}
	return ctrl.Result{RequeueAfter: again, Priority: &priority}
}

// sync is the way of a resource: what it refers to is read, its objects are rendered and applied, and what became of them
// is observed. Each step has a condition of its own. What cannot be served leaves what is served as it is, so that an endpoint
// goes on while its Secret, its app or its spec is broken; and its credentials go on being rotated and revoked.
// It returns when to look again; zero is never.
func (r *Reconciler) sync(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint) (time.Duration, error) {
	found, err := r.resolve(ctx, endpoint)
	if err != nil {
		return 0, err
	}
	done, err := r.serve(ctx, endpoint, &found)
	publish(endpoint, done)
	if err := errors.Join(err, found.failed(), found.record(endpoint)); err != nil {
		return 0, err
	}
	if done.pairs != nil {
		showCredentials(endpoint, done.pairs)
	}
	if !done.applied && (done.refused == nil || !done.reachedPods) {
		r.leaveTurn(endpoint)
	}
	again := soonest(unseen(found.refused), soonest(untilAuditTurns(endpoint, time.Now()), refusedAgain(endpoint, done.refused)))
	if done.generation == "" {
		waitForOthers(endpoint, done.refused)
		return again, nil
	}
	if done.generation != found.live.generation { // until the pods were looked at: whatever fails on the way to them
		set(endpoint, v1alpha1.ConditionSidecarAvailable, metav1.ConditionFalse, v1alpha1.ReasonProgressing, "the pods are about to be given this")
	}
	observed, err := r.observe(ctx, endpoint, found.input, done)
	return soonest(again, observed), errors.Join(err,
		record(endpoint, v1alpha1.ConditionCredentialsResolved, found.credentials)) // again: the pods told who uses which
}

// findings are what was read for an endpoint, and what keeps it from being served: nil, a *refs.Wait, or an error of the API
// server's.
type findings struct {
	live  served
	input render.Input

	refused, backend, outdated, credentials, gatewayKey error
}

// resolve reads what the endpoint refers to and what its pods were last given. Where the spec cannot be served, the
// configuration that they have goes on.
func (r *Reconciler) resolve(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint) (findings, error) {
	live, err := r.readServed(ctx, endpoint)
	if err != nil {
		return findings{}, err
	}
	deployment, err := r.ownDeployment(ctx, endpoint)
	if err != nil {
		return findings{}, err
	}
	found := findings{live: live, input: r.newInput(endpoint)}
	found.input.Serving = deployment != nil && live.generation != ""
	if unreadable := checkReadable(endpoint); unreadable != nil {
		return r.resolveUnreadable(ctx, endpoint, found, unreadable), nil
	}
	found.refused = r.accept(ctx, endpoint)
	found.backend = r.resolveBackend(ctx, endpoint, &found.input)
	found.outdated = r.checkUnderstood(ctx, endpoint, found.input, live)
	if errors.Join(found.refused, found.backend, found.outdated) != nil {
		found.input.Served = live.config
	}
	found.credentials = r.resolveCredentials(ctx, endpoint, live, &found.input)
	found.gatewayKey = r.resolveGatewayKey(ctx, endpoint, live, &found.input)
	scheme, err := r.schemeOf(ctx, endpoint)
	if err == nil {
		describe(endpoint, scheme)
	}
	return found, err
}

// resolveUnreadable finds what goes on of an endpoint whose spec cannot be read: the configuration as it is, and the credentials.
func (r *Reconciler) resolveUnreadable(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint, found findings, unreadable error) findings {
	found.refused, found.input.Served = unreadable, found.live.config
	found.backend = refs.Waitf(v1alpha1.ReasonWaiting, "the spec cannot be read: first see to Accepted")
	found.input.RuleURLs = make([]string, len(endpoint.Spec.Rules))
	found.credentials = r.resolveCredentials(ctx, endpoint, found.live, &found.input)
	found.gatewayKey = r.resolveGatewayKey(ctx, endpoint, found.live, &found.input)
	return found
}

// failed is what the API server failed at, of which no condition can tell.
func (f findings) failed() error { return errors.Join(realError(f.outdated), f.gatewayKey) }

// record sets the conditions of what was read.
func (f findings) record(endpoint *v1alpha1.WeChatEndpoint) error {
	return errors.Join(
		record(endpoint, v1alpha1.ConditionAccepted, f.refused),
		record(endpoint, v1alpha1.ConditionCredentialsResolved, f.credentials),
		record(endpoint, v1alpha1.ConditionBackendResolved, f.backend),
	)
}

// serve applies what was found: all that the spec asks for, or, where that cannot be served, the credentials alone. What is
// found on the way to be in somebody else's hands is added to the findings.
func (r *Reconciler) serve(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint, found *findings) (outcome, error) {
	done := outcome{generation: found.live.generation, lag: found.outdated}
	switch {
	case len(found.input.Pairs) == 0 || found.gatewayKey != nil || !waits(found.refused) || !waits(found.backend) || !waits(found.outdated):
		return done, nil
	case endpoint.Spec.Paused:
		done.lag = pausedBehind(found.input, found.live)
		return done, nil
	case found.refused == nil && found.backend == nil:
		err := r.applyChildren(ctx, endpoint, found.input, found.live, &done)
		done.applied = err == nil
		if behind := r.ahead.check(endpoint, err, time.Now()); behind != nil {
			return done, behind
		}
		if done.applied {
			return done, nil
		}
		if !errors.As(err, &done.refused) {
			if found.refused = err; !waits(err) {
				return done, err
			}
		}
		if !found.input.Serving {
			return done, nil // its files are written already: nothing serves with others
		}
		found.input.Served = found.live.config // what serves goes on with what it has
	}
	if found.input.Served == nil {
		return done, nil
	}
	err := r.applyCredentials(ctx, endpoint, found.input, &done)
	if done.refused == nil {
		if behind := r.ahead.check(endpoint, err, time.Now()); behind != nil {
			return done, behind
		}
	}
	if errors.As(err, new(*refusedError)) && done.refused != nil {
		err = nil // the status tells of the first one
	}
	return done, realError(err)
}

// outcome is what became of applying what was rendered.
type outcome struct {
	generation string            // of the files that the pods should serve; empty before the first
	pairs      []config.Pair     // that they accept, if they were written or found in order; otherwise nil
	applied    bool              // all that the spec asks for
	route      v1alpha1.Exposure // the kind of route that publishes what the spec asks for, as it was written or found in order; empty if neither
	refused    *refusedError     // what the API server did not take of it, or nil
	// reachedPods says that all that comes before the pods was taken: what is refused then is judged by its turn.
	reachedPods bool
	turn        turn
	lag         error // why the pods are not given what the spec asks for, or nil
}

// observe says what became of what was applied, from the pods to the route, and returns when to look again. Zero is never.
func (r *Reconciler) observe(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint, input render.Input, done outcome) (time.Duration, error) {
	behind, err := r.observeSidecar(ctx, endpoint, done.generation, errors.Join(done.refused.pods(), done.lag))
	again := untilRotationTurns(endpoint, time.Now())
	if done.pairs == nil && again > 0 {
		again = max(again, lookAgain) // what is due is not written now
	}
	if behind {
		again = askDelay(endpoint)
	}
	if checkReadable(endpoint) != nil {
		return again, err // the other conditions go on speaking of an earlier spec
	}
	// What runs while the endpoint is paused is this very spec, unless it was changed since.
	current := done.applied || endpoint.Spec.Paused && done.lag == nil
	verifyErr := r.verify(ctx, endpoint, input, current)
	if !behind && apimeta.IsStatusConditionFalse(endpoint.Status.Conditions, v1alpha1.ConditionVerified) {
		again = soonest(again, askSeldom)
	}
	turned, turnErr := r.judgeTurn(ctx, endpoint, done.turn)
	exposed, exposureErr := r.observeExposure(ctx, endpoint, input, done, current)
	return soonest(again, soonest(turned, exposed)), errors.Join(err, verifyErr, turnErr, exposureErr, r.observeBypasses(ctx, endpoint))
}

// newInput is what the children depend on before anything is read.
func (r *Reconciler) newInput(endpoint *v1alpha1.WeChatEndpoint) render.Input {
	return render.Input{
		Endpoint: endpoint, Image: render.Image(endpoint, r.Options.SidecarImage), PullPolicy: r.Options.SidecarPullPolicy,
		Defaults: r.Options.SidecarDefaults, NetworkPolicy: r.Options.NetworkPolicy, OperatorNamespace: r.Options.OperatorNamespace,
	}
}

// unseen returns when to look again for a change that no watch tells of: a foreign object with a child's name, which the
// filtered caches do not hold, goes away; the Gateway API is installed. Zero is never.
func unseen(err error) time.Duration {
	switch waitReason(err) {
	case v1alpha1.ReasonNameTaken, v1alpha1.ReasonGatewayAPINotFound:
		return lookAgain
	}
	return 0
}

// soonest returns the sooner of two times to look again; zero is never.
func soonest(a, b time.Duration) time.Duration {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// waits reports whether a step succeeded, or waits for a person: what the API server failed at is not known.
func waits(err error) bool { return err == nil || waitReason(err) != "" }

// realError is an error of the API server, or nil for one that a person must mend.
func realError(err error) error {
	if waits(err) {
		return nil
	}
	return err
}

// waitReason returns the reason of an error that a person must mend, or "".
func waitReason(err error) string {
	var wait *refs.Wait
	if errors.As(err, &wait) {
		return wait.Reason
	}
	return ""
}
