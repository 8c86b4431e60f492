//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// TestUpgrade begins with sidecars one version of their configuration ago, under the operator of today. Then the installation
// gets an image that does not start, and one that does, while messages come: none is lost, one endpoint gets its pods at a time,
// and the image that does not start reaches one endpoint only. It is not parallel: the others expect the image of today.
func TestUpgrade(t *testing.T) {
	rollout := []string{"sidecar.rollout.maxEndpoints=1", "sidecar.rollout.progressDeadline=10s"}
	install := func(tag string) {
		t.Helper()
		if err := kube.installSidecar(t.Context(), tag, rollout...); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { // if it fails midway
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
		defer cancel()
		if err := kube.install(ctx); err != nil {
			t.Errorf("installing the image of today: %v", err)
		}
	})
	install(kube.imageTag + "-previous")
	stages := []*stage{newStage(t, "upgrade-a"), newStage(t, "upgrade-b"), newStage(t, "upgrade-c")}
	for _, s := range stages {
		s.create(t, s.secret(), s.endpoint())
	}
	for _, s := range stages {
		s.awaitReady(t)
		s.awaitPublished(t)
	}
	restarted, secure := stages[0], stages[2]

	// A pod of an older image starts anew, with the files of this operator.
	before := restarted.sidecars(t)
	if _, err := call(t.Context(), kube.kubectl, "-n", restarted.namespace, "delete", "pod", "-l", v1alpha1.LabelEndpoint+"="+endpointName, "--wait=false"); err != nil {
		t.Fatal(err)
	}

	// What it does not know is not given to it, and its token can be changed all the same.
	authority := secure.serveByHTTPS(t)
	secure.change(t, func(spec *v1alpha1.WeChatEndpointSpec) {
		spec.Backend.Service.Port = intstr.FromString("https")
		spec.Backend.TLS = &v1alpha1.BackendTLS{CABundle: authority}
	})
	secure.await(t, v1alpha1.ConditionSidecarAvailable, metav1.ConditionFalse, v1alpha1.ReasonSidecarOutdated)
	secure.token = "EndToEndToken2"
	secure.patchSecret(t, func(secret *corev1.Secret) { secret.Data[v1alpha1.KeyToken] = []byte(secure.token) })
	secure.awaitPublished(t)
	secure.replies(t, secure.text(t, "an older sidecar"), "an older sidecar")

	restarted.awaitReplaced(t, before)
	restarted.awaitPublished(t)
	restarted.awaitReady(t)

	var stops []func()
	for _, s := range stages {
		stops = append(stops, s.load(t))
	}
	most := watchRollout(t)
	install("does-not-exist")
	eventually(t, patience, "the rollout to stop", func(ctx context.Context) error {
		states := map[string]int{}
		for _, s := range stages {
			reason, err := s.rolloutReason(ctx)
			if err != nil {
				return err
			}
			if s == secure && reason == v1alpha1.ReasonSidecarCurrent && strings.HasSuffix(s.image(t), ":does-not-exist") {
				reason = v1alpha1.ReasonRolloutStopped // it was first: its pods were outdated before, so that it stops nobody
			}
			states[reason]++
		}
		if states[v1alpha1.ReasonRolloutFailed] != 1 || states[v1alpha1.ReasonRolloutStopped] != len(stages)-1 {
			return fmt.Errorf("the endpoints are %v", states)
		}
		return nil
	})
	for _, s := range stages {
		s.await(t, v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted)
	}
	install(kube.imageTag)
	for _, s := range stages {
		s.await(t, v1alpha1.ConditionSidecarCurrent, metav1.ConditionTrue, v1alpha1.ReasonSidecarCurrent)
		s.awaitReady(t)
		if image := s.image(t); !strings.HasSuffix(image, "/sidecar:"+kube.imageTag) {
			t.Errorf("%s runs %s", s.namespace, image)
		}
	}
	if got := most(); got != 1 {
		t.Errorf("%d endpoints got new pods at a time, want 1", got)
	}
	for _, stop := range stops {
		stop()
	}
	secure.replies(t, secure.text(t, "by HTTPS"), "by HTTPS")
}

// watchRollout looks at how many endpoints get new pods at a time, and returns a function that tells the most that it saw.
func watchRollout(t *testing.T) (most func() int64) {
	t.Helper()
	var seen atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for pause(ctx) == nil {
			var endpoints v1alpha1.WeChatEndpointList
			if kube.List(ctx, &endpoints) != nil {
				continue
			}
			rolling := int64(0)
			for i := range endpoints.Items {
				c := meta.FindStatusCondition(endpoints.Items[i].Status.Conditions, v1alpha1.ConditionSidecarCurrent)
				if c != nil && c.Reason == v1alpha1.ReasonRollingOut {
					rolling++
				}
			}
			seen.Store(max(seen.Load(), rolling))
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return func() int64 { cancel(); <-done; return seen.Load() }
}

func (s *stage) rolloutReason(ctx context.Context) (string, error) {
	endpoint, err := s.current(ctx)
	if err != nil {
		return "", err
	}
	c := meta.FindStatusCondition(endpoint.Status.Conditions, v1alpha1.ConditionSidecarCurrent)
	if c == nil {
		return "", errors.New("the endpoint says nothing of its pods")
	}
	return c.Reason, nil
}

// image is that of the endpoint's pods.
func (s *stage) image(t *testing.T) string {
	t.Helper()
	var deployment appsv1.Deployment
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: s.namespace, Name: childName}, &deployment); err != nil {
		t.Fatal(err)
	}
	return deployment.Spec.Template.Spec.Containers[0].Image
}

// awaitReplaced waits until none of the sidecars is left that were there before.
func (s *stage) awaitReplaced(t *testing.T, before map[string]int32) {
	t.Helper()
	eventually(t, patience, "the old pods to be gone", func(ctx context.Context) error {
		pods, err := s.pods(ctx, client.MatchingLabels{v1alpha1.LabelEndpoint: endpointName})
		for _, pod := range pods {
			if _, old := before[string(pod.UID)]; old {
				err = fmt.Errorf("%s is still there", pod.Name)
			}
		}
		return err
	})
}

// serveByHTTPS gives the app a certificate and a port https, and returns the certificate of its issuer.
func (s *stage) serveByHTTPS(t *testing.T) string {
	t.Helper()
	secret := s.tlsSecret(t, "app-tls", appName+"."+s.namespace+".svc")
	s.create(t, secret)
	app := &appsv1.Deployment{ObjectMeta: s.object(appName)}
	service := &corev1.Service{ObjectMeta: s.object(appName)}
	for _, object := range []client.Object{app, service} {
		if err := kube.Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
			t.Fatal(err)
		}
	}
	appBefore, serviceBefore := app.DeepCopy(), service.DeepCopy()
	pod := &app.Spec.Template.Spec
	pod.Containers[0].Args = []string{"--tls-dir=/tls"}
	pod.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "tls", MountPath: "/tls", ReadOnly: true}}
	pod.Volumes = []corev1.Volume{{Name: "tls", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "app-tls"}}}}
	service.Spec.Ports = append(service.Spec.Ports, corev1.ServicePort{Name: "https", Port: 8443})
	if err := errors.Join(kube.Patch(t.Context(), app, client.MergeFrom(appBefore)), kube.Patch(t.Context(), service, client.MergeFrom(serviceBefore))); err != nil {
		t.Fatal(err)
	}
	if _, err := call(t.Context(), kube.kubectl, "-n", s.namespace, "rollout", "status", "deployment/"+appName, "--timeout", "2m"); err != nil {
		t.Fatal(err)
	}
	return string(secret.Data[corev1.TLSCertKey])
}
