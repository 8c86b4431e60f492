//go:build integration

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"
	"sigs.k8s.io/yaml"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/hack/policy/literal"
)

// operatorUser is the operator's identity in config/.
const operatorUser = "system:serviceaccount:wechatendpoint-system:wechatendpoint-operator"

// confine installs the operator's role and admission policies, and returns a configuration with its identity, so that every
// test shows what it may still do.
func confine(config *rest.Config, c client.Client, options controllers.Options) (*rest.Config, error) {
	objects, err := readObjects("rbac/role.yaml", "rbac/role_binding.yaml")
	if err != nil {
		return nil, err
	}
	policies, err := policiesFor(options)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, object := range append(objects, policies...) {
		errs = append(errs, c.Create(context.Background(), object))
	}
	return impersonate(config), errors.Join(errs...)
}

// policiesFor are the admission policies of config/, with the choices of an installation.
func policiesFor(options controllers.Options) ([]*unstructured.Unstructured, error) {
	objects, err := readObjects("admission/policy.yaml", "admission/binding.yaml",
		"admission/spec-policy.yaml", "admission/spec-binding.yaml", "admission/spec-gateway-policy.yaml", "admission/spec-gateway-binding.yaml",
		"admission/deletion-policy.yaml", "admission/deletion-binding.yaml")
	if err != nil {
		return nil, err
	}
	choices, err := json.Marshal(options)
	if err != nil {
		return nil, err
	}
	written, err := literal.Loose(choices)
	if err != nil {
		return nil, err
	}
	for _, object := range objects {
		variables, _, err := unstructured.NestedSlice(object.Object, "spec", "variables")
		if err != nil || variables == nil {
			continue // a binding
		}
		for _, variable := range variables {
			if variable := variable.(map[string]any); variable["name"] == "installation" {
				variable["expression"] = written
			}
		}
		if err := unstructured.SetNestedSlice(object.Object, variables, "spec", "variables"); err != nil {
			return nil, err
		}
	}
	return objects, nil
}

// readObjects reads files of config/.
func readObjects(files ...string) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join("..", "config", file))
		if err != nil {
			return nil, err
		}
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(text, &object.Object); err != nil {
			return nil, fmt.Errorf("reading %s: %w", file, err)
		}
		objects = append(objects, object)
	}
	return objects, nil
}

func impersonate(config *rest.Config) *rest.Config {
	confined := rest.CopyConfig(config)
	confined.Impersonate = rest.ImpersonationConfig{UserName: operatorUser, Groups: []string{"system:serviceaccounts", "system:authenticated"}}
	return confined
}

// TestPolicyRefusesEachDeviation says of single writes, each in a sentence, what TestPolicyRefusesEveryField does not say: which are
// taken, whose objects are touched, and what several fields do together. The unchanged object is taken, so that it is the change that
// is refused.
func TestPolicyRefusesEachDeviation(t *testing.T) {
	installGatewayAPI(t)
	namespace := newNamespace(t)
	newClass(t, namespace)
	endpoint := newEndpoint(namespace)
	endpoint.Spec.URL.Exposure, endpoint.Spec.URL.Ingress = v1alpha1.ExposureIngress, &v1alpha1.IngressExposure{ClassName: namespace}
	endpoint.Spec.Sidecar.Replicas = new(int32(3))
	create(t, endpoint)
	awaitCondition(t, endpoint, v1alpha1.ConditionRouteProgrammed, metav1.ConditionTrue, v1alpha1.ReasonRouteProgrammed)
	operator := asOperator(t)
	child := metav1.ObjectMeta{Namespace: namespace, Name: "shop-sidecar"}
	foreign := metav1.ObjectMeta{Namespace: namespace, Name: "other-sidecar"}
	pod, route := sidecarPod(child), childRoute(endpoint)
	create(t, pod)
	create(t, route)
	create(t, &corev1.Secret{ObjectMeta: foreign})
	create(t, &corev1.ServiceAccount{ObjectMeta: foreign})
	stranger := sidecarPod(foreign)
	stranger.Labels["app.kubernetes.io/name"] = "another"
	create(t, stranger)

	deployment, service, ingress := &appsv1.Deployment{ObjectMeta: child}, &corev1.Service{ObjectMeta: child}, &networkingv1.Ingress{ObjectMeta: child}
	former := formerDeployment(t, child, foreign)
	const (
		podSpec   = "/spec/template/spec"
		container = podSpec + "/containers/0"
		source    = podSpec + "/volumes/0/projected/sources"
	)
	elf := base64.StdEncoding.EncodeToString(append([]byte("\x7fELF\x02\x01\x01\x00"), make([]byte, 900<<10)...))
	for name, test := range map[string]struct {
		object  client.Object
		patch   string
		message string // empty: taken
	}{
		"a Deployment as it is":             {deployment, `{"op":"test","path":"/kind","value":"Deployment"}`, ""},
		"more replicas than are asked for":  {deployment, `{"op":"replace","path":"/spec/replicas","value":4}`, "sidecar.replicas of the endpoint"},
		"another tag":                       {deployment, `{"op":"replace","path":"` + container + `/image","value":"example.com/sidecar@sha256:` + strings.Repeat("0", 64) + `"}`, ""},
		"another image":                     {deployment, `{"op":"replace","path":"` + container + `/image","value":"example.com/sidecar-evil:1"}`, "containers.0.image"},
		"an image below another registry":   {deployment, `{"op":"replace","path":"` + container + `/image","value":"example.com/sidecar:5000/evil"}`, "containers.0.image"},
		"an image that another has":         {deployment, `{"op":"replace","path":"` + container + `/image","value":"old.example.com/sidecar:1"}`, "containers.0.image"},
		"replicas, beside a former image":   {former, `{"op":"replace","path":"/spec/replicas","value":5}`, ""},
		"a former image by another name":    {former, `{"op":"replace","path":"` + container + `/name","value":"b"}`, "containers.0.name"},
		"the image after a former one":      {former, `{"op":"replace","path":"` + container + `/image","value":"example.com/sidecar:1"}`, ""},
		"another tag of a former image":     {former, `{"op":"replace","path":"` + container + `/image","value":"old.example.com/sidecar:2"}`, "containers.0.image"},
		"another one beside a former image": {former, `{"op":"copy","from":"` + container + `","path":"` + podSpec + `/containers/1"},{"op":"replace","path":"` + podSpec + `/containers/1/name","value":"b"}`, "spec.containers"},
		"another one before a former image": {former, `{"op":"copy","from":"` + container + `","path":"` + podSpec + `/containers/0"},{"op":"replace","path":"` + podSpec + `/containers/0/name","value":"b"}`, "spec.containers"},
		"a command in a former image":       {former, `{"op":"add","path":"` + container + `/command","value":["/bin/sh"]}`, "containers.0.command"},
		"another container as alike":        {deployment, `{"op":"copy","from":"` + container + `","path":"` + podSpec + `/containers/1"},{"op":"replace","path":"` + podSpec + `/containers/1/name","value":"b"},{"op":"remove","path":"` + podSpec + `/containers/1/ports"}`, "spec.containers"},
		"a program over the image's own":    {deployment, `{"op":"replace","path":"` + source + `/0/secret/items/0","value":{"key":"endpoint.json","path":"sidecar","mode":365}},{"op":"replace","path":"` + container + `/volumeMounts/0","value":{"name":"config","mountPath":"/sidecar","subPath":"sidecar","readOnly":true}}`, "volumes"},
		"the files at the image's place":    {deployment, `{"op":"replace","path":"` + container + `/volumeMounts/0/mountPath","value":"/"}`, "volumeMounts"},
		"every node":                        {deployment, `{"op":"add","path":"` + podSpec + `/tolerations","value":[{"operator":"Exists"}]}`, "sidecar.tolerations of the endpoint"},
		"before Kubernetes' own pods":       {deployment, `{"op":"add","path":"` + podSpec + `/priorityClassName","value":"system-node-critical"}`, "priorityClassName"},
		"before all others":                 {deployment, `{"op":"add","path":"` + podSpec + `/priorityClassName","value":"high"}`, "sidecar.priorityClassName of the endpoint"},
		"another ServiceAccount":            {deployment, `{"op":"replace","path":"` + podSpec + `/serviceAccountName","value":"default"},{"op":"replace","path":"` + podSpec + `/serviceAccount","value":"default"}`, "serviceAccountName"},
		"a privileged container":            {deployment, `{"op":"add","path":"` + container + `/securityContext/privileged","value":true},{"op":"replace","path":"` + container + `/securityContext/allowPrivilegeEscalation","value":true}`, "securityContext"},
		"a device":                          {deployment, `{"op":"add","path":"` + container + `/resources/limits/example.com~1device","value":"1"},{"op":"add","path":"` + container + `/resources/requests/example.com~1device","value":"1"}`, "resources"},
		"a second owner":                    {deployment, `{"op":"add","path":"/metadata/ownerReferences/-","value":{"apiVersion":"v1","kind":"ConfigMap","name":"other-sidecar","uid":"1"}}`, "ownerReferences"},
		"an owner that will not be missed":  {deployment, `{"op":"replace","path":"/metadata/ownerReferences/0/uid","value":"1"}`, "not this endpoint's"},

		"a foreign Secret":                    {&corev1.Secret{ObjectMeta: foreign}, `{"op":"add","path":"/data","value":{"endpoint.json":"e30="}}`, "its endpoints own"},
		"a foreign Secret is adopted":         {&corev1.Secret{ObjectMeta: foreign}, `{"op":"add","path":"/metadata/labels","value":{"app.kubernetes.io/managed-by":"wechatendpoint","wechatendpoint.io/endpoint":"other"}},{"op":"add","path":"/metadata/ownerReferences","value":[{"apiVersion":"wechatendpoint.io/v1alpha1","kind":"WeChatEndpoint","name":"other","uid":"1","controller":true}]}`, "its endpoints own"},
		"a foreign ServiceAccount":            {&corev1.ServiceAccount{ObjectMeta: foreign}, `{"op":"add","path":"/imagePullSecrets","value":[{"name":"a"}]}`, "its endpoints own"},
		"the user's Secret":                   {&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shop-wechat"}}, `{"op":"replace","path":"/data/token","value":"e30="}`, "its endpoints own"},
		"a program as credentials":            {&corev1.Secret{ObjectMeta: child}, `{"op":"replace","path":"/data/endpoint.json","value":"` + elf + `"}`, "data.endpoint.json|no configuration and credentials of this endpoint"},
		"a program that begins as a document": {&corev1.Secret{ObjectMeta: child}, `{"op":"replace","path":"/data/endpoint.json","value":"eyJnZW5lcmF0aW9uIjoi` + elf[:200<<10] + `"}`, "no configuration and credentials of this endpoint"},
		"a larger one":                        {&corev1.Secret{ObjectMeta: child}, `{"op":"replace","path":"/data/endpoint.json","value":"eyJnZW5lcmF0aW9uIjoi` + elf[:500<<10] + `"}`, "no configuration and credentials of this endpoint"},
		"a Service for the second port":       {service, `{"op":"replace","path":"/spec/ports/0/targetPort","value":"ops"}`, "spec.ports"},
		"a Service by another address":        {service, `{"op":"add","path":"/spec/externalIPs","value":["192.0.2.1"]}`, "spec.externalIPs"},

		"another host, and its certificate":        {ingress, `{"op":"replace","path":"/spec/rules/0/host","value":"victim.example.com"},{"op":"add","path":"/spec/tls","value":[{"hosts":["victim.example.com"],"secretName":"victim"}]}`, "url.host of the endpoint"},
		"an annotation that was not asked for":     {ingress, `{"op":"add","path":"/metadata/annotations","value":{"cert-manager.io/issuer":"a"}}`, "url.ingress.annotations of the endpoint"},
		"an annotation that nobody allows":         {ingress, `{"op":"add","path":"/metadata/annotations","value":{"nginx.ingress.kubernetes.io/configuration-snippet":"a"}}`, "metadata.annotations.nginx"},
		"a route as it is":                         {route, `{"op":"test","path":"/kind","value":"HTTPRoute"}`, ""},
		"a route for a mesh":                       {route, `{"op":"replace","path":"/spec/parentRefs","value":[{"group":"","kind":"Service","name":"victim","namespace":"` + namespace + `"}]}`, "spec.parentRefs"},
		"a route by another name for external-dns": {route, `{"op":"add","path":"/metadata/annotations","value":{"external-dns.alpha.kubernetes.io/hostname":"victim.example.com"}}`, "metadata.annotations.external-dns"},
		"a route that copies requests":             {route, `{"op":"add","path":"/spec/rules/0/filters","value":[{"type":"RequestMirror","requestMirror":{"backendRef":{"name":"app","port":80}}}]}`, "spec.rules"},
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
		"its generation":           {pod, `{"metadata":{"annotations":{"wechatendpoint.io/generation":"0123456789-1 2026-01-01T00:00:00.5Z"}}}`, ""},
		"something else":           {pod, `{"metadata":{"annotations":{"wechatendpoint.io/generation":"<script>"}}}`, "annotations.wechatendpoint.io/generation"},
		"another annotation":       {pod, `{"metadata":{"annotations":{"inject":"yes"}}}`, "metadata.annotations.inject"},
		"an annotation is removed": {pod, `{"metadata":{"annotations":{"kept":null}}}`, "metadata.annotations.kept"},
		"a condition":              {pod, `{"status":{"conditions":[{"type":"Ready","status":"False"}]}}`, "status"},
		"another's pod":            {stranger, `{"metadata":{"annotations":{"wechatendpoint.io/generation":"0123456789-1 2026-01-01T00:00:00.5Z"}}}`, "its own pods only"},
	} {
		t.Run("a pod: "+name, func(t *testing.T) {
			err := operator.Status().Patch(t.Context(), test.pod.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(test.patch)), client.DryRunAll)
			wantRefusal(t, err, test.message)
		})
	}
}

// TestPolicyOfOtherVersions writes kinds in versions for which no expression is written: they are converted first.
func TestPolicyOfOtherVersions(t *testing.T) {
	installGatewayAPI(t)
	namespace := newNamespace(t)
	create(t, newEndpoint(namespace)) // of another name
	operator := asOperator(t)
	meta := func(annotations map[string]string) metav1.ObjectMeta {
		route := childRoute(newEndpoint(namespace))
		return metav1.ObjectMeta{Namespace: namespace, Name: route.Name, Labels: route.Labels, OwnerReferences: route.OwnerReferences, Annotations: annotations}
	}
	scaler := func(annotations map[string]string) client.Object {
		return &autoscalingv1.HorizontalPodAutoscaler{ObjectMeta: meta(annotations), Spec: autoscalingv1.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv1.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "other-sidecar"},
			MinReplicas:    new(int32(1)), MaxReplicas: 2, TargetCPUUtilizationPercentage: new(int32(50)),
		}}
	}
	older := func(filters ...gatewayv1.HTTPRouteFilter) client.Object {
		route := &gatewayv1beta1.HTTPRoute{ObjectMeta: meta(nil), Spec: childRoute(newEndpoint(namespace)).Spec}
		route.Spec.Rules[0].Filters = filters
		return route
	}
	for name, test := range map[string]struct {
		object  client.Object
		message string // empty: taken
	}{
		"an autoscaler of version 1":                  {scaler(nil), ""},
		"with a metric of version 2 behind it":        {scaler(map[string]string{"autoscaling.alpha.kubernetes.io/metrics": `[{"type":"Pods","pods":{"metricName":"a","targetAverageValue":"1"}}]`}), "spec.metrics"},
		"with a behaviour of version 2 behind it":     {scaler(map[string]string{"autoscaling.alpha.kubernetes.io/behavior": `{"ScaleUp":{"SelectPolicy":"Max","Policies":[{"Type":"Pods","Value":4,"PeriodSeconds":15}]}}`}), "spec.behavior"},
		"a route of version 1, beta":                  {older(), ""},
		"a route of version 1, beta, which redirects": {older(gatewayv1.HTTPRouteFilter{Type: gatewayv1.HTTPRouteFilterURLRewrite, URLRewrite: &gatewayv1.HTTPURLRewriteFilter{Hostname: new(gatewayv1.PreciseHostname("evil.example.com"))}}), "spec.rules"},
	} {
		t.Run(name, func(t *testing.T) {
			wantRefusal(t, operator.Create(t.Context(), test.object, client.DryRunAll), test.message)
		})
	}
}

// TestPolicyOfDeletions: the operator deletes what its endpoints no longer ask for.
func TestPolicyOfDeletions(t *testing.T) {
	installGatewayAPI(t)
	namespace := newNamespace(t)
	newClass(t, namespace)
	endpoint := newEndpoint(namespace)
	endpoint.Spec.URL.Exposure, endpoint.Spec.URL.Ingress = v1alpha1.ExposureIngress, &v1alpha1.IngressExposure{ClassName: namespace}
	create(t, endpoint)
	awaitCondition(t, endpoint, v1alpha1.ConditionRouteProgrammed, metav1.ConditionTrue, v1alpha1.ReasonRouteProgrammed)
	operator := asOperator(t)
	child := metav1.ObjectMeta{Namespace: namespace, Name: "shop-sidecar"}
	foreign := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "other-sidecar"}, Spec: ingressSpec("app")}
	create(t, foreign)
	leftBehind := childRoute(endpoint)
	leftBehind.Name = child.Name
	leftBehind.OwnerReferences[0].Name, leftBehind.OwnerReferences[0].UID = endpoint.Name, endpoint.UID
	change(t, endpoint, func(e *v1alpha1.WeChatEndpoint) { e.Spec.Paused = true }) // that the operator itself does not delete it
	awaitCondition(t, endpoint, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonProgressing)
	create(t, leftBehind)
	for name, test := range map[string]struct {
		object  client.Object
		message string // empty: taken
	}{
		"another's Ingress":                    {foreign, "its endpoints own"},
		"the Ingress that is asked for":        {&networkingv1.Ingress{ObjectMeta: child}, "asks for another kind of route"},
		"the HTTPRoute that it replaced":       {leftBehind, ""},
		"the NetworkPolicy, which all have":    {&networkingv1.NetworkPolicy{ObjectMeta: child}, "the installation wants a NetworkPolicy"},
		"what endpoints ask for until the end": {&corev1.ServiceAccount{ObjectMeta: child}, "asks for pods of its own"},
		"a user's Secret":                      {tokenSecret(namespace, ""), "its endpoints own"},
	} {
		t.Run(name, func(t *testing.T) {
			wantRefusal(t, operator.Delete(t.Context(), test.object.DeepCopyObject().(client.Object), client.DryRunAll), test.message)
		})
	}
}

// TestPolicyKeepsWhatOthersWrote: labels, annotations and finalizers of others neither stop the operator nor go with the thief.
func TestPolicyKeepsWhatOthersWrote(t *testing.T) {
	namespace := newNamespace(t)
	endpoint := newEndpoint(namespace)
	create(t, endpoint)
	awaitFiles(t, namespace, "a-fine-token")
	operator := asOperator(t)
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shop-sidecar"}}
	eventually(t, func() string {
		patch := `{"metadata":{"labels":{"team":"a"},"annotations":{"checked":"yes","deployment.kubernetes.io/revision":"1"},"finalizers":["example.com/wait"]},` +
			`"spec":{"paused":true,"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"now"}},"spec":{"hostname":"a"}}}}`
		if err := cluster.client.Patch(t.Context(), deployment, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
			return err.Error()
		}
		return ""
	})
	t.Cleanup(func() {
		patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))
		if err := cluster.client.Patch(context.Background(), deployment, patch); err != nil {
			t.Error(err)
		}
	})
	change(t, endpoint, func(e *v1alpha1.WeChatEndpoint) { e.Spec.Sidecar.Replicas = new(int32(5)) })
	eventually(t, func() string {
		if err := cluster.client.Get(t.Context(), client.ObjectKeyFromObject(deployment), deployment); err != nil || *deployment.Spec.Replicas != 5 {
			return fmt.Sprintf("the Deployment has %d replicas: %v", *deployment.Spec.Replicas, err)
		}
		return ""
	})
	for name, test := range map[string]struct{ patch, message string }{
		"a label goes":                        {`{"metadata":{"labels":{"team":null}}}`, "metadata.labels.team"},
		"a label is another one":              {`{"metadata":{"labels":{"team":"b"}}}`, "metadata.labels.team"},
		"a label comes":                       {`{"metadata":{"labels":{"more":"a"}}}`, "metadata.labels.more"},
		"an annotation goes":                  {`{"metadata":{"annotations":{"checked":null}}}`, "metadata.annotations.checked"},
		"the revision is another one":         {`{"metadata":{"annotations":{"deployment.kubernetes.io/revision":"7"}}}`, "metadata.annotations.deployment.kubernetes.io/revision"},
		"a finalizer goes":                    {`{"metadata":{"finalizers":null}}`, "metadata.finalizers"},
		"a restart is another one":            {`{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"later"}}}}}`, "restartedAt"},
		"what others wrote of the pods stays": {`{"spec":{"template":{"spec":{"hostname":"b"}}}}`, "spec.template.spec.hostname"},
		"or goes":                             {`{"spec":{"template":{"spec":{"hostname":null}}}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := operator.Patch(t.Context(), deployment.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(test.patch)), client.DryRunAll)
			wantRefusal(t, err, test.message)
		})
	}
}

// TestPolicyKeepsTheThiefOutOfKubeSystem plays the whole attack: a program in a Secret, which a sidecar's Deployment mounts over the image's
// own, among Kubernetes' own pods, as a child of an endpoint that does not exist and of a second owner that stays. It is tried with one
// step less each time, down to the very objects that the operator makes.
func TestPolicyKeepsTheThiefOutOfKubeSystem(t *testing.T) {
	home := newNamespace(t)
	create(t, newEndpoint(home))
	awaitFiles(t, home, "a-fine-token")
	golden := goldenStates(t)
	minimal := golden[slices.IndexFunc(golden, func(s goldenState) bool { return s.name == "minimal" })].ofSuite()
	thief := asOperator(t)
	made := func(namespace, name string) map[string]*unstructured.Unstructured {
		endpoint := minimal.input.Endpoint.DeepCopy()
		endpoint.Namespace, endpoint.Name, endpoint.UID = namespace, name, "1"
		objects := map[string]*unstructured.Unstructured{}
		for _, child := range minimal.children(t, endpoint) {
			objects[child.GetKind()] = child // of the Secrets the later one, with the credentials
		}
		return objects
	}
	for _, where := range []struct {
		namespace, name string
		taken           bool // what is right
	}{
		{"kube-system", "evil", false},
		{"kube-system", "shop", false},
		{home, "evil", true}, // no policy finds the endpoint missing: the garbage collector does
	} {
		for name, attack := range map[string]struct {
			kind    string
			edit    func(*unstructured.Unstructured)
			refused string
		}{
			"a program": {"Secret", func(o *unstructured.Unstructured) {
				setField(t, o, strings.Repeat("A", 1200<<10), "data", "endpoint.json")
			}, "data.endpoint.json"},
			"a second owner": {"Deployment", func(o *unstructured.Unstructured) {
				o.SetOwnerReferences(append(o.GetOwnerReferences(), metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "kube-root-ca.crt", UID: "2"}))
			}, "ownerReferences"},
			"all privileges": {"Deployment", func(o *unstructured.Unstructured) {
				setField(t, o, "system-node-critical", "spec", "template", "spec", "priorityClassName")
			}, "priorityClassName"},
			"every node": {"Deployment", func(o *unstructured.Unstructured) { setField(t, o, int64(2_000_000_000), "spec", "replicas") }, "spec.replicas"},
			"the image's own place": {"Deployment", func(o *unstructured.Unstructured) {
				setField(t, o, []any{map[string]any{"name": "config", "projected": map[string]any{"sources": []any{map[string]any{"secret": map[string]any{
					"name": o.GetName(), "items": []any{map[string]any{"key": "endpoint.json", "path": "sidecar", "mode": int64(0o555)}},
				}}}}}}, "spec", "template", "spec", "volumes")
				containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
				containers[0].(map[string]any)["volumeMounts"] = []any{map[string]any{"name": "config", "mountPath": "/sidecar", "subPath": "sidecar", "readOnly": true}}
				setField(t, o, containers, "spec", "template", "spec", "containers")
			}, "volumes"},
			"a budget that lets nothing move": {"PodDisruptionBudget", func(o *unstructured.Unstructured) { setField(t, o, int64(0), "spec", "maxUnavailable") }, "maxUnavailable"},
			"a Service":                       {"Service", func(*unstructured.Unstructured) {}, ""},
			"a Deployment":                    {"Deployment", func(*unstructured.Unstructured) {}, ""},
			"an Ingress":                      {"Ingress", func(*unstructured.Unstructured) {}, ""},
			"a ServiceAccount":                {"ServiceAccount", func(*unstructured.Unstructured) {}, ""},
		} {
			t.Run(where.namespace+", "+where.name+": "+name, func(t *testing.T) {
				object := made(where.namespace, where.name)[attack.kind]
				attack.edit(object)
				err := thief.Create(t.Context(), object.DeepCopy(), client.DryRunAll)
				messages := attack.refused
				if !where.taken {
					messages = strings.TrimPrefix(messages+"|Kubernetes' own namespaces", "|")
				}
				wantRefusal(t, err, messages)
				wantRefusal(t, applyWith(thief, render.FieldManager, object, client.DryRunAll)(), messages)
			})
		}
	}
}

func setField(t *testing.T, object *unstructured.Unstructured, value any, fields ...string) {
	t.Helper()
	if err := unstructured.SetNestedField(object.Object, value, fields...); err != nil {
		t.Fatal(err)
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

// wantRefusal wants a refusal by a policy, or by the roles, with this message or, behind a |, that one: nobody knows which policy is asked
// first. If it is empty, it wants none.
func wantRefusal(t *testing.T, err error, message string) {
	t.Helper()
	says := func(message string) bool { return strings.Contains(err.Error(), message) }
	switch {
	case message == "" && err != nil:
		t.Errorf("refused: %v", err)
	case message != "" && (err == nil || !slices.ContainsFunc(strings.Split(message, "|"), says) || strings.Contains(err.Error(), "resulted in error") ||
		!strings.Contains(err.Error(), "ValidatingAdmissionPolicy 'wechatendpoint-operator") && !strings.Contains(err.Error(), "cannot ")):
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
	route.Labels = map[string]string{
		"app.kubernetes.io/managed-by": "wechatendpoint", "app.kubernetes.io/name": "wechat-sidecar", "app.kubernetes.io/instance": "other",
		"app.kubernetes.io/component": "sidecar", "wechatendpoint.io/endpoint": "other",
	}
	route.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: "wechatendpoint.io/v1alpha1", Kind: "WeChatEndpoint", Name: "other", UID: "1", Controller: new(true), BlockOwnerDeletion: new(true),
	}}
	route.Spec = gatewayv1.HTTPRouteSpec{
		CommonRouteSpec: gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{Name: "edge", Namespace: new(gatewayv1.Namespace(endpoint.Namespace))}}},
		Hostnames:       []gatewayv1.Hostname{"other.example.com"},
		Rules: []gatewayv1.HTTPRouteRule{{
			Matches: []gatewayv1.HTTPRouteMatch{{Path: &gatewayv1.HTTPPathMatch{Type: new(gatewayv1.PathMatchExact), Value: new("/other")}}},
			BackendRefs: []gatewayv1.HTTPBackendRef{{BackendRef: gatewayv1.BackendRef{
				BackendObjectReference: gatewayv1.BackendObjectReference{Name: "other-sidecar", Port: new(gatewayv1.PortNumber(80))},
			}}},
		}},
	}
	return route
}

func ingressSpec(service string) networkingv1.IngressSpec {
	return networkingv1.IngressSpec{DefaultBackend: &networkingv1.IngressBackend{
		Service: &networkingv1.IngressServiceBackend{Name: service, Port: networkingv1.ServiceBackendPort{Number: 80}},
	}}
}
