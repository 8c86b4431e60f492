// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/sidecartest"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

const (
	testToken = "ChaosToken1"
	testKey   = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"
	testAppID = "wx5823bf96d3bd56c7"
)

// kinds of accounts that a load plays.
var kinds = map[string]struct {
	platform, mode string
	sender         caller.Sender
}{
	"plaintext":  {config.PlatformOfficialAccount, config.ModePlaintext, caller.Sender{}},
	"compatible": {config.PlatformOfficialAccount, config.ModeCompatible, caller.Sender{EncodingAESKey: testKey, ReceiverID: testAppID, Cleartext: true}},
	"encrypted":  {config.PlatformOfficialAccount, config.ModeEncrypted, caller.Sender{EncodingAESKey: testKey, ReceiverID: testAppID}},
	"JSON":       {config.PlatformMiniProgram, config.ModeEncrypted, caller.Sender{EncodingAESKey: testKey, ReceiverID: testAppID, Form: wechat.FormJSON}},
	"WeCom":      {config.PlatformWeCom, "", caller.Sender{EncodingAESKey: testKey, ReceiverID: testAppID, WeCom: true, Account: testAppID}},
}

// play sends numbered messages of a kind through a sidecar and returns what came of it.
func play(t *testing.T, kind string, messages int, app http.HandlerFunc, ledger *Ledger, edit func(*config.Config)) (Account, Sent) {
	t.Helper()
	server := httptest.NewServer(app)
	t.Cleanup(server.Close)
	k := kinds[kind]
	c := config.Config{
		Generation: "1", Endpoint: "team-a/shop", Platform: k.platform, MessageMode: k.mode, AppID: testAppID, Path: "/weixin", Backend: config.Backend{URL: server.URL},
	}
	if edit != nil {
		edit(&c)
	}
	address, _ := sidecartest.Run(t, config.Document{Config: c, Credentials: config.Credentials{
		GatewayKey: []byte(strings.Repeat("k", config.GatewayKeySize)), Pairs: []config.Pair{{Generation: 1, Token: testToken, EncodingAESKey: testKey}},
	}})
	sent := run(t, kind, messages, "http://"+address+"/weixin")
	server.Close() // once the app has done what is late
	return MakeAccount(kind, kind, sent, ledger.Seen(), nil), sent
}

// run sends numbered messages to a URL.
func run(t *testing.T, kind string, messages int, url string) Sent {
	t.Helper()
	sender := kinds[kind].sender
	sender.URL, sender.Token = url, testToken
	load := Load{Name: kind, Model: Prompt, Sender: &sender, Every: time.Millisecond, Most: messages, Forge: 1, Repeat: 2}
	return load.Run(t.Context())
}

func note(ledger *Ledger) http.HandlerFunc {
	return App(func(_ context.Context, text string) error { ledger.Note(text); return nil })
}

// TestLoad sends messages of each kind to an app behind a sidecar. Each comes once, and none of the forged ones.
func TestLoad(t *testing.T) {
	t.Parallel()
	for kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			ledger := NewLedger(1, 30)
			got, sent := play(t, kind, 30, note(ledger), ledger, nil)
			want := Account{Name: kind, Sent: 30, Delivered: 30, ForgedSent: 30, Repeated: 15, Tries: map[string]int{"200": 30}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if complaints := (Expectation{}).Judge(got); complaints != nil {
				t.Errorf("complaints: %v", complaints)
			}
			if len(sent.Took) != 30 {
				t.Errorf("%d times were taken", len(sent.Took))
			}
		})
	}
}

// TestALoadNoticesForgeries: without a sidecar each kind of them reaches the app, and is told of.
func TestALoadNoticesForgeries(t *testing.T) {
	t.Parallel()
	ledger := NewLedger(1, 9)
	app := httptest.NewServer(note(ledger))
	defer app.Close()
	got := MakeAccount("plaintext", "plaintext", run(t, "plaintext", 9, app.URL), ledger.Seen(), nil)
	want := Account{Name: "plaintext", Sent: 9, Delivered: 9, Twice: 5, Forged: 9, Replayed: 6, ForgedSent: 9, Believed: 9, BelievedReplays: 6, Repeated: 5, Tries: map[string]int{"200": 9}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestALoadNoticesWhatAnAppDoes with messages, by its first answers to each.
func TestALoadNoticesWhatAnAppDoes(t *testing.T) {
	t.Parallel()
	failing := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	for name, row := range map[string]struct {
		first func(ledger *Ledger, noted http.HandlerFunc) http.HandlerFunc
		edit  func(*config.Config)
		told  Told
		want  Account
	}{
		"it fails before it has noted a message": {
			func(*Ledger, http.HandlerFunc) http.HandlerFunc { return failing }, nil,
			Replied, Account{Sent: 1, Delivered: 1, TriedAgain: 1, Tries: map[string]int{"502": 1, "200": 1}},
		},
		"it fails after it has noted a message": {
			func(_ *Ledger, noted http.HandlerFunc) http.HandlerFunc {
				return func(w http.ResponseWriter, r *http.Request) { noted(httptest.NewRecorder(), r); failing(w, r) }
			}, nil,
			Replied, Account{Sent: 1, Delivered: 1, Twice: 1, TriedAgain: 1, Tries: map[string]int{"502": 1, "200": 1}},
		},
		"it takes a message, and is late": {
			func(_ *Ledger, noted http.HandlerFunc) http.HandlerFunc {
				return func(w http.ResponseWriter, r *http.Request) { time.Sleep(300 * time.Millisecond); noted(w, r) }
			},
			func(c *config.Config) {
				c.Backend.OnDeadline, c.Backend.Deadline = config.OnDeadlineAcknowledge, config.Duration(config.MinDeadline)
			},
			Acknowledged, Account{Sent: 1, Delivered: 1, Tries: map[string]int{"200": 1}},
		},
		"it answers what it has not noted": {
			func(*Ledger, http.HandlerFunc) http.HandlerFunc {
				return App(func(context.Context, string) error { return nil })
			}, nil,
			Replied, Account{Sent: 1, Lost: 1, Tries: map[string]int{"200": 1}},
		},
		"it answers another message": {
			func(ledger *Ledger, _ http.HandlerFunc) http.HandlerFunc {
				return func(w http.ResponseWriter, _ *http.Request) {
					ledger.Note(text("encrypted", 0))
					_, _ = w.Write(textMessage{ToUserName: "a", FromUserName: "b", Content: text("encrypted", 1)}.reply())
				}
			}, nil,
			Misled, Account{Sent: 1, Delivered: 1, Misled: 1, Tries: map[string]int{"200": 1}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ledger := NewLedger(1, 1)
			noted := note(ledger)
			var calls atomic.Int64
			got, sent := play(t, "encrypted", 1, func(w http.ResponseWriter, r *http.Request) {
				if calls.Add(1) == 1 {
					row.first(ledger, noted)(w, r)
				} else {
					noted(w, r)
				}
			}, ledger, row.edit)
			if told := sent.Messages[0].Told; told != row.told {
				t.Errorf("WeChat was told %d, want %d", told, row.told)
			}
			if diff := cmp.Diff(row.want, got, cmpopts.IgnoreFields(Account{}, "Name", "ForgedSent", "Repeated")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
