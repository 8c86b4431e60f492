// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

// Account is one that is played against: its endpoint, who plays WeChat's server for it, and where to see what became of that.
type Account struct {
	*Story
	caller.Sender

	// Endpoint is namespace/name of its WeChatEndpoint.
	Endpoint string
	// Want is the reply to the text of the scenes; empty is any that WeChat takes.
	Want string
	// Seen asks what came to the app.
	Seen func(context.Context) (Diary, error)
	// LastLine is the newest of the sidecar's log, and LogIs says what is read there.
	LastLine func(context.Context) (string, error)
	LogIs    string

	sent []byte // the user's message, before it was encrypted
}

// Name is that of the WeChatEndpoint, without its namespace.
func (a *Account) Name() string { return a.Endpoint[strings.IndexByte(a.Endpoint, '/')+1:] }

// Diary is what the example app says of the messages that it got.
type Diary struct {
	Count    int
	Messages []struct {
		Path, Body string
		Headers    map[string]string
	}
}

// Exchange sends a request and shows it, and what came back.
func (a *Account) Exchange(ctx context.Context, request *caller.Request) (caller.Answer, error) {
	a.ShowRequest(request)
	answer, err := a.Send(ctx, request)
	if err == nil {
		a.ShowAnswer(answer)
	}
	return answer, err
}

// ShowRequest hides nothing: the tokens and keys of a story stand in its sources, and its signatures are good for nobody else.
func (s *Story) ShowRequest(request *caller.Request) {
	s.Show("→ %s http://%s%s", request.Method, request.Host, request.URI())
	s.Show("%s", request.Body)
}

// ShowAnswer shows all that WeChat reads of it.
func (s *Story) ShowAnswer(answer caller.Answer) {
	s.Show("← %d %s, %d bytes, after %v", answer.Status, http.StatusText(answer.Status), len(answer.Body), answer.Elapsed.Round(time.Millisecond))
	s.Show("%s", answer.Body)
}

// Refused sends what must be answered with 403 and nothing, must not reach the app, and must stand with its reason in the
// sidecar's log, and shows all three.
func (a *Account) Refused(ctx context.Context, request *caller.Request, reason wechat.Reason) error {
	before, err := a.LastLine(ctx)
	if err != nil {
		return err
	}
	if err := a.KeptFromApp(ctx, request, http.StatusForbidden); err != nil {
		return err
	}
	var line string
	if err := Until(ctx, func(ctx context.Context) error {
		line, err = a.LastLine(ctx)
		if err == nil && (line == before || !strings.Contains(line, fmt.Sprintf("%q:%q", "reason", reason))) {
			err = fmt.Errorf("the sidecar's log does not say %s; its last line is %s", reason, line)
		}
		return err
	}); err != nil {
		return err
	}
	a.Show("%s\n%s", a.LogIs, line)
	return nil
}

// KeptFromApp sends what must be answered with that status, and must not reach the app.
func (a *Account) KeptFromApp(ctx context.Context, request *caller.Request, status int) error {
	before, err := a.Seen(ctx)
	if err != nil {
		return err
	}
	answer, err := a.Exchange(ctx, request)
	switch {
	case err != nil:
		return err
	case answer.Status != status:
		return fmt.Errorf("the status is %d, not %d", answer.Status, status)
	case status == http.StatusForbidden && len(answer.Body) > 0:
		return errors.New("the refusal has a body, which tells the sender something")
	}
	return a.sawNothingSince(ctx, before)
}

func (a *Account) sawNothingSince(ctx context.Context, before Diary) error {
	now, err := a.Seen(ctx)
	switch {
	case err != nil:
		return err
	case now.Count != before.Count:
		return fmt.Errorf("the app saw %d messages, and before that %d", now.Count, before.Count)
	}
	a.Show("Messages that the app has seen: %d, as before.", now.Count)
	return nil
}
