// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/test/demo/manifests"
	"github.com/wechatendpoint/wechatendpoint/test/story"
)

// gatewayPods selects them by their label.
const gatewayPods = v1alpha1.LabelGateway + "=front"

func (d *demo) applyGateway(ctx context.Context) (string, error) {
	if err := d.apply(ctx, manifests.Read("gateway.yaml")); err != nil {
		return "", err
	}
	_, err := d.kubectlShow(ctx, "wait", "wxg/front", "--for=condition=Ready", "--timeout="+story.Patience.String())
	return "its pods are ready, and wait for accounts", err
}

// moveSecondEndpoint waits until the URL leads to the gateway's pods. The endpoint's own serve on until the ingress controller has taken notice.
func (d *demo) moveSecondEndpoint(ctx context.Context) (string, error) {
	if err := d.apply(ctx, manifests.Club(manifests.PodsOfTheGateway)); err != nil {
		return "", err
	}
	if _, err := d.kubectlShow(ctx, "wait", "wxe/club", "--for=jsonpath={.status.fleet.leadsTo}=front-wechat-gateway", "--timeout="+story.Patience.String()); err != nil {
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
	if err := d.apply(ctx, manifests.Read("news.yaml")); err != nil {
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
