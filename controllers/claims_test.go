//go:build integration

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// TestAHostBelongsToOneNamespace: a team cannot publish a path beside another team's, until that team has left the host.
func TestAHostBelongsToOneNamespace(t *testing.T) {
	onTheNewestAlone(t)
	t.Parallel()
	owner := newEndpoint(newNamespace(t))
	owner.Spec.URL.Exposure = v1alpha1.ExposureIngress
	create(t, owner)
	awaitCondition(t, owner, v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted)
	time.Sleep(time.Until(owner.CreationTimestamp.Add(1100 * time.Millisecond))) // ages are told in seconds
	stranger := newEndpoint(newNamespace(t))
	stranger.Spec.URL = owner.Spec.URL
	stranger.Spec.URL.Path = "/elsewhere"
	create(t, stranger)
	condition := awaitCondition(t, stranger, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonHostNotAllowed)
	wantMessage(t, condition, "ask the platform team to give it to namespace "+stranger.Namespace)
	if strings.Contains(strings.ReplaceAll(condition.Message, owner.Spec.URL.Host, ""), owner.Namespace) {
		t.Errorf("the message tells of another namespace: %s", condition.Message)
	}
	sibling := newEndpoint(owner.Namespace)
	sibling.Name, sibling.Spec.URL = "sibling", stranger.Spec.URL
	create(t, sibling)
	awaitCondition(t, sibling, v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted)

	for _, endpoint := range []*v1alpha1.WeChatEndpoint{owner, sibling} {
		change(t, endpoint, func(e *v1alpha1.WeChatEndpoint) { e.Spec.URL.Exposure = v1alpha1.ExposureNone })
	}
	awaitCondition(t, stranger, v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted)
}

// TestARefusedEndpointsIngressIsNoClaim: its tenant may write Ingresses, and lets that of his older, refused endpoint say what
// was refused.
func TestARefusedEndpointsIngressIsNoClaim(t *testing.T) {
	onTheNewestAlone(t)
	class, url := newHosts(t)
	thief := published(t, url("his"))
	awaitCondition(t, thief, v1alpha1.ConditionRouteProgrammed, metav1.ConditionTrue, v1alpha1.ReasonRouteProgrammed)
	holder := published(t, url("wx"))
	awaitCondition(t, holder, v1alpha1.ConditionRouteProgrammed, metav1.ConditionTrue, v1alpha1.ReasonRouteProgrammed)
	// So that the holder's claim rests on its Ingress too, as it does while a route is not programmed.
	if err := cluster.client.Delete(t.Context(), &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: class}}); err != nil {
		t.Fatal(err)
	}
	awaitCondition(t, holder, v1alpha1.ConditionRouteProgrammed, metav1.ConditionFalse, v1alpha1.ReasonIngressClassNotFound)

	change(t, thief, func(e *v1alpha1.WeChatEndpoint) { e.Spec.URL = holder.Spec.URL })
	awaitCondition(t, thief, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonHostNotAllowed)
	ingress := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: thief.Namespace, Name: "shop-sidecar"}}
	change(t, ingress, func(i *networkingv1.Ingress) {
		for r := range i.Spec.Rules {
			i.Spec.Rules[r].Host = holder.Spec.URL.Host
		}
	})
	for _, endpoint := range []*v1alpha1.WeChatEndpoint{thief, holder} {
		poke(t, endpoint)
		awaitObserved(t, endpoint)
	}
	awaitCondition(t, holder, v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted)
	awaitCondition(t, thief, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonHostNotAllowed)
}

// TestARefusedEndpointsRouteDoesNotCount: the same while the class is there, by which a route is programmed. The tenant edits the
// Ingress that the operator made, or makes one for an endpoint that had none, so that nothing asked whose the URL is.
func TestARefusedEndpointsRouteDoesNotCount(t *testing.T) {
	onTheNewestAlone(t)
	t.Parallel()
	_, url := newHosts(t)
	editing := published(t, url("his"))
	awaitCondition(t, editing, v1alpha1.ConditionRouteProgrammed, metav1.ConditionTrue, v1alpha1.ReasonRouteProgrammed)
	unexposed := v1alpha1.CallbackURL{Host: url("wx").Host, Path: "/weixin", Exposure: v1alpha1.ExposureNone}
	making := published(t, unexposed)
	awaitCondition(t, making, v1alpha1.ConditionRouteProgrammed, metav1.ConditionTrue, v1alpha1.ReasonNotPublished)
	change(t, making, func(e *v1alpha1.WeChatEndpoint) { e.Spec.Paused = true }) // the operator leaves what he makes
	awaitCondition(t, making, v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonPaused)
	time.Sleep(time.Until(making.CreationTimestamp.Add(1100 * time.Millisecond))) // ages are told in seconds
	holder := published(t, url("wx"))
	awaitCondition(t, holder, v1alpha1.ConditionRouteProgrammed, metav1.ConditionTrue, v1alpha1.ReasonRouteProgrammed)

	change(t, editing, func(e *v1alpha1.WeChatEndpoint) { e.Spec.URL = holder.Spec.URL })
	awaitCondition(t, editing, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonHostNotAllowed)
	ingress := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: editing.Namespace, Name: "shop-sidecar"}}
	change(t, ingress, func(i *networkingv1.Ingress) {
		for r := range i.Spec.Rules {
			i.Spec.Rules[r].Host = holder.Spec.URL.Host
		}
	})
	create(t, &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: making.Namespace, Name: "shop-sidecar",
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(making, v1alpha1.GroupVersion.WithKind("WeChatEndpoint"))},
		},
		Spec: ingress.Spec,
	})
	time.Sleep(settling) // so that the operator has seen it
	change(t, making, func(e *v1alpha1.WeChatEndpoint) { e.Spec.URL = holder.Spec.URL })
	for _, endpoint := range []*v1alpha1.WeChatEndpoint{editing, making, holder} {
		for range 2 { // what the first says, the second believes
			time.Sleep(settling)
			poke(t, endpoint)
			awaitObserved(t, endpoint)
		}
	}
	awaitCondition(t, holder, v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted)
	for _, thief := range []*v1alpha1.WeChatEndpoint{editing, making} {
		awaitCondition(t, thief, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonHostNotAllowed)
		awaitCondition(t, thief, v1alpha1.ConditionRouteProgrammed, metav1.ConditionUnknown, v1alpha1.ReasonWaiting)
	}
}

// TestAPublishedDomainFileIsNotTaken lets the owner of an older endpoint try what he can write, so that his endpoint would seem to have published
// a file which a younger one has: his own endpoint at any time, paused or not, and the objects by which it is published.
func TestAPublishedDomainFileIsNotTaken(t *testing.T) {
	onTheNewestAlone(t)
	t.Parallel()
	installGatewayAPI(t)
	const file = "MP_verify_a.txt"
	type endpoint = v1alpha1.WeChatEndpoint
	pause := func(e *endpoint) { e.Spec.Paused = true }
	unpause := func(e *endpoint) { e.Spec.Paused = false }
	take := func(e *endpoint) { e.Spec.DomainFiles = []v1alpha1.DomainFile{{Name: file, Content: "evil"}} }
	hide := func(e *endpoint) { e.Spec.URL.Exposure, e.Spec.URL.Ingress = v1alpha1.ExposureNone, nil }
	// publish lets the older endpoint's Ingress publish the file too: that of the operator's, or one of the tenant's making.
	publish := func(t *testing.T, older *endpoint) {
		t.Helper()
		ingress := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: older.Namespace, Name: "older-sidecar"}}
		exact := networkingv1.PathTypeExact
		backend := networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "older-sidecar", Port: networkingv1.ServiceBackendPort{Name: "http"}}}
		forged := networkingv1.IngressSpec{IngressClassName: new(older.Namespace), Rules: []networkingv1.IngressRule{{Host: older.Spec.URL.Host}}}
		for _, path := range []string{older.Spec.URL.Path, older.Spec.URL.Path + "/", "/" + file} {
			if forged.Rules[0].HTTP == nil {
				forged.Rules[0].HTTP = &networkingv1.HTTPIngressRuleValue{}
			}
			forged.Rules[0].HTTP.Paths = append(forged.Rules[0].HTTP.Paths, networkingv1.HTTPIngressPath{Path: path, PathType: &exact, Backend: backend})
		}
		if err := cluster.client.Get(t.Context(), client.ObjectKeyFromObject(ingress), ingress); err == nil {
			change(t, ingress, func(i *networkingv1.Ingress) { i.Spec = forged })
		} else {
			ingress.Spec = forged
			ingress.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(older, v1alpha1.GroupVersion.WithKind("WeChatEndpoint"))}
			create(t, ingress)
		}
		time.Sleep(settling) // so that the operator has seen it
	}
	for name, try := range map[string]func(*testing.T, *endpoint){
		"he asks for it": func(t *testing.T, older *endpoint) { change(t, older, take) },
		"he pauses, edits his Ingress and asks": func(t *testing.T, older *endpoint) {
			change(t, older, pause)
			awaitCondition(t, older, v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonPaused)
			publish(t, older)
			change(t, older, take)
			time.Sleep(settling)
			change(t, older, unpause)
		},
		"he publishes nothing any more, makes an Ingress of his own and asks": func(t *testing.T, older *endpoint) {
			tuning := older.Spec.URL.Ingress
			change(t, older, hide)
			awaitCondition(t, older, v1alpha1.ConditionRouteProgrammed, metav1.ConditionTrue, v1alpha1.ReasonNotPublished)
			change(t, older, pause)
			awaitCondition(t, older, v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonPaused)
			publish(t, older)
			change(t, older, func(e *endpoint) {
				take(e)
				e.Spec.URL.Exposure, e.Spec.URL.Ingress = v1alpha1.ExposureIngress, tuning
			})
			time.Sleep(settling)
			change(t, older, unpause)
		},
		"he makes his endpoint anew, paused, and its Ingress himself": func(t *testing.T, older *endpoint) {
			url := older.Spec.URL
			if err := cluster.client.Delete(t.Context(), older); err != nil {
				t.Fatal(err)
			}
			ingress := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: older.Namespace, Name: "older-sidecar"}}
			if err := cluster.client.Delete(t.Context(), ingress); err != nil {
				t.Fatal(err)
			}
			*older = *newEndpoint(older.Namespace)
			older.Name, older.Spec.URL, older.Spec.Paused = "older", url, true
			create(t, older)
			publish(t, older)
			change(t, older, take)
			time.Sleep(settling)
			change(t, older, unpause)
		},
		"he moves to an HTTPRoute of his own making": func(t *testing.T, older *endpoint) {
			create(t, gateway(older.Namespace, "edge"))
			change(t, older, pause)
			awaitCondition(t, older, v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonPaused)
			match := func(path string) gatewayv1.HTTPRouteMatch {
				return gatewayv1.HTTPRouteMatch{Path: &gatewayv1.HTTPPathMatch{Type: new(gatewayv1.PathMatchExact), Value: &path}}
			}
			create(t, &gatewayv1.HTTPRoute{
				ObjectMeta: metav1.ObjectMeta{
					Namespace: older.Namespace, Name: "older-sidecar",
					OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(older, v1alpha1.GroupVersion.WithKind("WeChatEndpoint"))},
				},
				Spec: gatewayv1.HTTPRouteSpec{
					Hostnames: []gatewayv1.Hostname{gatewayv1.Hostname(older.Spec.URL.Host)},
					Rules:     []gatewayv1.HTTPRouteRule{{Matches: []gatewayv1.HTTPRouteMatch{match("/older"), match("/older/"), match("/" + file)}}},
				},
			})
			time.Sleep(settling)
			change(t, older, func(e *endpoint) { take(e); withHTTPRoute(e, v1alpha1.ParentReference{Name: "edge"}) })
			time.Sleep(settling)
			change(t, older, unpause)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			class, url := newHosts(t)
			make := func(name string, files ...v1alpha1.DomainFile) *endpoint {
				e := newEndpoint(class)
				e.Name, e.Spec.URL, e.Spec.DomainFiles = name, url("wx"), files
				e.Spec.URL.Path = "/" + name
				create(t, e)
				awaitCondition(t, e, v1alpha1.ConditionRouteProgrammed, metav1.ConditionTrue, v1alpha1.ReasonRouteProgrammed)
				return e
			}
			older := make("older")
			time.Sleep(time.Until(older.CreationTimestamp.Add(1100 * time.Millisecond))) // ages are told in seconds
			victim := make("victim", v1alpha1.DomainFile{Name: file, Content: "a"})
			try(t, older)
			for _, e := range []*endpoint{older, victim, older, victim} { // what one says, the other believes
				poke(t, e)
				awaitObserved(t, e)
			}
			awaitCondition(t, older, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonURLConflict)
			awaitCondition(t, victim, v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted)
			for _, route := range get(t, older).Status.Published {
				if slices.Contains(route.Paths, "/"+file) {
					t.Errorf("the status says that it has published what was refused: %+v", route)
				}
			}
		})
	}
}

// TestWhatIsStillPublishedIsHeld: an endpoint that asks for something else, and is refused or paused, goes on publishing what it had, and so does
// one that waits for its finalizer. Nobody else gets that meanwhile; when it is given up, who waits for it gets it at once.
func TestWhatIsStillPublishedIsHeld(t *testing.T) {
	onTheNewestAlone(t)
	type endpoint = v1alpha1.WeChatEndpoint
	hide := func(e *endpoint) { e.Spec.URL.Exposure, e.Spec.URL.Ingress = v1alpha1.ExposureNone, nil }
	for name, test := range map[string]struct {
		keep, giveUp func(*testing.T, *endpoint)
	}{
		"refused": {
			func(t *testing.T, holder *endpoint) {
				change(t, holder, func(e *endpoint) {
					e.Spec.URL.Path, e.Spec.URL.Ingress.Annotations = "/elsewhere", map[string]v1alpha1.AnnotationValue{"not.allowed/here": "a"}
				})
				awaitCondition(t, holder, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonAnnotationNotAllowed)
			},
			func(t *testing.T, holder *endpoint) {
				change(t, holder, func(e *endpoint) { e.Spec.URL.Ingress.Annotations = nil })
			},
		},
		"paused": {
			func(t *testing.T, holder *endpoint) {
				change(t, holder, func(e *endpoint) { e.Spec.Paused = true; hide(e) })
				awaitCondition(t, holder, v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonPaused)
			},
			func(t *testing.T, holder *endpoint) { change(t, holder, func(e *endpoint) { e.Spec.Paused = false }) },
		},
		"about to be deleted": {
			func(t *testing.T, holder *endpoint) {
				change(t, holder, func(e *endpoint) { e.Finalizers = []string{"example.com/stay"} })
				if err := cluster.client.Delete(t.Context(), holder); err != nil {
					t.Fatal(err)
				}
			},
			func(t *testing.T, holder *endpoint) { change(t, holder, func(e *endpoint) { e.Finalizers = nil }) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, url := newHosts(t)
			holder := published(t, url("wx"))
			awaitCondition(t, holder, v1alpha1.ConditionRouteProgrammed, metav1.ConditionTrue, v1alpha1.ReasonRouteProgrammed)
			test.keep(t, holder)
			stranger := published(t, url("wx")) // of another namespace
			awaitCondition(t, stranger, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonHostNotAllowed)
			sibling := newEndpoint(holder.Namespace)
			sibling.Name, sibling.Spec.URL = "sibling", url("wx")
			create(t, sibling)
			awaitCondition(t, sibling, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonURLConflict)
			if err := cluster.client.Delete(t.Context(), stranger); err != nil { // it waits as well
				t.Fatal(err)
			}
			test.giveUp(t, holder)
			awaitCondition(t, sibling, v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted)
		})
	}
}

// newHosts makes a class, and returns its name and URLs on hosts of its own that are published by it.
func newHosts(t *testing.T) (class string, url func(host string) v1alpha1.CallbackURL) {
	t.Helper()
	class = newNamespace(t)
	newClass(t, class)
	return class, func(host string) v1alpha1.CallbackURL {
		return v1alpha1.CallbackURL{
			Host: host + "." + class + ".example.com", Path: "/weixin", Exposure: v1alpha1.ExposureIngress, Ingress: &v1alpha1.IngressExposure{ClassName: class},
		}
	}
}
