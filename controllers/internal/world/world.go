// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package world reads all that an endpoint depends on, every object once, and asks its pods.
package world

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/backends"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/children"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/credentials"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/gatewayapi"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/installation"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/kept"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/pods"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/probe"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/snapshot"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// IndexHost is the index of endpoints by the hosts that they ask for or have published.
const IndexHost = "spec.url.host"

// World reads what is there.
type World struct {
	client.Reader
	// Live reads past the cache, for the rare object that the filtered cache cannot show.
	Live client.Reader
	// Ask asks the pods at the addresses what they serve, and AskShared those that serve many entries: what they said a moment ago suffices.
	Ask       func(ctx context.Context, addresses []string) []probe.Result
	AskShared func(ctx context.Context, addresses []string) []probe.Process
	Options   *installation.Options
	// Installed reports whether the cluster has the Gateway API.
	Installed func() (bool, error)
}

// look is one look at the world: what was read so far.
type look struct {
	*World
	s *snapshot.Snapshot

	secret *corev1.Secret // of the pods
	copied *corev1.Secret // the copy of it
	routes []gatewayapi.HTTPRoute
}

// Look reads all that the endpoint depends on. With an error, the snapshot has the endpoint alone, or is nil.
func (w *World) Look(ctx context.Context, name types.NamespacedName, now time.Time) (*snapshot.Snapshot, error) {
	var endpoint v1alpha1.WeChatEndpoint
	if err := w.Get(ctx, name, &endpoint); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	if gateway, leads := render.GatewayOf(endpoint.Status.Fleet.LeadsTo); leads && !endpoint.Spec.Readable() {
		endpoint.Spec.Gateway = &v1alpha1.GatewayReference{Name: gateway} // which it asked for as long as the spec could be read
	}
	l := &look{World: w, s: &snapshot.Snapshot{Now: now, Endpoint: &endpoint, Services: map[types.NamespacedName]*corev1.Service{}}}
	if !endpoint.DeletionTimestamp.IsZero() {
		return l.s, nil
	}
	for _, read := range []func(context.Context) error{
		l.readGatewayAPI, l.readRivals, l.readRoutes, l.readChildren, l.readCertificate, l.readCopy, l.readGatewayKey, l.readEntry, l.readSecret, l.readServices, l.readReadiness, l.readClasses, l.readPods,
	} {
		if err := read(ctx); err != nil {
			return &snapshot.Snapshot{Now: now, Endpoint: &endpoint}, err
		}
	}
	return l.s, nil
}

// get reads an object, and reports whether there is one.
func (l *look) get(ctx context.Context, key types.NamespacedName, into client.Object) (bool, error) {
	err := l.Get(ctx, key, into)
	if client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("reading %T %s: %w", into, key.Name, err)
	}
	return err == nil, nil
}

// sees reports whether this installation may look into the namespace.
func (l *look) sees(namespace string) bool {
	return namespace == l.s.Endpoint.Namespace || l.Options.Sees(namespace)
}

// child is the name of every child, but for two Secrets and a Service.
func (l *look) child() types.NamespacedName {
	return types.NamespacedName{Namespace: l.s.Endpoint.Namespace, Name: render.Name(l.s.Endpoint)}
}

// readGatewayAPI asks whether the cluster has the Gateway API, and reads the Gateways that the spec names and the grants of the
// namespaces of its Services.
func (l *look) readGatewayAPI(ctx context.Context) (err error) {
	if l.s.GatewayAPI, err = l.Installed(); err != nil || !l.s.GatewayAPI {
		return err
	}
	l.s.Gateways = map[types.NamespacedName]*gatewayapi.Gateway{}
	for _, parent := range render.ParentRefs(l.s.Endpoint) {
		name := types.NamespacedName{Namespace: string(*parent.Namespace), Name: string(parent.Name)}
		if _, known := l.s.Gateways[name]; known || !l.sees(name.Namespace) {
			continue
		}
		var gateway gatewayapi.Gateway
		there, err := l.get(ctx, name, &gateway)
		if err != nil {
			return err
		}
		if there {
			l.s.Gateways[name] = &gateway
		}
	}
	for _, namespace := range l.namespaces() {
		var grants gatewayapi.ReferenceGrantList
		if err := l.List(ctx, &grants, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
			return fmt.Errorf("listing the ReferenceGrants of namespace %s: %w", namespace, err)
		}
		l.s.Grants = append(l.s.Grants, grants.Items...)
	}
	return nil
}

// namespaces have the Services that the spec names, as far as this installation may look.
func (l *look) namespaces() []string {
	var namespaces []string
	for _, service := range backends.Services(l.s.Endpoint) {
		if l.sees(service.Namespace) && !slices.Contains(namespaces, service.Namespace) {
			namespaces = append(namespaces, service.Namespace)
		}
	}
	return namespaces
}

// readRivals reads the other endpoints of the host. They are the cache's own, which are only read.
func (l *look) readRivals(ctx context.Context) error {
	endpoint := l.s.Endpoint
	if !endpoint.Spec.Readable() || endpoint.Spec.URL.Exposure == v1alpha1.ExposureNone {
		return nil
	}
	var all v1alpha1.WeChatEndpointList
	if err := l.List(ctx, &all, client.MatchingFields{IndexHost: endpoint.Spec.URL.Host}, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("listing the endpoints of the host: %w", err)
	}
	for i := range all.Items {
		if other := &all.Items[i]; other.UID != endpoint.UID {
			l.s.Rivals = append(l.s.Rivals, other)
		}
	}
	return nil
}

// IndexLeadsTo is the index of Ingresses by the Services that they lead to. What leads to more of them than are kept may lead to any of its namespace.
const IndexLeadsTo = "leads to"

// LeadsTo are the keys of an Ingress in the index.
func LeadsTo(ingress *networkingv1.Ingress) []string {
	var keys []string
	for _, service := range kept.IngressServices(ingress) {
		if key := service.String(); !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	if _, more := kept.Note(ingress, kept.NoteLeadsTo); more {
		keys = append(keys, anyOf(ingress.Namespace))
	}
	return keys
}

// anyOf stands for every Service of the namespace.
func anyOf(namespace string) string { return namespace + "/*" }

// readIngresses reads the Ingresses that may lead to the Services which the spec names. A namespace may have a thousand that do not: those of
// its other endpoints.
func (l *look) readIngresses(ctx context.Context) error {
	asked := map[string]bool{}
	for _, service := range backends.Services(l.s.Endpoint) {
		for _, key := range []string{service.String(), anyOf(service.Namespace)} {
			if asked[key] || !l.sees(service.Namespace) {
				continue
			}
			asked[key] = true
			var some networkingv1.IngressList
			err := l.List(ctx, &some, client.InNamespace(service.Namespace), client.MatchingFields{IndexLeadsTo: key}, client.UnsafeDisableDeepCopy)
			if err != nil {
				return fmt.Errorf("listing Ingresses: %w", err)
			}
			for i := range some.Items {
				l.s.Routes = append(l.s.Routes, routeOf(children.Ingress, &some.Items[i], kept.IngressServices(&some.Items[i])))
			}
		}
	}
	return nil
}

// readRoutes reads where anybody's routes lead that may lead to the Services which the spec names. One may be read more than once.
func (l *look) readRoutes(ctx context.Context) error {
	if err := l.readIngresses(ctx); err != nil {
		return err
	}
	if l.s.GatewayAPI {
		var routes gatewayapi.HTTPRouteList
		if err := l.List(ctx, &routes, client.UnsafeDisableDeepCopy); err != nil {
			return fmt.Errorf("listing HTTPRoutes: %w", err)
		}
		l.routes = routes.Items
	}
	for i := range l.routes {
		l.s.Routes = append(l.s.Routes, routeOf(children.HTTPRoute, &l.routes[i], kept.RouteServices(&l.routes[i])))
	}
	return nil
}

func routeOf(kind string, object client.Object, leadsTo []types.NamespacedName) snapshot.Route {
	_, more := kept.Note(object, kept.NoteLeadsTo)
	return snapshot.Route{Kind: kind, Namespace: object.GetNamespace(), Name: object.GetName(), LeadsTo: leadsTo, More: more}
}

// readChildren reads the objects that have a child's name.
func (l *look) readChildren(ctx context.Context) error {
	for _, kind := range children.Kinds {
		if kind.Name == children.HTTPRoute && !l.s.GatewayAPI {
			continue
		}
		for _, name := range kind.Names(l.child().Name) {
			object, err := l.readChild(ctx, kind, types.NamespacedName{Namespace: l.s.Endpoint.Namespace, Name: name})
			if err != nil {
				return err
			}
			if object != nil {
				l.add(kind, object)
			}
		}
	}
	return nil
}

// readChild returns the object of the kind that has a child's name, or nil. What was listed is not read again.
func (l *look) readChild(ctx context.Context, kind children.Kind, name types.NamespacedName) (client.Object, error) {
	if kind.Name == children.HTTPRoute {
		if i := slices.IndexFunc(l.routes, func(r gatewayapi.HTTPRoute) bool { return client.ObjectKeyFromObject(&r) == name }); i >= 0 {
			return &l.routes[i], nil
		}
		return nil, nil
	}
	object := kind.Empty()
	there, err := l.get(ctx, name, object)
	if err != nil || !there {
		return nil, err
	}
	return object, nil
}

// add notes an object that has a child's name.
func (l *look) add(kind children.Kind, whole client.Object) {
	object := kept.Keep(whole) // as the cache does
	child := childOf(render.OwnFleet(l.s.Endpoint), kind, object)
	l.s.Children = append(l.s.Children, child)
	switch o := object.(type) {
	case *appsv1.Deployment:
		if child.Owned {
			l.s.Deployment = o
		}
	case *networkingv1.Ingress:
		l.s.Ingress = o
	case *gatewayapi.HTTPRoute:
		l.s.HTTPRoute = o
	case *corev1.Service:
		l.s.Services[client.ObjectKeyFromObject(o)] = o // it may be named as a backend
	case *corev1.Secret:
		if o.Name == render.Name(l.s.Endpoint) {
			l.secret = o
		}
	}
}

// childOf is what is known of an object that has the name of one of the owner's, as the cache keeps it.
func childOf(owner render.Fleet, kind children.Kind, object client.Object) snapshot.Child {
	applied, _ := kept.Note(object, kept.NoteApplied)
	around, _ := kept.Note(object, kept.NoteAround)
	_, ownsReplicas := kept.Note(object, kept.NoteReplicas)
	return snapshot.Child{
		Kind: kind.Name, Name: object.GetName(), UID: object.GetUID(), ResourceVersion: object.GetResourceVersion(), Route: kind.Route,
		Owned: children.Owns(owner, object), Deleting: !object.GetDeletionTimestamp().IsZero(), Finalizers: object.GetFinalizers(),
		Applied: applied, Around: around, OwnsReplicas: ownsReplicas,
	}
}

// readCertificate asks whether there is the Secret with the certificate that a published Ingress is to get. Such Secrets are not cached.
// What makes a Secret for an annotation waits for the Ingress.
func (l *look) readCertificate(ctx context.Context) error {
	asked, live := l.s.Endpoint.Spec.URL.Ingress, l.s.Ingress
	made := func(key string) bool {
		return strings.HasPrefix(key, "cert-manager.io/") || key == "kubernetes.io/tls-acme"
	}
	if asked == nil || asked.TLSSecretName == "" || !l.s.Publishes() || slices.ContainsFunc(slices.Collect(maps.Keys(asked.Annotations)), made) ||
		live != nil && slices.ContainsFunc(live.Spec.TLS, func(tls networkingv1.IngressTLS) bool { return tls.SecretName == asked.TLSSecretName }) {
		return nil
	}
	secret := metav1.PartialObjectMetadata{}
	secret.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(children.Secret))
	err := l.Live.Get(ctx, types.NamespacedName{Namespace: l.s.Endpoint.Namespace, Name: asked.TLSSecretName}, &secret)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("reading Secret %s: %w", asked.TLSSecretName, err)
	}
	l.s.MissingTLS = err != nil
	return nil
}

// readSecretNamed reads a child that is a Secret with a name of its own.
func (l *look) readSecretNamed(ctx context.Context, name string) (*corev1.Secret, error) {
	var secret corev1.Secret
	there, err := l.get(ctx, types.NamespacedName{Namespace: l.s.Endpoint.Namespace, Name: name}, &secret)
	if there {
		l.add(children.Named(children.Secret), &secret)
	}
	return &secret, err
}

func (l *look) readCopy(ctx context.Context) (err error) {
	l.copied, err = l.readSecretNamed(ctx, render.CopyName(l.s.Endpoint))
	return err
}

// readGatewayKey reads the key that the app may mount, and makes one where there is none. The pods' own, if they have one, comes
// before it: neither a deletion nor an edit of one of them changes it. That of the copy does not count: who deletes both gets a new key.
func (l *look) readGatewayKey(ctx context.Context) error {
	secret, err := l.readSecretNamed(ctx, render.GatewayKeyName(l.s.Endpoint))
	if err != nil {
		return err
	}
	l.s.GatewayKey = secret.Data[v1alpha1.GatewayKeyKey]
	if !children.Owns(render.OwnFleet(l.s.Endpoint), secret) || len(l.s.GatewayKey) != config.GatewayKeySize {
		l.s.GatewayKey = make([]byte, config.GatewayKeySize)
		_, _ = rand.Read(l.s.GatewayKey) // never fails, by its documentation
	}
	return nil
}

// readEntry reads the document that the pods were given last, or its copy. What of it cannot be read, or is not the endpoint's, counts as none:
// it will be written again, or reported when it is applied.
func (l *look) readEntry(ctx context.Context) error {
	secret, leftOut := l.secret, false
	if secret != nil {
		_, leftOut = kept.Note(secret, kept.NoteData)
	}
	if leftOut || secret == nil && l.s.Endpoint.Status.Credentials.Generation > 0 {
		// Somebody may have taken the label away by which the cache sees it, and the pairs in it are nowhere else.
		secret = &corev1.Secret{}
		if err := l.Live.Get(ctx, l.child(), secret); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("reading Secret %s: %w", l.child().Name, err)
		}
	}
	entry, key := l.entryIn(secret)
	if key != nil {
		l.s.GatewayKey = key
	}
	if entry.Generation == "" {
		if copied, _ := l.entryIn(l.copied); copied.Generation != "" {
			entry = copied
		}
	}
	l.s.Live = entry
	return nil
}

// entryIn is what a Secret of the endpoint's own has of it, and the gateway key.
func (l *look) entryIn(secret *corev1.Secret) (entry snapshot.Entry, key []byte) {
	if secret == nil || !children.Owns(render.OwnFleet(l.s.Endpoint), secret) {
		return entry, nil
	}
	document := secret.Data[config.File]
	if version, err := config.ReadVersion(document); err == nil {
		entry.Version = version
	}
	if parsed, err := config.ParseConfig(document); err == nil {
		entry.Config = &parsed
	}
	generation, generationErr := config.ReadGeneration(document)
	parsed, err := config.ReadCredentials(document)
	if err != nil || generationErr != nil || !render.IsGeneration(generation) {
		return entry, nil
	}
	entry.Generation, entry.Pairs = generation, credentials.Genuine(parsed.Pairs)
	return entry, parsed.GatewayKey
}

// readSecret reads the user's credentials.
func (l *look) readSecret(ctx context.Context) error {
	if !credentials.Readable(l.s.Endpoint) {
		return nil
	}
	var secret corev1.Secret
	there, err := l.get(ctx, types.NamespacedName{Namespace: l.s.Endpoint.Namespace, Name: l.s.Endpoint.Spec.Credentials.SecretName}, &secret)
	if there {
		l.s.Secret = &secret
	}
	return err
}

// readServices reads the Services that the spec names, and those that the live configuration calls.
func (l *look) readServices(ctx context.Context) error {
	names := backends.Called(l.s.Live.Config)
	if l.s.Endpoint.Spec.Readable() {
		names = append(names, backends.Services(l.s.Endpoint)...)
	}
	for _, name := range names {
		if _, known := l.s.Services[name]; known || !l.sees(name.Namespace) {
			continue
		}
		var service corev1.Service
		there, err := l.get(ctx, name, &service)
		if err != nil {
			return err
		}
		l.s.Services[name] = nil
		if there {
			l.s.Services[name] = &service
		}
	}
	return nil
}

// readReadiness asks which of the spec's Services have a pod that is ready.
func (l *look) readReadiness(ctx context.Context) error {
	l.s.HasReadyPod = map[types.NamespacedName]bool{}
	for _, service := range backends.Services(l.s.Endpoint) {
		if !l.sees(service.Namespace) {
			continue
		}
		var all discoveryv1.EndpointSliceList
		if err := l.List(ctx, &all, client.InNamespace(service.Namespace), client.MatchingLabels{discoveryv1.LabelServiceName: service.Name}, client.UnsafeDisableDeepCopy); err != nil {
			return fmt.Errorf("listing the EndpointSlices of Service %s: %w", service.Name, err)
		}
		l.s.HasReadyPod[service] = slices.ContainsFunc(all.Items, func(slice discoveryv1.EndpointSlice) bool { return kept.HasReadyPod(&slice) })
	}
	return nil
}

func (l *look) readClasses(ctx context.Context) error {
	if l.s.Endpoint.Spec.URL.Exposure != v1alpha1.ExposureIngress || !l.Options.SeesCluster() {
		return nil
	}
	var classes networkingv1.IngressClassList
	if err := l.List(ctx, &classes); err != nil {
		return fmt.Errorf("listing IngressClasses: %w", err)
	}
	l.s.Classes = classes.Items
	return nil
}

// readPods reads the pods that shall serve the endpoint, and asks those that are ready.
func (l *look) readPods(ctx context.Context) (err error) {
	if l.s.Endpoint.Spec.Gateway != nil {
		return l.readGatewayPods(ctx, l.s.Endpoint.Spec.Gateway.Name)
	}
	if l.s.Pods, err = l.podsOf(ctx, render.OwnFleet(l.s.Endpoint), l.s.Deployment); err != nil {
		return err
	}
	ready := readyOf(l.s.Pods)
	for i, answer := range l.Ask(ctx, addressesOf(ready)) {
		ready[i].Answer = answer
	}
	return nil
}

// readGatewayPods reads the gateway that the endpoint names, and what its pods say of the endpoint.
func (l *look) readGatewayPods(ctx context.Context, name string) error {
	var gateway v1alpha1.WeChatGateway
	there, err := l.get(ctx, types.NamespacedName{Namespace: l.s.Endpoint.Namespace, Name: name}, &gateway)
	if err != nil || !there {
		return err
	}
	l.s.WeChatGateway = &gateway
	fleet := render.GatewayFleet(&gateway)
	var deployment appsv1.Deployment
	there, err = l.get(ctx, types.NamespacedName{Namespace: gateway.Namespace, Name: fleet.Name}, &deployment)
	if err != nil || !there || !children.Owns(fleet, &deployment) {
		return err
	}
	l.s.GatewayDeployment = &deployment
	if l.s.Pods, err = l.podsOf(ctx, fleet, &deployment); err != nil {
		return err
	}
	ready := readyOf(l.s.Pods)
	for i, process := range l.AskShared(ctx, addressesOf(ready)) {
		ready[i].Answer = process.Of(l.s.Endpoint.Name)
	}
	return nil
}

// podsOf reads the pods that the fleet's Deployment has made.
func (w *World) podsOf(ctx context.Context, fleet render.Fleet, deployment *appsv1.Deployment) ([]snapshot.Pod, error) {
	if deployment == nil {
		return nil, nil
	}
	sets := metav1.PartialObjectMetadataList{}
	sets.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("ReplicaSetList"))
	var all corev1.PodList
	for _, list := range []client.ObjectList{&sets, &all} {
		if err := w.List(ctx, list, client.InNamespace(fleet.Namespace), client.MatchingLabels(fleet.Labels())); err != nil {
			return nil, fmt.Errorf("listing the sidecar's pods: %w", err)
		}
	}
	return pods.Of(deployment, sets.Items, all.Items), nil
}

func readyOf(all []snapshot.Pod) []*snapshot.Pod {
	var ready []*snapshot.Pod
	for i := range all {
		if all[i].Ready {
			ready = append(ready, &all[i])
		}
	}
	return ready
}

func addressesOf(ready []*snapshot.Pod) []string {
	addresses := make([]string, len(ready))
	for i, pod := range ready {
		addresses[i] = pod.Status.PodIP
	}
	return addresses
}
