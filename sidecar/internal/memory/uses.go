// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"context"
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
	uses *aged[signature, digest]
}

type (
	// signature is the one of the query. It stands for timestamp and nonce too: they were verified to make it, and two that
	// make the same one, because they are joined without a separator, are one and the same use. It is cut to 16 bytes: two that end
	// alike would count as one, and nobody can make them who does not hold the token.
	signature = [16]byte
	// digest is of a method and a body: SHA-256, cut to 16 bytes. Its last two bits are notes of this pod.
	digest = [16]byte
)

// Notes in the last byte of a digest. Zero is of a use that was taken back.
const (
	noted     = 0b11
	elsewhere = 0b01 // another pod has what came with it
	agreed    = 0b10 // this pod has it, and the others know
	untold    = 0b11 // this pod has it, and the others may know another one
)

// Use is one use of a signature, as one pod tells it to another.
type Use struct {
	Signature, Digest [16]byte
	Until             uint32 // when the request is stale; seconds since 1970
}

// UseOf is the use of a signature with a method and a body. The caller has verified the signature, and it is good until the given time. It reports
// false of what is not 40 hexadecimal digits: no signature was ever used that is none.
func UseOf(of, method string, body []byte, until time.Time) (use Use, ok bool) {
	key, ok := keyOf(of)
	return Use{key, digestOf(method, body), seconds(until)}, ok
}

// Bound says how a use of a signature agrees with the first one.
type Bound int

// How it agrees. The zero value is the one that is refused.
const (
	BoundOtherwise Bound = iota // another method or body
	BoundBefore                 // it is the same
	BoundNow                    // it is the first one itself, or the same that the others have not agreed to yet
)

// NewUses returns Uses that take their bytes from a pool.
func NewUses(pool *Pool) *Uses { return &Uses{uses: newAged[signature, digest](pool)} }

// Use binds a signature to what comes with it, if it is the first use, and says how they agree. An unverified signature must not take up memory. The use
// is remembered until the request would be refused as stale. Where the clock has gone back, a signature that was stale before may have been used, and
// is refused. This memory never fails.
func (u *Uses) Use(_ context.Context, use Use, now time.Time) (Bound, error) {
	return u.bind(use, untold, now), nil
}

// Told binds a signature as another pod has done, which has what came with it, and says how that agrees with what is known here.
func (u *Uses) Told(use Use, now time.Time) Bound {
	return u.bind(use, elsewhere, now)
}

func (u *Uses) bind(use Use, note byte, now time.Time) Bound {
	key, wanted, until := use.Signature, with(use.Digest, note), time.Unix(int64(use.Until), 0)
	u.uses.pool.mu.Lock()
	defer u.uses.pool.mu.Unlock()
	first, known := u.uses.get(key, now)
	switch {
	case known && first == digest{}:
		u.uses.set(key, wanted)
		return BoundNow
	case known && with(first, note) != wanted, !known && u.uses.mayHaveForgotten(until):
		return BoundOtherwise
	case known && (note == elsewhere || noteOf(first) == agreed):
		return BoundBefore
	case known:
		u.uses.set(key, wanted)
		return BoundNow
	}
	u.uses.add(key, wanted, useCost, now, until)
	return BoundNow
}

// Settle says what the other pods know of a use: nothing else, or another one. In that case it is taken back: of two pods that bind a signature at once
// neither has the message, and the next one is decided anew.
func (u *Uses) Settle(use Use, isBoundElsewhere bool, now time.Time) {
	u.uses.pool.mu.Lock()
	defer u.uses.pool.mu.Unlock()
	first, known := u.uses.get(use.Signature, now)
	if !known || noteOf(first) != untold {
		return
	}
	settled := with(first, agreed)
	if isBoundElsewhere {
		settled = digest{}
	}
	u.uses.set(use.Signature, settled)
}

// Used reports whether this pod has what came with the signature.
func (u *Uses) Used(of string, now time.Time) bool {
	key, ok := keyOf(of)
	if !ok {
		return false
	}
	u.uses.pool.mu.Lock()
	defer u.uses.pool.mu.Unlock()
	first, known := u.uses.get(key, now)
	return known && noteOf(first)&agreed != 0 // untold, too
}

// Known returns the uses that are remembered, the newest last, and at most so many.
func (u *Uses) Known(most int) []Use {
	u.uses.pool.mu.Lock()
	defer u.uses.pool.mu.Unlock()
	var all []Use
	for e := range u.uses.newest(most) {
		if e.value != (digest{}) {
			all = append(all, Use{e.key, with(e.value, 0), e.until})
		}
	}
	return all
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

// digestOf tells a URL check from every message, and two messages by their bodies.
func digestOf(method string, body []byte) (d digest) {
	hash := sha256.New()
	hash.Write([]byte(method))
	hash.Write([]byte{0})
	hash.Write(body)
	copy(d[:], hash.Sum(nil))
	return with(d, 0)
}

// with is a digest with another note.
func with(d digest, note byte) digest {
	d[len(d)-1] = d[len(d)-1]&^noted | note
	return d
}

func noteOf(d digest) byte { return d[len(d)-1] & noted }
