// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
	"github.com/wechatendpoint/wechatendpoint/sidecar/tap"
)

// Event is what one pod tells. One of Line, Opened, Ended and Err says what.
type Event struct {
	Pod Pod
	// Stream is for answers to the messages of the line.
	Stream *Stream
	Line   *tap.Line
	// Opened says that the pod is listened to from now on.
	Opened bool
	// Err says why it is not, or not any more. It is tried again unless Over.
	Err error
	// Over says that the pod will not be asked again.
	Over bool
}

// ErrLate is of a pod that was asked, and did not answer until the time was over.
var ErrLate = text.Errorf("it did not answer in time: listen for longer")

// Interval is about how long it is from one look at which pods there are to the next.
const Interval = 2 * time.Second

// pause is how long a pod is left alone that failed.
const pause = 3 * time.Second

// Follow opens the tap of each pod that there is, and of each that comes. It hands over what they tell, one event at a time, until ctx is done or the
// time is over for which the query asks. When the time is over, it hands over ErrLate for each pod that has not answered. Then it returns nil.
//
// Pods returns which pods there are. Its error is returned, unless some were known before. A pod's error is returned where no pod will ever be
// listened to.
func (c Client) Follow(ctx context.Context, pods func(context.Context) ([]Pod, error), query tap.Query, take func(Event)) error {
	if query.For <= 0 || query.For > tap.MaxTime {
		query.For = tap.MaxTime
	}
	within, cancel := context.WithTimeout(ctx, query.For)
	f := follower{
		client: c, query: query, began: time.Now(), events: make(chan Event), ended: make(chan string),
		going: map[string]bool{}, silent: map[string]Pod{}, over: map[string]error{},
	}
	defer f.wait()
	defer cancel()
	look := time.NewTimer(0)
	defer look.Stop()
	for known := false; within.Err() == nil; {
		select {
		case <-within.Done():
		case event := <-f.events:
			if within.Err() == nil { // else it may be an error of the end itself
				f.hear(event)
				take(event)
			}
		case name := <-f.ended:
			delete(f.going, name)
		case <-look.C:
			all, err := pods(within)
			if err != nil && !known && ctx.Err() == nil {
				return err
			}
			if err := f.allOver(all); err != nil {
				return err
			}
			for _, pod := range all {
				known = true
				f.begin(within, pod)
			}
			look.Reset(Interval)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.silent)) {
		if ctx.Err() == nil {
			take(Event{Pod: f.silent[name], Err: ErrLate})
		}
	}
	return nil
}

// follower follows the pods of an endpoint.
type follower struct {
	client Client
	query  tap.Query
	began  time.Time
	events chan Event
	ended  chan string
	going  map[string]bool  // the pods that are followed
	silent map[string]Pod   // those that have not answered yet
	over   map[string]error // those that will not be asked again, and why
}

// begin follows a pod, unless it is followed already.
func (f *follower) begin(ctx context.Context, pod Pod) {
	if f.going[pod.Name] {
		return
	}
	f.going[pod.Name], f.silent[pod.Name] = true, pod
	query := remaining(f.query, f.began)
	go func() {
		f.client.followOne(ctx, pod, query, f.events)
		f.ended <- pod.Name
	}()
}

// hear notes that a pod has told something.
func (f *follower) hear(event Event) {
	delete(f.silent, event.Pod.Name)
	if event.Over {
		f.over[event.Pod.Name] = event.Err
	}
}

// allOver returns why none of the pods will be listened to; nil where one of them may.
func (f *follower) allOver(pods []Pod) (why error) {
	for _, pod := range pods {
		if why = f.over[pod.Name]; why == nil {
			return nil
		}
	}
	return why
}

// wait waits until no pod is followed any more.
func (f *follower) wait() {
	for len(f.going) > 0 {
		select {
		case <-f.events:
		case name := <-f.ended:
			delete(f.going, name)
		}
	}
}

// remaining is the query of a tap that is opened later than the first.
func remaining(query tap.Query, began time.Time) tap.Query {
	passed := time.Since(began)
	query.For = max(time.Second, query.For-passed)
	if query.Keep > 0 {
		query.Keep = max(0, query.Keep-passed)
	}
	return query
}

// followOne follows a pod until it ends. Then it waits before it may be followed again.
func (c Client) followOne(ctx context.Context, pod Pod, query tap.Query, events chan<- Event) {
	tell := func(event Event) {
		event.Pod = pod
		select {
		case events <- event:
		case <-ctx.Done():
		}
	}
	s, err := c.Open(ctx, pod, query)
	if err != nil {
		tell(Event{Err: err, Over: permanent(err)})
		pauseFor(ctx, permanent(err))
		return
	}
	defer s.Close()
	tell(Event{Opened: true, Stream: s})
	for {
		line, err := s.Next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF // the last line says that it is the last
			}
			tell(Event{Err: err, Stream: s})
			pauseFor(ctx, false)
			return
		}
		tell(Event{Line: &line, Stream: s})
		if line.Ended != "" {
			pauseFor(ctx, line.Ended == tap.EndTime)
			return
		}
	}
}

// permanent reports whether the pod will say the same again.
func permanent(err error) bool {
	var refused *Refused
	return errors.Is(err, ErrNoTap) || errors.As(err, &refused) && refused.Reason != tap.Full && refused.Reason != tap.Ended
}

// pauseFor waits before a pod may be asked again; where it would say the same, until the end.
func pauseFor(ctx context.Context, always bool) {
	if always {
		<-ctx.Done()
		return
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
