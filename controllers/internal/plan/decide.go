// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package plan puts the decisions together: Decide says what to write, Judge what to say of it. It is pure.
package plan

import (
	"errors"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/acceptance"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/backends"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/claims"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/credentials"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/exposure"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/installation"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/moves"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/pods"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/rollout"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/snapshot"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/status"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// Plan is what to write for an endpoint, and what stands against writing more.
type Plan struct {
	// Accepted, Backend and Credentials are what is wrong with what the spec asks for, and refers to.
	Accepted, Backend, Credentials *verdict.Problem
	// Held says why the route that the spec asks for would lead nowhere, where another one is published: that one stays.
	Held *verdict.Problem
	// Lag says why the pods are not given what the spec asks for.
	Lag *verdict.Problem
	// Pairs are the credentials that are accepted, newest first.
	Pairs []config.Pair
	// Move is where the URL leads, while the endpoint moves between its own pods and a gateway's.
	Move moves.Move
	// Gateway is the name of one that is to be made, since endpoints share it by default; empty is none.
	Gateway string
	// Choice is what may be done about the template of the endpoint's own pods.
	Choice rollout.Choice
	// SlotShown says that the snapshot shows the slot, or that none is needed: the process need not remember it.
	SlotShown bool

	// Whole is all that the spec asks for; nil where it cannot be served.
	Whole *Batch
	// GoesOn is what goes on where it cannot, or is refused: the live configuration, with the credentials that are accepted now, and
	// the objects that the pods need. What leaked must be revoked whatever else is wrong. Nil where nothing serves.
	GoesOn *Batch
	// Err is a fault of the operator's own.
	Err error
}

// Batch are writes that belong together, in their order.
type Batch struct {
	// Generation is the one that pods should serve once the batch is written.
	Generation string
	Writes     []Write
	// Prune are the endpoint's objects that it does not ask for any more, and Retire the routes that another has replaced.
	Prune, Retire []snapshot.Child
	// Restores says that the endpoint was as it should be: whatever is written now, somebody has changed.
	Restores bool
}

// Write is one object, as it should be.
type Write struct {
	Object *unstructured.Unstructured
	// Live is the object as it was read; nil where the cache knows none.
	Live *snapshot.Child
	// Same says that nothing differs.
	Same bool
	// KeepTemplate leaves a Deployment's pods as they were applied last.
	KeepTemplate bool
	// Handover, if not nil, is applied before by another manager: the number of pods is an autoscaler's from now on.
	Handover *unstructured.Unstructured
	// Taken says that somebody else's object has the name.
	Taken *verdict.Problem
	// Entry says that pods are given the batch's generation once this is written.
	Entry bool
	// Route is the kind of route that the object publishes the URL by, or "".
	Route v1alpha1.Exposure
}

// Decide says what to write for the endpoint. What cannot be served leaves what is served as it is: an endpoint goes on while its
// Secret, its app or its spec is broken, and its credentials go on being rotated and revoked.
func Decide(options *installation.Options, s *snapshot.Snapshot, memory status.Memory) Plan {
	var p Plan
	in := newInput(options, s)
	if asked := s.Endpoint.Spec.Gateway; asked != nil && s.WeChatGateway == nil && options.Makes(asked.Name) && !s.Endpoint.Spec.Paused {
		p.Gateway = asked.Name
	}
	p.move(s, memory, &in)
	live := backends.Guarded(options, s.Live.Config, s.Services)
	p.judgeSpec(options, s, &in)
	p.choose(s, memory, in)
	if p.Accepted != nil || p.Backend != nil || p.Lag != nil {
		in.Served = live
	}
	p.Pairs, p.Credentials = credentials.Accepted(s.Endpoint, s.Secret, s.Live.Pairs, in.Served, memory.Credentials, s.Now)
	in.Pairs = p.Pairs
	copied := s.Child("Secret", render.CopyName(s.Endpoint))
	in.Copied = len(p.Pairs) > 1 || p.Credentials != nil || copied != nil && copied.Owned
	switch {
	case len(p.Pairs) == 0:
		return p
	case s.Endpoint.Spec.Paused:
		p.decidePaused(options, s, memory, in)
		return p
	case p.Accepted == nil && p.Backend == nil:
		p.decideWhole(options, s, memory, in)
		if p.Whole != nil && !in.Serving {
			return p // the whole contains the configuration, and before it nothing serves
		}
		in.Served = live
	}
	if in.Served != nil {
		in.Copied = in.Copied || p.Whole == nil
		p.GoesOn = p.goesOn(s, in)
	}
	return p
}

// newInput is what the children depend on before anything is judged.
func newInput(options *installation.Options, s *snapshot.Snapshot) render.Input {
	return render.Input{
		Endpoint: s.Endpoint, Installed: options.Installed(s.Endpoint.Spec.Sidecar),
		Serving: s.Serves() && s.Live.Generation != "", GatewayKey: s.GatewayKey,
	}
}

// move decides where the URL leads.
func (p *Plan) move(s *snapshot.Snapshot, memory status.Memory, in *render.Input) {
	own := s.Owns("Deployment") || s.Owns("ServiceAccount") || len(memory.Published) > 0
	proven := pods.JudgeOf(s, s.Live.Generation, p.Gateway != "", nil).Problem == nil
	p.Move = moves.Decide(s.Endpoint, memory.Fleet, own, proven, exposure.Settles(s), s.Now)
	in.LeadsTo, in.KeepsOwn = p.Move.LeadsTo, p.Move.KeepsOwn
}

// judgeSpec says what stands against what the spec asks for.
func (p *Plan) judgeSpec(options *installation.Options, s *snapshot.Snapshot, in *render.Input) {
	if unreadable := acceptance.CheckReadable(s.Endpoint); unreadable != nil {
		p.Accepted, p.Backend = unreadable, verdict.Waiting("the spec cannot be read: first see to Accepted")
		in.RuleURLs = make([]string, len(s.Endpoint.Spec.Rules))
		return
	}
	p.Accepted = acceptance.Check(options, s.Endpoint, s.Now)
	if p.Accepted == nil {
		p.Accepted = claims.Check(options.Hosts, s.Endpoint, s.Rivals)
	}
	var urls backends.URLs
	urls, p.Backend = backends.Resolve(options, s)
	in.BackendURL, in.RuleURLs = urls.Backend, urls.Rules
	p.Lag = pods.Understand(s.Fleet(), s.Live.Version, render.Version(*in))
}

// choose decides which pods the endpoint may have.
func (p *Plan) choose(s *snapshot.Snapshot, memory status.Memory, in render.Input) {
	if !s.Endpoint.Spec.Readable() {
		return
	}
	if s.Endpoint.Spec.Gateway != nil { // what is left of its own pods stays as it is
		p.Choice = rollout.Choice{Image: in.Image, Keep: true, Current: true}
		return
	}
	template, templateErr := render.Template(in)
	asked, askedErr := render.AskedOf(s.Endpoint.Spec.Sidecar)
	if errors.Join(templateErr, askedErr) == nil { // decideWhole renders both again, and tells
		p.Choice = rollout.Choose(s.Fleet(), memory.Slot, template, in.Image, asked)
	}
}

// decidePaused plans nothing, and says which objects are not as the endpoint asks for now.
func (p *Plan) decidePaused(options *installation.Options, s *snapshot.Snapshot, memory status.Memory, in render.Input) {
	if s.Live.Generation == "" {
		return // then another condition says why
	}
	in.Copied = false // whether it is there changes nothing for what serves
	var behind []string
	switch broken := p.Accepted != nil || p.Backend != nil; {
	case broken && in.Served == nil:
		return
	case broken:
		behind = p.goesOn(s, in).differing()
	default:
		asked := Plan{Choice: p.Choice, Move: p.Move}
		asked.decideWhole(options, s, memory, in)
		p.Accepted = asked.Accepted
		if asked.Held != nil {
			behind = append(behind, string(s.Endpoint.Spec.URL.Exposure))
		}
		behind = append(behind, asked.Whole.differing()...)
	}
	if len(behind) > 0 {
		p.Lag = verdict.Problemf(v1alpha1.ReasonPaused,
			"spec.paused is true, and what was changed since is not served (%s): set it to false when the operator may work on", strings.Join(behind, ", "))
	}
}

// differing are the kinds of the objects that are not as they should be.
func (b *Batch) differing() []string {
	if b == nil {
		return nil
	}
	var kinds []string
	for _, w := range b.Writes {
		if kind := w.Object.GetKind(); !w.Same && !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	for _, child := range b.Prune {
		kinds = append(kinds, child.Kind)
	}
	return kinds
}

// decideWhole plans all that the spec asks for.
func (p *Plan) decideWhole(options *installation.Options, s *snapshot.Snapshot, memory status.Memory, in render.Input) {
	p.SlotShown = rollout.Shown(memory.Slot, p.Choice)
	in.Image = p.Choice.Image
	objects, err := render.Make(in)
	if unservable := (*render.UnservableError)(nil); errors.As(err, &unservable) {
		p.Accepted = verdict.Problemf(unservable.Reason, "what the spec asks for cannot be served: %v; what was served before is served on: correct it", unservable)
		return
	}
	if p.Err = err; err != nil {
		return
	}
	wanted, err := toUnstructured(objects.Children)
	if p.Err = err; err != nil {
		return
	}
	whole := &Batch{Generation: objects.Generation, Restores: memory.Settled && s.Live.Generation == objects.Generation && p.Move.Rests()}
	if p.Err = whole.add(s, wanted, p.Choice.Keep); p.Err != nil {
		return
	}
	if p.Held = whole.unprogrammable(options, s); p.Held != nil {
		return
	}
	if p.Lag != nil {
		whole.leaveWays(s, in.Served)
	}
	whole.prune(s, wanted)
	if p.Move.KeepsOwn {
		whole.leaveOwn()
	}
	if route, problem := exposure.Judge(options, s, true); problem == nil && route.SettlesIn <= 0 {
		whole.Retire = exposure.Left(s, route)
	}
	p.Whole = whole
}

// unprogrammable says why the route that the batch writes would lead nowhere, where it replaces one that is published. One whose configuration is
// not known any more cannot be served on.
func (b *Batch) unprogrammable(options *installation.Options, s *snapshot.Snapshot) *verdict.Problem {
	same := slices.ContainsFunc(b.Writes, func(w Write) bool { return w.Route != "" && w.Same })
	if s.Live.Config == nil || !s.Publishes() || same {
		return nil
	}
	return exposure.Unprogrammable(options, s).And("; what was published before is served on")
}

// leaveWays leaves out of the batch what leads to the pods and from them, where the live configuration goes on: the route, and a NetworkPolicy
// that would keep the pods from a backend which they call.
func (b *Batch) leaveWays(s *snapshot.Snapshot, live *config.Config) {
	var asked []string
	for _, service := range backends.Services(s.Endpoint) {
		asked = append(asked, service.Namespace)
	}
	cuts := slices.ContainsFunc(backends.Called(live), func(service types.NamespacedName) bool { return !slices.Contains(asked, service.Namespace) })
	b.Writes = slices.DeleteFunc(b.Writes, func(w Write) bool { return w.Route != "" || cuts && w.Object.GetKind() == "NetworkPolicy" })
}

// leaveOwn leaves the endpoint's own pods as they are, which serve until a gateway's do: nothing says any more how they were sized. What somebody
// deletes of them meanwhile is made again.
func (b *Batch) leaveOwn() {
	for i := range b.Writes {
		w := &b.Writes[i]
		w.Same = w.Same || w.Live != nil && w.Live.Owned && slices.Contains(ownPods, w.Object.GetKind())
	}
	b.Prune = slices.DeleteFunc(b.Prune, func(child snapshot.Child) bool { return !child.Route })
}

// ownPods are the kinds of objects that belong to pods.
var ownPods = []string{"ServiceAccount", "NetworkPolicy", "Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget"}

// goesOn plans the live configuration with the credentials that are accepted now. Where the spec can be read and the whole is not tried, after
// it come the objects that the pods need, but for their template, which stays. So does the route. Credentials that do not fit what is served
// wait for the spec that they are for.
func (p *Plan) goesOn(s *snapshot.Snapshot, in render.Input) *Batch {
	generation, files, err := render.MakeFiles(in)
	if err != nil {
		return nil
	}
	batch := &Batch{Generation: generation}
	slices.Reverse(files) // a quota may refuse the copy
	if !batch.render(s, files) {
		return nil
	}
	if p.Whole == nil && s.Endpoint.Spec.Readable() {
		if around, err := render.Around(in); err == nil && batch.render(s, around) {
			batch.leaveWays(s, in.Served)
		}
		if in.KeepsOwn {
			batch.leaveOwn()
		}
	}
	return batch
}

// render adds the writes of rendered objects, and reports whether it could.
func (b *Batch) render(s *snapshot.Snapshot, rendered []runtime.ApplyConfiguration) bool {
	wanted, err := toUnstructured(rendered)
	return err == nil && b.add(s, wanted, true) == nil
}

func toUnstructured(rendered []runtime.ApplyConfiguration) ([]*unstructured.Unstructured, error) {
	objects := make([]*unstructured.Unstructured, len(rendered))
	for i, object := range rendered {
		var err error
		if objects[i], err = render.ToUnstructured(object); err != nil {
			return nil, err
		}
	}
	return objects, nil
}

// add plans the writes of rendered objects.
func (b *Batch) add(s *snapshot.Snapshot, rendered []*unstructured.Unstructured, keepTemplate bool) error {
	for _, wanted := range rendered {
		if wanted.GetKind() == string(v1alpha1.ExposureHTTPRoute) && !s.GatewayAPI {
			continue // RouteProgrammed tells
		}
		write, err := planWrite(s.Fleet(), s.Child(wanted.GetKind(), wanted.GetName()), wanted, keepTemplate)
		if err != nil {
			return err
		}
		b.Writes = append(b.Writes, write)
	}
	return nil
}

func planWrite(owner *snapshot.Fleet, live *snapshot.Child, wanted *unstructured.Unstructured, keepTemplate bool) (Write, error) {
	kind := wanted.GetKind()
	write := Write{
		Object: wanted, Live: live,
		KeepTemplate: keepTemplate && kind == "Deployment",
		Entry:        kind == "Secret" && wanted.GetName() == owner.Name, // the later one of the files
		Route:        routeOf(kind),
	}
	var err error
	switch {
	case live == nil:
	case !live.Owned:
		write.Taken = Taken(owner.Fleet, kind, wanted.GetName())
	default:
		write.Same = live.Applied == render.Digest(wanted)
		if write.KeepTemplate {
			write.Same = live.Around == render.Digest(render.AroundTemplate(wanted))
		}
		if kind == "Deployment" {
			write.Handover, err = handover(owner, live)
		}
	}
	return write, err
}

// handover hands the number of pods over to a HorizontalPodAutoscaler, where the owner has one. A field whose only owner stops
// applying it falls back to its default, which is one pod. So before the operator's next apply, which does not hold the number,
// another manager applies it as it is: https://kubernetes.io/docs/reference/using-api/server-side-apply/ (transferring ownership).
// The autoscaler leaves a Deployment alone that was scaled to nothing: this is mended too.
func handover(owner *snapshot.Fleet, live *snapshot.Child) (*unstructured.Unstructured, error) {
	scaling := owner.Sidecar.Autoscaling
	if scaling == nil || !live.OwnsReplicas && pods.Size(owner.Deployment) > 0 {
		return nil, nil
	}
	handover, err := render.ToUnstructured(render.MakeReplicas(owner.Fleet, max(pods.Size(owner.Deployment), render.MinReplicas(scaling))))
	if err != nil {
		return nil, err
	}
	handover.SetResourceVersion(live.ResourceVersion) // what was scaled meanwhile must not be set back
	return handover, nil
}

func routeOf(kind string) v1alpha1.Exposure {
	switch exposure := v1alpha1.Exposure(kind); exposure {
	case v1alpha1.ExposureIngress, v1alpha1.ExposureHTTPRoute:
		return exposure
	default:
		return ""
	}
}

// Taken says that an object which does not belong to the owner has the name of one of its children.
func Taken(owner render.Fleet, kind, name string) *verdict.Problem {
	return verdict.Problemf(v1alpha1.ReasonNameTaken,
		"%s %s exists and does not belong to this %s, so it is left alone: delete or rename it, or choose another name for the %s", kind, name, owner.Noun(), owner.Noun())
}

// prune plans the deletion of the endpoint's objects that are not rendered, but for Secrets. A route that another replaces is left until that
// one has settled.
func (b *Batch) prune(s *snapshot.Snapshot, rendered []*unstructured.Unstructured) {
	kinds, names := map[string]bool{}, map[[2]string]bool{}
	for _, wanted := range rendered {
		kinds[wanted.GetKind()] = true
		names[[2]string{wanted.GetKind(), wanted.GetName()}] = true
	}
	replaced := kinds[string(v1alpha1.ExposureIngress)] || kinds[string(v1alpha1.ExposureHTTPRoute)]
	b.Prune = slices.DeleteFunc(slices.Clone(s.Children), func(child snapshot.Child) bool {
		return names[[2]string{child.Kind, child.Name}] || child.Kind == "Secret" || !child.Owned || child.Deleting || replaced && child.Route
	})
}
