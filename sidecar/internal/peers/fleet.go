// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Options of a Fleet.
type Options struct {
	// Host leads to the ready pods of the fleet, by DNS, and Port is their second one.
	Host string
	Port uint16
	// Lookup returns the addresses of a host; nil asks DNS.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	// Patience is how long a pod is waited for until it takes a message; zero is DefaultPatience.
	Patience time.Duration
	// Interval is about how long it is from one look to the next; zero is DefaultInterval.
	Interval time.Duration
	// InFlight is how many callbacks may be handed over at once.
	InFlight int
	// Greet tells another pod that this one has begun, by Fleet.Greet, and reports whether it answered; nil greets nobody.
	Greet func(ctx context.Context, pod netip.Addr) bool
	// CountTold counts what came of telling a pod; nil counts nothing.
	CountTold func(Result)
	// Failed is told of each pod that is left out for a while, and why.
	Failed func(pod netip.Addr, because Result)
	// Unlisted is told why the pods could not be looked up: at once where some are known, and otherwise once that lasts.
	Unlisted func(err error)
}

// Fleet is the pods of a fleet, as one of them sees it. It is safe for concurrent use.
type Fleet struct {
	options Options
	client  client
	teller  client // what it sends is answered at once: it waits for no hand-over
	view    atomic.Pointer[View]
	settled atomic.Bool
	again   chan struct{} // somebody wants to look before it is time
	vain    int           // complaints in a row that DNS does not answer; of whoever looks

	mu      sync.Mutex // of whoever changes the view, and of the following
	pods    map[netip.Addr]*pod
	greeted map[netip.Addr]time.Time // pods that have just begun, and until when the view may not have them
}

// pod is what goes on between this pod and another.
type pod struct {
	asked int // hand-overs under way
	late  int // that it did not take in time, since it last took one
}

// New returns a Fleet that knows nobody until it watches.
func New(o Options) *Fleet {
	if o.Lookup == nil {
		o.Lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if o.Greet == nil {
		o.Greet = func(context.Context, netip.Addr) bool { return true }
	}
	if o.CountTold == nil {
		o.CountTold = func(Result) {}
	}
	o.Patience, o.Interval = cmp.Or(o.Patience, DefaultPatience), cmp.Or(o.Interval, DefaultInterval)
	f := &Fleet{
		options: o, client: newClient(o.InFlight, o.Patience), teller: newClient(MaxTells, o.Patience), again: make(chan struct{}, 1),
		pods: map[netip.Addr]*pod{}, greeted: map[netip.Addr]time.Time{},
	}
	f.view.Store(&View{})
	return f
}

// DefaultInterval is for how long a record of the cluster's DNS is good.
const DefaultInterval = 5 * time.Second

const lookTimeout = 3 * time.Second

// Own returns the addresses by which a pod is reached that listens at this one.
func Own(listens net.Addr) []netip.Addr {
	if tcp, ok := listens.(*net.TCPAddr); ok && !tcp.IP.IsUnspecified() {
		return []netip.Addr{tcp.AddrPort().Addr().Unmap()}
	}
	var own []netip.Addr
	all, _ := net.InterfaceAddrs() // without them the pod asks itself too, and answers
	for _, one := range all {
		if prefix, err := netip.ParsePrefix(one.String()); err == nil {
			own = append(own, prefix.Addr().Unmap())
		}
	}
	return own
}

// Watch looks again and again which pods there are, until ctx is done. Own are the addresses of this one. Where a pod failed it looks earlier, but
// not before a fifth of the interval; another fifth is for chance, which spreads the looks of many pods.
func (f *Fleet) Watch(ctx context.Context, own []netip.Addr) {
	defer f.client.close()
	defer f.teller.close()
	f.change(func(View) View { return NewView(own) })
	for f.settle(ctx); ctx.Err() == nil; f.complain(f.look(ctx)) {
		fifth := f.options.Interval / 5
		wait(ctx, fifth, nil)
		wait(ctx, 4*fifth-fifth/2+rand.N(fifth), f.again) //nolint:gosec // any randomness spreads them
	}
}

const (
	// settleTime is how long a pod that has begun takes no callbacks, at most, until it has greeted the others: a network policy may have to learn its
	// address.
	settleTime = 3 * time.Second
	// beginTime is how long it looks often, at most, until it finds itself: the others will do so soon.
	beginTime = time.Minute
	// greetedFor is for how long a pod that has greeted is told what comes, whether a look finds it or not: it greets again before.
	greetedFor = 3 * DefaultInterval
)

// settle looks often, and greets the others, as long as this pod has just begun.
func (f *Fleet) settle(ctx context.Context) {
	began, greeted := time.Now(), map[netip.Addr]time.Time{}
	for listed := 0; listed < 2 && time.Since(began) < beginTime && ctx.Err() == nil; wait(ctx, f.options.Interval/20, nil) {
		_ = f.look(ctx) // nobody is told of what may pass
		if f.greetAll(ctx, greeted) || time.Since(began) > settleTime {
			f.settled.Store(true)
		}
		v := f.view.Load()
		if slices.ContainsFunc(v.listed, v.isOwn) {
			listed++
		}
	}
	f.settled.Store(true)
}

// greetAll greets the pods that DNS names, each one again after an interval, and reports whether each has answered at least once.
func (f *Fleet) greetAll(ctx context.Context, greeted map[netip.Addr]time.Time) bool {
	v, all := f.view.Load(), true
	for _, pod := range v.listed {
		last, answered := greeted[pod]
		if v.isOwn(pod) || answered && time.Since(last) < f.options.Interval {
			continue
		}
		if f.options.Greet(ctx, pod) {
			greeted[pod] = time.Now()
		} else if !answered {
			all = false
		}
	}
	return all
}

// Settled reports whether the others know of this pod, and it of them, as far as that can be.
func (f *Fleet) Settled() bool { return f.settled.Load() }

// Greeted says that a pod has just begun.
func (f *Fleet) Greeted(by netip.Addr, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	maps.DeleteFunc(f.greeted, func(_ netip.Addr, until time.Time) bool { return !now.Before(until) })
	if len(f.greeted) < maxGreeted {
		f.greeted[by] = now.Add(greetedFor)
	}
}

// maxGreeted bounds the pods that have just begun.
const maxGreeted = 64

// others returns the pods that are told of a use: the other pods of the view, and the pods that have just begun.
func (f *Fleet) others() []netip.Addr {
	v, now := f.view.Load(), time.Now()
	others := slices.DeleteFunc(slices.Clone(v.now), v.isOwn)
	f.mu.Lock()
	defer f.mu.Unlock()
	for pod, until := range f.greeted {
		if now.Before(until) && !v.isOwn(pod) && !slices.Contains(others, pod) {
			others = append(others, pod)
		}
	}
	return others
}

func wait(ctx context.Context, pause time.Duration, again <-chan struct{}) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-again:
	}
}

// maxVain is at which look in vain a pod complains that knows no other one: after half a minute. A Service without a ready pod has no name. The resolver
// then asks the name servers of the internet, which need not be there.
const maxVain = 6

// complain tells why the pods could not be looked up.
func (f *Fleet) complain(why error) {
	if why == nil {
		f.vain = 0
		return
	}
	if f.vain++; f.vain >= maxVain || len(f.view.Load().listed) > 0 {
		f.options.Unlisted(why)
	}
}

// look asks DNS, and returns why it does not answer. The pods of before stay then.
func (f *Fleet) look(ctx context.Context) error {
	patient, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	found, err := f.options.Lookup(patient, f.options.Host)
	unknown, ok := errors.AsType[*net.DNSError](err)
	answered := err == nil || ok && unknown.IsNotFound
	f.change(func(v View) View {
		listed := v.listed
		if answered {
			listed = nil
			for _, address := range found {
				listed = append(listed, address.Unmap().WithZone(""))
			}
		}
		return v.Looked(listed, time.Now())
	})
	if answered || ctx.Err() != nil {
		return nil
	}
	return err
}

func (f *Fleet) change(to func(View) View) {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := to(*f.view.Load())
	f.view.Store(&next)
	for address, p := range f.pods {
		if p.asked == 0 && !slices.Contains(next.listed, address) {
			delete(f.pods, address)
		}
	}
}

// Patience is how long this pod may need to take a message that another one hands over. It is half of what the other waits: a pod that
// nobody waits for any more must not take one.
func (f *Fleet) Patience() time.Duration { return f.options.Patience / 2 }

// Leave says that this pod drains: it owns no new message.
func (f *Fleet) Leave() { f.change(func(v View) View { return v.Leaving(time.Now()) }) }

// Others is how many pods beside this one may own messages.
func (f *Fleet) Others() int { return f.view.Load().Others() }

// Order returns which other pods are asked to take what the key names, before this pod takes it.
func (f *Fleet) Order(key Key) []Ask { return f.view.Load().Order(key, time.Now()) }

// IsOwn reports whether an address is this pod's.
func (f *Fleet) IsOwn(to netip.AddrPort) bool {
	return to.Port() == f.options.Port && f.view.Load().isOwn(to.Addr())
}

// Result is what came of asking a pod.
type Result string

// Results.
const (
	Answered    Result = "answered"    // by the pod, as WeChat is to be answered
	NotHeld     Result = "not_held"    // it remembers nothing of it
	Refused     Result = "refused"     // it does not take it
	Unsupported Result = "unsupported" // it speaks no such version
	Unreachable Result = "unreachable" // no connection
	Late        Result = "late"        // it did not take it in time
	Lost        Result = "lost"        // it took it, and never answered
	Busy        Result = "busy"        // too many are under way
	NoRoom      Result = "no_room"     // for its answer
	Left        Result = "left"        // WeChat hung up meanwhile
)

// Results are all of them.
var Results = []Result{Answered, NotHeld, Refused, Unsupported, Unreachable, Late, Lost, Busy, NoRoom, Left}

// Takes reports whether the pod has answered, or nobody waits for an answer any more. Otherwise another may take the message.
func (r Result) Takes() bool { return r == Answered || r == NoRoom || r == Left }

// Call is a callback that is handed over.
type Call struct {
	// Request says nothing yet of the pod.
	Request Request
	Body    []byte
	// Key signs it.
	Key []byte
	// Until is when WeChat does not wait for an answer any more.
	Until time.Time
	// MaxAnswer bounds the body of an answer, in bytes, and Room is asked for so many before they are read.
	MaxAnswer int64
	Room      func(bytes int64) bool
}

// Ask hands a callback to a pod, and waits for its answer.
func (f *Fleet) Ask(ctx context.Context, a Ask, call Call) (Answer, Result) {
	if !f.begin(a.Pod) {
		return Answer{}, Busy
	}
	r := call.Request
	r.IfHeld, r.To = a.IfHeld, netip.AddrPortFrom(a.Pod, f.options.Port)
	answer, result := f.client.ask(ctx, r, call)
	f.end(a.Pod, result)
	return answer, result
}

// begin reports whether another hand-over to the pod may begin. The pods share what there is: one that is slow leaves the others theirs.
func (f *Fleet) begin(address netip.Addr) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.pod(address)
	if p.asked >= max(1, f.options.InFlight/max(1, f.Others())) {
		return false
	}
	p.asked++
	return true
}

// pod is the one of an address. The lock is held.
func (f *Fleet) pod(address netip.Addr) *pod {
	p := f.pods[address]
	if p == nil {
		p = &pod{}
		f.pods[address] = p
	}
	return p
}

// maxLate is how many hand-overs in a row a pod may not take in time until it is left out: one pause of its processor is no failure.
const maxLate = 3

func (f *Fleet) end(address netip.Addr, result Result) {
	f.mu.Lock()
	f.pod(address).asked--
	f.mu.Unlock()
	f.note(address, result)
}

// note leaves a pod out for a while that has failed.
func (f *Fleet) note(address netip.Addr, result Result) {
	f.mu.Lock()
	p := f.pod(address)
	failed := false
	switch result {
	case Late:
		p.late++
		failed = p.late >= maxLate
	case Unreachable, Lost:
		failed = true
	case Left, NoRoom:
	default:
		p.late = 0
	}
	if failed {
		p.late = 0
		delete(f.greeted, address)
	}
	f.mu.Unlock()
	if !failed {
		return
	}
	f.change(func(v View) View { return v.Failed(address, time.Now()) })
	f.options.Failed(address, result)
	select {
	case f.again <- struct{}{}:
	default:
	}
}
