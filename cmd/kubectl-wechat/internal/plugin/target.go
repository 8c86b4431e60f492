// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"crypto/rand"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

// target is what is called, and with which token or key.
type target struct {
	sender  caller.Sender
	account account
	// endpoint is nil when only a URL was named.
	endpoint *v1alpha1.WeChatEndpoint
}

// target finds the URL, the token and the keys. The cluster is asked only when an endpoint is named, and for the Secret
// only where no file takes its place.
func (p Plugin) target(ctx context.Context, o options) (target, error) {
	t := target{sender: caller.Sender{URL: o.url, Address: o.address, Timeout: o.timeout, Nonce: o.nonce, RootCAs: p.RootCAs}}
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
			return target{}, text.Errorf("the endpoint has neither url.host nor a URL in its status: pass the URL with --url")
		}
	}
	t.account = accountOf(o, t.endpoint)
	if o.command == commandVerify {
		if err := t.account.checkable(); err != nil {
			return target{}, err
		}
	}
	if err := t.choosePath(o); err != nil {
		return target{}, err
	}
	keys := vault{plugin: p, reader: reader, endpoint: t.endpoint}
	pair, err := keys.pair(ctx, o, t.account)
	if err != nil {
		return target{}, err
	}
	return t, p.disguise(&t, o, pair)
}

// nonce says that a command plays WeChat: the sidecar must not take its calls for WeChat's, since the earlier credentials end
// once WeChat is seen using the newer ones. A message needs the other prefix: none is taken with that of a URL check.
func (o options) nonce() string {
	if o.command == commandVerify {
		return config.ProbeNoncePrefix + rand.Text()
	}
	return config.TrialNoncePrefix + rand.Text()
}

// choosePath puts an id in place of the URL's placeholder. The release check chooses its own.
func (t *target) choosePath(o options) error {
	if o.pathID != "" {
		t.sender.URL = caller.WithPathID(t.sender.URL, o.pathID)
	}
	holds := strings.Contains(t.sender.URL, config.PlaceholderAppID) || strings.Contains(t.sender.URL, config.PlaceholderCorpID)
	if !holds && o.scenario == scenarioReleaseCheck {
		return text.Errorf("the release check writes to several accounts, whose AppID stands in the URL: " +
			"name the endpoint whose URL holds $APPID$; the other URL, for tickets, is played by --scenario ticket")
	}
	if holds && o.scenario != scenarioReleaseCheck {
		return text.Errorf("the URL holds a placeholder: pass the id that is to stand in its place with --path-id, or the whole URL with --url")
	}
	return nil
}

// disguise makes the sender play WeChat for the kind of account.
func (p Plugin) disguise(t *target, o options, pair config.Pair) error {
	s, a := &t.sender, t.account
	bot := a.platform == v1alpha1.PlatformWeCom && (o.scenario == scenarioBot || o.scenario == "" && a.bot())
	s.PlayFor(caller.Account{
		Platform: string(a.platform), MessageMode: string(a.mode), ReceiverIDs: a.accepted(o), PathID: o.pathID, Bot: bot, JSON: o.json, Pair: pair,
	})
	switch {
	case a.platform == v1alpha1.PlatformPay:
		return p.sign(s.Pay, o, pair)
	case a.encrypted() && !bot && s.ReceiverID == "" && !a.bot():
		return text.Errorf("a message is encrypted for somebody: pass the AppID, CorpID or suite's id with --receiver-id")
	}
	return nil
}

func (p Plugin) endpoint(ctx context.Context, o options) (client.Client, *v1alpha1.WeChatEndpoint, error) {
	reader, namespace, err := p.connect(o)
	if err != nil {
		return nil, nil, err
	}
	var endpoint v1alpha1.WeChatEndpoint
	err = reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: o.name}, &endpoint)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil, notThere(ctx, reader, kindEndpoint, namespace, o.name, &v1alpha1.WeChatEndpointList{})
	case err != nil:
		return nil, nil, unread(kindEndpoint, namespace, o.name, err)
	}
	return reader, &endpoint, unreadable(&endpoint)
}

// unreadable names what a command would need of a spec and cannot read. An older version of the CustomResourceDefinition may have let it
// through.
func unreadable(endpoint *v1alpha1.WeChatEndpoint) error {
	for _, problem := range endpoint.Spec.Unreadable {
		for _, needed := range []string{"platform", "appID", "receiverIDs", "messageMode", "credentials", "url"} {
			if strings.HasPrefix(problem, "spec."+needed) {
				return text.Errorf("WeChatEndpoint %s/%s: %s: correct it first with kubectl edit", endpoint.Namespace, endpoint.Name, problem)
			}
		}
	}
	return nil
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
		return "https://" + spec.Shown()
	default:
		return "http://" + spec.Shown()
	}
}
