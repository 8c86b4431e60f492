// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package snapshot is what was read for one endpoint, at one moment: every object once, and what its pods answered. Decisions
// judge it and change nothing of it.
package snapshot

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/gatewayapi"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/probe"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// Snapshot is what was read for one endpoint. Pointers are nil where there is no such object.
type Snapshot struct {
	Now      time.Time
	Endpoint *v1alpha1.WeChatEndpoint
	// Rivals are the other endpoints that ask for a route of its host, or have published one.
	Rivals []*v1alpha1.WeChatEndpoint

	// Live is what its pods were given last.
	Live Entry
	// Children are the objects that have a child's name, whoever owns them.
	Children []Child
	// Deployment is the endpoint's own.
	Deployment *appsv1.Deployment
	// Ingress and HTTPRoute have the child's name, whoever owns them.
	Ingress   *networkingv1.Ingress
	HTTPRoute *gatewayapi.HTTPRoute
	// WeChatGateway is the one that the endpoint asks for, and GatewayDeployment its own; nil where there is none, or none is asked for.
	WeChatGateway     *v1alpha1.WeChatGateway
	GatewayDeployment *appsv1.Deployment
	// Pods are those that shall serve the endpoint: they were made by its own Deployment or by its gateway's, as the UIDs of their owners tell.
	// Anybody may put the label on a pod.
	Pods []Pod

	// GatewayKey signs what goes to the app: the endpoint's own, or a new one where it has none.
	GatewayKey []byte
	// Secret has the user's credentials.
	Secret *corev1.Secret
	// Services are those that the spec names, and those that the live configuration calls.
	Services map[types.NamespacedName]*corev1.Service
	// HasReadyPod says of each Service that the spec names, where its namespace may be seen, whether one of its pods is ready.
	HasReadyPod map[types.NamespacedName]bool
	// Classes are the cluster's IngressClasses, where they may be seen and are asked for.
	Classes []networkingv1.IngressClass
	// MissingTLS says that the published Ingress is to get another Secret with a certificate, which does not exist and which nobody was asked
	// to make.
	MissingTLS bool
	// GatewayAPI says that the cluster knows the kinds of the Gateway API.
	GatewayAPI bool
	// Gateways are those that the spec names, where they may be seen.
	Gateways map[types.NamespacedName]*gatewayapi.Gateway
	// Grants stand in the namespaces of the Services that the spec names.
	Grants []gatewayapi.ReferenceGrant
	// Routes are anybody's, and may lead to these Services.
	Routes []Route
}

// Entry is what an endpoint gives its pods: a configuration and the credentials that go with it. The zero value is none.
type Entry struct {
	Generation string         // of both; empty before the first
	Config     *config.Config // nil where it cannot be read, or is of a newer operator
	Version    int            // of the configuration; zero where there is none
	Pairs      []config.Pair  // accepted, newest first
}

// Child is an object that has a child's name.
type Child struct {
	Kind, Name      string
	UID             types.UID
	ResourceVersion string
	Owned           bool // by this owner, or nobody's any more
	Deleting        bool
	Finalizers      []string // what a deletion waits for
	Route           bool     // it publishes a URL
	// Applied and Around are digests of what the operator applied: of all, and of all but the pods' template.
	Applied, Around string
	// OwnsReplicas says that the operator has chosen the number of pods.
	OwnsReplicas bool
}

// Pod is a pod and what it answered.
type Pod struct {
	*corev1.Pod
	// Newest says that it is of the Deployment's newest template.
	Newest bool
	// Ready pods were asked; Answer is theirs: of the endpoint's entry, or of a gateway's pod as a whole.
	Ready  bool
	Answer probe.Result
	// Entries is what a gateway's pod says of each of its entries, by their names.
	Entries map[string]config.Status
}

// Route is an Ingress or an HTTPRoute of anybody's.
type Route struct {
	Kind, Namespace, Name string
	LeadsTo               []types.NamespacedName
	// More says that it leads to more Services than are known: to any of its namespace.
	More bool
}

// Fleet is a snapshot of pods that serve one or more entries.
type Fleet struct {
	render.Fleet
	Now              time.Time
	Paused, Readable bool
	Deployment       *appsv1.Deployment
	Pods             []Pod
}

// Fleet returns the endpoint's own, with the pods that shall serve it.
func (s *Snapshot) Fleet() *Fleet {
	return &Fleet{
		Fleet: render.OwnFleet(s.Endpoint), Now: s.Now, Paused: s.Endpoint.Spec.Paused, Readable: s.Endpoint.Spec.Readable(),
		Deployment: s.Deployment, Pods: s.Pods,
	}
}

// Serves reports whether there is a Deployment of the pods that shall serve the endpoint.
func (s *Snapshot) Serves() bool {
	if s.Endpoint.Spec.Gateway != nil {
		return s.GatewayDeployment != nil
	}
	return s.Deployment != nil
}

// Child returns the object of the kind that has the name, or nil.
func (s *Snapshot) Child(kind, name string) *Child {
	for i := range s.Children {
		if s.Children[i].Kind == kind && s.Children[i].Name == name {
			return &s.Children[i]
		}
	}
	return nil
}

// Owns reports whether there is an object of the kind that is the endpoint's own, and stays.
func (s *Snapshot) Owns(kind string) bool {
	return slices.ContainsFunc(s.Children, func(child Child) bool { return child.Kind == kind && child.Owned && !child.Deleting })
}

// Publishes reports whether there is a route of the endpoint's own.
func (s *Snapshot) Publishes() bool {
	return slices.ContainsFunc(s.Children, func(child Child) bool { return child.Route && child.Owned })
}

// Granted reports whether the namespace of a Service lets such objects refer to it.
func (s *Snapshot) Granted(from gatewayv1beta1.ReferenceGrantFrom, service types.NamespacedName) bool {
	return slices.ContainsFunc(s.Grants, func(grant gatewayapi.ReferenceGrant) bool {
		return grant.Namespace == service.Namespace && slices.Contains(grant.Spec.From, from) &&
			slices.ContainsFunc(grant.Spec.To, func(to gatewayv1beta1.ReferenceGrantTo) bool {
				return to.Group == "" && to.Kind == "Service" && (to.Name == nil || *to.Name == "" || string(*to.Name) == service.Name)
			})
	})
}

// Gateway returns the Gateway that a reference with all fields names, or nil.
func (s *Snapshot) Gateway(parent gatewayv1.ParentReference) *gatewayapi.Gateway {
	return s.Gateways[types.NamespacedName{Namespace: string(*parent.Namespace), Name: string(parent.Name)}]
}

// ReadyPods are the pods that were asked.
func (s *Snapshot) ReadyPods() []Pod { return s.Fleet().ReadyPods() }

// ReadyPods are the pods that were asked.
func (f *Fleet) ReadyPods() []Pod {
	return slices.DeleteFunc(slices.Clone(f.Pods), func(pod Pod) bool { return !pod.Ready })
}

// Gateway is what was read for one WeChatGateway.
type Gateway struct {
	Fleet
	Gateway *v1alpha1.WeChatGateway
	// Children are the objects that have a child's name, whoever owns them.
	Children []Child
	// Shards are the names of the endpoints that each shard holds now.
	Shards [render.Shards][]string
	// Endpoints are those that the gateway serves, or shall serve, in the order of their names.
	Endpoints []*v1alpha1.WeChatEndpoint
	// Entries are what these give the pods, by their names. One that has nothing to give yet is left out.
	Entries map[string]Document
	// Large are the endpoints whose documents are longer than any that a gateway takes, in the order of their names.
	Large []string
}

// Document is an entry as the pods read it.
type Document struct {
	Generation string
	Text       []byte
}
