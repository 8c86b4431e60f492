// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/peers"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
)

// captured is a hand-over as somebody sees it on its way.
type captured struct {
	header http.Header
	body   []byte
}

// capture returns what the first pod hands over to the second, which is away meanwhile, and then there again.
func (f *fleet) capture(t *testing.T, request *caller.Request) captured {
	t.Helper()
	owner := f.pods[1]
	owner.second.kill()
	owner.public.kill()
	seen := make(chan captured, 1)
	between := newMortal(t, owner.address, secondPort)
	older := http.NewServeMux() // which knows no uses, and is told of them
	older.HandleFunc(peers.Path, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen <- captured{r.Header.Clone(), body}
		w.WriteHeader(http.StatusNotFound)
	})
	server := &http.Server{ReadHeaderTimeout: patience, Handler: older}
	go func() { _ = server.Serve(between) }()
	f.send(t, f.pods[0], request)
	got := <-seen
	between.kill()
	f.app.taken()
	f.start(t, owner, nil)
	owner.awaitPeers(t, 1)
	return got
}

// replay sends a hand-over to the second port of a pod, and returns the status of the answer, and what the answer says.
func (c captured) replay(t *testing.T, pod *member, chunks bool) (status int, signed bool, said string) {
	t.Helper()
	var body io.Reader = bytes.NewReader(c.body)
	if chunks {
		body = io.MultiReader(body)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, pod.ops+peers.Path, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header = c.header.Clone()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header.Get("Handover-Taken") != "", string(content)
}

// TestAHandoverOfAnybodyElse reaches no app, and is not answered in WeChat's place: whoever sees one pass has no key.
func TestAHandoverOfAnybodyElse(t *testing.T) {
	t.Parallel()
	f := newFleet(t, plaintextAccount(), 2, nil)
	genuine := f.capture(t, f.messageOf(t, f.pods[1], f.pods...))
	set := func(name, value string) func(*captured) { return func(c *captured) { c.header.Set(name, value) } }
	digest := sha256.Sum256([]byte("<xml>forged</xml>"))
	for name, test := range map[string]struct {
		change func(*captured)
		to     int
		chunks bool
		want   int
	}{
		"another body": {func(c *captured) { c.body = []byte("<xml>forged</xml>") }, 1, false, peers.StatusRefused},
		"no body":      {func(c *captured) { c.body = nil }, 1, false, peers.StatusRefused},
		"another body with its digest": {func(c *captured) {
			c.body = []byte("<xml>forged</xml>")
			c.header.Set("Handover-Body", hex.EncodeToString(digest[:]))
		}, 1, false, peers.StatusForged},
		"a body in chunks":              {func(*captured) {}, 1, true, peers.StatusFull},
		"another query":                 {func(c *captured) { c.header.Set("Handover-Query", c.header.Get("Handover-Query")+"&a=b") }, 1, false, peers.StatusForged},
		"another path":                  {set("Handover-Path", "/weixin/"), 1, false, peers.StatusForged},
		"an older one":                  {set("Handover-Age", "9999"), 1, false, peers.StatusForged},
		"another question":              {set("Handover-If-Held", "true"), 1, false, peers.StatusForged},
		"without a signature":           {func(c *captured) { c.header.Del("Handover-Signature") }, 1, false, peers.StatusForged},
		"with no header at all":         {func(c *captured) { c.header = http.Header{} }, 1, false, peers.StatusForged},
		"with a signature of zeros":     {set("Handover-Signature", strings.Repeat("0", 64)), 1, false, peers.StatusForged},
		"as it is, to another pod":      {func(*captured) {}, 0, false, peers.StatusForged},
		"to a pod that it is not for":   {set("Handover-To", netip.AddrPortFrom(f.pods[0].address, secondPort).String()), 0, false, peers.StatusForged},
		"for its public port":           {set("Handover-To", strings.TrimSuffix(strings.TrimPrefix(f.pods[1].url, "http://"), "/weixin")), 1, false, peers.StatusForged},
		"with a head that is too large": {set("Handover-Query", strings.Repeat("a", 12<<10)), 1, false, http.StatusRequestHeaderFieldsTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			forged := captured{genuine.header.Clone(), genuine.body}
			test.change(&forged)
			if status, signed, _ := forged.replay(t, f.pods[test.to], test.chunks); status != test.want || signed {
				t.Errorf("answered %d, signed %t; want %d", status, signed, test.want)
			}
			if f.app.count() != 0 {
				t.Errorf("the app saw %q", f.app.taken())
			}
		})
	}
	for range 3 { // whoever repeats it gets what a repeat of WeChat's gets
		status, signed, said := genuine.replay(t, f.pods[1], false)
		if status != http.StatusOK || !signed || !strings.Contains(said, "<Content>") {
			t.Errorf("the genuine one is answered with %d, signed %t: %s", status, signed, said)
		}
	}
	f.expectOnce(t)
}

// TestAPodBelievesNoOther: what another pod hands over is verified like what comes by its own door.
func TestAPodBelievesNoOther(t *testing.T) {
	t.Parallel()
	f := newFleet(t, encryptedAccount(), 2, nil)
	other := peers.New(peers.Options{Port: secondPort, InFlight: 10, Patience: patience, Failed: func(netip.Addr, peers.Result) {}})
	check, err := f.sender(f.pods[0]).NewURLCheck()
	if err != nil {
		t.Fatal(err)
	}
	probe, err := f.sender(f.pods[0]).NewPost([]byte("<xml><InfoType>"+config.ProbeInfoType+"</InfoType></xml>"), wechattest.WithNonce(config.ProbeNoncePrefix+"1"))
	if err != nil {
		t.Fatal(err)
	}
	genuine := f.newMessage(t)
	elsewhere := *genuine
	elsewhere.Path = "/other"
	key := peers.NewKey(f.document.Credentials.GatewayKey)
	for name, test := range map[string]struct {
		request *caller.Request
		key     []byte
		age     time.Duration
		ifHeld  bool
		want    peers.Result
	}{
		"a forgery":   {request: f.newMessage(t, wechattest.WithToken("forged-token")), key: key, want: peers.Refused},
		"a stale one": {request: f.newMessage(t, wechattest.WithTime(time.Now().Add(-time.Hour))), key: key, want: peers.Refused},
		"one that is said to be older than can be": {request: f.newMessage(t), key: key, age: time.Hour, want: peers.Refused},
		"one of no endpoint's":                     {request: &elsewhere, key: key, want: peers.Refused},
		"the operator's, which is for one pod":     {request: probe, key: key, want: peers.Refused},
		"one that it is to hold and does not":      {request: f.newMessage(t), key: key, ifHeld: true, want: peers.NotHeld},
		"one of another endpoint's key":            {request: f.newMessage(t), key: peers.NewKey([]byte(strings.Repeat("l", 32))), want: peers.Refused},
		"one that the gateway key itself signs":    {request: f.newMessage(t), key: f.document.Credentials.GatewayKey, want: peers.Refused},
		"one that an empty key signs":              {request: f.newMessage(t), key: []byte{}, want: peers.Refused},
		"a URL check":                              {request: check, key: key, want: peers.Answered},
	} {
		t.Run(name, func(t *testing.T) {
			answer, result := other.Ask(t.Context(), peers.Ask{Pod: f.pods[1].address, IfHeld: test.ifHeld}, peers.Call{
				Request: peers.Request{Method: test.request.Method, Host: "wx.example.com", Path: test.request.Path, RawQuery: test.request.Query, Digest: sha256.Sum256(test.request.Body), Age: test.age},
				Body:    test.request.Body, Key: test.key, Until: time.Now().Add(patience), MaxAnswer: 1 << 20, Room: func(int64) bool { return true },
			})
			if result != test.want {
				t.Errorf("%s, %+v; want %s", result, answer, test.want)
			}
		})
	}
	if f.app.count() != 0 {
		t.Errorf("the app saw %q", f.app.taken())
	}
	f.expectAnswer(t, f.pods[1], f.send(t, f.pods[1], genuine))
}

// TestHandoversLeaveTheOthersTheSecondPort: an app that answers nothing holds as many as there may be. The rest are served where they
// came, and a kubelet and an operator are answered.
func TestHandoversLeaveTheOthersTheSecondPort(t *testing.T) {
	t.Parallel()
	f := newFleet(t, encryptedAccount(), 2, func(f *fleet) { f.memory = 24 << 20; f.document.Backend.Deadline = config.Duration(config.MaxDeadline) })
	const most, more = 48, 30 // of 24 MiB
	release := make(chan struct{})
	f.app.answers(func(w http.ResponseWriter, _ *http.Request) {
		<-release
		_, _ = io.WriteString(w, f.kind.reply)
	})
	var senders sync.WaitGroup
	for range most + more {
		request := f.messageOf(t, f.pods[1], f.pods...)
		senders.Go(func() {
			answer, err := f.sender(f.pods[0]).Send(t.Context(), request)
			if err != nil {
				t.Error(err)
				return
			}
			f.expectAnswer(t, f.pods[0], answer)
		})
	}
	eventually(t, "the app has all of them", func() bool { return f.app.count() == most+more })
	if got := f.pods[0].handovers(t, "busy"); got != more {
		t.Errorf("%v were too many, want %d", got, more)
	}
	for _, pod := range f.pods {
		for _, path := range []string{"/healthz", "/readyz", "/status", "/metrics"} {
			if code, _ := pod.get(t, path); code != http.StatusOK {
				t.Errorf("%s of %s is answered with %d", path, pod.address, code)
			}
		}
	}
	close(release)
	senders.Wait()
}
