//go:build integration

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

func TestChildrenAreMadeAndOwned(t *testing.T) {
	namespace := newNamespace(t)
	endpoint := newEndpoint(namespace)
	create(t, endpoint)
	for _, child := range children(namespace) {
		awaitChild(t, child)
		if !metav1.IsControlledBy(child, endpoint) {
			t.Errorf("%T is not controlled by the endpoint", child)
		}
	}
	awaitCondition(t, endpoint, v1alpha1.ConditionSidecarAvailable, metav1.ConditionFalse, v1alpha1.ReasonProgressing)
	if endpoint.Status.URL != "http://"+endpoint.Spec.URL.Host+"/weixin" || endpoint.Status.Backend != "app:8080" {
		t.Errorf("status is %+v", endpoint.Status)
	}
}

func TestTheDocumentReadsBack(t *testing.T) {
	namespace := newNamespace(t)
	create(t, newEndpoint(namespace))
	served, _ := awaitFiles(t, namespace, "a-fine-token")
	if !strings.HasSuffix(served.Generation, "-1") {
		t.Errorf("generation %q", served.Generation)
	}
	if served.Backend.URL != "http://app."+namespace+".svc:8080" || served.Endpoint != namespace+"/shop" {
		t.Errorf("configuration %+v", served)
	}
}

func TestChangedTokenCountsUpAndReachesBothFiles(t *testing.T) {
	namespace := newNamespace(t)
	create(t, newEndpoint(namespace))
	awaitFiles(t, namespace, "a-fine-token")
	change(t, tokenSecret(namespace, ""), func(s *corev1.Secret) { s.Data["token"] = []byte("another-token") })
	served, credentials := awaitFiles(t, namespace, "another-token")
	if !strings.HasSuffix(served.Generation, "-2") || credentials.Pairs[0].Generation != 2 {
		t.Errorf("generation %q, pair %d; want 2", served.Generation, credentials.Pairs[0].Generation)
	}
}

func TestReadyWhenThePodsSaySo(t *testing.T) {
	onTheNewestAlone(t)
	t.Parallel()
	namespace := newNamespace(t)
	endpoint := newEndpoint(namespace)
	endpoint.Spec.Sidecar.Replicas = new(int32(1))
	create(t, endpoint)
	served, _ := awaitFiles(t, namespace, "a-fine-token")
	playPod(t, namespace, "198.51.100.7")
	cluster.pods.serve("198.51.100.7", "of-yesterday")
	awaitPodAnnotation(t, namespace, served.Generation)
	awaitCondition(t, endpoint, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonProgressing)

	cluster.pods.serve("198.51.100.7", served.Generation)
	awaitCondition(t, endpoint, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
	awaitEvent(t, namespace, v1alpha1.ReasonReady)

	before := resourceVersions(t, namespace)
	change(t, appService(namespace), func(s *corev1.Service) { s.Annotations = map[string]string{"touched": "1"} })
	time.Sleep(time.Second) // long enough for a reconcile that should write nothing
	if diff := cmp.Diff(before, resourceVersions(t, namespace)); diff != "" {
		t.Errorf("a settled endpoint was written again (-before +after):\n%s", diff)
	}
}

func TestSecretThatAppearsLateWakesTheEndpoint(t *testing.T) {
	namespace := newNamespace(t)
	endpoint := newEndpoint(namespace)
	endpoint.Spec.Credentials.SecretName = "late"
	create(t, endpoint)
	condition := awaitCondition(t, endpoint, v1alpha1.ConditionCredentialsResolved, metav1.ConditionFalse, v1alpha1.ReasonSecretNotFound)
	wantMessage(t, condition, "kubectl -n "+namespace+" label secret late wechatendpoint.io/credentials=true")
	awaitCondition(t, endpoint, v1alpha1.ConditionSidecarAvailable, metav1.ConditionUnknown, v1alpha1.ReasonWaiting)

	secret := tokenSecret(namespace, "a-fine-token")
	secret.Name, secret.Labels = "late", nil
	create(t, secret)
	change(t, secret, func(s *corev1.Secret) { s.Labels = map[string]string{v1alpha1.LabelCredentials: "true"} })
	awaitCondition(t, endpoint, v1alpha1.ConditionCredentialsResolved, metav1.ConditionTrue, v1alpha1.ReasonCredentialsResolved)
	awaitFiles(t, namespace, "a-fine-token")
}

func TestBrokenReferencesSayWhatToDo(t *testing.T) {
	for name, test := range map[string]struct {
		breakIt                    func(t *testing.T, namespace string, endpoint *v1alpha1.WeChatEndpoint)
		condition, reason, message string
	}{
		"the newline of echo": {
			breakIt: func(t *testing.T, namespace string, _ *v1alpha1.WeChatEndpoint) {
				change(t, tokenSecret(namespace, ""), func(s *corev1.Secret) { s.Data["token"] = []byte("a-fine-token\n") })
			},
			condition: v1alpha1.ConditionCredentialsResolved, reason: v1alpha1.ReasonSecretMalformed, message: "newline of echo",
		},
		"a token of which the cache keeps a part": {
			breakIt: func(t *testing.T, namespace string, _ *v1alpha1.WeChatEndpoint) {
				change(t, tokenSecret(namespace, ""), func(s *corev1.Secret) { s.Data["token"] = bytes.Repeat([]byte("a"), 4<<10) })
			},
			condition: v1alpha1.ConditionCredentialsResolved, reason: v1alpha1.ReasonSecretMalformed, message: "key token has more than 256 bytes",
		},
		"no key token": {
			breakIt: func(t *testing.T, namespace string, _ *v1alpha1.WeChatEndpoint) {
				change(t, tokenSecret(namespace, ""), func(s *corev1.Secret) { s.Data = map[string][]byte{"Token": []byte("x")} })
			},
			condition: v1alpha1.ConditionCredentialsResolved, reason: v1alpha1.ReasonSecretKeyMissing, message: "has no key token",
		},
		"the label says something else": {
			breakIt: func(t *testing.T, namespace string, _ *v1alpha1.WeChatEndpoint) {
				change(t, tokenSecret(namespace, ""), func(s *corev1.Secret) { s.Labels[v1alpha1.LabelCredentials] = "generated" })
			},
			condition: v1alpha1.ConditionCredentialsResolved, reason: v1alpha1.ReasonSecretNotFound, message: "label secret shop-wechat",
		},
		"no such Service": {
			breakIt:   func(_ *testing.T, _ string, e *v1alpha1.WeChatEndpoint) { e.Spec.Backend.Service.Name = "nobody" },
			condition: v1alpha1.ConditionBackendResolved, reason: v1alpha1.ReasonServiceNotFound, message: "Service nobody does not exist",
		},
		"no such port": {
			breakIt: func(_ *testing.T, _ string, e *v1alpha1.WeChatEndpoint) {
				e.Spec.Backend.Service.Port = intstr.FromString("wep")
			},
			condition: v1alpha1.ConditionBackendResolved, reason: v1alpha1.ReasonPortNotFound, message: "8080 (web), 9000 (admin)",
		},
		"an ExternalName Service": {
			breakIt: func(t *testing.T, namespace string, e *v1alpha1.WeChatEndpoint) {
				create(t, &corev1.Service{
					ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "elsewhere"},
					Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "example.com", Ports: []corev1.ServicePort{{Port: 8080}}},
				})
				e.Spec.Backend.Service.Name = "elsewhere"
			},
			condition: v1alpha1.ConditionBackendResolved, reason: v1alpha1.ReasonServiceNotAllowed, message: "ExternalName",
		},
		"a bare address where that is not allowed": {
			breakIt: func(_ *testing.T, _ string, e *v1alpha1.WeChatEndpoint) {
				e.Spec.URL.Host, e.Spec.URL.Exposure = "", v1alpha1.ExposureIngress
			},
			condition: v1alpha1.ConditionAccepted, reason: v1alpha1.ReasonHostRequired, message: "set url.host",
		},
		"an annotation that could reconfigure the controller": {
			breakIt: func(_ *testing.T, _ string, e *v1alpha1.WeChatEndpoint) {
				e.Spec.URL.Exposure = v1alpha1.ExposureIngress
				e.Spec.URL.Ingress = &v1alpha1.IngressExposure{Annotations: map[string]v1alpha1.AnnotationValue{"nginx.ingress.kubernetes.io/server-snippet": "x"}}
			},
			condition: v1alpha1.ConditionAccepted, reason: v1alpha1.ReasonAnnotationNotAllowed, message: "server-snippet is not allowed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			namespace := newNamespace(t)
			endpoint := newEndpoint(namespace)
			test.breakIt(t, namespace, endpoint)
			create(t, endpoint)
			wantMessage(t, awaitCondition(t, endpoint, test.condition, metav1.ConditionFalse, test.reason), test.message)
			ready := awaitCondition(t, endpoint, v1alpha1.ConditionReady, metav1.ConditionFalse, test.reason)
			wantMessage(t, ready, test.condition+": ")
			for _, child := range children(namespace) {
				err := cluster.client.Get(t.Context(), client.ObjectKeyFromObject(child), child)
				if !apierrors.IsNotFound(err) {
					t.Errorf("%T was made for an endpoint that cannot serve: %v", child, err)
				}
			}
		})
	}
}

func TestBrokenSecretLeavesAServingEndpointAlone(t *testing.T) {
	namespace := newNamespace(t)
	endpoint := newEndpoint(namespace)
	create(t, endpoint)
	before, _ := awaitFiles(t, namespace, "a-fine-token")
	if err := cluster.client.Delete(t.Context(), tokenSecret(namespace, "")); err != nil {
		t.Fatal(err)
	}
	awaitCondition(t, endpoint, v1alpha1.ConditionCredentialsResolved, metav1.ConditionFalse, v1alpha1.ReasonSecretNotFound)
	after, _ := awaitFiles(t, namespace, "a-fine-token")
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the configuration changed:\n%s", diff)
	}
}

func TestForeignObjectsAreNeverTouched(t *testing.T) {
	t.Parallel()
	for name, labels := range map[string]map[string]string{
		"one that the cache cannot see": nil,
		"one that looks like ours":      {"app.kubernetes.io/managed-by": "wechatendpoint", v1alpha1.LabelCredentials: "generated"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t)
			foreign := &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shop-sidecar", Labels: labels},
				Data:       map[string][]byte{"precious": []byte("1")},
			}
			create(t, foreign)
			version := foreign.ResourceVersion
			endpoint := newEndpoint(namespace)
			create(t, endpoint)
			condition := awaitCondition(t, endpoint, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonNameTaken)
			wantMessage(t, condition, "Secret shop-sidecar exists")
			if err := cluster.client.Get(t.Context(), client.ObjectKeyFromObject(foreign), foreign); err != nil || foreign.ResourceVersion != version {
				t.Errorf("the foreign Secret was written: %v", err)
			}
			if err := cluster.client.Delete(t.Context(), foreign); err != nil {
				t.Fatal(err)
			}
			awaitCondition(t, endpoint, v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted)
		})
	}
}

func TestDriftIsRepaired(t *testing.T) {
	namespace := newNamespace(t)
	endpoint := newEndpoint(namespace)
	create(t, endpoint)
	for _, child := range children(namespace) {
		awaitChild(t, child)
	}
	awaitCondition(t, endpoint, v1alpha1.ConditionSidecarAvailable, metav1.ConditionFalse, v1alpha1.ReasonProgressing)

	service := children(namespace)[4].(*corev1.Service)
	if err := cluster.client.Delete(t.Context(), service); err != nil {
		t.Fatal(err)
	}
	awaitChild(t, children(namespace)[4])

	deployment := children(namespace)[2].(*appsv1.Deployment)
	change(t, deployment, func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = "evil.example.com/sidecar" })
	eventually(t, func() string {
		if err := cluster.client.Get(t.Context(), client.ObjectKeyFromObject(deployment), deployment); err != nil {
			return err.Error()
		}
		if image := deployment.Spec.Template.Spec.Containers[0].Image; image != "example.com/sidecar:1" {
			return "the image is " + image
		}
		return ""
	})

	account := children(namespace)[0].(*corev1.ServiceAccount)
	change(t, account, func(a *corev1.ServiceAccount) { a.Labels, a.AutomountServiceAccountToken = nil, new(true) })
	eventually(t, func() string {
		if err := cluster.client.Get(t.Context(), client.ObjectKeyFromObject(account), account); err != nil {
			return err.Error()
		}
		if account.AutomountServiceAccountToken == nil || *account.AutomountServiceAccountToken || len(account.Labels) == 0 {
			return "an account whose labels were taken away was not restored"
		}
		return ""
	})
}

func TestExposureNoneRemovesTheIngress(t *testing.T) {
	namespace := newNamespace(t)
	endpoint := newEndpoint(namespace)
	endpoint.Spec.URL.Exposure = v1alpha1.ExposureIngress
	create(t, endpoint)
	ingress := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shop-sidecar"}}
	awaitChild(t, ingress)
	var paths []string
	for _, path := range ingress.Spec.Rules[0].HTTP.Paths {
		paths = append(paths, fmt.Sprint(*path.PathType, " ", path.Path))
	}
	if diff := cmp.Diff([]string{"Exact /weixin", "Exact /weixin/"}, paths); diff != "" {
		t.Errorf("published paths:\n%s", diff)
	}
	change(t, endpoint, func(e *v1alpha1.WeChatEndpoint) { e.Spec.URL.Exposure = v1alpha1.ExposureNone })
	eventually(t, func() string {
		if err := cluster.client.Get(t.Context(), client.ObjectKeyFromObject(ingress), ingress); !apierrors.IsNotFound(err) {
			return fmt.Sprint("the Ingress is still there: ", err)
		}
		return ""
	})
	awaitCondition(t, endpoint, v1alpha1.ConditionRouteProgrammed, metav1.ConditionTrue, v1alpha1.ReasonNotPublished)
}

func TestIngressClassThatDoesNotExist(t *testing.T) {
	namespace := newNamespace(t)
	create(t, &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: namespace}, Spec: networkingv1.IngressClassSpec{Controller: "example.com/c"}})
	endpoint := newEndpoint(namespace)
	endpoint.Spec.URL.Exposure = v1alpha1.ExposureIngress
	endpoint.Spec.URL.Ingress = &v1alpha1.IngressExposure{ClassName: "missing"}
	create(t, endpoint)
	condition := awaitCondition(t, endpoint, v1alpha1.ConditionRouteProgrammed, metav1.ConditionFalse, v1alpha1.ReasonIngressClassNotFound)
	wantMessage(t, condition, namespace)
	change(t, endpoint, func(e *v1alpha1.WeChatEndpoint) { e.Spec.URL.Ingress.ClassName = namespace })
	awaitCondition(t, endpoint, v1alpha1.ConditionRouteProgrammed, metav1.ConditionTrue, v1alpha1.ReasonRouteProgrammed)
}

func TestOneURLHasOneHolderAndIsHandedOver(t *testing.T) {
	t.Parallel()
	first, second := newNamespace(t), newNamespace(t)
	holder := newEndpoint(first)
	holder.Spec.URL.Exposure = v1alpha1.ExposureIngress
	create(t, holder)
	awaitCondition(t, holder, v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted)
	time.Sleep(time.Until(holder.CreationTimestamp.Add(1100 * time.Millisecond))) // the older holds, and ages are told in seconds
	rival := newEndpoint(second)
	rival.Spec.URL = holder.Spec.URL
	create(t, rival)
	condition := awaitCondition(t, rival, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonHostNotAllowed)
	wantMessage(t, condition, "belongs to another namespace")
	if strings.Contains(strings.ReplaceAll(condition.Message, holder.Spec.URL.Host, ""), first) {
		t.Errorf("the message tells of another namespace: %s", condition.Message)
	}
	if err := cluster.client.Delete(t.Context(), holder); err != nil {
		t.Fatal(err)
	}
	awaitCondition(t, rival, v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted)
}

func TestPausedKeepsHandsOff(t *testing.T) {
	namespace := newNamespace(t)
	endpoint := newEndpoint(namespace)
	create(t, endpoint)
	before, _ := awaitFiles(t, namespace, "a-fine-token")
	change(t, endpoint, func(e *v1alpha1.WeChatEndpoint) { e.Spec.Paused, e.Spec.AppID = true, "wx0000000000000000" })
	awaitCondition(t, endpoint, v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonPaused)
	after, _ := awaitFiles(t, namespace, "a-fine-token")
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("a paused endpoint was reconfigured:\n%s", diff)
	}
}

func awaitChild(t *testing.T, child client.Object) {
	t.Helper()
	eventually(t, func() string {
		if err := cluster.client.Get(t.Context(), client.ObjectKeyFromObject(child), child); err != nil {
			return err.Error()
		}
		return ""
	})
}

// awaitFiles waits until the document holds the token and returns it as the sidecar would read it.
func awaitFiles(t *testing.T, namespace, token string) (served config.Config, credentials config.Credentials) {
	t.Helper()
	secret := children(namespace)[1].(*corev1.Secret)
	eventually(t, func() string {
		if err := cluster.client.Get(t.Context(), client.ObjectKeyFromObject(secret), secret); err != nil {
			return err.Error()
		}
		document, err := config.Parse(secret.Data[config.File])
		if err != nil {
			return err.Error()
		}
		if served, credentials = document.Config, document.Credentials; credentials.Pairs[0].Token != token {
			return "the document is not of the new token yet"
		}
		return ""
	})
	return served, credentials
}

// playPod plays the Deployment's controller and a kubelet: there is one ready pod with that address.
func playPod(t *testing.T, namespace, address string) {
	t.Helper()
	playPodOf(t, children(namespace)[2].(*appsv1.Deployment), address)
}

func playPodOf(t *testing.T, deployment *appsv1.Deployment, address string) {
	t.Helper()
	awaitChild(t, deployment)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: deployment.Namespace, Name: deployment.Name + "-0", Labels: deployment.Spec.Template.Labels},
		Spec:       deployment.Spec.Template.Spec,
	}
	set := replicaSetOf(deployment)
	create(t, set)
	pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))}
	pod.Spec.ServiceAccountName = ""
	create(t, pod)
	pod.Status.PodIP = address
	pod.Status.PodIPs = []corev1.PodIP{{IP: address}}
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	if err := cluster.client.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		awaitChild(t, deployment)
		deployment.Annotations[revision], deployment.Status.ObservedGeneration = "1", deployment.Generation
		deployment.Status.Replicas, deployment.Status.UpdatedReplicas = 1, 1
		deployment.Status.ReadyReplicas, deployment.Status.AvailableReplicas = 1, 1
		if err := cluster.client.Status().Update(t.Context(), deployment); err != nil {
			return err.Error()
		}
		return ""
	})
}

func awaitPodAnnotation(t *testing.T, namespace, generation string) {
	t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shop-sidecar-0"}}
	eventually(t, func() string {
		awaitChild(t, pod)
		if !strings.HasPrefix(pod.Annotations[v1alpha1.AnnotationGeneration], generation+" ") {
			return fmt.Sprintf("the pod that is behind was not woken: %v", pod.Annotations)
		}
		return ""
	})
}

func awaitEvent(t *testing.T, namespace, reason string) {
	t.Helper()
	eventually(t, func() string {
		var events corev1.EventList
		if err := cluster.client.List(t.Context(), &events, client.InNamespace(namespace)); err != nil {
			return err.Error()
		}
		for _, event := range events.Items {
			if event.Reason == reason {
				return ""
			}
		}
		return "there is no event " + reason
	})
}

func resourceVersions(t *testing.T, namespace string) map[string]string {
	t.Helper()
	versions := map[string]string{}
	for _, object := range append(children(namespace), newEndpoint(namespace)) {
		awaitChild(t, object)
		versions[fmt.Sprintf("%T", object)] = object.GetResourceVersion()
	}
	return versions
}
