// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// crowd is some endpoints of one installation, which all serve with the first image.
type crowd struct{ scenes []*scene }

func newCrowd(t *testing.T, w *world, size int, rollout controllers.Rollout) *crowd {
	t.Helper()
	c := &crowd{}
	for range size {
		s := w.newScene(t)
		s.make(t)
		s.settle(t)
		s.options.Rollout = rollout
		c.scenes = append(c.scenes, s)
	}
	t.Cleanup(func() { // so that the next crowd is alone
		for _, s := range c.scenes {
			if err := w.client.Delete(context.Background(), newEndpoint(s.namespace)); err != nil {
				t.Error(err)
			}
		}
	})
	return c
}

// install chooses another image for the installation.
func (c *crowd) install(image string) {
	for _, s := range c.scenes {
		s.options.SidecarImage = image
	}
}

// prefer lets the installation have defaults for what endpoints leave out: those that the edit would make of nothing.
func (c *crowd) prefer(edit func(*v1alpha1.WeChatEndpointSpec)) {
	var spec v1alpha1.WeChatEndpointSpec
	edit(&spec)
	for _, s := range c.scenes {
		s.options.SidecarDefaults = spec.Sidecar.SidecarPod
	}
}

// reconcile lets the operator look at every endpoint, so often that it has nothing more to do. The pods do nothing.
func (c *crowd) reconcile(t *testing.T) {
	t.Helper()
	for range 4 {
		for _, s := range c.scenes {
			if _, err := s.reconcileWith(t, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// work lets the pods of the endpoints become what their Deployments ask for.
func work(t *testing.T, scenes ...*scene) {
	t.Helper()
	for _, s := range scenes {
		s.work(t)
	}
}

// states are the parts of the endpoints in the rollout, and the images that their Deployments ask for.
func (c *crowd) states(t *testing.T) []string {
	t.Helper()
	var states []string
	for _, s := range c.scenes {
		reason := "nothing"
		if condition := apimeta.FindStatusCondition(s.endpoint(t).Status.Conditions, v1alpha1.ConditionSidecarCurrent); condition != nil {
			reason = condition.Reason
		}
		states = append(states, reason+" "+strings.TrimPrefix(s.deployment(t).Spec.Template.Spec.Containers[0].Image, "example.com/sidecar:"))
	}
	return states
}

func (c *crowd) want(t *testing.T, states ...string) {
	t.Helper()
	c.reconcile(t)
	if diff := cmp.Diff(states, c.states(t)); diff != "" {
		t.Fatalf("reason and image of each endpoint (-want +got):\n%s", diff)
	}
}

// wantSaid holds that SidecarCurrent has the reason and says these words.
func (s *scene) wantSaid(t *testing.T, reason, words string) {
	t.Helper()
	condition := apimeta.FindStatusCondition(s.endpoint(t).Status.Conditions, v1alpha1.ConditionSidecarCurrent)
	if condition == nil || condition.Reason != reason {
		t.Fatalf("the condition is %+v, want reason %s", condition, reason)
	}
	wantMessage(t, *condition, words)
}

// TestRollout plays how another image of the installation reaches the endpoints.
func TestRollout(t *testing.T) {
	w := newWorld(t)
	two := controllers.Rollout{MaxEndpoints: 2}
	t.Run("some endpoints at a time, each until its pods serve", func(t *testing.T) {
		c := newCrowd(t, w, 5, two)
		c.want(t, "SidecarCurrent 1", "SidecarCurrent 1", "SidecarCurrent 1", "SidecarCurrent 1", "SidecarCurrent 1")
		c.install("example.com/sidecar:2")
		c.want(t, "RollingOut 2", "RollingOut 2", "RolloutQueued 1", "RolloutQueued 1", "RolloutQueued 1")
		work(t, c.scenes[0])
		c.want(t, "SidecarCurrent 2", "RollingOut 2", "RollingOut 2", "RolloutQueued 1", "RolloutQueued 1")
		work(t, c.scenes[1:3]...)
		c.want(t, "SidecarCurrent 2", "SidecarCurrent 2", "SidecarCurrent 2", "RollingOut 2", "RollingOut 2")
		if since := c.scenes[0].endpoint(t).Status.Rollout; since != nil {
			t.Errorf("an endpoint that is rolled out is still rolling since %v", since)
		}
		work(t, c.scenes[3:]...)
		c.want(t, "SidecarCurrent 2", "SidecarCurrent 2", "SidecarCurrent 2", "SidecarCurrent 2", "SidecarCurrent 2")
	})
	t.Run("the slot is written down before the pods are touched", func(t *testing.T) {
		c := newCrowd(t, w, 1, two)
		c.install("example.com/sidecar:2")
		c.scenes[0].settleOnce(t)
		if diff := cmp.Diff([]string{"RollingOut 1"}, c.states(t)); diff != "" {
			t.Errorf("after one reconcile (-want +got):\n%s", diff)
		}
	})
	t.Run("pods that fail stop it, and another image goes on", func(t *testing.T) {
		c := newCrowd(t, w, 3, controllers.Rollout{MaxEndpoints: 1})
		c.install("example.com/sidecar:2")
		c.want(t, "RollingOut 2", "RolloutQueued 1", "RolloutQueued 1")
		c.scenes[0].wantSaid(t, v1alpha1.ReasonRollingOut, "none of them before the next one serves: wait")
		c.scenes[1].wantSaid(t, v1alpha1.ReasonRolloutQueued, "until this endpoint gets a slot of the rollout: wait; at most 1 at a time have one")
		c.scenes[0].beLate(t)
		c.want(t, "RolloutFailed 2", "RolloutStopped 1", "RolloutStopped 1")
		c.scenes[0].wantSaid(t, v1alpha1.ReasonRolloutFailed, "the new pods (image example.com/sidecar:2) were not available and verified within")
		c.scenes[0].wantSaid(t, v1alpha1.ReasonRolloutFailed, "See SidecarAvailable; then give the installation another image, or set sidecar.imageVersion or paused here")
		c.scenes[1].wantSaid(t, v1alpha1.ReasonRolloutStopped, "The platform team finds it by the reason RolloutFailed")
		c.install("example.com/sidecar:3")
		c.want(t, "RollingOut 3", "RolloutQueued 1", "RolloutQueued 1")
		work(t, c.scenes[0])
		c.want(t, "SidecarCurrent 3", "RollingOut 3", "RolloutQueued 1")
		work(t, c.scenes...)
		c.want(t, "SidecarCurrent 3", "SidecarCurrent 3", "RollingOut 3")
	})
	t.Run("pods that the API server refuses stop it too, and another image goes on", func(t *testing.T) {
		c := newCrowd(t, w, 2, controllers.Rollout{MaxEndpoints: 1})
		c.prefer(tooMuch)
		c.want(t, "RollingOut 1", "RolloutQueued 1")
		c.scenes[0].beLate(t)
		c.want(t, "RolloutFailed 1", "RolloutStopped 1")
		c.scenes[0].wantSaid(t, v1alpha1.ReasonRolloutFailed, "They were refused; then give the installation another image")
		c.want(t, "RolloutFailed 1", "RolloutStopped 1")
		c.prefer(func(*v1alpha1.WeChatEndpointSpec) {})
		c.install("example.com/sidecar:3")
		c.want(t, "RollingOut 3", "RolloutQueued 1")
	})
	t.Run("what is refused before the pods holds up nobody, and leaves its pods as they are", func(t *testing.T) {
		c := newCrowd(t, w, 2, controllers.Rollout{MaxEndpoints: 1})
		c.scenes[0].edit(t, forbiddenHost)
		c.install("example.com/sidecar:2")
		c.want(t, "Waiting 1", "RollingOut 2")
	})
	t.Run("what an endpoint asks of its own pods and is refused stops nobody", func(t *testing.T) {
		c := newCrowd(t, w, 2, controllers.Rollout{MaxEndpoints: 1})
		c.scenes[0].edit(t, tooMuch)
		c.want(t, "SidecarCurrent 1", "SidecarCurrent 1")
		c.scenes[0].beLate(t)
		c.want(t, "SidecarCurrent 1", "SidecarCurrent 1")
	})
	t.Run("an operator forgets the slots that are over", func(t *testing.T) {
		c := newCrowd(t, w, 2, controllers.Rollout{MaxEndpoints: 1})
		one := &controllers.Reconciler{}
		for _, s := range c.scenes {
			s.operator = one
		}
		c.install("example.com/sidecar:2")
		c.want(t, "RollingOut 2", "RolloutQueued 1")
		c.scenes[0].edit(t, func(spec *v1alpha1.WeChatEndpointSpec) { spec.Paused = true })
		c.want(t, "Paused 2", "RollingOut 2")
		work(t, c.scenes...)
		c.want(t, "Paused 2", "SidecarCurrent 2")
		limit := corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("32Mi")}
		c.scenes[1].edit(t, func(spec *v1alpha1.WeChatEndpointSpec) {
			spec.Sidecar.Resources = &corev1.ResourceRequirements{Limits: limit}
		})
		c.scenes[0].edit(t, func(spec *v1alpha1.WeChatEndpointSpec) { spec.Paused = false })
		c.install("example.com/sidecar:3")
		c.want(t, "RollingOut 3", "RolloutQueued 2")
		work(t, c.scenes...)
		c.want(t, "SidecarCurrent 3", "RollingOut 3")
	})
	t.Run("pods that come to serve at last let it go on", func(t *testing.T) {
		c := newCrowd(t, w, 2, controllers.Rollout{MaxEndpoints: 1})
		c.install("example.com/sidecar:2")
		c.want(t, "RollingOut 2", "RolloutQueued 1")
		c.scenes[0].beLate(t)
		c.want(t, "RolloutFailed 2", "RolloutStopped 1")
		work(t, c.scenes[0])
		c.want(t, "SidecarCurrent 2", "RollingOut 2")
	})
	t.Run("what was broken before stops nobody", func(t *testing.T) {
		c := newCrowd(t, w, 2, controllers.Rollout{MaxEndpoints: 1})
		c.scenes[0].fail(t)
		c.want(t, "SidecarCurrent 1", "SidecarCurrent 1")
		time.Sleep(1100 * time.Millisecond) // times are told in seconds
		c.install("example.com/sidecar:2")
		c.want(t, "RollingOut 2", "RolloutQueued 1")
		c.scenes[0].beLate(t)
		c.want(t, "SidecarCurrent 2", "RollingOut 2")
	})
	t.Run("who is paused or refused holds up nobody", func(t *testing.T) {
		c := newCrowd(t, w, 3, controllers.Rollout{MaxEndpoints: 1})
		c.install("example.com/sidecar:2")
		c.want(t, "RollingOut 2", "RolloutQueued 1", "RolloutQueued 1")
		c.scenes[0].edit(t, func(spec *v1alpha1.WeChatEndpointSpec) { spec.Paused = true })
		c.want(t, "Paused 2", "RollingOut 2", "RolloutQueued 1")
		c.scenes[1].edit(t, func(spec *v1alpha1.WeChatEndpointSpec) {
			spec.URL.Ingress.Annotations = map[string]v1alpha1.AnnotationValue{"not.allowed/here": "a"}
		})
		c.want(t, "Paused 2", "Waiting 2", "RollingOut 2")
		work(t, c.scenes...)
		c.scenes[0].edit(t, func(spec *v1alpha1.WeChatEndpointSpec) { spec.Paused = false })
		c.scenes[1].edit(t, func(spec *v1alpha1.WeChatEndpointSpec) { spec.URL.Ingress.Annotations = nil })
		c.want(t, "SidecarCurrent 2", "SidecarCurrent 2", "SidecarCurrent 2")
	})
	t.Run("what the endpoint itself asks for does not wait, and brings no other image", func(t *testing.T) {
		c := newCrowd(t, w, 3, controllers.Rollout{MaxEndpoints: 1})
		c.install("example.com/sidecar:2")
		c.want(t, "RollingOut 2", "RolloutQueued 1", "RolloutQueued 1")
		limit := resource.MustParse("32Mi")
		c.scenes[1].edit(t, func(spec *v1alpha1.WeChatEndpointSpec) {
			spec.Sidecar.Resources = &corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceMemory: limit}}
		})
		c.scenes[2].edit(t, func(spec *v1alpha1.WeChatEndpointSpec) { spec.Sidecar.ImageVersion = "canary" })
		c.want(t, "RollingOut 2", "RolloutQueued 1", "SidecarCurrent canary")
		if got := c.scenes[1].deployment(t).Spec.Template.Spec.Containers[0].Resources.Limits.Memory(); !got.Equal(limit) {
			t.Errorf("the pods' limit is %v", got)
		}
		work(t, c.scenes...)
		c.scenes[2].edit(t, func(spec *v1alpha1.WeChatEndpointSpec) { spec.Sidecar.ImageVersion = "" })
		c.want(t, "SidecarCurrent 2", "RollingOut 2", "RolloutQueued canary")
		work(t, c.scenes...)
		c.want(t, "SidecarCurrent 2", "SidecarCurrent 2", "RollingOut 2")
	})
	t.Run("what is written into an endpoint's own Secret holds up nobody", func(t *testing.T) {
		for name, forge := range map[string]func(newest, older map[string]any){
			"an end in a year of five digits": func(newest, older map[string]any) {
				newest["generation"], older["notAfter"] = 2, "9999-12-31T23:59:59-23:59"
			},
			"one number for two pairs": func(newest, older map[string]any) {},
		} {
			t.Run(name, func(t *testing.T) {
				c := newCrowd(t, w, 2, controllers.Rollout{MaxEndpoints: 1})
				c.install("example.com/sidecar:2")
				c.want(t, "RollingOut 2", "RolloutQueued 1")
				c.scenes[0].forgePairs(t, forge)
				c.want(t, "RollingOut 2", "RolloutQueued 1")
				work(t, c.scenes[0])
				c.want(t, "SidecarCurrent 2", "RollingOut 2")
			})
		}
	})
	t.Run("defaults of the installation wait likewise, and what others change meanwhile is put back", func(t *testing.T) {
		c := newCrowd(t, w, 2, controllers.Rollout{MaxEndpoints: 1})
		c.prefer(func(spec *v1alpha1.WeChatEndpointSpec) { spec.Sidecar.NodeSelector = map[string]string{"disk": "ssd"} })
		c.want(t, "RollingOut 1", "RolloutQueued 1")
		waiting := c.scenes[1]
		deployment := waiting.deployment(t)
		deployment.Spec.Replicas = new(int32(0))
		if err := w.client.Update(t.Context(), deployment); err != nil {
			t.Fatal(err)
		}
		c.reconcile(t)
		deployment = waiting.deployment(t)
		if *deployment.Spec.Replicas != 1 || deployment.Spec.Template.Spec.NodeSelector != nil {
			t.Errorf("%d pods, node selector %v; want 1 and none yet", *deployment.Spec.Replicas, deployment.Spec.Template.Spec.NodeSelector)
		}
		waiting.edit(t, func(spec *v1alpha1.WeChatEndpointSpec) { spec.Backend.Path = "/elsewhere/" })
		c.want(t, "RollingOut 1", "RolloutQueued 1")
		if selector := waiting.deployment(t).Spec.Template.Spec.NodeSelector; selector != nil {
			t.Errorf("an edit that is none of the pods' brought them the node selector %v", selector)
		}
		work(t, c.scenes...)
		c.want(t, "SidecarCurrent 1", "RollingOut 1")
		if diff := cmp.Diff(map[string]string{"disk": "ssd"}, waiting.deployment(t).Spec.Template.Spec.NodeSelector); diff != "" {
			t.Errorf("the node selector (-want +got):\n%s", diff)
		}
	})
}

// forgePairs writes two pairs into the endpoint's generated Secret, of which the newest is its own.
func (s *scene) forgePairs(t *testing.T, forge func(newest, older map[string]any)) {
	t.Helper()
	var secret corev1.Secret
	if err := s.client.Get(t.Context(), client.ObjectKey{Namespace: s.namespace, Name: "shop-sidecar"}, &secret); err != nil {
		t.Fatal(err)
	}
	var document map[string]any
	if err := json.Unmarshal(secret.Data[config.File], &document); err != nil {
		t.Fatal(err)
	}
	file := document["credentials"].(map[string]any)
	newest := file["pairs"].([]any)[0].(map[string]any)
	older := maps.Clone(newest)
	older["token"] = "an-older-token"
	forge(newest, older)
	file["pairs"] = []any{newest, older}
	text, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	secret.Data[config.File] = text
	if err := s.client.Update(t.Context(), &secret); err != nil {
		t.Fatal(err)
	}
}

// beLate lets the operator look at the endpoint as if its pods had taken longer than they may.
func (s *scene) beLate(t *testing.T) {
	t.Helper()
	patient := s.options.Rollout
	s.options.Rollout.ProgressDeadline.Duration = time.Nanosecond
	if _, err := s.reconcileWith(t, nil); err != nil {
		t.Fatal(err)
	}
	s.options.Rollout = patient
}

// fail lets the endpoint's pod not be ready.
func (s *scene) fail(t *testing.T) {
	t.Helper()
	deployment := s.deployment(t)
	deployment.Status.AvailableReplicas, deployment.Status.ReadyReplicas = 0, 0
	if err := s.client.Status().Update(t.Context(), deployment); err != nil {
		t.Fatal(fmt.Errorf("failing the pod: %w", err))
	}
}
