//go:build limits

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/test/hostile"
)

// burstMessages is how many distinct messages come before everything else: enough to fill what is remembered. With
// LIMITS_MESSAGES=300000 it is more than any account has had within the time for which a message stays fresh.
func burstMessages(t *testing.T, usual int64) int64 {
	t.Helper()
	text := os.Getenv("LIMITS_MESSAGES")
	if text == "" {
		return usual
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// burst is one kind of account at its worst.
type burst struct {
	edit   func(*config.Config)
	sender caller.Sender
	body   int // the largest of a message
	reply  string
	usual  int64 // messages
	worst  bool  // of its kind

	neighbours int // other endpoints in the same pod
}

// TestBursts: everything at once that WeChat, users and an app can send, and slow strangers beside it. Not every message finds room; the
// sidecar says so, goes on, and is never killed.
func TestBursts(t *testing.T) {
	const unverified, verified = 240 << 10, 1 << 20
	text := "<xml>" + strings.Repeat(" ", wechat.MaxReplySize-len("<xml></xml>")) + "</xml>"
	object := `{"a":"` + strings.Repeat("a", wechat.MaxReplySize-len(`{"a":""}`)) + `"}`
	mode := func(platform, mode string) func(*config.Config) {
		return func(c *config.Config) { c.Platform, c.MessageMode = platform, mode }
	}
	original := func(edit func(*config.Config)) func(*config.Config) {
		return func(c *config.Config) { edit(c); c.Backend.Payload = config.PayloadOriginal }
	}
	sealed := caller.Sender{EncodingAESKey: aesKey, ReceiverID: reception}
	in := func(change func(*caller.Sender)) caller.Sender { s := sealed; change(&s); return s }
	bursts := map[string]burst{
		"an Official Account in plaintext":      {mode(config.PlatformOfficialAccount, config.ModePlaintext), caller.Sender{}, verified, text, 60_000, true, 0},
		"an Official Account, compatible":       {mode(config.PlatformOfficialAccount, config.ModeCompatible), in(func(s *caller.Sender) { s.Cleartext = true }), unverified / 3, text, 15_000, false, 0},
		"an Official Account, encrypted":        {mode(config.PlatformOfficialAccount, config.ModeEncrypted), sealed, unverified * 3 / 4, text, 15_000, false, 0},
		"one whose app opens it by itself":      {original(mode(config.PlatformOfficialAccount, config.ModeEncrypted)), sealed, unverified * 3 / 4, text, 15_000, true, 0},
		"a Mini Program in plaintext JSON":      {mode(config.PlatformMiniProgram, config.ModePlaintext), caller.Sender{Form: wechat.FormJSON}, verified, object, 15_000, false, 0},
		"a Mini Program, encrypted JSON":        {mode(config.PlatformMiniProgram, config.ModeEncrypted), in(func(s *caller.Sender) { s.Form = wechat.FormJSON }), unverified * 3 / 4, object, 15_000, true, 0},
		"a Shop":                                {mode(config.PlatformShop, ""), in(func(s *caller.Sender) { s.Form = wechat.FormJSON }), unverified * 3 / 4, object, 15_000, false, 0},
		"WeCom":                                 {mode(config.PlatformWeCom, ""), in(func(s *caller.Sender) { s.WeCom = true }), unverified * 3 / 4, text, 15_000, false, 0},
		"an authorizer of a third-party system": {mode(config.PlatformOpenPlatform, ""), sealed, unverified * 3 / 4, text, 15_000, false, 0},
	}
	beside := bursts["an Official Account in plaintext"]
	beside.neighbours, beside.usual = 1000, 15_000 // more than there is room for
	bursts["one beside many others"] = beside
	for name, b := range bursts {
		if b.worst || long {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				playBurst(t, b)
			})
		}
	}
}

// machine is one burst's own while it sends. The next one begins while it waits for the last answers.
var machine sync.Mutex

func playBurst(t *testing.T, b burst) {
	machine.Lock()
	leave := sync.OnceFunc(machine.Unlock)
	defer leave()
	p := startPod(t, b.edit, b.neighbours, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch r.URL.Query().Get("app") + r.Header.Get("X-Wechat-Open-Id") {
		case "oSlow":
			time.Sleep(6 * time.Second)
		case "oLarge":
			_, _ = io.WriteString(w, b.reply)
		}
	})
	total := burstMessages(t, b.usual)
	b.sender.URL, b.sender.Token = p.url, token
	var number, nonces atomic.Int64
	// Random ones are alike once in some hundred thousand messages, and then the second message is refused as it should be.
	b.sender.Nonce = func() string { return strconv.FormatInt(1_000_000_000+nonces.Add(1), 10) }
	many := newCrowd(p, &b.sender, &number, func() bool { return number.Load() >= total })
	many.send(64, "oUser", 0)
	many.Wait()

	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
	defer cancel()
	var strangers sync.WaitGroup
	strangers.Go(func() {
		hostile.Run(ctx, p.public, hostile.Flood{Connections: 1024, Way: hostile.Kept, Text: "POST /weixin HTTP/1.1\r\nHost: a\r\n" + hostile.Tiny(50)})
	})
	all := newCrowd(p, &b.sender, &number, func() bool { return ctx.Err() != nil })
	all.send(48, "oUser", 0)
	all.send(48, "oLarge", 0)
	all.send(16, "oUser", b.body)
	all.send(16, "oLarge", b.body)
	all.send(300, "oSlow", 0)
	<-ctx.Done()
	leave()
	all.Wait()
	cancel()
	strangers.Wait()
	t.Logf("burst: %d messages (%s), and at once with all that is worst %s; RSS %.1f MiB, peak %.1f MiB of %d, kills %d, CPU %v",
		number.Load(), many, all, mebi(p.group.RSS()), mebi(p.group.Peak()), limit>>20, p.group.Kills(), p.cpu())
	if p.group.Kills() != 0 || many.failed.Load() != 0 || many.refused.Load() != 0 || !p.ready() {
		t.Error("it was killed, lost messages for which there was room, or is not ready")
	}
}

// crowd are clients that send messages, each over a connection of its own.
type crowd struct {
	sync.WaitGroup
	pod                       *pod
	sender                    *caller.Sender
	number                    *atomic.Int64
	over                      func() bool
	answered, refused, failed atomic.Int64
}

func newCrowd(p *pod, sender *caller.Sender, number *atomic.Int64, over func() bool) *crowd {
	return &crowd{pod: p, sender: sender, number: number, over: func() bool { return over() || p.ended.Load() }}
}

func (c *crowd) String() string {
	return fmt.Sprintf("%d answered, %d told to come again, %d not answered", c.answered.Load(), c.refused.Load(), c.failed.Load())
}

// send lets so many clients send messages from a user, with so many bytes of text.
func (c *crowd) send(clients int, from string, size int) {
	for range clients {
		c.Go(func() {
			for !c.over() {
				c.pump(from, size)
			}
		})
	}
}

// pump sends one message after the other over one connection, until it breaks.
func (c *crowd) pump(from string, size int) {
	conn := hostile.Dial(c.pod.public)
	if conn == nil {
		time.Sleep(10 * time.Millisecond)
		return
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	for !c.over() {
		content := fmt.Sprintf("%d %s", c.number.Add(1), strings.Repeat("x", size))
		request, err := c.sender.NewText(from, content)
		if err != nil {
			panic(err)
		}
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", request.URI(), len(request.Body), request.Body)
		if err != nil {
			c.failed.Add(1)
			return
		}
		response, err := http.ReadResponse(answers, nil)
		if err != nil {
			c.failed.Add(1)
			return
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		if response.StatusCode == http.StatusOK {
			c.answered.Add(1)
		} else {
			c.refused.Add(1)
		}
		if response.Close {
			return
		}
	}
}
