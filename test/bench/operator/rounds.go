// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// object is a child as the operator applied it.
type object = *unstructured.Unstructured

// fieldManager is the operator's.
const fieldManager = "wechatendpoint-operator"

// ours selects the children.
var ours = client.MatchingLabels{"app.kubernetes.io/managed-by": "wechatendpoint"}

// kinds are those of the children. The Ingress is the last one that the operator applies.
var kinds = []schema.GroupVersionKind{
	{Version: "v1", Kind: "ServiceAccount"}, {Version: "v1", Kind: "Secret"},
	{Group: "apps", Version: "v1", Kind: "Deployment"}, {Group: "policy", Version: "v1", Kind: "PodDisruptionBudget"},
	{Version: "v1", Kind: "Service"}, {Group: "networking.k8s.io", Version: "v1", Kind: "NetworkPolicy"},
	{Group: "networking.k8s.io", Version: "v1", Kind: "Ingress"},
}

// childrenEach is how many children an endpoint has: one of each kind, and a second Secret and a second Service.
const childrenEach = 9

// round is one of a comparison.
type round struct{ endpoints, number int }

// sides are the sets of endpoints that a round makes.
var sides = []string{"ours", "bare", "asked"}

// set is what one side of the round makes.
func (r round) set(side string) set {
	return dedicated(fmt.Sprintf("%s-%d-%d", side, r.endpoints, r.number))
}

// operatorRound is what it costs from the first endpoint until the last child of the last one exists.
func (b *bench) operatorRound(ctx context.Context, r round) (cost, error) {
	set := r.set("ours")
	if err := b.makeGround(ctx, set, 0, r.endpoints); err != nil {
		return cost{}, err
	}
	if err := b.startOperator(ctx); err != nil {
		return cost{}, err
	}
	defer func() { _ = b.operator.stop() }()
	ingresses, err := b.client.Watch(ctx, &networkingv1.IngressList{}, ours)
	if err != nil {
		return cost{}, err
	}
	defer ingresses.Stop()
	profiled := make(chan error, 1)
	go func() { profiled <- b.saveProfiles(ctx, set.name, profileSeconds) }()
	end, err := beginRound()
	if err != nil {
		return cost{}, err
	}
	if err := b.makeEndpoints(ctx, set, 0, r.endpoints); err != nil {
		return cost{}, err
	}
	if err := awaitIngresses(ingresses, set.name, r.endpoints); err != nil {
		return cost{}, err
	}
	took, err := end()
	if err := errors.Join(err, <-profiled); err != nil {
		return cost{}, err
	}
	if b.templates == nil {
		b.templates, err = b.childrenOf(ctx, set.place(0))
	}
	return took, err
}

func awaitIngresses(ingresses watch.Interface, set string, n int) error {
	timeout := time.After(patience)
	for added := 0; added < n; {
		select {
		case event, open := <-ingresses.ResultChan():
			if !open {
				return errors.New("the watch of the Ingresses ended")
			}
			if event.Type == watch.Added && strings.HasPrefix(event.Object.(*networkingv1.Ingress).Namespace, set+"-") {
				added++
			}
		case <-timeout:
			return fmt.Errorf("after %v the operator has made %d Ingresses of %d", patience, added, n)
		}
	}
	return nil
}

// childrenOf reads the children of an endpoint, without what the API server adds.
func (b *bench) childrenOf(ctx context.Context, at client.ObjectKey) ([]object, error) {
	var children []object
	for _, kind := range kinds {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind)
		if err := b.client.List(ctx, list, client.InNamespace(at.Namespace), ours, client.MatchingLabels{v1alpha1.LabelEndpoint: at.Name}); err != nil {
			return nil, err
		}
		for i := range list.Items {
			child := list.Items[i].DeepCopy()
			for _, field := range []string{"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"} {
				unstructured.RemoveNestedField(child.Object, "metadata", field)
			}
			unstructured.RemoveNestedField(child.Object, "status")
			if address, _, _ := unstructured.NestedString(child.Object, "spec", "clusterIP"); address != "None" {
				unstructured.RemoveNestedField(child.Object, "spec", "clusterIP")
			}
			for _, field := range []string{"clusterIPs", "ipFamilies"} {
				unstructured.RemoveNestedField(child.Object, "spec", field)
			}
			children = append(children, child)
		}
	}
	if len(children) != childrenEach {
		return nil, fmt.Errorf("endpoint %s has %d children and should have %d", at, len(children), childrenEach)
	}
	return children, nil
}

// bareRound is what it costs when a client knows what to write, and does nothing else.
func (b *bench) bareRound(ctx context.Context, r round) (cost, error) {
	set := r.set("bare")
	if err := b.makeNamespaces(ctx, set, r.endpoints); err != nil {
		return cost{}, err
	}
	model := set.place(0).Name // has the same name in every set
	end, err := beginRound()
	if err != nil {
		return cost{}, err
	}
	err = each(ctx, b.settings.concurrency, r.endpoints, func(ctx context.Context, i int) error {
		at := set.place(i)
		for _, template := range b.templates {
			child := template.DeepCopy()
			child.SetNamespace(at.Namespace)
			child.SetName(at.Name + strings.TrimPrefix(template.GetName(), model))
			err := b.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(child), client.FieldOwner(fieldManager), client.ForceOwnership)
			if err != nil {
				return fmt.Errorf("writing %s %s: %w", child.GetKind(), child.GetName(), err)
			}
		}
		return nil
	})
	if err != nil {
		return cost{}, err
	}
	return end()
}

// askedRound is what it costs that users write the endpoints, with no operator to answer them.
func (b *bench) askedRound(ctx context.Context, r round) (cost, error) {
	set := r.set("asked")
	if err := b.makeNamespaces(ctx, set, r.endpoints); err != nil {
		return cost{}, err
	}
	end, err := beginRound()
	if err != nil {
		return cost{}, err
	}
	if err := b.makeEndpoints(ctx, set, 0, r.endpoints); err != nil {
		return cost{}, err
	}
	return end()
}

// clear deletes what the round made: nothing collects garbage here.
func (b *bench) clear(ctx context.Context, r round) error {
	var namespaces []string
	for _, side := range sides {
		namespaces = append(namespaces, r.set(side).namespaces(0, r.endpoints)...)
	}
	all := append([]schema.GroupVersionKind{v1alpha1.GroupVersion.WithKind("WeChatEndpoint")}, kinds...)
	return each(ctx, busy, len(namespaces), func(ctx context.Context, i int) error {
		namespace := namespaces[i]
		for _, kind := range all {
			one := &unstructured.Unstructured{}
			one.SetGroupVersionKind(kind)
			if kind.Kind == "Service" { // has no deletecollection worth the name
				if err := b.deleteServices(ctx, namespace); err != nil {
					return err
				}
				continue
			}
			if err := b.client.DeleteAllOf(ctx, one, client.InNamespace(namespace)); err != nil {
				return fmt.Errorf("deleting every %s of %s: %w", kind.Kind, namespace, err)
			}
		}
		return nil
	})
}

func (b *bench) deleteServices(ctx context.Context, namespace string) error {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: "ServiceList"})
	if err := b.client.List(ctx, list, client.InNamespace(namespace)); err != nil {
		return err
	}
	for i := range list.Items {
		if err := client.IgnoreNotFound(b.client.Delete(ctx, &list.Items[i])); err != nil {
			return err
		}
	}
	return nil
}
