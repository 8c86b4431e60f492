// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
)

// maxCapture bounds what is read of a captured request: twice the largest body that the sidecar reads. Bytes.
const maxCapture = 2 << 20

// capture is what is left of a callback, in a log, a dump or a proxy's record. It is read leniently: what a callback must
// be like is the steps' to say.
type capture struct {
	path, query string // raw; empty when not known
	header      http.Header
	body        []byte
	announced   int         // the Content-Length, -1 when not known
	undone      []text.Text // what the program had done to it by which it was captured
}

// capture reads what the options name.
func (p Plugin) capture(o options) (capture, error) {
	if o.request != "" {
		data, err := p.readFile(o.request, maxCapture)
		if err != nil {
			return capture{}, text.Errorf("reading the request: %w", err)
		}
		return parseRequest(data)
	}
	c := capture{announced: -1}
	c.path, c.query = parseTarget(o.query)
	if o.body != "" {
		var err error
		if c.body, err = p.readFile(o.body, maxCapture); err != nil {
			return capture{}, text.Errorf("reading the body: %w", err)
		}
		c.unescape()
	}
	return c, nil
}

// parseTarget finds the query in a line of an access log, a URL, a path with a query, or a bare query.
func parseTarget(line string) (path, query string) {
	for _, word := range strings.FieldsFunc(line, func(c rune) bool { return c == ' ' || c == '\t' || c == '"' || c == '\'' || c == '\n' || c == '\r' }) {
		if before, after, ok := strings.Cut(word, "?"); ok {
			if target, err := url.Parse(before); err == nil {
				before = target.EscapedPath()
			}
			return before, after
		}
		if strings.Contains(word, "=") && strings.Contains(word, "&") {
			return "", word
		}
	}
	return "", strings.TrimSpace(line)
}

// parseRequest reads a whole HTTP request, with line ends of either kind.
func parseRequest(data []byte) (capture, error) {
	data, quoted := unquote(data)
	head, body, ok := bytes.Cut(data, []byte("\r\n\r\n"))
	if plain, rest, found := bytes.Cut(data, []byte("\n\n")); found && (!ok || len(plain) < len(head)) {
		head, body = plain, rest
	}
	lines := strings.Split(strings.ReplaceAll(string(head), "\r\n", "\n"), "\n")
	c := capture{header: http.Header{}, body: body, announced: -1}
	if quoted {
		c.undone = append(c.undone, text.New("took the > of curl -v away"))
	}
	c.unescape()
	words := strings.Fields(lines[0])
	if len(words) < 2 {
		return capture{}, text.Errorf("the request does not begin with a line like POST /weixin?signature=… HTTP/1.1")
	}
	c.path, c.query = parseTarget(lines[0])
	if !strings.Contains(lines[0], "?") {
		c.path, c.query = words[1], ""
	}
	for _, line := range lines[1:] {
		if name, value, found := strings.Cut(line, ":"); found {
			c.header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
		}
	}
	return c, c.frame()
}

// unquote undoes what curl -v writes: > before the lines of the head, and lines of its own and of the answer between them. Where a
// mail or a chat has quoted the body too, the marks of all lines go.
func unquote(data []byte) (plain []byte, quoted bool) {
	lines := bytes.SplitAfter(data, []byte("\n"))
	mark := func(line []byte, marks string) bool { return len(line) > 0 && strings.IndexByte(marks, line[0]) >= 0 }
	every := true
	for _, line := range lines {
		quoted = quoted || mark(line, ">")
		every = every && (mark(line, ">") || len(bytes.TrimSpace(line)) == 0)
	}
	if first := bytes.TrimLeft(data, " \r\n"); !mark(first, ">*") || !quoted {
		return data, false
	}
	head := true
	for _, line := range lines {
		switch {
		case mark(line, ">") && (head || every):
			line = bytes.TrimPrefix(bytes.TrimPrefix(line, []byte(">")), []byte(" "))
			head = head && len(bytes.TrimSpace(line)) > 0
		case head && (mark(line, "*<{}") || len(bytes.TrimSpace(line)) == 0):
			continue
		}
		plain = append(plain, line...)
	}
	return plain, true
}

var hexEscape = regexp.MustCompile(`\\x[0-9A-Fa-f]{2}`)

// unescape undoes what nginx does to a body in its access log: it writes quotation marks, backslashes, and what is not visible ASCII
// as \x22. A body that still has one of these was not written by it.
func (c *capture) unescape() {
	body := bytes.TrimRight(c.body, "\r\n")
	asItWas := func(r rune) bool { return r < ' ' || r == '"' || r > '~' }
	if !hexEscape.Match(body) || bytes.ContainsFunc(body, asItWas) {
		return
	}
	c.body = hexEscape.ReplaceAllFunc(body, func(escape []byte) []byte {
		number, _ := strconv.ParseUint(string(escape[2:]), 16, 8) // two digits
		return []byte{byte(number)}
	})
	c.undone = append(c.undone, text.New(`turned nginx's escapes (\x22) back into the bytes of the body`))
}

// tellUndone is the first step where something was undone.
func (c *capture) tellUndone() []step {
	if len(c.undone) == 0 {
		return nil
	}
	all := c.undone[0]
	for _, more := range c.undone[1:] {
		all = text.New("%s, and %s", all, more)
	}
	return []step{{"capture", func() finding { return found("%s", all) }}}
}

// frame takes the body out of its chunks, or as many bytes of it as were announced: editors and copying add a line end.
func (c *capture) frame() error {
	if strings.EqualFold(c.header.Get("Transfer-Encoding"), "chunked") {
		body, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(c.body)))
		if err != nil {
			return text.Errorf("the request says that its body is in chunks, and it is not, or they are cut: leave Transfer-Encoding out if the body was joined already")
		}
		c.body = body
		return nil
	}
	if announced, err := strconv.Atoi(c.header.Get("Content-Length")); err == nil && announced >= 0 {
		c.announced = announced
		c.body = c.body[:min(len(c.body), announced)]
	}
	return nil
}

// whole says whether the body is all there.
func (c *capture) whole() finding {
	switch {
	case len(c.body) == 0:
		return failed(text.New("there is no body"), "capture the body too: an access log holds only the query; a proxy's or the app's own dump holds both")
	case c.announced > len(c.body):
		return failed(text.New("the body has %d bytes, and its Content-Length says %d: the capture is cut", len(c.body), c.announced), "capture the whole body")
	}
	return found("%d bytes", len(c.body))
}
