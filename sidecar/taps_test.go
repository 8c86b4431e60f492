// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	verify "github.com/wechatendpoint/wechatendpoint/docs/verify"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/tap"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
)

var (
	tapKey      = bytes.Repeat([]byte("k"), config.GatewayKeySize)
	otherTapKey = bytes.Repeat([]byte("o"), config.GatewayKeySize)
)

// newTappedStage is a sidecar whose endpoint has a gateway key.
func newTappedStage(t *testing.T, edit func(*config.Config)) *stage {
	t.Helper()
	s := newStage(t, edit)
	s.serveKey(t, "g-2", tapKey)
	s.app.answers(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "success") })
	return s
}

// serveKey gives the endpoint another gateway key.
func (s *stage) serveKey(t *testing.T, generation string, key []byte) {
	t.Helper()
	s.config.Generation = generation
	s.writeDocument(t, s.config, config.Credentials{GatewayKey: key, Pairs: []config.Pair{{Generation: 1, Token: token}}})
	s.awaitGeneration(t, generation)
}

// tapRequest is what somebody asks the second port for.
type tapRequest struct {
	method, path, query, body string
	key                       []byte
	proof                     tap.Proof
	authorization             []string // nil is that of the proof
}

// newTapRequest is one that opens a tap.
func newTapRequest(query tap.Query) tapRequest {
	if query.Endpoint == "" {
		query.Endpoint = "team-a/shop"
	}
	r := tapRequest{method: http.MethodGet, path: tap.Path, query: query.Encode(), key: tapKey}
	r.proof = tap.Proof{At: time.Now(), To: netip.MustParseAddr("127.0.0.1")}
	_, _ = rand.Read(r.proof.Nonce[:])
	return r
}

func (r tapRequest) asked() tap.Asked {
	return tap.Asked{Method: r.method, Path: r.path, RawQuery: r.query, Body: sha256.Sum256([]byte(r.body))}
}

// signed is the request with the proof that its fields make: what is changed afterwards was not signed.
func (r tapRequest) signed() tapRequest {
	r.authorization = []string{r.proof.Sign(tap.NewKey(r.key), r.asked())}
	return r
}

func (r tapRequest) send(ctx context.Context, t testing.TB, ops string) *http.Response {
	t.Helper()
	if r.authorization == nil {
		r = r.signed()
	}
	request, err := http.NewRequestWithContext(ctx, r.method, ops+r.path+"?"+r.query, strings.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header["Authorization"] = r.authorization
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

// refusal is why there is no tap; empty where there is one.
func (r tapRequest) refusal(t testing.TB, ops string) tap.Refusal {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	response := r.send(ctx, t, ops)
	defer response.Body.Close()
	if response.StatusCode < 300 {
		return ""
	}
	var refused tap.Refused
	if err := json.NewDecoder(response.Body).Decode(&refused); err != nil || refused.Reason.Status() != response.StatusCode {
		t.Errorf("answered %d %q: %v", response.StatusCode, refused.Reason, err)
	}
	return refused.Reason
}

// openTap is what somebody reads.
type openTap struct {
	*bufio.Scanner
	hello tap.Hello
	close func()
}

func openTapAt(t testing.TB, ops string, query tap.Query) *openTap {
	t.Helper()
	return openTapRequest(t, ops, newTapRequest(query))
}

func openTapRequest(t testing.TB, ops string, r tapRequest) *openTap {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	response := r.send(ctx, t, ops)
	o := &openTap{Scanner: bufio.NewScanner(response.Body), close: func() { cancel(); response.Body.Close() }}
	o.Buffer(nil, 4<<20)
	t.Cleanup(o.close)
	if response.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(response.Body)
		t.Fatalf("the tap is answered with %d %s", response.StatusCode, body)
	}
	o.hello = *o.next(t).Hello
	return o
}

// next is the next line that says something.
func (o *openTap) next(t testing.TB) (line tap.Line) {
	t.Helper()
	for o.Scan() {
		if err := json.Unmarshal(o.Bytes(), &line); err != nil {
			t.Fatalf("%s: %v", o.Bytes(), err)
		}
		if line != (tap.Line{}) {
			return line
		}
	}
	t.Fatalf("the tap broke off: %v", o.Err())
	return line
}

// rest is all that comes until the tap ends.
func (o *openTap) rest(t testing.TB) (all []tap.Line) {
	t.Helper()
	for {
		line := o.next(t)
		if all = append(all, line); line.Ended != "" {
			return all
		}
	}
}

// TestNoTapWithoutTheKey: each row is one change to a request that opens a tap.
func TestNoTapWithoutTheKey(t *testing.T) {
	t.Parallel()
	g := newGateway(t, 0)
	one, other, bare := g.newTenant(t, "one"), g.newTenant(t, "other"), g.newTenant(t, "bare")
	g.list(t, "one", "other", "bare")
	g.writeKey(t, one, tapKey)
	g.writeKey(t, other, otherTapKey)
	g.write(t, bare)
	g.await(t, "all are served", func(s config.ProcessStatus) bool {
		return s.Entries["one"].Generation != "" && s.Entries["other"].Generation != "" && s.Entries["bare"].Generation != ""
	})
	genuine := func() tapRequest {
		return newTapRequest(tap.Query{Endpoint: "team-a/one", Messages: true, Follow: true})
	}
	for name, row := range map[string]struct {
		want   tap.Refusal
		change func(*tapRequest)
	}{
		"as it is":                          {"", func(*tapRequest) {}},
		"without a proof":                   {tap.Forbidden, func(r *tapRequest) { r.authorization = []string{} }},
		"with two proofs":                   {tap.Forbidden, func(r *tapRequest) { *r = r.signed(); r.authorization = append(r.authorization, r.authorization[0]) }},
		"with something else for a proof":   {tap.Forbidden, func(r *tapRequest) { r.authorization = []string{"Bearer x"} }},
		"with another key":                  {tap.Forbidden, func(r *tapRequest) { r.key = bytes.Repeat([]byte("x"), config.GatewayKeySize) }},
		"with no key":                       {tap.Forbidden, func(r *tapRequest) { r.key = nil }},
		"with the key of another endpoint":  {tap.Forbidden, func(r *tapRequest) { r.key = otherTapKey }},
		"with the gateway key itself":       {tap.Forbidden, func(r *tapRequest) { r.authorization = []string{r.proof.Sign(tapKey, r.asked())} }},
		"of another endpoint":               {tap.Forbidden, func(r *tapRequest) { r.query = tap.Query{Endpoint: "team-a/other", Follow: true}.Encode() }},
		"of an endpoint without a key":      {tap.Forbidden, func(r *tapRequest) { r.query = tap.Query{Endpoint: "team-a/bare", Follow: true}.Encode(); r.key = nil }},
		"of an endpoint that there is not":  {tap.Forbidden, func(r *tapRequest) { r.query = tap.Query{Endpoint: "team-a/none", Follow: true}.Encode() }},
		"of the entry, not of the endpoint": {tap.Forbidden, func(r *tapRequest) { r.query = tap.Query{Endpoint: "one", Follow: true}.Encode() }},
		"a minute and a bit old":            {tap.Stale, func(r *tapRequest) { r.proof.At = r.proof.At.Add(-tap.Window - 2*time.Second) }},
		"a minute and a bit ahead":          {tap.Stale, func(r *tapRequest) { r.proof.At = r.proof.At.Add(tap.Window + 2*time.Second) }},
		"almost a minute old":               {"", func(r *tapRequest) { r.proof.At = r.proof.At.Add(-tap.Window + 20*time.Second) }},
		"made younger": {tap.Forbidden, func(r *tapRequest) {
			at := r.proof.At
			r.proof.At = at.Add(-time.Hour)
			*r = r.signed()
			r.authorization[0] = strings.Replace(r.authorization[0], fmt.Sprint(at.Add(-time.Hour).Unix()), fmt.Sprint(at.Unix()), 1)
		}},
		"for another pod":                    {tap.OtherPod, func(r *tapRequest) { r.proof.To = netip.MustParseAddr("127.0.0.2") }},
		"with another query than was signed": {tap.Forbidden, func(r *tapRequest) { *r = r.signed(); r.query += "&keep=60" }},
		"with another method":                {tap.Forbidden, func(r *tapRequest) { r.method = http.MethodHead; *r = r.signed(); r.method = http.MethodGet }},
		"with another path":                  {tap.Forbidden, func(r *tapRequest) { r.path = tap.AnswerPath; *r = r.signed(); r.path = tap.Path }},
		"for more than an hour":              {tap.Malformed, func(r *tapRequest) { r.query += "&for=3601" }},
		"for an hour":                        {"", func(r *tapRequest) { r.query += "&for=3600" }},
		"that keeps for more than an hour":   {tap.Malformed, func(r *tapRequest) { r.query += "&keep=3601" }},
		"with an unknown parameter":          {tap.Malformed, func(r *tapRequest) { r.query += "&all=true" }},
		"with a parameter twice":             {tap.Malformed, func(r *tapRequest) { r.query += "&endpoint=team-a%2Fother" }},
		"that takes too many users":          {tap.Malformed, func(r *tapRequest) { r.query += strings.Repeat("&take=oUser", tap.MaxTaken+1) }},
		"that takes as many as it may":       {"", func(r *tapRequest) { r.query += strings.Repeat("&take=oUser", tap.MaxTaken) }},
		"that takes a user without a name":   {tap.Malformed, func(r *tapRequest) { r.query += "&take=" }},
		"that takes users and sees nothing":  {tap.Malformed, func(r *tapRequest) { r.query = tap.Query{Endpoint: "team-a/one", Take: []string{"oUser"}}.Encode() }},
	} {
		t.Run(name, func(t *testing.T) {
			request := genuine()
			row.change(&request)
			if got := request.refusal(t, g.ops); got != row.want {
				t.Errorf("refused as %q, want %q", got, row.want)
			}
			eventually(t, "no tap is open", func() bool { return g.status(t).Entries["one"].Tap == nil })
		})
	}
	if _, log := g.get(t, "/metrics"); !strings.Contains(log, "\nwechat_sidecar_taps 0\n") {
		t.Error("a tap is left open")
	}
}

// writeKey writes the tenant's document with a gateway key.
func (g *gateway) writeKey(t *testing.T, tn *tenant, key []byte) {
	t.Helper()
	s := &stage{dir: t.TempDir(), config: tn.config}
	s.writeDocument(t, tn.config, config.Credentials{GatewayKey: key, Pairs: []config.Pair{{Generation: 1, Token: tn.token}}})
	g.take(t, s.dir+"/"+config.File, tn.name)
}

// TestAProofIsGoodForOneTap: whoever saw it on its way opens none with it.
func TestAProofIsGoodForOneTap(t *testing.T) {
	t.Parallel()
	s := newTappedStage(t, nil)
	request := newTapRequest(tap.Query{Follow: true}).signed()
	openTapRequest(t, s.ops, request).close()
	if got := request.refusal(t, s.ops); got != tap.Used {
		t.Errorf("the second time it is refused as %q", got)
	}
	if got := newTapRequest(tap.Query{Follow: true}).refusal(t, s.ops); got != "" {
		t.Errorf("a new one is refused as %q", got)
	}
}

// TestATapSeesOneEndpoint of a gateway, and neither verdicts nor messages of another.
func TestATapSeesOneEndpoint(t *testing.T) {
	t.Parallel()
	g := newGateway(t, 0)
	one, other := g.newTenant(t, "one"), g.newTenant(t, "other")
	g.list(t, "one", "other")
	g.writeKey(t, one, tapKey)
	g.writeKey(t, other, otherTapKey)
	g.await(t, "both are served", func(s config.ProcessStatus) bool {
		return len(s.Entries) == 2 && s.Entries["one"].Ready && s.Entries["other"].Ready
	})
	deliver := func(tn *tenant, words string) {
		if err := tn.deliver(t.Context(), words); err != nil {
			t.Fatal(err)
		}
	}
	deliver(one, "before")
	deliver(other, "before, of the other")
	open := openTapAt(t, g.ops, tap.Query{Endpoint: "team-a/one", Messages: true, Follow: true})
	deliver(other, "words of the other")
	deliver(one, "own words")
	var told []string
	for range 3 {
		line := open.next(t)
		switch {
		case line.Verdict != nil:
			told = append(told, line.Verdict.Outcome)
		case line.Message != nil:
			told = append(told, strings.Join(line.Message.Header["X-Wechat-Endpoint"], "")+" "+fmt.Sprint(bytes.Contains(line.Message.Body, []byte("own words"))))
		}
	}
	if diff := cmp.Diff([]string{"answered", "team-a/one true", "answered"}, told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// TestVerdictsHoldNothingOfAMessage: they are told also to who comes later, and name neither a user nor what he wrote.
func TestVerdictsHoldNothingOfAMessage(t *testing.T) {
	t.Parallel()
	s := newTappedStage(t, nil)
	must2(t, s, "private words")
	answer, err := s.sender().Text(t.Context(), "oUser", "private words", wechattest.WithToken("forged-token"))
	if must(t, answer, err); answer.Status != http.StatusForbidden {
		t.Fatalf("a forgery is answered with %d", answer.Status)
	}
	event := "<xml><ToUserName>gh_1</ToUserName><FromUserName>oUser</FromUserName><CreateTime>1</CreateTime><MsgType>event</MsgType><Event>subscribe</Event><EventKey>private words</EventKey></xml>"
	answer, err = s.sender().Post(t.Context(), []byte(event))
	must(t, answer, err)
	open := openTapAt(t, s.ops, tap.Query{})
	var text strings.Builder
	var got []tap.Verdict
	for _, line := range open.rest(t) {
		_ = json.NewEncoder(&text).Encode(line)
		if line.Verdict != nil {
			v := *line.Verdict
			if v.At.IsZero() || (v.Reason == "") != (len(v.Delivery) == 2*tap.DeliverySize) {
				t.Errorf("a verdict of %v with delivery id %q", v.At, v.Delivery)
			}
			v.At, v.Delivery, v.Millis = time.Time{}, "", 0
			got = append(got, v)
		}
	}
	want := []tap.Verdict{
		{Platform: "OfficialAccount", Outcome: "answered", Type: "text", Status: 200},
		{Platform: "OfficialAccount", Reason: "bad_signature", Status: 403},
		{Platform: "OfficialAccount", Outcome: "answered", Type: "event", Event: "subscribe", Status: 200},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
	for _, secret := range secrets {
		if strings.Contains(text.String(), secret) && secret != "MsgType" {
			t.Errorf("the verdicts hold %q:\n%s", secret, &text)
		}
	}
}

// must2 sends a message that is answered.
func must2(t testing.TB, s *stage, words string) {
	t.Helper()
	answer, err := s.sender().Text(t.Context(), "oUser", words)
	if err != nil || answer.Status != http.StatusOK {
		t.Fatalf("answered %d: %v", answer.Status, err)
	}
}

// TestAMessageIsToldAsTheAppGetsIt, and its signature is good.
func TestAMessageIsToldAsTheAppGetsIt(t *testing.T) {
	t.Parallel()
	s := newTappedStage(t, nil)
	open := openTapAt(t, s.ops, tap.Query{Messages: true, Follow: true})
	must2(t, s, "private words")
	m := open.next(t).Message
	got := s.app.last(t)
	want := got.Header.Clone()
	want.Del("Content-Length")
	if diff := cmp.Diff(want, http.Header(m.Header)); diff != "" {
		t.Errorf("the head (-want +got):\n%s", diff)
	}
	if string(m.Body) != s.app.bodies[0] || m.Target != got.RequestURI || m.Method != got.Method {
		t.Errorf("told %s %s %q, and the app got %s %s %q", m.Method, m.Target, m.Body, got.Method, got.RequestURI, s.app.bodies[0])
	}
	if !verify.Verify(tapKey, m.Method, m.Target, m.Header, m.Body, time.Now()) {
		t.Error("the app's check would not pass")
	}
	if v := open.next(t).Verdict; v == nil || v.Delivery != m.Delivery || v.Outcome != "answered" {
		t.Errorf("then came %+v", v)
	}
}

// TestWhoReadsSlowlyLosesLines, and no callback waits for him: all are answered, and what he did not get is counted.
func TestWhoReadsSlowlyLosesLines(t *testing.T) {
	t.Parallel()
	s := newTappedStage(t, func(c *config.Config) { c.Backend.Deadline = config.Duration(config.MaxDeadline) })
	open := openTapAt(t, s.ops, tap.Query{Messages: true, Follow: true})
	words := strings.Repeat("words ", 10<<10) // more than sockets and queue hold
	const messages = 300
	for n := range messages {
		must2(t, s, fmt.Sprint(words, n))
	}
	dropped := s.metric(t, "wechat_sidecar_tap_dropped_total")
	if dropped == 0 {
		t.Fatal("no line is dropped")
	}
	var told, lost float64
	for told+lost < 2*messages {
		line := open.next(t)
		if line.Dropped > 0 {
			lost += float64(line.Dropped)
		} else {
			told++
		}
	}
	if lost != dropped {
		t.Errorf("%v lines are counted and %v told of as dropped", dropped, lost)
	}
}

// TestATapEndsByItself, and with the key of its endpoint, and with its pod.
func TestATapEndsByItself(t *testing.T) {
	t.Parallel()
	end := func(t *testing.T, open *openTap) tap.End {
		t.Helper()
		all := open.rest(t)
		return all[len(all)-1].Ended
	}
	t.Run("after the time that was asked for", func(t *testing.T) {
		t.Parallel()
		s := newTappedStage(t, nil)
		open := openTapAt(t, s.ops, tap.Query{Follow: true, For: time.Second})
		if ended := end(t, open); ended != tap.EndTime {
			t.Errorf("it ended with %q", ended)
		}
		eventually(t, "none is open", func() bool { return s.statusOfEntry(t).Tap == nil })
	})
	t.Run("after an hour where none was asked for", func(t *testing.T) {
		t.Parallel()
		s := newTappedStage(t, nil)
		open := openTapAt(t, s.ops, tap.Query{Follow: true})
		if left := time.Until(open.hello.Until); left > time.Hour || left < time.Hour-time.Minute {
			t.Errorf("it ends after %v", left)
		}
	})
	t.Run("when its endpoint gets another key", func(t *testing.T) {
		t.Parallel()
		s := newTappedStage(t, nil)
		open := openTapAt(t, s.ops, tap.Query{Messages: true, Follow: true, Keep: time.Hour})
		must2(t, s, "private words")
		s.serveKey(t, "g-3", otherTapKey)
		if ended := end(t, open); ended != tap.EndKey {
			t.Errorf("it ended with %q", ended)
		}
		if status := s.statusOfEntry(t).Tap; status != nil {
			t.Errorf("what was kept is told as %+v", status)
		}
		if got := newTapRequest(tap.Query{}).refusal(t, s.ops); got != tap.Forbidden {
			t.Errorf("with the former key it is refused as %q", got)
		}
		later := newTapRequest(tap.Query{Messages: true})
		later.key = otherTapKey
		for _, line := range openTapRequest(t, s.ops, later).rest(t) {
			if line.Message != nil {
				t.Error("the message that was kept is there with another key")
			}
		}
	})
	t.Run("not when its document changes and the key stays", func(t *testing.T) {
		t.Parallel()
		s := newTappedStage(t, nil)
		open := openTapAt(t, s.ops, tap.Query{Messages: true, Follow: true})
		s.serveKey(t, "g-3", tapKey)
		must2(t, s, "private words")
		if line := open.next(t); line.Message == nil {
			t.Errorf("then came %+v", line)
		}
	})
	t.Run("when its pod ends", func(t *testing.T) {
		t.Parallel()
		s := newTappedStage(t, nil)
		open := openTapAt(t, s.ops, tap.Query{Follow: true})
		s.stop()
		if ended := end(t, open); ended != tap.EndDrain {
			t.Errorf("it ended with %q", ended)
		}
		if err := <-s.ended; err != nil {
			t.Error(err)
		}
	})
}

func (s *stage) statusOfEntry(t *testing.T) (status config.Status) {
	t.Helper()
	_, text := s.get(t, "/status")
	var all config.ProcessStatus
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		t.Fatal(err)
	}
	for _, status = range all.Entries {
		return status
	}
	return status
}

// TestThereAreOnlySoManyTaps of one endpoint.
func TestThereAreOnlySoManyTaps(t *testing.T) {
	t.Parallel()
	s := newTappedStage(t, nil)
	var last *openTap
	for range 4 {
		last = openTapAt(t, s.ops, tap.Query{Follow: true})
	}
	if got := newTapRequest(tap.Query{Follow: true}).refusal(t, s.ops); got != tap.Full {
		t.Errorf("the fifth is refused as %q", got)
	}
	if open := s.statusOfEntry(t).Tap; open == nil || open.Open != 4 || time.Until(open.Until) > time.Hour {
		t.Errorf("/status tells %+v", open)
	}
	last.close()
	eventually(t, "one has ended", func() bool { return s.statusOfEntry(t).Tap.Open == 3 })
	if got := newTapRequest(tap.Query{Follow: true}).refusal(t, s.ops); got != "" {
		t.Errorf("one more is refused as %q", got)
	}
}

// TestMessagesAreKeptWhereThatWasAskedFor, for as long, and otherwise not at all.
func TestMessagesAreKeptWhereThatWasAskedFor(t *testing.T) {
	t.Parallel()
	s := newTappedStage(t, nil)
	kept := func(query tap.Query) (bodies []string) {
		for _, line := range openTapAt(t, s.ops, query).rest(t) {
			if line.Message != nil {
				bodies = append(bodies, line.Message.Delivery)
			}
		}
		return bodies
	}
	must2(t, s, "before")
	if got := kept(tap.Query{Messages: true}); got != nil {
		t.Errorf("messages are kept that nobody wanted: %v", got)
	}
	openTapAt(t, s.ops, tap.Query{Messages: true, Keep: 3 * time.Second}).close()
	must2(t, s, "first")
	must2(t, s, "second")
	status := s.statusOfEntry(t).Tap
	if status == nil || status.KeptBytes == 0 || time.Until(status.KeepsUntil) > 3*time.Second {
		t.Errorf("/status tells %+v", status)
	}
	all := kept(tap.Query{Messages: true})
	if len(all) != 2 {
		t.Fatalf("%d messages are kept", len(all))
	}
	if diff := cmp.Diff(all[1:], kept(tap.Query{Messages: true, Delivery: all[1]})); diff != "" {
		t.Errorf("the second (-want +got):\n%s", diff)
	}
	if got := kept(tap.Query{}); got != nil {
		t.Errorf("who asks for verdicts alone is told messages: %v", got)
	}
	eventually(t, "they are forgotten", func() bool { return s.statusOfEntry(t).Tap == nil })
	if got := kept(tap.Query{Messages: true}); got != nil {
		t.Errorf("they are kept for longer than was asked for: %v", got)
	}
}

// laptop answers what a tap takes.
type laptop struct {
	*openTap
	ops  string
	seen chan *tap.Message
}

func newLaptop(t *testing.T, ops string, users ...string) *laptop {
	t.Helper()
	l := &laptop{openTap: openTapAt(t, ops, tap.Query{Messages: true, Follow: true, Take: users}), ops: ops, seen: make(chan *tap.Message, 100)}
	return l
}

// answer answers a message, and reports what the sidecar made of that.
func (l *laptop) answer(t testing.TB, m *tap.Message, reply string, change ...func(*tapRequest, *tap.Answer)) tap.Refusal {
	t.Helper()
	a := tap.Answer{Endpoint: "team-a/shop", Tap: l.hello.Tap, Turn: m.Turn}
	r := newTapRequest(tap.Query{})
	r.method, r.path, r.body = http.MethodPost, tap.AnswerPath, reply
	for _, one := range change {
		one(&r, &a)
	}
	r.query = a.Encode()
	return r.refusal(t, l.ops)
}

// nextMessage is the next message that the laptop is shown.
func (l *laptop) nextMessage(t testing.TB) *tap.Message {
	t.Helper()
	for {
		if line := l.next(t); line.Message != nil {
			return line.Message
		}
	}
}

// TestALaptopAnswersForTheUsersItNames, and for nobody else.
func TestALaptopAnswersForTheUsersItNames(t *testing.T) {
	t.Parallel()
	s := newTappedStage(t, nil)
	l := newLaptop(t, s.ops, "oUser")
	var group sync.WaitGroup
	group.Go(func() {
		m := l.nextMessage(t)
		if got := l.answer(t, m, "<xml><Content>from the laptop</Content></xml>"); got != "" {
			t.Errorf("the answer is refused as %q", got)
		}
		if got := l.answer(t, m, "<xml><Content>once more</Content></xml>"); got != tap.Ended {
			t.Errorf("a second answer is refused as %q", got)
		}
	})
	request, err := s.sender().NewText("oUser", "private words")
	if err != nil {
		t.Fatal(err)
	}
	answer, err := s.sender().Send(t.Context(), request)
	if must(t, answer, err); string(answer.Body) != "<xml><Content>from the laptop</Content></xml>" {
		t.Errorf("WeChat is answered %q", answer.Body)
	}
	group.Wait()
	answer, err = s.sender().Send(t.Context(), request)
	if must(t, answer, err); string(answer.Body) != "<xml><Content>from the laptop</Content></xml>" {
		t.Errorf("a repeat is answered %q", answer.Body)
	}
	if s.app.count() != 0 {
		t.Error("the app was called, too")
	}
	// Whoever writes his id into his words, or is another, is the app's.
	for _, other := range []struct{ from, words string }{{"oOther", "private words"}, {"oOther", "x]]></Content><FromUserName>oUser</FromUserName><Content><![CDATA[y"}} {
		message := fmt.Sprintf("<xml><ToUserName>gh_1</ToUserName><FromUserName>%s</FromUserName><CreateTime>1</CreateTime><MsgType>text</MsgType><Content><![CDATA[%s]]></Content><MsgId>1</MsgId></xml>", other.from, other.words)
		answer, err = s.sender().Post(t.Context(), []byte(message))
		if must(t, answer, err); string(answer.Body) != "success" {
			t.Errorf("%s is answered %q", other.from, answer.Body)
		}
		if m := l.nextMessage(t); m.Turn != 0 {
			t.Errorf("the laptop is asked to answer %s", m.Body)
		}
	}
	if s.app.count() != 2 {
		t.Errorf("the app was called %d times", s.app.count())
	}
	if taken := s.metric(t, `wechat_sidecar_tap_taken_total{result="answered"}`); taken != 1 {
		t.Errorf("%v are counted", taken)
	}
}

// TestTheAppAnswersWhereTheLaptopDoesNot: nothing is lost, whatever becomes of the laptop.
func TestTheAppAnswersWhereTheLaptopDoesNot(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		result string
		laptop func(*testing.T, *laptop, *tap.Message)
	}{
		"it says nothing": {"late", func(*testing.T, *laptop, *tap.Message) {}},
		"it dies":         {"gone", func(_ *testing.T, l *laptop, _ *tap.Message) { l.close() }},
		"it leaves the message": {"declined", func(t *testing.T, l *laptop, m *tap.Message) {
			l.answer(t, m, "", func(_ *tapRequest, a *tap.Answer) { a.Declined = true })
		}},
		"WeChat would not take it": {"declined", func(t *testing.T, l *laptop, m *tap.Message) { l.answer(t, m, "<html>an error</html>") }},
		"somebody without the key answers": {"late", func(t *testing.T, l *laptop, m *tap.Message) {
			if got := l.answer(t, m, "<xml><Content>forged</Content></xml>", func(r *tapRequest, _ *tap.Answer) { r.key = otherTapKey }); got != tap.Forbidden {
				t.Errorf("refused as %q", got)
			}
		}},
		"somebody changes the answer": {"late", func(t *testing.T, l *laptop, m *tap.Message) {
			if got := l.answer(t, m, "<xml><Content>forged</Content></xml>", func(r *tapRequest, a *tap.Answer) {
				r.body, r.query = "<xml><Content>another</Content></xml>", a.Encode()
				*r = r.signed()
				r.body = "<xml><Content>forged</Content></xml>"
			}); got != tap.Forbidden {
				t.Errorf("refused as %q", got)
			}
		}},
		"it is an answer to another message": {"late", func(t *testing.T, l *laptop, m *tap.Message) {
			if got := l.answer(t, m, "", func(_ *tapRequest, a *tap.Answer) { a.Turn++ }); got != tap.Ended {
				t.Errorf("refused as %q", got)
			}
		}},
		"it is of another tap": {"late", func(t *testing.T, l *laptop, m *tap.Message) {
			if got := l.answer(t, m, "", func(_ *tapRequest, a *tap.Answer) { a.Tap = "other" }); got != tap.Ended {
				t.Errorf("refused as %q", got)
			}
		}},
		"its answer is too long": {"late", func(t *testing.T, l *laptop, m *tap.Message) {
			if got := l.answer(t, m, strings.Repeat("x", tap.MaxReply+1)); got != tap.Malformed {
				t.Errorf("refused as %q", got)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newTappedStage(t, nil)
			l := newLaptop(t, s.ops, "oUser")
			var group sync.WaitGroup
			group.Go(func() { row.laptop(t, l, l.nextMessage(t)) })
			request, err := s.sender().NewText("oUser", "private words")
			if err != nil {
				t.Fatal(err)
			}
			answer, err := s.sender().Send(t.Context(), request)
			if must(t, answer, err); answer.Status != http.StatusOK || string(answer.Body) != "success" {
				t.Errorf("WeChat is answered %d %q", answer.Status, answer.Body)
			}
			group.Wait()
			answer, err = s.sender().Send(t.Context(), request)
			if must(t, answer, err); answer.Status != http.StatusOK {
				t.Errorf("a repeat is answered %d", answer.Status)
			}
			if s.app.count() != 1 {
				t.Errorf("the app got it %d times", s.app.count())
			}
			if counted := s.metric(t, `wechat_sidecar_tap_taken_total{result="`+row.result+`"}`); counted != 1 {
				_, all := s.get(t, "/metrics")
				t.Errorf("%v are counted as %s:\n%s", counted, row.result, all)
			}
		})
	}
}

// TestARepeatWaitsForTheLaptopToo: WeChat's next try joins the first, and the app is not called beside it.
func TestARepeatWaitsForTheLaptopToo(t *testing.T) {
	t.Parallel()
	s := newTappedStage(t, nil)
	l := newLaptop(t, s.ops, "oUser")
	request, err := s.sender().NewText("oUser", "private words")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			answer, err := s.sender().Send(t.Context(), request)
			if err != nil || string(answer.Body) != "<xml><Content>once</Content></xml>" {
				t.Errorf("answered %q: %v", answer.Body, err)
			}
		})
	}
	m := l.nextMessage(t)
	eventually(t, "the repeats have come", func() bool { return s.metric(t, "wechat_sidecar_repeats_total") == 2 })
	l.answer(t, m, "<xml><Content>once</Content></xml>")
	group.Wait()
	if s.app.count() != 0 {
		t.Error("the app was called")
	}
}

// TestQueriesOfTapsAreReadAsTheyWereWritten.
func TestQueriesOfTapsAreReadAsTheyWereWritten(t *testing.T) {
	for _, query := range []tap.Query{
		{Endpoint: "team-a/shop"},
		{Endpoint: "team-a/shop", Messages: true, Follow: true, For: time.Minute, Keep: time.Hour, Take: []string{"oUser", "o-_&=%?"}},
		{Endpoint: "team-a/shop", Messages: true, Delivery: strings.Repeat("0a", tap.DeliverySize)},
	} {
		got, err := tap.ParseQuery(query.Encode())
		if diff := cmp.Diff(query, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
	for asked, want := range map[time.Duration]time.Duration{ // which is written in seconds
		time.Millisecond: time.Second, 1999 * time.Millisecond: 2 * time.Second, tap.MaxTime - time.Millisecond: tap.MaxTime,
	} {
		got, err := tap.ParseQuery(tap.Query{Endpoint: "team-a/shop", For: asked, Keep: asked}.Encode())
		if err != nil || got.For != want || got.Keep != want {
			t.Errorf("%v is read as %+v: %v", asked, got, err)
		}
	}
	want := tap.Answer{Endpoint: "team-a/shop", Tap: "a", Turn: 7, Declined: true}
	if got, err := tap.ParseAnswer(want.Encode()); err != nil || got != want {
		t.Errorf("%+v: %v", got, err)
	}
	for _, bad := range []string{"", "endpoint=a&tap=b", "endpoint=a&tap=b&turn=x", "endpoint=a&tap=b&turn=1&turn=2", "endpoint=a&tap=b&turn=1&declined=false", "endpoint=a&tap=b&turn=1&more=2"} {
		if got, err := tap.ParseAnswer(bad); err == nil {
			t.Errorf("%s is read as %+v", bad, got)
		}
	}
	if _, err := url.ParseQuery((tap.Query{Endpoint: "a;b"}).Encode()); err != nil {
		t.Error(err)
	}
}
