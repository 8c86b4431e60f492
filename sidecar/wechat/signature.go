// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package wechat

import (
	"crypto/sha1" // the protocol's hash; see Verify
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"slices"
	"sync"
)

// SignatureSize is the length of a signature: 40 lower-case hexadecimal digits.
const SignatureSize = 2 * sha1.Size

// Sign returns WeChat's signature over parts: the lower-case hexadecimal SHA-1 of the parts, sorted by their bytes and
// joined without a separator. For signature the parts are token, timestamp and nonce.
func Sign(parts ...string) string {
	digest := sign(parts)
	return string(digest[:])
}

// Verify reports whether signature signs parts, in constant time.
//
// In plaintext mode the parts are token, timestamp and nonce only: the body is NOT covered, and whoever has seen one
// query string can post any body with it until it is stale. The gate narrows that by binding the three to the first
// body that came with them.
func Verify(signature string, parts ...string) bool {
	want := sign(parts)
	return subtle.ConstantTimeCompare([]byte(signature), want[:]) == 1
}

// VerifyEncrypt reports whether signature signs token, timestamp, nonce and the text of Encrypt, in constant time. The text is
// hashed where it stands: it may be long, and nobody has signed it yet.
func VerifyEncrypt(signature, token, timestamp, nonce string, encrypt []byte) bool {
	h := newHasher()
	defer hashers.Put(h)
	before := h.around(view(encrypt[:min(len(encrypt), telling)]), token, timestamp, nonce)
	h.write(h.others[:before])
	h.hash.Write(encrypt)
	h.write(h.others[before:])
	want := h.digest()
	return subtle.ConstantTimeCompare([]byte(signature), want[:]) == 1
}

// signStream signs token, timestamp, nonce and a text that write writes, each time it is called.
func signStream(token, timestamp, nonce string, write func(io.Writer) error) (string, error) {
	var first prefix
	if err := write(&first); err != nil && !errors.Is(err, errEnough) {
		return "", err
	}
	h := newHasher()
	defer hashers.Put(h)
	before := h.around(string(first), token, timestamp, nonce)
	h.write(h.others[:before])
	err := write(h.hash)
	h.write(h.others[before:])
	digest := h.digest()
	return string(digest[:]), err
}

// telling is how much of a text tells where it belongs among the others, which are shorter. Bytes.
const telling = 256

// prefix takes the first bytes of what is written.
type prefix []byte

var errEnough = errors.New("enough")

func (p *prefix) Write(text []byte) (int, error) {
	*p = append(*p, text...)
	if len(*p) >= telling {
		return len(text), errEnough
	}
	return len(text), nil
}

// hasher makes the digest of a long text among others. It is kept for the next one.
type hasher struct {
	hash   hash.Hash
	others [3]string
	text   []byte
	sum    [sha1.Size]byte
}

var hashers = sync.Pool{New: func() any { return &hasher{hash: sha1.New()} }}

func newHasher() *hasher {
	h := hashers.Get().(*hasher)
	h.hash.Reset()
	return h
}

// around sorts the others, and returns how many of them stand before a text with that beginning.
func (h *hasher) around(beginning, token, timestamp, nonce string) (before int) {
	h.others = [3]string{token, timestamp, nonce}
	slices.Sort(h.others[:])
	for before < len(h.others) && h.others[before] < beginning {
		before++
	}
	return before
}

func (h *hasher) write(parts []string) {
	for _, part := range parts {
		h.text = append(h.text[:0], part...)
		h.hash.Write(h.text)
	}
}

// digest is what was written, in hexadecimal digits. The hasher forgets the token.
func (h *hasher) digest() (digest [SignatureSize]byte) {
	hex.Encode(digest[:], h.hash.Sum(h.sum[:0]))
	h.others = [3]string{}
	clear(h.text[:cap(h.text)])
	return digest
}

// sign sorts a copy of parts and hashes them. SHA-1 is what WeChat's servers use; its collisions do not help a forger
// here, who would have to find a preimage that holds a token that he does not know.
func sign(parts []string) (digest [SignatureSize]byte) {
	var array [4]string
	sorted := append(array[:0], parts...)
	slices.Sort(sorted)
	var buffer [256]byte
	text := buffer[:0]
	for _, part := range sorted {
		text = append(text, part...)
	}
	sum := sha1.Sum(text)
	hex.Encode(digest[:], sum[:])
	return digest
}
