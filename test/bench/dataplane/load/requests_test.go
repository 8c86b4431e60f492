// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

var account = Account{Token: "LoadToken1", EncodingAESKey: "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C", AppID: "wx5823bf96d3bd56c7"}

// read reads a request as a server does.
func read(t *testing.T, text []byte) (*http.Request, []byte) {
	t.Helper()
	request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(text)))
	if err != nil {
		t.Fatalf("reading %q: %v", text, err)
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		t.Fatal(err)
	}
	return request, body
}

// TestRequestsAreSigned: each verifies, unless it is forged, and no two have the same signature or message.
func TestRequestsAreSigned(t *testing.T) {
	key, err := wechat.ParseEncodingAESKey(account.EncodingAESKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, kind := range map[string]Kind{
		"a message":                   {Path: "/weixin"},
		"a URL check":                 {Path: "/weixin", URLCheck: true},
		"an envelope":                 {Path: "/weixin", Encrypted: true},
		"a large envelope":            {Path: "/weixin", Encrypted: true, Size: 100_000},
		"a forged message":            {Path: "/weixin", Forged: true},
		"a forged URL check":          {Path: "/weixin", URLCheck: true, Forged: true},
		"an envelope that is forged":  {Path: "/weixin", Encrypted: true, Forged: true},
		"a message of another length": {Path: "/weixin", Size: 400},
	} {
		t.Run(name, func(t *testing.T) {
			requests, err := NewRequests(kind, account)
			if err != nil {
				t.Fatal(err)
			}
			requests.Prepare(3)
			seen := map[string]bool{}
			for range 5 { // two of them are made when they are asked for
				text, want := requests.Next()
				request, body := read(t, text)
				q := request.URL.Query()
				if ok := wechat.Verify(q.Get("signature"), account.Token, q.Get("timestamp"), q.Get("nonce")); ok == kind.Forged {
					t.Errorf("the signature verifies: %v", ok)
				}
				message := body
				if kind.Encrypted {
					envelope, err := wechat.ParseEnvelope(body, false)
					if err != nil {
						t.Fatal(err)
					}
					if ok := wechat.VerifyEncrypt(q.Get("msg_signature"), account.Token, q.Get("timestamp"), q.Get("nonce"), envelope.Encrypt); ok == kind.Forged {
						t.Errorf("the signature of the envelope verifies: %v", ok)
					}
					opened, err := key.Open(envelope.Encrypt)
					if err != nil || opened.ReceiverID != account.AppID {
						t.Fatalf("for %s, error %v", opened.ReceiverID, err)
					}
					message = opened.Message
				}
				size := kind.Size
				if size == 0 {
					size = defaultSize
				}
				switch {
				case kind.URLCheck && (request.Method != http.MethodGet || !kind.Forged && string(want) != q.Get("echostr")):
					t.Errorf("%s with echostr %s is to be answered with %s", request.Method, q.Get("echostr"), want)
				case !kind.URLCheck && (request.Method != http.MethodPost || len(message) != size || !kind.Forged && string(want) != wechat.Success):
					t.Errorf("%s of %d bytes is to be answered with %s", request.Method, len(message), want)
				case kind.Forged && want != nil:
					t.Errorf("a forged one is to be answered with %s", want)
				}
				if seen[q.Get("nonce")] || seen[string(message)] && !kind.URLCheck {
					t.Errorf("a request is like another: %s", text)
				}
				seen[q.Get("nonce")], seen[string(message)] = true, true
			}
		})
	}
}

// TestRepeats: each request of a block is sent as often as it should, and never before all others of its block.
func TestRepeats(t *testing.T) {
	times := map[int]int{}
	last := map[int]int{}
	for n := range 3 * 2 * repeatAfter {
		at := position(n, 3)
		if before, ok := last[at]; ok && n-before != repeatAfter {
			t.Fatalf("request %d is sent after %d others", at, n-before)
		}
		last[at] = n
		times[at]++
	}
	if len(times) != 2*repeatAfter || len(times) != Different(3*2*repeatAfter, 3) {
		t.Errorf("%d requests were sent", len(times))
	}
	for at, n := range times {
		if n != 3 {
			t.Errorf("request %d was sent %d times", at, n)
		}
	}
	got := map[int]int{}
	for _, n := range []int{0, 1, repeatAfter, repeatAfter + 1, 3 * repeatAfter, 3*repeatAfter + 5} {
		got[n] = Different(n, 3)
	}
	want := map[int]int{0: 0, 1: 1, repeatAfter: repeatAfter, repeatAfter + 1: repeatAfter, 3 * repeatAfter: repeatAfter, 3*repeatAfter + 5: repeatAfter + 5}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("others are different (-want +got):\n%s", diff)
	}
}
