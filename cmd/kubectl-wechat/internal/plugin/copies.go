// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/listen"
	"github.com/wechatendpoint/wechatendpoint/sidecar/tap"
)

// copyTimeout is how long a program on this computer has for a copy, as it has for WeChat.
const copyTimeout = 5 * time.Second

// copies sends messages to a program on this computer.
type copies struct {
	to   *url.URL
	key  []byte
	http *http.Client
}

func newCopies(to string, gatewayKey []byte) *copies {
	parsed, _ := url.Parse(to) // it was checked
	return &copies{to: parsed, key: gatewayKey, http: &http.Client{
		Timeout:   copyTimeout,
		Transport: &http.Transport{}, // and no proxy: messages go nowhere else
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // as WeChat follows none
		},
	}}
}

// copied is what the program answered.
type copied struct {
	status int // 0 where none came
	body   []byte
	long   bool // the body is longer than a tap takes
	took   time.Duration
	err    error
}

// target is the path and the query of a copy: the app's request has them, but a path in the URL comes first.
func (c *copies) target(message *tap.Message) string {
	path, query, asked := strings.Cut(message.Target, "?")
	if own := c.to.EscapedPath(); own != "" && own != "/" {
		path = own
	}
	for _, more := range []string{c.to.RawQuery, query} {
		if more == "" {
			continue
		}
		if strings.Contains(path, "?") {
			path += "&" + more
		} else {
			path += "?" + more
		}
	}
	if asked && query == "" && c.to.RawQuery == "" {
		path += "?"
	}
	return path
}

// send sends a copy. It is signed anew: for its own target, and by this computer's clock.
func (c *copies) send(ctx context.Context, message *tap.Message, header http.Header) (got copied) {
	target := c.target(message)
	request, err := http.NewRequestWithContext(ctx, message.Method, c.to.Scheme+"://"+c.to.Host+target, bytes.NewReader(message.Body))
	if err != nil {
		return copied{err: err}
	}
	request.Header = header
	listen.Sign(c.key, message.Method, request.URL.RequestURI(), request.Header, message.Body, time.Now())
	started := time.Now()
	defer func() { got.took = time.Since(started) }()
	response, err := c.http.Do(request)
	if err != nil {
		return copied{err: err}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, tap.MaxReply+1))
	if err != nil {
		return copied{err: err}
	}
	return copied{status: response.StatusCode, body: body, long: len(body) > tap.MaxReply}
}

// headOf is the head of the app's request.
func headOf(message *tap.Message) http.Header { return maps.Clone(http.Header(message.Header)) }

// again is the head of the app's request for one that is made now: the app has as much time as it had then.
func again(message *tap.Message) http.Header {
	header := headOf(message)
	const name, form = "X-Wechat-Deadline", "2006-01-02T15:04:05.000Z"
	if deadline, err := time.Parse(form, header.Get(name)); err == nil {
		header[name] = []string{time.Now().Add(deadline.Sub(message.At)).UTC().Format(form)}
	}
	return header
}
