// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar_test

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
	"github.com/wechatendpoint/wechatendpoint/test/exposition"
)

var update = flag.Bool("update", false, "write the section of docs/metrics.md anew, in both languages")

// TestMetricsPage: every metric of the page stands in docs/metrics.md, and its name and help are as Prometheus likes them.
func TestMetricsPage(t *testing.T) {
	t.Parallel()
	v := newVictim(t, "an Official Account, encrypted", func(c *config.Config) {
		other := httptest.NewServer(http.NotFoundHandler())
		t.Cleanup(other.Close)
		second := c.Backend
		second.URL = other.URL
		c.Rules = []config.Rule{
			{Match: config.Match{MsgType: "voice"}, Action: config.ActionDiscard}, {Match: config.Match{MsgType: "image"}, Action: config.ActionForward, Backend: &second},
		}
	})
	for _, kind := range []string{"text", "voice"} {
		answer, err := v.sender.Post(t.Context(), []byte(strings.Replace(v.message(), "text", kind, 1)))
		must(t, answer, err)
	}
	v.sender.Nonce = playedNonce(config.ProbeNoncePrefix)
	request, err := v.sender.NewURLCheck(wechattest.WithSignature(strings.Repeat("0", 40)))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := v.sender.Send(t.Context(), request)
	must(t, answer, err)
	_, text := v.get(t, "/metrics")
	exposition.Check(t, "..", "sidecar", "wechat_sidecar_", exposition.Parse(t, text), []string{"outcome", "reason", "action", "result"}, *update)
}

// TestWhatIsPlayedIsNoRefusal: an alert on refusals must not see the operator, whatever a pod refuses it for. Who only says that he is the operator
// is refused all the same, and counted.
func TestWhatIsPlayedIsNoRefusal(t *testing.T) {
	t.Parallel()
	v := newVictim(t, "an Official Account, encrypted", nil)
	refused := func() (refused, played float64) {
		_, text := v.get(t, "/metrics")
		for _, family := range exposition.Parse(t, text) {
			for _, metric := range family.GetMetric() {
				switch family.GetName() {
				case "wechat_sidecar_refused_total":
					refused += metric.GetCounter().GetValue()
				case "wechat_sidecar_played_refused_total":
					played += metric.GetCounter().GetValue()
				}
			}
		}
		return refused, played
	}
	for name, attack := range map[string]func(*caller.Request){
		"a forged signature": func(r *caller.Request) { r.Query = replaced(r.Query, "msg_signature", strings.Repeat("0", 40)) },
		"an old timestamp":   func(r *caller.Request) { r.Query = replaced(r.Query, "timestamp", "1") },
		"another path":       func(r *caller.Request) { r.Path = "/other" },
		"half a message":     func(r *caller.Request) { r.Body = r.Body[:40] },
	} {
		for prefix, isPlayed := range map[string]float64{"": 0, config.ProbeNoncePrefix: 1, config.TrialNoncePrefix: 1, "not-" + config.ProbeNoncePrefix: 0} {
			before, playedBefore := refused()
			v.sender.Nonce = playedNonce(prefix)
			request, _ := v.genuine(t)
			attack(request)
			answer, err := v.sender.Send(t.Context(), request)
			must(t, answer, err)
			after, playedAfter := refused()
			if answer.Status < 400 || after-before != 1-isPlayed || playedAfter-playedBefore != isPlayed {
				t.Errorf("%s with a nonce that begins %q is answered %d, and counts %v as a refusal and %v as played",
					name, prefix, answer.Status, after-before, playedAfter-playedBefore)
			}
		}
	}
}

// TestTheForgeryThatProvesPayIsNoRefusal: the operator sends one at each look.
func TestTheForgeryThatProvesPayIsNoRefusal(t *testing.T) {
	t.Parallel()
	pay := newPayer(t)
	v := newPayVictim(t, config.Pair{Generation: 2, APIv3Key: apiV3Key, PlatformKeys: map[string]string{serial: pay.public(t)}})
	for nonce, isPlayed := range map[string]float64{config.ProbeNoncePrefix + "7": 1, "7": 0} {
		header, body := pay.notify(t, "{}", func(n *notification) { n.nonce = nonce })
		header.Set("Wechatpay-Signature", caller.SignTestPrefix+strings.Repeat("A", 40))
		before := v.metric(t, `wechat_sidecar_refused_total{reason="bad_signature"}`)
		answer, err := v.sender.Send(t.Context(), v.payRequest(header, body))
		if must(t, answer, err); answer.Status != http.StatusForbidden || v.metric(t, `wechat_sidecar_refused_total{reason="bad_signature"}`)-before != 1-isPlayed {
			t.Errorf("a forgery with nonce %s is answered %d", nonce, answer.Status)
		}
	}
	if played := v.metric(t, "wechat_sidecar_played_refused_total"); played != 1 {
		t.Errorf("%v are counted as played", played)
	}
}

// TestHowLongWeChatWaits is told of what is WeChat's alone, and beside how long the app took.
func TestHowLongWeChatWaits(t *testing.T) {
	t.Parallel()
	const slow = 300 * time.Millisecond
	v := newVictim(t, "an Official Account, encrypted", func(c *config.Config) {
		c.Rules = []config.Rule{{Match: config.Match{MsgType: "voice"}, Action: config.ActionDiscard}}
	})
	v.app.answers(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(slow)
		_, _ = io.WriteString(w, "success")
	})
	send := func(t *testing.T, nonce, kind string) {
		t.Helper()
		v.sender.Nonce = playedNonce(nonce)
		answer, err := v.sender.Post(t.Context(), []byte(strings.Replace(v.message(), "text", kind, 1)))
		must(t, answer, err)
	}
	told := func(t *testing.T, name string) (all string) {
		t.Helper()
		_, text := v.get(t, "/metrics")
		for _, family := range exposition.Parse(t, text) {
			if family.GetName() != name {
				continue
			}
			histogram := family.GetMetric()[0].GetHistogram()
			for _, bucket := range histogram.GetBucket() {
				if bucket.GetUpperBound() == 0.25 {
					all = fmt.Sprint(histogram.GetSampleCount(), " ", bucket.GetCumulativeCount())
				}
			}
		}
		return all
	}
	for _, step := range []struct{ name, nonce, kind, answers, calls string }{
		{"a message is answered when the app has answered", "", "text", "1 0", "1 0"},
		{"at once where no app is called", "", "voice", "2 1", "1 0"},
		{"what is played is no answer to WeChat", config.TrialNoncePrefix, "text", "2 1", "2 0"},
	} {
		send(t, step.nonce, step.kind)
		if answers, calls := told(t, "wechat_sidecar_answer_duration_seconds"), told(t, "wechat_sidecar_backend_duration_seconds"); answers != step.answers || calls != step.calls {
			t.Errorf("%s: answers %s, want %s; calls %s, want %s (all, and those within 0.25 s)", step.name, answers, step.answers, calls, step.calls)
		}
	}
	request, _ := v.genuine(t)
	request.Query = replaced(request.Query, "msg_signature", strings.Repeat("0", 40))
	answer, err := v.sender.Send(t.Context(), request)
	if must(t, answer, err); told(t, "wechat_sidecar_answer_duration_seconds") != "2 1" {
		t.Error("a refusal counts as an answer to WeChat")
	}
}
