//go:build integration

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// operatorUser is the operator's identity in config/.
const operatorUser = "system:serviceaccount:wechatendpoint-system:wechatendpoint-operator"

// confine installs the operator's role and admission policy, and returns a configuration with its identity, so that every
// test shows what it may still do.
func confine(config *rest.Config, c client.Client, variables map[string]string) (*rest.Config, error) {
	var role rbacv1.ClusterRole
	var binding rbacv1.ClusterRoleBinding
	var policy admissionv1.ValidatingAdmissionPolicy
	var policyBinding admissionv1.ValidatingAdmissionPolicyBinding
	for file, object := range map[string]client.Object{
		"rbac/role.yaml": &role, "rbac/role_binding.yaml": &binding,
		"admission/policy.yaml": &policy, "admission/binding.yaml": &policyBinding,
	} {
		text, err := os.ReadFile("../config/" + file)
		if err == nil {
			err = yaml.UnmarshalStrict(text, object)
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", file, err)
		}
	}
	for i, variable := range policy.Spec.Variables {
		if expression, ok := variables[variable.Name]; ok {
			policy.Spec.Variables[i].Expression = expression
		}
	}
	var errs []error
	for _, object := range []client.Object{&role, &binding, &policy, &policyBinding} {
		errs = append(errs, c.Create(context.Background(), object))
	}
	return impersonate(config), errors.Join(errs...)
}

func impersonate(config *rest.Config) *rest.Config {
	confined := rest.CopyConfig(config)
	confined.Impersonate = rest.ImpersonationConfig{UserName: operatorUser, Groups: []string{"system:serviceaccounts", "system:authenticated"}}
	return confined
}

// TestPolicyRefusesEachDeviation takes the operator's own objects and changes one thing of each, with the operator's identity.
// The unchanged object is taken, so that it is the change that is refused.
func TestPolicyRefusesEachDeviation(t *testing.T) {
	installGatewayAPI(t)
	namespace := newNamespace(t)
	newClass(t, namespace)
	endpoint := newEndpoint(namespace)
	endpoint.Spec.URL.Exposure, endpoint.Spec.URL.Ingress = v1alpha1.ExposureIngress, &v1alpha1.IngressExposure{ClassName: namespace}
	create(t, endpoint)
	awaitCondition(t, endpoint, v1alpha1.ConditionRouteProgrammed, metav1.ConditionTrue, v1alpha1.ReasonRouteProgrammed)
	operator := asOperator(t)
	child := metav1.ObjectMeta{Namespace: namespace, Name: "shop-sidecar"}
	foreign := metav1.ObjectMeta{Namespace: namespace, Name: "other-sidecar"}
	key := metav1.ObjectMeta{Namespace: namespace, Name: "shop-gateway-key"}
	pod, route := sidecarPod(child), childRoute(endpoint)
	create(t, pod)
	create(t, route)
	create(t, &corev1.ConfigMap{ObjectMeta: foreign})
	create(t, &corev1.ServiceAccount{ObjectMeta: foreign})
	stranger := sidecarPod(foreign)
	stranger.Labels["app.kubernetes.io/name"] = "another"
	create(t, stranger)

	deployment, service, ingress := &appsv1.Deployment{ObjectMeta: child}, &corev1.Service{ObjectMeta: child}, &networkingv1.Ingress{ObjectMeta: child}
	former := formerDeployment(t, child, foreign)
	configMap, secret, account := &corev1.ConfigMap{ObjectMeta: child}, &corev1.Secret{ObjectMeta: child}, &corev1.ServiceAccount{ObjectMeta: child}
	const (
		podSpec   = "/spec/template/spec"
		container = podSpec + "/containers/0"
		source    = podSpec + "/volumes/0/projected/sources"
	)
	for name, test := range map[string]struct {
		object  client.Object
		patch   string
		message string // empty: taken
	}{
		"a Deployment as it is":             {deployment, `{"op":"test","path":"/kind","value":"Deployment"}`, ""},
		"more replicas":                     {deployment, `{"op":"replace","path":"/spec/replicas","value":5}`, ""},
		"where pods run":                    {deployment, `{"op":"add","path":"` + podSpec + `/nodeSelector","value":{"disk":"ssd"}}`, ""},
		"another tag":                       {deployment, `{"op":"replace","path":"` + container + `/image","value":"example.com/sidecar@sha256:` + strings.Repeat("0", 64) + `"}`, ""},
		"another image":                     {deployment, `{"op":"replace","path":"` + container + `/image","value":"example.com/sidecar-evil:1"}`, "run the sidecar's image"},
		"an image below another registry":   {deployment, `{"op":"replace","path":"` + container + `/image","value":"example.com/sidecar:5000/evil"}`, "run the sidecar's image"},
		"an image that another has":         {deployment, `{"op":"replace","path":"` + container + `/image","value":"old.example.com/sidecar:1"}`, "run the sidecar's image"},
		"replicas, beside a former image":   {former, `{"op":"replace","path":"/spec/replicas","value":5}`, ""},
		"a former image by another name":    {former, `{"op":"replace","path":"` + container + `/name","value":"b"}`, ""},
		"the image after a former one":      {former, `{"op":"replace","path":"` + container + `/image","value":"example.com/sidecar:1"}`, ""},
		"another tag of a former image":     {former, `{"op":"replace","path":"` + container + `/image","value":"old.example.com/sidecar:2"}`, "run the sidecar's image"},
		"another image by another name":     {former, `{"op":"replace","path":"` + container + `/image","value":"evil:1"},{"op":"replace","path":"` + container + `/name","value":"b"}`, "run the sidecar's image"},
		"another one beside a former image": {former, `{"op":"copy","from":"` + container + `","path":"` + podSpec + `/containers/1"},{"op":"replace","path":"` + podSpec + `/containers/1/name","value":"b"}`, "nothing beside it"},
		"a command in a former image":       {former, `{"op":"add","path":"` + container + `/command","value":["/bin/sh"]}`, "another command"},
		"another container":                 {deployment, `{"op":"add","path":"` + podSpec + `/containers/-","value":{"name":"b","image":"example.com/sidecar:1","args":["--config-dir=/etc/wechat-sidecar"],"securityContext":{"allowPrivilegeEscalation":false,"readOnlyRootFilesystem":true,"capabilities":{"drop":["ALL"]}}}}`, "nothing beside it"},
		"an init container":                 {deployment, `{"op":"add","path":"` + podSpec + `/initContainers","value":[{"name":"b","image":"example.com/sidecar:1"}]}`, "no init containers"},
		"the host's network":                {deployment, `{"op":"add","path":"` + podSpec + `/hostNetwork","value":true}`, "nothing of their host"},
		"the host's processes":              {deployment, `{"op":"add","path":"` + podSpec + `/hostPID","value":true}`, "nothing of their host"},
		"the host's memory":                 {deployment, `{"op":"add","path":"` + podSpec + `/hostIPC","value":true}`, "nothing of their host"},
		"a port of the host":                {deployment, `{"op":"add","path":"` + container + `/ports/0/hostPort","value":8080}`, "without an environment"},
		"a folder of the host":              {deployment, `{"op":"add","path":"` + podSpec + `/volumes/-","value":{"name":"b","hostPath":{"path":"/"}}}`, "own ConfigMap and Secret"},
		"another Secret":                    {deployment, `{"op":"add","path":"` + podSpec + `/volumes/-","value":{"name":"b","secret":{"secretName":"shop-wechat"}}}`, "own ConfigMap and Secret"},
		"another Secret among the files":    {deployment, `{"op":"add","path":"` + source + `/-","value":{"secret":{"name":"shop-wechat"}}}`, "own ConfigMap and Secret"},
		"another ConfigMap among the files": {deployment, `{"op":"add","path":"` + source + `/-","value":{"configMap":{"name":"shop"}}}`, "own ConfigMap and Secret"},
		"a token among the files":           {deployment, `{"op":"add","path":"` + source + `/-","value":{"serviceAccountToken":{"path":"token"}}}`, "own ConfigMap and Secret"},
		"a mounted token":                   {deployment, `{"op":"replace","path":"` + podSpec + `/automountServiceAccountToken","value":true}`, "and no token"},
		"another ServiceAccount":            {deployment, `{"op":"replace","path":"` + podSpec + `/serviceAccountName","value":"default"},{"op":"replace","path":"` + podSpec + `/serviceAccount","value":"default"}`, "a ServiceAccount of their own"},
		"root":                              {deployment, `{"op":"replace","path":"` + podSpec + `/securityContext/runAsNonRoot","value":false}`, "restricted profile"},
		"root in the container":             {deployment, `{"op":"add","path":"` + container + `/securityContext/runAsUser","value":0}`, "restricted profile"},
		"system calls unconfined":           {deployment, `{"op":"replace","path":"` + podSpec + `/securityContext/seccompProfile/type","value":"Unconfined"}`, "restricted profile"},
		"system calls unconfined inside":    {deployment, `{"op":"add","path":"` + container + `/securityContext/seccompProfile","value":{"type":"Unconfined"}}`, "restricted profile"},
		"a privileged container":            {deployment, `{"op":"add","path":"` + container + `/securityContext/privileged","value":true},{"op":"replace","path":"` + container + `/securityContext/allowPrivilegeEscalation","value":true}`, "restricted profile"},
		"escalation":                        {deployment, `{"op":"replace","path":"` + container + `/securityContext/allowPrivilegeEscalation","value":true}`, "restricted profile"},
		"a capability":                      {deployment, `{"op":"add","path":"` + container + `/securityContext/capabilities/add","value":["NET_BIND_SERVICE"]}`, "restricted profile"},
		"a file system to write":            {deployment, `{"op":"replace","path":"` + container + `/securityContext/readOnlyRootFilesystem","value":false}`, "restricted profile"},
		"an environment":                    {deployment, `{"op":"add","path":"` + container + `/env","value":[{"name":"HTTP_PROXY","value":"http://evil"}]}`, "without an environment"},
		"an environment from a Secret":      {deployment, `{"op":"add","path":"` + container + `/envFrom","value":[{"secretRef":{"name":"shop-wechat"}}]}`, "without an environment"},
		"a command":                         {deployment, `{"op":"add","path":"` + container + `/command","value":["/bin/sh"]}`, "another command"},
		"a command at the end":              {deployment, `{"op":"add","path":"` + container + `/lifecycle","value":{"preStop":{"exec":{"command":["/bin/sh"]}}}}`, "another command"},
		"a command as probe":                {deployment, `{"op":"replace","path":"` + container + `/livenessProbe","value":{"exec":{"command":["/bin/sh"]}}}`, "another command"},
		"a probe of another host":           {deployment, `{"op":"add","path":"` + container + `/livenessProbe/httpGet/host","value":"169.254.169.254"}`, "another command"},
		"another argument":                  {deployment, `{"op":"add","path":"` + container + `/args/-","value":"--more"}`, "the only argument"},
		"a label that a Service looks for":  {deployment, `{"op":"add","path":"/spec/template/metadata/labels/app","value":"victim"}`, "the sidecar's labels"},
		"an annotation for an injector":     {deployment, `{"op":"add","path":"/spec/template/metadata/annotations","value":{"inject":"yes"}}`, "the sidecar's labels"},
		"a finalizer":                       {deployment, `{"op":"add","path":"/metadata/finalizers","value":["example.com/stay"]}`, "neither adds nor removes finalizers"},
		"no owner":                          {deployment, `{"op":"remove","path":"/metadata/ownerReferences"}`, "its endpoints own"},
		"another owner":                     {deployment, `{"op":"replace","path":"/metadata/ownerReferences/0/name","value":"other"}`, "its endpoints own"},
		"no label":                          {deployment, `{"op":"remove","path":"/metadata/labels/app.kubernetes.io~1managed-by"}`, "labels what it writes"},
		"another endpoint's label":          {deployment, `{"op":"replace","path":"/metadata/labels/wechatendpoint.io~1endpoint","value":"other"}`, "labels what it writes"},

		"a configuration":                {configMap, `{"op":"replace","path":"/data/config.json","value":"{}"}`, ""},
		"another file":                   {configMap, `{"op":"add","path":"/data/nginx.conf","value":""}`, "the sidecar's configuration only"},
		"a binary file":                  {configMap, `{"op":"add","path":"/binaryData","value":{"b":"AAAA"}}`, "the sidecar's configuration only"},
		"a ConfigMap for ever":           {configMap, `{"op":"add","path":"/immutable","value":true}`, "the sidecar's configuration only"},
		"a foreign ConfigMap":            {&corev1.ConfigMap{ObjectMeta: foreign}, `{"op":"add","path":"/data","value":{"config.json":"{}"}}`, "its endpoints own"},
		"a foreign ConfigMap is adopted": {&corev1.ConfigMap{ObjectMeta: foreign}, `{"op":"add","path":"/metadata/labels","value":{"app.kubernetes.io/managed-by":"wechatendpoint","wechatendpoint.io/endpoint":"other"}},{"op":"add","path":"/metadata/ownerReferences","value":[{"apiVersion":"wechatendpoint.io/v1alpha1","kind":"WeChatEndpoint","name":"other","uid":"1","controller":true}]}`, "its endpoints own"},

		"credentials":                          {secret, `{"op":"replace","path":"/data/credentials.json","value":"e30="}`, ""},
		"a Secret for ever":                    {secret, `{"op":"add","path":"/immutable","value":true}`, "generated credentials only"},
		"another key":                          {secret, `{"op":"add","path":"/data/key","value":"e30="}`, "generated credentials only"},
		"credentials beside the key":           {&corev1.Secret{ObjectMeta: key}, `{"op":"add","path":"/data/credentials.json","value":"e30="}`, "generated credentials only"},
		"credentials that seem to be a user's": {secret, `{"op":"replace","path":"/metadata/labels/wechatendpoint.io~1credentials","value":"true"}`, "generated credentials only"},
		"the user's Secret":                    {&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shop-wechat"}}, `{"op":"replace","path":"/data/token","value":"e30="}`, "its endpoints own"},

		"a ServiceAccount that mounts tokens":     {account, `{"op":"replace","path":"/automountServiceAccountToken","value":true}`, "without any right"},
		"a ServiceAccount that pulls":             {account, `{"op":"add","path":"/imagePullSecrets","value":[{"name":"shop-wechat"}]}`, "without any right"},
		"a ServiceAccount with Secrets":           {account, `{"op":"add","path":"/secrets","value":[{"name":"shop-wechat"}]}`, "without any right"},
		"a ServiceAccount with a role in a cloud": {account, `{"op":"add","path":"/metadata/annotations","value":{"eks.amazonaws.com/role-arn":"admin"}}`, "without any right"},
		"a foreign ServiceAccount":                {&corev1.ServiceAccount{ObjectMeta: foreign}, `{"op":"add","path":"/imagePullSecrets","value":[{"name":"a"}]}`, "its endpoints own"},
		"a Service for other pods":                {service, `{"op":"replace","path":"/spec/selector","value":{"app":"victim"}}`, "lead to the sidecar's pods only"},
		"a Service without selector":              {service, `{"op":"remove","path":"/spec/selector"}`, "lead to the sidecar's pods only"},
		"a Service on every node":                 {service, `{"op":"replace","path":"/spec/type","value":"NodePort"}`, "type ClusterIP"},
		"a Service with another's address":        {service, `{"op":"add","path":"/spec/externalIPs","value":["192.0.2.1"]}`, "type ClusterIP"},
		"a Service for the second port":           {service, `{"op":"replace","path":"/spec/ports/0/targetPort","value":"ops"}`, "type ClusterIP"},
		"a budget for other pods":                 {&policyv1.PodDisruptionBudget{ObjectMeta: child}, `{"op":"replace","path":"/spec/selector/matchLabels","value":{"app":"victim"}}`, "for the sidecar's pods only"},
		"an Ingress to another Service":           {ingress, `{"op":"replace","path":"/spec/rules/0/http/paths/0/backend/service/name","value":"app"}`, "lead to the sidecar's Service only"},
		"an Ingress for all that is left":         {ingress, `{"op":"add","path":"/spec/defaultBackend","value":{"service":{"name":"app","port":{"number":80}}}}`, "lead to the sidecar's Service only"},
		"an Ingress with an allowed annotation":   {ingress, `{"op":"add","path":"/metadata/annotations","value":{"cert-manager.io/issuer":"a"}}`, ""},
		"an Ingress with another annotation":      {ingress, `{"op":"add","path":"/metadata/annotations","value":{"nginx.ingress.kubernetes.io/configuration-snippet":"a"}}`, "that the installation allows"},
		"a route as it is":                        {route, `{"op":"test","path":"/kind","value":"HTTPRoute"}`, ""},
		"a route to another Service":              {route, `{"op":"replace","path":"/spec/rules/0/backendRefs/0/name","value":"app"}`, "HTTPRoutes that lead to the sidecar's Service only"},
		"a route to another namespace":            {route, `{"op":"add","path":"/spec/rules/0/backendRefs/0/namespace","value":"default"}`, "HTTPRoutes that lead to the sidecar's Service only"},
		"a route that copies requests":            {route, `{"op":"add","path":"/spec/rules/0/filters","value":[{"type":"RequestMirror","requestMirror":{"backendRef":{"name":"app","port":80}}}]}`, "HTTPRoutes that lead to the sidecar's Service only"},
	} {
		t.Run(name, func(t *testing.T) {
			patch := client.RawPatch(types.JSONPatchType, []byte("["+test.patch+"]"))
			err := operator.Patch(t.Context(), test.object.DeepCopyObject().(client.Object), patch, client.DryRunAll)
			wantRefusal(t, err, test.message)
		})
	}
	for name, test := range map[string]struct {
		pod     *corev1.Pod
		patch   string
		message string
	}{
		"its generation":           {pod, `{"metadata":{"annotations":{"wechatendpoint.io/generation":"1"}}}`, ""},
		"another annotation":       {pod, `{"metadata":{"annotations":{"inject":"yes"}}}`, "one annotation"},
		"an annotation is removed": {pod, `{"metadata":{"annotations":{"kept":null}}}`, "one annotation"},
		"a condition":              {pod, `{"status":{"conditions":[{"type":"Ready","status":"False"}]}}`, "one annotation"},
		"its address":              {pod, `{"status":{"podIP":"192.0.2.1","podIPs":[{"ip":"192.0.2.1"}]}}`, "one annotation"},
		"another's pod":            {stranger, `{"metadata":{"annotations":{"wechatendpoint.io/generation":"1"}}}`, "its own pods only"},
	} {
		t.Run("a pod: "+name, func(t *testing.T) {
			err := operator.Status().Patch(t.Context(), test.pod.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(test.patch)), client.DryRunAll)
			wantRefusal(t, err, test.message)
		})
	}
	t.Run("a foreign Ingress is deleted", func(t *testing.T) {
		victim := &networkingv1.Ingress{ObjectMeta: foreign, Spec: ingressSpec("app")}
		create(t, victim)
		wantRefusal(t, operator.Delete(t.Context(), victim, client.DryRunAll), "its endpoints own")
		wantRefusal(t, operator.Delete(t.Context(), ingress.DeepCopy(), client.DryRunAll), "")
	})
}

// TestPolicyConfinesKindsThatPointToPods gives the operator, in one namespace, the right to write kinds of which the
// policy speaks already.
func TestPolicyConfinesKindsThatPointToPods(t *testing.T) {
	namespace := newNamespace(t)
	operator := asOperator(t)
	name := metav1.ObjectMeta{Namespace: namespace, Name: "more"}
	create(t, &rbacv1.Role{ObjectMeta: name, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{"networking.k8s.io", "autoscaling"}, Resources: []string{"networkpolicies", "horizontalpodautoscalers"}, Verbs: []string{"create"}},
	}})
	create(t, &rbacv1.RoleBinding{ObjectMeta: name, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "more"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: operatorUser}}})
	child := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{
			Namespace: namespace, Name: name, OwnerReferences: childRoute(newEndpoint(namespace)).OwnerReferences,
			Labels: map[string]string{"app.kubernetes.io/managed-by": "wechatendpoint", "wechatendpoint.io/endpoint": "other"},
		}
	}
	policyFor := func(meta metav1.ObjectMeta, labels map[string]string) client.Object {
		return &networkingv1.NetworkPolicy{ObjectMeta: meta, Spec: networkingv1.NetworkPolicySpec{PodSelector: metav1.LabelSelector{MatchLabels: labels}}}
	}
	scalerOf := func(meta metav1.ObjectMeta, kind, name string) client.Object {
		return &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: meta, Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			MaxReplicas: 2, ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: kind, Name: name},
		}}
	}
	own := map[string]string{"app.kubernetes.io/name": "wechat-sidecar", "app.kubernetes.io/instance": "other", "app.kubernetes.io/managed-by": "wechatendpoint"}
	for name, test := range map[string]struct {
		object  client.Object
		message string // empty: taken
	}{
		"a NetworkPolicy of the sidecar's pods":       {policyFor(child("other-sidecar"), own), ""},
		"a NetworkPolicy of all pods":                 {policyFor(child("other-sidecar"), nil), "NetworkPolicies for the sidecar's pods only"},
		"a NetworkPolicy that nobody owns":            {policyFor(metav1.ObjectMeta{Namespace: namespace, Name: "other-sidecar"}, own), "its endpoints own"},
		"a NetworkPolicy by another name":             {policyFor(child("other"), own), "its endpoints own"},
		"a HorizontalPodAutoscaler of the sidecar":    {scalerOf(child("other-sidecar"), "Deployment", "other-sidecar"), ""},
		"a HorizontalPodAutoscaler of something else": {scalerOf(child("other-sidecar"), "Deployment", "app"), "the sidecar's Deployment only"},
		"a HorizontalPodAutoscaler of another kind":   {scalerOf(child("other-sidecar"), "StatefulSet", "other-sidecar"), "the sidecar's Deployment only"},
	} {
		t.Run(name, func(t *testing.T) {
			var err error
			eventually(t, func() string { // the role takes a moment to be seen
				if err = operator.Create(t.Context(), test.object, client.DryRunAll); err != nil && strings.Contains(err.Error(), "cannot create resource") {
					return err.Error()
				}
				return ""
			})
			wantRefusal(t, err, test.message)
		})
	}
}

// asOperator is a client with the operator's identity, roles and policy.
func asOperator(t *testing.T) client.Client {
	t.Helper()
	operator, err := client.New(impersonate(cluster.config), client.Options{Scheme: cluster.client.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return operator
}

// wantRefusal wants the policy's message in a refusal, or none if it is empty.
func wantRefusal(t *testing.T, err error, message string) {
	t.Helper()
	switch {
	case message == "" && err != nil:
		t.Errorf("refused: %v", err)
	case message != "" && (err == nil || !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), message) || strings.Contains(err.Error(), "resulted in error")):
		t.Errorf("the answer does not say %q: %v", message, err)
	}
}

func sidecarPod(meta metav1.ObjectMeta) *corev1.Pod {
	meta.Labels = map[string]string{"app.kubernetes.io/managed-by": "wechatendpoint", "app.kubernetes.io/name": "wechat-sidecar"}
	meta.Annotations = map[string]string{"kept": "as it is"}
	return &corev1.Pod{ObjectMeta: meta, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "sidecar", Image: "example.com/sidecar:1"}}}}
}

// formerDeployment makes a Deployment like that of an endpoint, which has the image of another repository, as after sidecar.image.repository
// was changed.
func formerDeployment(t *testing.T, from, to metav1.ObjectMeta) *appsv1.Deployment {
	t.Helper()
	deployment := &appsv1.Deployment{}
	if err := cluster.client.Get(t.Context(), client.ObjectKey{Namespace: from.Namespace, Name: from.Name}, deployment); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(deployment)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(text), `"shop`, `"other`)), deployment); err != nil {
		t.Fatal(err)
	}
	deployment.ObjectMeta = metav1.ObjectMeta{
		Namespace: to.Namespace, Name: to.Name, Labels: deployment.Labels, OwnerReferences: deployment.OwnerReferences,
	}
	deployment.Spec.Template.Spec.Containers[0].Image = "old.example.com/sidecar:1"
	create(t, deployment)
	return &appsv1.Deployment{ObjectMeta: to}
}

// childRoute is an HTTPRoute like that of an endpoint which has none yet.
func childRoute(endpoint *v1alpha1.WeChatEndpoint) *gatewayv1.HTTPRoute {
	route := httpRoute(endpoint.Namespace)
	route.Name = "other-sidecar"
	route.Labels = map[string]string{"app.kubernetes.io/managed-by": "wechatendpoint", "wechatendpoint.io/endpoint": "other"}
	route.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: "wechatendpoint.io/v1alpha1", Kind: "WeChatEndpoint", Name: "other", UID: "1", Controller: new(true),
	}}
	port := gatewayv1.PortNumber(80)
	route.Spec.Rules = []gatewayv1.HTTPRouteRule{{BackendRefs: []gatewayv1.HTTPBackendRef{{BackendRef: gatewayv1.BackendRef{
		BackendObjectReference: gatewayv1.BackendObjectReference{Name: "other-sidecar", Port: &port},
	}}}}}
	return route
}

func ingressSpec(service string) networkingv1.IngressSpec {
	return networkingv1.IngressSpec{DefaultBackend: &networkingv1.IngressBackend{
		Service: &networkingv1.IngressServiceBackend{Name: service, Port: networkingv1.ServiceBackendPort{Number: 80}},
	}}
}
