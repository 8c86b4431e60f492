// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/memory"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/peers"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

// awaitSent waits until so many bindings have gone to other pods with that result.
func (m *member) awaitSent(t *testing.T, result string, n float64) {
	t.Helper()
	eventually(t, m.address.String()+" has told of its bindings", func() bool {
		return m.metric(t, fmt.Sprintf("wechat_sidecar_bindings_sent_total{result=%q}", result)) >= n
	})
}

func (m *member) awaitReceived(t *testing.T, n float64) {
	t.Helper()
	eventually(t, m.address.String()+" is told of bindings", func() bool { return m.metric(t, "wechat_sidecar_bindings_received_total") >= n })
}

// end ends a pod as SIGKILL does.
func (m *member) end() {
	m.public.kill()
	m.second.kill()
}

// older puts a pod in place of another that answers 404 to whatever it is told.
func (f *fleet) older(t *testing.T, pod *member) *mortal {
	t.Helper()
	pod.end()
	second := newMortal(t, pod.address, secondPort)
	t.Cleanup(second.kill)
	server := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: patience}
	go func() { _ = server.Serve(second) }()
	return second
}

// TestAUsedQueryOutlivesItsOwner: in plaintext mode a signature that was used is good for no other body, also once the pod is gone that has bound
// it, or another one owns it. WeChat's own repeat passes.
func TestAUsedQueryOutlivesItsOwner(t *testing.T) {
	t.Parallel()
	for name, happen := range map[string]func(t *testing.T, f *fleet) (used *caller.Request, left []*member){
		"its owner was killed": func(t *testing.T, f *fleet) (*caller.Request, []*member) {
			t.Helper()
			used := f.messageOf(t, f.pods[2], f.pods...)
			f.send(t, f.pods[2], used)
			f.pods[2].awaitSent(t, "kept", 1)
			f.pods[2].end()
			return used, f.pods[:2]
		},
		"one after the other was killed": func(t *testing.T, f *fleet) (*caller.Request, []*member) {
			t.Helper()
			used := f.messageOf(t, f.pods[2], f.pods...)
			f.send(t, f.pods[0], used)
			f.pods[2].awaitSent(t, "kept", 1)
			f.pods[2].end()
			for _, pod := range f.pods[:2] {
				pod.list(f.addresses(f.pods[:2]...)...)
				pod.awaitPeers(t, 1)
			}
			told := func() float64 {
				return f.pods[0].metric(t, "wechat_sidecar_bindings_received_total") + f.pods[1].metric(t, "wechat_sidecar_bindings_received_total")
			}
			eventually(t, "both know it", func() bool { return told() == 2 })
			f.pods[1].end()
			return used, f.pods[:1]
		},
		"its owner was killed and began anew": func(t *testing.T, f *fleet) (*caller.Request, []*member) {
			t.Helper()
			for _, pod := range f.pods {
				pod.list(f.addresses(f.pods[:2]...)...)
				pod.awaitLook(t)
			}
			used := f.messageOf(t, f.pods[1], f.pods[:2]...)
			f.send(t, f.pods[1], used)
			f.pods[1].awaitSent(t, "kept", 1)
			f.pods[1].end()
			f.start(t, f.pods[1], nil)
			f.pods[1].awaitReceived(t, 1)
			f.pods[0].end()
			return used, f.pods[1:2]
		},
		"its owner has drained, and it knew alone": func(t *testing.T, f *fleet) (*caller.Request, []*member) {
			t.Helper()
			owner, other := f.pods[0], f.pods[1]
			owner.list(f.addresses(owner, other)...)
			owner.awaitPeers(t, 1)
			second := f.older(t, other)
			used := f.messageOf(t, owner, owner, other)
			f.send(t, owner, used)
			owner.awaitSent(t, "unsupported", 1)
			second.kill()
			other.list(owner.address) // it asks nobody for what it is to hold
			f.start(t, other, nil)
			owner.stop()
			if err := <-owner.ended; err != nil {
				t.Error(err)
			}
			other.list(other.address)
			other.awaitPeers(t, 0)
			return used, f.pods[1:2]
		},
		"a new pod owns it": func(t *testing.T, f *fleet) (*caller.Request, []*member) {
			t.Helper()
			before, comes := f.pods[0], f.pods[1]
			for _, pod := range []*member{before, comes} {
				pod.list(before.address)
				pod.awaitLook(t)
			}
			used := f.messageOf(t, comes, before, comes)
			f.send(t, before, used)
			for _, pod := range []*member{before, comes} {
				pod.list(f.addresses(before, comes)...)
			}
			comes.awaitReceived(t, 1)
			before.end()
			return used, f.pods[1:2]
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, plaintextAccount(), 3, nil)
			used, left := happen(t, f)
			f.app.taken()
			for _, pod := range left {
				if answer := f.send(t, pod, used.WithBody([]byte("<xml>forged</xml>"))); answer.Status != http.StatusForbidden {
					t.Errorf("%s takes another body: %d", pod.address, answer.Status)
				}
			}
			if f.app.count() != 0 {
				t.Errorf("the app saw %q", f.app.taken())
			}
			for _, pod := range left {
				f.expectAnswer(t, pod, f.send(t, pod, used))
			}
		})
	}
}

// TestABatchOfAnybodyElse binds nothing, and an old one changes nothing.
func TestABatchOfAnybodyElse(t *testing.T) {
	t.Parallel()
	f := newFleet(t, plaintextAccount(), 2, nil)
	pod, key := f.pods[1], peers.NewKey(f.document.Credentials.GatewayKey)
	at := func(after time.Duration) memory.Binding {
		return memory.Binding{Signature: [20]byte{1}, Until: uint32(time.Now().Add(after).Unix())}
	}
	of := func(bindings ...memory.Binding) peers.Batch {
		text, err := binary.Append(nil, binary.BigEndian, bindings)
		if err != nil {
			t.Fatal(err)
		}
		return peers.Batch{Endpoint: f.document.Endpoint, From: f.pods[0].address, To: netip.AddrPortFrom(pod.address, secondPort), Bindings: text}
	}
	fresh := of(at(time.Minute)).Sign(key)
	changed := func(change func(*peers.Batch)) peers.Batch { b := fresh; change(&b); return b }
	for name, test := range map[string]struct {
		batch peers.Batch
		want  int
	}{
		"without a signature":       {of(at(time.Minute)), peers.StatusForged},
		"by the gateway key itself": {of(at(time.Minute)).Sign(f.document.Credentials.GatewayKey), peers.StatusForged},
		"with other bindings":       {changed(func(b *peers.Batch) { b.Bindings = slices.Concat(b.Bindings, b.Bindings) }), peers.StatusForged},
		"that asks for everything":  {changed(func(b *peers.Batch) { b.Began = 1 }), peers.StatusForged},
		"of another pod":            {changed(func(b *peers.Batch) { b.From = pod.address }), peers.StatusForged},
		"of another endpoint":       {changed(func(b *peers.Batch) { b.Endpoint = "team-b/shop" }), peers.StatusElsewhere},
		"for another pod": {func() peers.Batch {
			b := of(at(time.Minute))
			b.To = netip.AddrPortFrom(f.pods[0].address, secondPort)
			return b.Sign(key)
		}(), peers.StatusForged},
		"with a part of a binding":        {func() peers.Batch { b := of(at(time.Minute)); b.Bindings = b.Bindings[1:]; return b.Sign(key) }(), peers.StatusRefused},
		"with more than a batch may have": {of(slices.Repeat([]memory.Binding{at(time.Minute)}, peers.MaxBindings+1)...).Sign(key), peers.StatusRefused},
		"that is longer than any":         {of(slices.Repeat([]memory.Binding{at(time.Minute)}, 3*peers.MaxBindings)...).Sign(key), peers.StatusForged},
		"of what is stale":                {of(at(-2 * time.Second)).Sign(key), http.StatusOK},
		"of what is fresh for too long":   {of(at(config.Freshness + 5*time.Minute + 3*time.Second)).Sign(key), http.StatusOK},
		"with nothing in it":              {of().Sign(key), http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			if got := postBatch(t, pod, test.batch); got != test.want {
				t.Errorf("answered %d, want %d", got, test.want)
			}
			if got := pod.metric(t, "wechat_sidecar_bindings"); got != 0 {
				t.Errorf("%v bindings are kept", got)
			}
		})
	}
	for range 2 {
		if got := postBatch(t, pod, fresh); got != http.StatusOK {
			t.Errorf("answered %d", got)
		}
		if got := pod.metric(t, "wechat_sidecar_bindings_received_total"); got != 1 {
			t.Errorf("%v were taken, want 1", got)
		}
	}
}

// TestABindingIsNotReplaced by another one of the same signature: what came first stays.
func TestABindingIsNotReplaced(t *testing.T) {
	t.Parallel()
	f := newFleet(t, plaintextAccount(), 2, nil)
	used := f.messageOf(t, f.pods[1], f.pods...)
	f.send(t, f.pods[1], used)
	f.pods[1].awaitSent(t, "kept", 1)
	f.pods[1].end()
	_, signature, _ := strings.Cut(used.Query, "signature=")
	other := memory.Binding{Until: uint32(time.Now().Add(time.Minute).Unix())}
	if _, err := hex.Decode(other.Signature[:], []byte(signature[:40])); err != nil {
		t.Fatal(err)
	}
	text, err := binary.Append(nil, binary.BigEndian, other)
	if err != nil {
		t.Fatal(err)
	}
	key := peers.NewKey(f.document.Credentials.GatewayKey)
	batch := peers.Batch{Endpoint: f.document.Endpoint, From: f.pods[1].address, To: netip.AddrPortFrom(f.pods[0].address, secondPort), Bindings: text}
	if got := postBatch(t, f.pods[0], batch.Sign(key)); got != http.StatusOK {
		t.Errorf("answered %d", got)
	}
	f.expectAnswer(t, f.pods[0], f.send(t, f.pods[0], used))
}

// postBatch tells a pod of bindings, and returns the status of its answer.
func postBatch(t *testing.T, pod *member, b peers.Batch) int {
	t.Helper()
	text, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, pod.ops+peers.BindingsPath, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode
}
