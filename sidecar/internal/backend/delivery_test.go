// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"context"
	"testing"
	"time"
	"unsafe"

	"github.com/wechatendpoint/wechatendpoint/sidecar/outcome"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// TestASettledDeliveryAnswersAtOnce, also whoever has no patience left.
func TestASettledDeliveryAnswersAtOnce(t *testing.T) {
	for _, reply := range []string{wechat.Success, "", "<xml/>"} {
		d := Settled([]byte(reply))
		for range 2 {
			if got := d.Wait(context.Background(), Patience{Until: time.Now()}); got.Outcome != outcome.Answered || string(got.Reply) != reply {
				t.Errorf("settled with %q: %s %q", reply, got.Outcome, got.Reply)
			}
		}
	}
}

// TestASettledDeliveryTakesNoMoreThanIsCounted for it (internal/memory), and nothing with a usual reply.
func TestASettledDeliveryTakesNoMoreThanIsCounted(t *testing.T) {
	for name, test := range map[string]struct {
		reply  string
		counts float64 // allocations
	}{
		"success": {wechat.Success, 0},
		"nothing": {"", 0},
		"a reply": {"<xml/>", 1},
	} {
		t.Run(name, func(t *testing.T) {
			reply := []byte(test.reply)
			var d *Delivery
			if n := testing.AllocsPerRun(100, func() { d = Settled(reply) }); n != test.counts {
				t.Errorf("it takes %v allocations, want %v", n, test.counts)
			}
			if size := unsafe.Sizeof(*d); size > 144 {
				t.Errorf("it takes %d bytes, 144 are counted", size)
			}
		})
	}
}
