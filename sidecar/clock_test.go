// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

// jumping is a sidecar on a node whose clock jumps, before an app.
type jumping struct {
	sender *caller.Sender // whose clock is right
	ahead  atomic.Int64   // of the node's clock; nanoseconds

	mu   sync.Mutex
	seen []string // bodies that the app saw
}

// jump sets how far the node's clock is ahead.
func (j *jumping) jump(ahead time.Duration) { j.ahead.Store(int64(ahead)) }

// startJumping starts the sidecar with an account in that mode.
func startJumping(t *testing.T, mode string) *jumping {
	t.Helper()
	const token, key = "a-fine-token", "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"
	j := &jumping{}
	app := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		j.mu.Lock()
		defer j.mu.Unlock()
		j.seen = append(j.seen, string(body))
	}))
	t.Cleanup(app.Close)
	s := New(Options{ConfigDir: t.TempDir(), Grace: time.Second, Log: slog.New(slog.DiscardHandler)})
	s.clock = func(arrived time.Time) time.Time { return arrived.Add(time.Duration(j.ahead.Load())) }
	serveDocument(t, s, config.Document{Config: config.Config{
		Generation: "g-1", Endpoint: "team-a/shop", Platform: config.PlatformOfficialAccount, MessageMode: mode, AppID: "wx1", Path: "/weixin",
		Backend: config.Backend{URL: app.URL},
	}, Credentials: config.Credentials{Pairs: []config.Pair{{Generation: 1, Token: token, EncodingAESKey: key}}}})
	public, ops := listenOnLoopback(t), listenOnLoopback(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, public, ops) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	j.sender = &caller.Sender{URL: "http://" + public.Addr().String() + "/weixin", Token: token}
	if mode == config.ModeEncrypted {
		j.sender.EncodingAESKey, j.sender.ReceiverID = key, "wx1"
	}
	return j
}

// message is one of the kind of the account.
func (j *jumping) message(t *testing.T, text string) *caller.Request {
	t.Helper()
	request, err := j.sender.NewPost([]byte("<xml><MsgType>text</MsgType><Content>" + text + "</Content></xml>"))
	if err != nil {
		t.Fatal(err)
	}
	return request
}

// status sends a request and returns the status.
func (j *jumping) status(t *testing.T, request *caller.Request) int {
	t.Helper()
	answer, err := j.sender.Send(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status
}

// taken is how often the app was called since the last look.
func (j *jumping) taken() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	defer func() { j.seen = nil }()
	return len(j.seen)
}

// TestTheClockJumps: what a jump of the node's clock does to new messages, to repeats of one from before, and to its query with another body. A step is
// the clock's error from then on.
func TestTheClockJumps(t *testing.T) {
	t.Parallel()
	const ahead, farAhead, behind, farBehind = 4 * time.Minute, 6 * time.Minute, -4 * time.Minute, -6 * time.Minute
	type after struct {
		// New, Repeat and Replay are the statuses of a new message, of the first message once more, and of its query with another body; NewCalls,
		// RepeatCalls and ReplayCalls how often the app was called for them.
		New, NewCalls, Repeat, RepeatCalls, Replay, ReplayCalls int
	}
	well, stale := after{New: 200, NewCalls: 1, Repeat: 200, Replay: 403}, after{New: 403, Repeat: 403, Replay: 403}
	for name, row := range map[string]struct {
		steps []time.Duration // before the last one, a new message is sent
		want  after
	}{
		"it stands":                               {[]time.Duration{0}, well},
		"ahead, by less than messages are fresh":  {[]time.Duration{ahead}, well},
		"behind, by less":                         {[]time.Duration{behind}, well},
		"ahead, by more: all is stale":            {[]time.Duration{farAhead}, stale},
		"behind, by more: all is from the future": {[]time.Duration{farBehind}, stale},
		"ahead by less and back":                  {[]time.Duration{ahead, 0}, well},
		"behind by less and back":                 {[]time.Duration{behind, 0}, well},
		"ahead by more and back":                  {[]time.Duration{farAhead, 0}, well},
		"behind by more and back":                 {[]time.Duration{farBehind, 0}, well},
		"to and fro":                              {[]time.Duration{ahead, behind, farAhead, farBehind, 0}, well},
	} {
		for _, mode := range []string{config.ModePlaintext, config.ModeEncrypted} {
			t.Run(name+", "+mode, func(t *testing.T) {
				t.Parallel()
				j := startJumping(t, mode)
				first := j.message(t, "first")
				if status := j.status(t, first); status != http.StatusOK || j.taken() != 1 {
					t.Fatalf("the first message is answered with %d", status)
				}
				for i, step := range row.steps {
					if i > 0 {
						j.status(t, j.message(t, "between")) // looked up by the clock that is wrong
					}
					j.jump(step)
				}
				j.taken()
				got := after{New: j.status(t, j.message(t, "new"))}
				got.NewCalls = j.taken()
				got.Repeat = j.status(t, first)
				got.RepeatCalls = j.taken()
				got.Replay = j.status(t, first.WithBody([]byte("<xml><MsgType>text</MsgType><Content>forged</Content></xml>")))
				got.ReplayCalls = j.taken()
				if diff := cmp.Diff(row.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
	}
}

// TestAQueryIsGoodForItsFirstBodyThoughTheClockGoesBack: a captured query that was stale by a clock that was ahead, and is forgotten therefore, is fresh
// again once the clock is right. It takes no other body all the same. In encrypted mode the message itself reaches the app once more.
func TestAQueryIsGoodForItsFirstBodyThoughTheClockGoesBack(t *testing.T) {
	t.Parallel()
	for mode, calls := range map[string]int{config.ModePlaintext: 0, config.ModeEncrypted: 1} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			j := startJumping(t, mode)
			right := time.Now()
			j.sender.Now = func() time.Time { return right.Add(-2 * time.Minute) }
			old := j.message(t, "old")
			if status := j.status(t, old); status != http.StatusOK {
				t.Fatalf("a message of two minutes ago is answered with %d", status)
			}
			j.sender.Now = nil
			j.jump(4 * time.Minute)
			if status := j.status(t, j.message(t, "another")); status != http.StatusOK { // by which the old one is stale, and forgotten
				t.Fatalf("a message is answered with %d, with a clock that is ahead by less than it may be", status)
			}
			j.jump(0)
			j.taken()
			forged := old.WithBody([]byte("<xml><MsgType>text</MsgType><Content>forged</Content></xml>"))
			if status := j.status(t, forged); status != http.StatusForbidden || j.taken() != 0 {
				t.Errorf("another body with the query is answered with %d", status)
			}
			j.status(t, old)
			if got := j.taken(); got != calls {
				t.Errorf("the message reached the app %d times more, want %d", got, calls)
			}
			if status := j.status(t, j.message(t, "new")); status != http.StatusOK || j.taken() != 1 {
				t.Errorf("a new message is answered with %d", status)
			}
		})
	}
}
