// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package wechat

import (
	"iter"
	"net/url"
	"strings"
)

// Bounds of a callback's parameters. WeChat documents none; its own values are a tenth of these. Bytes.
const (
	MaxQuerySize   = 4096
	MaxNonceSize   = 128
	MaxEchostrSize = 1024
)

// Query holds the signed parameters of a callback, decoded once. A parameter that was absent is empty; one that was present and
// empty does not pass ParseQuery. Message push signs with signature and, where the message is encrypted, msg_signature; WeCom
// with msg_signature only.
type Query struct {
	Triple
	// Echostr may hold spaces: a + that was not escaped is one.
	Echostr      string
	MsgSignature string
}

// Triple is what makes one signed request: the signature over the token, the timestamp and the nonce. Timestamp is in
// decimal seconds since 1970, 1 to 12 digits.
type Triple struct {
	Timestamp, Nonce, Signature string
}

// ParseQuery reads the raw query of a callback. It is strict where a lenient reader lets two programs read two different
// requests: every parameter that is signed, or is a signature, stands at most once, is not empty, and is printable ASCII. Others
// are not read, however they are written: nobody signed them, so that they can neither allow nor refuse anything. The values are
// decoded exactly once, because a second decoding turns a + of echostr into a space.
//
// Its error is a *Refusal with ReasonMalformed.
func ParseQuery(raw string) (Query, error) {
	var q Query
	if len(raw) > MaxQuerySize {
		return Query{}, Refuse(ReasonMalformed, "the query is too long")
	}
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if err := q.add(pair); err != nil {
			return Query{}, err
		}
	}
	return q, q.check()
}

// add reads one name=value.
func (q *Query) add(pair string) error {
	rawName, rawValue, _ := strings.Cut(pair, "=")
	name, err := unescape(rawName)
	if err != nil {
		return nil // it is the name of no parameter
	}
	field, limit := q.field(name)
	if field == nil {
		return nil
	}
	value, err := unescape(rawValue)
	switch {
	case err != nil:
		return Refuse(ReasonMalformed, "parameter "+name+" holds a broken escape")
	case *field != "":
		return Refuse(ReasonMalformed, "parameter "+name+" stands twice")
	case value == "":
		return Refuse(ReasonMalformed, "parameter "+name+" is empty")
	case len(value) > limit:
		return Refuse(ReasonMalformed, "parameter "+name+" is too long")
	case !visible(value) && (name != "echostr" || !visible(strings.ReplaceAll(value, " ", "+"))):
		return Refuse(ReasonMalformed, "parameter "+name+" holds a character that is not visible ASCII")
	}
	*field = value
	return nil
}

// unescape is url.QueryUnescape, which looks at most texts in vain.
func unescape(raw string) (string, error) {
	if strings.IndexByte(raw, '%') < 0 && strings.IndexByte(raw, '+') < 0 {
		return raw, nil
	}
	return url.QueryUnescape(raw)
}

// field returns where the parameter of that exact name is kept and how long it may be, or nil for one that is not signed: so
// no name of the client's choosing reaches an error.
func (q *Query) field(name string) (*string, int) {
	switch name {
	case "signature":
		return &q.Signature, SignatureSize
	case "msg_signature":
		return &q.MsgSignature, SignatureSize
	case "timestamp":
		return &q.Timestamp, maxTimestampSize
	case "nonce":
		return &q.Nonce, MaxNonceSize
	case "echostr":
		return &q.Echostr, MaxEchostrSize
	}
	return nil, 0
}

// Parameters are the values, decoded, of the parameters with that name in a raw query, in their order. One that cannot be decoded
// is left out.
func Parameters(raw, name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for more := true; more; {
			var pair string
			pair, raw, more = strings.Cut(raw, "&")
			rawName, rawValue, _ := strings.Cut(pair, "=")
			if found, err := unescape(rawName); err != nil || found != name {
				continue
			}
			if value, err := unescape(rawValue); err == nil && !yield(value) {
				return
			}
		}
	}
}

// maxTimestampSize is 12 digits, the seconds until the year 33658.
const maxTimestampSize = 12

// check says whether what every callback must have is there, and well-formed. Timestamp and nonce are joined without a
// separator in the signature, so that an empty one would let "1"+"23" pass for "12"+"3". Which signature must be there is
// the caller's to say.
func (q *Query) check() error {
	switch {
	case !seconds(q.Timestamp):
		return Refuse(ReasonMalformed, "parameter timestamp must be there, in decimal digits without a leading zero")
	case q.Nonce == "":
		return Refuse(ReasonMalformed, "parameter nonce is missing")
	case q.Signature != "" && !hexSignature(q.Signature):
		return Refuse(ReasonMalformed, "parameter signature must be 40 lower-case hexadecimal digits")
	case q.MsgSignature != "" && !hexSignature(q.MsgSignature):
		return Refuse(ReasonMalformed, "parameter msg_signature must be 40 lower-case hexadecimal digits")
	}
	return nil
}

func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

// seconds reports whether s is a number in the one way of writing it: decimal digits, of which the first is not 0.
func seconds(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != "" && s[0] != '0'
}

func hexSignature(s string) bool {
	for i := range len(s) {
		if (s[i] < '0' || s[i] > '9') && (s[i] < 'a' || s[i] > 'f') {
			return false
		}
	}
	return len(s) == SignatureSize
}
