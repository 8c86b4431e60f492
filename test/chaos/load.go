// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/diagnose"
)

// Load is a steady stream of numbered text messages to one endpoint, whose app answers with Reply.
type Load struct {
	// Name tells it from all other loads of a Ledger. It has no white space, and at most 50 bytes.
	Name  string
	Model Model
	// Sender plays WeChat for the endpoint.
	Sender *caller.Sender
	// Every is the time between two messages. Zero is a second.
	Every time.Duration
	// Most is how many messages are sent at most; 0 has no bound.
	Most int
	// Forge says that beside one of so many messages a forged one is sent; 0 sends none.
	Forge int
	// Repeat says that one of so many messages is sent once more after it was taken; 0 sends none.
	Repeat int
}

// Told is what WeChat was told of a message in the end.
type Told int

// What it was told.
const (
	Nothing      Told = iota // no try was taken
	Replied                  // the app's reply to this message
	Acknowledged             // success or nothing, in place of the app
	Misled                   // anything else with the status 200
)

// Message is what became of one message, as WeChat sees it.
type Message struct {
	Began, Ended time.Time
	Tries        int
	Told         Told
	// Reached says that a try came as far as a sidecar, as far as one can tell: it was taken, refused without a word, or not answered.
	Reached bool
}

// Sent is what became of a load.
type Sent struct {
	// Messages are by their numbers.
	Messages []Message
	// Tries are how often a try ended so, by its status or the words for having none.
	Tries map[string]int
	// Forged is how many forged messages were sent, Believed how many of them were answered with 200, and BelievedReplays how many of those bore the
	// query of a genuine message.
	Forged, Believed, BelievedReplays int
	// Repeated is how many messages were sent once more after they were taken, and Denied how many of them did not get the reply then.
	Repeated, Denied int
	// Took is how long the messages took until they were taken, further tries and pauses included. In any order.
	Took []time.Duration
}

// openID is the user who writes.
const openID = "oChaosUser000000000000000000"

// Run sends messages until ctx is done or there are enough, and returns when the last one is over.
func (l *Load) Run(ctx context.Context) Sent {
	r := &running{Load: l, sent: Sent{Tries: map[string]int{}}}
	every := l.Every
	if every == 0 {
		every = time.Second
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	var messages sync.WaitGroup
	for n := 0; l.Most == 0 || n < l.Most; n++ {
		select {
		case <-ctx.Done():
		case <-ticker.C:
			r.begin()
			messages.Go(func() { r.one(context.WithoutCancel(ctx), n) })
			continue
		}
		break
	}
	messages.Wait()
	return r.sent
}

// running is a Load while it sends.
type running struct {
	*Load
	mu   sync.Mutex
	sent Sent
}

// begin makes room for one message more.
func (r *running) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent.Messages = append(r.sent.Messages, Message{})
}

// one sends a message with all its tries, and then what goes with it.
func (r *running) one(ctx context.Context, n int) {
	request, err := r.Sender.NewText(openID, text(r.Name, n))
	if err != nil {
		panic(err) // the Sender's URL cannot be read
	}
	m := Message{Began: time.Now()}
	for again := true; again; {
		answer, err := r.Sender.Send(ctx, request)
		m.Tries++
		outcome := outcomeOf(answer, err)
		m.Reached = m.Reached || outcome == Silent || outcome != Broken && reached(answer)
		if outcome == Taken {
			m.Told = r.told(n, answer)
		}
		r.count(outcome, answer)
		var pause time.Duration
		if pause, again = r.Model.Next(m.Tries, outcome); again {
			time.Sleep(pause)
		}
	}
	m.Ended = time.Now()
	r.mu.Lock()
	r.sent.Messages[n] = m
	if m.Told != Nothing {
		r.sent.Took = append(r.sent.Took, m.Ended.Sub(m.Began))
	}
	r.mu.Unlock()
	if m.Told == Replied && r.Repeat > 0 && n%r.Repeat == 0 {
		r.repeat(ctx, n, request)
	}
	if r.Forge > 0 && n%r.Forge == 0 {
		r.forge(ctx, n/r.Forge, request)
	}
}

// outcomeOf reads what came of a try.
func outcomeOf(answer caller.Answer, err error) Outcome {
	switch {
	case err != nil && answer.Elapsed >= caller.Timeout:
		return Silent
	case err != nil:
		return Broken
	case answer.Status == http.StatusOK:
		return Taken
	}
	return Refused
}

// reached reports whether an answer is a sidecar's. Those of ingress controllers, who found none, have words in them.
func reached(answer caller.Answer) bool {
	return answer.Status == http.StatusOK || len(answer.Body) == 0
}

// told reads an answer with the status 200.
func (r *running) told(n int, answer caller.Answer) Told {
	if wechat.Acknowledges(answer.Body) { // the app's own reply says more
		return Acknowledged
	}
	if opened, err := r.Sender.OpenReply(answer.Body); err == nil {
		answer.Body = opened
	}
	reply, refusal := diagnose.Message(answer, nil)
	if refusal == nil && reply.Content == Reply(text(r.Name, n)) {
		return Replied
	}
	return Misled
}

// count counts a try.
func (r *running) count(outcome Outcome, answer caller.Answer) {
	how := strconv.Itoa(answer.Status)
	switch {
	case outcome == Silent:
		how = "silent"
	case outcome == Broken:
		how = "broken"
	case !reached(answer):
		how += " before a sidecar"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent.Tries[how]++
}

// repeat sends a message that was taken once more, as WeChat does whose connection broke too late.
func (r *running) repeat(ctx context.Context, n int, request *caller.Request) {
	answer, err := r.Sender.Send(ctx, request)
	replied := outcomeOf(answer, err) == Taken && r.told(n, answer) == Replied
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent.Repeated++
	if !replied {
		r.sent.Denied++
	}
}

// forge sends what somebody without the token can make of a message that he has seen.
func (r *running) forge(ctx context.Context, number int, genuine *caller.Request) {
	forgery := forgeries[number%len(forgeries)]
	answer, err := r.Sender.Send(ctx, forgery.make(r.Load, genuine))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent.Forged++
	if outcomeOf(answer, err) != Taken {
		return
	}
	r.sent.Believed++
	if forgery.replay {
		r.sent.BelievedReplays++
	}
}
