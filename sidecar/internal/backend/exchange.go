// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/outcome"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// Bounds of an answer's head. An app may be anybody's: a head of tiny fields takes twenty times its bytes.
const (
	maxHeadSize  = 8 << 10
	maxHeadLines = 64
	maxInterim   = 8 // answers of 1xx before the answer
)

// exchange sends one request over one connection and reads the answer, and reports whether the connection may be used again. An
// error means that no answer came.
func (c *Client) exchange(ctx context.Context, conn *connection, call Call, w *wire) (answer Answer, reusable bool, err error) {
	// A context that ends wakes every read and write.
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	request := net.Buffers{makeHead(call), call.Body}
	_, writeErr := request.WriteTo(conn.Conn)
	if writeErr == nil {
		w.written.Store(true)
	} else if ctx.Err() == nil {
		_ = conn.SetReadDeadline(time.Now().Add(earlyAnswer))
	}
	if err := conn.awaitAnswer(); err != nil {
		return Answer{}, false, errors.Join(writeErr, err)
	}
	response, err := readResponse(conn.reader, func() { w.replied.Store(true) }) //nolint:bodyclose // it is read to its end, or the connection is closed
	if err != nil {
		return Answer{}, false, errors.Join(writeErr, err)
	}
	answer, whole := c.judge(response, call)
	answer.Status = response.StatusCode
	return answer, whole && writeErr == nil && !response.Close && conn.reader.Buffered() == 0, nil
}

// earlyAnswer is how long an app that stopped reading is listened to: it may have answered that the message is too long for it.
const earlyAnswer = 100 * time.Millisecond

// makeHead writes the head of a request. Its values are the sidecar's own, made of verified ones.
func makeHead(call Call) []byte {
	var head bytes.Buffer
	_, host, _ := strings.Cut(call.Origin, "://")
	head.WriteString("POST " + call.Target + " HTTP/1.1\r\nHost: " + host + "\r\n")
	_ = http.Header(call.Header).Write(&head) // into memory
	head.WriteString("Content-Length: " + strconv.Itoa(len(call.Body)) + "\r\n\r\n")
	return head.Bytes()
}

var (
	errHead    = outcome.Failure{Cause: outcome.LongHead}
	errUpgrade = outcome.Failure{Cause: outcome.Upgrade}
	errNotHTTP = outcome.Failure{Cause: outcome.NotHTTP}
)

// readResponse reads the head of the answer, once it is whole and within its bounds. Begun is called with its first byte.
func readResponse(reader *bufio.Reader, begun func()) (*http.Response, error) {
	for range maxInterim {
		if _, err := reader.Peek(1); err != nil {
			return nil, err
		}
		begun()
		if err := awaitHead(reader); err != nil {
			return nil, err
		}
		response, err := http.ReadResponse(reader, nil)
		switch {
		case err != nil:
			return nil, errNotHTTP
		case response.StatusCode == http.StatusSwitchingProtocols:
			return nil, errUpgrade
		case response.StatusCode >= 200:
			return response, nil
		}
	}
	return nil, errHead
}

// awaitHead returns once the head is in the reader's buffer, without reading it.
func awaitHead(reader *bufio.Reader) error {
	for {
		text, _ := reader.Peek(reader.Buffered()) // they are there
		end := headEnd(text)
		if bytes.Count(text[:end], []byte("\n")) >= maxHeadLines {
			return errHead
		}
		if end < len(text) {
			return nil
		}
		switch _, err := reader.Peek(len(text) + 1); {
		case errors.Is(err, bufio.ErrBufferFull):
			return errHead
		case err != nil && !bytes.HasPrefix(text, []byte("HTTP/")):
			return errNotHTTP
		case err != nil:
			return err
		}
	}
}

// headEnd returns the offset of the empty line that ends a head, or all of the text.
func headEnd(text []byte) int {
	for _, end := range []string{"\n\r\n", "\n\n"} {
		if at := bytes.Index(text, []byte(end)); at >= 0 {
			return at
		}
	}
	return len(text)
}

// judge reads the app's reply and says whether WeChat may have it. Whole says that nothing of it is left to be read.
func (c *Client) judge(response *http.Response, call Call) (answer Answer, whole bool) {
	if response.StatusCode > 299 {
		return badReply(outcome.Failure{Cause: outcome.Status, Number: int64(response.StatusCode)}), false
	}
	reply, err := c.readReply(response, call)
	var failure outcome.Failure
	errors.As(err, &failure)
	switch {
	case call.Check == nil && (err == nil || failure.Cause == outcome.TooLong):
		return Answer{Outcome: outcome.Answered}, err == nil
	case err != nil:
		return badReply(failure), false
	case response.Header.Get("Content-Encoding") != "":
		return badReply(outcome.Failure{Cause: outcome.Compressed}), true
	}
	var fault wechat.ReplyFault
	if errors.As(call.Check(reply), &fault) {
		return badReply(outcome.Failure{Cause: outcome.Cause(fault)}), true
	}
	return Answer{Outcome: outcome.Answered, Reply: reply}, true
}

func badReply(failure outcome.Failure) Answer {
	return Answer{Outcome: outcome.BadReply, Failure: failure}
}

// freeReply is how much of each reply needs no room. Bytes.
const freeReply = 4 << 10

// readReply reads a reply within its bound, and takes room for what has come of it. The room is given back once the reply was
// read: whoever keeps it counts it.
func (c *Client) readReply(response *http.Response, call Call) ([]byte, error) {
	var taken int64
	defer func() { call.Room.Give(call.Origin, taken) }()
	most := call.MaxReply + 1
	if announced := response.ContentLength; announced >= 0 {
		most = min(most, announced+1)
	}
	reply := make([]byte, 0, min(freeReply, most))
	for {
		if len(reply) == cap(reply) {
			size := min(2*int64(cap(reply)), most)
			if !call.Room.Take(call.Origin, taken, size-taken, call.Deadline) {
				return nil, outcome.Failure{Cause: outcome.NoRoom}
			}
			taken = size
			reply = append(make([]byte, 0, size), reply...)
		}
		n, err := response.Body.Read(reply[len(reply):cap(reply)])
		reply = reply[:len(reply)+n]
		switch {
		case int64(len(reply)) > call.MaxReply:
			return nil, outcome.Failure{Cause: outcome.TooLong, Number: call.MaxReply}
		case errors.Is(err, io.EOF):
			return reply, nil
		case err != nil:
			return nil, outcome.Failure{Cause: outcome.CutOff}
		}
	}
}
