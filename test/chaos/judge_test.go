// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// second is so many seconds after a fault began.
func second(n int) time.Time { return time.Unix(1_700_000_000+int64(n), 0) }

// usual is a message that was answered on the first try.
func usual() Message {
	return Message{Began: second(1), Ended: second(1), Tries: 1, Told: Replied, Reached: true}
}

// but is a usual message with changes.
func but(change func(*Message)) Message {
	m := usual()
	change(&m)
	return m
}

func TestAccount(t *testing.T) {
	acknowledged := but(func(m *Message) { m.Told = Acknowledged })
	again := but(func(m *Message) { m.Tries, m.Ended = 2, second(6) })
	refused := but(func(m *Message) { m.Tries, m.Told = 4, Nothing })
	unreached := but(func(m *Message) { m.Tries, m.Told, m.Reached = 4, Nothing, false })
	misled := but(func(m *Message) { m.Told = Misled })
	death := []Death{{second(4), second(5)}}
	late, away := Expectation{Late: true}, Expectation{Away: true}
	for name, row := range map[string]struct {
		sent   []Message
		counts []byte
		deaths []Death
		expect Expectation
		want   Account // without what all have
		judged []string
	}{
		"all is well":                           {[]Message{usual(), usual()}, []byte{1, 1}, nil, Expectation{}, Account{Sent: 2, Delivered: 2}, nil},
		"nothing was sent, which shows nothing": {nil, nil, nil, Expectation{}, Account{}, []string{"f: nothing was sent"}},
		"one is lost although WeChat got a reply": {[]Message{usual(), usual()}, []byte{0, 1}, nil, late,
			Account{Sent: 2, Delivered: 1, Lost: 1}, []string{"f: 1 messages are lost"}},
		"the last one is lost": {[]Message{usual(), refused}, []byte{1}, nil, away,
			Account{Sent: 2, Delivered: 1, Lost: 1, TriedAgain: 1}, []string{"f: 1 messages are lost"}},
		"lost after an acknowledgement, where nothing may be": {[]Message{acknowledged}, nil, nil, away,
			Account{Sent: 1, Lost: 1, LostAcknowledged: 1}, []string{"f: 1 messages are lost"}},
		"lost after an acknowledgement, where it may be": {[]Message{acknowledged}, nil, nil, late, Account{Sent: 1, Lost: 1, LostAcknowledged: 1}, nil},
		"acknowledged and delivered":                     {[]Message{acknowledged}, []byte{1}, nil, Expectation{}, Account{Sent: 1, Delivered: 1}, nil},
		"lost without a sidecar, where nothing may be": {[]Message{unreached}, nil, nil, late,
			Account{Sent: 1, Lost: 1, LostUnreached: 1, TriedAgain: 1}, []string{"f: 1 messages are lost"}},
		"lost without a sidecar, while there was none": {[]Message{unreached}, nil, nil, away, Account{Sent: 1, Lost: 1, LostUnreached: 1, TriedAgain: 1}, nil},
		"refused in the end, and delivered":            {[]Message{refused}, []byte{1}, nil, Expectation{}, Account{Sent: 1, Delivered: 1, TriedAgain: 1}, nil},
		"twice": {[]Message{again}, []byte{2}, nil, Expectation{Late: true, Away: true},
			Account{Sent: 1, Delivered: 1, Twice: 1, TriedAgain: 1}, []string{"f: 1 messages came twice that were not under way when a pod ended"}},
		"twice, and a pod ended meanwhile": {[]Message{again}, []byte{3}, death, Expectation{}, Account{Sent: 1, Delivered: 1, Twice: 1, TwiceAtDeath: 1, TriedAgain: 1}, nil},
		"twice, and it was over before a pod ended": {[]Message{usual()}, []byte{2}, death, Expectation{},
			Account{Sent: 1, Delivered: 1, Twice: 1}, []string{"f: 1 messages came twice that were not under way when a pod ended"}},
		"twice, and it began after a pod had ended": {[]Message{but(func(m *Message) { m.Began, m.Ended = second(6), second(7) })}, []byte{2}, death, Expectation{},
			Account{Sent: 1, Delivered: 1, Twice: 1}, []string{"f: 1 messages came twice that were not under way when a pod ended"}},
		"a number that nobody sent": {[]Message{usual()}, []byte{1, 2}, nil, Expectation{},
			Account{Sent: 1, Delivered: 1, Forged: 2}, []string{"f: 2 forged messages reached the app"}},
		"another reply": {[]Message{misled}, []byte{1}, nil, Expectation{},
			Account{Sent: 1, Delivered: 1, Misled: 1}, []string{"f: 1 messages were answered with something else than the app's reply"}},
	} {
		t.Run(name, func(t *testing.T) {
			row.want.Name = "f"
			got := MakeAccount("f", "load", Sent{Messages: row.sent}, Seen{Counts: map[string][]byte{"load": row.counts, "other": {9, 9, 9}}}, row.deaths)
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("account (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(row.judged, row.expect.Judge(got)); diff != "" {
				t.Errorf("complaints (-want +got):\n%s", diff)
			}
		})
	}
}

// TestWhatIsCountedBesideTheMessages is judged too, whatever a fault may do.
func TestWhatIsCountedBesideTheMessages(t *testing.T) {
	sent := Sent{Messages: []Message{usual()}, Forged: 7, Believed: 3, BelievedReplays: 2, Repeated: 5, Denied: 2, Tries: map[string]int{"200": 1, "502 before a sidecar": 3}}
	seen := Seen{Counts: map[string][]byte{"load": {1}}, Strange: map[string]int{"load": 2, "load/replayed": 4, "": 1, "other": 5}, Uncounted: 4}
	a := MakeAccount("fault/A", "load", sent, seen, nil)
	others := []string{"fault/A: 2 repeats did not get the reply", "fault/A: 4 messages are not counted: the ledger is too small"}
	for _, row := range []struct {
		expect Expectation
		forged []string
	}{
		{Expectation{Late: true, Away: true}, []string{"fault/A: 7 forged messages reached the app", "fault/A: 3 forged messages were answered with 200"}},
		{Expectation{Unbound: true}, []string{"fault/A: 3 forged messages reached the app", "fault/A: 1 forged messages were answered with 200"}},
	} {
		if diff := cmp.Diff(slices.Concat(row.forged, others), row.expect.Judge(a)); diff != "" {
			t.Errorf("%+v: complaints (-want +got):\n%s", row.expect, diff)
		}
	}
	const want = "chaos: fault/A 1 sent, 1 delivered, 0 twice, 0 lost, 7 forged (0 tried again, 7 forgeries sent, 4 forged with a used query, 3 forgeries answered with 200, 5 repeated, " +
		"2 repeats without the reply, 4 not counted; tries: 1 200, 3 502 before a sidecar)"
	if a.String() != want {
		t.Errorf("it prints\n%s\nwant\n%s", a, want)
	}
}

func TestLateFailuresAreCompared(t *testing.T) {
	a, b := Account{Lost: 3, LostAcknowledged: 2}, Account{LostAcknowledged: 1}
	if complaints := CompareLate("e", 3, a, b); complaints != nil {
		t.Errorf("complains of what is equal: %v", complaints)
	}
	for _, late := range []int{2, 4} {
		if complaints := CompareLate("e", late, a, b); len(complaints) != 1 {
			t.Errorf("%d late failures of 3: %v", late, complaints)
		}
	}
}
