// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// step is what a cluster costs that has grown to so many endpoints.
type step struct {
	endpoints    int
	took         time.Duration   // until all new ones were Ready
	firstStatus  float64         // requests of a new endpoint until its first status, and with it
	untilReady   float64         // and until it was Ready
	rss          float64         // of the operator, MiB
	cpuEach      float64         // of the operator, ms for each new endpoint
	resyncWrites int             // of an operator that starts beside all of them
	rotations    []time.Duration // one after the other, sorted
}

func selectorOf(match client.MatchingLabels) labels.Selector {
	return labels.SelectorFromSet(labels.Set(match))
}

// grown is the set that grows.
var grown = dedicated("grow")

// grow adds endpoints step by step.
func (b *bench) grow(ctx context.Context) ([]step, error) {
	if err := b.startOperator(ctx); err != nil {
		return nil, err
	}
	var steps []step
	from := 0
	for _, to := range b.settings.steps {
		s, err := b.growTo(ctx, from, to)
		if err != nil {
			return nil, err
		}
		say("%d endpoints: %d new ones Ready after %.1f s, %.2f requests each", to, to-from, s.took.Seconds(), s.untilReady)
		if err := b.disturb(ctx, &s); err != nil {
			return nil, err
		}
		say("%d endpoints: %d writes of a resync, a rotation takes %.3f s, at most %.3f s", to, s.resyncWrites,
			percentile(s.rotations, 50).Seconds(), percentile(s.rotations, 99).Seconds())
		steps, from = append(steps, s), to
	}
	return steps, nil
}

// growTo adds endpoints and measures until all are Ready.
func (b *bench) growTo(ctx context.Context, from, to int) (step, error) {
	if err := b.makeGround(ctx, grown, from, to); err != nil {
		return step{}, err
	}
	before, err := b.operator.cpu()
	if err != nil {
		return step{}, err
	}
	began := time.Now()
	if err := b.makeEndpoints(ctx, grown, from, to); err != nil {
		return step{}, err
	}
	if err := b.awaitReady(ctx, to); err != nil {
		return step{}, err
	}
	s := step{endpoints: to, took: time.Since(began)}
	after, err := b.operator.cpu()
	if err != nil {
		return step{}, err
	}
	if s.rss, err = b.operator.rss(); err != nil {
		return step{}, err
	}
	s.cpuEach = float64((after - before).Milliseconds()) / float64(to-from)
	err = b.countRequests(&s, began, to-from)
	return s, err
}

// disturb measures what comes later in the life of so many endpoints: a new operator, and changes of users' Secrets. In this
// order, because a rotation stays open until WeChat uses the new values, and the operator looks at it now and then.
func (b *bench) disturb(ctx context.Context, s *step) (err error) {
	if s.resyncWrites, err = b.resync(ctx); err != nil {
		return err
	}
	token := fmt.Sprintf("BenchStep%d", s.endpoints) // another one than before, or nothing would change
	if s.rotations, err = b.rotateSome(ctx, rotating{set: grown, endpoints: s.endpoints, changes: stepRotations, concurrency: 1, token: token}); err != nil {
		return err
	}
	return b.awaitQuiet(ctx) // what the operator still writes for them is no part of the next step
}

// countRequests divides the operator's requests among the endpoints.
func (b *bench) countRequests(s *step, began time.Time, endpoints int) error {
	requests, err := b.requests(began)
	if err != nil {
		return err
	}
	first := map[string]time.Time{}
	for _, r := range requests {
		if key := r.ObjectRef.Namespace + "/" + r.ObjectRef.Name; r.setsStatus() && first[key].IsZero() {
			first[key] = r.At
		}
	}
	early := 0
	for _, r := range requests {
		if at, found := first[ownerOf(r)]; found && !r.At.After(at) {
			early++
		}
	}
	s.firstStatus, s.untilReady = float64(early)/float64(endpoints), float64(len(requests))/float64(endpoints)
	return nil
}

// ownerOf is the endpoint that a request was made for, by the name of its object.
func ownerOf(r request) string {
	name := r.ObjectRef.Name
	if len(name) > len("shop-0000") {
		name = name[:len("shop-0000")]
	}
	return r.ObjectRef.Namespace + "/" + name
}

func (b *bench) awaitReady(ctx context.Context, n int) error {
	return await(ctx, fmt.Sprintf("%d endpoints to be Ready", n), func() (bool, error) {
		time.Sleep(500 * time.Millisecond) // listing a thousand costs the API server something, too
		var list v1alpha1.WeChatEndpointList
		if err := b.client.List(ctx, &list); err != nil {
			return false, err
		}
		ready := 0
		for i := range list.Items {
			if apimeta.IsStatusConditionTrue(list.Items[i].Status.Conditions, v1alpha1.ConditionReady) {
				ready++
			}
		}
		return ready >= n, nil
	})
}

// many is how many users' Secrets change at once.
const many = 20

// stepRotations is how many users' Secrets change after each step.
const stepRotations = 20

// rotate changes users' Secrets, first one after the other and then many at once, and returns how long each took.
func (b *bench) rotate(ctx context.Context, of rotating, changes int) (single, crowded []time.Duration, err error) {
	of.changes, of.concurrency, of.token = changes, 1, "BenchToken2"
	if single, err = b.rotateSome(ctx, of); err != nil {
		return nil, nil, err
	}
	of.concurrency, of.token = many, "BenchToken3"
	crowded, err = b.rotateSome(ctx, of)
	return single, crowded, err
}

// rotating is some changes of users' Secrets.
type rotating struct {
	set                             set
	endpoints, changes, concurrency int
	token                           string
	// served, if it is not nil, waits until the endpoint's pods serve the generation. Without it, it suffices that they are given it.
	served func(ctx context.Context, endpoint client.ObjectKey, generation string) error
}

// rotateSome changes the Secrets of some of the endpoints, each once, and returns how long each took to be served, sorted.
func (b *bench) rotateSome(ctx context.Context, of rotating) ([]time.Duration, error) {
	chosen := rand.Perm(of.endpoints) //nolint:gosec // any will do
	latencies := make([]time.Duration, min(of.endpoints, of.changes))
	err := each(ctx, of.concurrency, len(latencies), func(ctx context.Context, i int) (err error) {
		latencies[i], err = b.rotateOne(ctx, of, of.set.place(chosen[i]))
		return err
	})
	slices.Sort(latencies)
	return latencies, err
}

func (b *bench) rotateOne(ctx context.Context, of rotating, at client.ObjectKey) (time.Duration, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, fmt.Errorf("the change of endpoint %s's Secret is not served after a minute", at))
	defer cancel()
	written, err := b.client.Watch(ctx, &corev1.SecretList{}, client.InNamespace(at.Namespace), client.MatchingLabels{
		v1alpha1.LabelCredentials: v1alpha1.CredentialsGenerated, v1alpha1.LabelEndpoint: at.Name,
	})
	if err != nil {
		return 0, err
	}
	defer written.Stop()
	began := time.Now()
	if err := b.client.Update(ctx, userSecret(at, of.token)); err != nil {
		return 0, err
	}
	for {
		select {
		case event, open := <-written.ResultChan():
			if !open {
				return 0, errors.Join(context.Cause(ctx), fmt.Errorf("the watch of endpoint %s's credentials ended", at))
			}
			if event.Type != watch.Modified || !serves(event.Object.(*corev1.Secret), of.token) {
				continue
			}
			if of.served != nil {
				generation, err := config.ReadGeneration(event.Object.(*corev1.Secret).Data[config.File])
				if err := errors.Join(err, of.served(ctx, at, generation)); err != nil {
					return 0, errors.Join(context.Cause(ctx), err)
				}
			}
			return time.Since(began), nil
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// serves reports whether the sidecar is given the token as the newest.
func serves(secret *corev1.Secret, token string) bool {
	credentials, err := config.ReadCredentials(secret.Data[config.File])
	return err == nil && len(credentials.Pairs) > 0 && credentials.Pairs[0].Token == token
}

// resync starts the operator anew beside settled endpoints, so that it looks at every one, and returns how much it writes.
func (b *bench) resync(ctx context.Context) (int, error) {
	if err := b.awaitQuiet(ctx); err != nil {
		return 0, err
	}
	if err := b.operator.stop(); err != nil {
		return 0, err
	}
	began := time.Now()
	if err := b.startOperator(ctx); err != nil {
		return 0, err
	}
	if err := b.awaitQuiet(ctx); err != nil {
		return 0, err
	}
	requests, err := b.requests(began)
	if err != nil {
		return 0, err
	}
	writes := 0
	for _, r := range requests {
		if r.writes() {
			writes++
			say("a resync wrote: %s %s %s %s/%s", r.Verb, r.ObjectRef.Resource, r.ObjectRef.Subresource, r.ObjectRef.Namespace, r.ObjectRef.Name)
		}
	}
	return writes, nil
}

// awaitQuiet waits until the operator has used no CPU to speak of for some seconds: it has looked at everything.
func (b *bench) awaitQuiet(ctx context.Context) error {
	const calm = 3 * time.Second
	last, since := time.Duration(0), time.Now()
	return await(ctx, "the operator to be idle", func() (bool, error) {
		now, err := b.operator.cpu()
		if now-last > 30*time.Millisecond {
			last, since = now, time.Now()
		}
		return time.Since(since) > calm, err
	})
}
