//go:build linux

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/wechatendpoint/wechatendpoint/test/hostile"
)

// Stream is requests of one kind.
type Stream struct {
	// Peer is called, host:port with an IPv4 address.
	Peer string
	// Connections are open at once.
	Connections int
	// Rate is how many requests are sent in a second, whether others are answered or not. 0 sends one on each connection as soon as the one
	// before is answered.
	Rate int
	// Next returns a request, and the body of the right answer; nil is any.
	Next func() (request, want []byte)
	// Right are the statuses of the right answer.
	Right []int
	// Most ends the stream after so many requests; 0 sends for as long as the run takes.
	Most int
	// Tries is how often a request is sent at most, until it is answered rightly; 0 is once.
	Tries int
	// Hostile is how strangers send. Where it is set, no answer is wrong, and neither is none.
	Hostile hostile.Way
}

// Result is what became of a stream's requests.
type Result struct {
	// Sent is how many requests were sent, at any time.
	Sent int
	// Answered were answered, right or wrong, in the time that was measured. Of what needs no answer, it is what was sent then.
	Answered int
	// Wrong were answered wrongly or not at all, at any time; First is the first of these answers.
	Wrong int
	First string
	// Retried is how often a request was sent anew.
	Retried int
	// Reconnected connections were closed by the peer after an answer.
	Reconnected int
	// Latencies of what was answered since the time that is measured began, sorted. They count from the moment at which a request was to be
	// sent; of one for which there was no connection to the end, until then.
	Latencies []time.Duration
}

// Percentile returns the latency that p of a hundred requests had at most; 0 if there were none.
func (r Result) Percentile(p int) time.Duration {
	if len(r.Latencies) == 0 {
		return 0
	}
	return r.Latencies[min(len(r.Latencies)*p/100, len(r.Latencies)-1)]
}

// stream is a Stream on its way.
type stream struct {
	Stream
	result  Result
	sent    int
	idle    []*conn     // connections without a request, of a stream with a rate
	late    []time.Time // requests that wait for a connection
	slow    []*conn     // connections that send a byte at a time
	counts  bool        // what is answered now is in the time that is measured
	times   bool        // that time has begun
	stopped bool
}

// Run is the plan of a run.
type Run struct {
	Streams []Stream
	// WarmUp comes before Time, which is measured.
	WarmUp, Time time.Duration
	// Mark is called at the beginning and at the end of Time.
	Mark func() error
}

// patience is how long the last answers are awaited.
const patience = 5 * time.Second

// Run sends the requests of the streams and returns what became of them, in their order.
func (l *Loop) Run(r Run) ([]Result, error) {
	streams := make([]*stream, len(r.Streams))
	for i, s := range r.Streams {
		streams[i] = &stream{Stream: s}
	}
	defer l.close()
	timer, tick, err := l.pace(streams)
	if err != nil {
		return nil, err
	}
	if timer >= 0 {
		defer unix.Close(timer)
	}
	for _, s := range streams {
		if err := l.open(s); err != nil {
			return nil, err
		}
	}
	if err := l.play(r, streams, timer, tick); err != nil {
		return nil, err
	}
	results := make([]Result, len(streams))
	for i, s := range streams {
		slices.Sort(s.result.Latencies)
		s.result.Sent = s.sent
		results[i] = s.result
	}
	return results, nil
}

// play warms up, measures, and waits for the last answers.
func (l *Loop) play(r Run, streams []*stream, timer int, tick func(uint64)) error {
	until := func(end time.Time, done func() bool) error {
		for now := time.Now(); now.Before(end) && !done(); now = time.Now() {
			if err := l.turn(min(end.Sub(now), 20*time.Millisecond), timer, tick); err != nil {
				return err
			}
		}
		return nil
	}
	all := func(is func(*stream) bool) func() bool {
		return func() bool { return !slices.ContainsFunc(streams, func(s *stream) bool { return !is(s) }) }
	}
	spent := all(func(s *stream) bool { return s.Most > 0 && s.sent >= s.Most })
	if err := until(time.Now().Add(r.WarmUp), spent); err != nil {
		return err
	}
	count := func(on bool) error {
		for _, s := range streams {
			s.counts, s.times = on, true
		}
		if r.Mark == nil {
			return nil
		}
		return r.Mark()
	}
	if err := count(true); err != nil {
		return err
	}
	if err := until(time.Now().Add(r.Time), spent); err != nil {
		return err
	}
	if err := count(false); err != nil {
		return err
	}
	ended := time.Now()
	for _, s := range streams {
		s.stopped = true
		for _, due := range s.late {
			s.result.Latencies = append(s.result.Latencies, ended.Sub(due))
		}
	}
	if err := until(time.Now().Add(patience), func() bool { return !l.busy() }); err != nil {
		return err
	}
	for _, c := range l.conns {
		if c.busy && c.stream.Hostile == 0 {
			c.stream.wrong("no answer")
		}
	}
	return nil
}

func (l *Loop) busy() bool {
	for _, c := range l.conns {
		if c.busy && c.stream.Hostile == 0 {
			return true
		}
	}
	return false
}

// close ends the connections of all streams. The app keeps its own.
func (l *Loop) close() {
	for _, c := range l.conns {
		if c.stream != nil {
			l.drop(c)
		}
	}
}

// open makes the connections of a stream, and sends the first requests.
func (l *Loop) open(s *stream) error {
	for range s.Connections {
		c, err := l.dial(s)
		if err != nil {
			return err
		}
		if err := l.next(c); err != nil {
			return err
		}
	}
	return nil
}

func (l *Loop) dial(s *stream) (*conn, error) {
	at, err := parseAddress(s.Peer)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("making a socket: %w", err)
	}
	if s.Hostile != 0 {
		err = l.bindStranger(fd)
	}
	if err == nil {
		err = unix.Connect(fd, at)
	}
	if err != nil && !errors.Is(err, unix.EINPROGRESS) { // what is sent waits for it
		_ = unix.Close(fd)
		return nil, fmt.Errorf("calling %s: %w", s.Peer, err)
	}
	return l.add(fd, s)
}

// bindStranger gives a stranger's socket an address. They have many: a connection that was closed keeps its port for a minute.
func (l *Loop) bindStranger(fd int) error {
	l.strangers++
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1) // it saves ports
	return unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 78, 1 + byte(l.strangers/250%8), 1 + byte(l.strangers%250)}})
}

// next sends a request on a connection that has none, if one is to be sent now.
func (l *Loop) next(c *conn) error {
	s := c.stream
	switch {
	case s.stopped || s.Most > 0 && s.sent >= s.Most:
	case s.Hostile > hostile.Answered:
		return l.intrude(c)
	case s.Rate == 0:
		return l.request(c, time.Now())
	case len(s.late) > 0:
		due := s.late[0]
		s.late = s.late[1:]
		return l.request(c, due)
	default:
		s.idle = append(s.idle, c)
	}
	return nil
}

func (l *Loop) request(c *conn, due time.Time) error {
	s := c.stream
	s.sent++
	c.pending = pending{busy: true, due: due, tries: max(1, s.Tries)}
	c.text, c.want = s.Next()
	return l.try(c)
}

// try sends the request of a connection.
func (l *Loop) try(c *conn) error {
	c.tries--
	if !l.send(c, c.text) {
		l.drop(c)
		return l.lost(c)
	}
	return nil
}

// intrude sends what needs no answer.
func (l *Loop) intrude(c *conn) error {
	s := c.stream
	text, _ := s.Next()
	s.sent++
	if s.counts {
		s.result.Answered++
	}
	if s.Hostile == hostile.Trickled {
		c.slow, text = text[1:], text[:1]
		s.slow = append(s.slow, c)
	}
	if !l.send(c, text) {
		return l.ended(c)
	}
	if s.Hostile == hostile.Dropped && len(c.out) == 0 {
		c.wants(l, true) // its turn comes again
	}
	return nil
}

// trickle sends the next byte of each slow connection.
func (l *Loop) trickle(s *stream) {
	s.slow = slices.DeleteFunc(s.slow, func(c *conn) bool {
		if c.fd < 0 || len(c.slow) == 0 {
			return true
		}
		next := c.slow[:1]
		c.slow = c.slow[1:]
		_ = l.send(c, next) // one that has ended is replaced
		return false
	})
}

// answered takes an answer once it is whole.
func (l *Loop) answered(c *conn) error {
	m, whole := parseMessage(c.in)
	if !whole {
		return nil
	}
	s := c.stream
	if s.Hostile > hostile.Answered { // it is refused, and may send on
		c.in = c.in[:0]
		return nil
	}
	right := c.busy && len(m.text) == len(c.in) && slices.Contains(s.Right, m.status()) && (c.want == nil || bytes.Equal(c.want, m.body))
	switch {
	case right || s.Hostile != 0:
	case c.tries > 0 && !m.head.close:
		c.in = c.in[:0]
		s.result.Retried++
		return l.try(c)
	default:
		s.wrong(string(c.in))
	}
	if s.counts {
		s.result.Answered++
	}
	if s.times {
		s.result.Latencies = append(s.result.Latencies, time.Since(c.due))
	}
	c.in, c.busy = c.in[:0], false
	if m.head.close {
		l.drop(c)
		return l.replace(c)
	}
	return l.next(c)
}

// lost is called when a connection has ended: its request is sent anew, or has no answer.
func (l *Loop) lost(c *conn) error {
	s := c.stream
	s.idle = slices.DeleteFunc(s.idle, func(other *conn) bool { return other == c })
	again := c.busy && c.tries > 0
	if c.busy && !again && s.Hostile == 0 {
		s.wrong("the connection was closed before the answer")
	}
	if s.stopped && !again {
		return nil
	}
	fresh, err := l.dial(s)
	if err != nil {
		return err
	}
	if again {
		s.result.Retried++
		fresh.pending = c.pending
		return l.try(fresh)
	}
	return l.replaced(fresh)
}

// replace makes another connection in place of one that ended behind its answer.
func (l *Loop) replace(c *conn) error {
	if c.stream.stopped {
		return nil
	}
	fresh, err := l.dial(c.stream)
	if err != nil {
		return err
	}
	return l.replaced(fresh)
}

func (l *Loop) replaced(fresh *conn) error {
	fresh.stream.result.Reconnected++
	return l.next(fresh)
}

func (s *stream) wrong(answer string) {
	s.result.Wrong++
	if s.result.First == "" {
		s.result.First = answer
	}
}

// pace makes the timer by which streams with a rate send, all with the same one, and slow connections.
func (l *Loop) pace(streams []*stream) (timer int, tick func(uint64), err error) {
	rate := 0
	for _, s := range streams {
		rate = max(rate, s.Rate)
		if s.Hostile == hostile.Trickled {
			rate = max(rate, bytesPerSecond)
		}
	}
	if rate == 0 {
		return -1, nil, nil
	}
	if timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC); err != nil {
		return -1, nil, fmt.Errorf("making a timer: %w", err)
	}
	period := time.Second / time.Duration(rate)
	every := unix.NsecToTimespec(int64(period))
	if err = unix.TimerfdSettime(timer, 0, &unix.ItimerSpec{Interval: every, Value: every}, nil); err == nil {
		err = l.watch(l.epoll, timer)
	}
	if err != nil {
		return -1, nil, errors.Join(err, unix.Close(timer))
	}
	due, ticks := time.Now(), 0
	return timer, func(times uint64) {
		for range times {
			due = due.Add(period)
			ticks++
			for _, s := range streams {
				if s.Rate > 0 {
					s.late = append(s.late, due)
				}
				if s.Hostile == hostile.Trickled && ticks%max(1, rate/bytesPerSecond) == 0 {
					l.trickle(s)
				}
			}
		}
		for _, s := range streams {
			for len(s.late) > 0 && len(s.idle) > 0 {
				c := s.idle[len(s.idle)-1]
				s.idle = s.idle[:len(s.idle)-1]
				_ = l.next(c) // a connection that has ended is replaced, or the next turn says why not
			}
		}
	}, nil
}

// bytesPerSecond is how fast a slow connection sends.
const bytesPerSecond = 20

// expirations are how often the timer has expired since it was asked.
func expirations(timer int) uint64 {
	var count [8]byte
	if n, err := unix.Read(timer, count[:]); err != nil || n != len(count) {
		return 0
	}
	return binary.NativeEndian.Uint64(count[:])
}
