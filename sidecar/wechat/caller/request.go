// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package caller

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// Request is one signed request. It is plain data: a test may change any field, and Send it as often as it likes with
// the same signature. Method, Path, Query, Proto, Host and Header are written as they are, without checks.
type Request struct {
	Method string
	// Path is the request's path, escaped.
	Path string
	// Query is the raw query, without the question mark; empty sends none.
	Query string
	// Proto is HTTP/1.1 or HTTP/1.0.
	Proto string
	// Host is the Host header; empty sends none.
	Host string
	// Header has every other field but those that describe the body.
	Header http.Header
	// Body is sent with its Content-Length, unless Announced or Chunked say otherwise.
	Body []byte

	// Announced is the Content-Length to announce in place of the body's; nil is the truth.
	Announced *int64
	// Chunked sends the body in chunks, without a Content-Length.
	Chunked bool
	// Pause is waited between the two halves of the body.
	Pause time.Duration

	// Echostr and From are told to the Answer; they are not sent from here.
	Echostr, From string
	// Signature and MsgSignature are those in the query, for redaction; empty when there are none.
	Signature, MsgSignature string
}

// WithBody copies the request with another body and the same signed query: what somebody does who has read an access
// log.
func (r *Request) WithBody(body []byte) *Request {
	replayed := *r
	replayed.Header = r.Header.Clone()
	replayed.Body = body
	return &replayed
}

// URI is the request's target, the path and the query, as it stands in the request line. It holds the signature.
func (r *Request) URI() string {
	if r.Query == "" {
		return r.Path
	}
	return r.Path + "?" + r.Query
}

// NewURLCheck makes the GET of the console's form, with a random echostr of 19 digits. An error means that the Sender's
// URL cannot be called.
func (s *Sender) NewURLCheck(mutations ...Mutation) (*Request, error) {
	echostr := digits(19)
	return s.make(Draft{Method: http.MethodGet, Echostr: &echostr}, mutations)
}

// NewText makes the POST of a text message of the user with the openid from, with a random MsgId, in the notation of the
// Sender's kind of account. Errors are as in NewURLCheck.
func (s *Sender) NewText(from, content string, mutations ...Mutation) (*Request, error) {
	return s.NewScenario(s.TextScenario(from, content), mutations...)
}

// NewPost makes the POST of any body, without openid. Errors are as in NewURLCheck.
func (s *Sender) NewPost(body []byte, mutations ...Mutation) (*Request, error) {
	return s.make(Draft{Method: http.MethodPost, Body: body}, mutations)
}

// make mutates a draft, signs what came of it, and writes it down.
func (s *Sender) make(d Draft, mutations []Mutation) (*Request, error) {
	target, err := ParseURL(s.URL)
	if err != nil {
		return nil, err
	}
	d.Token, d.Timestamp, d.Nonce = s.Token, strconv.FormatInt(s.now().Unix(), 10), s.nonce()
	d.Path, d.Host, d.Proto = target.EscapedPath(), target.Host, "HTTP/1.1"
	if d.pathID != "" {
		d.Path = WithPathID(d.Path, d.pathID)
	}
	if d.Path == "" {
		d.Path = "/"
	}
	if s.Host != "" {
		d.Host = s.Host
	}
	d.Header = http.Header{
		"User-Agent":    {"Mozilla/4.0"},
		"Accept":        {"*/*"},
		"Pragma":        {"no-cache"},
		"Cache-Control": {"no-cache"},
	}
	if d.Method == http.MethodPost {
		d.Header.Set("Content-Type", "text/xml")
	}
	d.weCom = s.WeCom
	if err := s.seal(&d); err != nil {
		return nil, err
	}
	for _, mutate := range mutations {
		mutate(&d)
	}
	if d.signed != nil {
		if err := s.signNotification(&d); err != nil {
			return nil, err
		}
	}
	return d.request(target.RawQuery), nil
}

// Draft is a request before it is signed, so that the order of mutations does not matter.
type Draft struct {
	Method, Path, Host, Proto string
	Header                    http.Header
	Body                      []byte
	Announced                 *int64
	Chunked                   bool
	Pause                     time.Duration

	// What is signed, and with what; of Pay, Serial names the key.
	Token, Timestamp, Nonce, Serial string
	// Signature is sent in place of the right one; nil signs.
	Signature       *string
	Echostr, OpenID *string
	// Query is sent in place of all parameters.
	Query *string
	// Without are names of parameters that are left out, and Extra are others that follow.
	Without []string
	Extra   []Parameter

	encrypt   string // what msg_signature covers besides; empty in plaintext
	echo      string // of an encrypted echostr, what it holds
	weCom     bool
	address   []wechat.Address // on the envelope; nil is the account
	pathID    string           // in place of the path's placeholder
	eventType string           // of Pay
	signed    []byte           // of Pay: the body that the signature covers; nil for all others
}

// Parameter is one of a query, or of Pay's headers, before it is escaped.
type Parameter struct{ Name, Value string }

// Mutation changes one thing about a request before it is signed. Mutations may come in any order; of two that say different things
// about the same field the later one counts. Package wechattest has those that attack.
type Mutation func(*Draft)

func (d *Draft) request(prefix string) *Request {
	r := &Request{
		Method: d.Method, Path: d.Path, Proto: d.Proto, Host: d.Host, Header: maps.Clone(d.Header), Body: d.Body,
		Announced: d.Announced, Chunked: d.Chunked, Pause: d.Pause,
	}
	if d.Echostr != nil {
		r.Echostr = *d.Echostr
	}
	if d.echo != "" {
		r.Echostr = d.echo
	}
	if d.OpenID != nil {
		r.From = *d.OpenID
	}
	if d.signed != nil {
		d.signHeader(r, prefix)
		return r
	}
	if d.Query != nil {
		r.Query = *d.Query
		return r
	}
	var encoded []string
	if prefix != "" {
		encoded = append(encoded, prefix)
	}
	for _, p := range d.parameters() {
		switch {
		case p.Name == "signature" && r.Signature == "":
			r.Signature = url.QueryEscape(p.Value)
		case p.Name == "msg_signature" && r.MsgSignature == "":
			r.MsgSignature = url.QueryEscape(p.Value)
		}
		encoded = append(encoded, url.QueryEscape(p.Name)+"="+url.QueryEscape(p.Value))
	}
	r.Query = strings.Join(encoded, "&")
	return r
}

// signHeader puts Pay's parameters where they stand, into the header. The query is the URL's own.
func (d *Draft) signHeader(r *Request, query string) {
	r.Query, r.Signature = query, *d.Signature
	if d.Query != nil {
		r.Query = *d.Query
	}
	for _, p := range append(d.kept(d.payParameters()), d.Extra...) {
		r.Header.Add(p.Name, p.Value)
	}
}

// kept leaves out what mutations leave out.
func (d *Draft) kept(all []Parameter) []Parameter {
	return slices.DeleteFunc(all, func(p Parameter) bool { return slices.Contains(d.Without, p.Name) })
}

// parameters come in the order of WeChat's documentation.
func (d *Draft) parameters() []Parameter {
	sign := func(parts ...string) string {
		if d.Signature != nil {
			return *d.Signature
		}
		return wechat.Sign(append(parts, d.Token, d.Timestamp, d.Nonce)...)
	}
	var all []Parameter
	if !d.weCom {
		all = append(all, Parameter{"signature", sign()})
	}
	if d.encrypt != "" {
		all = append(all, Parameter{"msg_signature", sign(d.encrypt)})
		if !d.weCom {
			all = append(all, Parameter{"encrypt_type", "aes"})
		}
	}
	if d.Echostr != nil {
		all = append(all, Parameter{"echostr", *d.Echostr})
	}
	all = append(all, Parameter{"timestamp", d.Timestamp}, Parameter{"nonce", d.Nonce})
	if d.OpenID != nil && !d.weCom {
		all = append(all, Parameter{"openid", *d.OpenID})
	}
	return append(d.kept(all), d.Extra...)
}

// wire is the head of the request and its body, as they are sent.
func (r *Request) wire() (head, body []byte) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s %s\r\n", r.Method, r.URI(), r.Proto)
	if r.Host != "" {
		fmt.Fprintf(&b, "Host: %s\r\n", r.Host)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		for _, value := range r.Header[name] {
			fmt.Fprintf(&b, "%s: %s\r\n", name, value)
		}
	}
	body = r.Body
	switch {
	case r.Chunked:
		b.WriteString("Transfer-Encoding: chunked\r\n")
		body = chunks(body)
	case r.Announced != nil:
		fmt.Fprintf(&b, "Content-Length: %d\r\n", *r.Announced)
	case len(body) > 0 || r.Method != http.MethodGet:
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n")
	return b.Bytes(), body
}

func chunks(body []byte) []byte {
	if len(body) == 0 {
		return []byte("0\r\n\r\n")
	}
	return fmt.Appendf(nil, "%x\r\n%s\r\n0\r\n\r\n", len(body), body)
}
