//go:build linux

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package load plays WeChat's servers and the app for the benchmark of the data plane. Both live in one event loop over raw sockets, on one thread:
// they cost the same for every peer, and no scheduler decides which of the two has the core.
package load

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/wechatendpoint/wechatendpoint/test/hostile"
)

// Loop is the event loop, with the app in it. It is used by one goroutine, which is locked to its thread.
type Loop struct {
	App App

	epoll, listener int
	strange         int // the epoll of strangers' connections, which is in the other
	conns           map[int32]*conn
	buffer          []byte // for the app's answers
	strangers       int    // connections of theirs that were made
}

// conn is a connection of the app's, or of a stream's.
type conn struct {
	fd      int
	stream  *stream // nil for one of the app's
	in      []byte  // what has come and is not taken yet
	out     []byte  // what is not sent yet
	waits   bool    // for room to send
	slow    []byte  // what is sent a byte at a time
	pending         // the request that is not answered yet
}

// pending is a request on its way.
type pending struct {
	busy  bool
	due   time.Time // when it was to be sent
	text  []byte
	want  []byte // the body of the right answer; nil is any
	tries int    // that are left
}

// NewLoop makes a loop whose app listens on that address, host:port with an IPv4 address.
func NewLoop(app string) (*Loop, error) {
	l := &Loop{conns: map[int32]*conn{}}
	var err error
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("making the event loop: %w", err)
	}
	if l.strange, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, errors.Join(fmt.Errorf("making the event loop of strangers: %w", err), unix.Close(l.epoll))
	}
	if l.listener, err = listenApp(app); err != nil {
		return nil, errors.Join(err, unix.Close(l.strange), unix.Close(l.epoll))
	}
	return l, errors.Join(l.watch(l.epoll, l.listener), l.watch(l.epoll, l.strange))
}

// Close closes everything.
func (l *Loop) Close() error {
	for _, c := range l.conns {
		l.drop(c)
	}
	return errors.Join(unix.Close(l.listener), unix.Close(l.strange), unix.Close(l.epoll))
}

// epollOf is where a stream's connections are waited for, or the app's.
func (l *Loop) epollOf(s *stream) int {
	if s != nil && s.Hostile != 0 {
		return l.strange
	}
	return l.epoll
}

func (l *Loop) watch(epoll, fd int) error {
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		return fmt.Errorf("watching a socket: %w", err)
	}
	return nil
}

// add takes a socket into the loop.
func (l *Loop) add(fd int, s *stream) (*conn, error) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) // what cannot be set is as the system has it
	c := &conn{fd: fd, stream: s, in: make([]byte, 0, 4<<10)}
	l.conns[int32(fd)] = c
	return c, l.watch(l.epollOf(s), fd)
}

// drop closes a connection.
func (l *Loop) drop(c *conn) {
	delete(l.conns, int32(c.fd))
	_ = unix.Close(c.fd) // nothing is lost by it
	c.fd = -1
}

// wait waits for events, not for longer than that.
func wait(epoll int, events []unix.EpollEvent, milliseconds int) ([]unix.EpollEvent, error) {
	n, err := unix.EpollWait(epoll, events, milliseconds)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return nil, fmt.Errorf("waiting for events: %w", err)
	}
	return events[:max(n, 0)], nil
}

// turn waits for events, not for longer than that, and handles them. Of strangers it handles a few, however many there are: a message does
// not wait for them here.
func (l *Loop) turn(timeout time.Duration, timer int, tick func(times uint64)) error {
	var array [256]unix.EpollEvent
	events, err := wait(l.epoll, array[:], int(timeout.Milliseconds())+1)
	if err != nil {
		return err
	}
	for _, event := range events {
		switch int(event.Fd) {
		case l.strange:
			if err := l.turnOfStrangers(); err != nil {
				return err
			}
		case l.listener:
			if err := l.accept(); err != nil {
				return err
			}
		case timer:
			tick(expirations(timer))
		default:
			if c := l.conns[event.Fd]; c != nil {
				if err := l.handle(c, event.Events); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (l *Loop) turnOfStrangers() error {
	var few [8]unix.EpollEvent
	events, err := wait(l.strange, few[:], 0)
	for _, event := range events {
		if c := l.conns[event.Fd]; c != nil && err == nil {
			err = l.handle(c, event.Events)
		}
	}
	return err
}

func (l *Loop) accept() error {
	for {
		fd, _, err := unix.Accept4(l.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil
		case errors.Is(err, unix.ECONNABORTED) || errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("accepting a connection to the app: %w", err)
		default:
			if _, err := l.add(fd, nil); err != nil {
				return err
			}
		}
	}
}

// handle reads what has come, and sends what is left.
func (l *Loop) handle(c *conn, events uint32) error {
	if events&unix.EPOLLOUT != 0 && !l.send(c, nil) {
		return l.ended(c)
	}
	if c.stream != nil && c.stream.Hostile == hostile.Dropped && len(c.out) == 0 {
		return l.ended(c)
	}
	if events&^unix.EPOLLOUT == 0 {
		return nil
	}
	if len(c.in) == cap(c.in) {
		c.in = append(make([]byte, 0, 2*cap(c.in)), c.in...)
	}
	n, err := unix.Read(c.fd, c.in[len(c.in):cap(c.in)])
	switch {
	case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
		return nil
	case err != nil || n == 0:
		return l.ended(c)
	}
	c.in = c.in[:len(c.in)+n]
	if c.stream != nil {
		return l.answered(c)
	}
	taken, answers := l.App.answer(c.in, l.buffer[:0])
	l.buffer = answers
	c.in = c.in[:copy(c.in, c.in[taken:])]
	if len(answers) > 0 && !l.send(c, answers) {
		l.drop(c)
	}
	return nil
}

// ended is called when the other side has closed a connection.
func (l *Loop) ended(c *conn) error {
	l.drop(c)
	if c.stream != nil {
		return l.lost(c)
	}
	return nil
}

// send writes a text behind what is left, as far as there is room, and reports whether the connection lives.
func (l *Loop) send(c *conn, text []byte) bool {
	left := text
	if len(c.out) > 0 {
		left = slices.Concat(c.out, text)
	}
	for len(left) > 0 {
		n, err := unix.Write(c.fd, left)
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if err != nil {
			return false
		}
		left = left[n:]
	}
	c.out = append([]byte(nil), left...)
	return c.wants(l, len(left) > 0)
}

// wants says whether the connection is told when there is room to send, and reports whether it lives.
func (c *conn) wants(l *Loop, room bool) bool {
	if room == c.waits {
		return true
	}
	c.waits = room
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(c.fd)}
	if room {
		event.Events |= unix.EPOLLOUT
	}
	return unix.EpollCtl(l.epollOf(c.stream), unix.EPOLL_CTL_MOD, c.fd, &event) == nil
}

func parseAddress(address string) (*unix.SockaddrInet4, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !at.Addr().Is4() {
		return nil, fmt.Errorf("%s is not host:port with an IPv4 address", address)
	}
	return &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}, nil
}
