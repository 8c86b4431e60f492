// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"fmt"
	"io"
	"strings"

	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
)

// step is one line of a checklist.
type step struct {
	name string
	try  func() finding
}

// finding is what a step has found.
type finding struct {
	mark   string
	said   text.Text
	remedy text.Text // of what failed
}

// Marks of the steps. What fails ends the list.
const (
	markOK       = "ok"
	markSkipped  = "skipped"
	markFailed   = "FAILED"
	markNotTried = "not tried"
	markUnknown  = "unknown"
	markRisk     = "risk"
	markCompare  = "compare"
)

func found(format string, values ...any) finding {
	return finding{mark: markOK, said: text.New(format, values...)}
}

func skipped(format string, values ...any) finding {
	return finding{mark: markSkipped, said: text.New(format, values...)}
}

func failed(why text.Text, remedy string) finding {
	return finding{mark: markFailed, said: why, remedy: text.Verbatim(remedy)}
}

// work tries the steps in their order until one fails, and says of the others that they were not tried. It reports
// whether none failed.
func (p Plugin) work(out io.Writer, steps []step) bool {
	whole := true
	for _, s := range steps {
		f := finding{mark: markNotTried}
		if whole {
			f = s.try()
		}
		fmt.Fprintln(out, strings.TrimRight(p.mark(f.mark, out)+" "+text.Pad(p.say(s.name), 12)+" "+printable(p.lang.Say(f.said)), " "))
		if f.mark == markFailed {
			whole = false
			fmt.Fprintf(out, "%-10s %-12s %s\n", "", "", printable(p.lang.Sprintf("do: %s", f.remedy)))
		}
	}
	return whole
}

// mark is a mark in a column of its own, in its colour.
func (p Plugin) mark(mark string, out io.Writer) string {
	said := text.Pad(p.say(mark), 10)
	switch mark {
	case markOK:
		return p.paint(green, said, out)
	case markFailed:
		return p.paint(red, said, out)
	case markRisk, markUnknown:
		return p.paint(yellow, said, out)
	}
	return said
}
