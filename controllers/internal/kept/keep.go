// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package kept is what the cache holds: which objects, and what of each.
package kept

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unique"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/children"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/credentials"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/gatewayapi"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/pods"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// What the cache keeps (docs/adr/0013-what-the-operator-keeps-in-memory.md). Anybody may make objects in his namespace, as large as the API server takes
// them, with any label and any owner. So of each object are kept only the fields that are read, each of a bounded length, and of what was applied
// to a child a digest: the memory grows with the number of objects, and not with what is in them.

// Bounds of what is kept of one object.
const (
	maxName    = 253              // bytes of a name, and of any other short text
	maxQuoted  = 512              // bytes of what a message quotes
	maxData    = render.MaxShared // bytes of a sidecar's document
	maxPorts   = 256              // of a Service
	maxPaths   = 64               // of a child's route; the operator makes 18
	maxHosts   = 16               // of somebody's Ingress
	maxLeadsTo = 256              // Services that somebody's route leads to
	maxParents = 32               // of a child's HTTPRoute, as its CRD has it
)

// Notes on a kept object stand among its annotations. No stored object has one of these, since a space is no part of a key.
const (
	NoteApplied  = children.NoteApplied       // a digest of what the operator applied; empty where the object is larger than any that it makes
	NoteAround   = "applied digest around it" // likewise of a Deployment, without the pods' template
	NoteReplicas = "applied replicas"         // the operator chose the number of pods
	NoteData     = "data left out"            // because it is longer than maxData
	NoteLeadsTo  = "leads to more"            // Services than are kept
)

// Note returns the text of a note, and whether the object has it.
func Note(object client.Object, name string) (string, bool) {
	text, there := object.GetAnnotations()[name]
	return text, there
}

// addNote adds a note to what is kept, whose annotations are its own.
func addNote(kept client.Object, name, text string) {
	notes := kept.GetAnnotations()
	if notes == nil {
		notes = map[string]string{}
	}
	notes[name] = text
	kept.SetAnnotations(notes)
}

// transform is keep for an informer. It never fails: that would hold up all objects of the kind.
func transform(keep func(client.Object) client.Object) func(any) (any, error) {
	return func(object any) (any, error) {
		if o, ok := object.(client.Object); ok {
			return keep(o), nil
		}
		return object, nil // what was deleted unseen
	}
}

// Keep returns what is kept of an object. What is kept already stays as it is.
func Keep(object client.Object) client.Object {
	switch o := object.(type) {
	case *v1alpha1.WeChatGateway:
		kept := bare(o)
		kept.Spec, kept.Status, kept.Labels, kept.OwnerReferences = o.Spec, o.Status, nil, nil
		kept.Status.Conditions = keepConditions(o.Status.Conditions)
		kept.Finalizers = inUse(o.Finalizers)
		return kept
	case *v1alpha1.WeChatEndpoint:
		kept := bare(o)
		kept.Spec, kept.Status, kept.Labels, kept.OwnerReferences = o.Spec, o.Status, nil, nil
		kept.Status.Conditions = keepConditions(o.Status.Conditions)
		return kept
	case *gatewayapi.Gateway:
		return keepGateway(o)
	case *gatewayapi.ReferenceGrant:
		return keepGrant(o)
	case *networkingv1.IngressClass:
		kept := bare(o)
		kept.Labels = nil
		kept.Annotations = only(o.Annotations, networkingv1.AnnotationIsDefaultIngressClass)
		return kept
	case *corev1.Pod:
		return keepPod(o)
	case *discoveryv1.EndpointSlice:
		return keepSlice(o)
	case *metav1.PartialObjectMetadata: // of a ReplicaSet
		kept := bare(o)
		kept.Annotations = only(o.Annotations, pods.AnnotationRevision)
		return kept
	}
	return keepChild(object)
}

// keepChild is for the kinds of children.
func keepChild(object client.Object) client.Object {
	for _, name := range []string{NoteApplied, NoteData, NoteLeadsTo} {
		if _, kept := Note(object, name); kept {
			return object
		}
	}
	kept := bare(object)
	switch o := object.(type) {
	case *corev1.Secret:
		keepSecret(o, kept.(*corev1.Secret))
	case *corev1.Service:
		keepService(o, kept.(*corev1.Service))
	case *networkingv1.Ingress:
		keepIngress(o, kept.(*networkingv1.Ingress))
	case *gatewayapi.HTTPRoute:
		keepHTTPRoute(o, kept.(*gatewayapi.HTTPRoute))
	case *appsv1.Deployment:
		keepDeployment(o, kept.(*appsv1.Deployment))
	}
	if children.Is(object) {
		noteWhatWasApplied(object, kept)
		for _, finalizer := range atMost(object.GetFinalizers(), 1) { // what a deletion waits for
			kept.SetFinalizers([]string{short(finalizer)})
		}
	}
	return kept
}

// bare returns what tells which object it is, whose, and which version of it.
func bare[O client.Object](object O) O {
	kept := reflect.New(reflect.TypeOf(object).Elem()).Interface().(O)
	kept.GetObjectKind().SetGroupVersionKind(object.GetObjectKind().GroupVersionKind())
	kept.SetNamespace(interned(object.GetNamespace()))
	kept.SetName(object.GetName())
	kept.SetUID(object.GetUID())
	kept.SetResourceVersion(object.GetResourceVersion())
	kept.SetGeneration(object.GetGeneration())
	kept.SetCreationTimestamp(object.GetCreationTimestamp())
	kept.SetDeletionTimestamp(object.GetDeletionTimestamp())
	ours := maps.Keys(render.Labels(&v1alpha1.WeChatEndpoint{}))
	kept.SetLabels(only(object.GetLabels(), slices.AppendSeq([]string{v1alpha1.LabelCredentials, v1alpha1.LabelGateway}, ours)...))
	if owner := metav1.GetControllerOf(object); owner != nil { // no field of it has a bound of its own
		owner.APIVersion, owner.Kind, owner.Name, owner.UID = interned(short(owner.APIVersion)), interned(short(owner.Kind)), interned(short(owner.Name)), interned(short(owner.UID))
		kept.SetOwnerReferences([]metav1.OwnerReference{*owner})
	}
	return kept
}

// keepConditions keeps all of them. Most endpoints are in the same state, which takes the same words.
func keepConditions(conditions []metav1.Condition) []metav1.Condition {
	kept := slices.Clone(conditions)
	for i := range kept {
		c := &kept[i]
		c.Type, c.Status, c.Reason, c.Message = interned(c.Type), interned(c.Status), interned(c.Reason), interned(c.Message)
	}
	return kept
}

// only returns the entries with these keys, or nil.
func only(all map[string]string, keys ...string) map[string]string {
	var kept map[string]string
	for _, key := range keys {
		if value, ok := all[key]; ok {
			if kept == nil {
				kept = map[string]string{}
			}
			kept[key] = interned(short(value))
		}
	}
	return kept
}

// short cuts a text to maxName bytes: what is longer is no name. The rest must not stay in memory.
func short[T ~string](text T) T { return upTo(text, maxName) }

// interned is for a text that many objects have: all of them keep one copy.
func interned[T ~string](text T) T { return T(unique.Make(string(text)).Value()) }

func upTo[T ~string](text T, most int) T {
	if len(text) <= most {
		return text
	}
	return T(strings.Clone(string(text[:most])))
}

// inUse keeps the operator's own finalizer.
func inUse(finalizers []string) []string {
	if slices.Contains(finalizers, v1alpha1.FinalizerInUse) {
		return []string{v1alpha1.FinalizerInUse}
	}
	return nil
}

func atMost[T any](all []T, most int) []T { return all[:min(len(all), most)] }

// keepSlice keeps whose it is, and whether any of its pods is ready.
func keepSlice(slice *discoveryv1.EndpointSlice) *discoveryv1.EndpointSlice {
	kept := bare(slice)
	kept.OwnerReferences, kept.Labels = nil, only(slice.Labels, discoveryv1.LabelServiceName)
	if HasReadyPod(slice) {
		kept.Endpoints = []discoveryv1.Endpoint{{Conditions: discoveryv1.EndpointConditions{Ready: new(true)}}}
	}
	return kept
}

// HasReadyPod reports whether a pod of the slice is ready. One that says nothing counts as ready, by the API's documentation.
func HasReadyPod(slice *discoveryv1.EndpointSlice) bool {
	return slices.ContainsFunc(slice.Endpoints, func(e discoveryv1.Endpoint) bool { return e.Conditions.Ready == nil || *e.Conditions.Ready })
}

// keepPod keeps what tells whether a pod may be asked, and the first reason why not, but not since when.
func keepPod(pod *corev1.Pod) *corev1.Pod {
	kept := bare(pod)
	kept.Annotations = only(pod.Annotations, v1alpha1.AnnotationGeneration)
	kept.Status.PodIP = short(pod.Status.PodIP)
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady || pods.IsUnschedulable(condition) {
			kept.Status.Conditions = append(kept.Status.Conditions, corev1.PodCondition{
				Type: condition.Type, Status: short(condition.Status), Reason: short(condition.Reason), Message: upTo(condition.Message, maxQuoted),
			})
		}
	}
	kept.Status.Conditions = atMost(kept.Status.Conditions, 2)
	for _, status := range pod.Status.ContainerStatuses {
		if waiting := pods.TroubleOf(status); waiting != nil {
			kept.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
				Reason: short(waiting.Reason), Message: upTo(waiting.Message, maxQuoted),
			}}}}
			break
		}
	}
	return kept
}

// keepSecret keeps what users write for us, and what we write.
func keepSecret(secret, kept *corev1.Secret) {
	if !children.Is(secret) {
		kept.Data = credentials.Bounded(secret.Data)
		return
	}
	keys := []string{config.File, v1alpha1.GatewayKeyKey}
	if list := shardList(secret); list != "" {
		keys = []string{list} // an endpoint of the shard may be called as an endpoint's own document is
	}
	for _, key := range keys {
		if value, there := secret.Data[key]; there && len(value) > maxData {
			addNote(kept, NoteData, key)
		} else if there {
			kept.Data = map[string][]byte{key: value}
			return
		}
	}
}

// shardList is the key of the list of what a gateway's shard holds; of any other Secret it is none. What it holds is in the endpoints' own Secrets.
func shardList(secret *corev1.Secret) string {
	for number := range render.Shards {
		if strings.HasSuffix(secret.Name, fmt.Sprintf("-%d", number)) {
			return render.ShardList(number)
		}
	}
	return ""
}

// keepService keeps which ports may be named.
func keepService(service, kept *corev1.Service) {
	kept.Spec.Type = short(service.Spec.Type)
	for _, port := range atMost(service.Spec.Ports, maxPorts) {
		kept.Spec.Ports = append(kept.Spec.Ports, corev1.ServicePort{Name: short(port.Name), Port: port.Port, Protocol: short(port.Protocol)})
	}
}

// keepDeployment keeps what tells how the pods come along.
func keepDeployment(deployment, kept *appsv1.Deployment) {
	if !children.Is(deployment) {
		return
	}
	kept.Annotations = only(deployment.Annotations, v1alpha1.AnnotationTemplate, v1alpha1.AnnotationAsked, pods.AnnotationRevision)
	kept.Spec.Replicas = deployment.Spec.Replicas
	kept.Spec.Template.Spec.Containers = []corev1.Container{{Image: upTo(pods.ImageOf(deployment), maxQuoted)}}
	kept.Status = deployment.Status
	kept.Status.Conditions, kept.Status.CollisionCount = nil, nil
	for _, condition := range deployment.Status.Conditions {
		if condition.Type == appsv1.DeploymentReplicaFailure {
			kept.Status.Conditions = []appsv1.DeploymentCondition{{Type: condition.Type, Status: short(condition.Status), Message: upTo(condition.Message, maxQuoted)}}
		}
	}
}

// keepIngress keeps of a child what it publishes, and of all where they lead.
func keepIngress(ingress, kept *networkingv1.Ingress) {
	if !children.Is(ingress) {
		services, more := leadingTo(IngressServices(ingress))
		paths := make([]networkingv1.HTTPIngressPath, 0, len(services))
		for _, service := range services {
			paths = append(paths, networkingv1.HTTPIngressPath{Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: service.Name}}})
		}
		kept.Spec.Rules = []networkingv1.IngressRule{{IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{Paths: paths}}}}
		for _, host := range atMost(IngressHosts(ingress), maxHosts) {
			kept.Spec.Rules = append(kept.Spec.Rules, networkingv1.IngressRule{Host: short(host)})
		}
		if more {
			addNote(kept, NoteLeadsTo, "")
		}
		return
	}
	if ingress.Spec.IngressClassName != nil {
		kept.Spec.IngressClassName = new(short(*ingress.Spec.IngressClassName))
	}
	if len(ingress.Spec.TLS) > 0 {
		kept.Spec.TLS = []networkingv1.IngressTLS{{SecretName: short(ingress.Spec.TLS[0].SecretName)}}
	}
	for _, address := range atMost(ingress.Status.LoadBalancer.Ingress, 1) {
		kept.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: short(address.IP), Hostname: short(address.Hostname)}}
	}
	kept.Spec.DefaultBackend = keepBackend(ingress.Spec.DefaultBackend)
	left := maxPaths
	for _, rule := range atMost(ingress.Spec.Rules, maxPaths) {
		one := networkingv1.IngressRule{Host: short(rule.Host)}
		if rule.HTTP != nil {
			one.HTTP = &networkingv1.HTTPIngressRuleValue{}
			for _, path := range atMost(rule.HTTP.Paths, left) {
				backend := keepBackend(&path.Backend)
				one.HTTP.Paths = append(one.HTTP.Paths, networkingv1.HTTPIngressPath{Path: upTo(path.Path, maxQuoted), PathType: shortPointer(path.PathType), Backend: *backend})
			}
			left -= len(one.HTTP.Paths)
		}
		kept.Spec.Rules = append(kept.Spec.Rules, one)
	}
	if services, more := leadingTo(IngressServices(ingress)); more || len(services) > maxPaths {
		addNote(kept, NoteLeadsTo, "")
	}
}

func keepBackend(backend *networkingv1.IngressBackend) *networkingv1.IngressBackend {
	if backend == nil || backend.Service == nil {
		return &networkingv1.IngressBackend{}
	}
	return &networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: short(backend.Service.Name)}}
}

// keepHTTPRoute keeps of a child what it publishes and what its Gateways say, and of all where they lead.
func keepHTTPRoute(route, kept *gatewayapi.HTTPRoute) {
	services, more := leadingTo(RouteServices(route))
	if more {
		addNote(kept, NoteLeadsTo, "")
	}
	var rule gatewayapi.HTTPRouteRule
	for _, service := range services {
		rule.BackendRefs = append(rule.BackendRefs, gatewayapi.BackendReference{
			Namespace: new(gatewayv1.Namespace(service.Namespace)), Name: gatewayv1.ObjectName(service.Name),
		})
	}
	if children.Is(route) {
		for _, host := range atMost(route.Spec.Hostnames, maxPaths) {
			kept.Spec.Hostnames = append(kept.Spec.Hostnames, short(host))
		}
		for _, parent := range atMost(route.Spec.ParentRefs, maxParents) {
			kept.Spec.ParentRefs = append(kept.Spec.ParentRefs, keepParent(parent))
		}
		for _, given := range route.Spec.Rules {
			for _, match := range atMost(given.Matches, maxPaths-len(rule.Matches)) {
				if path := match.Path; path != nil {
					rule.Matches = append(rule.Matches, gatewayapi.HTTPRouteMatch{Path: &gatewayv1.HTTPPathMatch{
						Type: new(short(value(path.Type))), Value: new(upTo(value(path.Value), maxQuoted)),
					}})
				}
			}
		}
		keepParents(route, kept)
	}
	kept.Spec.Rules = []gatewayapi.HTTPRouteRule{rule}
}

func keepParents(route, kept *gatewayapi.HTTPRoute) {
	for _, parent := range atMost(route.Status.Parents, maxParents) {
		one := gatewayapi.ParentStatus{ParentRef: keepParent(parent.ParentRef)}
		for _, condition := range parent.Conditions {
			if slices.Contains(gatewayapi.JudgedConditions, gatewayv1.RouteConditionType(condition.Type)) {
				condition.Reason, condition.Message = short(condition.Reason), upTo(condition.Message, maxQuoted)
				one.Conditions = append(one.Conditions, condition)
			}
		}
		one.Conditions = atMost(one.Conditions, len(gatewayapi.JudgedConditions))
		kept.Status.Parents = append(kept.Status.Parents, one)
	}
}

// keepParent bounds a reference. What is left out stays left out: it means something.
func keepParent(parent gatewayv1.ParentReference) gatewayv1.ParentReference {
	return gatewayv1.ParentReference{
		Group: shortPointer(parent.Group), Kind: shortPointer(parent.Kind), Namespace: shortPointer(parent.Namespace), Name: short(parent.Name),
		SectionName: shortPointer(parent.SectionName), Port: parent.Port,
	}
}

func shortPointer[T ~string](text *T) *T {
	if text == nil {
		return nil
	}
	return new(short(*text))
}

func keepGateway(gateway *gatewayapi.Gateway) *gatewayapi.Gateway {
	kept := bare(gateway)
	kept.Labels, kept.OwnerReferences = nil, nil
	kept.Spec.GatewayClassName = short(gateway.Spec.GatewayClassName)
	for _, listener := range atMost(gateway.Spec.Listeners, maxPaths) {
		kept.Spec.Listeners = append(kept.Spec.Listeners, gatewayapi.Listener{
			Name: short(listener.Name), Hostname: shortPointer(listener.Hostname), Protocol: short(listener.Protocol),
			AllowedRoutes: keepAllowed(listener.AllowedRoutes),
		})
	}
	for _, address := range atMost(gateway.Status.Addresses, 1) {
		kept.Status.Addresses = []gatewayapi.Address{{Value: short(address.Value)}}
	}
	return kept
}

// keepAllowed keeps from where routes are allowed, but not which namespaces a selector chooses.
func keepAllowed(allowed *gatewayapi.AllowedRoutes) *gatewayapi.AllowedRoutes {
	if allowed == nil || allowed.Namespaces == nil {
		return nil
	}
	return &gatewayapi.AllowedRoutes{Namespaces: &gatewayapi.RouteNamespaces{From: shortPointer(allowed.Namespaces.From)}}
}

func keepGrant(grant *gatewayapi.ReferenceGrant) *gatewayapi.ReferenceGrant {
	kept := bare(grant)
	kept.Labels, kept.OwnerReferences = nil, nil
	for _, from := range atMost(grant.Spec.From, maxPaths) {
		from.Group, from.Kind, from.Namespace = short(from.Group), short(from.Kind), short(from.Namespace)
		kept.Spec.From = append(kept.Spec.From, from)
	}
	for _, to := range atMost(grant.Spec.To, maxPaths) {
		to.Group, to.Kind, to.Name = short(to.Group), short(to.Kind), shortPointer(to.Name)
		kept.Spec.To = append(kept.Spec.To, to)
	}
	return kept
}
