// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// fleet answers for pods, and counts how often each is asked.
type fleet struct {
	mu     sync.Mutex
	asked  map[string]int
	answer func(address string) []byte
	slow   func(address string) bool // says nothing after the head
}

// askedThrough returns a Prober that asks the fleet.
func (f *fleet) askedThrough() *Prober {
	f.asked = map[string]int{}
	prober := New(1)
	prober.sharedClient.Transport.(*http.Transport).DialContext = func(_ context.Context, _, address string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		ours, theirs := net.Pipe()
		go f.serve(host, theirs)
		return ours, nil
	}
	return prober
}

func (f *fleet) serve(host string, conn net.Conn) {
	defer conn.Close()
	if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
		return
	}
	f.mu.Lock()
	f.asked[host]++
	f.mu.Unlock()
	body := f.answer(host)
	_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(body))
	if f.slow != nil && f.slow(host) {
		_, _ = io.Copy(io.Discard, conn) // until it is hung up
		return
	}
	_, _ = conn.Write(body)
}

func known(s *shared) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var addresses []string
	for address := range s.said {
		addresses = append(addresses, address)
	}
	slices.Sort(addresses)
	return addresses
}

// TestManyAskersAskAPodOnce: what it said is believed for a moment, and not kept for longer. One that says something odd is not asked by each of them
// either.
func TestManyAskersAskAPodOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pods := &fleet{answer: func(address string) []byte {
			if address == "10.0.0.3" {
				return []byte("nothing")
			}
			return []byte(`{"version":2,"ready":true,"entries":{"shop":{"generation":"` + address + `","ready":true}}}`)
		}}
		p, addresses := pods.askedThrough(), []string{"10.0.0.2", "10.0.0.3", "10.0.0.1"}
		all := func() {
			var group sync.WaitGroup
			for range 100 {
				group.Go(func() {
					processes := p.AskShared(t.Context(), addresses)
					for i, process := range processes {
						if broken := addresses[i] == "10.0.0.3"; (process.Err != nil) != broken || !broken && process.Of("shop").Status.Generation != addresses[i] {
							t.Errorf("%s: %+v", addresses[i], process)
						}
					}
				})
			}
			group.Wait()
		}
		all()
		if diff := cmp.Diff(map[string]int{"10.0.0.1": 1, "10.0.0.2": 1, "10.0.0.3": 1}, pods.asked); diff != "" {
			t.Errorf("asked (-want +got):\n%s", diff)
		}
		time.Sleep(fresh)
		all()
		if diff := cmp.Diff(map[string]int{"10.0.0.1": 2, "10.0.0.2": 2, "10.0.0.3": 2}, pods.asked); diff != "" {
			t.Errorf("asked again (-want +got):\n%s", diff)
		}
		time.Sleep(fresh)
		p.AskShared(t.Context(), addresses[:1])
		if diff := cmp.Diff(addresses[:1], known(&p.shared)); diff != "" {
			t.Errorf("known (-want +got):\n%s", diff)
		}
	})
}

// TestPodsThatAnswerSlowlyHoldUpNoOther: as many as are read at once, and as many again, let the head come and then say nothing.
func TestPodsThatAnswerSlowlyHoldUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pods := &fleet{
			answer: func(string) []byte { return []byte(`{"version":2,"ready":true}`) },
			slow:   func(address string) bool { return strings.HasPrefix(address, "10.0.1.") },
		}
		p, slow := pods.askedThrough(), make([]string, 2*maxReading)
		for i := range slow {
			slow[i] = fmt.Sprint("10.0.1.", i)
		}
		var group sync.WaitGroup
		group.Go(func() {
			for i, process := range p.AskShared(t.Context(), slow) {
				if process.Err == nil {
					t.Errorf("slow pod %d is said to have answered", i)
				}
			}
		})
		synctest.Wait()
		if process := p.AskShared(t.Context(), []string{"10.0.0.1"})[0]; process.Err != nil {
			t.Errorf("of another one nothing is read: %v", process.Err)
		}
		group.Wait()
	})
}

// TestWhoIsBeingAskedIsNotForgotten: another one would ask at the same time.
func TestWhoIsBeingAskedIsNotForgotten(t *testing.T) {
	var s shared
	now := time.Unix(1, 0)
	asked := s.of("10.0.0.1", now)
	asked.mu.Lock()
	defer asked.mu.Unlock()
	if s.of("10.0.0.2", now.Add(time.Hour)); s.of("10.0.0.1", now.Add(time.Hour)) != asked {
		t.Error("it is forgotten")
	}
}

// TestWhatAPodWithManyEntriesSays: what no sidecar says is not believed, and of a long answer no more is read than up to there.
func TestWhatAPodWithManyEntriesSays(t *testing.T) {
	many := func(count int) string {
		var text strings.Builder
		for i := range count {
			fmt.Fprintf(&text, `,"e%d":{}`, i)
		}
		return `{"version":2,"entries":{` + text.String()[1:] + `}}`
	}
	one := func(status string) string { return `{"version":2,"entries":{"shop":{` + status + `}}}` }
	for name, test := range map[string]struct {
		answer string
		err    string
	}{
		"as many entries as a sidecar has":  {many(config.MaxEntries), ""},
		"more than it has":                  {many(config.MaxEntries + 1), "more entries than a sidecar has"},
		"no entries":                        {`{"version":2,"ready":true,"entries":{}}`, ""},
		"nothing of entries":                {`{"version":2}`, ""},
		"more than this operator knows of":  {`{"more":{"a":[1]},"version":2,"entries":{"shop":{"more":1}}}`, ""},
		"an account that no sidecar tells":  {one(`"wrongReceiver":{"id":"wx1: call 555"}`), `of entry "shop": the wrong receiver is no id`},
		"uses of more generations":          {one(`"used":{"1":{},"2":{},"3":{},"4":{},"5":{},"6":{},"7":{},"8":{},"9":{}}`), "more than a sidecar has to say"},
		"an entry that is too long":         {one(`"generation":"` + strings.Repeat("a", 4*maxAnswer) + `"`), "unexpected EOF"},
		"a name that is too long":           {`{"entries":{"` + strings.Repeat("a", 4*maxAnswer) + `":{}}}`, "EOF"},
		"a problem that is too long":        {`{"problem":"` + strings.Repeat("a", 4*maxAnswer) + `"}`, "EOF"},
		"something unknown that is as long": {`{"more":"` + strings.Repeat("a", 4*maxAnswer) + `"}`, "EOF"},
		"blanks without end":                {`{` + strings.Repeat(" ", 4*maxAnswer) + `}`, "EOF"},
		"a list":                            {`[]`, "it is no object"},
		"entries that are a list":           {`{"entries":[]}`, "it is no object"},
		"an end in the middle":              {`{"entries":{"shop":{}`, "EOF"},
		"something else":                    {"<html>", "it is no object"},
	} {
		t.Run(name, func(t *testing.T) {
			process, err := readProcess(strings.NewReader(test.answer))
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("error %v, want %q", err, test.err)
			}
			if err == nil && process.Version != 2 {
				t.Errorf("it is version %d", process.Version)
			}
		})
	}
}

// TestAProcessSaysOfAnEntry what it serves; of one that it does not know, which version it reads.
func TestAProcessSaysOfAnEntry(t *testing.T) {
	process := Process{Status: config.ProcessStatus{Version: 3, Ready: true, Problem: "p", Entries: map[string]config.Status{"shop": {Generation: "g", Version: 3}}}}
	for got, want := range map[*Result]Result{
		new(process.Of("shop")):  {Status: config.Status{Generation: "g", Version: 3}},
		new(process.Of("other")): {Status: config.Status{Version: 3}},
		new(process.Whole()):     {Status: config.Status{Version: 3, Ready: true, Problem: "p"}},
	} {
		if diff := cmp.Diff(want, *got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// TestManyLongAnswersAreBounded: as many pods as a gateway has answer with much at once.
func TestManyLongAnswersAreBounded(t *testing.T) {
	addresses := make([]string, 100)
	for i := range addresses {
		addresses[i] = fmt.Sprint("10.0.0.", i)
	}
	for name, answer := range map[string]string{
		"entries without end":           `{"entries":{` + strings.Repeat(`"%s":{},`, 200_000) + `"":{}}}`,
		"uses of every generation":      `{"entries":{"shop":{"used":{` + strings.Repeat(`"1":{},`, 500_000) + `"1":{}}}}}`,
		"serials without end":           `{"entries":{"shop":{"serials":[` + strings.Repeat(`"",`, 1_000_000) + `""]}}}`,
		"something unknown without end": `{"more":[` + strings.Repeat(`[],`, 1_000_000) + `[]]}`,
	} {
		if strings.Contains(answer, "%s") {
			var text strings.Builder
			for i, part := range strings.Split(answer, "%s") {
				text.WriteString(part)
				fmt.Fprint(&text, i)
			}
			answer = text.String()
		}
		body := []byte(answer)
		pods := &fleet{answer: func(string) []byte { return body }}
		p := pods.askedThrough()
		peak := peakOf(func() {
			for _, process := range p.AskShared(t.Context(), addresses) {
				if process.Err == nil {
					t.Errorf("%s: it is taken for an answer", name)
				}
			}
		})
		if peak > 48<<20 {
			t.Errorf("%s: %d pods took %d MiB of the memory", name, len(addresses), peak>>20)
		}
	}
}
