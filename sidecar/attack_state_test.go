// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar_test

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/diagnose"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
)

// metric reads one series of the second port. A series that every endpoint has is that of team-a/shop.
func (s *stage) metric(t *testing.T, series string) float64 {
	t.Helper()
	series = ofEndpoint(series)
	_, text := s.get(t, "/metrics")
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (\S+)$`).FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("there is no %s", series)
	}
	value, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// ofEndpoint adds the label of the endpoint to a series.
func ofEndpoint(series string) string {
	name, labels, _ := strings.Cut(strings.TrimSuffix(series, "}"), "{")
	switch {
	case name == "wechat_sidecar_in_flight" || name == "wechat_sidecar_config_stale" || strings.HasPrefix(name, "wechat_sidecar_spans_"), strings.HasPrefix(name, "wechat_sidecar_tap"), name == "wechat_sidecar_peers", name == "wechat_sidecar_handovers_total", name == "wechat_sidecar_uses_told_total":
		return series
	case labels != "":
		labels += ","
	}
	return name + "{" + labels + `wechat_endpoint="team-a/shop"}`
}

// expectFresh sends one more genuine request.
func (v *victim) expectFresh(t *testing.T) {
	t.Helper()
	request, message := v.genuine(t)
	v.expectAccepted(t, request, message, false)
}

// TestAFloodOfSignaturesIsRemembered as often as it is genuine, and not at all where it is forged: no stranger takes up
// memory. The bound on how many are remembered is tested where they are kept.
func TestAFloodOfSignaturesIsRemembered(t *testing.T) {
	t.Parallel()
	const flood = 200
	v := newVictim(t, "an Official Account, plaintext", nil)
	send := func(mutations ...caller.Mutation) int {
		request, _ := v.genuine(t, mutations...)
		return whole(v.sender.Send(t.Context(), request)).Status
	}
	for range flood {
		if status := send(wechattest.WithToken("forged-token")); status != http.StatusForbidden {
			t.Fatalf("a forged message was answered with %d", status)
		}
	}
	if remembered := v.metric(t, "wechat_sidecar_bindings"); remembered != 0 {
		t.Errorf("%v forged signatures are remembered", remembered)
	}
	if got := v.metric(t, `wechat_sidecar_refused_total{reason="bad_signature"}`); got != flood {
		t.Errorf("%v of %d refusals are counted", got, flood)
	}
	v.expectSeen(t, false, "")
	request, message := v.genuine(t)
	for i := range flood {
		if whole(v.sender.Send(t.Context(), request.WithBody(fmt.Appendf(nil, "<xml>%d</xml>", i)))); i == 0 {
			v.app.taken()
		}
	}
	if remembered := v.metric(t, "wechat_sidecar_bindings"); remembered != 1 {
		t.Errorf("one signature with %d bodies is remembered %v times", flood, remembered)
	}
	v.expectSeen(t, false, message)
	for range flood {
		if status := send(); status != http.StatusOK {
			t.Fatalf("a genuine message was answered with %d", status)
		}
	}
	if remembered := v.metric(t, "wechat_sidecar_bindings"); remembered != flood+1 {
		t.Errorf("%v of %d genuine signatures are remembered", remembered, flood+1)
	}
	v.app.taken()
	v.expectFresh(t)
}

// TestAFloodOfMessagesForgetsTheOldest: the replies that are kept for repeats have a bound, a sixteenth of the memory. Over it the oldest
// goes, so that its repeat would reach the app once more, and the newest ones are still joined.
func TestAFloodOfMessagesForgetsTheOldest(t *testing.T) {
	t.Parallel()
	v := newVictim(t, "an Official Account, plaintext", nil)
	reply := "<xml/>" + strings.Repeat(" ", 60<<10) // kept as it is, and read fast
	v.app.answers(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, reply) })
	const fit = sidecar.DefaultMemory / 16 / (64 << 10) // each reply is in a slice of that size
	var oldest, newest *caller.Request
	for i := range fit + 20 {
		newest, _ = v.genuine(t)
		if i == 0 {
			oldest = newest
		}
		if status := whole(v.sender.Send(t.Context(), newest)).Status; status != http.StatusOK {
			t.Fatalf("message %d was answered with %d", i, status)
		}
	}
	if evicted := v.metric(t, "wechat_sidecar_replies_evicted_total"); evicted < 20 || evicted > 23 {
		t.Errorf("%v of %d replies were forgotten", evicted, fit+20)
	}
	eventually(t, "no call to the app goes on", func() bool { return v.metric(t, "wechat_sidecar_in_flight") == 0 })
	v.app.taken()
	whole(v.sender.Send(t.Context(), newest))
	v.expectSeen(t, false, "")
	whole(v.sender.Send(t.Context(), oldest))
	v.expectSeen(t, true, string(oldest.Body))
	v.expectFresh(t)
}

// TestOneMessageInManySignaturesIsOne: with the token, the same Encrypt can be signed for any timestamp. The app still sees
// the message once, and at the same time many times once.
func TestOneMessageInManySignaturesIsOne(t *testing.T) {
	t.Parallel()
	v := newVictim(t, "an Official Account, encrypted", nil)
	request, message := v.genuine(t)
	encrypt := encryptOf(request)
	var group sync.WaitGroup
	for i := range 50 {
		group.Go(func() {
			signed := *request
			signed.Query = replaced(request.Query, "nonce", fmt.Sprintf("n%d", i))
			encrypted(&signed, wechat.FormXML, encrypt)
			if answer := whole(v.sender.Send(t.Context(), &signed)); answer.Status != http.StatusOK {
				t.Errorf("answered %d", answer.Status)
			}
		})
	}
	group.Wait()
	v.expectSeen(t, true, message)
	if repeats := v.metric(t, "wechat_sidecar_repeats_total"); repeats != 49 {
		t.Errorf("%v repeats are counted", repeats)
	}
	v.expectFresh(t)
}

// TestOneSignatureForManyBodiesAtOnce: of a race, exactly one body reaches the app.
func TestOneSignatureForManyBodiesAtOnce(t *testing.T) {
	t.Parallel()
	v := newVictim(t, "an Official Account, plaintext", nil)
	request, _ := v.genuine(t)
	var group sync.WaitGroup
	for i := range 50 {
		group.Go(func() {
			whole(v.sender.Send(t.Context(), request.WithBody(fmt.Appendf(nil, "<xml>%d</xml>", i))))
		})
	}
	group.Wait()
	if seen := v.app.taken(); len(seen) != 1 {
		t.Errorf("the app saw %q", seen)
	}
	if refused := v.metric(t, `wechat_sidecar_refused_total{reason="replayed"}`); refused != 49 {
		t.Errorf("%v replays are counted", refused)
	}
	v.expectFresh(t)
}

// TestSlowClientsKeepNobodyWaiting: while many clients stop in the middle of a head or a body, URL checks and messages are
// answered as if they were not there.
func TestSlowClientsKeepNobodyWaiting(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"an Official Account, plaintext", "an Official Account, encrypted"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			v := newVictim(t, kind, nil)
			request, message := v.genuine(t)
			whole := rawOf(request).sized().String()
			head := strings.Index(whole, "\r\n\r\n") + len("\r\n\r\n")
			chunk := rawOf(request).with("Transfer-Encoding: chunked")
			chunk.body = "5\r\n<xml>\r\n"
			forged := rawOf(request).sized()
			forged.line = strings.Replace(forged.line, request.Signature, strings.Repeat("0", 40), 1)
			for name, text := range map[string]string{
				"nothing":                          "",
				"one letter":                       "P",
				"half a line":                      "POST /weixin?signature=",
				"half a head":                      whole[:head-2],
				"a head and no body":               whole[:head],
				"half a body":                      whole[:head+(len(whole)-head)/2],
				"half a body with a forged query":  forged.String()[:len(forged.String())-10],
				"a chunk, and no other":            chunk.String(),
				"a whole request, and half of one": whole + whole[:head],
			} {
				clients := 24
				if strings.HasPrefix(name, "a chunk") {
					clients = 4 // each may become 1 MiB long, and 16 MiB is what all may hold
				}
				for range clients {
					if _, err := io.WriteString(v.dial(t), text); err != nil {
						t.Fatal(err)
					}
				}
			}
			eventually(t, "the one whole message is there", func() bool { return v.app.count() == 1 })
			v.expectSeen(t, true, message)
			for range 3 {
				v.expectFresh(t)
				answer, err := v.sender.URLCheck(t.Context())
				if refusal := diagnose.URLCheck(answer, err); refusal != nil {
					t.Error(refusal)
				}
			}
		})
	}
}

// TestAFloodOfRefusalsStaysReadable: the log is bounded and holds nothing of the client's, the counts are whole.
func TestAFloodOfRefusalsStaysReadable(t *testing.T) {
	t.Parallel()
	v := newVictim(t, "an Official Account, encrypted", nil)
	const flood = 100
	for i := range flood {
		request, _ := v.genuine(t)
		request.Query = replaced(request.Query, "msg_signature", strings.Repeat("0", 40)) + fmt.Sprintf("&a=injected%d%%0a", i)
		request.Header.Set("User-Agent", "injected\\n{}")
		whole(v.sender.Send(t.Context(), request))
	}
	if counted := v.metric(t, `wechat_sidecar_refused_total{reason="bad_signature"}`); counted != flood {
		t.Errorf("%v of %d refusals are counted", counted, flood)
	}
	log := v.log.String()
	if lines := strings.Count(log, "refused a callback"); lines == 0 || lines > flood/2 {
		t.Errorf("%d refusals are in the log", lines)
	}
	if strings.Contains(log, "injected") {
		t.Errorf("a client wrote into the log:\n%s", log)
	}
	v.expectFresh(t)
}

// TestNothingAuditedPassesForVerified: the attacks that InsecureAudit lets through are marked, unsigned and not remembered;
// the genuine message is not taken for a repeat of theirs.
func TestNothingAuditedPassesForVerified(t *testing.T) {
	t.Parallel()
	until := time.Now().Add(time.Hour)
	v := newVictim(t, "an Official Account, encrypted", func(c *config.Config) { c.Backend.Payload, c.AuditUntil = config.PayloadOriginal, &until })
	for name, attack := range map[string]func(*caller.Request){
		"a forged signature":  func(r *caller.Request) { r.Query = replaced(r.Query, "msg_signature", strings.Repeat("0", 40)) },
		"a downgrade":         func(r *caller.Request) { r.Query = replaced(r.Query, "msg_signature", "") },
		"a doubled parameter": func(r *caller.Request) { r.Query += "&nonce=1" },
		"a DOCTYPE":           prefix("<!DOCTYPE xml>"),
	} {
		t.Run(name, func(t *testing.T) {
			request, _ := v.genuine(t)
			attacked := *request
			attacked.Header = request.Header.Clone()
			attacked.Header["X-Wechat-Verified"], attacked.Header["X-Wechat-Gateway-Signature"] = []string{"true"}, []string{"forged"}
			attack(&attacked)
			whole(v.sender.Send(t.Context(), &attacked))
			if got := v.app.last(t).Header; got.Get("X-Wechat-Verified") != "false" || got.Get("X-Wechat-Gateway-Signature") != "" || got.Get("X-Wechat-Delivery-Id") != "" {
				t.Errorf("the app was told %v", got)
			}
			v.app.taken()
			whole(v.sender.Send(t.Context(), request))
			if got := v.app.last(t).Header; got.Get("X-Wechat-Verified") != "true" || got.Get("X-Wechat-Gateway-Signature") == "" {
				t.Errorf("of the genuine message the app was told %v", got)
			}
			v.app.taken()
		})
	}
	for name, attack := range map[string]func(*caller.Request){
		"another path":   func(r *caller.Request) { r.Path = "/other" },
		"another method": func(r *caller.Request) { r.Method = "PUT" },
		"a long body":    func(r *caller.Request) { size := int64(1<<20 + 1); r.Announced = &size },
	} {
		t.Run(name+" is not audited", func(t *testing.T) {
			request, _ := v.genuine(t)
			attack(request)
			if answer := whole(v.sender.Send(t.Context(), request)); answer.Status < http.StatusBadRequest {
				t.Errorf("answered %d", answer.Status)
			}
			v.expectSeen(t, false, "")
		})
	}
}
