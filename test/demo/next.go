// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/test/story"
)

func (d *demo) kubectlGet(ctx context.Context) (string, error) {
	// The operator asks the pods what they serve, which is a moment behind what they do.
	if _, err := d.kubectlShow(ctx, "wait", "wxe", "--all", "--for=condition=Ready", "--timeout="+story.Patience.String()); err != nil {
		return "", err
	}
	if _, err := d.kubectlShow(ctx, "get", "wxe,wxg"); err != nil {
		return "", err
	}
	_, err := d.kubectlShow(ctx, "get", "deployment,service,ingress,pods", "-l", v1alpha1.LabelEndpoint+"=shop")
	return "one line per URL; describe says the rest", err
}

// whatNext says what to try by hand, in lines that can be copied into a shell in the checkout.
func (d *demo) whatNext() {
	address := d.shop.Address
	if d.local {
		address = relayAddress
	}
	d.Printf("\nTry next, in this folder:\n\n")
	if config := os.Getenv("KUBECONFIG"); config != "" {
		d.Printf("  export KUBECONFIG=%s PATH=\"$PWD/bin:$PATH\"\n", config)
	} else {
		d.Printf("  export PATH=\"$PWD/bin:$PATH\"\n")
	}
	d.Printf("  kubectl -n %s describe wxe shop\n", namespace)
	d.Printf("  kubectl wechat verify shop -n %s --address %s\n", namespace, address)
	d.Printf("  kubectl wechat send shop -n %s --address %s --text 再见\n", namespace, address)
	d.Printf("  kubectl wechat send club -n %s --address %s    # sealed and opened\n", namespace, address)
	d.Printf("  kubectl -n %s logs -l %s=shop    # each refusal, and why\n", namespace, v1alpha1.LabelEndpoint)
	d.Printf("  kubectl -n %s logs -l %s    # of the accounts on the gateway\n", namespace, gatewayPods)
	d.Printf("  kubectl -n %s edit secret shop-wechat    # break it, and see: kubectl -n %s get wxe -o wide\n", namespace, namespace)
	cluster := ""
	if !d.local {
		cluster = " CLUSTER=current"
	}
	d.Printf("\nmake demo%s puts it right again, make demo-down%s removes it.\n", cluster, cluster)
}
