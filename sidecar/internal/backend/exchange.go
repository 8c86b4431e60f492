// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/syntax"
	"github.com/wechatendpoint/wechatendpoint/sidecar/outcome"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// Bounds of an answer's head. An app may be anybody's: a head of tiny fields takes twenty times its bytes.
const (
	maxHeadSize  = 8 << 10
	maxHeadLines = 64
	maxInterim   = 8 // answers of 1xx before the answer
)

// errLater says that the exchange goes on, and that exchange is to be called again: nobody waits for it in person any more, the answer has not
// come until then, or it must be read as any answer may be.
var errLater = errors.New("the exchange goes on")

// exchange sends the message over the connection, unless that was done, and reads the answer. An error but errLater means that no answer came.
// In person it waits until then at most, and reads usual answers only.
func (p *pending) exchange(until time.Time, inPerson bool) (Answer, error) {
	answer, reusable, err := p.converse(until, inPerson)
	switch {
	case errors.Is(err, errLater):
	case reusable:
		p.client.pool.put(p.release())
	default:
		p.release().close()
	}
	return answer, err
}

func (p *pending) converse(until time.Time, inPerson bool) (answer Answer, reusable bool, err error) {
	if conn := p.conn; !p.delivery.written.Load() && conn.message == nil {
		if err := p.send(); err != nil {
			return p.readEarly(err)
		}
	}
	for {
		came := p.conn.came()
		answer, state := p.client.read(came)
		switch {
		case state == syntax.Whole:
			return p.takeUsual(answer, came)
		case state == syntax.Partial && len(came) < pieceSize:
		case inPerson:
			return Answer{}, false, errLater
		default:
			return p.readAny(until)
		}
		if err := p.wait(until, inPerson); err != nil {
			return Answer{}, false, err
		}
		err := p.conn.advance()
		p.replied = p.conn.answer != nil
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded): // perhaps an earlier call's: wait knows whether that is the end
			p.disarm()
		case errors.Is(err, errNotIdle):
			return Answer{}, false, err
		case p.conn.message != nil:
			return p.readEarly(err)
		case !p.replied:
			return Answer{}, false, err
		case inPerson:
			return Answer{}, false, errLater
		default:
			return p.readAny(until)
		}
	}
}

// read reads an answer, or leaves it to net/http.
func (c *Client) read(came []byte) (usual, syntax.State) {
	if c.StandardHTTP && len(came) > 0 {
		return usual{}, syntax.Foreign
	}
	return readUsual(came)
}

// wait lets the connection wait until then. It returns errLater where nobody waits in person any more, and an error where the call is to end.
func (p *pending) wait(until time.Time, inPerson bool) error {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch late := !now.Before(until); {
	case inPerson && (late || p.left):
		return errLater
	case late || p.ending:
		return os.ErrDeadlineExceeded
	}
	p.conn.arm(now, until)
	return nil
}

// disarm says that the time is up until which the connection waits.
func (p *pending) disarm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conn.armed = time.Time{}
}

// send writes the message, or lets the connection write it before it waits: a usual one over a connection in clear.
func (p *pending) send() error {
	conn, text := p.conn, newPiece()
	if text.write(&p.call); conn.raw != nil && text.length > 0 {
		conn.message, conn.written = text, &p.delivery.written
		return nil
	}
	defer pieces.Put(text)
	if conn.used && !conn.stillIdle() {
		return errNotIdle
	}
	if !p.mayWrite() {
		return os.ErrDeadlineExceeded
	}
	message := net.Buffers{text.bytes()}
	if text.length == 0 {
		message = net.Buffers{appendHead(nil, &p.call), p.call.Body}
	}
	if _, err := message.WriteTo(conn.Conn); err != nil {
		return err
	}
	p.delivery.written.Store(true)
	return nil
}

// mayWrite gives what is written until the call's deadline. It reports false where the call is to end.
func (p *pending) mayWrite() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ending {
		p.conn.armExactly(p.call.Deadline)
	}
	return !p.ending
}

// earlyAnswer is how long an app that stopped reading is listened to: it may have answered that the message is too long for it.
const earlyAnswer = 100 * time.Millisecond

// readEarly reads the answer of an app that has not taken the message.
func (p *pending) readEarly(writeErr error) (Answer, bool, error) {
	if errors.Is(writeErr, errNotIdle) || errors.Is(writeErr, os.ErrDeadlineExceeded) {
		return Answer{}, false, writeErr
	}
	answer, _, err := p.readAny(time.Now().Add(earlyAnswer))
	if err != nil {
		err = errors.Join(writeErr, err)
	}
	return answer, false, err
}

// write writes the head and the body of a call. It leaves the piece empty where they are too long.
func (p *piece) write(call *Call) {
	if head := appendHead(p.text[:0], call); len(head)+len(call.Body) <= pieceSize {
		p.length = len(append(head, call.Body...))
	}
}

// appendHead appends the head of a request. Its values are the sidecar's own, made of verified ones.
func appendHead(head []byte, call *Call) []byte {
	_, host, _ := strings.Cut(call.Origin, "://")
	head = append(append(head, "POST "...), call.Target...)
	head = append(append(head, " HTTP/1.1\r\nHost: "...), host...)
	head = append(append(head, "\r\n"...), call.Fields...)
	head = strconv.AppendInt(append(head, "Content-Length: "...), int64(len(call.Body)), 10)
	return append(head, "\r\n\r\n"...)
}

// takeUsual takes a usual answer.
func (p *pending) takeUsual(usual usual, came []byte) (answer Answer, reusable bool, err error) {
	answer, reusable = p.call.judgeReply(came[usual.start:usual.end])
	answer.Status, answer.Reply = http.StatusOK, keep(answer.Reply)
	return answer, reusable && !usual.Close && usual.end == len(came), nil
}

// keep copies a reply. Most of them are one word.
func keep(reply []byte) []byte {
	if string(reply) == wechat.Success {
		return succeeded.answer.Reply
	}
	return bytes.Clone(reply)
}

// readers are of the size that the head of an answer may have.
var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, maxHeadSize) }}

// readAny reads any answer, of which some may have come.
func (p *pending) readAny(until time.Time) (answer Answer, reusable bool, err error) {
	p.mu.Lock()
	if p.ending {
		until = past
	}
	p.conn.armExactly(until)
	p.mu.Unlock()
	conn := p.conn
	conn.reader = readers.Get().(*bufio.Reader)
	conn.reader.Reset(io.MultiReader(bytes.NewReader(conn.came()), conn.Conn))
	response, err := readResponse(conn.reader, func() { p.replied = true }) //nolint:bodyclose // it is read to its end, or the connection is closed
	if err != nil {
		return Answer{}, false, err
	}
	answer, reusable = p.call.judge(response)
	answer.Status = response.StatusCode
	return answer, reusable && !response.Close && conn.reader.Buffered() == 0, nil
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

// judge reads the app's reply and says whether WeChat may have it. Reusable says that nothing of it is left to be read.
func (call *Call) judge(response *http.Response) (answer Answer, reusable bool) {
	if response.StatusCode > 299 {
		return badReply(outcome.Failure{Cause: outcome.Status, Number: int64(response.StatusCode)}), false
	}
	reply, err := call.readReply(response)
	var failure outcome.Failure
	errors.As(err, &failure)
	switch {
	case call.Check == nil && failure.Cause == outcome.TooLong:
		return Answer{Outcome: outcome.Answered}, false
	case err != nil:
		return badReply(failure), false
	case call.Check != nil && response.Header.Get("Content-Encoding") != "":
		return badReply(outcome.Failure{Cause: outcome.Compressed}), true
	}
	return call.judgeReply(reply)
}

// judgeReply says whether WeChat may have a reply that was read to its end.
func (call *Call) judgeReply(reply []byte) (answer Answer, reusable bool) {
	switch {
	case call.Check == nil:
		return Answer{Outcome: outcome.Answered}, true
	case int64(len(reply)) > call.MaxReply: // a usual one
		return badReply(outcome.Failure{Cause: outcome.TooLong, Number: call.MaxReply}), true
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
func (call *Call) readReply(response *http.Response) ([]byte, error) {
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
