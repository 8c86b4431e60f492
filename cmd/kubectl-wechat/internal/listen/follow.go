// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"context"
	"errors"
	"io"
	"time"

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

// Interval is about how long it is from one look at which pods there are to the next.
const Interval = 2 * time.Second

// pause is how long a pod is left alone that failed.
const pause = 3 * time.Second

// Follow opens the tap of each pod that there is and of each that comes, and hands over what they tell, one event at a time, until ctx is done or the
// time is over for which the query asks. Pods returns which there are; its error ends all, unless some were known before. A pod whose tap ended because the
// time is over is not asked again. Follow returns nil at the end of the time and when ctx is done.
func (c Client) Follow(ctx context.Context, pods func(context.Context) ([]Pod, error), query tap.Query, take func(Event)) error {
	if query.For <= 0 || query.For > tap.MaxTime {
		query.For = tap.MaxTime
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, query.For)
	defer cancel()
	events, going, known := make(chan Event), map[string]bool{}, false
	ended := make(chan string)
	look := time.NewTimer(0)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			cancel()
			for len(going) > 0 { // the pods' goroutines end
				select {
				case <-events:
				case name := <-ended:
					delete(going, name)
				}
			}
			return nil
		case event := <-events:
			take(event)
		case name := <-ended:
			delete(going, name)
		case <-look.C:
			all, err := pods(ctx)
			if err != nil && !known && ctx.Err() == nil {
				cancel()
				return err
			}
			for _, pod := range all {
				if known = true; !going[pod.Name] {
					going[pod.Name] = true
					go func() {
						c.followOne(ctx, pod, remaining(query, began), events)
						ended <- pod.Name
					}()
				}
			}
			look.Reset(Interval)
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
