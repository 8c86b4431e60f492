// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/test/ports"
	"github.com/wechatendpoint/wechatendpoint/test/story"
)

func (t *try) startApp(ctx context.Context) (string, error) {
	_, err := t.programs.start(ctx, func() program {
		address := ports.Free()
		t.app = &url.URL{Scheme: "http", Host: address, Path: "/weixin/"}
		return program{
			name: "example-app", arguments: []string{"--listen", address},
			ready: "http://" + address + "/healthz", serves: func([]byte) bool { return true },
		}
	})
	t.Show("$ bin/example-app --listen %s", t.app.Host)
	return "it says back what it is told", err
}

// startSidecar gives it the operator's document.
func (t *try) startSidecar(ctx context.Context) (string, error) {
	document, err := t.chosen.leadingTo(t.app)
	if err != nil {
		return "", err
	}
	text, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		return "", err
	}
	file := filepath.Join(t.folder, config.File)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return "", err
	}
	t.Show("To a cluster, this is applied:")
	t.Show("\n%s\n", strings.ReplaceAll(t.chosen.manifest, "${INGRESS_CLASS}", "traefik"))
	t.Show("\nThe operator writes this for the sidecar, with the token of the Secret. Here it is the file %s:", file)
	t.Show("\n%s\n", text)
	t.log, err = t.programs.start(ctx, func() program {
		t.sidecar, t.ops = ports.Free(), ports.Free()
		return program{
			name:      "sidecar",
			arguments: []string{"--config-dir", t.folder, "--listen", t.sidecar, "--ops-listen", t.ops, "--drain-delay", "0s", "--grace", "2s"},
			ready:     "http://" + t.ops + "/status?entry=" + config.Entry,
			serves: func(answer []byte) bool {
				var status config.Status
				return json.Unmarshal(answer, &status) == nil && status.Ready && status.Generation == document.Generation
			},
		}
	})
	t.Show("\n$ bin/sidecar --config-dir %s --listen %s --ops-listen %s", story.Quoted([]string{t.folder}), t.sidecar, t.ops)
	t.account = t.accountOf(document)
	return fmt.Sprintf("it serves %s on %s", t.account.URL, t.sidecar), err
}

// accountOf is who plays WeChat for the account of the document.
func (t *try) accountOf(document config.Document) story.Account {
	a := story.Account{
		Story: t.Story, Endpoint: document.Endpoint, Want: story.Reply, Seen: t.seen,
		LastLine: func(context.Context) (string, error) { return t.log.last(), nil }, LogIs: "The sidecar's log:",
		Sender: caller.Sender{URL: "http://" + document.Host + document.Path, Address: t.sidecar},
	}
	if t.own {
		a.Want, a.Seen = "", t.called
		a.Nonce = func() string { return config.TrialNoncePrefix + rand.Text() } // the sidecar tells what the app did wrong
	}
	a.PlayFor(caller.Account{
		Platform: document.Platform, MessageMode: document.MessageMode, AppID: document.AppID, Pair: document.Credentials.Pairs[0],
	})
	return a
}

// seen asks the example app.
func (t *try) seen(ctx context.Context) (story.Diary, error) {
	var diary story.Diary
	said, err := get(ctx, "http://"+t.app.Host+"/seen")
	if err != nil {
		return diary, err
	}
	return diary, json.Unmarshal(said, &diary)
}

var calls = regexp.MustCompile(`(?m)^wechat_sidecar_backend_duration_seconds_count{.*} (\d+)$`)

// called asks the sidecar how often it called the app, which cannot be asked itself.
func (t *try) called(ctx context.Context) (story.Diary, error) {
	metrics, err := get(ctx, "http://"+t.ops+"/metrics")
	if err != nil {
		return story.Diary{}, err
	}
	found := calls.FindSubmatch(metrics)
	if found == nil {
		return story.Diary{}, errors.New("the sidecar does not count its calls to the app")
	}
	count, err := strconv.Atoi(string(found[1]))
	return story.Diary{Count: count}, err
}

func (t *try) otherPath(ctx context.Context) (string, error) {
	const path = "/healthz"
	if _, err := get(ctx, "http://"+t.app.Host+path); err != nil {
		return "", err
	}
	t.Show("The app has the path %s. And by way of the sidecar:", path)
	return t.account.OtherPath(ctx, path)
}
