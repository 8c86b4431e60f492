// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Death is a time within which a pod ended without notice.
type Death struct{ From, To time.Time }

// Account is what became of a load: what was sent, compared with what the app saw.
type Account struct {
	// Name is what is printed before the numbers.
	Name string
	// Sent is how many messages were sent, Delivered how many of them the app saw, Twice how many it saw more than once, and Lost how many it
	// did not see.
	Sent, Delivered, Twice, Lost int
	// Forged is how many messages the app saw that nobody had sent, and Replayed how many of them bore the query of a genuine message.
	Forged, Replayed int

	// Of those that are lost: WeChat was told success in the app's place; no try came as far as a sidecar.
	LostAcknowledged, LostUnreached int
	// Of those that came twice: they were under way when a pod ended without notice.
	TwiceAtDeath int

	// Of those that were sent: they needed more than one try; WeChat was told something else than the app's reply or success.
	TriedAgain, Misled int
	// ForgedSent is how many forged messages were sent, Believed how many of them were answered with 200, and BelievedReplays how many of those bore
	// the query of a genuine message.
	ForgedSent, Believed, BelievedReplays int
	// Repeated is how many messages were sent once more after they were taken, and Denied how many of them did not get the reply then.
	Repeated, Denied int
	// Uncounted is how many messages the ledger had no room for.
	Uncounted int
	// Tries are how often a try ended so.
	Tries map[string]int
}

// MakeAccount compares what was sent with what was seen of that load.
func MakeAccount(name, load string, sent Sent, seen Seen, deaths []Death) Account {
	replayed := seen.Strange[replaysOf(load)]
	a := Account{
		Name: name, Sent: len(sent.Messages), Forged: seen.Strange[load] + seen.Strange[""] + replayed, Replayed: replayed, Uncounted: seen.Uncounted,
		ForgedSent: sent.Forged, Believed: sent.Believed, BelievedReplays: sent.BelievedReplays, Repeated: sent.Repeated, Denied: sent.Denied, Tries: sent.Tries,
	}
	counts := seen.Counts[load]
	for n, m := range sent.Messages {
		times := 0
		if n < len(counts) {
			times = int(counts[n])
		}
		a.add(m, times, deaths)
	}
	for _, times := range counts[min(len(counts), len(sent.Messages)):] {
		a.Forged += int(times)
	}
	return a
}

// add adds a message that the app saw so many times.
func (a *Account) add(m Message, times int, deaths []Death) {
	if m.Tries > 1 {
		a.TriedAgain++
	}
	if m.Told == Misled {
		a.Misled++
	}
	switch {
	case times > 0:
		a.Delivered++
	case m.Told == Acknowledged:
		a.Lost, a.LostAcknowledged = a.Lost+1, a.LostAcknowledged+1
	case !m.Reached:
		a.Lost, a.LostUnreached = a.Lost+1, a.LostUnreached+1
	default:
		a.Lost++
	}
	if times > 1 {
		a.Twice++
		if m.underWay(deaths) {
			a.TwiceAtDeath++
		}
	}
}

// underWay reports whether the message was under way while a pod ended.
func (m Message) underWay(deaths []Death) bool {
	return slices.ContainsFunc(deaths, func(d Death) bool { return !m.Began.After(d.To) && !m.Ended.Before(d.From) })
}

// String is one line.
func (a Account) String() string {
	line := fmt.Sprintf("chaos: %s %d sent, %d delivered, %d twice, %d lost, %d forged", a.Name, a.Sent, a.Delivered, a.Twice, a.Lost, a.Forged)
	details := []string{fmt.Sprintf("%d tried again", a.TriedAgain), fmt.Sprintf("%d forgeries sent", a.ForgedSent)}
	for _, detail := range []struct {
		number int
		what   string
	}{
		{a.LostAcknowledged, "acknowledged and lost"}, {a.LostUnreached, "lost that reached no sidecar"},
		{a.TwiceAtDeath, "twice at a pod's end"}, {a.Misled, "answered wrongly"}, {a.Replayed, "forged with a used query"},
		{a.Believed, "forgeries answered with 200"},
		{a.Repeated, "repeated"}, {a.Denied, "repeats without the reply"}, {a.Uncounted, "not counted"},
	} {
		if detail.number > 0 {
			details = append(details, fmt.Sprintf("%d %s", detail.number, detail.what))
		}
	}
	tries := []string{}
	for _, how := range slices.Sorted(maps.Keys(a.Tries)) {
		tries = append(tries, fmt.Sprintf("%d %s", a.Tries[how], how))
	}
	return line + " (" + strings.Join(details, ", ") + "; tries: " + strings.Join(tries, ", ") + ")"
}

// Expectation is what a fault may do. The zero value lets nothing be lost, and nothing come twice but what was under way when a pod ended
// without notice.
type Expectation struct {
	// Late lets messages be lost that WeChat was told success of, at the deadline, in the app's place. CompareLate compares their number.
	Late bool
	// Away lets messages be lost that came as far as no sidecar.
	Away bool
	// Unbound lets forged messages reach the app that bear the query of a genuine one: in plaintext mode a signature covers no body, and a pod that can be
	// told nothing, and ask nobody, does not know what another one has bound.
	Unbound bool
}

// Judge says what of an account is not as it is expected.
func (e Expectation) Judge(a Account) (complaints []string) {
	lost := a.Lost
	if e.Late {
		lost -= a.LostAcknowledged
	}
	if e.Away {
		lost -= a.LostUnreached
	}
	forged, believed := a.Forged, a.Believed
	if e.Unbound {
		forged, believed = forged-a.Replayed, believed-a.BelievedReplays
	}
	for _, complaint := range []struct {
		number int
		what   string
	}{
		{lost, "messages are lost"},
		{a.Twice - a.TwiceAtDeath, "messages came twice that were not under way when a pod ended"},
		{forged, "forged messages reached the app"},
		{believed, "forged messages were answered with 200"},
		{a.Misled, "messages were answered with something else than the app's reply"},
		{a.Denied, "repeats did not get the reply"},
		{a.Uncounted, "messages are not counted: the ledger is too small"},
	} {
		if complaint.number > 0 {
			complaints = append(complaints, fmt.Sprintf("%s: %d %s", a.Name, complaint.number, complaint.what))
		}
	}
	if a.Sent == 0 {
		complaints = append(complaints, a.Name+": nothing was sent")
	}
	return complaints
}

// CompareLate compares what the sidecars of an endpoint count as late failures with what is lost of its loads.
func CompareLate(name string, late int, loads ...Account) (complaints []string) {
	lost := 0
	for _, a := range loads {
		lost += a.LostAcknowledged
	}
	if lost != late {
		return []string{fmt.Sprintf("%s: %d messages were acknowledged and are lost, and the sidecars count %d late failures", name, lost, late)}
	}
	return nil
}
