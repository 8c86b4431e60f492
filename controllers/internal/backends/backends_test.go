// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package backends

import "testing"

// TestAClosedBackendLeadsNowhere, and is the same again when it is opened.
func TestAClosedBackendLeadsNowhere(t *testing.T) {
	for open, test := range map[string]struct{ closed, service string }{
		"http://app.team-a.svc:8080":  {"http://app.team-a.svc.invalid.:8080", "team-a/app"},
		"https://app.team-a.svc:443":  {"https://app.team-a.svc.invalid.:443", "team-a/app"},
		"http://app.example.com:80":   {"http://app.example.com.invalid.:80", ""},
		"http://app.team-a.svc":       {"http://app.team-a.svc", "team-a/app"},
		"http://app:80":               {"http://app.invalid.:80", ""},
		"http://a.b.c.svc:80":         {"http://a.b.c.svc.invalid.:80", ""},
		"http://%zz.team-a.svc:80":    {"http://%zz.team-a.svc.invalid.:80", ""},
		"http://evil.team-a.local:80": {"http://evil.team-a.local.invalid.:80", ""},
	} {
		if got := Close(open); got != test.closed {
			t.Errorf("%s is closed to %s, want %s", open, got, test.closed)
		}
		if got := Close(Close(open)); got != test.closed {
			t.Errorf("%s is closed twice to %s", open, got)
		}
		if got := Open(test.closed); got != open {
			t.Errorf("%s is opened to %s, want %s", test.closed, got, open)
		}
		for _, url := range []string{open, test.closed} {
			service, ok := Serviced(url)
			if ok != (test.service != "") || ok && service.String() != test.service {
				t.Errorf("%s leads to %v, %v", url, service, ok)
			}
		}
	}
}
