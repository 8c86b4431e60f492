// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/probe"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// TestEveryReason lets the causes of each reason come about, one by one, and looks in the message for what to do, or, where there
// is nothing to do, for what is well. In docs is a test that every reason has a row.
func TestEveryReason(t *testing.T) {
	w := newWorld(t)
	secret := func(change func(*corev1.Secret)) func(*testing.T, *play) {
		return func(t *testing.T, p *play) {
			p.ask(t, anything)
			written := tokenSecret(p.namespace, "a-fine-token")
			change(written)
			p.update(t, written)
		}
	}
	auditUntil := func(until time.Time) func(*endpoint) {
		return func(e *endpoint) {
			e.Spec.Backend.Payload, e.Spec.Verification.Enforcement = v1alpha1.PayloadOriginal, v1alpha1.EnforcementInsecureAudit
			e.Spec.Verification.AuditUntil = &metav1.Time{Time: until}
		}
	}
	unpublished := func(e *endpoint) { e.Spec.URL.Exposure, e.Spec.URL.Ingress = v1alpha1.ExposureNone, nil }
	class := func(name string) func(*endpoint) {
		return func(e *endpoint) {
			e.Spec.URL.Ingress = &v1alpha1.IngressExposure{ClassName: name, TLSSecretName: "tls"}
		}
	}
	onGateway := func(e *endpoint) { withHTTPRoute(e, v1alpha1.ParentReference{Name: "edge"}) }
	app := func(namespace, name string, port intstr.IntOrString) func(*endpoint) {
		return func(e *endpoint) {
			e.Spec.Backend.Service = v1alpha1.ServiceReference{Namespace: namespace, Name: name, Port: port}
		}
	}
	authority, err := os.ReadFile("internal/render/testdata/ca.pem")
	if err != nil {
		t.Fatal(err)
	}
	tryReasons(t, w, rejections())
	tryReasons(t, w, map[string]reasonTest{
		"a spec that is allowed": {
			asked(anything),
			v1alpha1.ConditionAccepted, yes, v1alpha1.ReasonAccepted, "the spec is coherent and allowed here",
		},
		"an endpoint that is paused": {
			asked(func(e *endpoint) { e.Spec.Paused = true }),
			v1alpha1.ConditionAccepted, yes, v1alpha1.ReasonPaused, "set it to false when the operator may work on",
		},
		"no host": {
			asked(func(e *endpoint) { e.Spec.URL.Host = "" }),
			v1alpha1.ConditionAccepted, no, v1alpha1.ReasonHostRequired, "set url.host, or ask the platform team to install the operator with allowEmptyHost",
		},
		"an annotation that the installation does not allow": {
			asked(func(e *endpoint) {
				e.Spec.URL.Ingress.Annotations = map[string]v1alpha1.AnnotationValue{"example.com/run": "x"}
			}),
			v1alpha1.ConditionAccepted, no, v1alpha1.ReasonAnnotationNotAllowed, "example.com/run is not allowed here: remove it, or ask the platform team to add it to allowedIngressAnnotations",
		},
		"a class that the installation does not allow": {
			withOptions(controllers.Options{AllowedIngressClasses: []string{"inside"}}, anything),
			v1alpha1.ConditionAccepted, no, v1alpha1.ReasonIngressClassNotAllowed, "set it to one that this installation allows: inside",
		},
		"no class where the installation allows some": {
			withOptions(controllers.Options{AllowedIngressClasses: []string{"inside"}}, func(e *endpoint) { e.Spec.URL.Ingress = nil }),
			v1alpha1.ConditionAccepted, no, v1alpha1.ReasonIngressClassNotAllowed, "set it to one that this installation allows: inside",
		},
		"a host that another namespace published": {
			func(t *testing.T, p *play) {
				first := p.newPlay(t)
				first.serve(t, anything)
				p.ask(t, func(e *endpoint) { e.Spec.URL.Host, e.Spec.URL.Path = first.namespace+".example.com", "/elsewhere" })
			},
			v1alpha1.ConditionAccepted, no, v1alpha1.ReasonHostNotAllowed, "choose another host, or ask the platform team to give it to namespace fault-",
		},
		"a host that the installation gives to another namespace": {
			withOptions(controllers.Options{Hosts: controllers.Hosts{"*": {"another"}}}, anything),
			v1alpha1.ConditionAccepted, no, v1alpha1.ReasonHostNotAllowed, "choose a host that is, or ask the platform team to add it to hosts",
		},
		"an audit that ends too late": {
			asked(auditUntil(time.Now().Add(15 * 24 * time.Hour))),
			v1alpha1.ConditionAccepted, no, v1alpha1.ReasonAuditTooLong, "set an earlier time, not after 2",
		},
		"an audit that has ended": {
			asked(auditUntil(time.Now().Add(-time.Hour))),
			v1alpha1.ConditionAccepted, no, v1alpha1.ReasonAuditEnded, "remove auditUntil and set verification.enforcement to Enforce, or set a time within 14 days",
		},
		"a URL that an older endpoint asks for": {
			func(t *testing.T, p *play) {
				p.askAs(t, "older", anything)
				p.ask(t, anything)
			},
			v1alpha1.ConditionAccepted, no, v1alpha1.ReasonURLConflict, "is held by WeChatEndpoint older: choose another host, path or domain file, or delete the other endpoint",
		},
		"a URL that another namespace's endpoint has published": {
			func(t *testing.T, p *play) {
				first := p.newPlay(t)
				first.serve(t, anything)
				p.options.Hosts = controllers.Hosts{"*": {p.namespace}}
				p.ask(t, func(e *endpoint) { e.Spec.URL.Host = first.namespace + ".example.com" })
			},
			v1alpha1.ConditionAccepted, no, v1alpha1.ReasonURLConflict, "is held by an endpoint in another namespace: choose another host, path or domain file",
		},
		"a foreign object with the name of one that is needed": {
			func(t *testing.T, p *play) {
				p.create(t, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: "shop-sidecar"}})
				p.ask(t, anything)
			},
			v1alpha1.ConditionAccepted, no, v1alpha1.ReasonNameTaken, "delete or rename it, or choose another name for the endpoint",
		},

		"a Secret with a token": {
			asked(anything),
			v1alpha1.ConditionCredentialsResolved, yes, v1alpha1.ReasonCredentialsResolved, "Secret shop-wechat holds well-formed values",
		},
		"a newer token that the pods do not serve yet": {
			serving(func(t *testing.T, p *play) { p.changeToken(t) }),
			v1alpha1.ConditionCredentialsResolved, yes, v1alpha1.ReasonRotationStarting, "wait, and do not press Save (提交) in the console before",
		},
		"a newer token that nobody uses": {
			serving(func(t *testing.T, p *play) { p.changeToken(t); p.round(t) }),
			v1alpha1.ConditionCredentialsResolved, yes, v1alpha1.ReasonRotationPending, "enter them in the console and press Save (提交) now",
		},
		"a newer token that WeChat begins to use": {
			serving(func(t *testing.T, p *play) {
				p.changeToken(t)
				p.use()
			}),
			v1alpha1.ConditionCredentialsResolved, yes, v1alpha1.ReasonRotationEnding, "WeChat uses them; the earlier ones are about to end",
		},
		"a newer token that WeChat uses": {
			serving(func(t *testing.T, p *play) {
				p.changeToken(t)
				p.use()
				p.round(t)
			}),
			v1alpha1.ConditionCredentialsResolved, yes, v1alpha1.ReasonRotationEnding, "WeChat uses them; the earlier ones are accepted until 2",
		},
		"a Secret that does not exist": {
			asked(func(e *endpoint) { e.Spec.Credentials.SecretName = "missing" }),
			v1alpha1.ConditionCredentialsResolved, no, v1alpha1.ReasonSecretNotFound, "create it with the key token, and run: kubectl -n ",
		},
		"a Secret without the label": {
			secret(func(s *corev1.Secret) { s.Labels = nil }),
			v1alpha1.ConditionCredentialsResolved, no, v1alpha1.ReasonSecretNotFound, " label secret shop-wechat wechatendpoint.io/credentials=true",
		},
		"a Secret without the token": {
			secret(func(s *corev1.Secret) { s.Data = nil }),
			v1alpha1.ConditionCredentialsResolved, no, v1alpha1.ReasonSecretKeyMissing, "has no key token: put the Token of the console there",
		},
		"a token with the newline of echo": {
			secret(func(s *corev1.Secret) { s.Data["token"] = []byte("a-fine-token\n") }),
			v1alpha1.ConditionCredentialsResolved, no, v1alpha1.ReasonSecretMalformed, "write it with printf %s, or kubectl create secret --from-literal",
		},

		"a Service with the port": {
			asked(anything),
			v1alpha1.ConditionBackendResolved, yes, v1alpha1.ReasonBackendResolved, "Service app has port 8080",
		},
		"a Service that does not exist": {
			asked(app("", "missing", intstr.FromInt32(8080))),
			v1alpha1.ConditionBackendResolved, no, v1alpha1.ReasonServiceNotFound, "create it, or correct backend.service.name",
		},
		"a Service of a rule that does not exist": {
			asked(func(e *endpoint) {
				e.Spec.Rules = []v1alpha1.Rule{{Match: v1alpha1.RuleMatch{MsgType: "text"}, Action: v1alpha1.RuleActionForward, Backend: &v1alpha1.Backend{
					Service: v1alpha1.ServiceReference{Name: "missing", Port: intstr.FromInt32(8080)},
				}}}
			}),
			v1alpha1.ConditionBackendResolved, no, v1alpha1.ReasonServiceNotFound, "create it, or correct rules[0].backend.service.name",
		},
		"a Service of another namespace": {
			asked(app("kube-system", "app", intstr.FromInt32(8080))),
			v1alpha1.ConditionBackendResolved, no, v1alpha1.ReasonReferenceNotGranted, "ask its team for a ReferenceGrant from WeChatEndpoints of namespace fault-",
		},
		"a Service of a namespace that the installation does not see": {
			withOptions(controllers.Options{Namespaces: []string{"team-a"}}, app("team-b", "app", intstr.FromInt32(8080))),
			v1alpha1.ConditionBackendResolved, no, v1alpha1.ReasonReferenceNotGranted, "name a Service of the endpoint's own namespace, or ask the platform team to add team-b to watchNamespaces",
		},
		"certificates that cannot be read": {
			asked(func(e *endpoint) {
				e.Spec.Backend.TLS = &v1alpha1.BackendTLS{CABundle: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"}
			}),
			v1alpha1.ConditionBackendResolved, no, v1alpha1.ReasonTLSMalformed, "backend.tls.caBundle: a certificate in it cannot be read: copy it again from its issuer",
		},
		"a Service that leads out of the cluster": {
			func(t *testing.T, p *play) {
				service := appService(p.namespace)
				service.Name, service.Spec.Type, service.Spec.ExternalName = "elsewhere", corev1.ServiceTypeExternalName, "example.com"
				p.create(t, service)
				p.ask(t, app("", "elsewhere", intstr.FromInt32(8080)))
			},
			v1alpha1.ConditionBackendResolved, no, v1alpha1.ReasonServiceNotAllowed, "name a Service with a selector in backend.service.name",
		},
		"the sidecar's own Service": {
			serving(func(t *testing.T, p *play) { p.change(t, app("", "shop-sidecar", intstr.FromInt32(80))) }),
			v1alpha1.ConditionBackendResolved, no, v1alpha1.ReasonServiceNotAllowed, "Service shop-sidecar is a sidecar's own: name the Service of the app in backend.service.name",
		},
		"a port that the Service does not have": {
			asked(app("", "app", intstr.FromString("wep"))),
			v1alpha1.ConditionBackendResolved, no, v1alpha1.ReasonPortNotFound, "set backend.service.port to one of 8080 (web), 9000 (admin)",
		},
		"a port number in quotes": {
			asked(func(e *endpoint) { e.Spec.Backend.Service.Port = intstr.FromString("8080") }),
			v1alpha1.ConditionBackendResolved, no, v1alpha1.ReasonPortNotFound, "Service app has no TCP port of the name 8080: write a port's number without quotes, and set backend.service.port to one of 8080",
		},

		"pods that serve": {
			serving(nothing),
			v1alpha1.ConditionSidecarAvailable, yes, v1alpha1.ReasonSidecarAvailable, "every wanted pod serves this configuration and these credentials",
		},
		"pods that are not there yet": {
			asked(anything),
			v1alpha1.ConditionSidecarAvailable, no, v1alpha1.ReasonProgressing, "0 of 1 pods are ready; wait some seconds",
		},
		"pods that serve what was": {
			serving(func(_ *testing.T, p *play) { p.behind = true }),
			v1alpha1.ConditionSidecarAvailable, no, v1alpha1.ReasonProgressing, "0 of 1 pods serve this configuration; the others are starting or about to load it",
		},
		"pods that cannot be asked": {
			serving(func(_ *testing.T, p *play) { p.silent = errors.New("i/o timeout") }),
			v1alpha1.ConditionSidecarAvailable, no, v1alpha1.ReasonPodsUnreachable, "does not say what it serves (i/o timeout): check that NetworkPolicies and the service mesh let the operator reach port 8081",
		},
		"pods that a quota refuses": {
			serving(func(t *testing.T, p *play) {
				deployment := p.deployment(t)
				deployment.Status.Conditions = []appsv1.DeploymentCondition{{
					Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate", Message: "exceeded quota: compute",
				}}
				p.updateStatus(t, deployment)
			}),
			v1alpha1.ConditionSidecarAvailable, no, v1alpha1.ReasonPodsNotCreated, "exceeded quota: compute; raise the quota, or change sidecar.resources",
		},
		"pods that no node has room for": {
			serving(func(t *testing.T, p *play) {
				pod := p.pod(t)
				pod.Status.Conditions = []corev1.PodCondition{{
					Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: "0/3 nodes are available",
				}}
				p.updateStatus(t, pod)
			}),
			v1alpha1.ConditionSidecarAvailable, no, v1alpha1.ReasonPodsFailing, "it cannot be scheduled: 0/3 nodes are available; see kubectl -n fault-",
		},
		"pods whose image is not there": {
			serving(func(t *testing.T, p *play) {
				pod := p.pod(t)
				pod.Status = corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
					Name: "sidecar", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "no such image"}},
				}}}
				p.updateStatus(t, pod)
			}),
			v1alpha1.ConditionSidecarAvailable, no, v1alpha1.ReasonPodsFailing, "ImagePullBackOff: no such image; see kubectl -n fault-",
		},
		"pods whose image does not know what is asked for": {
			serving(func(t *testing.T, p *play) {
				p.change(t, func(e *endpoint) { e.Spec.Backend.TLS = &v1alpha1.BackendTLS{CABundle: string(authority)} })
			}),
			v1alpha1.ConditionSidecarAvailable, no, v1alpha1.ReasonSidecarOutdated, "Wait until the endpoint has got the installation's image (SidecarCurrent), or choose a newer sidecar.imageVersion",
		},
		"pods that a paused endpoint does not give what came since": {
			serving(func(t *testing.T, p *play) {
				p.change(t, func(e *endpoint) { e.Spec.Paused, e.Spec.AppID = true, "wx0000000000000000" })
			}),
			v1alpha1.ConditionSidecarAvailable, no, v1alpha1.ReasonPaused, "what was changed since is not served (Secret): set it to false when the operator may work on",
		},
		"no pods asked for": {
			asked(func(e *endpoint) { e.Spec.Sidecar.Replicas = new(int32(0)) }),
			v1alpha1.ConditionSidecarAvailable, no, v1alpha1.ReasonScaledToZero, "nothing answers WeChat: set it to 1 or more",
		},
		"pods of credentials that are not there": {
			asked(func(e *endpoint) { e.Spec.Credentials.SecretName = "missing" }),
			v1alpha1.ConditionSidecarAvailable, unknown, v1alpha1.ReasonWaiting, "nothing runs yet: first see to the conditions before this one",
		},

		"pods of the installation's image": {
			serving(nothing),
			v1alpha1.ConditionSidecarCurrent, yes, v1alpha1.ReasonSidecarCurrent, "the pods are what the installation asks for: image example.com/sidecar:1",
		},
		"pods of an image that the endpoint chose": {
			asked(func(e *endpoint) { e.Spec.Sidecar.ImageVersion = "canary" }),
			v1alpha1.ConditionSidecarCurrent, yes, v1alpha1.ReasonSidecarCurrent, "the pods have the image that sidecar.imageVersion asks for: example.com/sidecar:canary",
		},
		"another image of the installation": {
			serving(func(_ *testing.T, p *play) { p.install() }),
			v1alpha1.ConditionSidecarCurrent, no, v1alpha1.ReasonRollingOut, "the pods are being replaced by those that the installation asks for, none of them before the next one serves: wait",
		},
		"another image, while another endpoint gets it": {
			serving(func(t *testing.T, p *play) { p.other(t, v1alpha1.ReasonRollingOut); p.install() }),
			v1alpha1.ConditionSidecarCurrent, no, v1alpha1.ReasonRolloutQueued, "until this endpoint gets a slot of the rollout: wait",
		},
		"another image, with which another endpoint's pods failed": {
			serving(func(t *testing.T, p *play) { p.other(t, v1alpha1.ReasonRolloutFailed); p.install() }),
			v1alpha1.ConditionSidecarCurrent, no, v1alpha1.ReasonRolloutStopped, "The platform team finds it by the reason RolloutFailed; sidecar.imageVersion chooses an image for this endpoint alone",
		},
		"another image, with which the pods do not come to serve": {
			serving(func(t *testing.T, p *play) {
				p.install()
				p.reconcileTwice(t)
				p.options.Rollout.ProgressDeadline.Duration = time.Nanosecond
			}),
			v1alpha1.ConditionSidecarCurrent, no, v1alpha1.ReasonRolloutFailed, "See SidecarAvailable; then give the installation another image, or set sidecar.imageVersion or paused here",
		},
		"another image, and then the endpoint is paused": {
			serving(func(t *testing.T, p *play) {
				p.install()
				p.reconcileTwice(t)
				p.change(t, func(e *endpoint) { e.Spec.Paused = true })
			}),
			v1alpha1.ConditionSidecarCurrent, unknown, v1alpha1.ReasonPaused, "the pods go on as they are: set it to false when the operator may work on",
		},
		"another image, and then the app's Service is gone": {
			serving(func(t *testing.T, p *play) {
				p.install()
				p.reconcileTwice(t)
				p.deleteService(t)
			}),
			v1alpha1.ConditionSidecarCurrent, unknown, v1alpha1.ReasonWaiting, "the pods go on as they are: first see to the conditions that are not True",
		},

		"an Ingress of a class that exists": {
			serving(nothing),
			v1alpha1.ConditionRouteProgrammed, yes, v1alpha1.ReasonRouteProgrammed, "Ingress shop-sidecar is applied and its class exists",
		},
		"an HTTPRoute that is accepted": {
			func(t *testing.T, p *play) { p.create(t, gateway(p.namespace, "edge")); p.serve(t, onGateway) },
			v1alpha1.ConditionRouteProgrammed, yes, v1alpha1.ReasonRouteProgrammed, "HTTPRoute shop-sidecar is accepted by every Gateway that url.httpRoute names",
		},
		"a class that does not exist": {
			asked(class("missing")),
			v1alpha1.ConditionRouteProgrammed, no, v1alpha1.ReasonIngressClassNotFound, "IngressClass missing does not exist; set url.ingress.className to one of: any",
		},
		"no class where none is the default": {
			asked(class("")),
			v1alpha1.ConditionRouteProgrammed, no, v1alpha1.ReasonIngressClassNotFound, "no IngressClass is the cluster's default; set url.ingress.className to one of: any",
		},
		"no class where the installation sees none": {
			withOptions(controllers.Options{Namespaces: []string{"team-a"}}, class("")),
			v1alpha1.ConditionRouteProgrammed, no, v1alpha1.ReasonIngressClassNotFound, "set url.ingress.className, which the platform team can tell",
		},
		"an HTTPRoute where there are none": {
			func(t *testing.T, p *play) { p.bare = true; p.ask(t, onGateway) },
			v1alpha1.ConditionRouteProgrammed, no, v1alpha1.ReasonGatewayAPINotFound, "ask the platform team to install the Gateway API, or set url.exposure to Ingress",
		},
		"a Gateway that does not exist": {
			asked(onGateway),
			v1alpha1.ConditionRouteProgrammed, no, v1alpha1.ReasonGatewayNotFound, "correct url.httpRoute.parentRefs, or ask the platform team for the Gateway's name",
		},
		"a Gateway that does not answer": {
			func(t *testing.T, p *play) { p.create(t, gateway(p.namespace, "edge")); p.ask(t, onGateway) },
			v1alpha1.ConditionRouteProgrammed, no, v1alpha1.ReasonRouteNotAccepted, "wait some seconds; if it stays so, ask the platform team whether the controller of GatewayClass any runs",
		},
		"a Gateway that has not answered for the newest URL": {
			func(t *testing.T, p *play) {
				p.create(t, gateway(p.namespace, "edge"))
				p.serve(t, onGateway)
				p.change(t, func(e *endpoint) { e.Spec.URL.Path = "/another" })
			},
			v1alpha1.ConditionRouteProgrammed, no, v1alpha1.ReasonRouteNotAccepted, "has not answered for the newest HTTPRoute shop-sidecar: wait some seconds",
		},
		"a Gateway that does not allow the namespace": {
			func(t *testing.T, p *play) {
				p.create(t, gateway(p.namespace, "edge"))
				p.serve(t, onGateway)
				route := httpRoute(p.namespace)
				p.get(t, route)
				condition := &route.Status.Parents[0].Conditions[0]
				condition.Status, condition.Reason = metav1.ConditionFalse, "NotAllowedByListeners"
				p.updateStatus(t, route)
			},
			v1alpha1.ConditionRouteProgrammed, no, v1alpha1.ReasonRouteNotAccepted, "correct url.host or url.httpRoute.parentRefs, or ask the platform team to allow routes of this namespace",
		},
		"a Gateway that the installation does not see": {
			withOptions(controllers.Options{Namespaces: []string{"team-a"}}, onGateway),
			v1alpha1.ConditionRouteProgrammed, no, v1alpha1.ReasonRouteNotAccepted, "correct url.httpRoute.parentRefs, or ask the platform team",
		},
		"a published endpoint whose class is mistyped": {
			serving(func(t *testing.T, p *play) { p.change(t, class("missing")) }),
			v1alpha1.ConditionRouteProgrammed, no, v1alpha1.ReasonIngressClassNotFound, "set url.ingress.className to one of: any; what was published before is served on",
		},
		"a published endpoint whose certificate is mistyped": {
			serving(func(t *testing.T, p *play) {
				p.change(t, func(e *endpoint) { e.Spec.URL.Ingress.TLSSecretName = "missing" })
			}),
			v1alpha1.ConditionRouteProgrammed, no, v1alpha1.ReasonTLSSecretNotFound, "make it, or correct url.ingress.tlsSecretName; what was published before is served on",
		},
		"an Ingress that a finalizer keeps": {
			serving(func(t *testing.T, p *play) { p.deleteBehindFinalizer(t, &networkingv1.Ingress{}) }),
			v1alpha1.ConditionRouteProgrammed, no, v1alpha1.ReasonChildTerminating, "is being deleted and waits for finalizer example.com/stay: it is made again once it is gone; if it stays, ask whose finalizer that is",
		},
		"a Service that a finalizer keeps": {
			serving(func(t *testing.T, p *play) { p.deleteBehindFinalizer(t, &corev1.Service{}) }),
			v1alpha1.ConditionSidecarAvailable, no, v1alpha1.ReasonChildTerminating, "Service shop-sidecar is being deleted and waits for finalizer example.com/stay",
		},
		"a URL that the user routes": {
			asked(unpublished),
			v1alpha1.ConditionRouteProgrammed, yes, v1alpha1.ReasonNotPublished, "url.exposure is None: route the URL to Service shop-sidecar, port 80",
		},
		"a URL that is no longer published, because another endpoint holds it": {
			func(t *testing.T, p *play) {
				p.askAs(t, "older", func(e *endpoint) { e.Spec.URL.Path = "/another" })
				p.serve(t, anything)
				p.change(t, func(e *endpoint) { e.Spec.URL.Path = "/another" })
			},
			v1alpha1.ConditionRouteProgrammed, unknown, v1alpha1.ReasonWaiting, "this URL is not published yet: first see to the conditions before this one",
		},

		"a history that somebody deleted": {
			serving(func(t *testing.T, p *play) {
				p.changeToken(t)
				for range 3 {
					p.round(t)
				}
				for _, secret := range []string{"shop-sidecar", "shop-sidecar-copy"} {
					p.deleteChild(t, &corev1.Secret{}, secret)
				}
			}),
			v1alpha1.ConditionCredentialsResolved, no, v1alpha1.ReasonCredentialsLost, "in the console and press Save (提交) now, or put those back that the console has",
		},
		"an app that has a pod": {
			serving(nothing),
			v1alpha1.ConditionBackendAvailable, yes, v1alpha1.ReasonBackendAvailable, "every Service that the spec names has a pod that is ready",
		},
		"an app without a pod that is ready": {
			serving(func(t *testing.T, p *play) {
				slice := appSlice(p.namespace)
				p.get(t, slice)
				slice.Endpoints[0].Conditions.Ready = new(false)
				p.update(t, slice)
			}),
			v1alpha1.ConditionBackendAvailable, no, v1alpha1.ReasonNoBackendPods, "Service app has no pod that is ready, so that messages are answered as backend.onDeadline says: see kubectl -n",
		},
		"an app that the pods do not reach": {
			serving(func(_ *testing.T, p *play) { p.unreached = &config.Unreached{Cause: "late"} }),
			v1alpha1.ConditionBackendAvailable, no, v1alpha1.ReasonBackendUnreached, "lets the sidecars' pods in",
		},
		"an app that is not looked for": {
			serving(func(t *testing.T, p *play) {
				p.change(t, func(e *endpoint) { e.Spec.Backend.Service.Name = "missing" })
			}),
			v1alpha1.ConditionBackendAvailable, unknown, v1alpha1.ReasonWaiting, "first see to BackendResolved",
		},
		"pods that answer as WeChat needs it": {
			serving(nothing),
			v1alpha1.ConditionVerified, yes, v1alpha1.ReasonVerified, "each answered as WeChat needs it",
		},
		"pods that answer otherwise": {
			serving(func(_ *testing.T, p *play) { p.wrong = errors.New("the server answered 302 Found") }),
			v1alpha1.ConditionVerified, no, v1alpha1.ReasonNotVerified, "(the server answered 302 Found): check that NetworkPolicies and the service mesh let the operator reach port 8080, and see the pod's log",
		},
		"pods that do not serve yet": {
			asked(anything),
			v1alpha1.ConditionVerified, unknown, v1alpha1.ReasonWaiting, "the pods do not serve this yet: first see to SidecarAvailable",
		},

		"an address that leads to the pods": {
			serving(func(t *testing.T, p *play) { p.publish(t) }),
			v1alpha1.ConditionReachable, yes, v1alpha1.ReasonReachable, "the operator played WeChat through 203.0.113.9",
		},
		"an address that has led elsewhere for long": {
			serving(func(t *testing.T, p *play) {
				p.publish(t)
				p.lost = errors.New("the server answered 404 Not Found")
				p.age(t)
			}),
			v1alpha1.ConditionReachable, no, v1alpha1.ReasonNotReachable, "(the server answered 404 Not Found): see the ingress controller's log; if only the operator cannot get there, kubectl wechat verify tells",
		},
		"an address that a new route does not lead through yet": {
			serving(func(t *testing.T, p *play) {
				p.publish(t)
				p.lost = errors.New("the server answered 404 Not Found")
			}),
			v1alpha1.ConditionReachable, unknown, v1alpha1.ReasonProgressing, "the route is new, and 203.0.113.9 does not lead to the pods yet: wait some seconds",
		},
		"an address of a private network": {
			serving(func(t *testing.T, p *play) {
				p.publish(t)
				p.lost = &probe.NotAllowedError{Address: netip.MustParseAddr("10.1.2.3"), Private: true}
			}),
			v1alpha1.ConditionReachable, unknown, v1alpha1.ReasonAddressNotAllowed, "Ingress shop-sidecar publishes an address that the operator does not call: 10.1.2.3 is the address of a private network; try the URL with kubectl wechat verify, or ask the platform team to add the network to loadBalancerNetworks",
		},
		"an address of the operator itself": {
			serving(func(t *testing.T, p *play) {
				p.publish(t)
				p.lost = &probe.NotAllowedError{Address: netip.MustParseAddr("127.0.0.1")}
			}),
			v1alpha1.ConditionReachable, unknown, v1alpha1.ReasonAddressNotAllowed, "127.0.0.1 is a loopback, link-local, multicast or metadata address, which no route publishes; ask the platform team what publishes it",
		},
		"an Ingress without address": {
			serving(nothing),
			v1alpha1.ConditionReachable, unknown, v1alpha1.ReasonNoAddress, "Ingress shop-sidecar has no address in its status, which many controllers never report: try the URL with kubectl wechat verify",
		},
		"an address that only the user knows": {
			asked(unpublished),
			v1alpha1.ConditionReachable, unknown, v1alpha1.ReasonNoAddress, "url.exposure is None, so that the operator knows no address: try the URL with kubectl wechat verify",
		},
		"an address before pods that serve": {
			asked(anything),
			v1alpha1.ConditionReachable, unknown, v1alpha1.ReasonWaiting, "there is nothing to reach yet: first see to RouteProgrammed and Verified",
		},

		"an Ingress beside the sidecar": {
			serving(func(t *testing.T, p *play) {
				p.create(t, &networkingv1.Ingress{
					ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: "web"},
					Spec: networkingv1.IngressSpec{DefaultBackend: &networkingv1.IngressBackend{
						Service: &networkingv1.IngressServiceBackend{Name: "app", Port: networkingv1.ServiceBackendPort{Number: 8080}},
					}},
				})
			}),
			v1alpha1.ConditionBackendExposed, yes, v1alpha1.ReasonBackendExposed, "Ingress web leads to a backend too, past every check: route only paths there that take no callbacks, or let the app check X-WeChat-Gateway-Signature",
		},

		"a message for another account": {
			serving(func(t *testing.T, p *play) { p.stranger = &config.WrongReceiver{ID: "wxfedcba9876543210"} }),
			v1alpha1.ConditionWrongReceiver, yes, v1alpha1.ReasonWrongReceiver, "it is for wxfedcba9876543210, which neither appID nor receiverIDs names: correct appID, or add the id to receiverIDs",
		},

		"an endpoint of which all holds": {
			serving(nothing),
			v1alpha1.ConditionReady, yes, v1alpha1.ReasonReady, "enter the URL in the console: http://fault-",
		},
		"an endpoint of which something does not hold": {
			asked(func(e *endpoint) { e.Spec.Credentials.SecretName = "missing" }),
			v1alpha1.ConditionReady, no, v1alpha1.ReasonSecretNotFound, "CredentialsResolved: Secret missing does not exist",
		},
		"an endpoint whose objects cannot be read": {
			func(t *testing.T, p *play) { p.ask(t, anything); p.broken = errors.New("the API server is broken") },
			v1alpha1.ConditionReady, unknown, v1alpha1.ReasonWaiting, "Accepted: not known yet of this spec",
		},
		"an endpoint whose status is refused": {
			func(t *testing.T, p *play) { p.ask(t, anything); p.refusing = true },
			v1alpha1.ConditionReady, no, v1alpha1.ReasonStatusRefused, "so that the other conditions may be out of date: storing the status: WeChatEndpoint.wechatendpoint.io \"shop\" is invalid: status.credentials: Invalid value: \"x\": must be otherwise; correct what it names, or tell the platform team",
		},
		"an endpoint that is paused while it serves": {
			serving(func(t *testing.T, p *play) { p.change(t, func(e *endpoint) { e.Spec.Paused = true }) }),
			v1alpha1.ConditionReady, yes, v1alpha1.ReasonReady, "(paused: later changes of this endpoint or its Secret are not served)",
		},

		"a child that was deleted": {
			serving(func(t *testing.T, p *play) { p.deleteChildren(t) }),
			anEvent, yes, v1alpha1.ReasonChildRecreated, "Service shop-sidecar was not as this endpoint asks for: applied again",
		},
		"a child that was changed": {
			serving(func(t *testing.T, p *play) {
				deployment := p.deployment(t)
				deployment.Spec.Template.Spec.Containers[0].Image = "evil.example.com/sidecar"
				p.update(t, deployment)
			}),
			anEvent, yes, v1alpha1.ReasonChildRestored, "Deployment shop-sidecar was not as this endpoint asks for: applied again",
		},
	})
}

// rejections are the reasons that rest on what an API server refuses.
func rejections() map[string]reasonTest {
	return map[string]reasonTest{
		"a Deployment that the API server refuses": {
			asked(func(e *endpoint) {
				e.Spec.Sidecar.Resources = &corev1.ResourceRequirements{
					Requests: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")},
					Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("32Mi")},
				}
			}),
			v1alpha1.ConditionSidecarAvailable, no, v1alpha1.ReasonPodsNotCreated, "correct what sidecar asks for, or ask the platform team",
		},
		"an Ingress that the API server refuses": {
			asked(func(e *endpoint) { forbiddenHost(&e.Spec) }),
			v1alpha1.ConditionRouteProgrammed, no, v1alpha1.ReasonRouteNotAccepted, "correct url, or ask the platform team",
		},
		"what follows from it for a new endpoint": {
			func(t *testing.T, p *play) {
				p.ask(t, func(e *endpoint) { forbiddenHost(&e.Spec) })
				p.round(t)
				p.round(t)
			},
			v1alpha1.ConditionReady, no, v1alpha1.ReasonRouteNotAccepted, "RouteProgrammed: the API server refuses the Ingress",
		},
	}
}

// reasonTest is a cause, and what is told of it.
type reasonTest struct {
	cause     func(*testing.T, *play)
	condition string // or anEvent
	status    metav1.ConditionStatus
	reason    string
	message   string // part of it
}

const yes, no, unknown = metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown

type endpoint = v1alpha1.WeChatEndpoint

// asked makes an endpoint. None of its pods runs yet.
func asked(edit func(*endpoint)) func(*testing.T, *play) {
	return func(t *testing.T, p *play) { p.ask(t, edit) }
}

// serving does something to an endpoint that is Ready.
func serving(then func(*testing.T, *play)) func(*testing.T, *play) {
	return func(t *testing.T, p *play) { p.serve(t, anything); then(t, p) }
}

// withOptions makes an endpoint where the platform team chose the options.
func withOptions(options controllers.Options, edit func(*endpoint)) func(*testing.T, *play) {
	return func(t *testing.T, p *play) {
		options.SidecarImage = p.options.SidecarImage
		p.options = options
		p.ask(t, edit)
	}
}

// tryReasons brings each cause about, and looks for what is told of it.
func tryReasons(t *testing.T, w *world, tests map[string]reasonTest) {
	t.Helper()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := w.newPlay(t)
			test.cause(t, p)
			err := p.reconcile(t)
			if test.condition == anEvent {
				p.wantEvent(t, test.reason, test.message)
				return
			}
			got, told := p.told(t, test.condition, test.status, test.reason, test.message)
			if !told { // what is written is judged by the next look, which the write wakes
				err = p.reconcile(t)
				got, told = p.told(t, test.condition, test.status, test.reason, test.message)
			}
			if !told {
				t.Errorf("%s is not %s/%s with %q in it but %+v (error %v)", test.condition, test.status, test.reason, test.message, got, err)
			}
		})
	}
}

// anEvent stands for a condition in a row whose reason only events have.
const anEvent = "an event"

func (bareCluster) RESTMapper() apimeta.RESTMapper { return apimeta.NewDefaultRESTMapper(nil) }
