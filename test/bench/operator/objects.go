// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"golang.org/x/sync/errgroup"
)

// perNamespace is how many accounts a team has.
const perNamespace = 10

// busy is how many requests this process makes at once where nothing is measured.
const busy = 16

func each(ctx context.Context, concurrency, n int, do func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(concurrency)
	for i := range n {
		group.Go(func() error { return do(ctx, i) })
	}
	return group.Wait()
}

// makeForeignSecrets writes what a cluster is full of.
func (b *bench) makeForeignSecrets(ctx context.Context) error {
	if err := b.makeNamespace(ctx, "foreign"); err != nil {
		return err
	}
	return each(ctx, busy, b.settings.secrets, func(ctx context.Context, i int) error {
		return b.client.Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: "foreign", Name: fmt.Sprintf("secret-%05d", i)},
			Data:       map[string][]byte{"key": []byte(strings.Repeat("x", 1024))},
		})
	})
}

func (b *bench) makeNamespace(ctx context.Context, name string) error {
	return client.IgnoreAlreadyExists(b.client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}))
}

// makeNamespaces makes those of a set of n endpoints.
func (b *bench) makeNamespaces(ctx context.Context, set string, n int) error {
	for i := 0; i < n; i += perNamespace {
		if err := b.makeNamespace(ctx, place(set, i).Namespace); err != nil {
			return err
		}
	}
	return nil
}

// place is where endpoint i of a set is.
func place(set string, i int) client.ObjectKey {
	return client.ObjectKey{Namespace: fmt.Sprintf("%s-%03d", set, i/perNamespace), Name: fmt.Sprintf("shop-%04d", i)}
}

// makeGround makes what the endpoints from..to of a set refer to.
func (b *bench) makeGround(ctx context.Context, set string, from, to int) error {
	for i := from - from%perNamespace; i < to; i += perNamespace {
		namespace := place(set, i).Namespace
		if err := b.makeNamespace(ctx, namespace); err != nil {
			return err
		}
		service := &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "app"},
			Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 8080}}},
		}
		slice := &discoveryv1.EndpointSlice{ // the app has a pod
			ObjectMeta:  metav1.ObjectMeta{Namespace: namespace, Name: "app-1", Labels: map[string]string{discoveryv1.LabelServiceName: "app"}},
			AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"192.0.2.80"}}},
		}
		for _, object := range []client.Object{service, slice} {
			if err := client.IgnoreAlreadyExists(b.client.Create(ctx, object)); err != nil {
				return err
			}
		}
	}
	return each(ctx, busy, to-from, func(ctx context.Context, i int) error {
		return b.client.Create(ctx, userSecret(place(set, from+i), "BenchToken1"))
	})
}

func userSecret(of client.ObjectKey, token string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: of.Namespace, Name: of.Name + "-wechat", Labels: map[string]string{v1alpha1.LabelCredentials: v1alpha1.CredentialsUser}},
		Data:       map[string][]byte{v1alpha1.KeyToken: []byte(token)},
	}
}

// makeEndpoints applies the endpoints from..to of a set, as a user would who applies a folder.
func (b *bench) makeEndpoints(ctx context.Context, set string, from, to int) error {
	return each(ctx, busy, to-from, func(ctx context.Context, i int) error {
		at := place(set, from+i)
		return b.client.Create(ctx, &v1alpha1.WeChatEndpoint{
			ObjectMeta: metav1.ObjectMeta{Namespace: at.Namespace, Name: at.Name},
			Spec: v1alpha1.WeChatEndpointSpec{
				Platform: v1alpha1.PlatformOfficialAccount, AppID: "wx5823bf96d3bd56c7", MessageMode: v1alpha1.MessageModePlaintext,
				Credentials: v1alpha1.CredentialsReference{SecretName: at.Name + "-wechat"},
				URL: v1alpha1.CallbackURL{
					Host: at.Namespace + ".example.com", Path: "/" + at.Name, Exposure: v1alpha1.ExposureIngress, Ingress: &v1alpha1.IngressExposure{ClassName: "bench"},
				},
				Backend: v1alpha1.Backend{Service: v1alpha1.ServiceReference{Name: "app", Port: intstr.FromInt32(8080)}},
			},
		})
	})
}
