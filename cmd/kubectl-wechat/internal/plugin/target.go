// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
)

// target is what is called, and with which token.
type target struct {
	sender wechattest.Sender
	// endpoint is nil when only a URL was named.
	endpoint *v1alpha1.WeChatEndpoint
}

// target finds the URL and the token. The cluster is asked only when an endpoint is named, and for the Secret only when
// there is no token file.
func (p Plugin) target(ctx context.Context, o options) (target, error) {
	t := target{sender: wechattest.Sender{URL: o.url, Address: o.address, Timeout: o.timeout}}
	var reader client.Reader
	if o.name != "" {
		var err error
		if reader, t.endpoint, err = p.endpoint(ctx, o); err != nil {
			return target{}, err
		}
		if t.sender.URL == "" {
			t.sender.URL = endpointURL(t.endpoint)
		}
		if t.sender.URL == "" {
			return target{}, errors.New("the endpoint has neither url.host nor a URL in its status: pass the URL with --url")
		}
	}
	if err := t.disguise(ctx, reader); err != nil {
		return target{}, err
	}
	var err error
	if o.tokenFile != "" {
		t.sender.Token, err = p.tokenOfFile(o.tokenFile)
	} else {
		t.sender.Token, err = tokenOfSecret(ctx, reader, t.endpoint)
	}
	return t, err
}

// disguise makes the sender play WeChat for the endpoint's kind of account. A bare URL is played for as an Official
// Account in plaintext mode.
func (t *target) disguise(ctx context.Context, reader client.Reader) error {
	if t.endpoint == nil {
		return nil
	}
	spec := t.endpoint.Spec
	switch {
	case spec.Platform == v1alpha1.PlatformPay:
		return errors.New("the endpoint is for Pay, whose notifications only WeChat Pay's own key can sign: there is nothing to be played here")
	case strings.Contains(t.sender.URL, "$"):
		return errors.New("the endpoint's path holds a placeholder: pass the URL with --url, and an id in its place")
	case !config.Encrypted(string(spec.Platform), string(spec.MessageMode)):
		return nil
	}
	key := client.ObjectKey{Namespace: t.endpoint.Namespace, Name: spec.Credentials.SecretName}
	var secret corev1.Secret
	if err := reader.Get(ctx, key, &secret); err != nil {
		return fmt.Errorf("reading the encodingAESKey from Secret %s: %w", key, err)
	}
	t.sender.EncodingAESKey = string(secret.Data[v1alpha1.KeyEncodingAESKey])
	if err := config.ValidateEncodingAESKey(t.sender.EncodingAESKey); err != nil {
		return fmt.Errorf("the key %s of Secret %s %w", v1alpha1.KeyEncodingAESKey, key, err)
	}
	t.sender.WeCom = spec.Platform == v1alpha1.PlatformWeCom
	t.sender.ReceiverID = spec.AppID
	if len(spec.ReceiverIDs) > 0 && !strings.Contains(spec.ReceiverIDs[0], "$") {
		t.sender.ReceiverID = spec.ReceiverIDs[0]
	}
	return nil
}

func (p Plugin) endpoint(ctx context.Context, o options) (client.Reader, *v1alpha1.WeChatEndpoint, error) {
	reader, namespace, err := p.Connect(o.kubeconfig, o.context)
	if err != nil {
		return nil, nil, err
	}
	if o.namespace != "" {
		namespace = o.namespace
	}
	var endpoint v1alpha1.WeChatEndpoint
	err = reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: o.name}, &endpoint)
	switch {
	case meta.IsNoMatchError(err):
		return nil, nil, errors.New("this cluster has no WeChatEndpoint resource: install the operator, or choose another --context")
	case apierrors.IsNotFound(err):
		return nil, nil, fmt.Errorf("there is no WeChatEndpoint %s in namespace %s: see kubectl get wechatendpoints -A", o.name, namespace)
	case err != nil:
		return nil, nil, fmt.Errorf("reading WeChatEndpoint %s/%s: %w", namespace, o.name, err)
	}
	return reader, &endpoint, nil
}

// endpointURL is what the operator says, and before it has said so, what it will say; empty when there is no host.
func endpointURL(endpoint *v1alpha1.WeChatEndpoint) string {
	spec := endpoint.Spec.URL
	switch {
	case endpoint.Status.URL != "":
		return endpoint.Status.URL
	case spec.Host == "":
		return ""
	case spec.Ingress != nil && spec.Ingress.TLSSecretName != "":
		return "https://" + spec.Host + spec.Path
	default:
		return "http://" + spec.Host + spec.Path
	}
}

func tokenOfSecret(ctx context.Context, reader client.Reader, endpoint *v1alpha1.WeChatEndpoint) (string, error) {
	key := client.ObjectKey{Namespace: endpoint.Namespace, Name: endpoint.Spec.Credentials.SecretName}
	var secret corev1.Secret
	if err := reader.Get(ctx, key, &secret); err != nil {
		return "", fmt.Errorf("reading the token from Secret %s (--token-file reads it from elsewhere): %w", key, err)
	}
	token, ok := secret.Data[v1alpha1.KeyToken]
	if !ok {
		return "", fmt.Errorf("the Secret %s has no key %s: put the token of the console there", key, v1alpha1.KeyToken)
	}
	return checkToken(fmt.Sprintf("the key %s of Secret %s", v1alpha1.KeyToken, key), string(token))
}
