// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
)

// apiTimeout bounds one request to the API server unless --request-timeout says otherwise: kubectl waits for ever, but somebody waits
// for this answer.
const apiTimeout = 30 * time.Second

// Connect returns a client whose scheme has endpoints, gateways, Secrets, pods, events and Ingresses, and the namespace that the flags
// or the kubeconfig's context name.
type Connect func(flags *genericclioptions.ConfigFlags) (client.Client, string, error)

// Kubeconfig connects to the cluster that kubectl would talk to.
func Kubeconfig(flags *genericclioptions.ConfigFlags) (client.Client, string, error) {
	namespace, _, err := flags.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return nil, "", text.Errorf("reading the kubeconfig: %w", err)
	}
	rest, err := flags.ToRESTConfig()
	if err != nil {
		return nil, "", text.Errorf("reading the kubeconfig: %w", err)
	}
	scheme, err := newScheme()
	if err != nil {
		return nil, "", err
	}
	reader, err := client.New(rest, client.Options{Scheme: scheme})
	if err != nil {
		return nil, "", text.Errorf("connecting to the cluster: %w", err)
	}
	return reader, namespace, nil
}

func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, networkingv1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, text.Errorf("building the scheme: %w", err)
		}
	}
	return scheme, nil
}

// connect is the cluster, and the namespace that the command is about.
func (p Plugin) connect(o options) (client.Client, string, error) {
	cluster, namespace, err := p.Connect(o.cluster)
	if err == nil && *o.cluster.Namespace != "" {
		namespace = *o.cluster.Namespace
	}
	return cluster, namespace, err
}

// listNames are the names of the objects of that kind, sorted; an empty namespace means all.
func listNames(ctx context.Context, cluster client.Reader, namespace string, list client.ObjectList) ([]string, error) {
	if err := cluster.List(ctx, list, client.InNamespace(namespace)); err != nil {
		return nil, err
	}
	var names []string
	err := meta.EachListItem(list, func(object runtime.Object) error {
		accessor, err := meta.Accessor(object)
		if err == nil {
			names = append(names, accessor.GetName())
		}
		return err
	})
	slices.Sort(names)
	return names, err
}

// notThere is the error of an object that the cluster does not have: with the names that may have been meant, or else the namespaces
// that have one of that name, as far as they may be listed.
func notThere(ctx context.Context, cluster client.Reader, kind, namespace, name string, list client.ObjectList) error {
	plural := map[string]string{kindEndpoint: "wechatendpoints", kindGateway: "wechatgateways"}[kind]
	names, err := listNames(ctx, cluster, namespace, list)
	if near := nearest(name, names); err == nil && len(near) > 0 {
		return text.Errorf("there is no %s %s in namespace %s: did you mean %s?", kind, name, namespace, strings.Join(near, ", "))
	}
	if cluster.List(ctx, list) == nil {
		var elsewhere []string
		_ = meta.EachListItem(list, func(object runtime.Object) error {
			if accessor, err := meta.Accessor(object); err == nil && accessor.GetName() == name {
				elsewhere = append(elsewhere, accessor.GetNamespace())
			}
			return nil
		})
		if len(elsewhere) > 0 {
			return text.Errorf("there is no %s %s in namespace %s, and there is one in %s: add -n %s", kind, name, namespace, strings.Join(elsewhere, ", "), elsewhere[0])
		}
	}
	return text.Errorf("there is no %s %s in namespace %s: see kubectl get %s -A", kind, name, namespace, plural)
}

// Kinds of the resources that commands are about.
const (
	kindEndpoint = "WeChatEndpoint"
	kindGateway  = "WeChatGateway"
)

// unread is the error of an object that could not be read.
func unread(kind, namespace, name string, err error) error {
	switch {
	case meta.IsNoMatchError(err):
		return text.Errorf("this cluster has no %s resource: install the operator, or choose another --context", kind)
	case apierrors.IsForbidden(err):
		return text.Errorf("you may not get %s %s in namespace %s: ask for that right (kubectl auth can-i get wechatendpoints -n %s), or choose another --context or -n: %w", kind, name, namespace, namespace, err)
	case apierrors.IsUnauthorized(err):
		return text.Errorf("the cluster does not know who you are: log in again, or choose another --context: %w", err)
	case errors.As(err, new(net.Error)), errors.Is(err, syscall.ECONNREFUSED):
		return text.Errorf("reading %s %s/%s: the cluster does not answer: see kubectl cluster-info, or choose another --context: %w", kind, namespace, name, err)
	}
	return text.Errorf("reading %s %s/%s: %w", kind, namespace, name, err)
}
