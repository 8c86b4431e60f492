// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"fmt"
	"io"
	"strings"
)

// step is one line of a checklist.
type step struct {
	name string
	try  func() finding
}

// finding is what a step has found.
type finding struct {
	mark   string
	said   string
	remedy string // of what failed
}

// Marks of the steps. What fails ends the list.
const (
	markOK       = "ok"
	markSkipped  = "skipped"
	markFailed   = "FAILED"
	markNotTried = "not tried"
)

func found(format string, values ...any) finding {
	return finding{mark: markOK, said: fmt.Sprintf(format, values...)}
}

func skipped(format string, values ...any) finding {
	return finding{mark: markSkipped, said: fmt.Sprintf(format, values...)}
}

func failed(why, remedy string) finding {
	return finding{mark: markFailed, said: why, remedy: remedy}
}

// work tries the steps in their order until one fails, and says of the others that they were not tried. It reports
// whether none failed.
func work(out io.Writer, steps []step) bool {
	whole := true
	for _, s := range steps {
		f := finding{mark: markNotTried}
		if whole {
			f = s.try()
		}
		fmt.Fprintln(out, strings.TrimRight(fmt.Sprintf("%-10s %-12s %s", f.mark, s.name, printable(f.said)), " "))
		if f.mark == markFailed {
			whole = false
			fmt.Fprintf(out, "%-10s %-12s do: %s\n", "", "", printable(f.remedy))
		}
	}
	return whole
}
