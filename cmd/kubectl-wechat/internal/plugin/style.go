// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"io"
	"runtime"
)

// Colours of a terminal, as its escape sequences number them.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
)

// paint colours what goes to a terminal that knows colours, unless NO_COLOR is set (no-color.org). What goes elsewhere stays as it is.
func (p Plugin) paint(colour, said string, out io.Writer) string {
	if !p.onTerminal(out) || p.Getenv("NO_COLOR") != "" || p.Getenv("TERM") == "dumb" {
		return said
	}
	if runtime.GOOS == "windows" && p.Getenv("WT_SESSION") == "" { // an older console writes the sequences out
		return said
	}
	return "\x1b[" + colour + "m" + said + "\x1b[0m"
}
