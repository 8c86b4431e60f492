// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package controllers is the operator: it keeps what runs for a WeChatEndpoint in step with what was asked for, and says
// in the status what is missing.
package controllers

import (
	"cmp"
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/probe"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/refs"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
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
}

// Reconcile brings one endpoint nearer to what its spec asks for.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var endpoint v1alpha1.WeChatEndpoint
	if err := r.Get(ctx, request.NamespacedName, &endpoint); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !endpoint.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil // children are owned; nothing lives outside the cluster
	}
	before := endpoint.DeepCopy()
	result, err := r.sync(ctx, &endpoint)
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return ctrl.Result{}, nil // the endpoint goes with its namespace
	}
	return result, errors.Join(err, r.storeStatus(ctx, before, &endpoint))
}

// sync is the way of a resource: what it refers to is read, its objects are rendered and applied, and what became of them
// is observed. Each step has a condition of its own; a step that cannot be taken leaves the objects as they are, so that an
// endpoint that serves goes on serving while its Secret is broken.
func (r *Reconciler) sync(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint) (ctrl.Result, error) {
	current, err := r.currentCredentials(ctx, endpoint)
	if err != nil {
		return ctrl.Result{}, err
	}
	input := r.newInput(endpoint)
	accepted := r.accept(ctx, endpoint) // before describe: the status still says which URL was published
	credentialsErr := r.resolveCredentials(ctx, endpoint, current, &input)
	keyErr := r.resolveGatewayKey(ctx, endpoint, current, &input)
	backendErr := r.resolveBackend(ctx, endpoint, &input)
	scheme, err := r.schemeOf(ctx, endpoint)
	if err != nil {
		return ctrl.Result{}, err
	}
	describe(endpoint, scheme)
	generation, applied := current.generation, false
	if accepted == nil && len(input.Pairs) > 0 && keyErr == nil && backendErr == nil && !endpoint.Spec.Paused {
		generation, accepted = r.applyChildren(ctx, endpoint, input, current)
		accepted, applied = refusal(endpoint, accepted), accepted == nil
	}
	err = errors.Join(
		keyErr,
		record(endpoint, v1alpha1.ConditionAccepted, accepted),
		record(endpoint, v1alpha1.ConditionCredentialsResolved, credentialsErr),
		record(endpoint, v1alpha1.ConditionBackendResolved, backendErr),
	)
	if err != nil {
		return ctrl.Result{}, err
	}
	result := ctrl.Result{RequeueAfter: cmp.Or(unseen(accepted), untilAuditTurns(endpoint, time.Now()))}
	if generation == "" {
		waitForOthers(endpoint)
		return result, nil
	}
	behind, err := r.observeSidecar(ctx, endpoint, generation)
	result.RequeueAfter = soonest(result.RequeueAfter, untilRotationTurns(endpoint, time.Now()))
	if behind {
		result.RequeueAfter = askDelay(endpoint)
	}
	verifyErr := r.verify(ctx, endpoint, input, applied)
	if !behind && apimeta.IsStatusConditionFalse(endpoint.Status.Conditions, v1alpha1.ConditionVerified) {
		result.RequeueAfter = soonest(result.RequeueAfter, askSeldom)
	}
	again, exposureErr := r.observeExposure(ctx, endpoint, input, applied)
	result.RequeueAfter = soonest(result.RequeueAfter, again)
	return result, errors.Join(err, verifyErr, exposureErr, r.observeBypasses(ctx, endpoint),
		record(endpoint, v1alpha1.ConditionCredentialsResolved, credentialsErr)) // again: the pods told who uses which
}

// newInput is what the children depend on before anything is read.
func (r *Reconciler) newInput(endpoint *v1alpha1.WeChatEndpoint) render.Input {
	return render.Input{
		Endpoint: endpoint, Image: r.Options.SidecarImage, PullPolicy: r.Options.SidecarPullPolicy,
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

// waitReason returns the reason of an error that a person must mend, or "".
func waitReason(err error) string {
	var wait *refs.Wait
	if errors.As(err, &wait) {
		return wait.Reason
	}
	return ""
}
