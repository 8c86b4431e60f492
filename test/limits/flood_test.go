//go:build limits

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/test/hostile"
)

// floodTime is how long each flood lasts.
func floodTime() time.Duration {
	if long {
		return 4 * time.Second
	}
	return time.Second / 2
}

// flood is what strangers send to one of the sidecar's ports.
type flood struct {
	hostile.Flood
	ops bool // to the second port
}

// floods are what strangers can send to the endpoint, and to the second port, which is for what a kubelet, an operator and some Prometheus ask.
func floods() (all []flood) {
	for _, f := range hostile.Floods("/weixin") {
		all = append(all, flood{f, false})
	}
	for _, f := range []hostile.Flood{
		{Name: "fat heads on the second port", Connections: 400, Way: hostile.Kept, Text: "GET /status HTTP/1.1\r\nHost: a\r\n" + hostile.Tiny(3000) + "\r\n"},
		{Name: "stalled bodies on the second port", Connections: 400, Way: hostile.Kept, Text: "POST /status HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n" + hostile.Tiny(3000) + "\r\n"},
		{Name: "idle connections on the second port", Connections: 3000, Way: hostile.Kept},
		{Name: "questions on the second port", Connections: 32, Way: hostile.Answered, Text: "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"},
	} {
		all = append(all, flood{f, true})
	}
	return all
}

// TestFloods: beside each flood, WeChat's own messages are answered, and the sidecar is not killed at its limit.
func TestFloods(t *testing.T) {
	for _, f := range floods() {
		t.Run(f.Name, func(t *testing.T) {
			p := startPod(t, nil, 0, func(http.ResponseWriter, *http.Request) {})
			ctx, cancel := context.WithTimeout(t.Context(), floodTime())
			defer cancel()
			before := p.cpu()
			address := p.public
			if f.ops {
				address = p.ops
			}
			forged := make(chan int64, 1)
			go func() { forged <- hostile.Run(ctx, address, f.Flood) }()
			var valid traffic
			valid.flow(ctx, p.sender(), 10*time.Millisecond)
			readiness := p.ready()
			sent := <-forged
			spent := p.cpu() - before
			t.Logf("flood: %s %d forged, %d valid sent, %d lost, %d tried again %v, p99 %v, RSS %.1f MiB, peak %.1f MiB, kills %d; %v of CPU, %.2f ms for each forged",
				f.Name, sent, valid.sent.Load(), valid.lost.Load(), valid.again.Load(), valid.failures, valid.p99().Round(time.Millisecond),
				mebi(p.group.RSS()), mebi(p.group.Peak()), p.group.Kills(), spent, spent.Seconds()*1000/float64(max(1, sent)))
			if valid.lost.Load() != 0 || p.group.Kills() != 0 || !readiness {
				t.Errorf("lost messages, was killed or did not say that it is ready (%v)", readiness)
			}
		})
	}
}

func mebi(bytes int64) float64 { return float64(bytes) / (1 << 20) }
