// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
)

// play tells the story from the installation on. Without its first part the second makes no sense.
func (d *demo) play(ctx context.Context) error {
	if err := d.begin(ctx); err != nil {
		return err
	}
	setup := []step{
		{"The platform team installs the operator, once", d.installOperator},
		{"The app team has an app, like any other in the cluster", d.deployApp},
		{"It stores the token of the console in a Secret and applies a WeChatEndpoint", d.applyEndpoint},
		{"The URL answers on port 80, through the Ingress", d.waitUntilPublished},
	}
	callbacks := []step{
		{"提交 is pressed in the console: WeChat checks the URL", d.urlCheck},
		{"A user writes to the account", d.message},
		{"What did the app get?", d.whatTheAppSaw},
		{"Somebody without the token sends a message", d.forgedSignature},
		{"Somebody who read a query in a log sends another message with it", d.anotherBody},
		{"Somebody sends a message of last hour", d.staleTimestamp},
		{"Somebody looks for other paths of the app", d.unknownPath},
		{"The token is changed, in the Secret and in the console", d.changeToken},
		{"What does kubectl say?", d.kubectlGet},
	}
	for _, s := range setup {
		if !d.perform(ctx, s) {
			return d.end()
		}
	}
	for _, s := range callbacks {
		d.perform(ctx, s)
	}
	d.whatNext()
	return d.end()
}

// step is one scene. Its function returns what was shown by it, or why it was not.
type step struct {
	title string
	run   func(context.Context) (string, error)
}

// perform tells one step, and reports whether it passed.
func (d *demo) perform(ctx context.Context, s step) bool {
	if ctx.Err() != nil {
		return false
	}
	d.number++
	d.printf("\n%2d  %s\n", d.number, s.title)
	shown, err := s.run(ctx)
	if err != nil {
		d.failed++
		d.printf("    FAIL  %v\n", err)
		return false
	}
	d.passed++
	d.printf("    PASS  %s\n", shown)
	return true
}

var errFailed = errors.New("not everything passed; the operator's log: kubectl -n " + operatorNamespace + " logs deployment/" + operatorName)

func (d *demo) end() error {
	d.printf("\ndemo: %d passed, %d failed\n", d.passed, d.failed)
	if d.failed > 0 {
		return errFailed
	}
	return nil
}
