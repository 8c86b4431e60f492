// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// useCost is what one use takes: its entry and its place in the index. Bytes; a test measures it.
const useCost = 64

// Uses remembers the first use of each signature until it is stale. It is safe for concurrent use.
//
// In plaintext mode a signature does not cover the body. Whoever reads one query string in a log could post any body with it
// until its timestamp is stale. So the signature is bound to the first body that comes with it: WeChat's own repeats carry the
// same body and pass, another body does not. A signature that was seen on a URL check is never good for a message.
type Uses struct {
	// secret keeps everybody from finding two bodies whose digests are alike: they are cut to 8 bytes, of which one try in 10^19 would be right,
	// and each try is a request.
	secret [16]byte

	uses *aged[signature, use]
}

type (
	// signature is the one of the query. It stands for timestamp and nonce too: they were verified to make it, and two that
	// make the same one, because they are joined without a separator, are one and the same use. It is cut to 16 bytes: two that end
	// alike would count as one, and nobody can make them who does not hold the token.
	signature = [16]byte
	use       = [8]byte
)

// NewUses returns Uses that take their bytes from a pool.
func NewUses(pool *Pool) *Uses {
	u := &Uses{uses: newAged[signature, use](pool)}
	_, _ = rand.Read(u.secret[:]) // never fails
	return u
}

// Use reports whether a signature may be used with this method and body: it is the first use, or the same use as the first.
// The caller has verified the signature, 40 hexadecimal digits; an unverified one must not take up memory. The use is remembered
// until the given time, when the request would be refused as stale. Where the clock has gone back, a signature that was stale before may have been
// used, and is refused. This memory never fails.
func (u *Uses) Use(_ context.Context, of, method string, body []byte, now, until time.Time) (bool, error) {
	key, ok := keyOf(of)
	if !ok { // no signature was ever used that is none
		return false, nil
	}
	wanted := u.digest(method, body)
	u.uses.pool.mu.Lock()
	defer u.uses.pool.mu.Unlock()
	if first, known := u.uses.get(key, now); known {
		return first == wanted, nil
	}
	if u.uses.mayHaveForgotten(until) {
		return false, nil
	}
	u.uses.add(key, wanted, useCost, now, until)
	return true, nil
}

// Used reports whether a use of the signature is remembered.
func (u *Uses) Used(of string, now time.Time) bool {
	key, ok := keyOf(of)
	if !ok {
		return false
	}
	u.uses.pool.mu.Lock()
	defer u.uses.pool.mu.Unlock()
	_, known := u.uses.get(key, now)
	return known
}

// keyOf reads 40 hexadecimal digits, and reports whether they are that.
func keyOf(of string) (key signature, ok bool) {
	var whole [20]byte
	if len(of) != hex.EncodedLen(len(whole)) {
		return key, false
	}
	_, err := hex.Decode(whole[:], []byte(of))
	return signature(whole[len(whole)-len(key):]), err == nil
}

// Len returns the number of remembered uses.
func (u *Uses) Len() int {
	u.uses.pool.mu.Lock()
	defer u.uses.pool.mu.Unlock()
	return u.uses.index.len
}

// Evicted returns how many uses were forgotten before they were stale.
func (u *Uses) Evicted() uint64 {
	u.uses.pool.mu.Lock()
	defer u.uses.pool.mu.Unlock()
	return u.uses.evicted
}

// digest tells a URL check from every message, and two messages by their bodies.
func (u *Uses) digest(method string, body []byte) use {
	hash := sha256.New()
	hash.Write(u.secret[:])
	hash.Write([]byte(method))
	hash.Write([]byte{0})
	hash.Write(body)
	return use(hash.Sum(nil))
}
