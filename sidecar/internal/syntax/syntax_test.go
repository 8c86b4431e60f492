// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package syntax

import (
	"testing"
)

func TestCutLine(t *testing.T) {
	for name, test := range map[string]struct {
		text, line, rest string
		state            State
	}{
		"a line":                     {"a\r\nb", "a", "b", Whole},
		"an empty line":              {"\r\nb\r\n", "", "b\r\n", Whole},
		"nothing":                    {"", "", "", Partial},
		"a part of a line":           {"a\r", "", "a\r", Partial},
		"a line feed alone":          {"a\nb\r\n", "", "a\nb\r\n", Foreign},
		"a line feed alone, at once": {"\nb\r\n", "", "\nb\r\n", Foreign},
	} {
		t.Run(name, func(t *testing.T) {
			line, rest, state := CutLine([]byte(test.text))
			if string(line) != test.line || string(rest) != test.rest || state != test.state {
				t.Errorf("got %q, %q, %d; want %q, %q, %d", line, rest, state, test.line, test.rest, test.state)
			}
		})
	}
}

// TestReadField lists the fields that two readers read as one and the same, and some that they do not.
func TestReadField(t *testing.T) {
	plain := Framing{}
	for name, test := range map[string]struct {
		lines   []string
		want    Framing
		refused bool // the last line
	}{
		"a field that decides nothing":     {[]string{"X-A: b"}, plain, false},
		"an empty one":                     {[]string{"X-A:"}, plain, false},
		"one twice":                        {[]string{"X-A: b", "X-A: c"}, plain, false},
		"a name of all that may be in one": {[]string{"!#$%&'*+-.^_`|~09aZ: a"}, plain, false},
		"a value with a tab":               {[]string{"X-A: a\tb"}, plain, false},
		"a length":                         {[]string{"Content-Length: 12"}, Framing{Length: 12, HasLength: true}, false},
		"a length in other letters":        {[]string{"content-LENGTH:\t012 "}, Framing{Length: 12, HasLength: true}, false},
		"a length of nothing":              {[]string{"Content-Length: 0"}, Framing{HasLength: true}, false},
		"the longest length":               {[]string{"Content-Length: 99999999"}, Framing{Length: 99999999, HasLength: true}, false},
		"a connection to be kept":          {[]string{"Connection: Keep-Alive"}, Framing{hasConnection: true}, false},
		"a connection to be closed":        {[]string{"CONNECTION: Close"}, Framing{Close: true, hasConnection: true}, false},
		"a longer length":                  {[]string{"Content-Length: 100000000"}, plain, true},
		"an empty length":                  {[]string{"Content-Length: "}, plain, true},
		"a length with a sign":             {[]string{"Content-Length: +1"}, plain, true},
		"a length with a comma":            {[]string{"Content-Length: 1, 1"}, plain, true},
		"two lengths":                      {[]string{"Content-Length: 1", "Content-Length: 1"}, plain, true},
		"two lengths, the first is 0":      {[]string{"Content-Length: 0", "Content-Length: 1"}, plain, true},
		"two connections":                  {[]string{"Connection: keep-alive", "Connection: close"}, plain, true},
		"a connection for something":       {[]string{"Connection: upgrade"}, plain, true},
		"a connection for two things":      {[]string{"Connection: keep-alive, close"}, plain, true},
		"an empty connection":              {[]string{"Connection:"}, plain, true},
		"chunks":                           {[]string{"Transfer-Encoding: chunked"}, plain, true},
		"chunks in other letters":          {[]string{"transfer-encoding: identity"}, plain, true},
		"an upgrade":                       {[]string{"Upgrade: h2c"}, plain, true},
		"a trailer":                        {[]string{"Trailer: A"}, plain, true},
		"no name":                          {[]string{": a"}, plain, true},
		"no colon":                         {[]string{"a"}, plain, true},
		"a space before the colon":         {[]string{"Content-Length : 1"}, plain, true},
		"a line that goes on":              {[]string{" a: b"}, plain, true},
		"a name that is no ASCII":          {[]string{"\xe5: a"}, plain, true},
		"a value that is no ASCII":         {[]string{"A: \xe5"}, plain, true},
		"a value with NUL":                 {[]string{"A: \x00"}, plain, true},
		"a value with DEL":                 {[]string{"A: \x7f"}, plain, true},
		"a value with a carriage return":   {[]string{"A: b\rContent-Length: 1"}, plain, true},
		"a name with the Kelvin sign":      {[]string{"\u212aeep: a"}, plain, true},
		"a value with the Kelvin sign":     {[]string{"Connection: \u212aeep-alive"}, plain, true},
		"a value with a form feed":         {[]string{"A: b\fc"}, plain, true},
		"a name with a parenthesis":        {[]string{"A(b): c"}, plain, true},
		"a name with a quotation mark":     {[]string{"\"A\": c"}, plain, true},
		"a name with a slash":              {[]string{"A/B: c"}, plain, true},
	} {
		t.Run(name, func(t *testing.T) {
			var got Framing
			ok := true
			for n, line := range test.lines {
				if _, _, ok = got.ReadField([]byte(line)); !ok && n < len(test.lines)-1 {
					t.Fatalf("line %d is refused", n)
				}
			}
			if ok == test.refused || ok && got != test.want {
				t.Errorf("read: %v, as %+v; want %+v", ok, got, test.want)
			}
		})
	}
}
