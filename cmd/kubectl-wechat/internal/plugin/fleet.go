// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"fmt"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
)

// fleet is whose pods serve an endpoint: a WeChatGateway's by its name, or, empty, the endpoint's own.
type fleet string

// The operator's names of Deployments: NAME-sidecar has an endpoint's own pods, and NAME-wechat-gateway a gateway's.
const gatewaySuffix = "-wechat-gateway"

func fleetOf(deployment string) fleet {
	gateway, is := strings.CutSuffix(deployment, gatewaySuffix)
	if !is {
		return ""
	}
	return fleet(gateway)
}

func (f fleet) pods() text.Text {
	if f == "" {
		return text.New("its own pods")
	}
	return text.New("the pods of WeChatGateway %s", string(f))
}

// asked is what the endpoint asks for.
func asked(endpoint *v1alpha1.WeChatEndpoint) fleet {
	if endpoint.Spec.Gateway == nil {
		return ""
	}
	return fleet(endpoint.Spec.Gateway.Name)
}

// serving are those whose pods serve the endpoint's URL, by the word of the operator: the one to which it leads, and for a moment the one before.
// A status that names none speaks of its own pods, unless nothing was published yet.
func serving(endpoint *v1alpha1.WeChatEndpoint) []fleet {
	known := endpoint.Status.Fleet
	if known.LeadsTo == "" && !published(endpoint) {
		return []fleet{asked(endpoint)}
	}
	all := []fleet{fleetOf(known.LeadsTo)}
	if known.Former != "" {
		all = append(all, fleetOf(known.Former))
	}
	return all
}

func published(endpoint *v1alpha1.WeChatEndpoint) bool {
	if endpoint.Spec.URL.Exposure == v1alpha1.ExposureNone {
		return endpoint.Status.Credentials.Generation > 0
	}
	return len(endpoint.Status.Published) > 0
}

// moves says where an endpoint is on its way to, if it is.
func moves(endpoint *v1alpha1.WeChatEndpoint) text.Text {
	all := serving(endpoint)
	switch {
	case all[0] != asked(endpoint):
		return text.New("the endpoint moves to %s", asked(endpoint).pods())
	case len(all) > 1:
		return text.New("%s serve for some seconds, too", all[1].pods())
	}
	return text.Text{}
}

// servers names who serves the endpoint; empty where its own pods do, as mostly.
func servers(endpoint *v1alpha1.WeChatEndpoint) text.Text {
	all, moving := serving(endpoint), moves(endpoint)
	switch {
	case !moving.IsZero():
		return text.New("%s; %s", all[0].pods(), moving)
	case all[0] != "":
		return all[0].pods()
	}
	return text.Text{}
}

// named is the endpoint's name, and its gateway's where it is on one.
func named(endpoint *v1alpha1.WeChatEndpoint) text.Text {
	if gateway := serving(endpoint)[0]; gateway != "" {
		return text.New("%s (WeChatGateway %s)", endpoint.Name, string(gateway))
	}
	return text.Verbatim(endpoint.Name)
}

// logs says how to read what the pods logged of the endpoint in the last minute. Those of a gateway log of others, too.
func logs(endpoint *v1alpha1.WeChatEndpoint) string {
	var commands []string
	for _, f := range serving(endpoint) {
		if f == "" {
			commands = append(commands, fmt.Sprintf("kubectl -n %s logs -l %s=%s --since 1m --tail 100", endpoint.Namespace, v1alpha1.LabelEndpoint, endpoint.Name))
			continue
		}
		commands = append(commands, fmt.Sprintf("kubectl -n %s logs -l %s=%s --since 1m --tail=-1 | grep -F '\"endpoint\":\"%s/%s\"'",
			endpoint.Namespace, v1alpha1.LabelGateway, f, endpoint.Namespace, endpoint.Name))
	}
	return strings.Join(commands, " ; ")
}

// pausedGateway names a gateway that serves the endpoint, or will, and whose pods get nothing new; empty if there is none. Who may not read
// gateways finds out by the endpoint's status.
func pausedGateway(ctx context.Context, cluster client.Reader, endpoint *v1alpha1.WeChatEndpoint) string {
	for _, f := range append(serving(endpoint), asked(endpoint)) {
		var gateway v1alpha1.WeChatGateway
		if f != "" && cluster.Get(ctx, client.ObjectKey{Namespace: endpoint.Namespace, Name: string(f)}, &gateway) == nil && gateway.Spec.Paused {
			return gateway.Name
		}
	}
	return ""
}
