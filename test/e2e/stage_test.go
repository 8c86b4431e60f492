//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/diagnose"
)

// Names of what a stage has.
const (
	namespacePrefix = "e2e-"
	endpointName    = "shop"
	childName       = endpointName + "-sidecar"
	secretName      = "shop-wechat"
	appName         = "shop-app"
	openID          = "oEndToEndUser000000000000000"
)

// patience is how long the cluster may take for anything that starts pods.
const patience = 2 * time.Minute

// stage is a test's own namespace, with the example app, and a host name that no other test has.
type stage struct {
	namespace, host, token string
	name, path             string               // of the endpoint, and of its URL
	gateway                string               // of what is applied there; empty is pods of their own
	plays                  func() caller.Sender // whom sender plays; nil for an Official Account in plaintext mode
	roots                  *x509.CertPool       // that sender trusts, which calls by HTTPS then; nil is plain HTTP
}

// atLength leaves a test to `make e2e`: what it shows is a figure, or more of what a shorter one shows.
func atLength(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("it takes long: make e2e runs it")
	}
}

// newStage makes the namespace and the app. Pods of the namespace are held to the restricted standard.
func newStage(t *testing.T, name string) *stage {
	t.Helper()
	s := newEmptyStage(t, name, "restricted")
	s.deployApp(t)
	return s
}

// newEmptyStage makes the namespace alone. Its pods are held to a Pod Security Standard.
func newEmptyStage(t *testing.T, name, standard string) *stage {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: namespacePrefix + name + "-",
		Labels:       map[string]string{"pod-security.kubernetes.io/enforce": standard},
	}}
	if err := kube.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	s := &stage{namespace: namespace.Name, host: namespace.Name + ".example.com", token: "EndToEndToken1", name: endpointName, path: "/weixin"}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if t.Failed() {
			s.dump(ctx, t)
		}
		if err := kube.Delete(ctx, namespace); err != nil {
			t.Errorf("deleting namespace %s: %v", namespace.Name, err)
		}
	})
	return s
}

// deployApp applies the app of the demo, by the same manifest.
func (s *stage) deployApp(t *testing.T) {
	t.Helper()
	s.deployNamed(t, appName)
	s.awaitApp(t)
}

// deployNamed applies it under another name.
func (s *stage) deployNamed(t *testing.T, name string) {
	t.Helper()
	deployment, service := s.app(t, name)
	s.create(t, deployment, service)
}

// app is the app of the demo, under a name.
func (s *stage) app(t *testing.T, name string) (*appsv1.Deployment, *corev1.Service) {
	t.Helper()
	content, err := os.ReadFile("../demo/manifests/app.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(content), "${APP_IMAGE}", kube.imagePrefix+"/example-app:"+kube.imageTag)
	text = strings.ReplaceAll(text, appName, name)
	first, second, found := strings.Cut(text, "\n---\n")
	var deployment appsv1.Deployment
	var service corev1.Service
	if err := errors.Join(yaml.UnmarshalStrict([]byte(first), &deployment), yaml.UnmarshalStrict([]byte(second), &service)); err != nil || !found {
		t.Fatalf("app.yaml is not a Deployment and a Service: %v", err)
	}
	deployment.Namespace, service.Namespace = s.namespace, s.namespace
	return &deployment, &service
}

func (s *stage) awaitApp(t *testing.T) {
	t.Helper()
	eventually(t, patience, "the app", func(ctx context.Context) error {
		_, err := s.diary(ctx)
		return err
	})
}

// scaleApp sets the number of the app's pods and waits until there are that many.
func (s *stage) scaleApp(t *testing.T, replicas int32) {
	t.Helper()
	app := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: appName}}
	scale := &autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: replicas}}
	if err := kube.SubResource("scale").Update(t.Context(), app, client.WithSubResourceBody(scale)); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, fmt.Sprintf("%d pods of the app", replicas), func(ctx context.Context) error {
		pods, err := s.pods(ctx, client.MatchingLabels{"app": appName})
		if err == nil && len(pods) != int(replicas) {
			err = fmt.Errorf("there are %d", len(pods))
		}
		return err
	})
}

// object is the metadata of an object of the stage.
func (s *stage) object(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: s.namespace, Name: name}
}

// secret is the user's Secret, as it should be.
func (s *stage) secret() *corev1.Secret {
	secret := &corev1.Secret{ObjectMeta: s.object(secretName), Data: map[string][]byte{v1alpha1.KeyToken: []byte(s.token)}}
	secret.Labels = map[string]string{v1alpha1.LabelCredentials: v1alpha1.CredentialsUser}
	return secret
}

// endpoint is the endpoint, as it should be. It has one sidecar: most tests are about no more.
func (s *stage) endpoint(mutations ...func(*v1alpha1.WeChatEndpointSpec)) *v1alpha1.WeChatEndpoint {
	one := int32(1)
	endpoint := &v1alpha1.WeChatEndpoint{
		ObjectMeta: s.object(s.name),
		Spec: v1alpha1.WeChatEndpointSpec{
			Platform:    v1alpha1.PlatformOfficialAccount,
			AppID:       "wx5823bf96d3bd56c7",
			MessageMode: v1alpha1.MessageModePlaintext,
			Credentials: v1alpha1.CredentialsReference{SecretName: secretName},
			URL:         v1alpha1.CallbackURL{Host: s.host, Path: s.path, Ingress: &v1alpha1.IngressExposure{ClassName: kube.className}},
			Backend:     v1alpha1.Backend{Service: v1alpha1.ServiceReference{Name: appName, Port: intstr.FromInt32(8080)}, Path: "/weixin/"},
			Sidecar:     v1alpha1.Sidecar{Replicas: &one},
		},
	}
	for _, mutate := range mutations {
		mutate(&endpoint.Spec)
	}
	return endpoint
}

// Mutations of the endpoint.
func withReplicas(n int32) func(*v1alpha1.WeChatEndpointSpec) {
	return func(spec *v1alpha1.WeChatEndpointSpec) { spec.Sidecar.Replicas = &n }
}

func withDeadline(deadline time.Duration) func(*v1alpha1.WeChatEndpointSpec) {
	return func(spec *v1alpha1.WeChatEndpointSpec) { spec.Backend.Deadline = &metav1.Duration{Duration: deadline} }
}

func (s *stage) create(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, object := range objects {
		if err := kube.Create(t.Context(), object); err != nil {
			t.Fatalf("creating %T %s: %v", object, object.GetName(), err)
		}
	}
}

// serve makes the Secret and the endpoint, and waits until a URL check passes through the ingress controller.
func (s *stage) serve(t *testing.T, mutations ...func(*v1alpha1.WeChatEndpointSpec)) {
	t.Helper()
	s.create(t, s.secret(), s.endpoint(mutations...))
	s.awaitReady(t)
	s.awaitPublished(t)
}

func (s *stage) awaitReady(t *testing.T) {
	t.Helper()
	s.await(t, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
}

func (s *stage) awaitPublished(t *testing.T) {
	t.Helper()
	eventually(t, patience, "the URL check to pass", func(ctx context.Context) error {
		if refusal := diagnose.URLCheck(s.sender().URLCheck(ctx)); refusal != nil {
			return errors.New(refusal.String())
		}
		return nil
	})
}

// await waits for a condition of the newest generation of the spec, and returns its message.
func (s *stage) await(t *testing.T, condition string, status metav1.ConditionStatus, reason string) string {
	t.Helper()
	var message string
	eventually(t, patience, fmt.Sprintf("%s to be %s with reason %s", condition, status, reason), func(ctx context.Context) error {
		endpoint, err := s.current(ctx)
		if err != nil {
			return err
		}
		c := meta.FindStatusCondition(endpoint.Status.Conditions, condition)
		switch {
		case c == nil:
			return errors.New("there is no such condition")
		case c.Status != status || c.Reason != reason || c.ObservedGeneration != endpoint.Generation:
			return fmt.Errorf("it is %s with reason %s, of generation %d of %d: %s", c.Status, c.Reason, c.ObservedGeneration, endpoint.Generation, c.Message)
		}
		message = c.Message
		return nil
	})
	return message
}

func (s *stage) current(ctx context.Context) (*v1alpha1.WeChatEndpoint, error) {
	endpoint := &v1alpha1.WeChatEndpoint{}
	return endpoint, kube.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: s.name}, endpoint)
}

// change patches the endpoint's spec.
func (s *stage) change(t *testing.T, mutate func(*v1alpha1.WeChatEndpointSpec)) {
	t.Helper()
	endpoint, err := s.current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	before := endpoint.DeepCopy()
	mutate(&endpoint.Spec)
	if err := kube.Patch(t.Context(), endpoint, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
}

// patchSecret changes the user's Secret.
func (s *stage) patchSecret(t *testing.T, mutate func(*corev1.Secret)) {
	t.Helper()
	secret := &corev1.Secret{}
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: s.namespace, Name: secretName}, secret); err != nil {
		t.Fatal(err)
	}
	before := secret.DeepCopy()
	mutate(secret)
	if err := kube.Patch(t.Context(), secret, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
}

// sender plays WeChat against the endpoint, through the ingress controller.
func (s *stage) sender() *caller.Sender {
	if s.plays == nil {
		return s.senderOf(caller.Sender{})
	}
	return s.senderOf(s.plays())
}

// senderOf plays the sender against the endpoint.
func (s *stage) senderOf(sender caller.Sender) *caller.Sender {
	if sender.URL == "" { // below the placeholder of a path it is the sender that knows
		sender.URL = s.path
	}
	if s.roots == nil {
		sender.URL, sender.Address = "http://"+s.host+sender.URL, kube.ingressAddress
	} else {
		sender.URL, sender.Address, sender.RootCAs = "https://"+s.host+sender.URL, kube.ingressTLSAddress, s.roots
	}
	if sender.Token == "" { // while it changes, it is the sender that knows
		sender.Token = s.token
	}
	return &sender
}

// diary is what the app saw; see test/apps/example.
type diary struct {
	Count, Distinct int
	Messages        []entry
}

type entry struct {
	Path, Query, MsgID, Type, Content, Body string
	Headers                                 map[string]string
}

// diary asks the app by way of the API server: nothing else leads to it.
func (s *stage) diary(ctx context.Context) (diary, error) {
	var d diary
	answer, err := kube.typed.CoreV1().Services(s.namespace).ProxyGet("http", appName, "8080", "/seen", nil).DoRaw(ctx)
	if err != nil {
		return d, fmt.Errorf("asking the app: %w", err)
	}
	return d, json.Unmarshal(answer, &d)
}

func (s *stage) seen(t *testing.T) diary {
	t.Helper()
	d, err := s.diary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// behave tells the app how to answer; see test/apps/example.
func (s *stage) behave(t *testing.T, parameters map[string]string) {
	t.Helper()
	s.behaveNamed(t, appName, parameters)
}

// behaveNamed tells the app of that name, once its Service has a pod.
func (s *stage) behaveNamed(t *testing.T, name string, parameters map[string]string) {
	t.Helper()
	eventually(t, patience, "the app that is told how to behave", func(ctx context.Context) error {
		request := kube.typed.CoreV1().RESTClient().Post().
			Namespace(s.namespace).Resource("services").Name(name + ":8080").SubResource("proxy").Suffix("behave")
		for name, value := range parameters {
			request = request.Param(name, value)
		}
		return request.Do(ctx).Error()
	})
}

func (s *stage) pods(ctx context.Context, labels client.MatchingLabels) ([]corev1.Pod, error) {
	var pods corev1.PodList
	err := kube.List(ctx, &pods, client.InNamespace(s.namespace), labels)
	return pods.Items, err
}

// sidecars are the sidecar's pods, by UID, with how often each was restarted.
func (s *stage) sidecars(t *testing.T) map[string]int32 {
	t.Helper()
	pods, err := s.pods(t.Context(), client.MatchingLabels{v1alpha1.LabelEndpoint: s.name})
	if err != nil {
		t.Fatal(err)
	}
	return restartsOf(pods)
}

func restartsOf(pods []corev1.Pod) map[string]int32 {
	restarts := map[string]int32{}
	for _, pod := range pods {
		for _, container := range pod.Status.ContainerStatuses {
			restarts[string(pod.UID)] += container.RestartCount
		}
	}
	return restarts
}

// ops asks each of the sidecar's pods on its second port, by way of the API server.
func (s *stage) ops(t *testing.T, path string) []string {
	t.Helper()
	pods, err := s.pods(t.Context(), client.MatchingLabels{v1alpha1.LabelEndpoint: s.name})
	if err != nil {
		t.Fatal(err)
	}
	var answers []string
	for _, pod := range pods {
		answer, err := kube.typed.CoreV1().Pods(s.namespace).ProxyGet("http", pod.Name, "8081", path, nil).DoRaw(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		answers = append(answers, string(answer))
	}
	return answers
}
