// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"testing"
)

func TestParseMessage(t *testing.T) {
	for name, test := range map[string]struct {
		text   string
		whole  bool
		taken  int // of the text; 0 is all
		body   string
		status int
		closes bool
	}{
		"an answer":                      {text: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", whole: true, body: "ok", status: 200},
		"fields in other letters":        {text: "HTTP/1.1 403 Forbidden\r\ncontent-LENGTH:2\r\nconnection: Close\r\n\r\nno", whole: true, body: "no", status: 403, closes: true},
		"one without a body":             {text: "HTTP/1.1 204 No Content\r\nDate: now\r\n\r\n", whole: true, status: 204},
		"one that stays open":            {text: "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n", whole: true, status: 200},
		"another behind it":              {text: "GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b", whole: true, taken: 28},
		"chunks":                         {text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n1\r\n!\r\n0\r\n\r\n", whole: true, body: "ok!", status: 200},
		"chunks that go on":              {text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"},
		"a body that goes on":            {text: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok"},
		"a head that goes on":            {text: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"},
		"a field that only begins alike": {text: "HTTP/1.1 200 OK\r\nContent-Length-Of: 9\r\nTransfer: chunked\r\n\r\n", whole: true, status: 200},
		"nothing":                        {},
	} {
		t.Run(name, func(t *testing.T) {
			m, whole := parseMessage([]byte(test.text))
			if whole != test.whole {
				t.Fatalf("whole is %v", whole)
			}
			if !whole {
				return
			}
			if test.taken == 0 {
				test.taken = len(test.text)
			}
			if len(m.text) != test.taken || string(m.body) != test.body || m.status() != test.status || m.head.close != test.closes {
				t.Errorf("read %d bytes, body %q, status %d, close %v", len(m.text), m.body, m.status(), m.head.close)
			}
		})
	}
}
