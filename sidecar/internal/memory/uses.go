// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"sync/atomic"
	"time"
)

// UseCost is what one use takes: its entry and its place in the index. Bytes; a test measures it.
const UseCost = 64

// Uses remembers the first use of each signature until it is stale. It is safe for concurrent use.
//
// In plaintext mode a signature does not cover the body. Whoever reads one query string in a log could post any body with it
// until its timestamp is stale. So the signature is bound to the first body that comes with it: WeChat's own repeats carry the
// same body and pass, another body does not. A signature that was seen on a URL check is never good for a message.
type Uses struct {
	// Made is told of each use that came first to this pod, and once it is remembered; nil is nobody. It is set before the first use.
	Made func(Binding)

	// secret keeps everybody from finding two bodies whose digests are alike: they are cut to 8 bytes, of which one try in 10^19 would be right,
	// and each try is a request.
	secret atomic.Pointer[[sha256.Size]byte]

	uses *aged[signature, first]
}

type (
	// signature is the one of the query. It stands for timestamp and nonce too: they were verified to make it, and two that
	// make the same one, because they are joined without a separator, are one and the same use.
	signature = [20]byte
	use       = [8]byte
)

// first is the first use of a signature.
type first struct {
	use
	elsewhere bool // it came to another pod, which has told of it
}

// Binding is the first use of a signature, as pods tell it to each other.
type Binding struct {
	// Signature is the one of the query, and Use the digest of its method and body, by the secret of KeyBy.
	Signature signature
	Use       use
	// Until is when the signature is stale, in seconds since 1970.
	Until uint32
}

// BindingSize is how many bytes a Binding takes where it is written. Bytes.
const BindingSize = len(signature{}) + len(use{}) + 4

// NewUses returns Uses that take their bytes from a pool.
func NewUses(pool *Pool) *Uses {
	u := &Uses{uses: newAged[signature, first](pool)}
	var own [sha256.Size]byte
	_, _ = rand.Read(own[:]) // never fails
	u.secret.Store(&own)
	return u
}

// KeyBy replaces the secret by which uses are told from each other, which is this process's alone until then. What was used before is refused from
// then on, also with its own body.
func (u *Uses) KeyBy(secret [sha256.Size]byte) { u.secret.Store(&secret) }

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
	good, made := u.bind(key, wanted, now, until)
	if made && u.Made != nil {
		u.Made(Binding{key, wanted, seconds(until)})
	}
	return good, nil
}

// bind reports whether a use is the first or the same as the first, and whether it is remembered from now on.
func (u *Uses) bind(key signature, wanted use, now, until time.Time) (good, made bool) {
	u.uses.pool.mu.Lock()
	defer u.uses.pool.mu.Unlock()
	if known, ok := u.uses.get(key, now); ok {
		good = same(known.use, wanted)
		if good && known.elsewhere {
			u.uses.set(key, first{use: wanted}) // now it came here too
		}
		return good, false
	}
	if u.uses.mayHaveForgotten(until) {
		return false, false
	}
	u.uses.add(key, first{use: wanted}, UseCost, now, until)
	return true, true
}

// same compares two uses, in constant time.
func same(a, b use) bool { return subtle.ConstantTimeCompare(a[:], b[:]) == 1 }

// Learn remembers a first use that came to another pod, unless it is stale, or one of the same signature is remembered. It reports whether it
// remembers it.
func (u *Uses) Learn(b Binding, now time.Time) bool {
	u.uses.pool.mu.Lock()
	defer u.uses.pool.mu.Unlock()
	until := time.Unix(int64(b.Until), 0)
	if _, known := u.uses.get(b.Signature, now); known || until.Before(now) {
		return false
	}
	u.uses.add(b.Signature, first{b.Use, true}, UseCost, now, until)
	return true
}

// Oldest is from where Some finds all that is remembered.
func (u *Uses) Oldest() uint32 {
	u.uses.pool.mu.Lock()
	defer u.uses.pool.mu.Unlock()
	return u.uses.first
}

// Some writes uses into the room, as many as it takes and there are from that one on, and returns how many, and from where on the others are.
func (u *Uses) Some(from uint32, room []Binding) (n int, next uint32) {
	u.uses.pool.mu.Lock()
	defer u.uses.pool.mu.Unlock()
	if u.uses.isForgotten(from) {
		from = u.uses.first
	}
	for ; n < len(room) && from != u.uses.next; n++ {
		e := u.uses.at(from)
		room[n] = Binding{e.key, e.value.use, e.until}
		from = (from + 1) & lastNumber
	}
	return n, from
}

// Used reports whether this pod answers for the use of a signature: the signature was used here, or it was used elsewhere, and otherwise. The same use
// that came to another pod is that one's.
func (u *Uses) Used(of, method string, body []byte, now time.Time) bool {
	key, ok := keyOf(of)
	if !ok {
		return false
	}
	known, ok := u.find(key, now)
	return ok && (!known.elsewhere || !same(known.use, u.digest(method, body)))
}

func (u *Uses) find(key signature, now time.Time) (known first, ok bool) {
	u.uses.pool.mu.Lock()
	defer u.uses.pool.mu.Unlock()
	return u.uses.get(key, now)
}

// keyOf reads 40 hexadecimal digits, and reports whether they are that.
func keyOf(of string) (key signature, ok bool) {
	if len(of) != hex.EncodedLen(len(key)) {
		return key, false
	}
	_, err := hex.Decode(key[:], []byte(of))
	return key, err == nil
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
	hash.Write(u.secret.Load()[:])
	hash.Write([]byte(method))
	hash.Write([]byte{0})
	hash.Write(body)
	return use(hash.Sum(nil))
}
