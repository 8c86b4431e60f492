//go:build integration

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// TestUnreadable stores endpoints by an older version of the CRD, which lets everything through.
func TestUnreadable(t *testing.T) {
	onTheNewestAlone(t)
	atLength(t)
	t.Parallel()
	w := newServer(t)
	for name, test := range map[string]func(*testing.T, *world){
		"what serves goes on":                      unreadableGoesOn,
		"credentials that cannot be read either":   unreadableCredentials,
		"a spec that is read and cannot be served": unservableGoesOn,
		"a status that cannot be read is replaced": unreadableStatus,
		"an endpoint without a spec":               missingSpec,
		"an end that no status can tell":           endThatIsNotTold,
		"a failure that no status can take back":   failureThatIsNotTakenBack,
	} {
		t.Run(name, func(t *testing.T) { test(t, w.world) })
	}
	tryReasons(t, w.world, map[string]reasonTest{
		"a spec that was stored before such were refused": {
			serving(func(t *testing.T, p *play) { p.store(t, badQuantity) }),
			v1alpha1.ConditionAccepted, no, v1alpha1.ReasonSpecUnreadable, "spec.sidecar.resources.limits.memory is no quantity such as 64Mi or 100m; what was served before is served on: correct it with kubectl -n fault-",
		},
		"an endpoint of which nothing can be told but by an event": {
			serving(func(t *testing.T, p *play) { p.store(t, `{"spec":{"backend":{"deadline":"1d"}}}`) }),
			anEvent, yes, v1alpha1.ReasonStatusRefused, "spec.backend.deadline",
		},
	})
	t.Run("a thousand beside it are served", func(t *testing.T) {
		onTheNewestAlone(t)
		thousandBeside(t, w)
	})
}

const olderVersion = "v1alpha0"

// olderDefinition is the CRD with an older version, which took everything.
func olderDefinition(t *testing.T) *apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	definition := &apiextensionsv1.CustomResourceDefinition{}
	readDefinition(t, definition)
	anything := apiextensionsv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: new(true)}
	definition.Spec.Versions = append(definition.Spec.Versions, apiextensionsv1.CustomResourceDefinitionVersion{
		Name: olderVersion, Served: true, Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &anything},
	})
	return definition
}

// store changes the stored endpoint, and asks no rule of today's.
func (s *scene) store(t *testing.T, patch string) {
	t.Helper()
	s.storeAs(t, "shop", patch)
}

func (s *scene) storeAs(t *testing.T, name, patch string) {
	t.Helper()
	stored := &unstructured.Unstructured{}
	stored.SetAPIVersion(v1alpha1.GroupVersion.Group + "/" + olderVersion)
	stored.SetKind("WeChatEndpoint")
	stored.SetNamespace(s.namespace)
	stored.SetName(name)
	if err := s.client.Patch(t.Context(), stored, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		t.Fatal(err)
	}
}

const badQuantity = `{"spec":{"sidecar":{"resources":{"limits":{"memory":"1e1.5"}}}}}`

// unreadableGoesOn: the configuration stays, tokens are changed and revoked, and who mends the spec is served with all of it. Where a CEL rule
// meets a type that it was not written for, the API server takes no status of the object: then the log, the metric and an event tell.
func unreadableGoesOn(t *testing.T, w *world) {
	for name, test := range map[string]struct {
		patch  string
		untold bool
	}{
		"a quantity":              {patch: badQuantity},
		"the backend":             {patch: `{"spec":{"backend":{"deadline":"1d"}}}`, untold: true},
		"the host":                {patch: `{"spec":{"url":{"host":5}}}`, untold: true},
		"a megabyte of placement": {patch: fmt.Sprintf(`{"spec":{"sidecar":{"nodeSelector":{"a":%q}}}}`, strings.Repeat("a", 1<<20))},
	} {
		t.Run(name, func(t *testing.T) {
			p := w.newPlay(t)
			p.serve(t, anything)
			before, _ := p.files(t)
			url := p.endpoint(t).Status.URL
			p.store(t, test.patch)
			p.goOnUnreadable(t, test.untold)
			p.changeToken(t)
			p.goOnUnreadable(t, test.untold)
			p.store(t, `{"spec":{"credentials":{"revokeBefore":2}}}`)
			p.goOnUnreadable(t, test.untold)
			after, credentials := p.files(t)
			if diff := cmp.Diff(before, after, cmpopts.IgnoreFields(config.Config{}, "Generation")); diff != "" {
				t.Errorf("the configuration of the pods changed (-before +after):\n%s", diff)
			}
			if len(credentials.Pairs) != 1 || credentials.Pairs[0].Token != "a-newer-token" || p.loaded != after.Generation {
				t.Errorf("the pods serve %s, given are %d pairs of generation %s", p.loaded, len(credentials.Pairs), after.Generation)
			}
			if status := p.endpoint(t).Status; status.URL != url {
				t.Errorf("the status tells of %q", status.URL)
			}
			p.store(t, `{"spec":{"sidecar":{"resources":null,"replicas":1,"nodeSelector":null,"tolerations":null},"rules":null,"backend":{"deadline":null},"url":{"host":"`+p.namespace+`.example.com"}}}`)
			for range 3 {
				p.round(t)
			}
			p.wantCondition(t, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
		})
	}
}

// goOnUnreadable lets the operator look at an endpoint again and again that it cannot read. Untold says that its status cannot be written.
func (p *play) goOnUnreadable(t *testing.T, untold bool) {
	t.Helper()
	for range 3 {
		if err := p.reconcile(t); untold != (err != nil) || untold && !strings.Contains(err.Error(), "storing the status") {
			t.Fatalf("the status could not be told: %v; the error is %v", untold, err)
		}
		p.work(t)
	}
	if untold {
		return
	}
	p.wantCondition(t, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonSpecUnreadable)
	p.wantCondition(t, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonSpecUnreadable)
	p.wantCondition(t, v1alpha1.ConditionSidecarAvailable, metav1.ConditionTrue, v1alpha1.ReasonSidecarAvailable)
	version := p.endpoint(t).ResourceVersion
	if p.round(t); p.endpoint(t).ResourceVersion != version {
		t.Error("the status is written again and again")
	}
}

// unreadableCredentials: which Secret and which mode is not known, so that nothing of the credentials changes. What was given ends by itself.
func unreadableCredentials(t *testing.T, w *world) {
	for name, patch := range map[string]string{
		"the name of the Secret": `{"spec":{"credentials":{"secretName":5}}}`,
		"the overlap":            `{"spec":{"credentials":{"overlap":"1d"}}}`,
		"the mode":               `{"spec":{"messageMode":5}}`,
	} {
		t.Run(name, func(t *testing.T) {
			p := w.newPlay(t)
			p.serve(t, anything)
			_, before := p.files(t)
			p.store(t, patch)
			p.changeToken(t)
			p.goOnUnreadable(t, true)
			if _, after := p.files(t); !cmp.Equal(before, after) {
				t.Errorf("the credentials changed: %d pairs", len(after.Pairs))
			}
		})
	}
}

// unservableGoesOn: the Go type holds the spec, and no sidecar would load it.
func unservableGoesOn(t *testing.T, w *world) {
	p := w.newPlay(t)
	p.serve(t, anything)
	before, _ := p.files(t)
	p.store(t, `{"spec":{"verification":{"freshness":"-1h"}}}`)
	p.changeToken(t)
	p.settleAs(t, v1alpha1.ConditionAccepted, v1alpha1.ReasonSpecUnreadable)
	after, credentials := p.files(t)
	if diff := cmp.Diff(before, after, cmpopts.IgnoreFields(config.Config{}, "Generation")); diff != "" || len(credentials.Pairs) != 2 {
		t.Errorf("%d pairs are given, and of the configuration changed:\n%s", len(credentials.Pairs), diff)
	}
	condition := apimeta.FindStatusCondition(p.endpoint(t).Status.Conditions, v1alpha1.ConditionAccepted)
	wantMessage(t, *condition, "freshness -1h0m0s must be from 30s to 25h0m0s")
}

// unreadableStatus: nothing of it is believed, and the next status is whole.
func unreadableStatus(t *testing.T, w *world) {
	p := w.newPlay(t)
	p.serve(t, anything)
	p.store(t, `{"status":{"rollout":{"since":"yesterday","template":"a"},"leftover":{"a":"b"},"credentials":{"generation":7}}}`)
	if unreadable := p.endpoint(t).Status.Unreadable; len(unreadable) != 1 {
		t.Fatalf("the status is not unreadable: %v", unreadable)
	}
	for range 3 {
		p.round(t)
	}
	endpoint := p.endpoint(t)
	if endpoint.Status.Unreadable != nil || endpoint.Status.Rollout != nil || endpoint.Status.Credentials.Generation != 1 {
		t.Errorf("the status is %+v", endpoint.Status)
	}
	p.wantCondition(t, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
}

func missingSpec(t *testing.T, w *world) {
	p := w.newPlay(t)
	p.serve(t, anything)
	p.store(t, `{"spec":null}`)
	p.settleAs(t, v1alpha1.ConditionAccepted, v1alpha1.ReasonSpecUnreadable)
	condition := apimeta.FindStatusCondition(p.endpoint(t).Status.Conditions, v1alpha1.ConditionAccepted)
	wantMessage(t, *condition, "spec is missing; what was served before is served on")
}

// thousandBeside lets an operator start beside an endpoint that it cannot read and a thousand others, all of which must get their status. Then
// one more is stored while it runs.
func thousandBeside(t *testing.T, w *server) {
	s := w.newScene(t)
	s.make(t)
	s.store(t, badQuantity)
	const thousand = 1000
	endpoints := w.pausedEndpoints(t, thousand)
	w.createAll(t, endpoints)
	log := startOperator(t, w)
	told := func(reason string) int {
		var all v1alpha1.WeChatEndpointList
		if err := w.client.List(t.Context(), &all); err != nil {
			t.Fatal(err)
		}
		count := 0
		for _, endpoint := range all.Items {
			accepted := apimeta.FindStatusCondition(endpoint.Status.Conditions, v1alpha1.ConditionAccepted)
			if accepted != nil && accepted.Reason == reason {
				count++
			}
		}
		return count
	}
	wait := func(good, bad int) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Second) {
			g, b := told(v1alpha1.ReasonPaused), told(v1alpha1.ReasonSpecUnreadable)
			if g == good && b == bad {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d endpoints have their status, and %d that cannot be read; want %d and %d", g, b, good, bad)
			}
		}
	}
	wait(thousand, 1)
	late := &scene{world: w.world, namespace: endpoints[0].GetNamespace()}
	late.storeAs(t, "good-7", badQuantity)
	wait(thousand-1, 2)
	named := namedUnreadable(t)
	for _, name := range []string{"shop", "good-7"} {
		if !slices.Contains(named, name) || !strings.Contains(log.String(), fmt.Sprintf(`"name":%q`, name)) {
			t.Errorf("the metric names %v, and the log is: %.2000s", named, log)
		}
	}
	fmt.Printf("unreadable: %d endpoints beside %d that cannot be read, all told, by the metric %v\n", thousand-1, len(named), named)
}

// startOperator lets an operator run as its program does, and returns its log.
func startOperator(t *testing.T, w *server) *safeLog {
	t.Helper()
	scheme, err := controllers.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	log := &safeLog{}
	manager, err := ctrl.NewManager(w.config, ctrl.Options{
		Scheme: scheme, Cache: controllers.CacheOptions(controllers.Options{}), Metrics: metricsserver.Options{BindAddress: "0"},
		Logger: logr.FromSlogHandler(slog.NewJSONHandler(log, nil)), Controller: ctrlconfig.Controller{SkipNameValidation: new(true)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := controllers.Setup(t.Context(), manager, controllers.Options{SidecarImage: "example.com/sidecar:1", Concurrency: 4}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- manager.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return log
}

// safeLog is a log that may be read while it is written.
type safeLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *safeLog) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *safeLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// namedUnreadable are the endpoints that the metric names.
func namedUnreadable(t *testing.T) []string {
	t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if family.GetName() == "wechatendpoint_unreadable" && label.GetName() == "name" {
					names = append(names, label.GetValue())
				}
			}
		}
	}
	return names
}

// endThatIsNotTold is the end of a rollout, for which nobody waits.
func endThatIsNotTold(t *testing.T, w *world) {
	c := newCrowd(t, w, 3, controllers.Rollout{MaxEndpoints: 1})
	c.install("example.com/sidecar:2")
	c.want(t, "RollingOut 2", "RolloutQueued 1", "RolloutQueued 1")
	c.scenes[0].store(t, `{"spec":{"backend":{"deadline":"1d"}}}`) // from now on its status is refused
	if _, err := c.scenes[0].reconcileWith(t, nil); err == nil || !strings.Contains(err.Error(), "storing the status") {
		t.Fatalf("the status is stored: %v", err)
	}
	others := crowd{c.scenes[1:]}
	others.want(t, "RolloutQueued 1", "RolloutQueued 1")
	long := time.Now().Add(-11 * time.Minute).UTC().Format(time.RFC3339) // twice the time that it may take
	c.scenes[0].store(t, fmt.Sprintf(`{"status":{"rollout":{"since":%q}}}`, long))
	others.want(t, "RollingOut 2", "RolloutQueued 1")
	work(t, others.scenes...)
	others.want(t, "SidecarCurrent 2", "RollingOut 2")
}

// failureThatIsNotTakenBack stops nobody once its endpoint is paused.
func failureThatIsNotTakenBack(t *testing.T, w *world) {
	c := newCrowd(t, w, 2, controllers.Rollout{MaxEndpoints: 1})
	c.install("example.com/sidecar:2")
	c.want(t, "RollingOut 2", "RolloutQueued 1")
	c.scenes[0].beLate(t)
	c.want(t, "RolloutFailed 2", "RolloutStopped 1")
	c.scenes[0].store(t, `{"spec":{"backend":{"deadline":"1d"}}}`)
	others := crowd{c.scenes[1:]}
	others.want(t, "RolloutStopped 1")
	c.scenes[0].store(t, `{"spec":{"paused":true}}`)
	others.want(t, "RollingOut 2")
}
