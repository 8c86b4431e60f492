// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/refs"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
)

// order is that of the conditions, each of which depends on those before it.
var order = []string{
	v1alpha1.ConditionAccepted,
	v1alpha1.ConditionCredentialsResolved,
	v1alpha1.ConditionBackendResolved,
	v1alpha1.ConditionSidecarAvailable,
	v1alpha1.ConditionRouteProgrammed,
	v1alpha1.ConditionVerified,
}

// record sets a condition from the outcome of its step: nil makes it true, a *refs.Wait false. Any other error says nothing
// about the condition; it is returned, to be tried again.
func record(endpoint *v1alpha1.WeChatEndpoint, condition string, err error) error {
	var wait *refs.Wait
	switch {
	case err == nil:
		reason, message := success(endpoint, condition)
		set(endpoint, condition, metav1.ConditionTrue, reason, message)
	case errors.As(err, &wait) && wait.Reason == v1alpha1.ReasonWaiting:
		set(endpoint, condition, metav1.ConditionUnknown, wait.Reason, wait.Message)
	case errors.As(err, &wait):
		set(endpoint, condition, metav1.ConditionFalse, wait.Reason, wait.Message)
	default:
		return err
	}
	return nil
}

// success returns the reason and message of a condition that holds.
func success(endpoint *v1alpha1.WeChatEndpoint, condition string) (reason, message string) {
	spec := endpoint.Spec
	switch condition {
	case v1alpha1.ConditionAccepted:
		if spec.Paused {
			return v1alpha1.ReasonPaused, "spec.paused is true, so nothing is changed: set it to false when the operator may work on"
		}
		return v1alpha1.ReasonAccepted, "the spec is coherent and allowed here" + doubtAppID(spec)
	case v1alpha1.ConditionCredentialsResolved:
		return describeRotation(endpoint)
	case v1alpha1.ConditionBackendResolved:
		message = "Service " + spec.Backend.Service.Name + " has port " + spec.Backend.Service.Port.String()
		if slices.ContainsFunc(spec.Rules, func(rule v1alpha1.Rule) bool { return rule.Backend != nil }) {
			message += ", and so have the Services of the rules"
		}
		return v1alpha1.ReasonBackendResolved, message
	case v1alpha1.ConditionSidecarAvailable:
		return v1alpha1.ReasonSidecarAvailable, "every wanted pod serves this configuration and these credentials"
	}
	if condition == v1alpha1.ConditionVerified {
		return v1alpha1.ReasonVerified, "the operator played WeChat against every pod with the newest credentials, and each answered as WeChat needs it"
	}
	if spec.URL.Exposure == v1alpha1.ExposureNone {
		return v1alpha1.ReasonNotPublished, fmt.Sprintf("url.exposure is None: route the URL to Service %s, port %d", render.Name(endpoint), render.ServicePort)
	}
	if spec.URL.Exposure == v1alpha1.ExposureHTTPRoute {
		return v1alpha1.ReasonRouteProgrammed, "HTTPRoute " + render.Name(endpoint) + " is accepted by every Gateway that url.httpRoute names"
	}
	return v1alpha1.ReasonRouteProgrammed, "Ingress " + render.Name(endpoint) + " is applied and its class exists"
}

// ids are what the ids of each platform look like, in the console and in words.
var ids = map[v1alpha1.Platform]struct {
	pattern *regexp.Regexp
	words   string
}{
	v1alpha1.PlatformOfficialAccount: {appIDPattern, appIDWords},
	v1alpha1.PlatformMiniProgram:     {appIDPattern, appIDWords},
	v1alpha1.PlatformShop:            {appIDPattern, appIDWords},
	v1alpha1.PlatformOpenPlatform:    {appIDPattern, "the third-party platform's own: " + appIDWords},
	v1alpha1.PlatformWeCom:           {regexp.MustCompile(`^w[wx][0-9A-Za-z_-]{16}$`), "a CorpID (企业ID: ww or wx, and 16 letters and digits)"},
	v1alpha1.PlatformPay:             {regexp.MustCompile(`^[0-9]{8,10}$`), "a merchant id (商户号: 8 to 10 digits)"},
}

var appIDPattern = regexp.MustCompile(`^wx[0-9a-f]{16}$`)

const appIDWords = "an AppID (wx, and 16 digits and letters from a to f)"

// doubtAppID says that an id does not look like one of the platform's. It is no reason to refuse it: nobody documents what they look
// like. But with another account's id everything is well, and every encrypted message is refused.
func doubtAppID(spec v1alpha1.WeChatEndpointSpec) string {
	id, known := ids[spec.Platform]
	if !known || id.pattern.MatchString(spec.AppID) {
		return ""
	}
	return fmt.Sprintf("; but appID %s does not look like %s. Compare it with the console: encrypted messages for another id are refused", spec.AppID, id.words)
}

// waitForOthers marks what cannot be known before there is anything that runs, but for what was refused on the way there.
func waitForOthers(endpoint *v1alpha1.WeChatEndpoint, refused *refusedError) {
	var waiting error = refs.Waitf(v1alpha1.ReasonWaiting, "nothing runs yet: first see to the conditions before this one")
	for _, other := range []struct {
		condition string
		refusal   error
	}{
		{v1alpha1.ConditionSidecarAvailable, refused.pods()}, {v1alpha1.ConditionRouteProgrammed, refused.route()},
		{v1alpha1.ConditionVerified, nil}, {v1alpha1.ConditionReachable, nil},
	} {
		if other.condition == v1alpha1.ConditionRouteProgrammed && endpoint.Spec.URL.Exposure == v1alpha1.ExposureNone {
			continue // describe has said all
		}
		_ = record(endpoint, other.condition, cmp.Or(other.refusal, waiting)) // fails of nothing but what the API server failed at
	}
}

func set(endpoint *v1alpha1.WeChatEndpoint, condition string, status metav1.ConditionStatus, reason, message string) {
	apimeta.SetStatusCondition(&endpoint.Status.Conditions, metav1.Condition{
		Type: condition, Status: status, Reason: reason, Message: shortened(message), ObservedGeneration: endpoint.Generation,
	})
}

// maxMessage is the most that the API server takes of an event's note (NoteLengthLimit of events.k8s.io/v1); of a condition it takes
// more. Bytes.
const maxMessage = 1024

// shortened leaves out the middle of a message that is too long, which quotes what somebody wrote: the beginning says what is
// wrong, and the end what to do. Without it one long value in the spec would keep the whole status from being stored. What is no text is
// replaced: it would be stored as another one, and differ from that for ever.
func shortened(message string) string {
	message = strings.ToValidUTF8(message, "\uFFFD")
	if len(message) <= maxMessage {
		return message
	}
	const gap, end = " … ", 300
	return strings.ToValidUTF8(message[:maxMessage-end-len(gap)], "") + gap + strings.ToValidUTF8(message[len(message)-end:], "")
}

// Bounds of the CRD's status. A spec that keeps its own bounds keeps these: only one that was stored before may not. Characters.
const (
	maxURL     = 1024
	maxBackend = 128
)

// cut shortens a text to so many characters.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return string([]rune(text)[:min(most, utf8.RuneCountInString(text))])
}

// describe fills what the status repeats of the spec. An error may let the status be stored before the conditions are set anew: so what they
// said of another URL is withdrawn here, and that no route is asked for is said here.
func describe(endpoint *v1alpha1.WeChatEndpoint, scheme v1alpha1.Scheme) {
	spec := endpoint.Spec
	if !speaksOfClaim(endpoint) {
		withdraw(endpoint, v1alpha1.ConditionAccepted)
		withdraw(endpoint, v1alpha1.ConditionRouteProgrammed)
	}
	endpoint.Status.URL = cut(string(scheme)+"://"+spec.URL.Shown(), maxURL)
	endpoint.Status.Backend = cut(spec.Backend.Service.Name+":"+spec.Backend.Service.Port.String(), maxBackend)
	if spec.URL.Exposure == v1alpha1.ExposureNone {
		reason, message := success(endpoint, v1alpha1.ConditionRouteProgrammed)
		set(endpoint, v1alpha1.ConditionRouteProgrammed, metav1.ConditionTrue, reason, message)
	}
}

// withdraw makes a condition unknown that holds of another URL. It still says of which generation it is: of the newest one
// nobody has judged it.
func withdraw(endpoint *v1alpha1.WeChatEndpoint, name string) {
	condition := apimeta.FindStatusCondition(endpoint.Status.Conditions, name)
	if condition == nil || condition.Status != metav1.ConditionTrue {
		return
	}
	withdrawn := *condition
	withdrawn.Status, withdrawn.Reason, withdrawn.Message = metav1.ConditionUnknown, v1alpha1.ReasonWaiting, "not known yet of this URL"
	withdrawn.LastTransitionTime = metav1.Time{} // now
	apimeta.SetStatusCondition(&endpoint.Status.Conditions, withdrawn)
}

// summarize sets Ready from the conditions before it. Its message is that of the first that does not hold; where nothing is known
// of an earlier one, because the API server failed on the way to it, a later one that is known not to hold says more.
func summarize(endpoint *v1alpha1.WeChatEndpoint) {
	unknown := ""
	for _, name := range order {
		condition := apimeta.FindStatusCondition(endpoint.Status.Conditions, name)
		switch {
		case condition == nil || condition.ObservedGeneration != endpoint.Generation:
			unknown = cmp.Or(unknown, name)
		case condition.Status == metav1.ConditionFalse || condition.Status == metav1.ConditionUnknown && unknown == "":
			set(endpoint, v1alpha1.ConditionReady, metav1.ConditionFalse, condition.Reason, name+": "+condition.Message)
			return
		}
	}
	if unknown != "" {
		set(endpoint, v1alpha1.ConditionReady, metav1.ConditionUnknown, v1alpha1.ReasonWaiting, unknown+": not known yet of this spec")
		return
	}
	message := "enter the URL in the console: " + endpoint.Status.URL
	if endpoint.Spec.Paused {
		message += " (paused: later changes of this endpoint or its Secret are not served)"
	}
	set(endpoint, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady, message)
}

// observed reports whether every condition speaks of the newest spec.
func observed(endpoint *v1alpha1.WeChatEndpoint) bool {
	return !slices.ContainsFunc(order, func(name string) bool {
		condition := apimeta.FindStatusCondition(endpoint.Status.Conditions, name)
		return condition == nil || condition.ObservedGeneration != endpoint.Generation
	})
}

// storeStatus writes the status if it changed, and then tells of the conditions that turned.
func (r *Reconciler) storeStatus(ctx context.Context, before, after *v1alpha1.WeChatEndpoint) error {
	if observed(after) {
		after.Status.ObservedGeneration = after.Generation
	}
	summarize(after)
	turned := turnedConditions(before, after)
	stored, err := r.patchStatus(ctx, before, after)
	if apierrors.IsInvalid(err) {
		return errors.Join(err, r.tellRefusal(ctx, before, err))
	}
	if err != nil || !stored {
		return err
	}
	for _, condition := range turned {
		r.event(after, condition)
	}
	return nil
}

func (r *Reconciler) event(endpoint *v1alpha1.WeChatEndpoint, condition metav1.Condition) {
	eventType := corev1.EventTypeNormal
	if warns(condition) {
		eventType = corev1.EventTypeWarning
	}
	r.Events.Eventf(endpoint, nil, eventType, condition.Reason, "Reconcile", "%s", condition.Message)
}

// patchStatus writes the status if it changed, and reports whether it did. Of an endpoint that was deleted meanwhile there is none to write.
func (r *Reconciler) patchStatus(ctx context.Context, before, after *v1alpha1.WeChatEndpoint) (bool, error) {
	if equality.Semantic.DeepEqual(before.Status, after.Status) {
		return false, nil
	}
	patch, err := statusPatch(before, after)
	if err != nil {
		return false, err
	}
	err = r.Status().Patch(ctx, after.DeepCopy(), patch)
	if client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("storing the status: %w", err)
	}
	return err == nil, nil
}

// tellRefusal says of a status that the API server does not take, beside what was stored before, that it is refused, and gives a turn away: nobody
// may wait for an end that cannot be told. Where that is refused too, an event tells.
func (r *Reconciler) tellRefusal(ctx context.Context, before *v1alpha1.WeChatEndpoint, refusal error) error {
	r.turns.seen(client.ObjectKeyFromObject(before))
	told := before.DeepCopy()
	if rolloutReason(told) == v1alpha1.ReasonRollingOut || told.Spec.Paused {
		r.leaveTurn(told)
	}
	set(told, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonStatusRefused, fmt.Sprintf(
		"the API server does not take the status of this endpoint, so that the other conditions may be out of date: %s; correct what it names, or tell the platform team", refusal))
	if _, err := r.patchStatus(ctx, before, told); err != nil {
		r.event(told, *apimeta.FindStatusCondition(told.Status.Conditions, v1alpha1.ConditionReady))
		return err
	}
	return nil
}

// statusPatch changes what differs, or replaces the whole status where that could not be read: what differs from it is not known.
func statusPatch(before, after *v1alpha1.WeChatEndpoint) (client.Patch, error) {
	if before.Status.Unreadable == nil {
		return client.MergeFrom(before), nil
	}
	text, err := json.Marshal([]map[string]any{{"op": "add", "path": "/status", "value": after.Status}})
	if err != nil {
		return nil, fmt.Errorf("writing the status: %w", err)
	}
	return client.RawPatch(types.JSONPatchType, text), nil
}

// turnedConditions returns the conditions whose status or reason changed. Ready only repeats another one, unless it holds;
// and what is as it should be when it is first looked at has not turned. With hundreds of endpoints applied at once, or waiting
// for their turn in a rollout, events of that would be most of what the operator asks of the API server.
func turnedConditions(before, after *v1alpha1.WeChatEndpoint) []metav1.Condition {
	var turned []metav1.Condition
	isNew := len(before.Status.Conditions) == 0
	for _, now := range after.Status.Conditions {
		was := apimeta.FindStatusCondition(before.Status.Conditions, now.Type)
		same := was != nil && was.Status == now.Status && was.Reason == now.Reason
		isReady := now.Type == v1alpha1.ConditionReady
		repeats := isReady && now.Status != metav1.ConditionTrue
		expected := isNew && !isReady && !warns(now) || was == nil && now.Reason == v1alpha1.ReasonSidecarCurrent
		if !same && !repeats && !expected && now.Status != metav1.ConditionUnknown && !waitsForTurn(now.Reason) {
			turned = append(turned, now)
		}
	}
	return turned
}

// warns reports whether somebody may have to act.
func warns(condition metav1.Condition) bool {
	isWarning := condition.Type == v1alpha1.ConditionBackendExposed || condition.Type == v1alpha1.ConditionWrongReceiver
	return (condition.Status == metav1.ConditionFalse || isWarning) &&
		condition.Reason != v1alpha1.ReasonProgressing && condition.Reason != v1alpha1.ReasonRollingOut
}
