// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wechatendpoint/wechatendpoint/api/decode"
	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/acceptance"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/backends"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/claims"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/credentials"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/exposure"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/installation"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/pods"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/probe"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/rollout"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/snapshot"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/status"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// Trial is what to play against, as WeChat. The zero value is nothing.
type Trial struct {
	Subject probe.Subject
	// Pods are those to play against.
	Pods []snapshot.Pod
	// Play says whether pods are played against. It is true also where there are none: then Verified is judged without any.
	Play bool
	// Address, if not empty, is where the route is published. It is tried if every pod answers well.
	Address string
	Secure  bool
}

// Tried is what came of a Trial: the answer of each pod, and the answer through the address if it was tried.
type Tried struct {
	Pods    []error
	Reached bool
	Reach   error
	// CertificateNotAfter is when the certificate ends that the address showed for the host; zero where it showed none.
	CertificateNotAfter time.Time
}

// Judgement is a Plan that was carried out.
type Judgement struct {
	*Plan
	options *installation.Options
	s       *snapshot.Snapshot
	memory  status.Memory
	done    Done

	sidecar   pods.State
	route     exposure.Route
	unrouted  *verdict.Problem // what stands against the route
	published []v1alpha1.PublishedRoute
	fleet     v1alpha1.FleetStatus
}

// After judges by the snapshot, and by what was done, how far the endpoint is as it should be.
func (p *Plan) After(options *installation.Options, s *snapshot.Snapshot, memory status.Memory, done Done) *Judgement {
	j := &Judgement{Plan: p, options: options, s: s, memory: memory, done: done, published: memory.Published}
	switch {
	case done.Route != "":
		j.published = claims.With(j.published, s.Endpoint, done.Route)
	case done.Whole && s.Endpoint.Spec.URL.Exposure == v1alpha1.ExposureNone:
		j.published = nil
	}
	j.fleet = memory.Fleet
	if done.Route != "" || done.Whole {
		j.fleet = p.Move.Status(s.Endpoint, memory.Fleet, s.Now)
	}
	lag := verdict.First(done.Rejection.pods(), terminating(s, false), p.Lag)
	if !s.Serves() {
		lag = verdict.First(lag, done.Taken)
	}
	j.sidecar = pods.JudgeOf(s, done.Generation, p.Gateway != "", lag)
	if p.Move.Moving() {
		j.sidecar.Problem = j.sidecar.Problem.And(p.Move.Stays())
	}
	if s.Endpoint.Spec.Readable() {
		j.judgeRoute()
	}
	return j
}

// judgeRoute says whether the route is programmed. What the operator has not published is not, whatever the object says: its tenant
// may have written that.
func (j *Judgement) judgeRoute() {
	if j.unrouted = verdict.First(j.Held, terminating(j.s, true)); j.unrouted != nil {
		return
	}
	asked := j.s.Endpoint.Spec.URL.Exposure
	j.route, j.unrouted = exposure.Judge(j.options, j.s, j.done.Whole)
	if j.unrouted == nil && asked != v1alpha1.ExposureNone && !claims.Covers(j.published, j.s.Endpoint, asked) {
		j.route, j.unrouted = exposure.Route{}, exposure.NotYet()
	}
	if rejected := j.done.Rejection.route(); rejected != nil {
		j.unrouted = rejected
	}
	if j.unrouted == nil && j.done.Whole && j.route.Kind != "" && (j.done.Retired || len(exposure.Left(j.s, j.route)) == 0) {
		j.published = slices.DeleteFunc(slices.Clone(j.published), func(p v1alpha1.PublishedRoute) bool { return p.By != j.route.Kind })
	}
}

// terminating names an object of the endpoint that somebody deletes and that a finalizer keeps: the route that it asks for, or one of the others.
// It is made again once it is gone.
func terminating(s *snapshot.Snapshot, route bool) *verdict.Problem {
	for _, child := range s.Children {
		if !child.Owned || !child.Deleting || child.Route != route || route && child.Kind != string(s.Endpoint.Spec.URL.Exposure) {
			continue
		}
		return verdict.Problemf(v1alpha1.ReasonChildTerminating,
			"%s %s is being deleted and waits for finalizer %s: it is made again once it is gone; if it stays, ask whose finalizer that is",
			child.Kind, child.Name, strings.Join(child.Finalizers, ", "))
	}
	return nil
}

// current says that what runs is this very spec: it was written, or the endpoint is paused and unchanged since.
func (j *Judgement) current() bool {
	return j.done.Whole || j.s.Endpoint.Spec.Paused && j.Lag == nil
}

// asks says that a condition is judged anew. Where nothing was written, it stays as it was: what runs has not changed.
func (j *Judgement) asks(condition string) bool {
	return j.current() || j.memory.Said(condition) == verdict.Verdict{}
}

// remembered is what was said of a condition that is not judged anew. What waited for something that holds by now cannot be judged all the same:
// what runs is not what the spec asks for.
func (j *Judgement) remembered(condition string) verdict.Verdict {
	said := j.memory.Said(condition)
	if said.Reason == v1alpha1.ReasonWaiting {
		return verdict.Unknown(v1alpha1.ReasonWaiting, "the pods serve what the spec asked for before: first see to the conditions that are not True")
	}
	return said
}

// serves says that pods were given something that can be judged.
func (j *Judgement) serves() bool {
	return j.done.Err == nil && j.done.Generation != "" && j.s.Endpoint.Spec.Readable()
}

// Trial says what to play against: the pods, once all of them say that they serve what was written, and the published address.
func (j *Judgement) Trial() Trial {
	if !j.serves() || j.sidecar.Problem != nil {
		return Trial{}
	}
	trial := Trial{Subject: j.subject(), Play: j.asks(v1alpha1.ConditionVerified)}
	if trial.Play {
		trial.Pods = j.s.ReadyPods()
	}
	verified := trial.Play || j.memory.Said(v1alpha1.ConditionVerified).IsTrue()
	if verified && j.unrouted == nil && j.s.Endpoint.Spec.URL.Exposure != v1alpha1.ExposureNone && j.asks(v1alpha1.ConditionReachable) {
		trial.Address, trial.Secure = j.route.Address, j.route.Secure
	}
	return trial
}

func (j *Judgement) subject() probe.Subject {
	spec := j.s.Endpoint.Spec
	subject := probe.Subject{
		Entry: config.Entry, Platform: string(spec.Platform), MessageMode: string(spec.MessageMode), AppID: spec.AppID, ReceiverIDs: spec.ReceiverIDs,
		Host: spec.URL.Host, Path: spec.URL.Path, Query: spec.URL.Query,
	}
	if spec.Gateway != nil {
		subject.Entry = j.s.Endpoint.Name
	}
	if len(j.Pairs) > 0 {
		subject.Pair = j.Pairs[0]
	}
	return subject
}

// Report is the status to store, and when to look again.
type Report struct {
	Status v1alpha1.WeChatEndpointStatus
	Again  verdict.Again
}

// Judge says all that is to be said of the endpoint: every condition, once.
func (j *Judgement) Judge(tried Tried) Report {
	report, said := j.begin(), status.Said{}
	j.sayAll(&report, said, tried)
	status.Write(j.s.Endpoint, &report.Status, said, j.s.Now)
	return report
}

func (j *Judgement) sayAll(report *Report, said status.Said, tried Tried) {
	e, now := j.s.Endpoint, j.s.Now
	accepted := verdict.First(j.Accepted, j.done.Taken)
	said[v1alpha1.ConditionAccepted] = accepted.Or(status.Words(v1alpha1.ConditionAccepted, e))
	said[v1alpha1.ConditionBackendResolved] = j.Backend.Or(status.Words(v1alpha1.ConditionBackendResolved, e))
	if e.Spec.Readable() && e.Spec.URL.Exposure == v1alpha1.ExposureNone {
		said[v1alpha1.ConditionRouteProgrammed] = exposure.Words(j.options, e)
	}
	said[v1alpha1.ConditionCredentialsResolved] = j.credentials(report, j.memory.Said(v1alpha1.ConditionSidecarAvailable))
	if j.done.Err != nil {
		return
	}
	report.Again = verdict.Soonest(unwatched(accepted), acceptance.Again(e, now), j.rejectedAgain())
	if j.done.Generation == "" {
		j.sayNothingRuns(said)
		j.judgeSlot(report, said, rollout.Begin)
		return
	}
	available := j.sidecar.Problem.Or(status.Words(v1alpha1.ConditionSidecarAvailable, e))
	said[v1alpha1.ConditionSidecarAvailable] = available
	if warning, known := pods.WrongReceiver(j.s.Fleet(), j.done.Generation); known {
		said[v1alpha1.ConditionWrongReceiver] = warning
	}
	said[v1alpha1.ConditionCredentialsResolved] = j.credentials(report, available)
	report.Again = verdict.Soonest(report.Again, j.podsAgain(available, report.Status.Credentials))
	if !e.Spec.Readable() { // the other conditions go on speaking of an earlier spec
		j.judgeSlot(report, said, rollout.Begin)
		return
	}
	said[v1alpha1.ConditionVerified] = j.verified(tried)
	j.judgeMove(report, said[v1alpha1.ConditionVerified])
	if !j.sidecar.AskAgain && said[v1alpha1.ConditionVerified].Status == metav1.ConditionFalse {
		report.Again = verdict.Soonest(report.Again, verdict.In(verdict.Seldom))
	}
	j.judgeSlot(report, said, rollout.Judge)
	said[v1alpha1.ConditionRouteProgrammed] = j.unrouted.Or(exposure.Words(j.options, e))
	said[v1alpha1.ConditionReachable] = j.reachable(tried, said)
	report.Status.CertificateNotAfter = j.certificateNotAfter(tried)
	said[v1alpha1.ConditionBackendAvailable] = verdict.Unknown(v1alpha1.ReasonWaiting, "there is no app to look at: first see to BackendResolved")
	if j.Backend == nil {
		available := backends.Available(j.s)
		said[v1alpha1.ConditionBackendAvailable] = available
		report.Again = verdict.Soonest(report.Again, backends.Again(available, j.memory.SaidFor(v1alpha1.ConditionBackendAvailable, available, now)))
	}
	said[v1alpha1.ConditionBackendExposed] = backends.Exposed(j.s)
	report.Again = verdict.Soonest(report.Again, j.routeAgain(said[v1alpha1.ConditionReachable]))
}

// begin is the status without its conditions.
func (j *Judgement) begin() Report {
	e := j.s.Endpoint
	after := *e.Status.DeepCopy()
	after.Unreadable, after.Published, after.Fleet = nil, j.published, j.fleet // what could not be read is written anew
	if spec := e.Spec; spec.Readable() {
		asked := spec.URL.Exposure
		if len(j.published) == 0 || j.current() && (asked == v1alpha1.ExposureNone || claims.Covers(j.published, e, asked)) {
			after.URL = status.Cut(string(exposure.Scheme(j.s))+"://"+spec.URL.Shown(), status.MaxURL)
		}
		after.Backend = status.Cut(spec.Backend.Service.Name+":"+spec.Backend.Service.Port.String(), status.MaxBackend)
	}
	if j.done.Err == nil && j.done.Pairs != nil {
		after.Credentials = credentials.Show(after.Credentials, j.done.Pairs, j.s.Now)
	}
	if j.done.Err == nil && j.done.Generation != "" {
		for _, pod := range j.s.ReadyPods() {
			credentials.NoteUses(after.Credentials.Accepted, pod.Answer.Status.Used, j.s.Now)
		}
	}
	if j.done.Err == nil && j.done.Pairs != nil {
		after.Credentials.Lost = credentials.Lost(e.Status.Credentials, after.Credentials, j.s.Live.Pairs, e.Spec.Credentials.RevokeBefore, j.s.Now)
	}
	return Report{Status: after}
}

// credentials says what the user has to do next. Pods that lag behind the spec serve the credentials all the same.
func (j *Judgement) credentials(report *Report, available verdict.Verdict) verdict.Verdict {
	serve := available.IsTrue() || available.Reason == v1alpha1.ReasonSidecarOutdated || available.Reason == v1alpha1.ReasonPaused
	return j.Credentials.Or(credentials.Words(j.s.Endpoint.Spec.Credentials.SecretName, report.Status.Credentials, serve))
}

// sayNothingRuns marks what cannot be known before there is anything that runs, but for what was rejected on the way there.
func (j *Judgement) sayNothingRuns(said status.Said) {
	waiting := verdict.Waiting("nothing runs yet: first see to the conditions before this one")
	if len(j.s.ReadyPods()) > 0 {
		waiting = verdict.Waiting("Secret " + render.Name(j.s.Endpoint) + " is gone: the pods go on with what they have loaded, and no other one can start. It is made again once the conditions before this one hold and spec.paused is false")
	}
	none := waiting.Or(verdict.Verdict{})
	said[v1alpha1.ConditionSidecarAvailable] = j.done.Rejection.pods().Or(none)
	if j.s.Endpoint.Spec.URL.Exposure != v1alpha1.ExposureNone {
		said[v1alpha1.ConditionRouteProgrammed] = j.done.Rejection.route().Or(none)
	}
	said[v1alpha1.ConditionVerified], said[v1alpha1.ConditionReachable] = none, none
}

func (j *Judgement) verified(tried Tried) verdict.Verdict {
	switch {
	case j.sidecar.Problem != nil:
		return verdict.Unknown(v1alpha1.ReasonWaiting, "the pods do not serve this yet: first see to SidecarAvailable")
	case !j.asks(v1alpha1.ConditionVerified):
		return j.remembered(v1alpha1.ConditionVerified)
	}
	return pods.Verified(j.s.ReadyPods(), tried.Pods).Or(status.Words(v1alpha1.ConditionVerified, j.s.Endpoint))
}

func (j *Judgement) reachable(tried Tried, said status.Said) verdict.Verdict {
	programmed := said[v1alpha1.ConditionRouteProgrammed]
	switch {
	case j.s.Endpoint.Spec.URL.Exposure == v1alpha1.ExposureNone:
		return exposure.NoAddress(j.s.Endpoint, j.route)
	case !programmed.IsTrue() || !said[v1alpha1.ConditionVerified].IsTrue():
		return verdict.Unknown(v1alpha1.ReasonWaiting, "there is nothing to reach yet: first see to RouteProgrammed and Verified")
	case !j.asks(v1alpha1.ConditionReachable):
		return j.remembered(v1alpha1.ConditionReachable)
	case !tried.Reached:
		return exposure.NoAddress(j.s.Endpoint, j.route)
	}
	return exposure.Reached(j.s.Endpoint, j.route, tried.Reach, j.memory.SaidFor(v1alpha1.ConditionRouteProgrammed, programmed, j.s.Now))
}

// certificateNotAfter is what is known of the certificate at the published address. Where that shows none any more, nothing is.
func (j *Judgement) certificateNotAfter(tried Tried) *metav1.Time {
	switch {
	case !j.route.Secure || j.s.Endpoint.Spec.URL.Exposure == v1alpha1.ExposureNone:
		return nil
	case tried.CertificateNotAfter.IsZero() || !decode.Writable(tried.CertificateNotAfter):
		return j.s.Endpoint.Status.CertificateNotAfter
	}
	return new(metav1.NewTime(tried.CertificateNotAfter).Rfc3339Copy())
}

// judgeMove goes on with a move once the pods that are asked for are verified, and ends it once those before are not needed any more.
func (j *Judgement) judgeMove(report *Report, verified verdict.Verdict) {
	report.Again = verdict.Soonest(report.Again, j.Move.Again())
	if j.Move.Moving() && j.current() && j.sidecar.Problem == nil && verified.IsTrue() {
		report.Status.Fleet.Verified = j.Move.Asked
		report.Again = verdict.Now()
	}
}

// judgeSlot says what becomes of the endpoint's slot in a rollout.
func (j *Judgement) judgeSlot(report *Report, said status.Said, judge func(rollout.Facts) rollout.Outcome) {
	if j.s.Endpoint.Spec.Gateway != nil {
		report.Status.Rollout, said[v1alpha1.ConditionSidecarCurrent] = nil, pods.GatewayCurrent(j.s)
		return
	}
	var outcome rollout.Outcome
	if j.done.LeavesRollout() || j.Choice.New && j.done.Rejection.pods() != nil {
		outcome = rollout.Leave(j.s.Endpoint.Spec.Paused, j.memory.Slot, j.memory.Said(v1alpha1.ConditionSidecarCurrent), j.Choice)
	} else {
		outcome = judge(rollout.Facts{
			Options: j.options, Fleet: j.s.Fleet(), Slot: j.memory.Slot, Choice: j.Choice, Answer: j.done.Answer, Generation: j.done.Generation,
			FailingBefore: firstFailing(j.memory.Said) != "",
			Failing:       firstFailing(func(name string) verdict.Verdict { return said[name] }),
		})
	}
	report.Status.Rollout = outcome.Slot
	report.Again = verdict.Soonest(report.Again, outcome.Again)
	if outcome.Verdict != (verdict.Verdict{}) {
		said[v1alpha1.ConditionSidecarCurrent] = outcome.Verdict
	}
}

// firstFailing is the first condition by which the pods are judged that does not hold, or "".
func firstFailing(say func(string) verdict.Verdict) string {
	for _, name := range []string{v1alpha1.ConditionSidecarAvailable, v1alpha1.ConditionVerified} {
		if !say(name).IsTrue() {
			return name
		}
	}
	return ""
}

// firstMessages is how long after its first one WeChat's messages are looked at, with all that becomes of them: the app's answer to the
// first may take until its deadline.
const firstMessages = time.Minute

// podsAgain says when to look again at the pods: soon while they do not serve what they should, for a rotation, until WeChat was seen, and for
// a moment after that, since only the pods know that its first messages are for another account's id, or reach no app.
func (j *Judgement) podsAgain(available verdict.Verdict, known v1alpha1.CredentialsStatus) verdict.Again {
	saidFor := j.memory.SaidFor(v1alpha1.ConditionSidecarAvailable, available, j.s.Now)
	if j.sidecar.AskAgain {
		return verdict.Growing(saidFor, verdict.Rarely)
	}
	again := credentials.Again(known.Accepted, j.s.Now)
	if len(known.Accepted) == 1 {
		first := known.Accepted[0].FirstUsed
		switch {
		case first == nil:
			again = verdict.Growing(saidFor, verdict.Resync).NotBefore(verdict.Unwatched)
		case j.s.Now.Sub(first.Time) < firstMessages:
			again = verdict.In(verdict.Unwatched)
		}
	}
	if j.done.Pairs == nil {
		again = again.NotBefore(verdict.Unwatched) // what is due is not written now
	}
	return again
}

// rejectedAgain says when to try again what was rejected, less and less often.
func (j *Judgement) rejectedAgain() verdict.Again {
	name := v1alpha1.ConditionSidecarAvailable
	switch {
	case j.done.Rejection == nil:
		return verdict.Never
	case j.done.Rejection.route() != nil:
		name = v1alpha1.ConditionRouteProgrammed
	}
	return verdict.Growing(j.memory.WrongFor(name, j.s.Now), verdict.Rarely)
}

// routeAgain says when to look again at the route: when the one that it replaces may go, and when its address may lead to the pods.
func (j *Judgement) routeAgain(reachable verdict.Verdict) verdict.Again {
	settles := verdict.Never
	if j.unrouted == nil && j.done.Whole && !j.done.Retired && len(exposure.Left(j.s, j.route)) > 0 {
		settles = verdict.In(j.route.SettlesIn)
	}
	return verdict.Soonest(unwatched(j.unrouted), settles,
		exposure.ReachAgain(reachable, j.memory.SaidFor(v1alpha1.ConditionReachable, reachable, j.s.Now)))
}

// unwatched says when to look again for a change that no watch tells of: a foreign object with a child's name, which the filtered
// caches do not hold, goes away; the Gateway API is installed; a Secret with a certificate is made.
func unwatched(problem *verdict.Problem) verdict.Again {
	if problem.Is(v1alpha1.ReasonNameTaken) || problem.Is(v1alpha1.ReasonGatewayAPINotFound) || problem.Is(v1alpha1.ReasonTLSSecretNotFound) {
		return verdict.In(verdict.Unwatched)
	}
	return verdict.Never
}

// Unjudged is the report where something could not be read.
func Unjudged(s *snapshot.Snapshot) Report {
	after := *s.Endpoint.Status.DeepCopy()
	after.Unreadable, after.Published = nil, status.Published(s.Endpoint)
	status.Write(s.Endpoint, &after, nil, s.Now)
	return Report{Status: after}
}

// Refused is a status that says of another one that the API server does not take it, beside what was stored before. It gives a slot
// away: nobody may wait for an end that cannot be told.
func Refused(endpoint *v1alpha1.WeChatEndpoint, refusal error, now time.Time) v1alpha1.WeChatEndpointStatus {
	after, memory := *endpoint.Status.DeepCopy(), status.Remember(endpoint)
	var slot verdict.Verdict
	if memory.Slot.Rolling() || endpoint.Spec.Paused {
		outcome := rollout.Leave(endpoint.Spec.Paused, memory.Slot, memory.Said(v1alpha1.ConditionSidecarCurrent), rollout.Choice{})
		after.Rollout, slot = outcome.Slot, outcome.Verdict
	}
	status.Refused(endpoint, &after, slot, refusal, now)
	return after
}
