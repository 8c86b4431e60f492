// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package caller_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/diagnose"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
)

const token, openid = wechattest.Token, wechattest.OpenID

// record serves 200 and keeps what it was sent. The records may be read once the answer is there.
type record struct {
	method, uri, proto, host, body string
	query                          url.Values
	header                         http.Header
	length                         int64
	encoding                       []string
	calls                          int
}

func recorder(t *testing.T) (*caller.Sender, *record) {
	var seen record
	sender := wechattest.Serve(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen = record{r.Method, r.RequestURI, r.Proto, r.Host, string(body), r.URL.Query(), r.Header, r.ContentLength, r.TransferEncoding, seen.calls + 1}
	})
	return sender, &seen
}

func TestACorrectEndpointIsAccepted(t *testing.T) {
	sender := wechattest.Serve(t, wechattest.Correct)

	answer, err := sender.URLCheck(t.Context())
	if refusal := diagnose.URLCheck(answer, err); refusal != nil {
		t.Errorf("URL check: %v", refusal)
	}
	if len(answer.Echostr) != 19 || string(answer.Body) != answer.Echostr || answer.Remote != sender.Address {
		t.Errorf("URL check: %+v", answer)
	}

	content := `你好 <b>&amp; ]]> ]]]]>>`
	answer, err = sender.Text(t.Context(), openid, content)
	reply, refusal := diagnose.Message(answer, err)
	if refusal != nil {
		t.Fatalf("text: %v", refusal)
	}
	if diff := cmp.Diff(diagnose.Reply{Kind: diagnose.ReplyMessage, To: openid, From: caller.DefaultAccount, Type: "text", Content: content}, reply); diff != "" {
		t.Error(diff)
	}
}

func TestURLCheckLooksLikeWeChats(t *testing.T) {
	sender, seen := recorder(t)
	sender.Now = func() time.Time { return time.Unix(1700000000, 0) }
	sender.Nonce = func() string { return "1234" }
	if _, err := sender.URLCheck(t.Context(), wechattest.WithEchostr("42")); err != nil {
		t.Fatal(err)
	}
	want := record{
		method: "GET", proto: "HTTP/1.1", host: "wx.example.com", calls: 1,
		uri: "/weixin?signature=" + wechat.Sign(token, "1700000000", "1234") + "&echostr=42&timestamp=1700000000&nonce=1234",
		header: http.Header{
			"User-Agent": {"Mozilla/4.0"}, "Accept": {"*/*"}, "Pragma": {"no-cache"}, "Cache-Control": {"no-cache"},
		},
	}
	seen.query = nil
	if diff := cmp.Diff(want, *seen, cmp.AllowUnexported(record{})); diff != "" {
		t.Error(diff)
	}
}

func TestTextLooksLikeWeChats(t *testing.T) {
	sender, seen := recorder(t)
	sender.Account = "gh_account"
	if _, err := sender.Text(t.Context(), openid, "hi"); err != nil {
		t.Fatal(err)
	}
	q := seen.query
	if !wechat.Verify(q.Get("signature"), token, q.Get("timestamp"), q.Get("nonce")) || q.Get("openid") != openid || len(q) != 4 {
		t.Errorf("query: %v", q)
	}
	if seen.method != "POST" || seen.header.Get("Content-Type") != "text/xml" || seen.length != int64(len(seen.body)) {
		t.Errorf("request: %+v", seen)
	}
	for _, part := range []string{
		"<ToUserName><![CDATA[gh_account]]></ToUserName>", "<FromUserName><![CDATA[" + openid + "]]></FromUserName>",
		"<CreateTime>", "<MsgType><![CDATA[text]]></MsgType>", "<Content><![CDATA[hi]]></Content>", "<MsgId>",
	} {
		if !strings.Contains(seen.body, part) {
			t.Errorf("body lacks %s: %s", part, seen.body)
		}
	}
}

func TestMutations(t *testing.T) {
	signed := func(r *record, token, timestamp, nonce string) bool {
		return r.query.Get("timestamp") == timestamp && r.query.Get("nonce") == nonce && r.query.Get("signature") == wechat.Sign(token, timestamp, nonce)
	}
	for name, test := range map[string]struct {
		mutations []caller.Mutation
		holds     func(r *record) bool
	}{
		"another timestamp is signed": {[]caller.Mutation{wechattest.WithTimestamp("12"), wechattest.WithNonce("3")}, func(r *record) bool { return signed(r, token, "12", "3") }},
		"another time is signed":      {[]caller.Mutation{wechattest.WithTime(time.Unix(7, 0)), wechattest.WithNonce("3")}, func(r *record) bool { return signed(r, token, "7", "3") }},
		"the order does not matter": {[]caller.Mutation{wechattest.WithToken("other"), wechattest.WithNonce("3"), wechattest.WithTimestamp("12")},
			func(r *record) bool { return signed(r, "other", "12", "3") }},
		"a forged signature":   {[]caller.Mutation{wechattest.WithSignature("forged")}, func(r *record) bool { return r.query.Get("signature") == "forged" }},
		"another echostr":      {[]caller.Mutation{wechattest.WithEchostr("<script>+ &")}, func(r *record) bool { return r.query.Get("echostr") == "<script>+ &" }},
		"another openid":       {[]caller.Mutation{wechattest.WithOpenID("o1")}, func(r *record) bool { return r.query.Get("openid") == "o1" }},
		"a missing parameter":  {[]caller.Mutation{wechattest.WithoutParameter("nonce")}, func(r *record) bool { return !r.query.Has("nonce") && r.query.Has("signature") }},
		"an unknown parameter": {[]caller.Mutation{wechattest.WithParameter("a", "b")}, func(r *record) bool { return r.query.Get("a") == "b" }},
		"a duplicate comes last": {[]caller.Mutation{wechattest.WithNonce("1"), wechattest.WithDuplicate("nonce", "2")},
			func(r *record) bool {
				return cmp.Equal(r.query["nonce"], []string{"1", "2"}) && strings.HasSuffix(r.uri, "nonce=2")
			}},
		"a raw query":         {[]caller.Mutation{wechattest.WithQuery("a=%zz;b")}, func(r *record) bool { return r.uri == "/weixin?a=%zz;b" }},
		"no query":            {[]caller.Mutation{wechattest.WithQuery("")}, func(r *record) bool { return r.uri == "/weixin" }},
		"another method":      {[]caller.Mutation{wechattest.WithMethod("PUT")}, func(r *record) bool { return r.method == "PUT" }},
		"an uncleaned path":   {[]caller.Mutation{wechattest.WithPath("//a/../weixin")}, func(r *record) bool { return strings.HasPrefix(r.uri, "//a/../weixin?") }},
		"another host":        {[]caller.Mutation{wechattest.WithHost("evil.example.com")}, func(r *record) bool { return r.host == "evil.example.com" }},
		"a header":            {[]caller.Mutation{wechattest.WithHeader("x-a", "1", "2")}, func(r *record) bool { return cmp.Equal(r.header["X-A"], []string{"1", "2"}) }},
		"a header left out":   {[]caller.Mutation{wechattest.WithHeader("user-agent")}, func(r *record) bool { return len(r.header.Values("User-Agent")) == 0 }},
		"a body":              {[]caller.Mutation{wechattest.WithBody([]byte("<xml/>"))}, func(r *record) bool { return r.body == "<xml/>" && r.length == 6 }},
		"a body in chunks":    {[]caller.Mutation{wechattest.WithMethod("POST"), wechattest.WithBody([]byte("abc")), wechattest.WithChunks()}, func(r *record) bool { return r.body == "abc" && r.length == -1 }},
		"no body in chunks":   {[]caller.Mutation{wechattest.WithMethod("POST"), wechattest.WithChunks()}, func(r *record) bool { return r.body == "" && r.length == -1 }},
		"a body with a pause": {[]caller.Mutation{wechattest.WithBody([]byte("abc")), wechattest.WithPause(time.Millisecond)}, func(r *record) bool { return r.body == "abc" }},
		"a short announcement": {[]caller.Mutation{wechattest.WithBody([]byte("abc")), wechattest.WithContentLength(2)},
			func(r *record) bool { return r.body == "ab" && r.length == 2 }},
		"HTTP/1.0": {[]caller.Mutation{wechattest.WithHTTP10()}, func(r *record) bool { return r.proto == "HTTP/1.0" }},
	} {
		t.Run(name, func(t *testing.T) {
			sender, seen := recorder(t)
			answer, err := sender.URLCheck(t.Context(), test.mutations...)
			if err != nil || answer.Status != 200 {
				t.Fatalf("status %d, %v", answer.Status, err)
			}
			if !test.holds(seen) {
				t.Errorf("seen: %+v", seen)
			}
		})
	}
}

func TestAnAnnouncedBodyThatNeverComesIsWaitedForByTheServer(t *testing.T) {
	sender, _ := recorder(t)
	sender.Timeout = 50 * time.Millisecond
	answer, err := sender.Post(t.Context(), []byte("abc"), wechattest.WithContentLength(4))
	if refusal := diagnose.URLCheck(answer, err); refusal == nil || refusal.Code != diagnose.CodeTimeout {
		t.Errorf("%v, %v", refusal, err)
	}
}

func TestACapturedRequestIsReplayedWithTheSameQueryAndAnotherBody(t *testing.T) {
	sender, seen := recorder(t)
	request, err := sender.NewText(openid, "first")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sender.Send(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	first := *seen
	if _, err := sender.Send(t.Context(), request.WithBody([]byte("<xml>forged</xml>"))); err != nil {
		t.Fatal(err)
	}
	if seen.uri != first.uri || seen.body != "<xml>forged</xml>" || !strings.Contains(first.body, "first") {
		t.Errorf("first %+v, then %+v", first, *seen)
	}
	if !strings.Contains(string(request.Body), "first") {
		t.Errorf("the captured request changed: %s", request.Body)
	}
}

func TestTheURLsOwnQueryIsKept(t *testing.T) {
	sender, seen := recorder(t)
	sender.URL += "?account=7"
	if _, err := sender.URLCheck(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(seen.uri, "/weixin?account=7&signature=") {
		t.Error(seen.uri)
	}
}

func TestHostReplacesTheURLs(t *testing.T) {
	sender, seen := recorder(t)
	sender.Host = "other.example.com:8080"
	if _, err := sender.URLCheck(t.Context()); err != nil || seen.host != sender.Host {
		t.Errorf("host %q, %v", seen.host, err)
	}
	sender.URL, sender.Address, sender.Host = "http://"+sender.Address, "", "" // the address of the URL, and no path
	if _, err := sender.URLCheck(t.Context()); err != nil || !strings.HasPrefix(seen.uri, "/?signature=") {
		t.Errorf("URI %q, %v", seen.uri, err)
	}
}

func TestDeliver(t *testing.T) {
	for name, test := range map[string]struct {
		statuses []int // 0 answers too late
		want     int
	}{
		"200 is not sent again":        {[]int{200}, 1},
		"201 is sent again":            {[]int{201, 200}, 2},
		"500 is sent three times":      {[]int{500, 500, 500}, 3},
		"silence is sent again":        {[]int{0, 200}, 2},
		"silence ends after the third": {[]int{0, 0, 0}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			var lock sync.Mutex
			var uris []string
			sender := wechattest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
				lock.Lock()
				status := test.statuses[len(uris)]
				uris = append(uris, r.RequestURI)
				lock.Unlock()
				_, _ = io.ReadAll(r.Body)
				if status != 0 {
					w.WriteHeader(status)
					return
				}
				<-r.Context().Done()
			})
			sender.Timeout = 50 * time.Millisecond
			request, err := sender.NewText(openid, "hi")
			if err != nil {
				t.Fatal(err)
			}
			attempts := sender.Deliver(t.Context(), request)
			lock.Lock()
			defer lock.Unlock()
			if len(attempts) != test.want || len(uris) != test.want {
				t.Fatalf("%d attempts, %d calls, want %d", len(attempts), len(uris), test.want)
			}
			for i, uri := range uris {
				if uri != request.URI() {
					t.Errorf("try %d has another query: %s", i+1, uri)
				}
				if late := attempts[i].Err != nil; late != (test.statuses[i] == 0) {
					t.Errorf("try %d: %v", i+1, attempts[i].Err)
				}
			}
		})
	}
}

func TestAnAnswerIsReadWithBounds(t *testing.T) {
	sender := wechattest.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for range 100 {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return
			}
		}
	})
	answer, err := sender.URLCheck(t.Context())
	if err != nil || len(answer.Body) != wechat.MaxReplySize || !answer.Truncated {
		t.Errorf("%d bytes, truncated %v, %v", len(answer.Body), answer.Truncated, err)
	}
}

func TestAnInformationalAnswerIsPassedOver(t *testing.T) {
	sender := wechattest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		wechattest.Correct(w, r)
	})
	answer, err := sender.URLCheck(t.Context())
	if refusal := diagnose.URLCheck(answer, err); refusal != nil {
		t.Error(refusal)
	}
}
