// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// gatewayPods selects them by their label.
const gatewayPods = v1alpha1.LabelGateway + "=front"

// What an endpoint says of its pods.
const (
	podsOfItsOwn     = "sidecar:\n    replicas: 1 # as above"
	podsOfTheGateway = "gateway:\n    name: front"
)

// clubWith is the second account's Secret and endpoint, with pods of its own or the gateway's.
func (d *demo) clubWith(pods string) string {
	return strings.ReplaceAll(d.manifest("club.yaml"), "${PODS}", pods)
}

func (d *demo) applyGateway(ctx context.Context) (string, error) {
	if err := d.apply(ctx, d.manifest("gateway.yaml")); err != nil {
		return "", err
	}
	_, err := d.kubectlShow(ctx, "wait", "wxg/front", "--for=condition=Ready", "--timeout="+patience.String())
	return "its pods are ready, and wait for accounts", err
}

// moveSecondEndpoint waits until the URL leads to the gateway's pods. The endpoint's own serve on until the ingress controller has taken notice.
func (d *demo) moveSecondEndpoint(ctx context.Context) (string, error) {
	if err := d.apply(ctx, d.clubWith(podsOfTheGateway)); err != nil {
		return "", err
	}
	if _, err := d.kubectlShow(ctx, "wait", "wxe/club", "--for=jsonpath={.status.fleet.leadsTo}=front-wechat-gateway", "--timeout="+patience.String()); err != nil {
		return "", err
	}
	_, err := d.kubectlShow(ctx, "get", "wxe", "club", "-o", "jsonpath={.status.fleet}")
	return "the gateway's pods were proven, and then the URL was led to them", err
}

// joinThirdEndpoint puts another account on the gateway, beside the second.
func (d *demo) joinThirdEndpoint(ctx context.Context) (string, error) {
	before, err := d.podsWith(ctx, gatewayPods)
	if err != nil {
		return "", err
	}
	if err := d.apply(ctx, d.manifest("news.yaml")); err != nil {
		return "", err
	}
	if _, err := d.awaitReady(ctx, &d.news); err != nil {
		return "", err
	}
	d.news.Address = d.shop.Address
	if _, err := d.awaitPublished(ctx, &d.news); err != nil {
		return "", err
	}
	after, err := d.podsWith(ctx, gatewayPods)
	if err == nil && after != before {
		err = fmt.Errorf("the pods were %s and are %s", before, after)
	}
	return fmt.Sprintf("served by the same process as before (%s)", after), err
}
