// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"bytes"

	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/syntax"
)

// usual is where the reply stands in an answer as almost all apps give it: HTTP/1.1, status 200, fields with a Content-Length and nothing that
// changes what the reply is.
type usual struct {
	syntax.Framing
	start, end int // of the reply
}

// readUsual reads an answer of which so much has come. It is strict where readers differ, and leaves everything that it does not know to
// net/http: what it takes, net/http takes, and reads the same. Answers of 1xx it does not know.
func readUsual(text []byte) (usual, syntax.State) {
	var u usual
	rest := text
	for n := range maxHeadLines + 1 { // and the empty one
		line, behind, state := syntax.CutLine(rest)
		if state != syntax.Whole {
			return usual{}, state
		}
		rest = behind
		switch {
		case n == 0:
			if !isUsual(line) {
				return usual{}, syntax.Foreign
			}
		case len(line) > 0:
			if name, _, ok := u.ReadField(line); !ok || syntax.Is(name, "Content-Encoding") {
				return usual{}, syntax.Foreign
			}
		case !u.HasLength:
			return usual{}, syntax.Foreign
		case u.Length > len(rest):
			return usual{}, syntax.Partial
		default:
			u.start = len(text) - len(rest)
			u.end = u.start + u.Length
			return u, syntax.Whole
		}
	}
	return usual{}, syntax.Foreign
}

// statusLine is the status line of a usual answer, up to its reason.
const statusLine = "HTTP/1.1 200"

// isUsual reports whether a status line begins a usual answer. It may have no reason.
func isUsual(line []byte) bool {
	reason, ok := bytes.CutPrefix(line, []byte(statusLine))
	return ok && syntax.All(reason, syntax.Value) && (len(reason) == 0 || reason[0] == ' ')
}
