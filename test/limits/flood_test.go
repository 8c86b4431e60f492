//go:build limits

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"context"
	"io"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/test/hostile"
)

// floodTime is how long each flood lasts.
func floodTime() time.Duration {
	if long {
		return 4 * time.Second
	}
	return time.Second
}

// flood is what strangers send. Each of so many clients repeats its part until ctx is done, and counts what it sent.
type flood struct {
	clients int
	part    func(ctx context.Context, p *pod, sent *atomic.Int64)
}

// floodsOfTheSecondPort are for what a kubelet, an operator and some Prometheus ask.
var floodsOfTheSecondPort = map[string]flood{
	"fat heads on the second port":        {400, onOps(heads("GET /status HTTP/1.1\r\nHost: a\r\n"+hostile.Tiny(3000)+"\r\n", true))},
	"stalled bodies on the second port":   {400, onOps(heads("POST /status HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n"+hostile.Tiny(3000)+"\r\n", true))},
	"idle connections on the second port": {3000, onOps(heads("", true))},
	"questions on the second port":        {32, onOps(lines("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"))},
}

// floods are those, and what strangers can send to the endpoint itself.
func floods() map[string]flood {
	all := maps.Clone(floodsOfTheSecondPort)
	for _, f := range hostile.Floods("/weixin") {
		switch f.Way {
		case hostile.Answered:
			all[f.Name] = flood{f.Connections, lines(f.Text)}
		case hostile.Kept, hostile.Dropped:
			all[f.Name] = flood{f.Connections, heads(f.Text, f.Way == hostile.Kept)}
		case hostile.Trickled:
			all[f.Name] = flood{f.Connections, slowly(f.Text)}
		}
	}
	return all
}

// TestFloods: beside each flood, WeChat's own messages are answered, and the sidecar is not killed at its limit.
func TestFloods(t *testing.T) {
	for name, f := range floods() {
		t.Run(name, func(t *testing.T) {
			p := startPod(t, nil, 0, func(http.ResponseWriter, *http.Request) {})
			ctx, cancel := context.WithTimeout(t.Context(), floodTime())
			defer cancel()
			before := p.cpu()
			var forged atomic.Int64
			var valid traffic
			var group sync.WaitGroup
			for range f.clients {
				group.Go(func() { f.part(ctx, p, &forged) })
			}
			valid.flow(ctx, p.sender(), 10*time.Millisecond)
			readiness := p.ready()
			group.Wait()
			spent := p.cpu() - before
			t.Logf("flood: %s %d forged, %d valid sent, %d lost, %d tried again %v, p99 %v, RSS %.1f MiB, peak %.1f MiB, kills %d; %v of CPU, %.2f ms for each forged",
				name, forged.Load(), valid.sent.Load(), valid.lost.Load(), valid.again.Load(), valid.failures, valid.p99().Round(time.Millisecond),
				mebi(p.group.RSS()), mebi(p.group.Peak()), p.group.Kills(), spent, spent.Seconds()*1000/float64(max(1, forged.Load())))
			if valid.lost.Load() != 0 || p.group.Kills() != 0 || !readiness {
				t.Errorf("lost messages, was killed or did not say that it is ready (%v)", readiness)
			}
		})
	}
}

func mebi(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// lines sends a request and reads the answer, over and over.
func lines(request string) func(context.Context, *pod, *atomic.Int64) {
	return func(ctx context.Context, p *pod, sent *atomic.Int64) {
		buffer := make([]byte, 64<<10)
		for ctx.Err() == nil {
			c := dial(p.public)
			if c == nil {
				time.Sleep(10 * time.Millisecond)
				continue
			}
			for ctx.Err() == nil {
				_ = c.SetDeadline(time.Now().Add(2 * time.Second))
				if _, err := io.WriteString(c, request); err != nil {
					sent.Add(1)
					break
				}
				sent.Add(1)
				if _, err := c.Read(buffer); err != nil {
					break
				}
			}
			c.Close()
		}
	}
}

// heads sends a text, and keeps the connection until it is closed or the flood is over, or closes it at once; and again.
func heads(text string, keep bool) func(context.Context, *pod, *atomic.Int64) {
	return func(ctx context.Context, p *pod, sent *atomic.Int64) {
		for ctx.Err() == nil {
			c := dial(p.public)
			if c == nil {
				time.Sleep(10 * time.Millisecond)
				continue
			}
			_, _ = io.WriteString(c, text)
			sent.Add(1)
			if keep {
				stop := context.AfterFunc(ctx, func() { c.Close() })
				drain(c)
				stop()
				time.Sleep(200 * time.Millisecond) // so that it is the sidecar that is at its limit, and not this machine
			}
			c.Close()
		}
	}
}

// slowly sends a text a byte at a time.
func slowly(text string) func(context.Context, *pod, *atomic.Int64) {
	return func(ctx context.Context, p *pod, sent *atomic.Int64) {
		for ctx.Err() == nil {
			c := dial(p.public)
			if c == nil {
				time.Sleep(10 * time.Millisecond)
				continue
			}
			sent.Add(1)
			for i := range len(text) {
				if _, err := io.WriteString(c, text[i:i+1]); err != nil || ctx.Err() != nil {
					break
				}
				time.Sleep(100 * time.Millisecond)
			}
			c.Close()
		}
	}
}

// onOps sends the flood to the second port.
func onOps(part func(context.Context, *pod, *atomic.Int64)) func(context.Context, *pod, *atomic.Int64) {
	return func(ctx context.Context, p *pod, sent *atomic.Int64) {
		part(ctx, &pod{public: p.ops}, sent)
	}
}
