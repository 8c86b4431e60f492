// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/gatewayapi"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
)

// gatewayAPI knows whether the cluster has the Gateway API, which may come after the operator. Its kinds are watched from
// then on: a watch of a kind that does not exist would keep the operator from starting. The zero value watches nothing.
type gatewayAPI struct {
	watch func() error // begins the watches

	mu    sync.Mutex
	found bool
	asked time.Time
}

var httpRouteKind = schema.GroupKind{Group: gatewayv1.GroupName, Kind: "HTTPRoute"}

// installed reports whether there are HTTPRoutes. While there are none it asks the API server again, for all endpoints
// together, once in lookAgain at most.
func (g *gatewayAPI) installed(mapper apimeta.RESTMapper) (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.found || time.Since(g.asked) < lookAgain {
		return g.found, nil
	}
	_, err := mapper.RESTMapping(httpRouteKind, gatewayv1.GroupVersion.Version)
	switch {
	case apimeta.IsNoMatchError(err):
		g.asked = time.Now()
		return false, nil
	case err != nil:
		return false, fmt.Errorf("asking for the Gateway API: %w", err)
	}
	if g.watch != nil {
		if err := g.watch(); err != nil {
			return false, fmt.Errorf("watching the Gateway API: %w", err)
		}
	}
	g.found = true
	return true, nil
}

// watchGatewayAPI begins the watches of the Gateway API's kinds.
func (r *Reconciler) watchGatewayAPI(c controller.Controller, objects cache.Cache) error {
	owned := handler.TypedEnqueueRequestForOwner[*gatewayapi.HTTPRoute](r.Scheme(), r.RESTMapper(), &v1alpha1.WeChatEndpoint{}, handler.OnlyControllerOwner())
	beside := handler.TypedEnqueueRequestsFromMapFunc(r.besideHTTPRoute)
	if err := errors.Join(
		c.Watch(source.Kind(objects, &gatewayapi.HTTPRoute{}, owned)),
		c.Watch(source.Kind(objects, &gatewayapi.HTTPRoute{}, beside, predicate.TypedGenerationChangedPredicate[*gatewayapi.HTTPRoute]{})),
		c.Watch(source.Kind(objects, &gatewayapi.ReferenceGrant{}, handler.TypedEnqueueRequestsFromMapFunc(r.usingGrant))),
	); err != nil {
		return fmt.Errorf("watching HTTPRoutes and ReferenceGrants: %w", err)
	}
	err := c.Watch(source.Kind(objects, &gatewayapi.Gateway{},
		handler.TypedEnqueueRequestsFromMapFunc(r.attachedTo), predicate.Or(predicate.TypedGenerationChangedPredicate[*gatewayapi.Gateway]{}, addressChanged)))
	if err != nil {
		return fmt.Errorf("watching Gateways: %w", err)
	}
	return nil
}

// addressChanged leaves out what else changes in a Gateway's status, such as the number of its routes.
var addressChanged = predicate.TypedFuncs[*gatewayapi.Gateway]{UpdateFunc: func(e event.TypedUpdateEvent[*gatewayapi.Gateway]) bool {
	return !equality.Semantic.DeepEqual(e.ObjectOld.Status.Addresses, e.ObjectNew.Status.Addresses)
}}

// attachedTo maps a Gateway to the endpoints that name it: whether it is there, and ends TLS, is in their status.
func (r *Reconciler) attachedTo(ctx context.Context, gateway *gatewayapi.Gateway) []reconcile.Request {
	return r.requests(ctx, client.MatchingFields{indexGateway: gateway.Namespace + "/" + gateway.Name})
}

// parentGateways names the Gateways of an endpoint, each as namespace/name.
func parentGateways(endpoint *v1alpha1.WeChatEndpoint) []string {
	var names []string
	for _, parent := range render.ParentRefs(endpoint) {
		names = append(names, fmt.Sprintf("%s/%s", *parent.Namespace, parent.Name))
	}
	return names
}
