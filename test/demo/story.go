// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import "context"

// play tells the story from the installation on. Without its first part the second makes no sense.
func (d *demo) play(ctx context.Context) error {
	if err := d.begin(ctx); err != nil {
		return err
	}
	setup := []step{
		{"The platform team installs the operator, once", d.installOperator},
		{"The app team has an app, like any other in the cluster", d.deployApp},
		{"It stores the token of the console in a Secret and applies a WeChatEndpoint", d.applyEndpoint},
		{"The URL answers on port 80, through the Ingress", d.firstAnswer},
	}
	callbacks := []step{
		{"提交 is pressed in the console: WeChat checks the URL", d.shop.Submit},
		{"A user writes to the account", d.shop.Message},
		{"What did the app get?", d.shop.WhatTheAppSaw},
		{"Somebody without the token sends a message", d.shop.Forged},
		{"Somebody who read a query in a log sends another message with it", d.shop.AnotherBody},
		{"Somebody sends a message of last hour", d.shop.Stale},
		{"Somebody looks for other paths of the app", d.otherPath},
		{"The token is changed, in the Secret and in the console", d.changeToken},
		{"A second account encrypts its messages (安全模式)", d.applySecondEndpoint},
		{"A user writes to that one", d.club.Message},
		{"What did the app get?", d.club.WhatTheAppSaw},
		{"Many accounts need not have pods each: a WeChatGateway serves them together", d.applyGateway},
		{"The second account moves to the gateway", d.moveSecondEndpoint},
		{"A user writes to it", d.club.Message},
		{"A third account joins the gateway, and no pod is restarted", d.joinThirdEndpoint},
		{"A user writes to that one", d.news.Message},
		{"What did the app get?", d.news.WhatTheAppSaw},
		{"What does kubectl say?", d.kubectlGet},
	}
	for _, s := range setup {
		if !d.Perform(ctx, s.title, s.run) {
			return d.end()
		}
	}
	for _, s := range callbacks {
		d.Perform(ctx, s.title, s.run)
	}
	d.whatNext()
	return d.end()
}

type step struct {
	title string
	run   func(context.Context) (string, error)
}

func (d *demo) end() error {
	return d.End("demo", "the operator's log: kubectl -n "+operatorNamespace+" logs deployment/"+operatorName)
}
