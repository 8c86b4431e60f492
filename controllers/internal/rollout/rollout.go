// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package rollout decides when the pods of an endpoint or a gateway get what the installation asks for (docs/adr/0012-new-pods-in-turn.md). It is pure.
//
// What the installation changes in the sidecars' pods (another image, other defaults, the template of a newer operator) reaches
// some endpoints at a time, each until its new pods are available and verified, and stops where they are not. A slot is written
// into the status before the Deployment is touched: an operator that dies, or a second one, goes on from there. What the endpoint
// itself asks for does not wait.
package rollout

import (
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/installation"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/pods"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/snapshot"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/status"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
)

// Choice is what may be done about the pods' template.
type Choice struct {
	// Template is the one that the pods should have, by its digest.
	Template string
	// Image is the one that they get now.
	Image string
	// Keep leaves the template of the live Deployment as it is.
	Keep bool
	// Seek says that a slot is needed first.
	Seek bool
	// Current says that the live Deployment has the template, and New that there is none.
	Current, New bool
}

// settled says that no pods need to be replaced.
func (c Choice) settled() bool { return c.Current || c.New }

// Choose decides whether the endpoint's pods may get the template that the installation and the spec ask for. Asked is a
// digest of what the spec alone asks for.
func Choose(f *snapshot.Fleet, slot status.Slot, template, image, asked string) Choice {
	choice := Choice{Template: template, Image: image}
	rolling := slot.Stored != nil && slot.Rolling() // a rolling endpoint keeps its slot if the template changes
	failed := slot.Stored != nil && slot.Failed() && slot.Stored.Template == template
	if rolling || failed {
		return choice
	}
	live := f.Deployment
	choice.New = live == nil
	choice.Current = live != nil && live.Annotations[v1alpha1.AnnotationTemplate] == template
	if choice.settled() {
		return choice
	}
	before, known := live.Annotations[v1alpha1.AnnotationAsked]
	itself := known && before != asked
	if itself && (f.Sidecar.ImageVersion != "" || pods.ImageOf(live) == image) {
		return choice
	}
	choice.Image, choice.Keep, choice.Seek = pods.ImageOf(live), !itself, true
	return choice
}

// Shown reports whether the snapshot shows what the operator remembers of the endpoint's slot: it is taken, or not needed.
func Shown(slot status.Slot, choice Choice) bool {
	return choice.settled() || slot.Stored != nil && slot.Rolling()
}

// Admission is the answer to an endpoint that seeks a slot. One of them is true.
type Admission struct{ Admitted, Queued, Stopped bool }

// Member is an owner of pods in a rollout: an endpoint, or a gateway.
type Member struct {
	Key
	UID types.UID
	// Leaves says that it is being deleted.
	Leaves, Paused bool
	Slot           status.Slot
}

// Key names a Member.
type Key struct {
	Kind string // render.KindEndpoint or render.KindGateway
	types.NamespacedName
}

// OfEndpoint is the endpoint as a Member.
func OfEndpoint(e *v1alpha1.WeChatEndpoint) Member {
	return Member{
		Key: Key{render.KindEndpoint, types.NamespacedName{Namespace: e.Namespace, Name: e.Name}}, UID: e.UID,
		Leaves: !e.DeletionTimestamp.IsZero(), Paused: e.Spec.Paused, Slot: status.SlotOf(e),
	}
}

// OfGateway is the gateway as a Member.
func OfGateway(g *v1alpha1.WeChatGateway) Member {
	return Member{
		Key: Key{render.KindGateway, types.NamespacedName{Namespace: g.Namespace, Name: g.Name}}, UID: g.UID,
		Leaves: !g.DeletionTimestamp.IsZero(), Paused: g.Spec.Paused, Slot: status.SlotOfGateway(g),
	}
}

// Admit gives the seeker a slot, unless new pods of another member fail or enough are being replaced. Taken are the slots that were given out and
// that the members may not show yet.
func Admit(bounds installation.Rollout, seeker types.UID, all []Member, taken map[Key]bool, now time.Time) Admission {
	rolling, failed := 0, false
	for _, other := range all {
		if other.UID == seeker || other.Leaves {
			continue
		}
		failed = failed || other.stops()
		if other.Slot.Rolling() && !other.isUntold(bounds, now) || taken[other.Key] {
			rolling++
		}
	}
	switch {
	case failed:
		return Admission{Stopped: true}
	case rolling >= bounds.Most():
		return Admission{Queued: true}
	}
	return Admission{Admitted: true}
}

// isUntold reports whether a slot should have ended long ago, and its end cannot be told, since no status of the member can be stored.
// Others do not wait for it.
func (m Member) isUntold(bounds installation.Rollout, now time.Time) bool {
	return now.After(began(m.Slot.Stored).Add(2 * bounds.Deadline()))
}

func began(slot *v1alpha1.RolloutSlot) time.Time {
	if slot == nil || slot.Since == nil {
		return time.Time{}
	}
	return slot.Since.Time
}

// stops reports whether the member's new pods failed, and nobody has paused it since: its status may not be able to tell that.
func (m Member) stops() bool { return m.Slot.Failed() && !m.Paused }

// Outcome is what becomes of an endpoint's slot. A zero Verdict leaves SidecarCurrent as it is.
type Outcome struct {
	Slot    *v1alpha1.RolloutSlot
	Verdict verdict.Verdict
	Again   verdict.Again
}

// Leave lets an owner that cannot be applied now hold up nobody. Its pods may be current all the same, unless it is known that they are not.
func Leave(paused bool, slot status.Slot, said verdict.Verdict, choice Choice) Outcome {
	isNew := choice.New && said == verdict.Verdict{}
	current := (choice.Template == "" || choice.Current) && (said == verdict.Verdict{} || said.IsTrue())
	switch {
	case isNew || current:
		return Outcome{Slot: slot.Stored, Verdict: said}
	case paused:
		return Outcome{Verdict: verdict.Unknown(v1alpha1.ReasonPaused, "spec.paused is true, so that the pods go on as they are: set it to false when the operator may work on")}
	}
	return Outcome{Verdict: verdict.Unknown(v1alpha1.ReasonWaiting, "the pods go on as they are: first see to the conditions that are not True")}
}

// Facts are what an endpoint's slot is judged by.
type Facts struct {
	Options *installation.Options
	Fleet   *snapshot.Fleet
	Slot    status.Slot
	Choice  Choice
	Answer  Admission
	// FailingBefore says that the pods were not in order before this reconcile.
	FailingBefore bool
	// Generation is the one that the pods should serve.
	Generation string
	// Failing is the first condition by which the pods are judged that does not hold, or "".
	Failing string
}

// Begin says what the choice, and the answer to an endpoint that seeks a slot, make of it.
func Begin(f Facts) Outcome {
	switch {
	case f.Answer.Stopped:
		return Outcome{Verdict: verdict.False(v1alpha1.ReasonRolloutStopped,
			"the pods go on as they are, although the installation asks for others: those of another endpoint or gateway failed with them, which stopped the rollout. The platform team finds it by the reason RolloutFailed; %s chooses an image for this %s alone",
			f.Fleet.Field("imageVersion"), f.Fleet.Noun())}
	case f.Answer.Queued:
		return Outcome{Verdict: verdict.False(v1alpha1.ReasonRolloutQueued,
			"the pods go on as they are until this %s gets a slot of the rollout: wait; at most %d at a time have one", f.Fleet.Noun(), f.Options.Rollout.Most())}
	case f.Answer.Admitted: // the status must be stored before the Deployment is touched
		return Outcome{
			Slot:    &v1alpha1.RolloutSlot{Since: new(metav1.NewTime(f.Fleet.Now).Rfc3339Copy()), Template: f.Choice.Template, FailingBefore: f.FailingBefore},
			Verdict: verdict.False(v1alpha1.ReasonRollingOut, "the pods are being replaced by those that the installation asks for, none of them before the next one serves: wait"),
			Again:   verdict.Now(),
		}
	case f.Choice.settled() && !f.Slot.Failed():
		return Outcome{Verdict: current(f.Options, f.Fleet.Fleet)}
	case f.Slot.Stored != nil && f.Slot.Rolling():
		slot := *f.Slot.Stored
		slot.Template = f.Choice.Template
		return Outcome{Slot: &slot}
	}
	return Outcome{Slot: f.Slot.Stored}
}

func current(options *installation.Options, fleet render.Fleet) verdict.Verdict {
	message := "the pods are what the installation asks for: image "
	if fleet.Sidecar.ImageVersion != "" {
		message = "the pods have the image that " + fleet.Field("imageVersion") + " asks for: "
	}
	return verdict.True(v1alpha1.ReasonSidecarCurrent, "%s%s", message, render.Image(fleet.Sidecar, options.SidecarImage))
}

// Judge says what becomes of a slot, by the pods that were asked and played against.
func Judge(f Facts) Outcome {
	outcome := Begin(f)
	if outcome.Verdict != (verdict.Verdict{}) || !f.Slot.Rolling() && !f.Slot.Failed() {
		return outcome
	}
	fleet, slot := f.Fleet, outcome.Slot
	if now := metav1.NewTime(fleet.Now).Rfc3339Copy(); began(slot).After(now.Time) { // the clock was set back: the slot ends nevertheless
		slot = slot.DeepCopy()
		slot.Since = &now
	}
	applied := fleet.Deployment != nil && fleet.Deployment.Annotations[v1alpha1.AnnotationTemplate] == f.Choice.Template
	left := began(slot).Add(f.Options.Rollout.Deadline()).Sub(fleet.Now)
	switch {
	case applied && pods.RolledOut(fleet, f.Generation) && (f.Failing == "" || pods.Size(fleet.Deployment) == 0):
		return Outcome{Verdict: current(f.Options, fleet.Fleet)}
	case f.Slot.Failed():
		return Outcome{Slot: slot}
	case left > 0 && applied: // no watch tells when the ReplicaSet of the new pods is known
		return Outcome{Slot: slot, Again: verdict.In(min(left, verdict.Seldom))}
	case left > 0:
		return Outcome{Slot: slot, Again: verdict.In(left)}
	case applied && slot != nil && slot.FailingBefore: // that is no fault of the new pods
		return Outcome{Verdict: current(f.Options, fleet.Fleet)}
	}
	why := "They were refused"
	if applied {
		why = "See " + f.Failing
	}
	return Outcome{Slot: slot, Verdict: verdict.False(v1alpha1.ReasonRolloutFailed,
		"the new pods (image %s) were not available and verified within %v, so that nobody else gets them; those before go on until then. %s; then give the installation another image, or set %s or paused here",
		f.Choice.Image, f.Options.Rollout.Deadline(), why, f.Fleet.Field("imageVersion"))}
}

// Moved reports whether an endpoint's part in a rollout ended, or failed: others may go on or must stop.
func Moved(before, after status.Slot) bool {
	began := after.Rolling() && !before.Failed()
	waits := after.Waits() && !before.Failed() // then nobody need wait for it any more
	return before.Reason != after.Reason && before.Reason != "" && !began && !waits
}

// Next are the members that may be next, the first by their names; and, where a failure stopped the rollout or has been mended, every
// one whose status still says the opposite.
func Next(bounds installation.Rollout, all []Member) []Key {
	failed := slices.ContainsFunc(all, Member.stops)
	var next, misled []Key
	for _, member := range all {
		switch {
		case !member.Slot.Waits():
		case failed != (member.Slot.Reason == v1alpha1.ReasonRolloutStopped):
			misled = append(misled, member.Key)
		case !failed:
			next = append(next, member.Key)
		}
	}
	slices.SortFunc(next, func(a, b Key) int { return strings.Compare(a.String(), b.String()) })
	return append(misled, next[:min(len(next), bounds.Most())]...)
}
