// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var (
	key     = NewKey(bytes.Repeat([]byte("k"), 32))
	own     = []string{"Wechatpay-Nonce", "Wechatpay-Serial"}
	request = Request{
		Method: "POST", Host: "wx.example.com", Path: "/weixin", RawQuery: "signature=a&nonce=b", Header: map[string][]string{"Wechatpay-Nonce": {"n"}, "Wechatpay-Serial": {"s", "s2"}},
		Digest: sha256.Sum256([]byte("<xml/>")), Age: 12 * time.Millisecond, IfHeld: true, To: netip.MustParseAddrPort("10.0.0.2:8081"),
	}
)

// written is the head of the HTTP request that hands a callback over.
func written(t testing.TB, r Request) http.Header {
	t.Helper()
	r.signature = r.sign(key)
	sent, err := r.write(t.Context(), []byte("<xml/>"))
	if err != nil {
		t.Fatal(err)
	}
	return sent.Header
}

func TestARequestIsReadAsItWasWritten(t *testing.T) {
	got, err := Parse(written(t, request), own)
	if err != nil || !got.Verify(key) {
		t.Fatalf("it is not verified, %v", err)
	}
	if diff := cmp.Diff(request, got, cmpopts.IgnoreUnexported(Request{}), cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
		t.Errorf("(-written +read):\n%s", diff)
	}
}

// TestNothingOfARequestCanBeChanged without the key.
func TestNothingOfARequestCanBeChanged(t *testing.T) {
	set := func(name string, values ...string) func(http.Header) {
		return func(h http.Header) { h[name] = values }
	}
	other := sha256.Sum256([]byte("<forged/>"))
	for name, change := range map[string]func(http.Header){
		"the method":                          set(headerMethod, "GET"),
		"the host":                            set(headerHost, "other.example.com"),
		"the path":                            set(headerPath, "/other"),
		"the query":                           set(headerQuery, "signature=a&nonce=c"),
		"a letter moved on to the next":       func(h http.Header) { h[headerHost], h[headerPath] = []string{"wx.example.co"}, []string{"m/weixin"} },
		"the age":                             set(headerAge, "13"),
		"the body":                            set(headerBody, hex.EncodeToString(other[:])),
		"the pod":                             set(headerTo, "10.0.0.3:8081"),
		"the pod's port":                      set(headerTo, "10.0.0.2:8082"),
		"what is asked":                       func(h http.Header) { delete(h, headerIfHeld) },
		"a header of Pay":                     set("Wechatpay-Nonce", "m"),
		"a header of Pay that is left out":    func(h http.Header) { delete(h, "Wechatpay-Nonce") },
		"a header of Pay that is there twice": func(h http.Header) { h["Wechatpay-Nonce"] = []string{"n", "n"} },
		"a value moved from one header of Pay to the other": func(h http.Header) { h["Wechatpay-Nonce"], h["Wechatpay-Serial"] = []string{"n", "s"}, []string{"s2"} },
		"the signature":                   set(headerSignature, strings.Repeat("0", 64)),
		"no signature":                    func(h http.Header) { delete(h, headerSignature) },
		"an empty signature":              set(headerSignature, ""),
		"a signature that is there twice": func(h http.Header) { h[headerSignature] = append(h[headerSignature], h[headerSignature]...) },
		"a host that is there twice":      set(headerHost, "wx.example.com", "wx.example.com"),
		"an age of an hour":               set(headerAge, "3600000"),
		"an age before it came":           set(headerAge, "-12"),
		"a digest that is too short":      set(headerBody, "00"),
	} {
		t.Run(name, func(t *testing.T) {
			header := written(t, request)
			change(header)
			if got, err := Parse(header, own); err == nil && got.Verify(key) {
				t.Error("it is verified")
			}
		})
	}
}

func TestKeys(t *testing.T) {
	signed, err := Parse(written(t, request), own)
	if err != nil {
		t.Fatal(err)
	}
	for name, other := range map[string][]byte{
		"another endpoint's":    NewKey(bytes.Repeat([]byte("l"), 32)),
		"the gateway key":       bytes.Repeat([]byte("k"), 32),
		"none":                  NewKey(nil),
		"that of an empty text": {},
	} {
		if signed.Verify(other) {
			t.Errorf("%s verifies it", name)
		}
	}
	if unsigned := (Request{signature: Request{}.sign(nil)}); unsigned.Verify(nil) {
		t.Error("an endpoint without a gateway key takes what anybody can sign")
	}
}

// TestAnAnswerIsSignedForItsRequest and says what was signed.
func TestAnAnswerIsSignedForItsRequest(t *testing.T) {
	request := request
	request.signature = request.sign(key)
	answer := Answer{Status: 200, ContentType: "text/xml", Outcome: "answered", Body: []byte("<xml/>")}
	signature := request.SignAnswer(key, 200, "text/xml", "answered", sha256.Sum256(answer.Body))
	if !request.verifyAnswer(key, signature, answer) {
		t.Fatal("it is not verified")
	}
	repeat := request
	repeat.Age += time.Millisecond
	repeat.signature = repeat.sign(key)
	for name, verified := range map[string]bool{
		"another status":               request.verifyAnswer(key, signature, Answer{Status: 204, ContentType: "text/xml", Outcome: "answered", Body: answer.Body}),
		"another type":                 request.verifyAnswer(key, signature, Answer{Status: 200, ContentType: "text/html", Outcome: "answered", Body: answer.Body}),
		"another outcome":              request.verifyAnswer(key, signature, Answer{Status: 200, ContentType: "text/xml", Outcome: "discarded", Body: answer.Body}),
		"another body":                 request.verifyAnswer(key, signature, Answer{Status: 200, ContentType: "text/xml", Outcome: "answered", Body: []byte("<forged/>")}),
		"another request":              repeat.verifyAnswer(key, signature, answer),
		"what says that it was taken":  request.verifyAnswer(key, request.SignTaken(key), answer),
		"another key":                  request.verifyAnswer(NewKey([]byte("other")), signature, answer),
		"none":                         request.verifyAnswer(key, "", answer),
		"that of the request itself":   request.verifyAnswer(key, hex.EncodeToString(request.signature), answer),
		"an answer, as what was taken": request.SignTaken(key) == signature,
	} {
		if verified {
			t.Errorf("%s is verified", name)
		}
	}
}

// FuzzRequest: whatever a callback says is read as it was written, or not handed over at all.
func FuzzRequest(f *testing.F) {
	f.Add("POST", "wx.example.com", "/weixin", "signature=a", "n")
	f.Add("GET", "", "/%2f", "a=\x80\xff", " ")
	f.Add("POST", "a\r\nHandover-To: b", "/\n", "\x00", "\t")
	f.Fuzz(func(t *testing.T, method, host, path, query, nonce string) {
		r := request
		r.Method, r.Host, r.Path, r.RawQuery, r.Header = method, host, path, query, map[string][]string{"Wechatpay-Nonce": {nonce}}
		r.signature = r.sign(key)
		sent, err := r.write(t.Context(), nil)
		if err != nil {
			return
		}
		var wire bytes.Buffer
		wire.WriteString("POST / HTTP/1.1\r\nHost: a\r\n")
		if err := sent.Header.Write(&wire); err != nil {
			t.Fatal(err)
		}
		wire.WriteString("\r\n")
		read, err := http.ReadRequest(bufio.NewReader(&wire))
		if err != nil {
			t.Fatalf("it was written and cannot be read: %v", err)
		}
		if got, err := Parse(read.Header, own); err != nil || !got.Verify(key) {
			t.Errorf("%+v is read as %+v, %v", r, got, err)
		}
	})
}
