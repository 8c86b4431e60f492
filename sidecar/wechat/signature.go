// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package wechat

import (
	"crypto/sha1" // the protocol's hash; see Verify
	"crypto/subtle"
	"encoding/hex"
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
