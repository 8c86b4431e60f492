// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// Path is where pods take hand-overs, on their second port. Another version has another path: a pod that does not know it answers 404, and
// the callback is served where it came.
const Path = "/handover/v1"

// Names of the headers of a hand-over and its answer.
const (
	headerMethod    = "Handover-Method"
	headerHost      = "Handover-Host"
	headerPath      = "Handover-Path"
	headerQuery     = "Handover-Query"
	headerAge       = "Handover-Age"     // milliseconds
	headerIfHeld    = "Handover-If-Held" // true, or absent
	headerTo        = "Handover-To"
	headerBody      = "Handover-Body" // SHA-256
	headerSignature = "Handover-Signature"
	// headerTaken stands in the head of an answer, which goes out as soon as the pod has the message, and is signed.
	headerTaken = "Handover-Taken"
)

// What a pod answers that does not take a message. None of them is signed: whoever forges one has the message served where it came.
const (
	StatusForged    = 403 // it does not bear the endpoint's signature, or is for another pod
	StatusNotHeld   = 412 // it is asked only for what it remembers, and does not remember this
	StatusElsewhere = 421 // it serves no such endpoint
	StatusRefused   = 422 // its own check refuses the callback: its credentials or its clock are others
	StatusFull      = 503 // it has no room, or was too late
)

// DefaultPatience is how long a pod is waited for until it takes a message. Half of it is longer than Linux stops a container that has used up its
// CPU limit, which is 100 ms: such a pod still takes in time, and is heard in time.
const DefaultPatience = 300 * time.Millisecond

// maxAge bounds what is believed of a callback's age: a pod waits 8 s for a body, and asks others for less than two seconds.
const maxAge = 10 * time.Second

// Request is a callback that one pod hands to another: as it came, its age, and for whom it is.
type Request struct {
	Method, Host, Path, RawQuery string
	// Header holds Pay's headers, by their canonical names, and nothing for the other platforms.
	Header map[string][]string
	// Digest is the SHA-256 of the body.
	Digest [sha256.Size]byte
	// Age is how long ago the callback arrived.
	Age time.Duration
	// IfHeld asks for what the pod remembers already, and for nothing new.
	IfHeld bool
	// To is the pod.
	To netip.AddrPort

	signature []byte
}

// NewKey derives the key that signs the hand-overs of an endpoint from its gateway key. Nil, of an endpoint without one, signs nothing.
func NewKey(gatewayKey []byte) []byte {
	if len(gatewayKey) == 0 {
		return nil
	}
	mac := hmac.New(sha256.New, gatewayKey)
	_, _ = io.WriteString(mac, "wechatendpoint hand-over v1")
	return mac.Sum(nil)
}

// Parse reads the headers of a hand-over. The names are those of the callback's own headers that are read. Nothing is proven yet.
func Parse(header map[string][]string, names []string) (Request, error) {
	var broken bool
	one := func(name string) string {
		values := header[name]
		if len(values) != 1 {
			broken = true
			return ""
		}
		return values[0]
	}
	r := Request{Method: one(headerMethod), Host: one(headerHost), Path: one(headerPath), RawQuery: one(headerQuery), Header: map[string][]string{}}
	age, ageErr := strconv.ParseUint(one(headerAge), 10, 31)
	r.Age = time.Duration(age) * time.Millisecond
	to, toErr := netip.ParseAddrPort(one(headerTo))
	r.To = to
	digest, digestErr := hex.DecodeString(one(headerBody))
	copy(r.Digest[:], digest)
	signature, signatureErr := hex.DecodeString(one(headerSignature))
	r.signature = signature
	if header[headerIfHeld] != nil {
		r.IfHeld = true
	}
	for _, name := range names {
		if values := header[name]; values != nil {
			r.Header[name] = values
		}
	}
	if broken || errors.Join(ageErr, toErr, digestErr, signatureErr) != nil || len(digest) != len(r.Digest) || r.Age > maxAge {
		return Request{}, errors.New("no hand-over")
	}
	return r, nil
}

// Verify reports whether the endpoint's key has signed the request, in constant time.
func (r Request) Verify(key []byte) bool {
	return len(key) > 0 && hmac.Equal(r.signature, r.sign(key))
}

// sign covers all of the request. The body counts by its digest.
func (r Request) sign(key []byte) []byte {
	s := newSigner(key, "request")
	s.add(r.Method, r.Host, r.Path, r.RawQuery, strconv.FormatInt(r.Age.Milliseconds(), 10), strconv.FormatBool(r.IfHeld), r.To.String(), string(r.Digest[:]))
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		s.add(name, strconv.Itoa(len(r.Header[name])))
		s.add(r.Header[name]...)
	}
	return s.sum()
}

// Taken returns the header that says that the pod has the message.
func (r Request) Taken(key []byte) (name, value string) {
	s := newSigner(key, "taken")
	s.add(string(r.signature))
	return headerTaken, hex.EncodeToString(s.sum())
}

// Answer is what a pod answered a callback that it was handed. It goes to WeChat byte for byte.
type Answer struct {
	Status               int
	ContentType, Outcome string
	Body                 []byte
}

// answerHead is a line before the body of an answer.
type answerHead struct {
	Status      int    `json:"status"`
	ContentType string `json:"contentType,omitempty"`
	Outcome     string `json:"outcome,omitempty"`
	// Length is the body's. Bytes.
	Length int64 `json:"length"`
	// Signature is in hexadecimal digits.
	Signature string `json:"signature"`
}

// WriteHead writes what stands before the body of an answer, which has that length and SHA-256.
func (r Request) WriteHead(to io.Writer, key []byte, a Answer, length int, body [sha256.Size]byte) error {
	return json.NewEncoder(to).Encode(answerHead{a.Status, a.ContentType, a.Outcome, int64(length), r.signAnswer(key, a, body)})
}

func (r Request) signAnswer(key []byte, a Answer, body [sha256.Size]byte) string {
	s := newSigner(key, "answer")
	s.add(string(r.signature), strconv.Itoa(a.Status), a.ContentType, a.Outcome, string(body[:]))
	return hex.EncodeToString(s.sum())
}

// signer signs texts, each with its length: no two lists of them are alike.
type signer struct{ mac hash.Hash }

func newSigner(key []byte, what string) signer {
	s := signer{hmac.New(sha256.New, key)}
	s.add(what)
	return s
}

func (s signer) add(texts ...string) {
	for _, text := range texts {
		_, _ = io.WriteString(s.mac, strconv.Itoa(len(text))+":"+text+"\n")
	}
}

func (s signer) sum() []byte { return s.mac.Sum(nil) }
