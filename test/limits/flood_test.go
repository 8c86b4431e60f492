//go:build limits

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
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

// TestFloods: beside each flood, WeChat's own messages are answered, and the sidecar is not killed at its limit.
func TestFloods(t *testing.T) {
	const largest = 256 << 10
	mib := func(text string) string { return strings.Repeat(text, 1<<20/len(text)) }
	within := func(text string, size int) string { return strings.Repeat(text, size/len(text)) }
	xml := func(inside string) string { return "<xml>" + inside + "</xml>" }
	cipher := strings.Repeat("QUFB", largest/4-64)
	for name, f := range map[string]flood{
		"attributes of 1 MiB":                  {2, bodies("<xml " + mib(`a="" `) + "></xml>")},
		"attributes of 256 KiB":                {8, bodies("<xml " + within(`a="" `, largest-64) + "></xml>")},
		"attributes of 64 KiB":                 {32, bodies("<xml " + within(`a="" `, 64<<10) + "></xml>")},
		"attributes below the root":            {8, bodies(xml("<MsgType " + within(`a="" `, largest-64) + "></MsgType>"))},
		"elements":                             {8, bodies(xml(within("<a></a>", largest-64)))},
		"elements of WeChat's":                 {8, bodies(xml(within("<MsgId>1</MsgId>", largest-64)))},
		"elements that never end":              {8, bodies(xml(within("<a>", largest-64)))},
		"many Encrypts":                        {8, bodies(xml(within("<Encrypt>QUFB</Encrypt>", largest-64)))},
		"Encrypts that never end":              {8, bodies(xml(within("<Encrypt><![CDATA[", largest-64)))},
		"ends of sections":                     {8, bodies(xml(within("]]></Encrypt>", largest-64)))},
		"entities":                             {8, bodies(xml("<Content>" + within("&amp;", largest-64) + "</Content>"))},
		"comments":                             {8, bodies(xml(within("<!-- -->", largest-64)))},
		"one large Encrypt":                    {8, bodies(xml("<Encrypt>" + cipher + "</Encrypt>"))},
		"one large Encrypt in chunks":          {8, chunks(xml("<Encrypt>" + cipher + "</Encrypt>"))},
		"one large Encrypt of white space":     {8, bodies(xml("<Encrypt>" + within(" ", largest-64) + "</Encrypt>"))},
		"names in JSON":                        {8, bodies("{" + within(`"a":1,`, largest-64) + `"a":1}`)},
		"levels in JSON":                       {8, bodies(`{"a":` + within("[", largest-64))},
		"texts in JSON":                        {8, bodies(`{"a":[` + within(`"a",`, largest-64) + `1]}`)},
		"backslashes in JSON":                  {8, bodies(`{"a":"` + within(`\\`, largest-64) + `"}`)},
		"quotes in JSON":                       {8, bodies(`{"a":"` + within(`\"`, largest-64))},
		"one large Encrypt in JSON":            {8, bodies(`{"Encrypt":"` + cipher + `"}`)},
		"one large Encrypt in JSON, escaped":   {8, bodies(`{"Encrypt":"` + within(`\/`, largest-64) + `"}`)},
		"one large Encrypt in JSON, in UTF-16": {8, bodies(`{"Encrypt":"` + within(`\u0041`, largest-64) + `"}`)},
		"bodies that stop":                     {400, stops(largest, 5000)},
		"bodies that stop near their end":      {100, stops(largest, largest-10)},
		"small requests with a bad signature":  {32, bodies(xml("<Encrypt>QUFB</Encrypt>"))},
		"another path":                         {32, lines("GET /other HTTP/1.1\r\nHost: a\r\n\r\n")},
		"heads of tiny fields, stalled bodies": {400, heads("POST /weixin HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n"+tiny(3000)+"\r\n", true)},
		"heads of tiny fields, unfinished":     {400, heads("POST /weixin HTTP/1.1\r\nHost: a\r\n"+tiny(3000), true)},
		"heads of few fields, stalled bodies":  {600, heads("POST "+forgedURI+" HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n"+tiny(60)+"\r\n", true)},
		"heads of 8 KiB, unfinished":           {1500, heads("POST /weixin HTTP/1.1\r\nHost: a\r\nA: "+strings.Repeat("a", 8000), true)},
		"heads byte by byte":                   {600, slowHeads},
		"connections that send nothing":        {2000, heads("", true)},
		"connections that were answered":       {1000, heads("GET /other HTTP/1.1\r\nHost: a\r\n\r\n", true)},
		"connections that come and go":         {32, heads("", false)},
		"fat heads on the second port":         {400, onOps(heads("GET /status HTTP/1.1\r\nHost: a\r\n"+tiny(3000)+"\r\n", true))},
		"stalled bodies on the second port":    {400, onOps(heads("POST /status HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n"+tiny(3000)+"\r\n", true))},
		"idle connections on the second port":  {3000, onOps(heads("", true))},
		"questions on the second port":         {32, onOps(lines("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"))},
	} {
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

// tiny are so many header fields of five bytes, of which no two have the same name for long.
func tiny(n int) string {
	const letters = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%c%c:\r\n", letters[i%len(letters)], letters[i/len(letters)%len(letters)])
	}
	return b.String()
}

// forgedURI has everything but a right signature.
var forgedURI = fmt.Sprintf("/weixin?timestamp=%d&nonce=7&encrypt_type=aes&signature=%040x&msg_signature=%040x", time.Now().Unix(), 1, 1)

// bodies posts a body again and again over one connection, as often as it is answered.
func bodies(body string) func(context.Context, *pod, *atomic.Int64) {
	return lines(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", forgedURI, len(body), body))
}

func chunks(body string) func(context.Context, *pod, *atomic.Int64) {
	return lines(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", forgedURI, len(body), body))
}

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

// stops announces a body and sends a part of it.
func stops(announced, sent int) func(context.Context, *pod, *atomic.Int64) {
	return heads(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", forgedURI, announced, strings.Repeat("x", sent)), true)
}

// slowHeads sends a head a byte at a time.
func slowHeads(ctx context.Context, p *pod, sent *atomic.Int64) {
	for ctx.Err() == nil {
		c := dial(p.public)
		if c == nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		sent.Add(1)
		for range "POST /weixin HTTP/1.1" {
			if _, err := c.Write([]byte("P")); err != nil || ctx.Err() != nil {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		c.Close()
	}
}

// onOps sends the flood to the second port.
func onOps(part func(context.Context, *pod, *atomic.Int64)) func(context.Context, *pod, *atomic.Int64) {
	return func(ctx context.Context, p *pod, sent *atomic.Int64) {
		part(ctx, &pod{public: p.ops}, sent)
	}
}
