// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/acceptance"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/backends"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/installation"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/pods"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/probe"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/rollout"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/shards"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/snapshot"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/status"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// GatewayPlan is what to write for a gateway, and what stands against writing more.
type GatewayPlan struct {
	// Accepted is what is wrong with what the spec asks for.
	Accepted *verdict.Problem
	// Lag says why the pods are not given what the spec and the endpoints ask for.
	Lag *verdict.Problem
	// Left are the endpoints that have no room.
	Left []string
	// Served are those that the pods are given.
	Served int
	// Hold says that the gateway must not go yet: endpoints use it. It is nil where nothing is to be changed.
	Hold *bool
	// Choice is what may be done about the pods' template.
	Choice rollout.Choice
	// SlotShown says that the snapshot shows the slot, or that none is needed.
	SlotShown bool
	// Fleet is the snapshot of the pods. Each answers for all of its entries together: with the generation of the batch, or with none.
	Fleet *snapshot.Fleet
	// Batch is all that there should be; its generation names all documents together. Nil where nothing may be written.
	Batch *Batch
	// Err is a fault of the operator's own.
	Err error
}

// DecideGateway says what to write for the gateway. What its spec cannot say leaves the pods as they are; documents reach them all the same.
func DecideGateway(options *installation.Options, s *snapshot.Gateway) GatewayPlan {
	p := GatewayPlan{Fleet: new(s.Fleet)}
	p.hold(s)
	in := render.GatewayInput{Installed: options.Installed(s.Gateway.Spec.Sidecar), Gateway: s.Gateway}
	if options.NetworkPolicy.Egress {
		in.Backends = namespacesOf(s)
	}
	p.place(s, &in)
	if len(s.Gateway.Spec.Unreadable) > 0 {
		p.Accepted = verdict.Problemf(v1alpha1.ReasonSpecUnreadable, "%s; the pods stay as they are: correct it with kubectl -n %s edit wxg %s",
			strings.Join(acceptance.FirstFew(s.Gateway.Spec.Unreadable), "; "), s.Namespace, s.Owner)
	}
	if p.Accepted == nil {
		p.choose(s, in)
	}
	if p.Err != nil {
		return p
	}
	in.Image = p.Choice.Image
	p.render(s, in)
	if s.Gateway.Spec.Paused {
		p.pause()
	}
	return p
}

// pause leaves everything as it is, and says what is not as it is asked for now.
func (p *GatewayPlan) pause() {
	if behind := p.Batch.differing(); len(behind) > 0 {
		p.Lag = verdict.Problemf(v1alpha1.ReasonPaused,
			"spec.paused is true, and what was changed since is not served (%s): set it to false when the operator may work on", strings.Join(behind, ", "))
	}
	p.Batch = &Batch{Generation: p.Batch.Generation}
}

// hold keeps a gateway from going while endpoints use it: with it would go the pods that serve them.
func (p *GatewayPlan) hold(s *snapshot.Gateway) {
	held := slices.Contains(s.Gateway.Finalizers, v1alpha1.FinalizerInUse)
	used := len(s.Endpoints) > 0
	if held != used && (held || s.Gateway.DeletionTimestamp.IsZero()) {
		p.Hold = new(used)
	}
}

// namespacesOf are the namespaces of the apps that the pods call, and the gateway's own.
func namespacesOf(s *snapshot.Gateway) []string {
	namespaces := []string{s.Namespace}
	for _, endpoint := range s.Endpoints {
		for _, service := range backends.Services(endpoint) {
			namespaces = append(namespaces, service.Namespace)
		}
		if c, err := config.ParseConfig(s.Entries[endpoint.Name].Text); err == nil {
			for _, service := range backends.Called(&c) {
				namespaces = append(namespaces, service.Namespace)
			}
		}
	}
	slices.Sort(namespaces)
	return slices.Compact(namespaces)
}

// place puts the documents into shards, and names them all by one generation.
func (p *GatewayPlan) place(s *snapshot.Gateway, in *render.GatewayInput) {
	sizes := map[string]int{}
	for name, document := range s.Entries {
		sizes[name] = len(document.Text)
	}
	if !s.Gateway.DeletionTimestamp.IsZero() {
		p.refuseNew(s, sizes)
	}
	placed, left := shards.Place(shards.World{Live: s.Shards, Taken: takenShards(s), Sizes: sizes, Costs: costsOf(s), Room: config.RoomForEntries(in.Memory())})
	p.Left = slices.Sorted(slices.Values(append(left, s.Large...)))
	wanted, digest := map[string]string{}, sha256.New()
	for number, names := range placed {
		if len(names) == 0 && number > 0 && !hasShard(s, number) {
			continue // the first one tells the pods that there is nothing
		}
		in.Shards[number] = render.Shard{}
		for _, name := range names {
			document := s.Entries[name]
			in.Shards[number][name] = document.Text
			wanted[name] = document.Generation
			fmt.Fprintf(digest, "%s %s\n", name, document.Generation)
		}
	}
	p.Served = len(wanted)
	generation := fmt.Sprintf("%s-%d", hex.EncodeToString(digest.Sum(nil)[:5]), len(wanted))
	p.Batch = &Batch{Generation: generation}
	p.Fleet.Pods = slices.Clone(s.Pods)
	for i := range p.Fleet.Pods {
		pod := &p.Fleet.Pods[i]
		// What a pod refused before its kubelet was woken for these documents may be another one.
		if loaded, refused := has(*pod, wanted); loaded && (!refused || pods.Woken(pod.Pod, generation)) {
			pod.Answer.Status.Generation = generation
		}
	}
}

// takenShards are those whose names somebody else's Secrets have.
func takenShards(s *snapshot.Gateway) (taken [render.Shards]bool) {
	for number := range render.Shards {
		child := childNamed(s.Children, "Secret", render.ShardName(s.Gateway.Name, number))
		taken[number] = child != nil && !child.Owned
	}
	return taken
}

// costsOf is what each entry takes of a pod's memory.
func costsOf(s *snapshot.Gateway) map[string]int {
	costs := map[string]int{}
	for _, endpoint := range s.Endpoints {
		apps := len(backends.Services(endpoint))
		costs[endpoint.Name] = config.EntryCost(len(s.Entries[endpoint.Name].Text), len(endpoint.Spec.Rules), apps)
	}
	return costs
}

// refuseNew leaves out the endpoints that a gateway which is being deleted does not serve yet. Of a new one, the status says too that its URL leads
// there.
func (p *GatewayPlan) refuseNew(s *snapshot.Gateway, sizes map[string]int) {
	for _, endpoint := range s.Endpoints {
		fleet := endpoint.Status.Fleet
		led := (fleet.LeadsTo == s.Name || fleet.Former == s.Name) && endpoint.CreationTimestamp.Before(s.Gateway.DeletionTimestamp)
		if !led && !slices.ContainsFunc(s.Shards[:], func(names []string) bool { return slices.Contains(names, endpoint.Name) }) {
			delete(sizes, endpoint.Name)
		}
	}
}

func hasShard(s *snapshot.Gateway, number int) bool {
	name := render.ShardName(s.Gateway.Name, number)
	return slices.ContainsFunc(s.Children, func(child snapshot.Child) bool { return child.Name == name })
}

// has reports whether a pod has loaded all of the documents and nothing else, and whether it refuses some, which it has loaded then: the endpoint
// tells of it.
func has(pod snapshot.Pod, wanted map[string]string) (loaded, refused bool) {
	if pod.Answer.Err != nil || len(pod.Entries) != len(wanted) {
		return false, false
	}
	for name, generation := range wanted {
		entry := pod.Entries[name] // of one that it does not know, there is no generation
		if entry.Generation != generation && entry.Problem == "" {
			return false, false
		}
		refused = refused || entry.Generation != generation
	}
	return true, refused
}

// choose decides which pods the gateway may have.
func (p *GatewayPlan) choose(s *snapshot.Gateway, in render.GatewayInput) {
	template, err := render.GatewayTemplate(in)
	if p.Err = err; err != nil {
		return
	}
	asked, err := render.AskedOf(s.Gateway.Spec.Sidecar)
	if p.Err = err; err != nil {
		return
	}
	slot := status.SlotOfGateway(s.Gateway)
	p.Choice = rollout.Choose(p.Fleet, slot, template, in.Image, asked)
	p.SlotShown = rollout.Shown(slot, p.Choice)
}

// render plans the writes.
func (p *GatewayPlan) render(s *snapshot.Gateway, in render.GatewayInput) {
	rendered, err := render.MakeGateway(in)
	if p.Err = err; err != nil {
		return
	}
	wanted, err := toUnstructured(rendered)
	if p.Err = err; err != nil {
		return
	}
	kinds := map[string]bool{}
	for _, object := range wanted {
		kind := object.GetKind()
		kinds[kind] = true
		if p.Accepted != nil && kind != "Secret" {
			continue // the documents reach the pods all the same
		}
		write, err := planWrite(p.Fleet, childNamed(s.Children, kind, object.GetName()), object, p.Choice.Keep)
		if p.Err = err; err != nil {
			return
		}
		p.Batch.Writes = append(p.Batch.Writes, write)
	}
	for _, child := range s.Children {
		if p.Accepted == nil && !kinds[child.Kind] && child.Owned && !child.Deleting {
			p.Batch.Prune = append(p.Batch.Prune, child)
		}
	}
}

func childNamed(children []snapshot.Child, kind, name string) *snapshot.Child {
	for i := range children {
		if children[i].Kind == kind && children[i].Name == name {
			return &children[i]
		}
	}
	return nil
}

// GatewayTrial says whom to play against: an endpoint of each platform.
type GatewayTrial struct {
	Subjects []probe.Subject
	Pods     []snapshot.Pod
}

// GatewayJudgement is a GatewayPlan that was carried out.
type GatewayJudgement struct {
	*GatewayPlan
	options *installation.Options
	s       *snapshot.Gateway
	done    Done
	sidecar pods.State
}

// After judges how far the gateway is as it should be.
func (p *GatewayPlan) After(options *installation.Options, s *snapshot.Gateway, done Done) *GatewayJudgement {
	lag := verdict.First(done.Rejection.pods(), done.Taken, p.Lag)
	return &GatewayJudgement{GatewayPlan: p, options: options, s: s, done: done, sidecar: pods.Judge(p.Fleet, p.Batch.Generation, lag)}
}

// Trial says whom to play against, once every pod says that it serves what it was given.
func (j *GatewayJudgement) Trial() GatewayTrial {
	if j.sidecar.Problem != nil || j.done.Err != nil {
		return GatewayTrial{}
	}
	trial := GatewayTrial{Pods: j.Fleet.ReadyPods()}
	played := map[v1alpha1.Platform]bool{}
	for _, endpoint := range j.s.Endpoints {
		document := j.s.Entries[endpoint.Name]
		if played[endpoint.Spec.Platform] || !servedByAll(trial.Pods, endpoint.Name, document.Generation) {
			continue
		}
		if subject, ok := subjectOf(endpoint.Name, document); ok {
			played[endpoint.Spec.Platform] = true
			trial.Subjects = append(trial.Subjects, subject)
		}
	}
	return trial
}

// subjectOf is how WeChat would call the endpoint by what its pods were given.
func subjectOf(entry string, document snapshot.Document) (probe.Subject, bool) {
	c, err := config.ParseConfig(document.Text)
	if err != nil {
		return probe.Subject{}, false
	}
	credentials, err := config.ReadCredentials(document.Text)
	if err != nil || len(credentials.Pairs) == 0 {
		return probe.Subject{}, false
	}
	return probe.Subject{
		Entry: entry, Platform: c.Platform, MessageMode: c.MessageMode, AppID: c.AppID, ReceiverIDs: c.ReceiverIDs,
		Host: c.Host, Path: c.Path, Query: c.Query, Pair: credentials.Pairs[0],
	}, true
}

func servedByAll(pods []snapshot.Pod, name, generation string) bool {
	return generation != "" && !slices.ContainsFunc(pods, func(pod snapshot.Pod) bool { return pod.Entries[name].Generation != generation })
}

// GatewayReport is the status to store, and when to look again.
type GatewayReport struct {
	Status v1alpha1.WeChatGatewayStatus
	Again  verdict.Again
}

// Judge says all that is to be said of the gateway. Results are those of each subject, of each pod.
func (j *GatewayJudgement) Judge(results [][]error) GatewayReport {
	g, said := j.s.Gateway, status.Said{}
	report := GatewayReport{Status: *g.Status.DeepCopy()}
	after := &report.Status
	after.Unreadable = nil
	after.Endpoints, after.Pods = new(int32(j.Served)), new(int32(len(j.Fleet.ReadyPods())))
	after.Left = j.Left[:min(len(j.Left), maxLeft)]
	said[v1alpha1.ConditionAccepted] = j.refused().Or(j.accepted())
	if j.done.Err == nil {
		report.Again = unwatched(j.done.Taken)
		said[v1alpha1.ConditionSidecarAvailable] = j.sidecar.Problem.Or(verdict.True(v1alpha1.ReasonSidecarAvailable, "every wanted pod serves what it was given"))
		said[v1alpha1.ConditionVerified] = j.verified(results)
		j.judgeSlot(&report, said)
		if j.sidecar.AskAgain {
			report.Again = verdict.Soonest(report.Again, verdict.Growing(j.before().SaidFor(v1alpha1.ConditionSidecarAvailable, said[v1alpha1.ConditionSidecarAvailable], j.s.Now), verdict.Rarely))
		}
		if j.done.Rejection != nil || !said[v1alpha1.ConditionVerified].IsTrue() {
			report.Again = verdict.Soonest(report.Again, verdict.In(verdict.Seldom))
		}
	}
	status.WriteGateway(g, after, said, j.s.Now)
	return report
}

// maxLeft is how many endpoints without room a status names.
const maxLeft = 256

func (j *GatewayJudgement) before() status.Conditions { return j.s.Gateway.Status.Conditions }

// refused is what is wrong with the gateway itself.
func (j *GatewayJudgement) refused() *verdict.Problem {
	if j.s.Gateway.DeletionTimestamp.IsZero() {
		return verdict.First(j.Accepted, j.done.Taken)
	}
	var names []string
	for _, endpoint := range j.s.Endpoints {
		names = append(names, endpoint.Name)
	}
	return verdict.Problemf(v1alpha1.ReasonGatewayDeleted,
		"this gateway is being deleted, and serves on until no endpoint uses it any more: change gateway of %s, or delete them", strings.Join(names, ", "))
}

func (j *GatewayJudgement) accepted() verdict.Verdict {
	switch {
	case j.s.Gateway.Spec.Paused:
		return verdict.True(v1alpha1.ReasonPaused, "spec.paused is true, so nothing is changed: set it to false when the operator may work on")
	case len(j.Left) > 0:
		return verdict.True(v1alpha1.ReasonGatewayFull,
			"the spec is coherent, but there is no room for %s: give them pods of their own, or another gateway. An endpoint may have %d KiB here; shorter domainFiles and caBundles take less",
			strings.Join(j.Left, ", "), shards.MaxEntry>>10)
	}
	return verdict.True(v1alpha1.ReasonAccepted, "the spec is coherent")
}

func (j *GatewayJudgement) verified(results [][]error) verdict.Verdict {
	if j.sidecar.Problem != nil {
		return verdict.Unknown(v1alpha1.ReasonWaiting, "the pods do not serve this yet: first see to SidecarAvailable")
	}
	for _, of := range results {
		if problem := pods.Verified(j.Fleet.ReadyPods(), of); problem != nil {
			return problem.Or(verdict.Verdict{})
		}
	}
	if len(results) == 0 {
		return verdict.True(v1alpha1.ReasonVerified, "there is no endpoint yet to play WeChat against")
	}
	return verdict.True(v1alpha1.ReasonVerified, "the operator played WeChat against every pod, for an endpoint of each platform, and was answered as WeChat needs it")
}

// judgeSlot says what becomes of the gateway's slot in a rollout.
func (j *GatewayJudgement) judgeSlot(report *GatewayReport, said status.Said) {
	slot, before := status.SlotOfGateway(j.s.Gateway), j.before()
	var outcome rollout.Outcome
	if !j.done.Whole {
		outcome = rollout.Leave(j.s.Gateway.Spec.Paused, slot, before.Said(v1alpha1.ConditionSidecarCurrent), j.Choice)
	} else {
		outcome = rollout.Judge(rollout.Facts{
			Options: j.options, Fleet: j.Fleet, Slot: slot, Choice: j.Choice, Answer: j.done.Answer, Generation: j.Batch.Generation,
			FailingBefore: firstFailing(before.Said) != "",
			Failing:       firstFailing(func(name string) verdict.Verdict { return said[name] }),
		})
	}
	report.Status.Rollout = outcome.Slot
	report.Again = verdict.Soonest(report.Again, outcome.Again)
	if outcome.Verdict != (verdict.Verdict{}) {
		said[v1alpha1.ConditionSidecarCurrent] = outcome.Verdict
	}
}

// UnjudgedGateway is the report where something could not be read.
func UnjudgedGateway(s *snapshot.Gateway) GatewayReport {
	after := *s.Gateway.Status.DeepCopy()
	after.Unreadable = nil
	status.WriteGateway(s.Gateway, &after, nil, s.Now)
	return GatewayReport{Status: after}
}
