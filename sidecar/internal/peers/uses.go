// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"
	"crypto/hmac"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// A signature that covers no body is bound to the first one that comes with it. Each pod tells all others before it lets the app have it, so that the
// binding outlives the pod. A pod that begins asks the others for what they know.

// UsesPath is where pods take that, on their second port. A pod of a version that does not know it answers 404.
const UsesPath = "/uses/v1"

// HeaderUses signs what is told, and what is answered to it.
const HeaderUses = "Uses-Signature"

// What a pod answers. Both are signed.
const (
	StatusAgreed = 200 // it knows nothing else
	StatusBound  = 409 // it knows one of the uses with another body
)

// Bounds. MaxTells is over how many connections a pod tells another one, MaxTelling how long what is told can be, in bytes, and MaxKnown how many
// uses an answer can have.
const (
	MaxTells   = 4
	MaxTelling = 4 << 10
	MaxKnown   = 16 << 10
)

// Use is the first use of a signature: the end of it, the digest of what came with it, and when it is stale, in seconds since 1970.
type Use struct {
	Signature, Digest [16]byte
	Until             uint32
}

var useSize = binary.Size(Use{})

// Telling is what one pod tells another.
type Telling struct {
	// Endpoint is whose signatures were used, NAMESPACE/NAME.
	Endpoint string `json:"endpoint"`
	// To is the pod, and At when it was told, in seconds since 1970: what is older than a minute tells nothing.
	To netip.AddrPort `json:"to"`
	At int64          `json:"at"`
	// Back is a pod that has just begun. It asks for what the other one knows, and to be told what comes.
	Back netip.Addr `json:"back,omitzero"`
	// Uses are in the form of binary.Append, big-endian.
	Uses []byte `json:"uses,omitempty"`
}

// freshFor is for how long something that was told may be under way, and by how much the clocks of two pods may differ.
const freshFor = time.Minute

// ParseTelling reads what was told. Nothing is proven yet.
func ParseTelling(body []byte) (Telling, error) {
	var t Telling
	err := json.Unmarshal(body, &t)
	return t, err
}

// Verify reports whether the endpoint's key has signed the body, in constant time, and not long ago.
func (t Telling) Verify(key, body []byte, signature string, now time.Time) bool {
	age := now.Sub(time.Unix(t.At, 0)).Abs()
	return len(key) > 0 && hmac.Equal([]byte(signature), []byte(signTelling(key, body))) && age <= freshFor
}

// Sign returns what is sent, and its signature.
func (t Telling) Sign(key []byte) (body []byte, signature string) {
	body, _ = json.Marshal(t) // never fails: it has nothing but texts and numbers
	return body, signTelling(key, body)
}

func signTelling(key, body []byte) string {
	s := newSigner(key, "uses")
	s.add(string(body))
	return hex.EncodeToString(s.sum())
}

// SignKnown signs what is answered to a telling with that signature.
func SignKnown(key []byte, telling string, status int, known []byte) string {
	s := newSigner(key, "known uses")
	s.add(telling, strconv.Itoa(status), string(known))
	return hex.EncodeToString(s.sum())
}

// AppendUses writes uses.
func AppendUses(to []byte, uses ...Use) []byte {
	for _, use := range uses {
		to, _ = binary.Append(to, binary.BigEndian, use) // never fails: its size is fixed
	}
	return to
}

var errUses = errors.New("no uses")

// ParseUses reads what AppendUses writes.
func ParseUses(text []byte) ([]Use, error) {
	if len(text)%useSize != 0 {
		return nil, errUses
	}
	uses := make([]Use, len(text)/useSize)
	_, err := binary.Decode(text, binary.BigEndian, uses)
	return uses, err
}

// Results that only telling a pod has.
const (
	Agreed Result = "agreed" // it knew nothing else
	Bound  Result = "bound"  // it knows another body
)

// TellResults are all of them.
var TellResults = []Result{Agreed, Bound, Refused, Unsupported, Unreachable, Late, Left}

// Tell tells all other pods of the first use of a signature, and reports whether one of them knows another one. A pod that does not answer in time
// is left out.
func (f *Fleet) Tell(ctx context.Context, key []byte, endpoint string, use Use) (bound bool) {
	others := f.others()
	if len(others) == 0 {
		return false
	}
	var otherwise atomic.Bool
	uses := AppendUses(nil, use)
	tell := func(pod netip.Addr) {
		if _, result := f.tell(ctx, pod, key, Telling{Endpoint: endpoint, Uses: uses}); result == Bound {
			otherwise.Store(true)
		}
	}
	var telling sync.WaitGroup
	for _, pod := range others[1:] {
		telling.Go(func() { tell(pod) })
	}
	tell(others[0])
	telling.Wait()
	return otherwise.Load()
}

// Greet asks another pod for the uses that it knows, and to tell this one of new ones. It reports whether the pod answered: an older version does, and
// knows none.
func (f *Fleet) Greet(ctx context.Context, pod netip.Addr, key []byte, endpoint string) (known []Use, ok bool) {
	back, ok := f.view.Load().ownBeside(pod)
	if !ok {
		return nil, true
	}
	known, result := f.tell(ctx, pod, key, Telling{Endpoint: endpoint, Back: back})
	return known, result != Unreachable && result != Late
}

// tell tells a pod, and returns what it knows if that was asked for.
func (f *Fleet) tell(ctx context.Context, pod netip.Addr, key []byte, t Telling) (known []Use, result Result) {
	t.To, t.At = netip.AddrPortFrom(pod, f.options.Port), time.Now().Unix()
	known, result = f.teller.tell(ctx, key, t)
	if !t.Back.IsValid() { // a pod that begins tries again
		f.note(pod, result)
	}
	f.options.CountTold(result)
	return known, result
}
