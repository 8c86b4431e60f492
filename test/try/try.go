// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"os"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/test/demo/manifests"
	"github.com/wechatendpoint/wechatendpoint/test/story"
)

// What the operator writes for the demo's endpoints. A test of controllers/internal/render compares them.
var (
	//go:embed documents/shop.json
	shopDocument []byte
	//go:embed documents/club.json
	clubDocument []byte
)

// choice is one of the demo's accounts: the document of its endpoint, and the manifests that this is written for.
type choice struct {
	document []byte
	manifest string
}

var (
	shop = choice{shopDocument, manifests.Shop(manifests.FirstToken)}
	club = choice{clubDocument, manifests.Club(manifests.PodsOfItsOwn)}
)

// leadingTo is the operator's document but for one thing: where the app is. Here is no Service.
func (c choice) leadingTo(app *url.URL) (config.Document, error) {
	document, err := config.Parse(c.document)
	if err != nil {
		return config.Document{}, err
	}
	document.Backend.URL, document.Backend.Path = "http://"+app.Host, app.EscapedPath()
	if err := document.Validate(); err != nil {
		return config.Document{}, fmt.Errorf("the app's URL: %w", err)
	}
	return document, nil
}

// try is one run.
type try struct {
	*story.Story
	chosen  choice
	app     *url.URL // nil until the example app has an address
	own     bool     // the app is not the example
	folder  string   // of the document
	account story.Account

	programs     *programs
	sidecar, ops string // its addresses
	log          *lines // of the sidecar
}

// parseApp reads what is called in place of the example app.
func parseApp(text string) (*url.URL, error) {
	app, err := url.Parse(text)
	switch {
	case err != nil || app.Scheme != "http" || app.Port() == "":
		return nil, fmt.Errorf("-app is %q, and must be http://HOST:PORT/PATH, such as http://127.0.0.1:3000/weixin", text)
	case app.RawQuery != "" || app.Fragment != "" || app.User != nil:
		return nil, errors.New("-app must be http://HOST:PORT/PATH, without a user, a query or a fragment")
	}
	_, err = shop.leadingTo(app)
	return app, err
}

// play tells the story, and ends every process that it began.
func (t *try) play(ctx context.Context) (err error) {
	if t.programs, err = find("sidecar", "example-app"); err != nil {
		return err
	}
	if t.folder, err = os.MkdirTemp("", "try-"); err != nil {
		return err
	}
	defer func() {
		if ended := errors.Join(t.programs.stop(), os.RemoveAll(t.folder)); err == nil { // what is interrupted may end as it likes
			err = ended
		}
	}()

	if !t.own && !t.Perform(ctx, "An app runs, which knows no token: any web server", t.startApp) {
		return t.end(ctx)
	}
	if !t.Perform(ctx, "The sidecar runs before the app", t.startSidecar) {
		return t.end(ctx)
	}
	for _, s := range t.callbacks() {
		t.Perform(ctx, s.title, s.run)
	}
	if ctx.Err() == nil {
		t.whatNext()
	}
	return t.end(ctx)
}

func (t *try) end(ctx context.Context) error {
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return t.End("try", "FAIL says why")
}

// whatNext says how to go on, in lines that can be copied into a shell in the checkout.
func (t *try) whatNext() {
	self := os.Args[0]
	t.Printf("\nGo on, in this folder:\n\n")
	t.Printf("  %s -encrypted    # an account in 安全模式: messages and replies are sealed\n", self)
	t.Printf("  %s -app http://127.0.0.1:3000/weixin    # your own app behind the sidecar, in place of the example\n", self)
	t.Printf("  make demo    # the same and more on a real Kubernetes, with the operator; Linux and root\n")
}

type step struct {
	title string
	run   func(context.Context) (string, error)
}

// callbacks are those scenes of the demo that need no cluster. What came to an app of somebody's own, nobody can ask it.
func (t *try) callbacks() []step {
	a := &t.account
	const check, writes, got = "提交 is pressed in the console: WeChat checks the URL", "A user writes to the account", "What did the app get?"
	const forged, another, stale, other = "Somebody without the token sends a message", "Somebody who read a query in a log sends another message with it",
		"Somebody sends a message of last hour", "Somebody looks for other paths of the app"
	switch encrypted := a.EncodingAESKey != ""; {
	case t.own:
		return []step{{check, a.Submit}, {writes, a.Message}, {forged, a.Forged}, {stale, a.Stale}}
	case encrypted:
		return []step{{check, a.Submit}, {writes, a.Message}, {got, a.WhatTheAppSaw}, {forged, a.Forged}, {stale, a.Stale}, {other, t.otherPath}}
	default:
		return []step{
			{check, a.Submit}, {writes, a.Message}, {got, a.WhatTheAppSaw},
			{forged, a.Forged}, {another, a.AnotherBody}, {stale, a.Stale}, {other, t.otherPath},
		}
	}
}
