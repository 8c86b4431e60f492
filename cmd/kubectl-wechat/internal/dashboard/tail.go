// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
)

// tailTime is how long a tail may last, and tailBeat how often an empty line says that it goes on. A page that takes no line for longer than
// writeWait has ended.
const (
	tailTime  = time.Hour
	tailBeat  = 10 * time.Second
	writeWait = 15 * time.Second
)

// tail answers with a line of JSON for each callback, as they come. It ends with the page.
func (a api) tail(w http.ResponseWriter, r *http.Request) {
	lang := accepted(r.Header.Get("Accept-Language"))
	named, err := ref(r)
	if err != nil || named.Kind != KindEndpoint {
		write(w, http.StatusNotFound, said{lang.Error(text.Errorf("only an endpoint has a live tail"))})
		return
	}
	select {
	case a.tails <- struct{}{}:
		defer func() { <-a.tails }()
	default:
		write(w, http.StatusServiceUnavailable, said{lang.Error(text.Errorf("too many requests at once: close other windows with this page"))})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), tailTime)
	defer cancel()
	lines := &lineWriter{to: w, control: http.NewResponseController(w), broken: cancel}
	w.Header().Set("Content-Type", "application/x-ndjson")
	lines.write(nil)
	go lines.beat(ctx)
	if err := a.cluster.Tail(ctx, lang, named, func(told Tell) { lines.write(told) }); err != nil && ctx.Err() == nil {
		lines.write(Tell{At: time.Now().UnixMilli(), Note: lang.Error(err), Failed: true})
	}
	cancel()
	lines.end()
}

// lineWriter writes lines from several goroutines, each within writeWait.
type lineWriter struct {
	mu      sync.Mutex
	to      http.ResponseWriter
	control *http.ResponseController
	broken  func()
	ended   bool
}

// write writes a value in a line; nil is an empty one.
func (l *lineWriter) write(value any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	var line []byte
	if value != nil {
		var err error
		if line, err = json.Marshal(value); err != nil {
			return
		}
	}
	line = append(line, '\n')
	_ = l.control.SetWriteDeadline(time.Now().Add(writeWait))
	if _, err := l.to.Write(line); err != nil || l.control.Flush() != nil {
		l.ended = true
		l.broken()
	}
}

// beat finds out that the page has gone.
func (l *lineWriter) beat(ctx context.Context) {
	ticker := time.NewTicker(tailBeat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			l.write(nil)
		}
	}
}

// end stops every writer: the response must not be used once its handler has returned.
func (l *lineWriter) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
}
