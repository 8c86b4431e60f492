// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Run sends floods to host:port, all at once and again and again, until ctx is done. It returns how many requests it sent, whole or not; a
// connection without one counts as one.
func Run(ctx context.Context, address string, floods ...Flood) int64 {
	var sent atomic.Int64
	var clients sync.WaitGroup
	for _, f := range floods {
		for range f.Connections {
			clients.Go(func() { f.client(ctx, address, &sent) })
		}
	}
	clients.Wait()
	return sent.Load()
}

// client makes one connection after the other.
func (f Flood) client(ctx context.Context, address string, sent *atomic.Int64) {
	for ctx.Err() == nil {
		c := Dial(address)
		if c == nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		stop := context.AfterFunc(ctx, func() { c.Close() })
		switch f.Way {
		case Trickled:
			sent.Add(1)
			trickle(c, f.Text)
		case Kept, Dropped:
			sent.Add(1)
			f.once(c)
		default:
			repeat(c, f.Text, sent)
		}
		stop()
		c.Close()
	}
}

// repeat sends a request and reads the answer, until the connection ends.
func repeat(c net.Conn, request string, sent *atomic.Int64) {
	buffer := make([]byte, 64<<10)
	for {
		_ = c.SetDeadline(time.Now().Add(2 * time.Second))
		_, err := io.WriteString(c, request)
		sent.Add(1)
		if err == nil {
			_, err = c.Read(buffer)
		}
		if err != nil {
			return
		}
	}
}

// once sends the text, and returns when the connection ends if it is kept.
func (f Flood) once(c net.Conn) {
	_, _ = io.WriteString(c, f.Text)
	if f.Way == Kept {
		_, _ = io.Copy(io.Discard, c)
		time.Sleep(200 * time.Millisecond) // the sidecar is to be at its limit, not this machine
	}
}

// trickle sends a text a byte at a time.
func trickle(c net.Conn, text string) {
	for i := range len(text) {
		if _, err := io.WriteString(c, text[i:i+1]); err != nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// connections counts those that were begun.
var connections atomic.Uint32

// Dial connects to a port of this machine, or returns nil where the machine or the sidecar refuses. It comes from addresses of its own: closed
// connections keep their ports for a minute, and WeChat's messages need some too.
func Dial(address string) net.Conn {
	from := &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+connections.Add(1)%200))}
	c, err := (&net.Dialer{Timeout: 2 * time.Second, LocalAddr: from}).Dial("tcp", address)
	if err != nil {
		return nil
	}
	return c
}
