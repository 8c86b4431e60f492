package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// progress tells the person who waits what is going on: a line for every step begun and ended, with the time since the
// start. On a terminal the last line also counts the seconds of the step under way; elsewhere a line every half minute
// says that something still happens. While there is something to build, it tells how long that still takes.
type progress struct {
	mu       sync.Mutex
	out      io.Writer
	terminal bool
	began    time.Time
	of, n    int // steps in all, steps begun
	forecast forecast
}

// newProgress is for that many steps, among them the building of parts.
func newProgress(out *os.File, steps int, toBuild []part) *progress {
	info, err := out.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	p := &progress{out: out, terminal: terminal, began: time.Now(), of: steps}
	for _, part := range toBuild {
		p.forecast.left += part.work
	}
	return p
}

// say prints a line that is no step.
func (p *progress) say(format string, arguments ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line(fmt.Sprintf(format, arguments...))
}

// step runs do and reports it.
func (p *progress) step(what string, do func() error) error {
	p.mu.Lock()
	p.n++
	what = fmt.Sprintf("%d of %d: %s", p.n, p.of, what)
	p.line(what + p.forecast.text(time.Now()))
	p.mu.Unlock()

	began := time.Now()
	stop := p.tick(what, began)
	err := do()
	stop()
	if err == nil && time.Since(began) > time.Second {
		p.say("       done in %s", time.Since(began).Round(time.Second))
	}
	return err
}

// build runs do, which builds a part of that work, and learns from it how fast this machine is.
func (p *progress) build(work time.Duration, do func() error) error {
	p.mu.Lock()
	p.forecast.begin(work, time.Now())
	p.mu.Unlock()
	err := do()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forecast.end(time.Now())
	return err
}

// tick shows that what, begun at began, is still under way, until the function it returns is called.
func (p *progress) tick(what string, began time.Time) (stop func()) {
	interval := 30 * time.Second
	if p.terminal {
		interval = time.Second
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case now := <-ticker.C:
				p.still(what, now.Sub(began).Round(time.Second))
			}
		}
	}()
	return func() { close(done); <-ended }
}

func (p *progress) still(what string, since time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := p.forecast.text(time.Now())
	if p.terminal {
		fmt.Fprintf(p.out, "\r\033[K       … %s%s", since, left) // no line end: the next line overwrites it
		return
	}
	p.line(fmt.Sprintf("       still at it after %s%s: %s", since, left, what))
}

// line prints one line with the time since the start. The caller holds mu.
func (p *progress) line(text string) {
	clear := ""
	if p.terminal {
		clear = "\r\033[K"
	}
	fmt.Fprintf(p.out, "%s[%5s] %s\n", clear, time.Since(p.began).Round(time.Second), text)
}
