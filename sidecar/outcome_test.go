// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar_test

import (
	"crypto/rand"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/outcome"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

// playedNonce makes nonces with a prefix.
func playedNonce(prefix string) func() string {
	return func() string { return prefix + rand.Text() }
}

// TestWhoPlaysWeChatIsTold what became of his message, and nobody else is.
func TestWhoPlaysWeChatIsTold(t *testing.T) {
	t.Parallel()
	says := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	v := newVictim(t, "an Official Account, encrypted", func(c *config.Config) {
		c.Rules = []config.Rule{{Match: config.Match{MsgType: "voice"}, Action: config.ActionDiscard}}
	})
	for name, row := range map[string]struct {
		app     http.HandlerFunc
		status  int
		outcome outcome.Outcome
		failure outcome.Failure
	}{
		"a reply":       {says(200, v.kind.reply), 200, outcome.Answered, outcome.Failure{}},
		"success":       {says(200, "success"), 200, outcome.Answered, outcome.Failure{}},
		"status 500":    {says(500, ""), 502, outcome.BadReply, outcome.Failure{Cause: outcome.Status, Number: 500}},
		"status 404":    {says(404, ""), 502, outcome.BadReply, outcome.Failure{Cause: outcome.Status, Number: 404}},
		"a redirect":    {says(302, ""), 502, outcome.BadReply, outcome.Failure{Cause: outcome.Status, Number: 302}},
		"JSON for XML":  {says(200, `{"code":0}`), 502, outcome.BadReply, outcome.Failure{Cause: "json_for_xml"}},
		"an HTML page":  {says(200, "<!DOCTYPE html><p>"), 502, outcome.BadReply, outcome.Failure{Cause: "html"}},
		"a word":        {says(200, "ok"), 502, outcome.BadReply, outcome.Failure{Cause: "unknown"}},
		"a long reply":  {says(200, "<xml>"+strings.Repeat("a", 64<<10)), 502, outcome.BadReply, outcome.Failure{Cause: outcome.TooLong, Number: 64 << 10}},
		"a broken call": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 502, outcome.BadReply, outcome.Failure{Cause: outcome.Closed}},
	} {
		t.Run(name, func(t *testing.T) {
			v.app.answers(row.app)
			v.sender.Nonce = playedNonce(config.TrialNoncePrefix)
			answer, err := v.sender.Post(t.Context(), []byte(v.message()))
			must(t, answer, err)
			report, ok := outcome.Parse(answer.Header.Get(outcome.Header))
			if answer.Status != row.status || !ok || report.Outcome != row.outcome || report.Failure != row.failure {
				t.Errorf("answered %d, and told %q", answer.Status, answer.Header.Get(outcome.Header))
			}
			v.sender.Nonce = nil
			answer, err = v.sender.Post(t.Context(), []byte(v.message()))
			if must(t, answer, err); answer.Status != row.status || answer.Header.Get(outcome.Header) != "" {
				t.Errorf("WeChat is answered %d, and told %q", answer.Status, answer.Header.Get(outcome.Header))
			}
		})
	}
	v.sender.Nonce = playedNonce(config.TrialNoncePrefix)
	for name, attack := range map[string]func(*caller.Request){
		"a forged message": func(r *caller.Request) { r.Query = replaced(r.Query, "msg_signature", strings.Repeat("0", 40)) },
		"another path":     func(r *caller.Request) { r.Path = "/other" },
		"half a message":   func(r *caller.Request) { r.Body = r.Body[:40] },
	} {
		t.Run(name, func(t *testing.T) {
			request, _ := v.genuine(t)
			attack(request)
			answer, err := v.sender.Send(t.Context(), request)
			if must(t, answer, err); answer.Status < 400 || answer.Header.Get(outcome.Header) != "" {
				t.Errorf("answered %d, and told %q", answer.Status, answer.Header.Get(outcome.Header))
			}
		})
	}
	v.app.taken()
	v.sender.Nonce = playedNonce(config.ProbeNoncePrefix)
	answer, err := v.sender.URLCheck(t.Context())
	if must(t, answer, err); answer.Header.Get(outcome.Header) != "probe" {
		t.Errorf("a probe is told %q", answer.Header.Get(outcome.Header))
	}
	v.sender.Nonce = playedNonce(config.TrialNoncePrefix)
	answer, err = v.sender.Post(t.Context(), []byte(strings.Replace(v.message(), "text", "voice", 1)))
	if must(t, answer, err); answer.Header.Get(outcome.Header) != "discarded" || v.app.count() != 0 {
		t.Errorf("what is discarded is told %q", answer.Header.Get(outcome.Header))
	}
}

// TestAnAppThatIsAwayIsCalledSo, and not its proxy.
func TestAnAppThatIsAwayIsCalledSo(t *testing.T) {
	t.Parallel()
	v := newVictim(t, "an Official Account, plaintext", func(c *config.Config) {
		c.Backend.URL, c.Backend.Deadline = "http://127.0.0.1:1", config.Duration(200*time.Millisecond)
	})
	v.sender.Nonce = playedNonce(config.TrialNoncePrefix)
	answer, err := v.sender.Post(t.Context(), []byte(v.message()))
	must(t, answer, err)
	report, ok := outcome.Parse(answer.Header.Get(outcome.Header))
	if !ok || answer.Status != http.StatusServiceUnavailable || report.Outcome != outcome.Unavailable || report.Failure.Cause != outcome.Refused {
		t.Errorf("answered %d, and told %q", answer.Status, answer.Header.Get(outcome.Header))
	}
}

// TestASlowAppIsSeen: WeChat is answered at the deadline, and the log and the metrics say so; who plays WeChat waits for the app, and
// gets what WeChat got.
func TestASlowAppIsSeen(t *testing.T) {
	t.Parallel()
	for onDeadline, want := range map[string]struct {
		status  int
		outcome outcome.Outcome
	}{
		config.OnDeadlineAcknowledge: {200, outcome.Acknowledged}, config.OnDeadlineFail: {503, outcome.TimedOut},
	} {
		t.Run(onDeadline, func(t *testing.T) {
			t.Parallel()
			v := newVictim(t, "an Official Account, encrypted", func(c *config.Config) {
				c.Backend.OnDeadline, c.Backend.Deadline = onDeadline, config.Duration(200*time.Millisecond)
			})
			const slow = 700 * time.Millisecond
			v.app.answers(func(w http.ResponseWriter, _ *http.Request) {
				time.Sleep(slow)
				_, _ = io.WriteString(w, v.kind.reply)
			})
			for i, nonce := range []func() string{nil, playedNonce(config.TrialNoncePrefix)} {
				v.sender.Nonce = nonce
				answer, err := v.sender.Post(t.Context(), []byte(v.message()))
				must(t, answer, err)
				if answer.Status != want.status || want.status == 200 && string(answer.Body) != "success" {
					t.Errorf("call %d: answered %d %q", i, answer.Status, answer.Body)
				}
				if counted := v.metric(t, `wechat_sidecar_callbacks_total{outcome="`+string(want.outcome)+`"}`); counted != float64(1+i) {
					t.Errorf("call %d: %v are counted", i, counted)
				}
				report, ok := outcome.Parse(answer.Header.Get(outcome.Header))
				if ok != (nonce != nil) || ok && (report.Outcome != want.outcome || report.Took < slow) {
					t.Errorf("call %d: told %q", i, answer.Header.Get(outcome.Header))
				}
			}
			if log := v.log.String(); strings.Count(log, `"outcome":"`+string(want.outcome)+`"`) != 2 {
				t.Errorf("the log says:\n%s", log)
			}
		})
	}
}
