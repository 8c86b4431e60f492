// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/listen"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
	"github.com/wechatendpoint/wechatendpoint/sidecar/tap"
)

// Headers of the app's request by which a message is chosen and shown.
const (
	headerType   = "X-Wechat-Message-Type"
	headerEvent  = "X-Wechat-Event"
	headerOpenID = "X-Wechat-Open-Id"
)

// copiesAtOnce bounds how many messages a program on this computer gets at once. Those beyond it are left out.
const copiesAtOnce = 16

// listener shows what the pods tell.
type listener struct {
	plugin  Plugin
	options options
	copies  *copies // nil where none are sent

	mu     sync.Mutex // of the output, too
	known  map[string]*shown
	missed bool
	places chan struct{}
	going  sync.WaitGroup
}

// shown is a message until it is known what became of it.
type shown struct {
	message *tap.Message
}

// listen shows messages as they come.
func (p Plugin) listen(ctx context.Context, o options) (int, error) {
	t, err := p.tapped(ctx, o)
	if err != nil {
		return 0, err
	}
	l := &listener{plugin: p, options: o, known: map[string]*shown{}, places: make(chan struct{}, copiesAtOnce)}
	if o.forwardTo != "" {
		l.copies = newCopies(o.forwardTo, t.client.GatewayKey)
	}
	query := tap.Query{Messages: true, Follow: true, For: o.duration, Keep: o.keep, Take: o.takeUsers}
	err = t.client.Follow(ctx, t.pods, query, func(event listen.Event) { l.take(ctx, event) })
	l.going.Wait()
	switch {
	case err != nil:
		return 0, listen.Explain(err)
	case l.missed:
		return StatusRefused, nil
	}
	return StatusOK, nil
}

// take shows what a pod tells.
func (l *listener) take(ctx context.Context, event listen.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case event.Opened:
		l.note("listening to pod %s until %s", event.Pod.Name, event.Stream.Hello.Until.Format(time.TimeOnly))
	case event.Err != nil:
		if ctx.Err() == nil {
			l.missed = true
			l.note("pod %s is not listened to: %s", event.Pod.Name, listen.Explain(event.Err))
		}
	case event.Line != nil:
		l.line(ctx, event)
	}
}

func (l *listener) line(ctx context.Context, event listen.Event) {
	line := *event.Line
	if line.Message != nil && !l.wantsMessage(line.Message) || line.Verdict != nil && !l.wantsVerdict(line.Verdict) {
		return
	}
	if l.options.output == outputJSON {
		l.json(event.Pod.Name, line)
	}
	switch {
	case line.Message != nil:
		l.message(ctx, event.Stream, line.Message)
	case line.Verdict != nil:
		l.verdict(event.Pod.Name, line.Verdict)
	case line.Dropped > 0:
		l.missed = true
		l.note("%d lines of pod %s were left out: they came faster than they are read here", line.Dropped, event.Pod.Name)
	case line.Ended != "" && line.Ended != tap.EndTime:
		l.note("pod %s tells no more: %s", event.Pod.Name, ends[line.Ended])
	}
}

// ends are why taps end.
var ends = map[tap.End]text.Text{
	tap.EndKey:    text.New("the endpoint has another gateway key; start again"),
	tap.EndServed: text.New("it does not serve the endpoint any more"),
	tap.EndDrain:  text.New("it ends, and others take over"),
}

// note tells what is no message. It does not disturb who reads the output with a program.
func (l *listener) note(format string, values ...any) {
	l.plugin.report(l.plugin.Stderr).line("note", format, values...)
}

// toldLine is what -o json prints: a line of a pod's tap, and the pod.
type toldLine struct {
	Pod string `json:"pod"`
	tap.Line
}

func (l *listener) json(pod string, line tap.Line) {
	if line == (tap.Line{}) {
		return
	}
	_ = json.NewEncoder(l.plugin.Stdout).Encode(toldLine{pod, line}) // who reads it no more ends the program
}

// wantsMessage reports whether the filters choose a message.
func (l *listener) wantsMessage(m *tap.Message) bool {
	header := http.Header(m.Header)
	o := l.options
	return chosen(o.types, header.Get(headerType)) && chosen(o.users, header.Get(headerOpenID)) && chosen(o.events, eventOf(m))
}

// wantsVerdict: what became of a message that was chosen, and without filters all.
func (l *listener) wantsVerdict(v *tap.Verdict) bool {
	o := l.options
	if len(o.types)+len(o.users)+len(o.events) == 0 || l.known[v.Delivery] != nil {
		return true
	}
	return len(o.users) == 0 && v.Reason == "" && chosen(o.types, v.Type) && chosen(o.events, v.Event)
}

func chosen(wanted []string, value string) bool {
	return len(wanted) == 0 || slices.Contains(wanted, value)
}

// eventOf is the event of a message, or its InfoType.
func eventOf(m *tap.Message) string { return http.Header(m.Header).Get(headerEvent) }

// mostKnown bounds the messages of which it is not known what became of them.
const mostKnown = 4096

// message keeps a message until it is known what became of it, and sends a copy.
func (l *listener) message(ctx context.Context, stream *listen.Stream, m *tap.Message) {
	one := &shown{message: m}
	if len(l.known) < mostKnown {
		l.known[m.Delivery] = one
	}
	if l.copies == nil || m.Kept {
		return
	}
	select {
	case l.places <- struct{}{}:
	default:
		l.missed = true
		l.note("no copy of message %s was sent: the program has %d already", m.Delivery, copiesAtOnce)
		return
	}
	l.going.Go(func() {
		defer func() { <-l.places }()
		l.sendCopy(ctx, stream, one)
	})
}

// sendCopy sends a copy, and where the tap takes the message the answer goes to WeChat.
func (l *listener) sendCopy(ctx context.Context, stream *listen.Stream, one *shown) {
	m := one.message
	got := l.copies.send(ctx, m, headOf(m))
	if m.Turn != 0 {
		declined := got.err != nil || got.status != http.StatusOK || got.long
		if declined {
			got.body = nil
		}
		if err := stream.Answer(ctx, m.Turn, got.body, declined); err != nil && ctx.Err() == nil {
			l.mu.Lock()
			l.note("the answer to message %s came too late, or did not reach the pod: the app answers it", m.Delivery)
			l.mu.Unlock()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case ctx.Err() != nil:
	case got.err != nil:
		l.note("%s did not answer message %s: %v", l.options.forwardTo, m.Delivery, got.err)
	case l.options.output == outputJSON:
		l.note("%s answered message %s with status %d after %v", l.options.forwardTo, m.Delivery, got.status, got.took.Round(time.Millisecond))
	default:
		l.note("%s answered message %s with status %d after %v: %s", l.options.forwardTo, m.Delivery, got.status, got.took.Round(time.Millisecond), text.Verbatim(firstLine(got.body)))
	}
}

// firstLine is the beginning of an answer.
func firstLine(body []byte) string {
	const most = 100
	shown, _, _ := strings.Cut(string(body), "\n")
	if len(shown) > most {
		shown = shown[:most] + "…"
	}
	return printable(shown)
}

// verdict writes a line for a callback: when, what it was, of whom, what became of it.
func (l *listener) verdict(pod string, v *tap.Verdict) {
	one := l.known[v.Delivery]
	delete(l.known, v.Delivery)
	if l.options.output == outputJSON {
		return
	}
	p := l.plugin
	became := p.paint(green, cmp.Or(v.Outcome, "-"), p.Stdout)
	switch {
	case v.Reason != "" && v.Status < 300:
		became = p.paint(yellow, p.say("let through unverified")+" "+v.Reason, p.Stdout)
	case v.Reason != "":
		became = p.paint(red, p.say("refused")+" "+v.Reason, p.Stdout)
	case v.Status >= 300:
		became = p.paint(yellow, strings.TrimSuffix(v.Outcome+" "+v.Cause, " "), p.Stdout)
	}
	user, kind := "-", strings.Trim(v.Type+" "+v.Event, " ")
	if one != nil {
		header := http.Header(one.message.Header)
		user, kind = cmp.Or(header.Get(headerOpenID), "-"), strings.Trim(header.Get(headerType)+" "+eventOf(one.message), " ")
	}
	var more []string
	for _, mark := range []struct {
		is   bool
		word string
	}{{v.Taken, p.say("answered from here")}, {v.Repeat, p.say("repeat")}, {v.Played, p.say("played")}} {
		if mark.is {
			more = append(more, mark.word)
		}
	}
	fmt.Fprintln(p.Stdout, strings.Join(slices.DeleteFunc([]string{
		v.At.Local().Format("15:04:05.000"), text.Pad(printable(cmp.Or(kind, "-")), 24), text.Pad(printable(user), 28), cmp.Or(printable(v.Delivery), "-"),
		became, fmt.Sprint(v.Status), fmt.Sprintf("%dms", v.Millis), strings.Join(more, ", "), pod,
	}, func(part string) bool { return part == "" }), "  "))
	if l.options.output == outputWide && one != nil {
		for line := range strings.Lines(string(one.message.Body)) {
			fmt.Fprintf(p.Stdout, "    %s\n", printable(strings.TrimRight(line, "\r\n")))
		}
	}
}
