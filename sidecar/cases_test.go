// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// Credentials that the files of testdata/cases are made with.
const (
	caseToken  = "BugHuntToken1"
	caseKey    = "Replace0With0Your0EncodingAESKey0abcdefghij"
	caseAPIKey = "Replace0With0Your0APIv3Key012345"
	caseAppID  = "wx5823bf96d3bd56c7"
	caseCorpID = "ww0123456789abcdef"
	caseSuite  = "ww9999suite00000001"
	caseOpenID = "oTestUser0000000000000000001"
)

// caseWorld is a sidecar in front of two apps, at the time of a request.
type caseWorld struct {
	address string
	mu      sync.Mutex
	app     http.HandlerFunc
	calls   []caseCall
}

// caseCall is what an app saw.
type caseCall struct {
	app, target, body string
	header            http.Header
}

// listen returns the URL of an app of that name.
func (w *caseWorld) listen(t *testing.T, name string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // what was cut off is not what was sent
		w.mu.Lock()
		w.calls = append(w.calls, caseCall{name, r.URL.RequestURI(), string(body), r.Header})
		app := w.app
		w.mu.Unlock()
		if app != nil {
			app(answer, r)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// send sends a request byte for byte and returns the status and body of the answer.
func (w *caseWorld) send(t *testing.T, raw []byte) (status int, body string) {
	t.Helper()
	connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", w.address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := connection.Write(raw); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(content)
}

// one returns the only call of an app.
func (w *caseWorld) one(t *testing.T) caseCall {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.calls) != 1 {
		t.Fatalf("the apps were called %d times: %+v", len(w.calls), w.calls)
	}
	return w.calls[0]
}

func caseRule(match config.Match) []config.Rule {
	return []config.Rule{{Match: match, Action: config.ActionForward, Backend: &config.Backend{URL: "rule"}}}
}

// caseTime is the time at which a request was signed.
func caseTime(t *testing.T, raw []byte) time.Time {
	t.Helper()
	request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
	if err != nil {
		t.Fatal(err)
	}
	seconds, err := strconv.ParseInt(cmp.Or(request.URL.Query().Get("timestamp"), request.Header.Get(wechat.PayTimestampHeader)), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Unix(seconds, 0)
}

// caseRow is a request and what becomes of it.
type caseRow struct {
	file    string
	config  config.Config
	later   time.Duration // than the request was signed
	app     http.HandlerFunc
	status  int
	inspect func(t *testing.T, w *caseWorld, answer string)
}

// caseRows are what WeChat was seen to send and consoles were seen to hold, as the files of testdata/cases have it byte for byte.
func caseRows() map[string]caseRow {
	official := func(mode string) config.Config {
		return config.Config{Platform: config.PlatformOfficialAccount, AppID: caseAppID, MessageMode: mode, Path: "/weixin"}
	}
	weCom := func(path string, receivers ...string) config.Config {
		return config.Config{Platform: config.PlatformWeCom, AppID: caseCorpID, ReceiverIDs: receivers, Path: path}
	}
	called := func(app string) func(*testing.T, *caseWorld, string) {
		return func(t *testing.T, w *caseWorld, _ string) {
			if call := w.one(t); call.app != app || call.header.Get("X-Wechat-Verified") != "true" {
				t.Errorf("called %s with %v", call.app, call.header)
			}
		}
	}
	images := func(count, size int) http.HandlerFunc {
		image := base64.StdEncoding.EncodeToString(make([]byte, size))
		item := `{"msgtype":"image","image":{"base64":"` + image + `","md5":"0"}}`
		return func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"msgtype":"stream","stream":{"id":"1","finish":true,"content":"a","msg_item":[`+
				strings.TrimSuffix(strings.Repeat(item+",", count), ",")+"]}}")
		}
	}
	sealed := func(size int) func(*testing.T, *caseWorld, string) {
		return func(t *testing.T, w *caseWorld, answer string) {
			w.one(t)
			reply, err := wechat.ParseReplyEnvelope([]byte(answer))
			if err != nil {
				t.Fatal(err)
			}
			key, err := wechat.ParseEncodingAESKey(caseKey)
			if err != nil {
				t.Fatal(err)
			}
			opened, err := key.Open([]byte(reply.Encrypt))
			if err != nil || len(opened.Message) < size || !json.Valid(opened.Message) {
				t.Errorf("opened %d bytes, %v", len(opened.Message), err)
			}
		}
	}
	echoed := func(t *testing.T, w *caseWorld, answer string) {
		if len(w.calls) > 0 || answer == "" || strings.ContainsFunc(answer, func(r rune) bool { return r < '0' || r > 'z' }) {
			t.Errorf("answered %q, and the app was called %d times", answer, len(w.calls))
		}
	}
	return map[string]caseRow{
		"a control character in the cleartext of the compatible mode": {
			file: "compat-control-char", config: official(config.ModeCompatible), status: 200,
			inspect: func(t *testing.T, w *caseWorld, _ string) {
				if call := w.one(t); !strings.Contains(call.body, "\x1dc") || strings.Contains(call.body, "Encrypt") {
					t.Errorf("the app got %q", call.body)
				}
			},
		},
		"the end of a section in it": {
			file: "compat-cdata-end", config: official(config.ModeCompatible), status: 200,
			inspect: func(t *testing.T, w *caseWorld, _ string) {
				if call := w.one(t); !strings.Contains(call.body, "a]]>b<status>x") || strings.Contains(call.body, "Encrypt") {
					t.Errorf("the app got %q", call.body)
				}
			},
		},
		"a rule matches a message with a control character": {
			file: "encrypted-rule-control-char", status: 200,
			config: func() config.Config {
				c := official(config.ModeEncrypted)
				c.Rules = caseRule(config.Match{MsgType: "text"})
				return c
			}(),
			inspect: func(t *testing.T, w *caseWorld, _ string) {
				call := w.one(t)
				if call.app != "rule" || call.header.Get("X-Wechat-Message-Type") != "text" || call.header.Get("X-Wechat-Open-Id") != caseOpenID {
					t.Errorf("called %s with %v", call.app, call.header)
				}
			},
		},
		"a user's text is no event": {
			file: "user-text-is-no-event", status: 200,
			config: func() config.Config {
				c := official(config.ModeEncrypted)
				c.Rules = caseRule(config.Match{Event: "subscribe"})
				return c
			}(),
			inspect: func(t *testing.T, w *caseWorld, _ string) {
				if call := w.one(t); call.app != "backend" || call.header.Get("X-Wechat-Event") != "" {
					t.Errorf("called %s with %v", call.app, call.header)
				}
			},
		},
		"a user's text is no probe": {file: "user-text-is-no-infotype", config: official(config.ModeEncrypted), status: 200, inspect: called("backend")},
		"a payment with a control character fails at the deadline": {
			file: "xpay-control-char", status: 503, app: func(http.ResponseWriter, *http.Request) { time.Sleep(600 * time.Millisecond) },
			config: config.Config{
				Platform: config.PlatformMiniProgram, AppID: caseAppID, MessageMode: config.ModeEncrypted, Path: "/mini",
				Backend: config.Backend{Deadline: config.Duration(200 * time.Millisecond)},
			},
			inspect: called("backend"),
		},
		"a suite's command with a control character is answered success": {
			file: "suite-control-char", config: weCom("/suite", caseSuite, caseCorpID), status: 200,
			app: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") },
			inspect: func(t *testing.T, w *caseWorld, answer string) {
				if w.one(t); answer != "success" {
					t.Errorf("answered %q", answer)
				}
			},
		},
		"a URL with a query of its own": {
			file: "oa-own-query", status: 200,
			config: func() config.Config {
				c := official(config.ModePlaintext)
				c.Path, c.Query = "/api.php", "id=5"
				return c
			}(),
			inspect: func(t *testing.T, w *caseWorld, _ string) {
				if call := w.one(t); call.target != "/api.php?id=5" {
					t.Errorf("the app was called with %s", call.target)
				}
			},
		},
		"the same, for an app with an SDK of its own": {
			file: "oa-own-query", status: 200,
			config: func() config.Config {
				c := official(config.ModePlaintext)
				c.Path, c.Query, c.Backend.Payload = "/api.php", "id=5", config.PayloadOriginal
				return c
			}(),
			inspect: func(t *testing.T, w *caseWorld, _ string) {
				target, err := url.Parse(w.one(t).target)
				if err != nil || target.Query().Get("id") != "5" || !wechat.Verify(target.Query().Get("signature"), caseToken, target.Query().Get("timestamp"), target.Query().Get("nonce")) {
					t.Errorf("the app was called with %s", target)
				}
			},
		},
		"an AppID in the query": {
			file: "openplatform-appid-in-query", status: 200,
			config: config.Config{Platform: config.PlatformOpenPlatform, AppID: caseAppID, Path: "/callback", Query: "appid=/$APPID$"},
			inspect: func(t *testing.T, w *caseWorld, _ string) {
				call := w.one(t)
				if call.target != "/callback?appid=/wx570bc396a51b8ff8" || call.header.Get("X-Wechat-Path-App-Id") != "wx570bc396a51b8ff8" {
					t.Errorf("called %s with %v", call.target, call.header)
				}
			},
		},
		"a URL of WeCom's with encrypt_type in it": {
			file: "wecom-own-encrypt_type-echo", status: 200, inspect: echoed,
			config: func() config.Config {
				c := weCom("/weixin/server", caseCorpID)
				c.Query = "weixin_id=wx3b&encrypt_type=AES"
				return c
			}(),
		},
		"an echostr whose plus is not escaped": {file: "wecom-echostr-raw-plus", config: weCom("/wecom", caseCorpID), status: 200, inspect: echoed},
		"a bot that a user opens": {
			file: "wecom-bot-enter-chat", status: 200,
			config: func() config.Config {
				c := weCom("/bot", "")
				c.Rules = caseRule(config.Match{Event: "enter_chat"})
				return c
			}(),
			inspect: func(t *testing.T, w *caseWorld, _ string) {
				if call := w.one(t); call.app != "rule" || call.header.Get("X-Wechat-Event") != "enter_chat" {
					t.Errorf("called %s with %v", call.app, call.header)
				}
			},
		},
		"a bot's reply with one image": {file: "wecom-bot-stream-refresh", config: weCom("/bot", ""), status: 200, app: images(1, 100<<10), inspect: sealed(100 << 10)},
		"a bot's reply with ten of one MiB": {
			file: "wecom-bot-stream-refresh", status: 200, app: images(10, 1<<20), inspect: sealed(10 << 20),
			config: func() config.Config {
				c := weCom("/bot", "")
				c.Backend.OnDeadline = config.OnDeadlineAwaitRetry // a busy computer takes longer than the app may
				return c
			}(),
		},
		"a suite's command, for an app with an SDK of its own": {
			file: "wecom-suite-original", status: 200,
			config: func() config.Config {
				c := weCom("/suite", caseSuite, caseCorpID)
				c.Backend.Payload = config.PayloadOriginal
				return c
			}(),
			inspect: func(t *testing.T, w *caseWorld, _ string) {
				if call := w.one(t); !strings.Contains(call.body, "<ToUserName><![CDATA["+caseSuite+"]]></ToUserName>") {
					t.Errorf("the app got %s", call.body)
				}
			},
		},
		"a suite's data of any corporation": {file: "wecom-suite-data-any-corp", config: weCom("/suite-data", config.AnyReceiver), status: 200, inspect: called("backend")},
		"a third-party platform's payment after ten minutes": {
			file: "openplatform-money-10min", later: 10 * time.Minute, status: 200, inspect: called("backend"),
			config: config.Config{Platform: config.PlatformOpenPlatform, AppID: caseAppID, Path: "/p/$APPID$"},
		},
		"a payment whose associated data are null": {
			file: "pay-ad-null", status: 204, inspect: called("backend"),
			config: config.Config{Platform: config.PlatformPay, AppID: caseAppID, Path: "/pay/notify/$APPID$"},
		},
	}
}

// play sends the request of a row, changed, to a sidecar of its configuration.
func (row caseRow) play(t *testing.T, later time.Duration, change func(raw string) string) (w *caseWorld, status int, answer string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "cases", row.file+".http"))
	if err != nil {
		t.Fatal(err)
	}
	pair := config.Pair{Generation: 1, Token: caseToken, EncodingAESKey: caseKey}
	if row.config.Platform == config.PlatformPay {
		raw, pair = signCase(t, raw)
	}
	w = &caseWorld{app: row.app}
	row.config.Host = "wx.example.com"
	row.config.Backend.URL = w.listen(t, "backend")
	for i := range row.config.Rules {
		row.config.Rules[i].Backend.URL = w.listen(t, "rule")
	}
	if err := valid(row.config); err != nil {
		t.Fatal(err)
	}
	w.address, _ = serveFrozen(t, row.config, []config.Pair{pair}, caseTime(t, raw).Add(later), "")
	status, answer = w.send(t, []byte(change(string(raw))))
	return w, status, answer
}

func TestCases(t *testing.T) {
	rows := caseRows()
	passed, failed := 0, 0
	for name, row := range rows {
		ok := t.Run(name, func(t *testing.T) {
			w, status, answer := row.play(t, row.later, func(raw string) string { return raw })
			if status != row.status {
				t.Errorf("answered %d, want %d", status, row.status)
			}
			row.inspect(t, w, answer)
		})
		if ok {
			passed++
		} else {
			failed++
		}
	}
	fmt.Printf("cases: %d passed, %d failed\n", passed, failed)
	files, err := filepath.Glob("testdata/cases/*.http")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		played := false
		for _, row := range rows {
			played = played || strings.TrimSuffix(filepath.Base(file), ".http") == row.file
		}
		if !played {
			t.Errorf("%s is not played", file)
		}
	}
}

var (
	caseSignature = regexp.MustCompile(`(msg_signature=|Wechatpay-Signature: )[^& ]{8}`)
	caseEncrypt   = regexp.MustCompile(`<Encrypt>|"encrypt"`)
)

// TestForgedCases: the hostile twins of the same bytes are refused, and no app sees them.
func TestForgedCases(t *testing.T) {
	for what, twin := range map[string]struct {
		later  time.Duration
		change func(raw string) string // as it is for a request that has no such twin
	}{
		"forged": {0, func(raw string) string {
			if !caseSignature.MatchString(raw) {
				return regexp.MustCompile(`signature=.{8}`).ReplaceAllString(raw, "signature=00000000")
			}
			return caseSignature.ReplaceAllString(raw, "${1}00000000")
		}},
		"replayed after a day": {26 * time.Hour, func(raw string) string { return raw + " " }},
		"in plaintext mode": {0, func(raw string) string {
			return regexp.MustCompile(`&msg_signature=[0-9a-f]*`).ReplaceAllString(raw, "")
		}},
		"beside a second Encrypt": {0, func(raw string) string {
			head, body, _ := strings.Cut(raw, "\r\n\r\n")
			twin := map[bool]string{true: "<Encrypt>forged</Encrypt><Encrypt>", false: `"encrypt":"forged","encrypt"`}[strings.Contains(body, "<Encrypt>")]
			longer := caseEncrypt.ReplaceAllString(body, twin)
			return strings.Replace(head, fmt.Sprintf("Content-Length: %d", len(body)), fmt.Sprintf("Content-Length: %d", len(longer)), 1) + "\r\n\r\n" + longer
		}},
		"for another host": {0, func(raw string) string { return strings.Replace(raw, "wx.example.com", "evil.example.com", 1) }},
	} {
		for name, row := range caseRows() {
			t.Run(what+", "+name, func(t *testing.T) {
				raw, err := os.ReadFile(filepath.Join("testdata", "cases", row.file+".http"))
				if err != nil {
					t.Fatal(err)
				}
				if twin.change(string(raw)) == string(raw) {
					t.Skip("it has no such twin")
				}
				w, status, answer := row.play(t, twin.later, twin.change)
				if status != http.StatusForbidden && status != http.StatusNotFound || len(w.calls) > 0 || answer != "" && row.config.Platform != config.PlatformPay {
					t.Errorf("answered %d %q, and the apps were called %d times", status, answer, len(w.calls))
				}
			})
		}
	}
}

// valid says what the sidecar would say of the configuration's file.
func valid(c config.Config) error {
	c.Endpoint, c.Generation = "team-a/shop", "g-1"
	return c.Validate()
}

// signCase signs a notification of Pay's with a key made for it, in place of WeChat's.
func signCase(t *testing.T, raw []byte) (signed []byte, pair config.Pair) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s\n", request.Header.Get(wechat.PayTimestampHeader), request.Header.Get(wechat.PayNonceHeader), body))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	signed = bytes.Replace(raw, []byte(request.Header.Get(wechat.PaySignatureHeader)), []byte(base64.StdEncoding.EncodeToString(signature)), 1)
	return signed, config.Pair{
		Generation: 1, APIv3Key: caseAPIKey,
		PlatformKeys: map[string]string{
			request.Header.Get(wechat.PaySerialHeader): string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})),
		},
	}
}
