// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// teamSize is how many endpoints a namespace has where many have a gateway each.
const teamSize = 20

// shared is what endpoints cost that are served by gateways.
type shared struct {
	name            string
	pods            int
	objectsEach     float64 // that an endpoint has
	objectsShared   int     // that all gateways have
	requestsEach    float64
	ready           time.Duration
	cpuEach         float64 // of the operator, ms for each endpoint until all were Ready
	controlEach     float64 // the same of the API server and etcd
	sidecar         float64 // the most resident memory of any, MiB
	operator        float64 // the same of the operator
	single, crowded []time.Duration
}

func (s shared) print() {
	column := "bench: " + s.name + " "
	fmt.Printf("%spods %d\n", column, s.pods)
	fmt.Printf("%sobjects-per-endpoint %.2f\n", column, s.objectsEach)
	fmt.Printf("%sgateway-objects %d\n", column, s.objectsShared)
	fmt.Printf("%srequests-per-endpoint %.2f\n", column, s.requestsEach)
	fmt.Printf("%sready-s %.1f\n", column, s.ready.Seconds())
	fmt.Printf("%soperator-cpu-ms-per-endpoint %.1f\n", column, s.cpuEach)
	fmt.Printf("%scontrol-plane-cpu-ms-per-endpoint %.1f\n", column, s.controlEach)
	fmt.Printf("%srss-mib %.0f\n", column, s.sidecar)
	fmt.Printf("%soperator-rss-mib %.0f\n", column, s.operator)
	printRotations(s.name+" ", s.single, s.crowded)
}

// measureShared measures so many endpoints on gateways, a number of them in each namespace, on an API server of their own.
func measureShared(ctx context.Context, settings settings, name string, endpoints, inNamespace int) (_ shared, err error) {
	b, err := start(ctx, settings)
	if err != nil {
		return shared{}, err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	if err := b.makeForeignSecrets(ctx); err != nil {
		return shared{}, err
	}
	kubelets, err := b.newKubelets()
	if err != nil {
		return shared{}, err
	}
	defer func() { err = errors.Join(err, kubelets.stop()) }()
	player, err := b.play(ctx, kubelets)
	if err != nil {
		return shared{}, err
	}
	defer player.stop()
	if err := b.startOperator(ctx); err != nil {
		return shared{}, err
	}
	s, of := shared{name: name}, set{name: name, each: inNamespace, gateway: "front"}
	if err := b.makeGround(ctx, of, 0, endpoints); err != nil {
		return shared{}, err
	}
	if err := b.makeGateways(ctx, of, endpoints); err != nil {
		return shared{}, err
	}
	if err := b.fillGateways(ctx, &s, of, endpoints); err != nil {
		return shared{}, err
	}
	profiled := make(chan error, 1)
	go func() { profiled <- b.saveProfiles(ctx, name+"-rotations", profileLonger) }()
	s.single, s.crowded, err = b.rotate(ctx, rotating{set: of, endpoints: endpoints, served: kubelets.serve}, settings.sharedRotations)
	if err := errors.Join(err, <-profiled); err != nil {
		return shared{}, err
	}
	if s.sidecar, err = kubelets.peak(); err != nil {
		return shared{}, err
	}
	s.operator, err = b.operator.peak()
	say("%s: rotations take %.3f s, at most %.3f s; with %d at once %.3f s, at most %.3f s", name,
		percentile(s.single, 50).Seconds(), percentile(s.single, 99).Seconds(), many, percentile(s.crowded, 50).Seconds(), percentile(s.crowded, 99).Seconds())
	return s, err
}

// makeGateways makes a gateway in each namespace and waits until they are ready.
func (b *bench) makeGateways(ctx context.Context, of set, endpoints int) error {
	namespaces := of.namespaces(0, endpoints)
	err := each(ctx, busy, len(namespaces), func(ctx context.Context, i int) error {
		return b.client.Create(ctx, &v1alpha1.WeChatGateway{ObjectMeta: metav1.ObjectMeta{Namespace: namespaces[i], Name: of.gateway}})
	})
	if err != nil {
		return err
	}
	return await(ctx, "the gateways to be Ready", func() (bool, error) {
		var list v1alpha1.WeChatGatewayList
		if err := b.client.List(ctx, &list); err != nil {
			return false, err
		}
		for i := range list.Items {
			if !apimeta.IsStatusConditionTrue(list.Items[i].Status.Conditions, v1alpha1.ConditionReady) {
				return false, nil
			}
		}
		return true, nil
	})
}

// fillGateways makes the endpoints and measures until all are Ready.
func (b *bench) fillGateways(ctx context.Context, s *shared, of set, endpoints int) error {
	before, err := b.operator.cpu()
	if err != nil {
		return err
	}
	end, err := beginRound()
	if err != nil {
		return err
	}
	profiled := make(chan error, 1)
	go func() { profiled <- b.saveProfiles(ctx, s.name, profileLonger) }()
	began := time.Now()
	if err := b.makeEndpoints(ctx, of, 0, endpoints); err != nil {
		return err
	}
	if err := b.awaitReady(ctx, endpoints); err != nil {
		return err
	}
	took, err := end()
	if err != nil {
		return err
	}
	after, err := b.operator.cpu()
	if err := errors.Join(err, <-profiled); err != nil {
		return err
	}
	s.ready, s.controlEach = took.time, float64(took.cpu.Milliseconds())/float64(endpoints)
	s.cpuEach = float64((after - before).Milliseconds()) / float64(endpoints)
	requests, err := b.requests(began)
	if err != nil {
		return err
	}
	asked := map[string]int{}
	for _, r := range requests {
		asked[r.Verb+" "+r.ObjectRef.Resource+" "+r.ObjectRef.Subresource]++
	}
	say("%s: %d endpoints Ready after %.1f s; requests: %v", s.name, endpoints, s.ready.Seconds(), asked)
	s.requestsEach = float64(len(requests)) / float64(endpoints)
	own := 0
	for _, kind := range kinds {
		ofEndpoints, err := b.count(ctx, kind, client.HasLabels{v1alpha1.LabelEndpoint})
		if err != nil {
			return err
		}
		ofGateways, err := b.count(ctx, kind, client.HasLabels{v1alpha1.LabelGateway})
		if err != nil {
			return err
		}
		own, s.objectsShared = own+ofEndpoints, s.objectsShared+ofGateways
	}
	s.objectsEach = float64(own) / float64(endpoints)
	s.pods, err = b.count(ctx, corev1.SchemeGroupVersion.WithKind("Pod"))
	return err
}

// count counts the operator's objects of a kind.
func (b *bench) count(ctx context.Context, kind schema.GroupVersionKind, of ...client.ListOption) (int, error) {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(kind)
	err := b.client.List(ctx, list, append(of, ours)...)
	return len(list.Items), err
}

// serve waits until each pod of the endpoint's namespace says that it serves the generation.
func (k *kubelets) serve(ctx context.Context, endpoint client.ObjectKey, generation string) error {
	pods := k.of(endpoint.Namespace)
	return await(ctx, fmt.Sprintf("the pods to serve %s", endpoint), func() (bool, error) {
		for _, pod := range pods {
			status, err := statusOf(ctx, pod.address, endpoint.Name)
			if err != nil || status.Generation != generation {
				return false, err
			}
		}
		return true, nil
	})
}

func statusOf(ctx context.Context, address, entry string) (status config.Status, err error) {
	response, err := ask(ctx, address, "/status?entry="+entry)
	if err != nil {
		return status, err
	}
	defer response.Body.Close()
	err = json.NewDecoder(response.Body).Decode(&status)
	return status, err
}
