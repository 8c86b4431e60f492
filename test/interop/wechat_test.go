// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// signer is a node process that signs and encrypts with other people's libraries; see sign.mjs.
type signer struct {
	questions *json.Encoder
	answers   *bufio.Scanner
}

type question struct {
	SDK       string `json:"sdk"`
	Token     string `json:"token"`
	Key       string `json:"key"`
	ID        string `json:"id"`
	Op        string `json:"op"`
	Timestamp string `json:"timestamp"`
	Nonce     string `json:"nonce"`
	Text      string `json:"text"`
}

type answer struct{ Signature, Encrypt, Message, ID, Error string }

func newSigner(t *testing.T) *signer {
	t.Helper()
	command := exec.CommandContext(t.Context(), "node", "--no-deprecation", "sign.mjs")
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatalf("starting node (run test/interop/setup first): %v", err)
	}
	t.Cleanup(func() { stdin.Close(); _ = command.Wait() })
	answers := bufio.NewScanner(stdout)
	answers.Buffer(nil, 1<<20)
	return &signer{json.NewEncoder(stdin), answers}
}

func (s *signer) ask(t *testing.T, q question) answer {
	t.Helper()
	q.Token, q.Key = token, aesKey
	if err := s.questions.Encode(q); err != nil {
		t.Fatal(err)
	}
	if !s.answers.Scan() {
		t.Fatalf("node ended: %v", s.answers.Err())
	}
	var a answer
	if err := json.Unmarshal(s.answers.Bytes(), &a); err != nil {
		t.Fatal(err)
	}
	return a
}

// library plays WeChat for one account with one library.
type library struct {
	*signer
	name    string
	account account
}

func (l library) sign(t *testing.T, s stamp, text string) string {
	t.Helper()
	a := l.ask(t, question{SDK: l.name, ID: l.account.receiver(), Op: "sign", Timestamp: s.timestamp, Nonce: s.nonce, Text: text})
	if a.Error != "" {
		t.Fatal(a.Error)
	}
	return a.Signature
}

func (l library) seal(t *testing.T, text string) string {
	t.Helper()
	a := l.ask(t, question{SDK: l.name, ID: l.account.receiver(), Op: "seal", Text: text})
	if a.Error != "" {
		t.Fatal(a.Error)
	}
	return a.Encrypt
}

// checkURL is the GET of the console.
func (l library) checkURL(t *testing.T, r *running) {
	t.Helper()
	s, echostr := newStamp(), "4375120948345356249"
	query := s.query("echostr", echostr)
	if l.account.weCom() {
		query.Set("echostr", l.seal(t, echostr))
		query.Set("msg_signature", l.sign(t, s, query.Get("echostr")))
	} else {
		query.Set("signature", l.sign(t, s, ""))
	}
	status, body := call(t, http.MethodGet, r.url, query, nil, "")
	if status != http.StatusOK || body != echostr {
		t.Errorf("the URL check is answered %d %q", status, body)
	}
	query.Set("nonce", "1")
	if status, body := call(t, http.MethodGet, r.url, query, nil, ""); status != http.StatusForbidden || body != "" {
		t.Errorf("with another nonce, it is answered %d %q", status, body)
	}
}

// send posts one message, and returns what WeChat would read.
func (l library) send(t *testing.T, r *running, message string) (int, string) {
	t.Helper()
	s := newStamp()
	query, body := s.query(), message
	if !l.account.weCom() {
		query.Set("signature", l.sign(t, s, ""))
	}
	if l.account.encrypted() {
		encrypt := l.seal(t, message)
		query.Set("msg_signature", l.sign(t, s, encrypt))
		if !l.account.weCom() {
			query.Set("encrypt_type", "aes")
		}
		body = l.account.envelope(message, encrypt)
		l.expectForgeryRefused(t, r, s, message, encrypt)
	}
	return call(t, http.MethodPost, r.url, query, nil, body)
}

// expectForgeryRefused changes one character of the Encrypt, under the signature of the whole one.
func (l library) expectForgeryRefused(t *testing.T, r *running, s stamp, message, encrypt string) {
	t.Helper()
	forged := "A" + encrypt[1:]
	if forged == encrypt {
		forged = "B" + encrypt[1:]
	}
	query := s.query("msg_signature", l.sign(t, s, encrypt))
	if !l.account.weCom() {
		query.Set("signature", l.sign(t, s, ""))
		query.Set("encrypt_type", "aes")
	}
	if status, body := call(t, http.MethodPost, r.url, query, nil, l.account.envelope(message, forged)); status != http.StatusForbidden || body != "" {
		t.Errorf("a forged message is answered %d %q", status, body)
	}
}

// open is how the library reads a sealed reply.
func (l library) open(t *testing.T, reply string) string {
	t.Helper()
	sealed, err := wechat.ParseReplyEnvelope([]byte(reply))
	if err != nil {
		t.Fatalf("%v: %s", err, reply)
	}
	if l.sign(t, stamp{sealed.Timestamp, sealed.Nonce}, sealed.Encrypt) != sealed.Signature {
		t.Errorf("the library finds another signature than that of the reply")
	}
	a := l.ask(t, question{SDK: l.name, ID: l.account.receiver(), Op: "open", Text: sealed.Encrypt})
	if a.Error != "" || a.ID != l.account.receiver() {
		t.Errorf("the library opens the reply with %q for %q", a.Error, a.ID)
	}
	return a.Message
}

// TestAsWeChat lets libraries be WeChat's server, for an app with no WeChat code at all.
func TestAsWeChat(t *testing.T) {
	s := newSigner(t)
	for _, name := range []string{"@wecom/crypto", "wechat-crypto", "wechat-encrypt"} {
		for _, a := range accounts {
			if name == "wechat-crypto" && a.receiver() == "" {
				continue // it refuses an empty id; see TestDeviations
			}
			try(t, name, a.name, "as WeChat, url check, message and reply", func(t *testing.T) {
				playWeChat(t, library{s, name, a})
			})
		}
	}
	for _, a := range accounts {
		try(t, "net/http, no WeChat code", a.name, "as the app, payload Decrypted", func(t *testing.T) {
			playWeChat(t, library{s, "@wecom/crypto", a})
		})
	}
}

func playWeChat(t *testing.T, l library) {
	app := newPlainApp(t)
	a := l.account
	r := start(t, a, app.URL, config.PayloadDecrypted, config.Pair{Token: token, EncodingAESKey: aesKey})
	if !a.noCheck {
		l.checkURL(t, r)
	}
	message := a.text("你好 <&> 😀")
	status, reply := l.send(t, r, message)
	if status != http.StatusOK {
		t.Fatalf("the message is answered %d %q", status, reply)
	}
	if seen := app.seen(); len(seen) != 1 || seen[0] != message {
		t.Fatalf("the app saw %q, sent was %q", seen, message)
	}
	if a.ticket {
		if reply != wechat.Success {
			t.Errorf("the reply is %q, not success", reply)
		}
		return
	}
	if a.encrypted() {
		reply = l.open(t, reply)
	}
	if reply != echo(message) || !strings.Contains(reply, "you said it") {
		t.Errorf("the reply is %q, the app's was %q", reply, echo(message))
	}
}
