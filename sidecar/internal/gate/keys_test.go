// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// FuzzKeys: two callbacks have one key only if they are the same in all that is verified and that a repeat keeps. The fuzzer moves
// bytes from one part to another; each part is cut from the text by two numbers.
func FuzzKeys(f *testing.F) {
	f.Add("wx1wx2<xml/>", uint8(3), uint8(6), uint8(3), uint8(6), uint8(0))
	f.Add("wx1wx2<xml/>", uint8(3), uint8(6), uint8(6), uint8(6), uint8(0))
	f.Add("3:wx1\n0:\n<xml/>", uint8(2), uint8(5), uint8(0), uint8(0), uint8(0))
	f.Add("1COMPLAINT.CREATEcomplaint{}", uint8(1), uint8(17), uint8(1), uint8(26), uint8(1))
	f.Add("1COMPLAINT.CREATEcomplaint{}", uint8(0), uint8(1), uint8(1), uint8(1), uint8(2))
	f.Fuzz(func(t *testing.T, text string, a, b, c, d, kind uint8) {
		one, same := cutKeyed(text, a, b, kind), cutKeyed(text, a, b, kind)
		other := cutKeyed(text, c, d, kind)
		key := func(k keyed) [32]byte { m := k.message(t); return m.Key(k.endpoint) }
		if key(one) != key(same) {
			t.Error("a repeat has another key")
		}
		if one != other && key(one) == key(other) {
			t.Errorf("%+v and %+v have one key", one, other)
		}
	})
}

// keyed is what makes a callback this one and no other.
type keyed struct {
	endpoint, receiver, path          string
	id, eventType, originalType, body string
}

// cutKeyed cuts a text in three, and gives the parts to three fields.
func cutKeyed(text string, a, b, kind uint8) keyed {
	from := min(int(a), len(text))
	to := max(from, min(int(b), len(text)))
	first, second, rest := text[:from], text[from:to], text[to:]
	switch kind % 4 {
	case 0:
		return keyed{receiver: first, path: second, body: rest}
	case 1:
		return keyed{id: first, eventType: second, originalType: rest, body: "{}"}
	case 2:
		return keyed{path: first, originalType: second, body: rest}
	}
	return keyed{endpoint: first, receiver: second, body: rest}
}

func (k keyed) message(t *testing.T) *Message {
	m := &Message{ReceiverID: k.receiver, PathID: k.path, Body: []byte(k.body)}
	if k.id+k.eventType+k.originalType == "" {
		return m
	}
	for _, part := range []string{k.id, k.eventType, k.originalType} {
		if !utf8.ValidString(part) {
			t.Skip("JSON has no such text")
		}
	}
	text, err := json.Marshal(map[string]any{"id": k.id, "event_type": k.eventType, "resource": map[string]string{"original_type": k.originalType}})
	if err != nil {
		t.Fatal(err)
	}
	notification, err := wechat.ParsePayNotification(text)
	if err != nil {
		t.Skip("no notification: ", err)
	}
	m.payment = &payment{notification: notification}
	return m
}
