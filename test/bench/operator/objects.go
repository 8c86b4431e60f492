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

// perNamespace is how many accounts a team has that has pods for each, and perHost how many have a host in common.
const (
	perNamespace = 10
	perHost      = 10
)

// set is some endpoints of one name, and where they are.
type set struct {
	name    string
	each    int    // in a namespace
	gateway string // that all of them name, each in its namespace; "" for pods of their own
}

// dedicated is a set whose endpoints have pods of their own.
func dedicated(name string) set { return set{name: name, each: perNamespace} }

// place is where endpoint i of the set is.
func (s set) place(i int) client.ObjectKey {
	return client.ObjectKey{Namespace: fmt.Sprintf("%s-%03d", s.name, i/s.each), Name: fmt.Sprintf("shop-%04d", i)}
}

// host is that of endpoint i.
func (s set) host(i int) string { return fmt.Sprintf("%s-%03d.example.com", s.name, i/perHost) }

// namespaces are those of the endpoints from..to.
func (s set) namespaces(from, to int) []string {
	var names []string
	for i := from - from%s.each; i < to; i += s.each {
		names = append(names, s.place(i).Namespace)
	}
	return names
}

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
func (b *bench) makeNamespaces(ctx context.Context, of set, n int) error {
	for _, name := range of.namespaces(0, n) {
		if err := b.makeNamespace(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// makeGround makes what the endpoints from..to of a set refer to.
func (b *bench) makeGround(ctx context.Context, of set, from, to int) error {
	for _, namespace := range of.namespaces(from, to) {
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
		return b.client.Create(ctx, userSecret(of.place(from+i), "BenchToken1"))
	})
}

func userSecret(of client.ObjectKey, token string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: of.Namespace, Name: of.Name + "-wechat", Labels: map[string]string{v1alpha1.LabelCredentials: v1alpha1.CredentialsUser}},
		Data:       map[string][]byte{v1alpha1.KeyToken: []byte(token)},
	}
}

// makeEndpoints applies the endpoints from..to of a set, as a user would who applies a folder.
func (b *bench) makeEndpoints(ctx context.Context, of set, from, to int) error {
	return each(ctx, busy, to-from, func(ctx context.Context, i int) error {
		return b.client.Create(ctx, of.endpoint(from+i))
	})
}

func (s set) endpoint(i int) *v1alpha1.WeChatEndpoint {
	at := s.place(i)
	endpoint := &v1alpha1.WeChatEndpoint{
		ObjectMeta: metav1.ObjectMeta{Namespace: at.Namespace, Name: at.Name},
		Spec: v1alpha1.WeChatEndpointSpec{
			Platform: v1alpha1.PlatformOfficialAccount, AppID: "wx5823bf96d3bd56c7", MessageMode: v1alpha1.MessageModePlaintext,
			Credentials: v1alpha1.CredentialsReference{SecretName: at.Name + "-wechat"},
			URL: v1alpha1.CallbackURL{
				Host: s.host(i), Path: "/" + at.Name, Exposure: v1alpha1.ExposureIngress, Ingress: &v1alpha1.IngressExposure{ClassName: "bench"},
			},
			Backend: v1alpha1.Backend{Service: v1alpha1.ServiceReference{Name: "app", Port: intstr.FromInt32(8080)}},
		},
	}
	if s.gateway != "" {
		endpoint.Spec.Gateway = &v1alpha1.GatewayReference{Name: s.gateway}
	}
	return endpoint
}
