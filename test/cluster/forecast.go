package main

import (
	"fmt"
	"time"
)

// A forecast tells how long building still takes. The parts' work says how they compare with each other, and the parts that were built in
// this run say how fast this machine is, with all that it does besides. The zero value has nothing to build.
type forecast struct {
	left       time.Duration // the work of the parts that are not built, the one under way among them
	done, took time.Duration // the work of the parts that were built, and the time that they took
	under      time.Duration // the work of the part under way, or 0
	began      time.Time     // when that began
}

func (f *forecast) begin(work time.Duration, now time.Time) { f.under, f.began = work, now }

func (f *forecast) end(now time.Time) {
	f.left -= f.under
	f.done += f.under
	f.took += now.Sub(f.began)
	f.under = 0
}

// remaining is the time until all is built. Before anything is, this machine counts as one of two cores.
func (f *forecast) remaining(now time.Time) time.Duration {
	pace := 1.0
	if f.done > 0 {
		pace = float64(f.took) / float64(f.done)
	}
	var since time.Duration
	if f.under > 0 {
		since = now.Sub(f.began)
		pace = max(pace, float64(since)/float64(f.under)) // this part takes longer than those before it let expect
	}
	return time.Duration(pace*float64(f.left)) - since
}

// text is the remaining time as the end of a line, or nothing when all is built.
func (f *forecast) text(now time.Time) string {
	if f.left <= 0 {
		return ""
	}
	switch minutes := f.remaining(now).Round(time.Minute) / time.Minute; minutes {
	case 0:
		return ", less than a minute until all is built"
	case 1:
		return ", about a minute until all is built"
	default:
		return fmt.Sprintf(", about %d minutes until all is built", minutes)
	}
}
