// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"fmt"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// act is what somebody does. Gentle acts take nothing away that serves: not even for a moment may WeChat find nothing.
type act struct {
	name   string
	gentle bool
	do     func(*testing.T, *trial) bool // reports whether there was something to do
}

// acts are what people do. What stands there twice is done twice as often.
var acts = []act{
	onSpec("a class that does not exist", func(s *v1alpha1.WeChatEndpointSpec) bool {
		if s.URL.Ingress == nil {
			return false
		}
		s.URL.Ingress.ClassName = "missing"
		return true
	}),
	onSpec("a certificate that does not exist", func(s *v1alpha1.WeChatEndpointSpec) bool {
		if s.URL.Ingress == nil {
			return false
		}
		s.URL.Ingress.TLSSecretName = "missing"
		return true
	}),
	onSpec("an annotation that is not allowed", func(s *v1alpha1.WeChatEndpointSpec) bool {
		if s.URL.Ingress == nil {
			return false
		}
		s.URL.Ingress.Annotations = map[string]v1alpha1.AnnotationValue{"not.allowed/here": "a"}
		return true
	}),
	onSpec("a Gateway that does not exist", func(s *v1alpha1.WeChatEndpointSpec) bool {
		s.URL.Exposure, s.URL.Ingress = v1alpha1.ExposureHTTPRoute, nil
		s.URL.HTTPRoute = &v1alpha1.HTTPRouteExposure{ParentRefs: []v1alpha1.ParentReference{{Name: "missing"}}}
		return true
	}),
	onSpec("a listener that does not exist", func(s *v1alpha1.WeChatEndpointSpec) bool {
		s.URL.Exposure, s.URL.Ingress = v1alpha1.ExposureHTTPRoute, nil
		s.URL.HTTPRoute = &v1alpha1.HTTPRouteExposure{ParentRefs: []v1alpha1.ParentReference{{Name: "edge", SectionName: "missing"}}}
		return true
	}),
	onSpec("the host of another team", func(s *v1alpha1.WeChatEndpointSpec) bool { s.URL.Host = "other.example.com"; return true }),
	onSpec("an app that does not exist", func(s *v1alpha1.WeChatEndpointSpec) bool { s.Backend.Service.Name = "missing"; return true }),
	onSpec("a Secret that does not exist", func(s *v1alpha1.WeChatEndpointSpec) bool { s.Credentials.SecretName = "missing"; return true }),
	onSpec("another path, and a class that does not exist", func(s *v1alpha1.WeChatEndpointSpec) bool {
		if s.URL.Ingress == nil {
			return false
		}
		s.URL.Path, s.URL.Ingress.ClassName = "/mistyped", "missing"
		return true
	}),
	{"mend the spec", true, mend},
	{"mend the spec", true, mend},
	{"mend the spec, and publish by the Gateway", true, func(t *testing.T, tr *trial) bool { tr.mend(t, v1alpha1.ExposureHTTPRoute); return true }},
	onSpec("more memory", func(s *v1alpha1.WeChatEndpointSpec) bool {
		limit := resource.MustParse("64Mi")
		if s.Sidecar.Resources != nil {
			limit.Add(*s.Sidecar.Resources.Limits.Memory())
		}
		s.Sidecar.Resources = &corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("50m"), corev1.ResourceMemory: resource.MustParse("32Mi")},
			Limits:   corev1.ResourceList{corev1.ResourceMemory: limit},
		}
		return limit.Cmp(resource.MustParse("1Gi")) < 0
	}),
	onSpec("another number of pods", func(s *v1alpha1.WeChatEndpointSpec) bool {
		if s.Sidecar.Autoscaling != nil {
			return false
		}
		s.Sidecar.Replicas = new(*s.Sidecar.Replicas%3 + 1)
		return true
	}),
	onSpec("autoscaling", func(s *v1alpha1.WeChatEndpointSpec) bool {
		s.Sidecar.Autoscaling = &v1alpha1.Autoscaling{MinReplicas: new(int32(1)), MaxReplicas: 4}
		return true
	}),
	onSpec("no autoscaling", func(s *v1alpha1.WeChatEndpointSpec) bool {
		there := s.Sidecar.Autoscaling != nil
		s.Sidecar.Autoscaling = nil
		return there
	}),
	onSpec("an image of its own", func(s *v1alpha1.WeChatEndpointSpec) bool { s.Sidecar.ImageVersion = "7"; return true }),
	onSpec("the installation's image again", func(s *v1alpha1.WeChatEndpointSpec) bool {
		there := s.Sidecar.ImageVersion != ""
		s.Sidecar.ImageVersion = ""
		return there
	}),
	onSpec("pause", func(s *v1alpha1.WeChatEndpointSpec) bool { s.Paused = true; return true }),
	{"unpause", true, unpause},
	{"unpause", true, unpause},
	{"the installation gets another image", true, func(_ *testing.T, tr *trial) bool {
		tr.options.SidecarImage = fmt.Sprintf("example.com/sidecar:%d", 1+tr.random.IntN(3))
		return true
	}},
	{"another token", true, func(t *testing.T, tr *trial) bool { return tr.newToken(t) }},
	{"press Save", true, func(t *testing.T, tr *trial) bool { return tr.save(t) }},
	{"delete the user's Secret", true, func(t *testing.T, tr *trial) bool {
		return tr.once("of the credentials") && tr.client.Delete(t.Context(), tokenSecret(tr.namespace, "")) == nil
	}},
	{"restore the user's Secret", true, func(t *testing.T, tr *trial) bool {
		return tr.client.Create(t.Context(), tokenSecret(tr.namespace, tr.token())) == nil
	}},
	onChild("delete", remove),
	onChild("delete", remove),
	onChild("empty", func(t *testing.T, tr *trial, child client.Object) bool {
		switch o := child.(type) {
		case *corev1.Secret:
			o.Data = nil
		case *corev1.Service:
			o.Spec.Selector = nil // an API server takes none without ports
		case *networkingv1.Ingress:
			o.Spec.Rules = nil
		case *gatewayv1.HTTPRoute:
			o.Spec.Rules, o.Spec.Hostnames = nil, nil
		case *appsv1.Deployment:
			o.Spec.Replicas = new(int32)
		default:
			return false
		}
		tr.update(t, child)
		return true
	}),
	{"orphan all", true, func(t *testing.T, tr *trial) bool {
		for _, child := range tr.allChildren(t) {
			child.SetOwnerReferences(nil)
			tr.update(t, child)
		}
		return true
	}},
	{"orphan one", true, func(t *testing.T, tr *trial) bool {
		all := tr.allChildren(t)
		child := all[tr.random.IntN(len(all))]
		child.SetOwnerReferences(nil)
		tr.update(t, child)
		return true
	}},
	{"delete one that a finalizer keeps", true, func(t *testing.T, tr *trial) bool {
		all := tr.allChildren(t)
		child := all[tr.random.IntN(len(all))]
		if !child.GetDeletionTimestamp().IsZero() || !tr.takesAway(child) {
			return false
		}
		child.SetFinalizers([]string{"example.com/stay"})
		tr.update(t, child)
		return tr.client.Delete(t.Context(), child) == nil
	}},
	{"take the finalizers away", false, func(t *testing.T, tr *trial) bool {
		did := false
		for _, child := range tr.allChildren(t) {
			if len(child.GetFinalizers()) > 0 {
				child.SetFinalizers(nil)
				tr.update(t, child)
				did = true
			}
		}
		return did
	}},
	{"take a name", false, func(t *testing.T, tr *trial) bool {
		all := tr.allChildren(t)
		child := all[tr.random.IntN(len(all))]
		if _, isSecret := child.(*corev1.Secret); isSecret && child.GetName() != "shop-gateway-key" {
			return false // whoever puts another Secret there has deleted what stands nowhere else
		}
		if len(child.GetFinalizers()) > 0 || tr.client.Delete(t.Context(), child) != nil {
			return false
		}
		foreign := child.DeepCopyObject().(client.Object)
		foreign.SetLabels(map[string]string{"theirs": "yes"})
		foreign.SetOwnerReferences(nil)
		foreign.SetManagedFields(nil)
		foreign.SetResourceVersion("")
		foreign.SetUID("")
		tr.create(t, foreign)
		tr.excused["a name is taken"] = true
		return true
	}},
	{"give the names back", false, giveBack},
	{"give the names back", false, giveBack},
	{"give the names back", false, giveBack},
}

func mend(t *testing.T, tr *trial) bool {
	tr.mend(t, v1alpha1.ExposureIngress)
	return true
}

func unpause(t *testing.T, tr *trial) bool {
	there := tr.endpoint(t).Spec.Paused
	tr.change(t, func(e *v1alpha1.WeChatEndpoint) { e.Spec.Paused = false })
	return there
}

func remove(t *testing.T, tr *trial, child client.Object) bool {
	return tr.client.Delete(t.Context(), child) == nil
}

func giveBack(t *testing.T, tr *trial) bool {
	did := false
	for _, child := range tr.allOfTheName(t) {
		if child.GetLabels()["theirs"] != "" {
			did = tr.client.Delete(t.Context(), child) == nil || did
		}
	}
	delete(tr.excused, "a name is taken")
	return did
}

// onSpec changes the spec.
func onSpec(name string, edit func(*v1alpha1.WeChatEndpointSpec) bool) act {
	return act{name, true, func(t *testing.T, tr *trial) bool {
		did := false
		tr.change(t, func(e *v1alpha1.WeChatEndpoint) { did = edit(&e.Spec) })
		return did
	}}
}

// onChild does something to one of the children that may take it away for a moment.
func onChild(verb string, do func(*testing.T, *trial, client.Object) bool) act {
	return act{verb + " one", false, func(t *testing.T, tr *trial) bool {
		all := tr.allChildren(t)
		child := all[tr.random.IntN(len(all))]
		return len(child.GetFinalizers()) == 0 && tr.takesAway(child) && do(t, tr, child)
	}}
}

// takesAway reports whether the child may be taken away now. What the pods are given stands in the document, its copy and the user's Secret:
// nobody loses two of them at once.
func (tr *trial) takesAway(child client.Object) bool {
	_, isSecret := child.(*corev1.Secret)
	return !isSecret || child.GetName() == "shop-gateway-key" || tr.once("of the credentials")
}

// once reports whether this is the first of its kind since the operator looked.
func (tr *trial) once(what string) bool {
	key := fmt.Sprint(len(tr.steps), what)
	if tr.did == nil {
		tr.did = map[string]bool{}
	}
	before := tr.did[key]
	tr.did[key] = true
	return !before
}

func (tr *trial) token() string {
	if tr.tokens == 0 {
		return "a-fine-token"
	}
	return fmt.Sprintf("token-%d", tr.tokens)
}

// newToken writes another token into the user's Secret, if WeChat uses the last one: preparing twice is another story.
func (tr *trial) newToken(t *testing.T) bool {
	t.Helper()
	if tr.console.token != tr.token() || !tr.once("of the credentials") {
		return false
	}
	next := tr.tokens + 1
	if tr.client.Update(t.Context(), tokenSecret(tr.namespace, fmt.Sprintf("token-%d", next))) != nil {
		return false
	}
	tr.tokens = next
	return true
}

// save enters the newest token in the console, once the status asks for that.
func (tr *trial) save(t *testing.T) bool {
	t.Helper()
	endpoint := tr.endpoint(t)
	condition := apimeta.FindStatusCondition(endpoint.Status.Conditions, v1alpha1.ConditionCredentialsResolved)
	if condition == nil || condition.Reason != v1alpha1.ReasonRotationPending || condition.ObservedGeneration != endpoint.Generation {
		return false
	}
	tr.console.token = tr.token()
	return true
}

// mend asks for what is right again.
func (tr *trial) mend(t *testing.T, exposure v1alpha1.Exposure) {
	t.Helper()
	tr.change(t, func(e *v1alpha1.WeChatEndpoint) {
		e.Spec.URL = v1alpha1.CallbackURL{Host: tr.namespace + ".example.com", Path: "/weixin", Exposure: exposure}
		if exposure == v1alpha1.ExposureHTTPRoute {
			withHTTPRoute(e, v1alpha1.ParentReference{Name: "edge", SectionName: "web"})
		} else {
			e.Spec.URL.Ingress = &v1alpha1.IngressExposure{ClassName: "any"}
		}
		e.Spec.Backend.Service.Name, e.Spec.Credentials.SecretName = "app", "shop-wechat"
	})
}

// allOfTheName are the objects that have the names of children.
func (tr *trial) allOfTheName(t *testing.T) []client.Object {
	t.Helper()
	var all []client.Object
	for _, object := range []client.Object{
		&corev1.ServiceAccount{}, &corev1.Secret{}, &appsv1.Deployment{}, &policyv1.PodDisruptionBudget{}, &corev1.Service{}, &networkingv1.NetworkPolicy{},
		&autoscalingv2.HorizontalPodAutoscaler{}, &networkingv1.Ingress{}, &gatewayv1.HTTPRoute{},
	} {
		if tr.has(t, object) {
			all = append(all, object)
		}
	}
	for _, name := range []string{"shop-gateway-key", "shop-sidecar-copy"} {
		secret := &corev1.Secret{}
		if tr.client.Get(t.Context(), client.ObjectKey{Namespace: tr.namespace, Name: name}, secret) == nil {
			all = append(all, secret)
		}
	}
	service := &corev1.Service{}
	if tr.client.Get(t.Context(), client.ObjectKey{Namespace: tr.namespace, Name: "shop-sidecar-peers"}, service) == nil {
		all = append(all, service)
	}
	return all
}

// allChildren are those that are the endpoint's.
func (tr *trial) allChildren(t *testing.T) []client.Object {
	t.Helper()
	return slices.DeleteFunc(tr.allOfTheName(t), func(o client.Object) bool { return o.GetLabels()["theirs"] != "" })
}
