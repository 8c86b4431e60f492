// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/probe"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// told returns a condition, and reports whether it says so of the newest spec.
func (p *play) told(t *testing.T, condition string, status metav1.ConditionStatus, reason, message string) (*metav1.Condition, bool) {
	t.Helper()
	found := p.endpoint(t)
	got := apimeta.FindStatusCondition(found.Status.Conditions, condition)
	return got, got != nil && got.Status == status && got.Reason == reason && got.ObservedGeneration == found.Generation && strings.Contains(got.Message, message)
}

func anything(*v1alpha1.WeChatEndpoint) {}

func nothing(*testing.T, *play) {}

// play is a scene in which the pods, the address and the cluster answer as they are told to. An operator that nobody has used
// before reconciles, as often as the play asks for it.
type play struct {
	*scene
	silent, wrong, lost error                 // of a pod that is asked what it serves, one that is called as WeChat does, and the address
	stranger            *config.WrongReceiver // of a message that the pods refused
	unreached           *config.Unreached     // of a message that they could not deliver
	behind              bool                  // the pods serve what was
	broken              error                 // of reading a Secret
	bare                bool                  // the cluster has no Gateway API
	refusing            bool                  // the API server takes no status that tells of credentials
	prober              controllers.Prober    // nil is the play itself
	events              *events.FakeRecorder
}

// newPlay is of a namespace whose endpoints go when it is over: they would have a part in the next one's rollout.
func (w *world) newPlay(t *testing.T) *play {
	t.Helper()
	p := &play{scene: w.newScene(t), events: events.NewFakeRecorder(100)}
	t.Cleanup(func() {
		if err := w.client.DeleteAllOf(context.Background(), &v1alpha1.WeChatEndpoint{}, client.InNamespace(p.namespace)); err != nil {
			t.Error(err)
		}
	})
	return p
}

// ask makes the endpoint, which is published by an Ingress unless it is asked otherwise.
func (p *play) ask(t *testing.T, edit func(*v1alpha1.WeChatEndpoint)) {
	t.Helper()
	p.askAs(t, "shop", edit)
}

func (p *play) askAs(t *testing.T, name string, edit func(*v1alpha1.WeChatEndpoint)) {
	t.Helper()
	endpoint := newEndpoint(p.namespace)
	endpoint.Name, endpoint.Spec.Sidecar.Replicas = name, new(int32(1))
	endpoint.Spec.URL.Exposure, endpoint.Spec.URL.Ingress = v1alpha1.ExposureIngress, &v1alpha1.IngressExposure{ClassName: "any"}
	edit(endpoint)
	p.create(t, endpoint)
}

// serve makes the endpoint and goes on until it is Ready.
func (p *play) serve(t *testing.T, edit func(*v1alpha1.WeChatEndpoint)) {
	t.Helper()
	p.ask(t, edit)
	for range 2 {
		p.round(t)
	}
	if found := p.endpoint(t); !apimeta.IsStatusConditionTrue(found.Status.Conditions, v1alpha1.ConditionReady) {
		t.Fatalf("the endpoint is not Ready: %+v", found.Status.Conditions)
	}
}

// round is one reconcile that succeeds, after which the cluster works.
func (p *play) round(t *testing.T) {
	t.Helper()
	if err := p.reconcile(t); err != nil {
		t.Fatal(err)
	}
	p.work(t)
}

func (p *play) reconcile(t *testing.T) error {
	t.Helper()
	var calling client.Client = interceptor.NewClient(p.operators, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
			if _, isSecret := object.(*corev1.Secret); isSecret && p.broken != nil {
				return p.broken
			}
			return getKept(ctx, c, key, object, options)
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			return listWithoutIndex(ctx, c, list, options)
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, name string, object client.Object, patch client.Patch, options ...client.SubResourcePatchOption) error {
			if text, _ := patch.Data(object); p.refusing && strings.Contains(string(text), `"credentials"`) {
				return apierrors.NewInvalid(v1alpha1.GroupVersion.WithKind("WeChatEndpoint").GroupKind(), object.GetName(), field.ErrorList{
					field.Invalid(field.NewPath("status", "credentials"), "x", "must be otherwise"),
				})
			}
			return c.SubResource(name).Patch(ctx, object, patch, options...)
		},
	})
	if p.bare {
		calling = bareCluster{calling}
	}
	r := &controllers.Reconciler{Client: calling, Live: p.operators, Events: p.events, Probe: p, Options: p.options}
	if p.prober != nil {
		r.Probe = p.prober
	}
	_, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKey{Namespace: p.namespace, Name: "shop"}})
	return err
}

// bareCluster knows none of the kinds that are not built in.
type bareCluster struct{ client.Client }

// Ask implements controllers.Prober.
func (p *play) Ask(ctx context.Context, addresses []string) []probe.Result {
	results := p.scene.Ask(ctx, addresses)
	for i := range results {
		if p.behind {
			results[i].Status.Generation = "of-yesterday"
		}
		results[i].Status.WrongReceiver, results[i].Status.Unreached = p.stranger, p.unreached
		results[i].Err = errors.Join(results[i].Err, p.silent)
	}
	return results
}

// Play implements controllers.Prober.
func (p *play) Play(_ context.Context, addresses []string, _ int, _ probe.Subject) []error {
	return slices.Repeat([]error{p.wrong}, len(addresses))
}

// Reach implements controllers.Prober.
func (p *play) Reach(context.Context, string, bool, probe.Subject) (time.Time, error) {
	return time.Time{}, p.lost
}

// install lets the installation have another image, which one endpoint gets at a time.
func (p *play) install() {
	p.options.SidecarImage, p.options.Rollout.MaxEndpoints = "example.com/sidecar:2", 1
}

// other makes an endpoint whose part in a rollout is this one.
func (p *play) other(t *testing.T, reason string) {
	t.Helper()
	p.askAs(t, "other", func(e *v1alpha1.WeChatEndpoint) { e.Spec.URL.Path = "/other" })
	other := newEndpoint(p.namespace)
	other.Name = "other"
	p.get(t, other)
	apimeta.SetStatusCondition(&other.Status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionSidecarCurrent, Status: metav1.ConditionFalse, Reason: reason, Message: "of another endpoint",
	})
	other.Status.Rollout = &v1alpha1.RolloutSlot{Since: new(metav1.Now()), Template: "a"}
	p.updateStatus(t, other)
}

// reconcileTwice gives a turn, and then the pods their image. They do not become what they should.
func (p *play) reconcileTwice(t *testing.T) {
	t.Helper()
	for range 2 {
		if err := p.reconcile(t); err != nil {
			t.Fatal(err)
		}
	}
}

// publish plays an ingress controller that reports its address.
func (p *play) publish(t *testing.T) {
	t.Helper()
	ingress := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: "shop-sidecar"}}
	p.get(t, ingress)
	ingress.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: "203.0.113.9"}}
	p.updateStatus(t, ingress)
}

// age lets every condition be an hour old.
func (p *play) age(t *testing.T) {
	t.Helper()
	endpoint := p.endpoint(t)
	for i := range endpoint.Status.Conditions {
		endpoint.Status.Conditions[i].LastTransitionTime = metav1.NewTime(time.Now().Add(-time.Hour))
	}
	p.updateStatus(t, endpoint)
}

// change edits the endpoint.
func (p *play) change(t *testing.T, edit func(*v1alpha1.WeChatEndpoint)) {
	t.Helper()
	endpoint := p.endpoint(t)
	edit(endpoint)
	p.update(t, endpoint)
}

// pod is the one that there is.
func (p *play) pod(t *testing.T) *corev1.Pod {
	t.Helper()
	var pods corev1.PodList
	if err := p.client.List(t.Context(), &pods, client.InNamespace(p.namespace)); err != nil || len(pods.Items) != 1 {
		t.Fatalf("%d pods, %v", len(pods.Items), err)
	}
	return &pods.Items[0]
}

func (p *play) get(t *testing.T, object client.Object) {
	t.Helper()
	if err := p.client.Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
		t.Fatal(err)
	}
}

func (p *play) update(t *testing.T, object client.Object) {
	t.Helper()
	if err := p.client.Update(t.Context(), object); err != nil {
		t.Fatal(err)
	}
}

func (p *play) updateStatus(t *testing.T, object client.Object) {
	t.Helper()
	if err := p.client.Status().Update(t.Context(), object); err != nil {
		t.Fatal(err)
	}
}

// deleteBehindFinalizer deletes a child, which stays until somebody takes its finalizer away.
func (p *play) deleteBehindFinalizer(t *testing.T, child client.Object) {
	t.Helper()
	child.SetNamespace(p.namespace)
	child.SetName("shop-sidecar")
	p.get(t, child)
	child.SetFinalizers([]string{"example.com/stay"})
	p.update(t, child)
	if err := p.client.Delete(t.Context(), child); err != nil {
		t.Fatal(err)
	}
}

// wantEvent looks at the events so far.
func (p *play) wantEvent(t *testing.T, reason, message string) {
	t.Helper()
	var all []string
	for len(p.events.Events) > 0 {
		all = append(all, <-p.events.Events)
	}
	if !slices.ContainsFunc(all, func(event string) bool {
		return strings.Contains(event, " "+reason+" ") && strings.Contains(event, message)
	}) {
		t.Errorf("no event has the reason %s and says %q: %v", reason, message, all)
	}
}

// settleAs goes on for some rounds, after which the condition must not hold for that reason.
func (p *play) settleAs(t *testing.T, condition, reason string) {
	t.Helper()
	for range 3 {
		p.round(t)
	}
	p.wantCondition(t, condition, metav1.ConditionFalse, reason)
	p.wantCondition(t, v1alpha1.ConditionReady, metav1.ConditionFalse, reason)
}

func (p *play) wantCondition(t *testing.T, condition string, status metav1.ConditionStatus, reason string) {
	t.Helper()
	for _, c := range p.endpoint(t).Status.Conditions {
		if c.Type == condition && c.Status == status && c.Reason == reason {
			return
		}
	}
	t.Fatalf("%s is not %s for the reason %s: %+v", condition, status, reason, p.endpoint(t).Status.Conditions)
}

// files is what the pods are given.
func (p *play) files(t *testing.T) (config.Config, config.Credentials) {
	t.Helper()
	document, err := config.Parse(p.secret(t).Data[config.File])
	if err != nil {
		t.Fatal(err)
	}
	return document.Config, document.Credentials
}

// secret has the document.
func (p *play) secret(t *testing.T) *corev1.Secret {
	t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: "shop-sidecar"}}
	p.get(t, secret)
	return secret
}
