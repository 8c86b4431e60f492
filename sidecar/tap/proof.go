// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package tap

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Window is how far the time of a request may be from the pod's.
const Window = time.Minute

// NonceSize is how long a nonce is. Bytes.
const NonceSize = 16

// Proof shows that whoever sends a request has the gateway key of its endpoint. It is the value of the Authorization header.
type Proof struct {
	At    time.Time // to the second
	Nonce [NonceSize]byte
	// To is the address of the pod.
	To netip.Addr

	signature []byte
}

// Asked is what a proof is of.
type Asked struct {
	Method, Path, RawQuery string
	// Body is the SHA-256 of the body.
	Body [sha256.Size]byte
}

// NewKey derives the key of an endpoint's taps from its gateway key: an app that signs with that makes no proof. Nil, of an endpoint without a gateway key,
// proves nothing.
func NewKey(gatewayKey []byte) []byte {
	if len(gatewayKey) == 0 {
		return nil
	}
	mac := hmac.New(sha256.New, gatewayKey)
	_, _ = io.WriteString(mac, "wechatendpoint tap v1")
	return mac.Sum(nil)
}

const scheme = "WeChatTap "

// Sign returns the value of the Authorization header: WeChatTap SECONDS,NONCE,ADDRESS,SIGNATURE.
func (p Proof) Sign(key []byte, of Asked) string {
	return scheme + strings.Join([]string{strconv.FormatInt(p.At.Unix(), 10), hex.EncodeToString(p.Nonce[:]), p.To.String(), hex.EncodeToString(p.sign(key, of))}, ",")
}

// ParseProof reads the header. Nothing is proven yet.
func ParseProof(header string) (p Proof, ok bool) {
	value, ok := strings.CutPrefix(header, scheme)
	parts := strings.Split(value, ",")
	if !ok || len(parts) != 4 {
		return Proof{}, false
	}
	at, atErr := strconv.ParseInt(parts[0], 10, 64)
	nonce, nonceErr := hex.DecodeString(parts[1])
	to, toErr := netip.ParseAddr(parts[2])
	signature, signatureErr := hex.DecodeString(parts[3])
	if atErr != nil || nonceErr != nil || toErr != nil || signatureErr != nil || len(nonce) != NonceSize {
		return Proof{}, false
	}
	return Proof{At: time.Unix(at, 0), Nonce: [NonceSize]byte(nonce), To: to, signature: signature}, true
}

// Verify reports whether the key has signed the proof of that, in constant time. It says nothing of the time, the nonce and the pod.
func (p Proof) Verify(key []byte, of Asked) bool {
	return len(key) > 0 && hmac.Equal(p.signature, p.sign(key, of))
}

// Fresh reports whether the proof is of now.
func (p Proof) Fresh(now time.Time) bool {
	age := now.Sub(p.At)
	return age <= Window && age >= -Window
}

// sign signs texts, each with its length: no two lists of them are alike.
func (p Proof) sign(key []byte, of Asked) []byte {
	mac := hmac.New(sha256.New, key)
	for _, text := range []string{
		strconv.FormatInt(p.At.Unix(), 10), string(p.Nonce[:]), p.To.String(), of.Method, of.Path, of.RawQuery, string(of.Body[:]),
	} {
		_, _ = io.WriteString(mac, strconv.Itoa(len(text))+":"+text+"\n")
	}
	return mac.Sum(nil)
}
