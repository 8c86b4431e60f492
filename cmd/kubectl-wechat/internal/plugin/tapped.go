// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/listen"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// Forward returns what opens connections to ports of pods in a namespace.
type Forward func(flags *genericclioptions.ConfigFlags, namespace string) (listen.Dial, error)

// KubernetesForward does it like kubectl port-forward.
func KubernetesForward(flags *genericclioptions.ConfigFlags, namespace string) (listen.Dial, error) {
	config, err := flags.ToRESTConfig()
	if err != nil {
		return nil, text.Errorf("reading the kubeconfig: %w", err)
	}
	return listen.PortForward(config, namespace)
}

// The second port of a sidecar, by its name in the pod, and its number where the pod does not say.
const (
	opsPortName = "ops"
	opsPort     = 8081
)

// tapped is an endpoint whose taps can be opened.
type tapped struct {
	cluster  client.Client
	endpoint *v1alpha1.WeChatEndpoint
	client   listen.Client
}

// tapped finds the endpoint, and its gateway key.
func (p Plugin) tapped(ctx context.Context, o options) (*tapped, error) {
	if o.name == "" {
		var err error
		if o.name, err = p.onlyEndpoint(ctx, o); err != nil {
			return nil, err
		}
	}
	cluster, endpoint, err := p.endpoint(ctx, o)
	if err != nil {
		return nil, err
	}
	key, err := gatewayKey(ctx, cluster, endpoint)
	if err != nil {
		return nil, err
	}
	dial, err := p.Forward(o.cluster, endpoint.Namespace)
	if err != nil {
		return nil, err
	}
	return &tapped{cluster, endpoint, listen.Client{Endpoint: endpoint.Namespace + "/" + endpoint.Name, GatewayKey: key, Dial: dial}}, nil
}

// onlyEndpoint is the endpoint of the namespace, where there is no other.
func (p Plugin) onlyEndpoint(ctx context.Context, o options) (string, error) {
	cluster, namespace, err := p.connect(o)
	if err != nil {
		return "", err
	}
	names, err := listNames(ctx, cluster, namespace, &v1alpha1.WeChatEndpointList{})
	switch {
	case err != nil:
		return "", unread(kindEndpoint, namespace, "*", err)
	case len(names) == 0:
		return "", text.Errorf("there is no endpoint in namespace %s: kubectl wechat init makes one", namespace)
	case len(names) > 1:
		return "", text.Errorf("namespace %s has several endpoints: name one of %s", namespace, strings.Join(names, ", "))
	}
	return names[0], nil
}

// gatewayKey is the key that proves to a pod that its holder may look.
func gatewayKey(ctx context.Context, cluster client.Reader, endpoint *v1alpha1.WeChatEndpoint) ([]byte, error) {
	var secret corev1.Secret
	name := client.ObjectKey{Namespace: endpoint.Namespace, Name: endpoint.Name + v1alpha1.GatewayKeySuffix}
	err := cluster.Get(ctx, name, &secret)
	switch {
	case apierrors.IsNotFound(err):
		return nil, text.Errorf("the endpoint has no gateway key yet (Secret %s), and without one nobody can listen: the operator makes it once the spec can be served, see kubectl wechat status %s -n %s", name, endpoint.Name, endpoint.Namespace)
	case apierrors.IsForbidden(err):
		return nil, text.Errorf("you may not get Secret %s, and only who has the gateway key in it can listen: ask for that right: %w", name, err)
	case err != nil:
		return nil, text.Errorf("reading Secret %s: %w", name, err)
	}
	key := secret.Data[v1alpha1.GatewayKeyKey]
	if len(key) != config.GatewayKeySize {
		return nil, text.Errorf("Secret %s has no key of %d bytes: somebody has changed it; delete it, and the operator makes it again", name, config.GatewayKeySize)
	}
	return key, nil
}

// pods are the pods that serve the endpoint now. While it moves, both fleets do.
func (t *tapped) pods(ctx context.Context) (all []listen.Pod, err error) {
	endpoint := t.endpoint
	var now v1alpha1.WeChatEndpoint
	if t.cluster.Get(ctx, client.ObjectKeyFromObject(endpoint), &now) == nil { // else as it was
		endpoint = &now
	}
	for _, gateway := range serving(endpoint) {
		labels := client.MatchingLabels{v1alpha1.LabelEndpoint: endpoint.Name}
		if gateway != "" {
			labels = client.MatchingLabels{v1alpha1.LabelGateway: string(gateway)}
		}
		var pods corev1.PodList
		err := t.cluster.List(ctx, &pods, client.InNamespace(endpoint.Namespace), labels, sidecarPods)
		switch {
		case apierrors.IsForbidden(err):
			return nil, text.Errorf("you may not list pods in namespace %s, and those that serve the endpoint are listened to: ask for that right: %w", endpoint.Namespace, err)
		case err != nil:
			return nil, text.Errorf("listing the pods of the %s: %w", sidecarContainer, err)
		}
		for _, pod := range pods.Items {
			if address, err := netip.ParseAddr(pod.Status.PodIP); err == nil && pod.Status.Phase == corev1.PodRunning {
				all = append(all, listen.Pod{Name: pod.Name, Address: address, Port: portOf(pod)})
			}
		}
	}
	if len(all) == 0 {
		return nil, text.Errorf("no pod serves the endpoint: see kubectl wechat status %s -n %s", endpoint.Name, endpoint.Namespace)
	}
	slices.SortFunc(all, func(a, b listen.Pod) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

func portOf(pod corev1.Pod) uint16 {
	for _, container := range pod.Spec.Containers {
		for _, port := range container.Ports {
			if container.Name == sidecarContainer && port.Name == opsPortName && port.ContainerPort > 0 && port.ContainerPort < 1<<16 {
				return uint16(port.ContainerPort)
			}
		}
	}
	return opsPort
}
