//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// thief is the user agent of a test that plays with the operator's stolen token.
const thief = "e2e-thief"

// steal returns a client with a token of the operator.
func (c *cluster) steal(t *testing.T) client.Client {
	t.Helper()
	token, err := c.typed.CoreV1().ServiceAccounts(operatorNamespace).CreateToken(t.Context(), operatorName,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(600))}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	config := rest.AnonymousClientConfig(c.config)
	config.BearerToken, config.UserAgent = token.Status.Token, thief
	stolen, err := client.New(config, client.Options{Scheme: c.Scheme(), Mapper: c.RESTMapper()})
	if err != nil {
		t.Fatal(err)
	}
	return stolen
}

// TestStolenToken tries with the operator's token what its roles alone would allow, and some that they do not. Each must be
// refused, and leave everything as it is; and the operator goes on.
func TestStolenToken(t *testing.T) {
	t.Parallel()
	s := newStage(t, "thief")
	ingress := &networkingv1.Ingress{ObjectMeta: s.object("theirs"), Spec: networkingv1.IngressSpec{DefaultBackend: &networkingv1.IngressBackend{
		Service: &networkingv1.IngressServiceBackend{Name: appName, Port: networkingv1.ServiceBackendPort{Number: 8080}},
	}}}
	theirs := &corev1.Secret{ObjectMeta: s.object("theirs-sidecar"), Data: map[string][]byte{"endpoint.json": []byte("theirs")}} // named like a child
	s.create(t, ingress, theirs)
	s.serve(t)
	pods, err := s.pods(t.Context(), client.MatchingLabels{"app": appName})
	if err != nil || len(pods) == 0 {
		t.Fatalf("the app has pods %v, %v", pods, err)
	}
	stolen := kube.steal(t)
	dns := metav1.ObjectMeta{Namespace: "kube-system", Name: "coredns"}
	asChild := func(object client.Object) client.Object { // as alike as the thief can make it
		object.SetLabels(map[string]string{
			"app.kubernetes.io/managed-by": "wechatendpoint", "app.kubernetes.io/name": "wechat-sidecar", "app.kubernetes.io/instance": "evil",
			"app.kubernetes.io/component": "sidecar", v1alpha1.LabelEndpoint: "evil", v1alpha1.LabelCredentials: "generated",
		})
		object.SetOwnerReferences([]metav1.OwnerReference{{
			APIVersion: v1alpha1.GroupVersion.String(), Kind: "WeChatEndpoint", Name: "evil", UID: "1", Controller: new(true), BlockOwnerDeletion: new(true),
		}})
		return object
	}
	evil := metav1.ObjectMeta{Namespace: "kube-system", Name: "evil-sidecar"}
	program := append([]byte("\x7fELF\x02\x01\x01\x00"), make([]byte, 900<<10)...)
	made := func(object client.Object) func(context.Context) error {
		return func(ctx context.Context) error { return stolen.Create(ctx, object) }
	}
	patched := func(object client.Object, patch string) func(context.Context) error {
		return func(ctx context.Context) error {
			return stolen.Patch(ctx, object, client.RawPatch(types.StrategicMergePatchType, []byte(patch)))
		}
	}
	template := func(spec string) string { return fmt.Sprintf(`{"spec":{"template":{"spec":%s}}}`, spec) }

	const byPolicy, byRoles = "ValidatingAdmissionPolicy", "cannot "
	before := objectsIn(t, s.namespace, "kube-system")
	for name, test := range map[string]struct {
		attack func(context.Context) error
		by     string
	}{
		"a pod with the node's disk and processes": {made(asChild(ofNode(evil))), byPolicy},
		"the sidecar itself among Kubernetes' own": {made(s.sidecarOf(t, evil.Namespace, func(*appsv1.Deployment) {})), byPolicy},
		"his program as its credentials":           {made(asChild(&corev1.Secret{ObjectMeta: evil, Type: corev1.SecretTypeOpaque, Data: map[string][]byte{"endpoint.json": program}})), byPolicy},
		"his program in its place, on every node, before all others, for ever": {made(s.sidecarOf(t, evil.Namespace, func(d *appsv1.Deployment) {
			d.OwnerReferences = append(d.OwnerReferences, metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: dns.Name, UID: "2"})
			d.Spec.Replicas = new(int32(1000))
			pod := &d.Spec.Template.Spec
			pod.PriorityClassName, pod.Tolerations = "system-node-critical", []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
			pod.Volumes[0].Projected.Sources = []corev1.VolumeProjection{{Secret: &corev1.SecretProjection{
				LocalObjectReference: corev1.LocalObjectReference{Name: evil.Name},
				Items:                []corev1.KeyToPath{{Key: "endpoint.json", Path: "sidecar", Mode: new(int32(0o555))}},
			}}}
			pod.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "config", MountPath: "/sidecar", SubPath: "sidecar", ReadOnly: true}}
		})), byPolicy},
		"his program in the sidecar's place": {patched(&appsv1.Deployment{ObjectMeta: s.object(childName)}, template(
			`{"volumes":[{"name":"config","projected":{"sources":[{"secret":{"name":"`+childName+`","items":[{"key":"endpoint.json","path":"sidecar","mode":365}]}}]}}],`+
				`"containers":[{"name":"sidecar","volumeMounts":[{"mountPath":"/sidecar","name":"config","subPath":"sidecar"}]}]}`)), byPolicy},
		"his program as the endpoint's credentials": {patched(&corev1.Secret{ObjectMeta: s.object(childName)}, `{"data":{"endpoint.json":"`+base64.StdEncoding.EncodeToString(program)+`"}}`), byPolicy},
		"another image in the sidecar":              {patched(&appsv1.Deployment{ObjectMeta: s.object(childName)}, template(`{"containers":[{"name":"sidecar","image":"`+kube.imagePrefix+`/example-app:`+kube.imageTag+`"}]}`)), byPolicy},
		"the node's disk in the sidecar":            {patched(&appsv1.Deployment{ObjectMeta: s.object(childName)}, template(`{"volumes":[{"name":"disk","hostPath":{"path":"/nothing","type":"Directory"}}]}`)), byPolicy},
		"the user's Secret in the sidecar":          {patched(&appsv1.Deployment{ObjectMeta: s.object(childName)}, template(`{"volumes":[{"name":"more","secret":{"secretName":"`+secretName+`"}}]}`)), byPolicy},
		"a token in the sidecar":                    {patched(&appsv1.Deployment{ObjectMeta: s.object(childName)}, template(`{"automountServiceAccountToken":true}`)), byPolicy},
		"another image in the app":                  {patched(&appsv1.Deployment{ObjectMeta: s.object(appName)}, template(`{"serviceAccountName":"admin"}`)), byPolicy},
		"another Deployment of kube-system":         {patched(&appsv1.Deployment{ObjectMeta: dns}, `{"spec":{"replicas":0}}`), byPolicy},
		"a Secret that is filled with a token": {made(asChild(&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: evil.Namespace, Name: evil.Name, Annotations: map[string]string{corev1.ServiceAccountNameKey: "default"}},
			Type:       corev1.SecretTypeServiceAccountToken,
		})), byPolicy},
		"the user's Secret":                           {patched(&corev1.Secret{ObjectMeta: s.object(secretName)}, `{"stringData":{"token":"Forged"}}`), byPolicy},
		"another's Secret, named like a child":        {patched(theirs, `{"stringData":{"endpoint.json":"evil"}}`), byPolicy},
		"another's Secret is adopted":                 {patched(theirs, `{"metadata":{"labels":{"app.kubernetes.io/managed-by":"wechatendpoint","wechatendpoint.io/endpoint":"theirs"},"ownerReferences":[{"apiVersion":"wechatendpoint.io/v1alpha1","kind":"WeChatEndpoint","name":"theirs","uid":"1","controller":true}]}}`), byPolicy},
		"the cluster's DNS":                           {patched(&corev1.ConfigMap{ObjectMeta: dns}, `{"data":{"Corefile":""}}`), byRoles},
		"another's Service":                           {patched(&corev1.Service{ObjectMeta: s.object(appName)}, `{"spec":{"selector":{"app":"evil"}}}`), byPolicy},
		"the sidecar's Service, to another's pods":    {patched(&corev1.Service{ObjectMeta: s.object(childName)}, `{"spec":{"selector":{"app":"`+appName+`"}}}`), byPolicy},
		"the sidecar's Ingress, to another's Service": {patched(&networkingv1.Ingress{ObjectMeta: s.object(childName)}, `{"spec":{"defaultBackend":{"service":{"name":"`+appName+`","port":{"number":8080}}}}}`), byPolicy},
		"a host that no endpoint asks for":            {patched(&networkingv1.Ingress{ObjectMeta: s.object(childName)}, `{"spec":{"rules":[{"host":"victim.example.com","http":{"paths":[{"path":"/","pathType":"Exact","backend":{"service":{"name":"`+childName+`","port":{"name":"http"}}}}]}}]}}`), byPolicy},
		"the sidecar's Ingress is deleted": {func(ctx context.Context) error {
			return stolen.Delete(ctx, &networkingv1.Ingress{ObjectMeta: s.object(childName)})
		}, byPolicy},
		"its NetworkPolicy is deleted": {func(ctx context.Context) error {
			return stolen.Delete(ctx, &networkingv1.NetworkPolicy{ObjectMeta: s.object(childName)})
		}, byPolicy},
		"the sidecar is deleted": {func(ctx context.Context) error {
			return stolen.Delete(ctx, &appsv1.Deployment{ObjectMeta: s.object(childName)})
		}, byPolicy},
		"its credentials are deleted": {func(ctx context.Context) error {
			return stolen.Delete(ctx, &corev1.Secret{ObjectMeta: s.object(childName)})
		}, byPolicy},
		"another's Ingress is deleted": {func(ctx context.Context) error { return stolen.Delete(ctx, ingress) }, byPolicy},
		"another's ServiceAccount":     {patched(&corev1.ServiceAccount{ObjectMeta: s.object("default")}, `{"imagePullSecrets":[{"name":"evil"}]}`), byPolicy},
		"another's pod is not ready": {func(ctx context.Context) error {
			return stolen.Status().Patch(ctx, &pods[0], client.RawPatch(types.StrategicMergePatchType, []byte(`{"status":{"conditions":[{"type":"Ready","status":"False"}]}}`)))
		}, byPolicy},
		"a role": {made(&rbacv1.RoleBinding{ObjectMeta: evil, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "admin"}}), byRoles},
		"a pod":  {made(&corev1.Pod{ObjectMeta: evil, Spec: ofNode(evil).Spec.Template.Spec}), byRoles},
		"the policy itself is deleted": {func(ctx context.Context) error {
			return stolen.Delete(ctx, &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: operatorName}})
		}, byRoles},
		"an endpoint's spec":  {patched(s.endpoint(), `{"spec":{"paused":true}}`), byRoles},
		"a Secret is deleted": {func(ctx context.Context) error { return stolen.Delete(ctx, s.secret()) }, byPolicy},
	} {
		t.Run(name, func(t *testing.T) {
			if err := test.attack(t.Context()); err == nil || !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), test.by) {
				t.Errorf("it is not refused by %q: %v", test.by, err)
			}
		})
	}
	if diff := cmp.Diff(before, objectsIn(t, s.namespace, "kube-system")); diff != "" {
		t.Errorf("objects came or went (-before +after):\n%s", diff)
	}

	t.Run("every Secret can be read, as docs/threat-model.md says", func(t *testing.T) {
		var secrets corev1.SecretList
		if err := stolen.List(t.Context(), &secrets, client.InNamespace(s.namespace)); err != nil || len(secrets.Items) < 3 {
			t.Errorf("%d Secrets were read, %v", len(secrets.Items), err)
		}
	})
	t.Run("the operator goes on", func(t *testing.T) {
		s.token = "EndToEndToken2"
		s.patchSecret(t, func(secret *corev1.Secret) { secret.Data[v1alpha1.KeyToken] = []byte(s.token) })
		s.awaitPublished(t)
		s.awaitReady(t)
	})
}

// sidecarOf is the stage's own sidecar in another namespace, as that of an endpoint which does not exist there.
func (s *stage) sidecarOf(t *testing.T, namespace string, edit func(*appsv1.Deployment)) *appsv1.Deployment {
	t.Helper()
	var live, copied appsv1.Deployment
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: s.namespace, Name: childName}, &live); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(live)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(text), `"`+endpointName, `"evil`)), &copied); err != nil {
		t.Fatal(err)
	}
	copied.ObjectMeta = metav1.ObjectMeta{
		Namespace: namespace, Name: copied.Name, Labels: copied.Labels, OwnerReferences: copied.OwnerReferences,
		Annotations: map[string]string{v1alpha1.AnnotationAsked: copied.Annotations[v1alpha1.AnnotationAsked], v1alpha1.AnnotationTemplate: copied.Annotations[v1alpha1.AnnotationTemplate]},
	}
	copied.Status = appsv1.DeploymentStatus{}
	edit(&copied)
	return &copied
}

// ofNode is a Deployment of which a pod owns its node. It is not privileged, which the local cluster knows for nobody, and what
// it wants of the disk is not there, so that no pod starts where this attack succeeds.
func ofNode(meta metav1.ObjectMeta) *appsv1.Deployment {
	labels := map[string]string{"app": "evil"}
	return &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
			HostPID: true,
			Containers: []corev1.Container{{
				Name: "sidecar", Image: kube.imagePrefix + "/sidecar:" + kube.imageTag,
				VolumeMounts: []corev1.VolumeMount{{Name: "disk", MountPath: "/disk"}},
			}},
			Volumes: []corev1.Volume{{Name: "disk", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/nothing", Type: new(corev1.HostPathDirectory)}}}},
		}},
	}}
}

// objectsIn names the objects of namespaces, and those that the thief has written.
func objectsIn(t *testing.T, namespaces ...string) []string {
	t.Helper()
	var names []string
	for _, namespace := range namespaces {
		found, err := kube.inventory(t.Context(), client.InNamespace(namespace))
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, found.without(restless...).names()...)
		names = append(names, writtenByThief(t, namespace)...)
	}
	return names
}

// writtenByThief goes by the marks that the API server puts on what is written.
func writtenByThief(t *testing.T, namespace string) []string {
	t.Helper()
	var names []string
	for _, kind := range []string{
		"v1 Secret", "v1 ConfigMap", "v1 Service", "v1 ServiceAccount", "v1 Pod", "apps/v1 Deployment", "networking.k8s.io/v1 Ingress",
	} {
		version, kind, _ := strings.Cut(kind, " ")
		var list metav1.PartialObjectMetadataList
		list.SetGroupVersionKind(schema.FromAPIVersionAndKind(version, kind+"List"))
		if err := kube.List(t.Context(), &list, client.InNamespace(namespace)); err != nil {
			t.Fatal(err)
		}
		for _, item := range list.Items {
			if slices.ContainsFunc(item.ManagedFields, func(entry metav1.ManagedFieldsEntry) bool { return entry.Manager == thief }) {
				names = append(names, fmt.Sprintf("%s %s/%s, written by the thief", kind, namespace, item.Name))
			}
		}
	}
	return names
}
