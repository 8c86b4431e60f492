// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

// Account is whose messages are sent. It exists for the benchmark alone.
type Account struct {
	Token, EncodingAESKey, AppID string
}

// Kind is what is sent. The zero value is a message in plaintext mode.
type Kind struct {
	// Path is the URL's.
	Path string
	// Size is how long a message is, in bytes; 0 is 500.
	Size int
	// URLCheck sends the GET with an echostr.
	URLCheck bool
	// Encrypted puts the message into an envelope.
	Encrypted bool
	// Forged spoils the last digit of each signature.
	Forged bool
	// Times is how often each request is sent; 0 is once.
	Times int
}

// Requests makes signed requests of one kind. Each has a nonce, a signature, and a MsgId of its own.
type Requests struct {
	kind    Kind
	account Account
	key     *wechat.Key
	number  uint64 // of the next request; the first is random
	model   []byte // a message
	created int    // the offset of its CreateTime
	id      int    // the offset of its MsgId

	ready []prepared
	next  int    // how many Next has returned
	chunk []byte // where requests are written
}

// prepared is a request with the body of its right answer; nil is any.
type prepared struct{ text, want []byte }

// chunkSize is how much memory is taken at once. A request never moves.
const chunkSize = 1 << 20

// repeatAfter is how many other requests come between a request and its repeat.
const repeatAfter = 100

// Digits of what is different in each request.
const (
	numberDigits = 19
	timeDigits   = 10
)

const (
	defaultSize = 500
	numberMark  = "1111111111111111111"
	timeMark    = 2222222222
)

// NewRequests returns requests of that kind, signed as the account's.
func NewRequests(kind Kind, account Account) (*Requests, error) {
	r := &Requests{kind: kind, account: account}
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	r.number = 1e18 + binary.NativeEndian.Uint64(random[:])%uint64(8e18)
	if kind.Encrypted {
		key, err := wechat.ParseEncodingAESKey(account.EncodingAESKey)
		if err != nil {
			return nil, fmt.Errorf("reading the EncodingAESKey: %w", err)
		}
		r.key = key
	}
	size := kind.Size
	if size == 0 {
		size = defaultSize
	}
	text := func(content string) []byte {
		return caller.TextMessage(caller.DefaultAccount, "oBenchBenchBenchBenchBenchBe", content, numberMark, time.Unix(timeMark, 0))
	}
	r.model = text(strings.Repeat("a", max(1, size-len(text("")))))
	r.created = bytes.Index(r.model, fmt.Append(nil, timeMark))
	r.id = bytes.Index(r.model, []byte(numberMark))
	return r, nil
}

// Prepare makes so many requests, which Next returns first. What was prepared before is forgotten.
func (r *Requests) Prepare(n int) {
	r.ready, r.next = make([]prepared, 0, n), 0
	now := time.Now()
	for range n {
		r.make(now)
	}
}

// Next returns a request and the body of its right answer; nil is any.
func (r *Requests) Next() (request, want []byte) {
	at := position(r.next, max(1, r.kind.Times))
	r.next++
	for at >= len(r.ready) {
		r.make(time.Now())
	}
	return r.ready[at].text, r.ready[at].want
}

// position is which request is sent as the nth, where each is sent so often: blocks of them are repeated.
func position(n, times int) int {
	block := n / (repeatAfter * times)
	return block*repeatAfter + n%repeatAfter
}

// Different is how many of so many requests that Next returned were different ones, where each is sent so often.
func Different(n, times int) int {
	block := n / (repeatAfter * times)
	return block*repeatAfter + min(n%(repeatAfter*times), repeatAfter)
}

// Message is the message of the newest request that was made.
func (r *Requests) Message() []byte { return r.model }

// make appends one request.
func (r *Requests) make(now time.Time) {
	r.number++
	number := fmt.Sprintf("%0*d", numberDigits, r.number)
	timestamp := fmt.Sprintf("%0*d", timeDigits, now.Unix())
	copy(r.model[r.created:], timestamp)
	copy(r.model[r.id:], number)
	body, method, rest := r.model, "POST", "&openid=oBenchBenchBenchBenchBenchBe"
	switch {
	case r.kind.URLCheck:
		body, method, rest = nil, "GET", "&echostr="+number
	case r.kind.Encrypted:
		var random [wechat.RandomSize]byte
		copy(random[:], number)
		encrypt, err := r.key.Seal(random, body, r.account.AppID)
		if err != nil {
			panic(err) // the message is too long
		}
		body = wechat.RequestEnvelope(wechat.FormXML, []wechat.Address{{Name: "ToUserName", Value: caller.DefaultAccount}}, encrypt)
		rest += "&encrypt_type=aes&msg_signature=" + r.sign(timestamp, number, encrypt)
	}
	if cap(r.chunk)-len(r.chunk) < len(body)+len(r.kind.Path)+headRoom {
		r.chunk = make([]byte, 0, chunkSize+len(body))
	}
	start := len(r.chunk)
	text := fmt.Appendf(r.chunk, "%s %s?signature=%s&timestamp=%s&nonce=%s%s HTTP/1.1\r\n", method, r.kind.Path, r.sign(timestamp, number), timestamp, number, rest)
	text = append(text, "Host: wx.example.com\r\nUser-Agent: Mozilla/4.0\r\nAccept: */*\r\n"...)
	if body != nil {
		text = fmt.Appendf(text, "Content-Type: text/xml\r\nContent-Length: %d\r\n", len(body))
	}
	r.chunk = append(append(text, "\r\n"...), body...)
	p := prepared{text: r.chunk[start:], want: []byte(wechat.Success)}
	switch {
	case r.kind.Forged:
		p.want = nil
	case r.kind.URLCheck:
		p.want = []byte(number)
	}
	r.ready = append(r.ready, p)
}

// headRoom is more than the head of a request takes beside its path. Bytes.
const headRoom = 1 << 10

// sign signs as WeChat does, or as somebody who does not know the token.
func (r *Requests) sign(parts ...string) string {
	signature := wechat.Sign(append(parts, r.account.Token)...)
	if !r.kind.Forged {
		return signature
	}
	last := byte('0')
	if signature[len(signature)-1] == last {
		last = '1'
	}
	return signature[:len(signature)-1] + string(last)
}
