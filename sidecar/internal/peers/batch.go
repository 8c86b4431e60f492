// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"io"
	"net/netip"
	"strconv"
)

// BindingsPath is where pods take batches of bindings, on their second port. Another version has another path: a pod that does not know it
// answers 404, and is told nothing.
const BindingsPath = "/bindings/v1"

// Bounds of a batch: in bindings, and in bytes as it is sent.
const (
	MaxBindings = 128
	maxBatch    = 8 << 10
)

// Batch is bindings of an endpoint that one pod tells another. Said twice it changes nothing.
type Batch struct {
	// Endpoint is namespace/name.
	Endpoint string `json:"endpoint"`
	// From and To are the two pods.
	From netip.Addr     `json:"from"`
	To   netip.AddrPort `json:"to"`
	// Began asks for all that From must hold, which has forgotten it: it is when its process began, in milliseconds since 1970. Zero asks for nothing.
	Began int64 `json:"began,omitempty"`
	// Bindings are one after the other. What they hold this package does not know.
	Bindings []byte `json:"bindings,omitempty"`
	// Signature covers all of it.
	Signature []byte `json:"signature"`
}

// NewUseKey derives the secret by which uses of signatures are told from each other from an endpoint's gateway key. It is the same in all pods.
func NewUseKey(gatewayKey []byte) [sha256.Size]byte {
	return [sha256.Size]byte(derive(gatewayKey, "wechatendpoint first use v1"))
}

// ReadBatch reads a batch, of which nothing is proven yet.
func ReadBatch(from io.Reader) (b Batch, err error) {
	text, err := io.ReadAll(io.LimitReader(from, maxBatch)) // of a longer one the end is missing, and it cannot be read
	if err == nil {
		err = json.Unmarshal(text, &b)
	}
	return b, err
}

// Verify reports whether the endpoint's key has signed the batch, in constant time.
func (b Batch) Verify(key []byte) bool {
	return len(key) > 0 && hmac.Equal(b.Signature, b.sign(key))
}

// Sign returns the batch with the signature by a key.
func (b Batch) Sign(key []byte) Batch {
	b.Signature = b.sign(key)
	return b
}

func (b Batch) sign(key []byte) []byte {
	s := newSigner(key, "bindings")
	s.add(b.Endpoint, b.From.String(), b.To.String(), strconv.FormatInt(b.Began, 10), string(b.Bindings))
	return s.sum()
}
