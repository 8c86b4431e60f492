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
		"a header of Pay that stands in a value of the other": func(h http.Header) {
			h["Wechatpay-Nonce"] = []string{"n", "Wechatpay-Serial", "s", "s2"}
			delete(h, "Wechatpay-Serial")
		},
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

// TestACallbackIsNotOlderThanItCanBe, whoever says so.
func TestACallbackIsNotOlderThanItCanBe(t *testing.T) {
	for age, want := range map[time.Duration]bool{0: true, maxAge: true, maxAge + time.Millisecond: false, time.Hour: false} {
		r := request
		r.Age = age
		if _, err := Parse(written(t, r), own); (err == nil) != want {
			t.Errorf("%s is taken: %t, want %t", age, err == nil, want)
		}
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

// TestAnAnswer is read as it was written, if it was signed for the request with the endpoint's key.
func TestAnAnswer(t *testing.T) {
	signed, repeat := request, request
	signed.signature = signed.sign(key)
	repeat.Age += time.Millisecond
	repeat.signature = repeat.sign(key)
	answer := Answer{Status: 200, ContentType: "text/xml", Outcome: "answered", Body: []byte("<xml/>")}
	var head strings.Builder
	if err := signed.WriteHead(&head, key, answer, len(answer.Body), sha256.Sum256(answer.Body)); err != nil {
		t.Fatal(err)
	}
	text := head.String() + "<xml/>"
	_, taken := signed.Taken(key)
	signature := signed.signAnswer(key, answer, sha256.Sum256(answer.Body))
	replaced := func(old, by string) string { return strings.Replace(text, old, by, 1) }
	for name, test := range map[string]struct {
		text string
		to   Request
		key  []byte
		most int64
		want Result
	}{
		"as it was written":           {text, signed, key, 6, Answered},
		"with more behind it":         {text + "more", signed, key, 6, Answered},
		"longer than may be":          {text, signed, key, 5, Lost},
		"for another request":         {text, repeat, key, 6, Lost},
		"another endpoint's":          {text, signed, NewKey([]byte("other")), 6, Lost},
		"of another status":           {replaced("200", "204"), signed, key, 6, Lost},
		"of another type":             {replaced("text/xml", "text/html"), signed, key, 6, Lost},
		"of another outcome":          {replaced(`"answered"`, `"discarded"`), signed, key, 6, Lost},
		"with another body":           {replaced("<xml/>", "<XML/>"), signed, key, 6, Lost},
		"with less of it":             {replaced("<xml/>", "<xml"), signed, key, 6, Lost},
		"with a shorter length":       {replaced(`"length":6`, `"length":5`), signed, key, 6, Lost},
		"with a negative length":      {replaced(`"length":6`, `"length":-6`), signed, key, 6, Lost},
		"signed as a request":         {replaced(signature, hex.EncodeToString(signed.signature)), signed, key, 6, Lost},
		"signed as what was taken":    {replaced(signature, taken), signed, key, 6, Lost},
		"not signed":                  {replaced(signature, ""), signed, key, 6, Lost},
		"without a head":              {"<xml/>", signed, key, 6, Lost},
		"with a head that never ends": {strings.Repeat(" ", 1<<20), signed, key, 6, Lost},
		"nothing":                     {"", signed, key, 6, Lost},
	} {
		t.Run(name, func(t *testing.T) {
			got, result := test.to.readAnswer(strings.NewReader(test.text), Call{Key: test.key, MaxAnswer: test.most, Room: func(int64) bool { return true }})
			if result != test.want || result == Answered && !cmp.Equal(got, answer) {
				t.Errorf("%s, %+v", result, got)
			}
		})
	}
}

// TestAnAnswerTakesRoom before it is read.
func TestAnAnswerTakesRoom(t *testing.T) {
	var asked int64
	_, result := request.readAnswer(strings.NewReader(`{"status":200,"length":1000}`+"\n"), Call{Key: key, MaxAnswer: 1000, Room: func(size int64) bool {
		asked = size
		return false
	}})
	if result != NoRoom || asked != 1000 {
		t.Errorf("%s, room was asked for %d bytes", result, asked)
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
