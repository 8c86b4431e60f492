// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"strings"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// FieldManager owns the fields of every object that the operator applies.
const FieldManager = "wechatendpoint-operator"

// HandoverManager owns spec.replicas of a Deployment from when the operator lets go of it until a HorizontalPodAutoscaler
// takes it up.
const HandoverManager = FieldManager + "-handover"

// ManagedBy is the value of app.kubernetes.io/managed-by on every child.
const ManagedBy = "wechatendpoint"

// LabelManagedBy is the label by which the operator's caches are filtered.
const LabelManagedBy = "app.kubernetes.io/managed-by"

// Names and numbers of the pods, which the Service, the probes and the operator's questions share.
const (
	container    = "sidecar"
	portCallback = "http"
	portOps      = "ops"
	NumberHTTP   = 8080
	NumberOps    = 8081
	configDir    = "/etc/wechat-sidecar"
)

// Name is the name of every child of an endpoint, but for two Secrets and a Service. Children of one name are of different kinds. It is not
// NAME-wechat, which users like to call their own Secret.
func Name(endpoint *v1alpha1.WeChatEndpoint) string { return endpoint.Name + "-sidecar" }

// GatewayKeyName is the name of the Secret with the key that signs what goes to the app, which the app may mount.
func GatewayKeyName(endpoint *v1alpha1.WeChatEndpoint) string {
	return endpoint.Name + v1alpha1.GatewayKeySuffix
}

// CopyName is the name of the Secret with a copy of the pods' document. It is there where the document could not be made again.
func CopyName(endpoint *v1alpha1.WeChatEndpoint) string { return Name(endpoint) + "-copy" }

// Labels are on every child.
func Labels(endpoint *v1alpha1.WeChatEndpoint) map[string]string { return OwnFleet(endpoint).Labels() }

// PeersName is the name of the headless Service of a fleet, by which its pods find each other.
func PeersName(fleet string) string { return fleet + "-peers" }

// gatewaySuffix ends the name of all that belongs to a gateway but its shards. It is not -gateway, which what serves a Gateway of the Gateway API
// may have.
const gatewaySuffix = "-wechat-gateway"

// GatewayName is the name of every object of a WeChatGateway, but for its shards and a Service.
func GatewayName(gateway string) string { return gateway + gatewaySuffix }

// GatewayOf returns the WeChatGateway that a Deployment belongs to by its name, and whether it does.
func GatewayOf(deployment string) (gateway string, is bool) {
	return strings.CutSuffix(deployment, gatewaySuffix)
}
