// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"time"
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
		{"The URL answers on port 80, through the Ingress", d.firstAnswer},
	}
	callbacks := []step{
		{"提交 is pressed in the console: WeChat checks the URL", d.urlCheck},
		{"A user writes to the account", of(&d.shop, d.message)},
		{"What did the app get?", of(&d.shop, d.whatTheAppSaw)},
		{"Somebody without the token sends a message", d.forgedSignature},
		{"Somebody who read a query in a log sends another message with it", d.anotherBody},
		{"Somebody sends a message of last hour", d.staleTimestamp},
		{"Somebody looks for other paths of the app", d.otherPath},
		{"The token is changed, in the Secret and in the console", d.changeToken},
		{"A second account encrypts its messages (安全模式)", d.applySecondEndpoint},
		{"A user writes to that one", of(&d.club, d.message)},
		{"What did the app get?", of(&d.club, d.whatTheAppSaw)},
		{"Many accounts need not have pods each: a WeChatGateway serves them together", d.applyGateway},
		{"The second account moves to the gateway", d.moveSecondEndpoint},
		{"A user writes to it", of(&d.club, d.message)},
		{"A third account joins the gateway, and no pod is restarted", d.joinThirdEndpoint},
		{"A user writes to that one", of(&d.news, d.message)},
		{"What did the app get?", of(&d.news, d.whatTheAppSaw)},
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

// of is a scene of one account.
func of(a *account, run func(context.Context, *account) (string, error)) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) { return run(ctx, a) }
}

// perform tells one step, and reports whether it passed.
func (d *demo) perform(ctx context.Context, s step) bool {
	if ctx.Err() != nil {
		return false
	}
	d.number++
	d.printf("\n%2d  %s\n", d.number, s.title)
	began := time.Now()
	stop := d.stillAtIt()
	shown, err := s.run(ctx)
	stop()
	if err != nil {
		d.failed++
		d.printf("    FAIL  %v\n", err)
		return false
	}
	d.passed++
	d.printf("    PASS  %s (%v)\n", shown, time.Since(began).Round(100*time.Millisecond))
	return true
}

// signOfLife is how often a step says that it is under way. There is no spinner, on a terminal or elsewhere.
const signOfLife = 15 * time.Second

// stillAtIt says now and then that something is waited for, until the function that it returns is called.
func (d *demo) stillAtIt() (stop func()) {
	began, done := time.Now(), make(chan struct{})
	ticker := time.NewTicker(signOfLife)
	go func() {
		for {
			select {
			case <-done:
				return
			case now := <-ticker.C:
				d.show("… still at it, after %v", now.Sub(began).Round(time.Second))
			}
		}
	}()
	return func() { ticker.Stop(); close(done) }
}

var errFailed = errors.New("not everything passed; the operator's log: kubectl -n " + operatorNamespace + " logs deployment/" + operatorName)

func (d *demo) end() error {
	d.printf("\ndemo: %d passed, %d failed\n", d.passed, d.failed)
	if d.failed > 0 {
		return errFailed
	}
	return nil
}
