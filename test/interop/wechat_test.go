// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"bufio"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
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

// must asks for what the library can do.
func (l library) must(t *testing.T, q question) answer {
	t.Helper()
	q.SDK = l.name
	a := l.ask(t, q)
	if a.Error != "" {
		t.Fatalf("%s: %s", l.name, a.Error)
	}
	return a
}

func (l library) sign(t *testing.T, s stamp, text string) string {
	t.Helper()
	return l.must(t, question{ID: l.account.receiver(), Op: "sign", Timestamp: s.timestamp, Nonce: s.nonce, Text: text}).Signature
}

func (l library) seal(t *testing.T, text, receiver string) string {
	t.Helper()
	return l.must(t, question{ID: receiver, Op: "seal", Text: text}).Encrypt
}

// signature is the name of the parameter that says who sent a message: in the others, it covers no more than the stamp.
func (l library) signature() string {
	if l.account.encrypted() {
		return "msg_signature"
	}
	return "signature"
}

// checkURL is the GET of the console, after one whose signature does not hold.
func (l library) checkURL(t *testing.T, r *running) {
	t.Helper()
	s, echostr, signature := newStamp(), "4375120948345356249", "signature"
	query := s.query("echostr", echostr)
	if l.account.weCom() {
		signature = "msg_signature"
		query.Set("echostr", l.seal(t, echostr, l.account.checkReceiver()))
		query.Set(signature, l.sign(t, s, query.Get("echostr")))
	} else {
		query.Set(signature, l.sign(t, s, ""))
	}
	status, body := call(t, http.MethodGet, r.checkURL, with(query, signature, changed(query.Get(signature))), nil, "")
	expectRefused(t, "a forged URL check", status, body)
	if l.account.weCom() {
		status, body = call(t, http.MethodGet, r.checkURL, with(query, "echostr", changed(query.Get("echostr"))), nil, "")
		expectRefused(t, "another echostr", status, body)
	}
	status, body = call(t, http.MethodGet, r.checkURL, query, nil, "")
	if status != http.StatusOK || body != echostr {
		t.Errorf("the URL check is answered %d %q", status, body)
	}
}

// post is a message, signed and encrypted by the library.
func (l library) post(t *testing.T, message string) (query url.Values, encrypt string) {
	t.Helper()
	s := newStamp()
	query = s.query()
	if !l.account.weCom() {
		query.Set("signature", l.sign(t, s, ""))
	}
	if l.account.encrypted() {
		encrypt = l.seal(t, message, l.account.receiver())
		query.Set("msg_signature", l.sign(t, s, encrypt))
		if !l.account.weCom() {
			query.Set("encrypt_type", "aes")
		}
	}
	return query, encrypt
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
	a := l.must(t, question{ID: l.account.receiver(), Op: "open", Text: sealed.Encrypt})
	if a.ID != l.account.receiver() {
		t.Errorf("the library opens the reply for %q", a.ID)
	}
	return a.Message
}

// app is what stands behind the sidecar, as far as it can say how often it was called.
type app interface{ calls(t *testing.T) int }

// play sends what WeChat sends, forged first and then whole, and returns the reply as WeChat reads it: opened.
func (l library) play(t *trial, r *running, behind app, message string) string {
	t.Helper()
	if !l.account.noCheck {
		l.checkURL(t.T, r)
		t.did("url-check")
	}
	query, encrypt := l.post(t.T, message)
	whole := l.account.envelope(message, encrypt)
	status, body := call(t.T, http.MethodPost, r.url, with(query, l.signature(), changed(query.Get(l.signature()))), nil, whole)
	expectRefused(t.T, "a message with another signature", status, body)
	if l.account.encrypted() {
		status, body = call(t.T, http.MethodPost, r.url, query, nil, l.account.envelope(message, changed(encrypt)))
		expectRefused(t.T, "a message with another Encrypt", status, body)
	}
	if calls := behind.calls(t.T); calls != 0 {
		t.Errorf("the app saw %d of what must not pass", calls)
	}
	t.did("forgeries")

	status, reply := call(t.T, http.MethodPost, r.url, query, nil, whole)
	if calls := behind.calls(t.T); status != http.StatusOK || calls != 1 {
		t.Fatalf("the message is answered %d %q, the app was called %d times", status, reply, calls)
	}
	t.did("message")
	switch {
	case l.account.ticket:
		if reply != wechat.Success {
			t.Errorf("the reply is %q, not success", reply)
		}
		t.did("success")
	case reply != "" && l.account.encrypted():
		reply = l.open(t.T, reply)
		t.did("sealed-reply")
	case reply != "":
		t.did("reply")
	}
	return reply
}

// changed is a text with another character in its middle, of an alphabet that signatures and Encrypt share.
func changed(text string) string {
	i, other := len(text)/2, "0"
	if text[i] == '0' {
		other = "1"
	}
	return text[:i] + other + text[i+1:]
}

func with(query url.Values, name, value string) url.Values {
	copied := maps.Clone(query)
	copied[name] = []string{value}
	return copied
}

// TestAsWeChat lets libraries be WeChat's server, for an app with no WeChat code at all.
func TestAsWeChat(t *testing.T) {
	s := newSigner(t)
	for _, name := range []string{"@wecom/crypto", "wechat-crypto", "wechat-encrypt"} {
		for _, a := range accounts {
			if name == "wechat-crypto" && a.receiver() == "" {
				continue // it refuses an empty id; see TestDeviations
			}
			try(t, name, a, "as WeChat", func(t *trial) { playForPlainApp(t, library{s, name, a}) })
		}
	}
	for _, a := range accounts {
		try(t, noLibrary, a, "as the app, Decrypted", func(t *trial) { playForPlainApp(t, library{s, "@wecom/crypto", a}) })
	}
}

func playForPlainApp(t *trial, l library) {
	behind := newPlainApp(t.T)
	r := start(t.T, l.account, behind.URL, config.PayloadDecrypted, config.Pair{Token: token, EncodingAESKey: aesKey})
	message := l.account.text(secretContent)
	reply := l.play(t, r, behind, message)
	if seen := behind.seen(); len(seen) != 1 || seen[0] != message {
		t.Fatalf("the app saw %q, sent was %q", seen, message)
	}
	if !l.account.ticket && (reply != echo(message) || !strings.Contains(reply, "you said it")) {
		t.Errorf("the reply is %q, the app's was %q", reply, echo(message))
	}
}
