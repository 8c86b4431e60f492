// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package tracing_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/tracing"
	"github.com/wechatendpoint/wechatendpoint/sidecar/sidecartest"
)

// process is a Tracer with what it counts and logs.
type process struct {
	*tracing.Tracer
	sent, dropped atomic.Int64
	log           strings.Builder
}

func newProcess(endpoint string, room int) *process {
	p := &process{}
	p.Tracer = tracing.New(tracing.Options{
		Endpoint: endpoint, PerMillion: 1_000_000, Room: room, Instance: "pod-1",
		Sent: func(n int) { p.sent.Add(int64(n)) }, Dropped: func(n int) { p.dropped.Add(int64(n)) },
		Log: slog.New(slog.NewTextHandler(&p.log, nil)),
	})
	return p
}

// end ends the process and waits for the collector as long as that.
func (p *process) end(patience time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	p.Close(ctx)
}

// message is one as long as they may be, to an app with a long name.
func message(n int) tracing.Message {
	return tracing.Message{
		Key: [32]byte{byte(n), byte(n >> 8)}, Secret: []byte("a gateway key"), Arrived: time.Now(), Endpoint: "team-a/" + strings.Repeat("e", 40),
		Platform: "OfficialAccount", Host: strings.Repeat("h", 63) + ".example.com", Route: "/" + strings.Repeat("p", 255), Kind: tracing.KindMessage,
	}
}

const app = "http://shop-app.team-a.svc:8080"

// tell tells of a message and of a call of an app, which failed.
func (p *process) tell(n int) {
	trace := p.Begin(message(n))
	call := trace.Call(app)
	call.Inject(nil)
	call.End(tracing.Result{Outcome: "unavailable", Failure: "refused", Status: 500, Retries: 3})
	trace.Repeat()
	trace.Conclude("unavailable")
	trace.End(503)
}

// TestOffCostsNothing: no allocation, no goroutine.
func TestOffCostsNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	off := newProcess("", 512)
	about := message(1)
	head := make([]byte, 0, 8)
	if allocations := testing.AllocsPerRun(100, func() {
		trace := off.Begin(about)
		call := trace.Call(app)
		head = call.Inject(head)
		call.End(tracing.Result{Outcome: "answered"})
		trace.Repeat()
		trace.Conclude("answered")
		trace.End(200)
	}); allocations != 0 || len(head) != 0 {
		t.Errorf("%v allocations, and the app is told %q", allocations, head)
	}
	off.end(time.Second)
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("there are %d goroutines, and were %d", after, before)
	}
}

// TestRoom: as many spans wait as there is room for, also while the collector has some of them, and the others are dropped at once.
func TestRoom(t *testing.T) {
	const room = 200
	collector := sidecartest.NewCollector(t)
	frozen := make(chan struct{})
	collector.Answers(func(w http.ResponseWriter, _ *http.Request) {
		<-frozen
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	p := newProcess(collector.URL, room)
	for n := range 1000 {
		p.tell(n)
	}
	if dropped := p.dropped.Load(); dropped != 2*1000-room {
		t.Errorf("%d are dropped, want %d", dropped, 2*1000-room)
	}
	collector.Answers(nil)
	close(frozen)
	p.end(20 * time.Second)
	if told := len(collector.Spans()); told != room || p.sent.Load() != room || p.dropped.Load() != 2*1000-room {
		t.Errorf("%d were told, %d are counted as sent, %d as dropped", told, p.sent.Load(), p.dropped.Load())
	}
}

// TestASpanCountsForWhatItTakes measures the memory of spans that wait.
func TestASpanCountsForWhatItTakes(t *testing.T) {
	frozen, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0") // it takes connections and never reads
	if err != nil {
		t.Fatal(err)
	}
	defer frozen.Close()
	const room = 4000
	p := newProcess("http://"+frozen.Addr().String(), room)
	heap := func() int64 {
		var stats runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return int64(stats.HeapAlloc)
	}
	before := heap()
	for n := range room {
		p.tell(n)
	}
	taken := heap() - before
	runtime.KeepAlive(p)
	t.Logf("%d bytes each, counted are %d", taken/room, tracing.SpanCost)
	if taken > room*tracing.SpanCost {
		t.Errorf("%d spans take %d bytes, more than is counted", room, taken)
	}
	p.end(0)
}

// TestACollectorThatIsBusy is asked again, and one that refuses is not.
func TestACollectorThatIsBusy(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answers       []int // and then all is taken
		sent, dropped int64
		log           string
	}{
		"is well":                     {nil, 2, 0, ""},
		"is busy":                     {[]int{http.StatusServiceUnavailable, http.StatusTooManyRequests}, 2, 0, ""},
		"is behind a broken proxy":    {[]int{http.StatusBadGateway, http.StatusGatewayTimeout}, 2, 0, ""},
		"does not know the sidecar":   {[]int{http.StatusUnauthorized}, 0, 2, "status 401"},
		"is none":                     {[]int{http.StatusNotFound}, 0, 2, "status 404"},
		"leads elsewhere":             {[]int{http.StatusTemporaryRedirect}, 0, 2, "status 307"},
		"is busy, and then refuses":   {[]int{http.StatusServiceUnavailable, http.StatusBadRequest}, 0, 2, "status 400"},
		"takes it in another fashion": {[]int{http.StatusAccepted}, 2, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			collector := sidecartest.NewCollector(t)
			var asked atomic.Int64
			collector.Answers(func(w http.ResponseWriter, _ *http.Request) {
				n := int(asked.Add(1))
				if n == len(test.answers) {
					collector.Answers(nil)
				}
				if n > len(test.answers) {
					return
				}
				w.Header().Set("Location", "http://127.0.0.1:1/")
				w.Header().Set("Retry-After", "1")
				w.WriteHeader(test.answers[n-1])
			})
			p := newProcess(collector.URL, 512)
			p.tell(1)
			p.end(20 * time.Second)
			if p.sent.Load() != test.sent || p.dropped.Load() != test.dropped {
				t.Errorf("%d were sent, %d are dropped, want %d and %d", p.sent.Load(), p.dropped.Load(), test.sent, test.dropped)
			}
			if !strings.Contains(p.log.String(), test.log) || (p.log.Len() > 0) != (test.log != "") {
				t.Errorf("the log says %q, want %q", p.log.String(), test.log)
			}
		})
	}
}

// TestACollectorThatTakesSome says how many it did not take. What it says besides reaches nobody.
func TestACollectorThatTakesSome(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer        string // an ExportTraceServiceResponse
		sent, dropped int64
		log           string
	}{
		"one not":                 {"\x0a\x0b\x08\x01\x12\x07private", 1, 1, "rejected 1 of them"},
		"none":                    {"\x0a\x02\x08\x02", 0, 2, "rejected 2 of them"},
		"more than it got":        {"\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 0, 2, "rejected"},
		"all, with a warning":     {"\x0a\x09\x12\x07private", 2, 0, ""},
		"all, with other fields":  {"\x10\x01\x0a\x00", 2, 0, ""},
		"all, and answers HTML":   {"<html>private</html>", 2, 0, ""},
		"all, and is cut off":     {"\x0a\x0b\x08", 2, 0, ""},
		"all, in a broken number": {"\x0a\x02\x08\xff", 2, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			collector := sidecartest.NewCollector(t)
			collector.Answers(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, test.answer) })
			p := newProcess(collector.URL, 512)
			p.tell(1)
			p.end(20 * time.Second)
			if p.sent.Load() != test.sent || p.dropped.Load() != test.dropped {
				t.Errorf("%d were sent, %d are dropped, want %d and %d", p.sent.Load(), p.dropped.Load(), test.sent, test.dropped)
			}
			if log := p.log.String(); !strings.Contains(log, test.log) || (log != "") != (test.log != "") || strings.Contains(log, "private") {
				t.Errorf("the log says %q, want %q", log, test.log)
			}
		})
	}
}

// TestTheLogIsShort: why nothing is sent is said once a minute, however many spans there are.
func TestTheLogIsShort(t *testing.T) {
	t.Parallel()
	collector := sidecartest.NewCollector(t)
	collector.Answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	p := newProcess(collector.URL, 2048)
	for n := range 1000 {
		p.tell(n)
	}
	p.end(20 * time.Second)
	if lines := strings.Count(p.log.String(), "\n"); lines != 1 || p.dropped.Load() != 2000 {
		t.Errorf("%d lines of %d dropped spans", lines, p.dropped.Load())
	}
}

// TestIDs: a trace's is that of the message and of the endpoint's secret; without a secret it is the process's.
func TestIDs(t *testing.T) {
	t.Parallel()
	collector := sidecartest.NewCollector(t)
	one, other := newProcess(collector.URL, 512), newProcess(collector.URL, 512)
	traceOf := func(p *process, edit func(*tracing.Message)) string {
		m := message(1)
		edit(&m)
		const before = "A: b\r\n"
		head := string(p.Begin(m).Call(app).Inject([]byte(before)))
		field, one := strings.CutPrefix(head, before+"Traceparent: 00-")
		if !one || strings.Count(head, "\n") != 2 || !strings.HasSuffix(head, "\r\n") {
			t.Fatalf("the app is told %q", head)
		}
		return strings.Split(field, "-")[0]
	}
	same := func(*tracing.Message) {}
	without := func(m *tracing.Message) { m.Secret = nil }
	usual := traceOf(one, same)
	if want := "e30870fc3f1ec503a7c1922842932b3f"; usual != want {
		t.Errorf("the trace is %s, want %s: the replicas of another version have other traces", usual, want)
	}
	for name, test := range map[string]struct {
		process *process
		edit    func(*tracing.Message)
		same    bool
	}{
		"later":                        {one, func(m *tracing.Message) { m.Arrived = m.Arrived.Add(time.Hour) }, true},
		"on another replica":           {other, same, true},
		"another message":              {one, func(m *tracing.Message) { m.Key[31] = 1 }, false},
		"another endpoint's secret":    {one, func(m *tracing.Message) { m.Secret = []byte("another key") }, false},
		"an endpoint without a secret": {one, without, false},
	} {
		if got := traceOf(test.process, test.edit); (got == usual) != test.same {
			t.Errorf("%s: the trace is %s, and that of the message %s", name, got, usual)
		}
	}
	if first, again := traceOf(one, without), traceOf(one, without); first != again || first == traceOf(other, without) {
		t.Error("without a secret a message has not one trace in each process")
	}
	one.end(time.Second)
	other.end(time.Second)
}

// TestTheAppsOfACall: an origin is told as it is called.
func TestTheAppsOfACall(t *testing.T) {
	t.Parallel()
	collector := sidecartest.NewCollector(t)
	p := newProcess(collector.URL, 512)
	want := map[string]map[string]string{
		"http://shop-app.team-a.svc:8080": {"server.address": "shop-app.team-a.svc", "server.port": "8080"},
		"https://shop-app.team-a.svc":     {"server.address": "shop-app.team-a.svc", "server.port": "443"},
		"http://shop-app.team-a.svc":      {"server.address": "shop-app.team-a.svc", "server.port": "80"},
		"http://[::1]:80":                 {"server.address": "::1", "server.port": "80"},
	}
	for origin, attributes := range want {
		attributes["url.full"], attributes["http.request.method"], attributes["wechat.outcome"], attributes["http.request.resend_count"] = origin, "POST", "answered", "2"
		call := p.Begin(message(1)).Call(origin)
		call.End(tracing.Result{Outcome: "answered", Retries: 2})
	}
	p.end(20 * time.Second)
	got := map[string]map[string]string{}
	for _, span := range collector.Await(t, len(want)) {
		got[span.Attributes["url.full"]] = span.Attributes
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the collector was told (-want +got):\n%s", diff)
	}
}

// BenchmarkMessage measures what a message costs beside everything else: without traces, where it is not in the sample, and where it is told.
func BenchmarkMessage(b *testing.B) {
	taking := sidecartest.NewCollector(b)
	for name, perMillion := range map[string]int{"off": 0, "not in the sample": 1, "told": 1_000_000} {
		b.Run(name, func(b *testing.B) {
			endpoint := taking.URL
			if perMillion == 0 {
				endpoint = ""
			}
			nobody := func(int) {}
			tracer := tracing.New(tracing.Options{Endpoint: endpoint, PerMillion: perMillion, Room: 512, Sent: nobody, Dropped: nobody, Log: slog.New(slog.DiscardHandler)})
			about, head := message(1), make([]byte, 0, 128)
			b.ReportAllocs()
			for n := range b.N {
				about.Key[0], about.Key[1] = byte(n), byte(n>>8)
				trace := tracer.Begin(about)
				call := trace.Call(app)
				call.Inject(head)
				call.End(tracing.Result{Outcome: "answered", Status: 200})
				trace.Conclude("answered")
				trace.End(200)
			}
			tracer.Close(context.Background())
		})
	}
}
