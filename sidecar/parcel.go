// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"errors"
	"io"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/memory"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// errOverloaded says that there was no room for a message until its deadline.
var errOverloaded = errors.New("no room for another message")

// parcel owns the body of one callback and what it takes of the budgets, until it is freed. One goroutine uses it at a time.
type parcel struct {
	budget *memory.Portion // that what is held was taken from
	app    string          // for which it was; empty as long as that is not known
	held   int64

	source   io.Reader
	length   int64 // announced; -1 for chunks
	limit    int64 // of the body
	deadline time.Time

	asked bool
	body  []byte
	err   error
}

func newParcel(stream io.Reader, length, limit int64, budget *memory.Portion, deadline time.Time) parcel {
	return parcel{budget: budget, source: stream, length: length, limit: limit, deadline: deadline}
}

// read returns the body. It is read once, and what came of it stands: a body that broke off cannot be read to its end by asking
// again.
func (p *parcel) read() ([]byte, error) {
	if !p.asked {
		p.asked = true
		p.body, p.err = p.readOnce()
	}
	return p.body, p.err
}

// readOnce takes room for what has come, not for what was announced, and none for the first freeBody bytes: whoever announces
// much and sends little, or slowly, takes nothing from the messages of others.
func (p *parcel) readOnce() ([]byte, error) {
	if p.length > p.limit {
		return nil, tooLarge
	}
	size := p.length
	if size < 0 {
		size = p.limit + 1 // it may become that long
	}
	var body []byte
	for {
		if len(body) == cap(body) {
			next := min(size, max(freeBody, 4*int64(len(body))))
			if !p.hold(next - freeBody) {
				return nil, errOverloaded
			}
			body = append(make([]byte, 0, next), body...)
		}
		n, err := p.source.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case int64(len(body)) > p.limit:
			return nil, tooLarge
		case errors.Is(err, io.EOF), int64(len(body)) == p.length:
			return body, nil
		case err != nil:
			return nil, wechat.Refuse(wechat.ReasonMalformed, "the body broke off, or came too slowly")
		}
	}
}

var tooLarge = wechat.Refuse(wechat.ReasonTooLarge, "the body is longer than any message of the platform")

// hold raises what is held to so many bytes, once there is room for them.
func (p *parcel) hold(bytes int64) bool {
	if bytes <= p.held {
		return true
	}
	if !p.budget.Take(p.app, p.held, bytes-p.held, p.deadline) {
		return false
	}
	p.held = bytes
	return true
}

// move takes what the parcel holds from another budget for an app, and that many times of it: what was verified is held for longer, and
// in more than one form. The body is its reader's from now on. It reports whether there was room. What was moved there already stays.
func (p *parcel) move(to *memory.Portion, app string, times int64) bool {
	if p.budget == to && p.app == app {
		return true
	}
	wanted := times * p.held
	if wanted > 0 && !to.Take(app, 0, wanted, p.deadline) {
		return false
	}
	p.free()
	p.budget, p.app, p.held, p.body = to, app, wanted, nil
	return true
}

// hand passes what the parcel holds on to another owner. Nothing is left that its own could free.
func (p *parcel) hand() parcel {
	next := parcel{budget: p.budget, app: p.app, held: p.held}
	p.held, p.body = 0, nil
	return next
}

// free gives everything back that the parcel still holds. It may be called again.
func (p *parcel) free() {
	p.budget.Give(p.app, p.held)
	p.held = 0
}
