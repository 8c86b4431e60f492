// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

const digest = "@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// pod has a container of another one's before its own.
func pod(namespace, name, container, image string, labels map[string]string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "mesh", Image: "mesh:9"}, {Name: container, Image: image}}},
	}
}

func TestVersionsOfACluster(t *testing.T) {
	operator := func(name, image string) *corev1.Pod { return pod("system", name, "operator", image, operatorPods) }
	sidecar := func(namespace, name, image string) *corev1.Pod {
		return pod(namespace, name, "sidecar", image, sidecarPods)
	}
	ended := sidecar("shop", "ended", "example.com/sidecar:0.0.9")
	ended.Status.Phase = corev1.PodSucceeded
	objects := []client.Object{
		operator("a", "example.com:5000/operator:0.2.0"+digest),
		sidecar("shop", "a", "example.com/sidecar:0.1.0"), sidecar("shop", "b", "example.com/sidecar:0.2.0"), sidecar("shop", "c", "example.com/sidecar:0.2.0"),
		sidecar("other", "a", "example.com/sidecar:0.2.0"), sidecar("other", "b", "example.com:5000/sidecar"+digest), ended,
		pod("shop", "app", "sidecar", "another:1", nil),
	}
	const own = "client    v1.2.3\n"
	const server = own + "operator  0.2.0, 1 pod in system: example.com:5000/operator:0.2.0" + digest + "\n"
	for name, test := range map[string]struct {
		objects []client.Object
		args    []string
		want    string
	}{
		"the context's namespace": {objects, nil, server + "sidecar   0.2.0, 2 pods in shop: example.com/sidecar:0.2.0\nsidecar   0.1.0, 1 pod in shop: example.com/sidecar:0.1.0\n"},
		"another namespace": {objects, []string{"-n", "other"}, server + "sidecar   0.2.0, 1 pod in other: example.com/sidecar:0.2.0\n" +
			"sidecar   unknown version, 1 pod in other: example.com:5000/sidecar" + digest + "\n"},
		"all namespaces": {objects, []string{"-A"}, server + "sidecar   0.2.0, 3 pods in 2 namespaces: example.com/sidecar:0.2.0\n" +
			"sidecar   0.1.0, 1 pod in shop: example.com/sidecar:0.1.0\nsidecar   unknown version, 1 pod in other: example.com:5000/sidecar" + digest + "\n"},
		"a cluster without both": {nil, nil, own + "operator  none runs in the cluster\nsidecar   none runs here: see --namespace and --all-namespaces\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t, cluster(t, test.objects...), "", append([]string{"version"}, test.args...)...)
			got.check(t, StatusOK)
			if diff := cmp.Diff(test.want, got.out); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestVersionsOfAClusterThatDoesNotTell(t *testing.T) {
	failing := func(err error) Connect {
		scheme, schemeErr := newScheme()
		if schemeErr != nil {
			t.Fatal(schemeErr)
		}
		reader := fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(interceptor.Funcs{
			List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error { return err },
		}).Build()
		return func(*genericclioptions.ConfigFlags) (client.Client, string, error) { return reader, "shop", nil }
	}
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", errors.New("not you"))
	run(t, failing(forbidden), "", "version").check(t, StatusOK, "client    v1.2.3\n", "operator  not known, because you may not list its pods\n", "sidecar   not known")
	run(t, failing(errors.New("weather")), "", "version").check(t, StatusUsage, "client    v1.2.3\n", "kubectl wechat version: listing the pods of the operator: weather")
	none := func(*genericclioptions.ConfigFlags) (client.Client, string, error) {
		return nil, "", errors.New("no kubeconfig")
	}
	run(t, none, "", "version").check(t, StatusUsage, "client    v1.2.3\n", "no kubeconfig")
	run(t, noCluster(t), "", "version", "shop").check(t, StatusUsage, "it takes no name of an endpoint (see kubectl wechat version --help)")
	run(t, noCluster(t), "", "version", "--token", "x").check(t, StatusUsage, "never taken as an argument")
}
