// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package wechat

import (
	"crypto/sha1" // the protocol's hash; see Verify
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"io"
	"slices"
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
	want := signAround(string(encrypt[:min(len(encrypt), telling)]), token, timestamp, nonce, func(hash io.Writer) { _, _ = hash.Write(encrypt) })
	return subtle.ConstantTimeCompare([]byte(signature), want[:]) == 1
}

// signStream signs token, timestamp, nonce and a text that write writes, each time it is called.
func signStream(token, timestamp, nonce string, write func(io.Writer) error) (string, error) {
	var first prefix
	err := write(&first)
	if err != nil && !errors.Is(err, errEnough) {
		return "", err
	}
	digest := signAround(string(first), token, timestamp, nonce, func(hash io.Writer) { err = write(hash) })
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

// signAround sorts a long text, of which it is given the beginning, among the others, and hashes all of them.
func signAround(beginning, token, timestamp, nonce string, write func(hash io.Writer)) (digest [SignatureSize]byte) {
	hash := sha1.New()
	others := [3]string{token, timestamp, nonce}
	slices.Sort(others[:])
	before := 0
	for before < len(others) && others[before] < beginning {
		before++
	}
	for _, part := range others[:before] {
		_, _ = io.WriteString(hash, part)
	}
	write(hash)
	for _, part := range others[before:] {
		_, _ = io.WriteString(hash, part)
	}
	var sum [sha1.Size]byte
	hex.Encode(digest[:], hash.Sum(sum[:0]))
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
