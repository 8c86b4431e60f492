// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
)

// What the installation changes in the sidecars' pods (another image, other defaults, the template of a newer operator) reaches
// some endpoints at a time, each until its new pods are available and verified, and stops where they are not. A turn is
// written into the status before the Deployment is touched, so that an operator that dies, or a second one, goes on from there.
// What the endpoint itself asks for does not wait.

// Rollout bounds how what the installation changes in the sidecars' pods reaches the endpoints.
type Rollout struct {
	// MaxEndpoints is how many endpoints' pods are replaced at a time; zero is 3.
	MaxEndpoints int `json:"maxEndpoints,omitempty"`
	// ProgressDeadline is how long the new pods of an endpoint may take until they are available and verified; zero is 5
	// minutes. Then the rollout stops.
	ProgressDeadline metav1.Duration `json:"progressDeadline,omitzero"`
}

const (
	defaultMaxEndpoints     = 3
	defaultProgressDeadline = 5 * time.Minute
)

func (o Rollout) maxEndpoints() int { return cmp.Or(o.MaxEndpoints, defaultMaxEndpoints) }

func (o Rollout) progressDeadline() time.Duration {
	return cmp.Or(o.ProgressDeadline.Duration, defaultProgressDeadline)
}

// turns are those that were given and that the cache may not show yet. The zero value is ready to use.
type turns struct {
	mu    sync.Mutex
	given map[client.ObjectKey]bool
}

// seen forgets a turn that the cache shows, or whose endpoint is gone.
func (t *turns) seen(endpoint client.ObjectKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.given, endpoint)
}

// turn is what one reconcile may do about the pods' template.
type turn struct {
	template string // that the pods should have, by its digest
	image    string // that the pods are given now
	keep     bool   // leave the template of the live Deployment as it is
	given    bool   // in this reconcile: the status must be stored before the Deployment is touched
}

// takeTurn decides whether the endpoint's pods may be given the template that is asked for, and says so in the status.
func (r *Reconciler) takeTurn(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint, input render.Input) (turn, error) {
	deployment, err := r.ownDeployment(ctx, endpoint)
	if err != nil {
		return turn{}, err
	}
	template, err := render.Template(input)
	if err != nil {
		return turn{}, fmt.Errorf("rendering the pods: %w", err)
	}
	now := turn{template: template, image: input.Image}
	if r.goesOn(endpoint, template) {
		return now, nil
	}
	if deployment == nil || deployment.Annotations[v1alpha1.AnnotationTemplate] == template {
		r.turns.seen(client.ObjectKeyFromObject(endpoint))
		if rolloutReason(endpoint) != v1alpha1.ReasonRolloutFailed {
			r.showCurrent(endpoint)
		}
		return now, nil
	}
	asked, err := askedItself(endpoint, deployment)
	if err != nil {
		return turn{}, err
	}
	if asked && (endpoint.Spec.Sidecar.ImageVersion != "" || imageOf(deployment) == input.Image) {
		return now, nil
	}
	now.image, now.keep = imageOf(deployment), !asked
	now.given, err = r.askTurn(ctx, endpoint, template)
	return now, err
}

// goesOn lets the endpoint go on with a turn that it was given, or that failed with these very pods, and reports whether there
// is one.
func (r *Reconciler) goesOn(endpoint *v1alpha1.WeChatEndpoint, template string) bool {
	turn, reason := endpoint.Status.Rollout, rolloutReason(endpoint)
	switch {
	case turn != nil && reason == v1alpha1.ReasonRollingOut:
		r.turns.seen(client.ObjectKeyFromObject(endpoint))
		turn.Template = template // another one while it lasts is the same turn
		return true
	case turn != nil && reason == v1alpha1.ReasonRolloutFailed:
		return turn.Template == template
	}
	return false
}

// askedItself reports whether the endpoint asks for other pods than it did when its Deployment was applied.
func askedItself(endpoint *v1alpha1.WeChatEndpoint, deployment *appsv1.Deployment) (bool, error) {
	asked, err := render.Asked(endpoint)
	if err != nil {
		return false, fmt.Errorf("reading what is asked of the pods: %w", err)
	}
	before, known := deployment.Annotations[v1alpha1.AnnotationAsked]
	return known && before != asked, nil
}

// askTurn gives the endpoint a turn, unless pods of another one fail or enough are being replaced.
func (r *Reconciler) askTurn(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint, template string) (bool, error) {
	r.turns.mu.Lock()
	defer r.turns.mu.Unlock()
	key := client.ObjectKeyFromObject(endpoint)
	delete(r.turns.given, key)
	var all v1alpha1.WeChatEndpointList
	if err := r.List(ctx, &all, client.UnsafeDisableDeepCopy); err != nil {
		return false, fmt.Errorf("listing the endpoints whose pods are replaced: %w", err)
	}
	rolling, failed := 0, false
	for i := range all.Items {
		other := &all.Items[i]
		if other.UID == endpoint.UID || !other.DeletionTimestamp.IsZero() {
			continue
		}
		reason := rolloutReason(other)
		failed = failed || stopsRollout(other)
		if reason == v1alpha1.ReasonRollingOut && !r.isUntold(other, time.Now()) || r.turns.given[client.ObjectKeyFromObject(other)] {
			rolling++
		}
	}
	endpoint.Status.Rollout = nil
	most := r.Options.Rollout.maxEndpoints()
	switch {
	case failed:
		set(endpoint, v1alpha1.ConditionSidecarCurrent, metav1.ConditionFalse, v1alpha1.ReasonRolloutStopped,
			"the pods go on as they are, although the installation asks for others: those of another endpoint failed with them, which stopped the rollout. The platform team finds it by the reason RolloutFailed; sidecar.imageVersion chooses an image for this endpoint alone")
		return false, nil
	case rolling >= most:
		set(endpoint, v1alpha1.ConditionSidecarCurrent, metav1.ConditionFalse, v1alpha1.ReasonRolloutQueued, fmt.Sprintf(
			"the pods go on as they are until it is this endpoint's turn to get those that the installation asks for: wait; at most %d at a time get theirs", most))
		return false, nil
	}
	if r.turns.given == nil {
		r.turns.given = map[client.ObjectKey]bool{}
	}
	r.turns.given[key] = true
	endpoint.Status.Rollout = &v1alpha1.RolloutTurn{Since: new(metav1.Now().Rfc3339Copy()), Template: template, FailingBefore: firstFailing(endpoint) != ""}
	set(endpoint, v1alpha1.ConditionSidecarCurrent, metav1.ConditionFalse, v1alpha1.ReasonRollingOut,
		"the pods are being replaced by those that the installation asks for, none of them before the next one serves: wait")
	return true, nil
}

// isUntold reports whether the end of an endpoint's turn is long due and was not told, since no status of it can be stored. Others do not wait for it.
func (r *Reconciler) isUntold(endpoint *v1alpha1.WeChatEndpoint, now time.Time) bool {
	began := value(value(endpoint.Status.Rollout).Since)
	return now.After(began.Add(2 * r.Options.Rollout.progressDeadline()))
}

// judgeTurn says what became of a turn, once the pods were looked at, and returns when to look again. Zero is never.
func (r *Reconciler) judgeTurn(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint, now turn) (time.Duration, error) {
	reason := rolloutReason(endpoint)
	if reason != v1alpha1.ReasonRollingOut && reason != v1alpha1.ReasonRolloutFailed {
		return 0, nil
	}
	if now.given {
		return time.Millisecond, nil
	}
	deployment, err := r.ownDeployment(ctx, endpoint)
	if err != nil {
		return 0, err
	}
	began := value(endpoint.Status.Rollout)
	if now := metav1.Now().Rfc3339Copy(); began.Since != nil && began.Since.After(now.Time) { // the clock was set back: the turn ends nevertheless
		endpoint.Status.Rollout.Since, began.Since = &now, &now
	}
	given := deployment != nil && deployment.Annotations[v1alpha1.AnnotationTemplate] == now.template
	left := time.Until(value(began.Since).Add(r.Options.Rollout.progressDeadline()))
	switch {
	case given && rolledOut(deployment) && serves(endpoint, deployment):
		r.showCurrent(endpoint)
		return 0, nil
	case reason == v1alpha1.ReasonRolloutFailed:
		return 0, nil
	case left > 0:
		return left, nil
	case given && began.FailingBefore:
		r.showCurrent(endpoint) // that is no fault of the new pods
		return 0, nil
	}
	why := "They were refused"
	if given {
		why = "See " + firstFailing(endpoint)
	}
	set(endpoint, v1alpha1.ConditionSidecarCurrent, metav1.ConditionFalse, v1alpha1.ReasonRolloutFailed, fmt.Sprintf(
		"the new pods (image %s) were not available and verified within %v, so that no other endpoint gets them; those before go on until then. %s; then give the installation another image, or set sidecar.imageVersion or paused here",
		now.image, r.Options.Rollout.progressDeadline(), why))
	return 0, nil
}

// leaveTurn lets an endpoint that cannot be applied now hold up nobody.
func (r *Reconciler) leaveTurn(endpoint *v1alpha1.WeChatEndpoint) {
	r.turns.seen(client.ObjectKeyFromObject(endpoint))
	reason, message := v1alpha1.ReasonWaiting, "the pods go on as they are: first see to the conditions that are not True"
	if endpoint.Spec.Paused {
		reason, message = v1alpha1.ReasonPaused, "spec.paused is true, so that the pods go on as they are: set it to false when the operator may work on"
	}
	switch current := apimeta.FindStatusCondition(endpoint.Status.Conditions, v1alpha1.ConditionSidecarCurrent); {
	case current == nil:
	case current.Status == metav1.ConditionTrue:
		set(endpoint, current.Type, current.Status, current.Reason, current.Message)
	default:
		endpoint.Status.Rollout = nil
		set(endpoint, current.Type, metav1.ConditionUnknown, reason, message)
	}
}

func (r *Reconciler) showCurrent(endpoint *v1alpha1.WeChatEndpoint) {
	endpoint.Status.Rollout = nil
	message := "the pods are what the installation asks for: image "
	if endpoint.Spec.Sidecar.ImageVersion != "" {
		message = "the pods have the image that sidecar.imageVersion asks for: "
	}
	set(endpoint, v1alpha1.ConditionSidecarCurrent, metav1.ConditionTrue, v1alpha1.ReasonSidecarCurrent,
		message+render.Image(endpoint, r.Options.SidecarImage))
}

// rolledOut reports whether all pods of the Deployment are of its newest template, as kubectl rollout status does.
func rolledOut(deployment *appsv1.Deployment) bool {
	status, wanted := deployment.Status, sizeOf(deployment)
	return status.ObservedGeneration >= deployment.Generation && status.UpdatedReplicas == wanted &&
		status.Replicas == wanted && status.AvailableReplicas == wanted
}

// serves reports whether the pods were seen to be in order; where none are asked for, there is nothing to see.
func serves(endpoint *v1alpha1.WeChatEndpoint, deployment *appsv1.Deployment) bool {
	return sizeOf(deployment) == 0 || firstFailing(endpoint) == ""
}

// firstFailing is the first condition by which the pods are judged that does not hold, or "".
func firstFailing(endpoint *v1alpha1.WeChatEndpoint) string {
	for _, name := range []string{v1alpha1.ConditionSidecarAvailable, v1alpha1.ConditionVerified} {
		if !apimeta.IsStatusConditionTrue(endpoint.Status.Conditions, name) {
			return name
		}
	}
	return ""
}

func imageOf(deployment *appsv1.Deployment) string {
	if containers := deployment.Spec.Template.Spec.Containers; len(containers) > 0 {
		return containers[0].Image
	}
	return ""
}

func rolloutReason(endpoint *v1alpha1.WeChatEndpoint) string {
	if condition := apimeta.FindStatusCondition(endpoint.Status.Conditions, v1alpha1.ConditionSidecarCurrent); condition != nil {
		return condition.Reason
	}
	return ""
}

// stopsRollout reports whether the endpoint's new pods failed, and nobody has paused it since: its status may not be able to tell that.
func stopsRollout(endpoint *v1alpha1.WeChatEndpoint) bool {
	return rolloutReason(endpoint) == v1alpha1.ReasonRolloutFailed && !endpoint.Spec.Paused
}

// waitsForTurn reports whether somebody else's turn is awaited.
func waitsForTurn(reason string) bool {
	return reason == v1alpha1.ReasonRolloutQueued || reason == v1alpha1.ReasonRolloutStopped
}

// turnMoved is when an endpoint's part in a rollout ended, or failed, so that others may go on or must stop.
var turnMoved = predicate.Funcs{
	CreateFunc:  func(event.CreateEvent) bool { return false },
	GenericFunc: func(event.GenericEvent) bool { return false },
	DeleteFunc: func(e event.DeleteEvent) bool {
		reason := rolloutReason(e.Object.(*v1alpha1.WeChatEndpoint))
		return reason != "" && reason != v1alpha1.ReasonSidecarCurrent
	},
	UpdateFunc: func(e event.UpdateEvent) bool {
		before, after := rolloutReason(e.ObjectOld.(*v1alpha1.WeChatEndpoint)), rolloutReason(e.ObjectNew.(*v1alpha1.WeChatEndpoint))
		began := after == v1alpha1.ReasonRollingOut && before != v1alpha1.ReasonRolloutFailed
		waits := waitsForTurn(after) && before != v1alpha1.ReasonRolloutFailed // then nobody need wait for it any more
		return before != after && before != "" && !began && !waits
	},
}

// nextInTurn maps an endpoint whose part in a rollout ended to those that may be next, by their names; and, where a failure
// stopped the rollout or has been mended, to all whose status says otherwise.
func (r *Reconciler) nextInTurn(ctx context.Context, _ client.Object) []reconcile.Request {
	var all v1alpha1.WeChatEndpointList
	if err := r.List(ctx, &all, client.UnsafeDisableDeepCopy); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "listing the endpoints to wake")
		return nil
	}
	failed := slices.ContainsFunc(all.Items, func(e v1alpha1.WeChatEndpoint) bool { return stopsRollout(&e) })
	var next, misled []reconcile.Request
	for i := range all.Items {
		reason := rolloutReason(&all.Items[i])
		request := reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&all.Items[i])}
		switch {
		case !waitsForTurn(reason):
		case failed != (reason == v1alpha1.ReasonRolloutStopped):
			misled = append(misled, request)
		case !failed:
			next = append(next, request)
		}
	}
	slices.SortFunc(next, func(a, b reconcile.Request) int { return strings.Compare(a.String(), b.String()) })
	return append(misled, next[:min(len(next), r.Options.Rollout.maxEndpoints())]...)
}
