// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bufio"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Response writes the answer to one request.
type Response struct {
	conn   *conn
	writer *bufio.Writer // nil until the head is written
	now    time.Time     // when it was
	left   int           // what is still to be written of the body
	close  bool
}

// Field is one of an answer's head. It is written as it is.
type Field struct{ Name, Value string }

// noContent is the one status of these that has no body, and announces none.
const noContent = 204

// writers hold an answer until it is whole, or longer than most.
var writers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, writeBuffer) }}

// writeBuffer is for an answer. Bytes.
const writeBuffer = 4 << 10

// Close closes the connection after the answer, and says so in it. It is called before Head.
func (w *Response) Close() { w.close = true }

// Head writes the head of an answer with a body of that length, which is written next; none is written to a HEAD. The head has
// the Date and Connection besides.
func (w *Response) Head(status, length int, fields ...Field) {
	c := w.conn
	if !c.drain() || c.head.Close || c.server.closing.Load() {
		w.close = true
	}
	w.now = time.Now()
	if timeout := c.server.Bounds.WriteTime; !within(c.writeBy, w.now, timeout) {
		c.writeBy = w.now.Add(timeout + slack)
		_ = c.raw.SetWriteDeadline(c.writeBy) // of a closed connection: the write tells
	}
	w.writer = writers.Get().(*bufio.Writer)
	w.writer.Reset(c.raw)

	b := w.writer.AvailableBuffer()
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = append(append(b, reason(status)...), "\r\n"...)
	for _, f := range fields {
		b = append(append(append(append(b, f.Name...), ": "...), f.Value...), "\r\n"...)
	}
	if status != noContent {
		b = append(b, "Content-Length: "...)
		b = append(strconv.AppendInt(b, int64(length), 10), "\r\n"...)
	}
	b = append(b, "Date: "...)
	b = append(append(b, date(w.now)...), "\r\n"...)
	if w.close {
		b = append(b, "Connection: close\r\n"...)
	}
	_, _ = w.writer.Write(append(b, "\r\n"...)) // finish tells
	if c.head.method != "HEAD" {
		w.left = length
	}
}

var errLength = errors.New("the body of the answer is longer than announced")

// Write writes a part of the body. It is an error where there is no more to be written, as in the answer to a HEAD.
func (w *Response) Write(p []byte) (int, error) {
	if len(p) > w.left {
		return 0, errLength
	}
	w.left -= len(p)
	return w.writer.Write(p)
}

// finish sends what is written, and reports whether the connection may bring another request.
func (w *Response) finish() bool {
	if w.writer == nil {
		return false
	}
	err := w.writer.Flush()
	w.writer.Reset(nil)
	writers.Put(w.writer)
	w.writer = nil
	return err == nil && w.left == 0 && !w.close
}

// reason is what net/http says of the statuses that answers have here.
func reason(status int) string {
	switch status {
	case 200:
		return "OK"
	case noContent:
		return "No Content"
	case 403:
		return "Forbidden"
	case 404:
		return "Not Found"
	case 502:
		return "Bad Gateway"
	case 503:
		return "Service Unavailable"
	}
	return ""
}

// dated is the text of one second.
type dated struct {
	second int64
	text   string
}

var newest atomic.Pointer[dated]

// date is the text of a Date.
func date(now time.Time) string {
	second := now.Unix()
	if d := newest.Load(); d != nil && d.second == second {
		return d.text
	}
	d := &dated{second, now.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")}
	newest.Store(d)
	return d.text
}
