//go:build integration

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/test/cgroup"
)

// memoryLimit is the operator's memory limit in the chart. Bytes.
const memoryLimit = 256 << 20

// TestMemory runs the operator's own program within the memory of its pod, beside a thousand endpoints and tenants who fill their objects
// as far as the API server takes them. It must begin, whether the API server streams the objects or lists them, and live on while the
// tenants write.
func TestMemory(t *testing.T) {
	onTheNewestAlone(t)
	atLength(t)
	t.Parallel()
	cgroup.New(t, memoryLimit) // skips where there are none
	w := newServer(t)
	kubeconfig, program := w.kubeconfig(t), buildOperator(t)
	const thousand = 1000
	began := time.Now()
	tenants := crammed(t, w)
	endpoints := w.pausedEndpoints(t, thousand)
	w.createAll(t, append(slices.Clone(tenants), endpoints...))
	fmt.Printf("memory: %d endpoints and %d objects of tenants are written in %v\n", thousand, len(tenants), time.Since(began).Round(time.Second))
	fmt.Println("memory: the operator of 256 MiB            | peak MiB | RSS MiB | kills")
	for _, test := range []struct{ what, environment string }{
		{"begins, the objects are listed", "KUBE_FEATURE_WatchListClient=false"},
		{"begins, the objects are streamed", "KUBE_FEATURE_WatchListClient=true"},
	} {
		group := cgroup.New(t, memoryLimit)
		operator := startProgram(t, group, program, kubeconfig, test.environment)
		operator.await("Starting workers")
		w.awaitTold(t, operator, endpoints[0].GetNamespace(), thousand/10) // so that it works
		row := func(what string) {
			fmt.Printf("memory: %-35s| %8d | %7d | %d\n", what, group.Peak()>>20, group.RSS()>>20, group.Kills())
		}
		row(test.what)
		if test.environment == "KUBE_FEATURE_WatchListClient=true" {
			w.touchAll(t, tenants[len(tenants)-120:]) // some of the Secrets, and all others
			row("the tenants write all at once")
		}
		if operator.ended() || group.Kills() != 0 {
			t.Errorf("%s: the operator ended, %d kills: %.2000s", test.what, group.Kills(), operator.log)
		}
		operator.stop()
	}
}

// pausedEndpoints makes endpoints that cost the operator one write each: it stores their status, and makes no children.
func (w *world) pausedEndpoints(t *testing.T, count int) []client.Object {
	t.Helper()
	s := w.newScene(t)
	var endpoints []client.Object
	for i := range count {
		endpoint := newEndpoint(s.namespace)
		endpoint.Name, endpoint.Spec.URL.Path, endpoint.Spec.Paused = fmt.Sprintf("good-%d", i), fmt.Sprintf("/good-%d", i), true
		endpoints = append(endpoints, endpoint)
	}
	return endpoints
}

// kubeconfig is a file by which a program gets to the API server as an administrator.
func (w *server) kubeconfig(t *testing.T) string {
	t.Helper()
	user, err := w.environment.AddUser(envtest.User{Name: "operator", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := user.KubeConfig()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func buildOperator(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "operator")
	if output, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../cmd/operator").CombinedOutput(); err != nil {
		t.Fatalf("building the operator: %v\n%s", err, output)
	}
	return program
}

// program is an operator that runs in a cgroup.
type program struct {
	command *exec.Cmd
	log     *safeLog
	done    chan struct{}
}

func startProgram(t *testing.T, group *cgroup.Group, path, kubeconfig, environment string) *program {
	t.Helper()
	config := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(config, []byte("sidecarImage: example.com/sidecar:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &program{log: &safeLog{}, done: make(chan struct{})}
	p.command = group.Command(ctx, path, "--config="+config, "--metrics-bind-address=0", "--health-probe-bind-address=0")
	p.command.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, environment, "GOGC=") // as in its pod
	p.command.Stderr = p.log
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cancel)
	go func() {
		_ = p.command.Wait()
		close(p.done)
	}()
	return p
}

func (p *program) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (p *program) stop() {
	_ = p.command.Process.Kill()
	<-p.done
}

// await waits for words in the log, or for the end of the program.
func (p *program) await(words string) {
	for deadline := time.Now().Add(time.Minute); !strings.Contains(p.log.String(), words); time.Sleep(50 * time.Millisecond) {
		if p.ended() || time.Now().After(deadline) {
			return
		}
	}
}

// awaitTold waits until so many endpoints of the namespace have a status, or the program has ended.
func (w *world) awaitTold(t *testing.T, p *program, namespace string, count int) {
	t.Helper()
	told := 0
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline) && !p.ended(); time.Sleep(time.Second) {
		var all v1alpha1.WeChatEndpointList
		if err := w.client.List(t.Context(), &all, client.InNamespace(namespace)); err != nil {
			t.Fatal(err)
		}
		told = 0
		for i := range all.Items {
			if apimeta.FindStatusCondition(all.Items[i].Status.Conditions, v1alpha1.ConditionAccepted) != nil {
				told++
			}
		}
		if told >= count {
			return
		}
	}
	t.Errorf("%d endpoints have a status, want %d", told, count)
}

func (w *world) createAll(t *testing.T, objects []client.Object) {
	t.Helper()
	var group errgroup.Group
	group.SetLimit(16)
	for _, object := range objects {
		group.Go(func() error {
			if err := w.client.Create(t.Context(), object); err != nil {
				return fmt.Errorf("creating %T %s: %.300w", object, object.GetName(), err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

// touchAll changes the objects a little, and many at once: each is sent anew to who watches it.
func (w *world) touchAll(t *testing.T, objects []client.Object) {
	t.Helper()
	var group errgroup.Group
	group.SetLimit(16)
	for _, object := range objects {
		group.Go(func() error {
			return w.client.Patch(t.Context(), object, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"touched":"yes"}}}`)))
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

// manyLabels are about so many KiB of labels, with those that mark what is the operator's.
func manyLabels(kib int) map[string]string {
	labels := map[string]string{"app.kubernetes.io/managed-by": "wechatendpoint", v1alpha1.LabelEndpoint: "good-1", v1alpha1.LabelCredentials: "true"}
	prefix := strings.Repeat("a", 63) + "." + strings.Repeat("b", 63) + "." + strings.Repeat("c", 63) + ".d"
	for i := range kib << 10 / (len(prefix) + 1 + 63 + 63) {
		labels[fmt.Sprintf("%s/k%062d", prefix, i)] = strings.Repeat("v", 63)
	}
	return labels
}

// crammed are objects of every kind that the operator looks at, as large as the API server takes them, in a namespace of their own.
func crammed(t *testing.T, w *server) []client.Object {
	t.Helper()
	installGatewayDefinitions(t, w.config)
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "crammed-"}}
	w.create(t, namespace)
	const large = 200 << 10 // of annotations, of which 256 KiB are taken
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: selector.MatchLabels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "a"}}}}
	for i := range 8000 {
		template.Spec.Containers[0].Env = append(template.Spec.Containers[0].Env, corev1.EnvVar{Name: fmt.Sprintf("A%d", i)})
	}
	rules := func(i int) []networkingv1.IngressRule {
		paths := &networkingv1.HTTPIngressRuleValue{}
		for j := range 2500 {
			paths.Paths = append(paths.Paths, networkingv1.HTTPIngressPath{
				Path: fmt.Sprintf("/%d", j), PathType: new(networkingv1.PathTypeExact),
				Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
					Name: fmt.Sprintf("s-%s-%d", strings.Repeat("s", 50), j), Port: networkingv1.ServiceBackendPort{Number: 80},
				}},
			})
		}
		return []networkingv1.IngressRule{{Host: fmt.Sprintf("h%d.example.com", i), IngressRuleValue: networkingv1.IngressRuleValue{HTTP: paths}}}
	}
	var routeRules []gatewayv1.HTTPRouteRule
	for i := range 16 {
		rule := gatewayv1.HTTPRouteRule{}
		for j := range 16 {
			rule.BackendRefs = append(rule.BackendRefs, gatewayv1.HTTPBackendRef{BackendRef: gatewayv1.BackendRef{BackendObjectReference: gatewayv1.BackendObjectReference{
				Name: gatewayv1.ObjectName(fmt.Sprintf("s-%s-%d-%d", strings.Repeat("s", 200), i, j)), Port: new(gatewayv1.PortNumber(80)),
			}}})
		}
		routeRules = append(routeRules, rule)
	}
	tolerations := make([]corev1.Toleration, 32)
	for i := range tolerations {
		tolerations[i] = corev1.Toleration{Key: fmt.Sprintf("k%d", i), Value: strings.Repeat("v", 1<<10)}
	}
	var terms []corev1.WeightedPodAffinityTerm
	for range 800 {
		terms = append(terms, corev1.WeightedPodAffinityTerm{Weight: 1, PodAffinityTerm: corev1.PodAffinityTerm{TopologyKey: "a", LabelSelector: &metav1.LabelSelector{}}})
	}
	endpoints := make([]discoveryv1.Endpoint, 1000) // as many as the API server takes
	for i := range endpoints {
		endpoints[i] = discoveryv1.Endpoint{Addresses: []string{fmt.Sprintf("10.0.%d.%d", i/250, i%250)}, NodeName: new(strings.Repeat("n", 200))}
	}
	var objects []client.Object
	for i := range 220 {
		objects = append(objects, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace.Name, Name: fmt.Sprintf("junk-%d", i), Labels: map[string]string{v1alpha1.LabelCredentials: "true"}},
			Data:       map[string][]byte{"junk": make([]byte, 900<<10), "certificates": bytes.Repeat([]byte("c"), 64<<10), "publicKey": bytes.Repeat([]byte("k"), 8<<10)},
		})
	}
	for i := range 6 {
		meta := func(kib int) metav1.ObjectMeta {
			return metav1.ObjectMeta{
				Namespace: namespace.Name, Name: fmt.Sprintf("crammed-%d", i), Labels: manyLabels(kib),
				Annotations: map[string]string{v1alpha1.AnnotationGeneration: strings.Repeat("a", large)},
			}
		}
		child := func(kib int) metav1.ObjectMeta { // as if an endpoint had made it
			m := meta(kib)
			m.Name = fmt.Sprintf("made-up-%d-sidecar", i)
			m.OwnerReferences = []metav1.OwnerReference{{
				APIVersion: v1alpha1.GroupVersion.String(), Kind: "WeChatEndpoint", Name: fmt.Sprintf("made-up-%d", i), UID: "00000000-0000-4000-8000-000000000000", Controller: new(true),
			}}
			return m
		}
		endpoint := newEndpoint(namespace.Name)
		endpoint.ObjectMeta = meta(400)
		endpoint.Spec.Sidecar.Tolerations, endpoint.Spec.Sidecar.NodeSelector = tolerations, map[string]string{"a": strings.Repeat("a", 400<<10)}
		small := newEndpoint(namespace.Name)
		small.Name = fmt.Sprintf("small-%d", i)
		small.Spec.Sidecar.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{PreferredDuringSchedulingIgnoredDuringExecution: terms}}
		objects = append(objects, endpoint, small,
			&corev1.Pod{ObjectMeta: meta(500), Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "a"}}}},
			&discoveryv1.EndpointSlice{ObjectMeta: meta(300), AddressType: discoveryv1.AddressTypeIPv4, Endpoints: endpoints},
			&corev1.Service{ObjectMeta: meta(500), Spec: corev1.ServiceSpec{ClusterIP: "None", Selector: selector.MatchLabels}},
			&corev1.Secret{ObjectMeta: child(100), Data: map[string][]byte{"endpoint.json": make([]byte, 700<<10)}},
			&corev1.ServiceAccount{ObjectMeta: child(500)},
			&appsv1.Deployment{ObjectMeta: child(300), Spec: appsv1.DeploymentSpec{Selector: selector, Template: template}},
			&appsv1.ReplicaSet{ObjectMeta: meta(300), Spec: appsv1.ReplicaSetSpec{Selector: selector, Template: template}},
			&policyv1.PodDisruptionBudget{ObjectMeta: child(500), Spec: policyv1.PodDisruptionBudgetSpec{Selector: selector, MaxUnavailable: new(intstr.FromInt32(1))}},
			&autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: child(500), Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
				MaxReplicas: 1, ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "a"},
			}},
			&networkingv1.NetworkPolicy{ObjectMeta: child(500), Spec: networkingv1.NetworkPolicySpec{PodSelector: *selector}},
			&networkingv1.Ingress{ObjectMeta: meta(300), Spec: networkingv1.IngressSpec{Rules: rules(i)}},
			&networkingv1.Ingress{ObjectMeta: child(300), Spec: networkingv1.IngressSpec{Rules: rules(i)}},
			&gatewayv1.HTTPRoute{ObjectMeta: meta(500), Spec: gatewayv1.HTTPRouteSpec{Rules: routeRules}},
			&gatewayv1.Gateway{ObjectMeta: meta(500), Spec: gatewayv1.GatewaySpec{GatewayClassName: "a", Listeners: []gatewayv1.Listener{{Name: "a", Port: 80, Protocol: "HTTP"}}}},
			&gatewayv1beta1.ReferenceGrant{ObjectMeta: meta(500), Spec: gatewayv1beta1.ReferenceGrantSpec{
				From: []gatewayv1beta1.ReferenceGrantFrom{{Group: "a", Kind: "A", Namespace: "a"}}, To: []gatewayv1beta1.ReferenceGrantTo{{Kind: "Service"}},
			}},
		)
	}
	return objects
}
