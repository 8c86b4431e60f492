//go:build integration

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/test/deviations"
)

// letThrough are the deviations that the policies do not refuse, by kind and path, with the reason. What is below a path is meant too.
var letThrough = []letThroughField{
	{"", "metadata.managedFields", "the API server's own note of who wrote what, which gives no right"},
	{"Secret", "data.endpoint.json", "what the sidecar is told is the operator's to write, and a policy reads neither base64 nor JSON: only its beginning and its size are compared"},
	{"Secret", "data.key", "random bytes: only their number"},
	{"Deployment", "metadata.annotations.wechatendpoint.io/asked", "a digest that nobody but the operator reads"},
	{"Deployment", "metadata.annotations.wechatendpoint.io/template", "the same"},
	{"Deployment", "spec.template.spec.containers[].image", "any tag of the installation's repository: an endpoint may ask for one, and what waits for its slot in a rollout keeps its own"},
	{"Service", "spec.clusterIP", "the API server has filled it in before it asks a policy, so that nobody's choice can be told from its own"},
	{"Service", "spec.clusterIPs", "the same"},
	{"Pod", "metadata.annotations.wechatendpoint.io/generation", "the annotation by which a kubelet is woken, which says when"},
}

// letThroughOfNobody are more of them, where an object bears the name of no endpoint of its namespace, and there are others. All
// policies agree on what is beside an endpoint, so that none can find one missing. The garbage collector deletes such objects.
var letThroughOfNobody = []letThroughField{
	{"", "metadata.ownerReferences[].uid", "there is no endpoint to compare it with"},
	{"Ingress", "spec.rules[].http.paths", "as an endpoint may ask: to the sidecar's own Service"},
	{"Ingress", "spec.ingressClassName", "as an endpoint may ask, and the installation allows classes"},
	{"Ingress", "spec.tls", "as an endpoint may ask: one Secret for the host"},
	{"Ingress", "metadata.annotations", "as an endpoint may ask, and the installation allows keys"},
	{"HTTPRoute", "spec.hostnames", "as an endpoint may ask, and the installation gives hosts to the namespace"},
	{"HTTPRoute", "spec.rules[].matches", "as an endpoint may ask: to the sidecar's own Service"},
	{"HTTPRoute", "spec.parentRefs", "as an endpoint may ask: Gateways"},
	{"HorizontalPodAutoscaler", "spec.minReplicas", "as an endpoint may ask: 1 to 100"},
	{"HorizontalPodAutoscaler", "spec.maxReplicas", "as an endpoint may ask: 1 to 100"},
	{"HorizontalPodAutoscaler", "spec.metrics", "as an endpoint may ask: 1 to 100 percent of the CPU"},
	{"NetworkPolicy", "spec.egress[].to", "as an endpoint may ask: any pod of a namespace"},
	{"Deployment", "spec.replicas", "as an endpoint may ask: up to 100"},
	{"Deployment", "spec.template.spec.affinity", "as an endpoint may ask"},
	{"Deployment", "spec.template.spec.tolerations", "as an endpoint may ask"},
	{"Deployment", "spec.template.spec.nodeSelector", "as an endpoint may ask"},
	{"Deployment", "spec.template.spec.imagePullSecrets", "as an endpoint may ask: of the namespace"},
	{"Deployment", "spec.template.spec.priorityClassName", "as an endpoint may ask: none of Kubernetes' own"},
	{"Deployment", "spec.template.spec.containers[].resources", "as an endpoint may ask: CPU, memory and ephemeral storage"},
}

// letThroughOfGateways are more of them, of a gateway's objects.
var letThroughOfGateways = []letThroughField{
	{"Secret", "data", "documents of its endpoints and their list: only the names and the sizes are compared"},
	{"Secret", "metadata.ownerReferences[].uid", "no policy compares a shard with its gateway: the garbage collector deletes it, and who writes it may empty it too"},
	{"NetworkPolicy", "spec.egress[].to", "namespaces of the apps of its endpoints, all of which no policy knows: any pod of a namespace"},
	{"Deployment", "spec.replicas", "as its autoscaler may choose"},
}

// letThroughField is a field whose deviations are taken, of a kind, or of every kind where that is empty.
type letThroughField struct{ kind, path, reason string }

func (f letThroughField) covers(kind, path string) bool {
	rest, below := strings.CutPrefix(path, f.path)
	return (f.kind == "" || f.kind == kind) && below && (rest == "" || strings.ContainsAny(rest[:1], ".["))
}

// writtenObject is an object of the operator's, and how it is written with a deviation.
type writtenObject struct {
	kind   string
	object map[string]any
	within *regexp.Regexp // where deviations are tried; nil is everywhere
	nobody bool           // it bears the name of no endpoint
	shared bool           // it is a gateway's
	write  func(changed map[string]any) (*unstructured.Unstructured, error)
}

// TestPolicyRefusesEveryField sets every field that the API server knows of every kind that the operator writes to something else than
// it renders, one at a time, with the operator's identity: where the object is made, and where it is changed.
func TestPolicyRefusesEveryField(t *testing.T) {
	atLength(t)
	onTheNewestAlone(t)
	t.Parallel()
	installGatewayAPI(t)
	config := impersonate(cluster.config)
	config.QPS = -1
	operator, err := client.New(config, client.Options{Scheme: cluster.client.Scheme(), Mapper: cluster.client.RESTMapper()})
	if err != nil {
		t.Fatal(err)
	}
	var schemas deviations.Schemas
	eventually(t, func() string { // those of the Gateway API take a moment
		schemas, err = deviations.ReadSchemas(config, "api/v1", "apis/apps/v1", "apis/autoscaling/v2", "apis/policy/v1", "apis/networking.k8s.io/v1", "apis/gateway.networking.k8s.io/v1")
		if err != nil {
			return err.Error()
		}
		return ""
	})
	began, found := time.Now(), &policyOutcomes{used: map[letThroughField]int{}, best: map[string]int{}}
	made, changed := writtenObjects(t, operator)
	madeForGateways, changedForGateways := writtenForGateways(t, operator)
	made, changed = append(made, madeForGateways...), append(changed, changedForGateways...)
	for _, all := range [][]writtenObject{made, changed} { // what was learnt of the first helps with the second
		var jobs []func()
		for _, one := range all {
			for _, d := range schemas.Find(one.kind, one.object) {
				if one.within == nil || one.within.MatchString(d.Path) {
					jobs = append(jobs, func() { found.try(one, d) })
				}
			}
		}
		runInParallel(jobs)
	}
	pairs := found.pairs(1000)
	runInParallel(pairs)
	slices.Sort(found.wrong)
	for _, name := range slices.Compact(found.wrong) {
		t.Error(name)
	}
	for _, allowed := range slices.Concat(letThrough, letThroughOfNobody, letThroughOfGateways) {
		if found.used[allowed] == 0 {
			t.Errorf("%s %s is let through, and nothing needs it", allowed.kind, allowed.path)
		}
	}
	if found.counts[verdictRefused] < 3000 {
		t.Errorf("only %d deviations were refused: were those of all kinds tried?", found.counts[verdictRefused])
	}
	t.Logf("%v; and %d pairs of them, in %v", found, len(pairs), time.Since(began).Round(time.Second))
}

func runInParallel(jobs []func()) {
	next := make(chan func())
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for job := range next {
				job()
			}
		})
	}
	for _, job := range jobs {
		next <- job
	}
	close(next)
	workers.Wait()
}

// policyVerdict is what the API server says of a deviation.
type policyVerdict int

const (
	verdictInvalid   policyVerdict = iota // it refuses the value by itself
	verdictForbidden                      // it refuses the field by itself
	verdictDropped                        // it stores the object as it was
	verdictRefused                        // by a policy
	verdictBroken                         // by a policy whose expression fails
	verdictTaken
)

// policyOutcomes are what became of the deviations.
type policyOutcomes struct {
	mu     sync.Mutex
	counts [verdictTaken + 1]int
	wrong  []string
	used   map[letThroughField]int
	best   map[string]int // which value the API server does not refuse by itself
	single []refusedDeviation
}

// refusedDeviation is one that was refused alone.
type refusedDeviation struct {
	of    writtenObject
	name  string
	alter deviations.Alteration
}

func (o *policyOutcomes) String() string {
	through := 0
	for _, times := range o.used {
		through += times
	}
	return fmt.Sprintf("policy: %d deviations refused, %d taken; %d are let through for %d reasons, the API server drops %d and refuses %d by itself",
		o.counts[verdictRefused], o.counts[verdictTaken]-through, through, len(o.used), o.counts[verdictDropped], o.counts[verdictInvalid]+o.counts[verdictForbidden])
}

// try makes one deviation, with the first of its values that the API server itself takes.
func (o *policyOutcomes) try(one writtenObject, d deviations.Deviation) {
	name := fmt.Sprintf("%s %s %s", one.kind, d.Path, d.What)
	o.mu.Lock()
	best, known := o.best[name]
	o.mu.Unlock()
	candidates := d.Alternatives
	if known {
		candidates = candidates[min(best, len(candidates)-1):][:1]
	}
	found, which := verdictInvalid, 0
	for i, alter := range candidates {
		said := one.judge(d.Path, alter)
		if said > found || i == 0 {
			found, which = said, i
		}
		if said == verdictForbidden || said >= verdictRefused || i > 0 && said == verdictDropped {
			break
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.counts[found]++
	if known {
		which += min(best, len(d.Alternatives)-1)
	} else {
		o.best[name] = which
	}
	switch found {
	case verdictRefused:
		o.single = append(o.single, refusedDeviation{one, name, d.Alternatives[which]})
	case verdictBroken:
		o.wrong = append(o.wrong, "an expression of the policy fails: "+name)
	case verdictTaken:
		o.take(one, d.Path, name)
	default: // the API server knows better
	}
}

// pairs returns tries of two deviations at once, in one object. Each of the two was refused alone.
func (o *policyOutcomes) pairs(most int) []func() {
	of := map[string][]refusedDeviation{}
	slices.SortFunc(o.single, func(a, b refusedDeviation) int { return strings.Compare(a.name, b.name) })
	for _, one := range o.single {
		key := fmt.Sprint(one.of.object["kind"], one.of.object["metadata"])
		of[key] = append(of[key], one)
	}
	var jobs []func()
	random := rand.New(rand.NewPCG(1, 2))
	for _, key := range slices.Sorted(maps.Keys(of)) {
		for range most * len(of[key]) / len(o.single) {
			a, b := of[key][random.IntN(len(of[key]))], of[key][random.IntN(len(of[key]))]
			jobs = append(jobs, func() {
				said := a.of.judge("", func(object map[string]any) {
					defer func() { _ = recover() }() // the second one may need what the first one removed
					a.alter(object)
					b.alter(object)
				})
				if said == verdictTaken {
					o.mu.Lock()
					defer o.mu.Unlock()
					o.wrong = append(o.wrong, "taken: "+a.name+", with "+b.name)
				}
			})
		}
	}
	return jobs
}

// judge writes the object with a deviation.
func (s writtenObject) judge(path string, alter deviations.Alteration) policyVerdict {
	wanted := runtime.DeepCopyJSON(s.object)
	alter(wanted)
	stored, err := s.write(wanted)
	switch {
	case err == nil && (stored == nil || storedUnchanged(path, stored.Object, s.object)):
		return verdictDropped
	case err == nil:
		return verdictTaken
	case strings.Contains(err.Error(), "resulted in error"):
		return verdictBroken
	case strings.Contains(err.Error(), "ValidatingAdmissionPolicy 'wechatendpoint-operator"):
		return verdictRefused
	case strings.Contains(err.Error(), ": Forbidden: "):
		return verdictForbidden
	}
	return verdictInvalid
}

func (o *policyOutcomes) take(one writtenObject, path, name string) {
	allowed := letThrough
	if one.nobody {
		allowed = slices.Concat(letThrough, letThroughOfNobody)
	}
	if one.shared {
		allowed = slices.Concat(letThrough, letThroughOfGateways)
	}
	for _, field := range allowed {
		if field.covers(one.kind, path) {
			o.used[field]++
			return
		}
	}
	if one.shared {
		name += ", of a gateway"
	}
	if one.nobody {
		name += ", under the name of no endpoint"
	}
	o.wrong = append(o.wrong, "taken: "+name)
}

// storedUnchanged reports whether the API server would store the object as it was: it drops what it does not let anybody write. What it
// notes of every write does not count, unless that was tried.
func storedUnchanged(path string, stored, before map[string]any) bool {
	own := []string{"metadata.managedFields", "metadata.resourceVersion", "metadata.generation", "metadata.uid", "metadata.creationTimestamp", "spec.clusterIP", "spec.clusterIPs"}
	tried := func(field string) bool { return letThroughField{path: field}.covers("", path) }
	if tried("metadata.managedFields") || tried("spec.clusterIP") || tried("spec.clusterIPs") {
		return false
	}
	stored, before = runtime.DeepCopyJSON(stored), runtime.DeepCopyJSON(before)
	for _, object := range []map[string]any{stored, before} {
		for _, field := range own {
			unstructured.RemoveNestedField(object, strings.Split(field, ".")...)
		}
		if object["kind"] != "Pod" {
			delete(object, "status")
		}
	}
	return equality.Semantic.DeepEqual(stored, before)
}

// placementFields are what only one golden has of a Deployment.
var placementFields = regexp.MustCompile(
	`^spec\.(replicas|template\.spec\.(affinity|tolerations|nodeSelector|imagePullSecrets|priorityClassName|containers\[\]\.resources))`)

// writtenObjects are the operator's objects of every kind: as they are made, and as they are changed. The goldens have them all.
func writtenObjects(t *testing.T, operator client.Client) (made, changed []writtenObject) {
	t.Helper()
	all := []string{"ServiceAccount", "Secret", "Deployment", "PodDisruptionBudget", "Service", "NetworkPolicy", "Ingress"}
	for _, from := range goldenStates(t) {
		kinds, within := map[string][]string{"everything": all, "httproute": {"HTTPRoute"}, "autoscaled": {"HorizontalPodAutoscaler"}}[from.name], (*regexp.Regexp)(nil)
		if from.name == "placed" {
			kinds, within = []string{"Deployment"}, placementFields
			from.input.Defaults.Affinity.NodeAffinity = nil // an empty section is not compared
			from.input.Endpoint.Spec.Sidecar.SidecarPod = from.input.Defaults
		}
		if kinds == nil {
			continue
		}
		from = from.ofSuite()
		there, absent := newBareNamespace(t), newBareNamespace(t)
		for _, child := range from.children(t, from.store(t, there)) {
			if slices.Contains(kinds, child.GetKind()) {
				if err := onceSpecIsSeen(applyWith(operator, render.FieldManager, child)); err != nil {
					t.Fatal(err)
				}
				changed = append(changed, beingChanged(t, operator, child, within))
			}
		}
		for _, child := range from.children(t, from.store(t, absent)) {
			if slices.Contains(kinds, child.GetKind()) {
				made = append(made, beingMade(t, operator, child, within))
				if child.GetKind() == "Deployment" && within == nil || slices.Contains([]string{"ServiceAccount", "Secret", "Service", "PodDisruptionBudget"}, child.GetKind()) {
					continue
				}
				stranger := beingMade(t, operator, ofNobody(t, child), within)
				stranger.nobody = true
				made = append(made, stranger)
			}
		}
	}
	return made, append(changed, ofSidecarPod(t, operator))
}

func newBareNamespace(t *testing.T) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "deviations-"}}
	create(t, namespace)
	return namespace.Name
}

// ofNobody is the object of an endpoint that does not exist.
func ofNobody(t *testing.T, child *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	text, err := child.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	stranger := &unstructured.Unstructured{}
	if err := stranger.UnmarshalJSON([]byte(strings.NewReplacer(`"shop`, `"nobody`, `=shop-`, `=nobody-`).Replace(string(text)))); err != nil {
		t.Fatal(err)
	}
	return stranger
}

// beingMade is an object that is not there.
func beingMade(t *testing.T, operator client.Client, child *unstructured.Unstructured, within *regexp.Regexp) writtenObject {
	t.Helper()
	stored := &unstructured.Unstructured{}
	if err := onceSpecIsSeen(func() error {
		stored = child.DeepCopy()
		return operator.Create(t.Context(), stored, client.DryRunAll)
	}); err != nil {
		t.Fatal(err)
	}
	filled := []string{"status", "metadata.uid", "metadata.creationTimestamp", "metadata.generation", "metadata.managedFields", "metadata.resourceVersion"}
	if _, rendered, _ := unstructured.NestedString(child.Object, "spec", "clusterIP"); !rendered {
		filled = append(filled, "spec.clusterIP", "spec.clusterIPs")
	}
	for _, field := range filled {
		unstructured.RemoveNestedField(stored.Object, strings.Split(field, ".")...)
	}
	return writtenObject{kind: child.GetKind(), object: stored.Object, within: within, write: func(wanted map[string]any) (*unstructured.Unstructured, error) {
		target := &unstructured.Unstructured{Object: wanted}
		err := operator.Create(t.Context(), target, client.DryRunAll)
		return target, err
	}}
}

// beingChanged is an object that is there.
func beingChanged(t *testing.T, operator client.Client, child *unstructured.Unstructured, within *regexp.Regexp) writtenObject {
	t.Helper()
	return patchedObject(t, child, within, func(target *unstructured.Unstructured, patch client.Patch) error {
		return operator.Patch(t.Context(), target, patch, client.DryRunAll)
	})
}

// ofSidecarPod returns a sidecar's pod. The operator writes only its status.
func ofSidecarPod(t *testing.T, operator client.Client) writtenObject {
	t.Helper()
	pod := sidecarPod(metav1.ObjectMeta{Namespace: newBareNamespace(t), Name: "shop-sidecar"})
	pod.Annotations["wechatendpoint.io/generation"] = "0123456789-1 2026-01-01T00:00:00Z"
	create(t, pod)
	child := &unstructured.Unstructured{}
	child.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Pod"))
	child.SetNamespace(pod.Namespace)
	child.SetName(pod.Name)
	return patchedObject(t, child, regexp.MustCompile(`^(metadata|status)`), func(target *unstructured.Unstructured, patch client.Patch) error {
		return operator.Status().Patch(t.Context(), target, patch, client.DryRunAll)
	})
}

func patchedObject(t *testing.T, child *unstructured.Unstructured, within *regexp.Regexp, write func(*unstructured.Unstructured, client.Patch) error) writtenObject {
	t.Helper()
	live := child.DeepCopy()
	if err := cluster.client.Get(t.Context(), client.ObjectKeyFromObject(child), live); err != nil {
		t.Fatal(err)
	}
	return writtenObject{kind: child.GetKind(), object: live.Object, within: within, write: func(wanted map[string]any) (*unstructured.Unstructured, error) {
		patch, err := client.MergeFrom(live).Data(&unstructured.Unstructured{Object: wanted})
		if err != nil || string(patch) == "{}" {
			return nil, err
		}
		target := child.DeepCopy()
		return target, write(target, client.RawPatch(types.MergePatchType, patch))
	}}
}
