// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar_test

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/outcome"
	"github.com/wechatendpoint/wechatendpoint/sidecar/sidecartest"
	"github.com/wechatendpoint/wechatendpoint/sidecar/version"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
)

// theirTrace is the trace of somebody else, and theirHeaders how he would have the sidecar or the app go on with it.
const theirTrace = "0af7651916cd43dd8448eb211c80319c"

var theirHeaders = []caller.Mutation{
	wechattest.WithHeader("traceparent", "00-"+theirTrace+"-b7ad6b7169203331-01"),
	wechattest.WithHeader("tracestate", "congo=t61rcWkgMzE"),
	wechattest.WithHeader("baggage", "user=admin"),
	wechattest.WithHeader("b3", theirTrace+"-b7ad6b7169203331-1"),
	wechattest.WithHeader("X-B3-TraceId", theirTrace),
	wechattest.WithHeader("X-B3-Sampled", "1"),
	wechattest.WithHeader("uber-trace-id", theirTrace+":b7ad6b7169203331:0:1"),
}

// traced starts a sidecar for one kind of account that tells a collector of so many of a million messages.
func traced(t *testing.T, kind string, edit func(*config.Config), perMillion int) (*stage, *caller.Sender, *sidecartest.Collector) {
	t.Helper()
	collector := sidecartest.NewCollector(t)
	a := accounts()[kind]
	usual := a.edit
	a.edit = func(c *config.Config) {
		usual(c)
		if edit != nil {
			edit(c)
		}
	}
	a.traces = collector.Traces()
	a.traces.SamplingRatePerMillion = &perMillion
	s, sender := newAccountStage(t, a)
	return s, sender, collector
}

// end ends the sidecar, which sends the spans that wait.
func (s *stage) end(t *testing.T) {
	t.Helper()
	s.stop()
	if err := <-s.ended; err != nil {
		t.Error(err)
	}
}

// split are the parts of a traceparent.
func split(t *testing.T, traceparent string) (trace, span, flags string) {
	t.Helper()
	parts := strings.Split(traceparent, "-")
	if len(parts) != 4 || parts[0] != "00" || len(parts[1]) != 32 || len(parts[2]) != 16 || len(parts[3]) != 2 {
		t.Fatalf("the app was told %q, which is no traceparent", traceparent)
	}
	return parts[1], parts[2], parts[3]
}

// TestTheAppContinuesTheTrace: what the collector is told begins with the callback and leads to the call of the app, which is told where
// its own part belongs. What a client says of traces nobody is told.
func TestTheAppContinuesTheTrace(t *testing.T) {
	t.Parallel()
	for kind, a := range accounts() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s, sender, collector := traced(t, kind, nil, config.EveryMessage)
			if answer := whole(sender.Post(t.Context(), []byte(a.message), theirHeaders...)); answer.Status != http.StatusOK {
				t.Fatalf("answered %d", answer.Status)
			}
			s.end(t)
			told := s.app.last(t).Header
			trace, parent, flags := split(t, told.Get("traceparent"))
			if flags != "01" || trace == theirTrace {
				t.Errorf("the app was told %q", told.Get("traceparent"))
			}
			for _, name := range []string{"tracestate", "baggage", "b3", "X-B3-TraceId", "X-B3-Sampled", "uber-trace-id"} {
				if got := told.Get(name); got != "" {
					t.Errorf("the app was told %s: %s", name, got)
				}
			}
			spans := collector.Await(t, 2)
			if len(spans) != 2 {
				t.Fatalf("the collector was told of %+v", spans)
			}
			callback, call := spans[0], spans[1]
			if callback.Kind != "SPAN_KIND_SERVER" || callback.Parent != "" || call.Kind != "SPAN_KIND_CLIENT" || call.Parent != callback.ID {
				t.Errorf("the call does not stand below the callback: %+v", spans)
			}
			if callback.Trace != trace || call.Trace != trace || call.ID != parent {
				t.Errorf("the app was told %q, and the collector %+v", told.Get("traceparent"), spans)
			}
			if strings.Contains(string(collector.Raw()), "t61rcWkgMzE") {
				t.Error("the collector was told a client's tracestate")
			}
		})
	}
}

// TestWhatIsTold, all of it, where the app answers well and where it does not.
func TestWhatIsTold(t *testing.T) {
	t.Parallel()
	const kind = "a third-party platform's authorizer"
	for name, test := range map[string]struct {
		app            http.HandlerFunc
		callback, call map[string]string
		failed         bool
	}{
		"answered": {
			func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
			map[string]string{"http.response.status_code": "200", "wechat.outcome": "answered"},
			map[string]string{"http.response.status_code": "204", "wechat.outcome": "answered"},
			false,
		},
		"refused by the app": {
			func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
			map[string]string{"http.response.status_code": "502", "wechat.outcome": "bad_reply", "error.type": "502"},
			map[string]string{"http.response.status_code": "500", "wechat.outcome": "bad_reply", "error.type": "500"},
			true,
		},
		"answered with HTML": {
			func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html></html>") },
			map[string]string{"http.response.status_code": "502", "wechat.outcome": "bad_reply", "error.type": "502"},
			map[string]string{"http.response.status_code": "200", "wechat.outcome": "bad_reply", "error.type": "html"},
			true,
		},
		"cut off": {
			func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			map[string]string{"http.response.status_code": "502", "wechat.outcome": "bad_reply", "error.type": "502"},
			map[string]string{"wechat.outcome": "bad_reply", "error.type": "closed"},
			true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, sender, collector := traced(t, kind, nil, config.EveryMessage)
			s.app.answers(test.app)
			before := time.Now()
			whole(sender.Post(t.Context(), []byte(xmlText)))
			after := time.Now()
			s.end(t)
			spans := collector.Await(t, 2)
			_, port, _ := net.SplitHostPort(strings.TrimPrefix(s.config.Backend.URL, "http://"))
			common := map[string]string{"http.request.method": "POST"}
			want := []map[string]string{
				{
					"http.route": "/weixin/$APPID$/callback", "url.path": "/weixin/$APPID$/callback", "url.scheme": "http",
					"wechat.endpoint": "team-a/shop", "wechat.platform": "OpenPlatform", "wechat.message.kind": "message",
				},
				{"server.address": "127.0.0.1", "server.port": port, "url.full": s.config.Backend.URL},
			}
			for i, own := range []map[string]string{test.callback, test.call} {
				maps.Copy(want[i], common)
				maps.Copy(want[i], own)
				if diff := cmp.Diff(want[i], spans[i].Attributes); diff != "" {
					t.Errorf("the collector was told (-want +got):\n%s", diff)
				}
				if spans[i].Failed != test.failed || spans[i].Start.Before(before) || spans[i].End.After(after.Add(time.Second)) || spans[i].End.Before(spans[i].Start) {
					t.Errorf("from %v to %v, failed %v", spans[i].Start, spans[i].End, spans[i].Failed)
				}
			}
			if spans[0].Name != "POST /weixin/$APPID$/callback" || spans[1].Name != "POST" {
				t.Errorf("the spans are called %q and %q", spans[0].Name, spans[1].Name)
			}
			pod, _ := os.Hostname()
			if diff := cmp.Diff(map[string]string{"service.name": "wechat-sidecar", "service.version": version.Get().Version, "service.instance.id": pod}, spans[0].Process); diff != "" {
				t.Errorf("of the process it was told (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRepeatsAreOneTrace: on another replica too, and after a failure, of which nobody remembers anything; and a message of the same words to
// an endpoint with another secret is not among them.
func TestRepeatsAreOneTrace(t *testing.T) {
	t.Parallel()
	const kind = "an Official Account, encrypted"
	collector := sidecartest.NewCollector(t)
	replica := func(gatewayKey string) (*stage, *caller.Sender) {
		a := accounts()[kind]
		a.traces = collector.Traces()
		s, sender := newAccountStage(t, a)
		s.config.Generation = "g-3"
		s.writeDocument(t, s.config, config.Credentials{
			GatewayKey: []byte(strings.Repeat(gatewayKey, config.GatewayKeySize)), Pairs: []config.Pair{{Generation: 2, Token: token, EncodingAESKey: aesKey}},
		})
		s.awaitGeneration(t, "g-3")
		return s, sender
	}
	send := func(s *stage, sender *caller.Sender, status int) (trace, span string) {
		t.Helper()
		if answer := whole(sender.Post(t.Context(), []byte(xmlText))); answer.Status != status {
			t.Errorf("answered %d, want %d", answer.Status, status)
		}
		told := s.app.last(t).Header
		if trace, span, _ = split(t, told.Get("traceparent")); trace == told.Get("X-Wechat-Delivery-Id") {
			t.Error("the trace tells the delivery id, a hash of the message")
		}
		return trace, span
	}
	one, oneSender := replica("k")
	other, otherSender := replica("k")
	foreign, foreignSender := replica("f")
	for _, s := range []*stage{one, other} {
		s.app.answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	}
	first, firstSpan := send(one, oneSender, http.StatusBadGateway)
	second, secondSpan := send(other, otherSender, http.StatusBadGateway)
	one.app.answers(nil)
	third, thirdSpan := send(one, oneSender, http.StatusOK)
	joined, joinedSpan := send(one, oneSender, http.StatusOK) // which the app does not see
	strange, _ := send(foreign, foreignSender, http.StatusOK)
	if first != second || first != third || first != joined || thirdSpan != joinedSpan {
		t.Errorf("the traces of one message are %s, %s, %s and %s", first, second, third, joined)
	}
	if strange == first {
		t.Error("two endpoints have one trace")
	}
	if firstSpan == secondSpan || firstSpan == thirdSpan {
		t.Errorf("the calls are %s, %s and %s", firstSpan, secondSpan, thirdSpan)
	}
	for _, s := range []*stage{one, other, foreign} {
		s.end(t)
	}
	var repeats, callbacks int
	for _, span := range collector.Await(t, 9) {
		if span.Trace == first && span.Kind == "SPAN_KIND_SERVER" {
			callbacks++
			if span.Attributes["wechat.repeat"] == "true" {
				repeats++
			}
		}
	}
	if callbacks != 4 || repeats != 1 {
		t.Errorf("of the message there are %d callbacks, %d of which joined another: want 4 and 1", callbacks, repeats)
	}
}

// TestASampleIsTold: of a message that is not in it the app is told a trace all the same, and that nobody records it.
func TestASampleIsTold(t *testing.T) {
	t.Parallel()
	s, sender, collector := traced(t, "a WeCom app", nil, config.EveryMessage/2)
	sampled := map[string]bool{}
	for i := range 40 {
		whole(sender.Post(t.Context(), []byte(strings.Replace(xmlText, "hi", fmt.Sprint(i), 1))))
		trace, _, flags := split(t, s.app.last(t).Header.Get("traceparent"))
		sampled[trace] = flags == "01"
	}
	s.end(t)
	told := map[string]bool{}
	for _, span := range collector.Spans() {
		told[span.Trace] = true
	}
	for trace, sampled := range sampled {
		if told[trace] != sampled {
			t.Errorf("trace %s is sampled: %v, told: %v", trace, sampled, told[trace])
		}
	}
	if len(sampled) != 40 || len(told) == 0 || len(told) == 40 { // once in 5·10¹¹
		t.Errorf("of %d messages %d are told of", len(sampled), len(told))
	}
}

// TestWhatIsNotTraced: what nobody has verified, and what no app gets.
func TestWhatIsNotTraced(t *testing.T) {
	t.Parallel()
	until := time.Now().Add(time.Hour)
	s, sender, collector := traced(t, "an Official Account, encrypted", func(c *config.Config) {
		c.Rules = []config.Rule{{Match: config.Match{Event: "subscribe"}, Action: config.ActionDiscard}}
		c.Backend.Payload, c.AuditUntil = config.PayloadOriginal, &until
	}, config.EveryMessage)
	whole(sender.URLCheck(t.Context(), theirHeaders...))
	whole(sender.Post(t.Context(), []byte("<xml><FromUserName>oUser</FromUserName><MsgType>event</MsgType><Event>subscribe</Event></xml>"), theirHeaders...))
	whole(sender.Post(t.Context(), []byte(xmlText), append(theirHeaders, wechattest.WithPath("/other"))...))
	if s.app.count() != 0 {
		t.Fatalf("the app saw %q", s.app.bodies)
	}
	whole(sender.Post(t.Context(), []byte(xmlText), append(theirHeaders, wechattest.WithToken("forged-token"))...))
	told := s.app.last(t).Header
	if told.Get("X-Wechat-Verified") != "false" || told.Get("traceparent") != "" {
		t.Errorf("of a message that nobody verified the app was told %v", told)
	}
	s.end(t)
	if spans := collector.Spans(); len(spans) > 0 {
		t.Errorf("the collector was told of %+v", spans)
	}
}

// TestNothingOfAMessageIsTold: whatever stands in a request, its message and the app's answer, each value that the collector is told is
// the configuration's or of a closed list.
func TestNothingOfAMessageIsTold(t *testing.T) {
	t.Parallel()
	for kind, a := range accounts() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s, sender, collector := traced(t, kind, nil, config.EveryMessage)
			replies := []http.HandlerFunc{
				func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "private reply") },
				func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "private fault", http.StatusTeapot) },
				func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/private", http.StatusFound) },
				func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("traceparent", "private")
					w.WriteHeader(http.StatusOK)
				},
				nil,
			}
			n, messages := 0, slices.Sorted(maps.Values(typed))
			if a.message == ticketText {
				messages = messages[:1] // nobody types tickets
			}
			for _, text := range messages {
				s.app.answers(replies[n%len(replies)])
				n++
				message := write(a.message, fmt.Sprint(text, "private words ", n))
				whole(sender.Post(t.Context(), []byte(message), append(theirHeaders,
					wechattest.WithHeader("User-Agent", "private agent"), wechattest.WithHeader("X-Forwarded-For", "203.0.113.9"),
					wechattest.WithParameter("private", "parameter"))...))
			}
			deliveries := map[string]bool{}
			for _, seen := range s.app.seen {
				deliveries[seen.Header.Get("X-Wechat-Delivery-Id")] = true
			}
			s.end(t)
			backend := strings.TrimPrefix(s.config.Backend.URL, "http://")
			host, port, _ := net.SplitHostPort(backend)
			allowed := []string{
				"POST", "http", "true", s.config.Path, s.config.Endpoint, s.config.Platform, s.config.Backend.URL, host, port,
				"message", "event", "command", "unreadable", "200", "302", "418", "502", "503", "closed",
			}
			for _, one := range outcome.All {
				allowed = append(allowed, string(one))
			}
			spans := collector.Await(t, 2*n)
			for _, span := range spans {
				for name, value := range span.Attributes {
					if _, cause := outcome.Parse("bad_reply; cause=" + value); !cause && !slices.Contains(allowed, value) {
						t.Errorf("the collector was told %s: %q", name, value)
					}
				}
				if span.Name != "POST" && span.Name != "POST "+s.config.Path {
					t.Errorf("the collector was told of %q", span.Name)
				}
			}
			raw := string(collector.Raw())
			for _, secret := range append(secrets, "private", "wwcorp", "wxother", "203.0.113.9", theirTrace, strings.Repeat("k", 16)) {
				if strings.Contains(raw, secret) {
					t.Errorf("the collector was told %q", secret)
				}
			}
			for _, span := range spans {
				if deliveries[span.Trace] {
					t.Error("the collector was told a delivery id, which is a hash of the message")
				}
			}
		})
	}
}

// TestNoCollector: one that is not there, or takes everything and answers nothing, or refuses it, harms no message. What it is not told is
// counted, and the sidecar's end waits for it no longer than it may.
func TestNoCollector(t *testing.T) {
	t.Parallel()
	closed := listen(t)
	closed.Close()
	frozen := listen(t)
	t.Cleanup(func() { frozen.Close() })
	refusing := sidecartest.NewCollector(t)
	refusing.Answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	for name, test := range map[string]struct {
		endpoint string
		messages int
		dropped  float64 // at least
	}{
		"that is not there": {"http://" + closed.Addr().String(), 600, 1},
		"that is frozen":    {"http://" + frozen.Addr().String(), 600, 1},
		"that refuses":      {refusing.URL, 100, 128}, // as many as are sent at once
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := accounts()["an Official Account, plaintext"]
			a.traces = config.Tracing{Endpoint: test.endpoint}
			s, sender := newAccountStage(t, a)
			sender.Timeout = patience
			for i := range test.messages {
				if answer := whole(sender.Post(t.Context(), []byte(strings.Replace(xmlText, "hi", fmt.Sprint(i), 1)))); answer.Status != http.StatusOK {
					t.Fatalf("message %d is answered %d", i, answer.Status)
				}
			}
			eventually(t, "what was dropped is counted", func() bool { return s.metric(t, "wechat_sidecar_spans_dropped_total") >= test.dropped })
			if sent := s.metric(t, "wechat_sidecar_spans_sent_total"); sent != 0 {
				t.Errorf("%v spans are said to be sent", sent)
			}
			ending := time.Now()
			s.end(t)
			if took := time.Since(ending); took > 10*time.Second {
				t.Errorf("the end took %v", took)
			}
		})
	}
}

// TestOff: without a collector the app is told of no trace, neither the sidecar's nor a client's.
func TestOff(t *testing.T) {
	t.Parallel()
	s, sender := newAccountStage(t, accounts()["an Official Account, plaintext"])
	whole(sender.Post(t.Context(), []byte(xmlText), theirHeaders...))
	for name := range s.app.last(t).Header {
		if lower := strings.ToLower(name); strings.Contains(lower, "trace") || strings.Contains(lower, "b3") || lower == "baggage" {
			t.Errorf("the app was told %s", name)
		}
	}
	if s.metric(t, "wechat_sidecar_spans_sent_total") != 0 || s.metric(t, "wechat_sidecar_spans_dropped_total") != 0 {
		t.Error("spans are counted")
	}
}
