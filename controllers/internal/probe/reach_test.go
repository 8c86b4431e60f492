// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

func anywhere(netip.Addr) error { return nil }

// published is a server that answers for a host, as an ingress controller does.
func published(t *testing.T, secure bool, answer http.HandlerFunc) (address, port string) {
	t.Helper()
	server := httptest.NewUnstartedServer(answer)
	server.Config.ErrorLog = nil
	if secure {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	address, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return address, port
}

func echo(w http.ResponseWriter, r *http.Request) {
	_, _ = io.WriteString(w, r.URL.Query().Get("echostr"))
}

func TestReach(t *testing.T) {
	for name, test := range map[string]struct {
		host   string
		secure bool
		answer http.HandlerFunc
		want   string // part of the error; empty for none
	}{
		"the URL check is answered":                 {"wx.example.com", false, echo, ""},
		"by HTTPS, with a certificate for the host": {"example.com", true, echo, ""}, // the test server's own
		"a certificate for another host":            {"wx.example.org", true, echo, "the certificate is another host's"},
		"a redirect is not followed": {"wx.example.com", false, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://wx.example.com/", http.StatusPermanentRedirect)
		}, "308"},
		"the ingress controller's 404":                 {"wx.example.com", false, http.NotFound, "404"},
		"an answer without an end":                     {"wx.example.com", false, endless, "too long"},
		"an answer that never comes":                   {"wx.example.com", false, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "no answer came within"},
		"another host's endpoint would not be the one": {"wx.example.com", false, onlyFor("other.example.com"), "421"},
	} {
		t.Run(name, func(t *testing.T) {
			subject := Subject{Platform: config.PlatformOfficialAccount, MessageMode: config.ModePlaintext, AppID: "wx1", Host: test.host, Path: "/weixin", Pair: config.Pair{Token: token}}
			address, port := published(t, test.secure, test.answer)
			err := subject.reach(t.Context(), address, test.secure, port, anywhere)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), token) {
				t.Errorf("the token is in the error: %v", err)
			}
		})
	}
}

func endless(w http.ResponseWriter, r *http.Request) {
	for i := 0; i < 1000 && r.Context().Err() == nil; i++ {
		if _, err := io.WriteString(w, strings.Repeat("x", 1000)); err != nil {
			return
		}
	}
}

func onlyFor(host string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Host != host {
			w.WriteHeader(http.StatusMisdirectedRequest)
		}
	}
}

// TestReachGoesNowhereInside: a status could name any address.
func TestReachGoesNowhereInside(t *testing.T) {
	for address, inside := range map[string]bool{
		"127.0.0.1": true, "::1": true, "0.0.0.0": true, "169.254.169.254": true, "fe80::1": true, "224.0.0.1": true, "::ffff:127.0.0.1": true,
		"100.100.100.200": true, "168.63.129.16": true, "192.0.0.192": true, "fd00:ec2::254": true, "fd20:ce::254": true,
		"10.0.0.1": false, "192.168.1.1": false, "203.0.113.1": false, "100.100.100.201": false, "2001:db8::1": false,
	} {
		if err := refuseInside(netip.MustParseAddr(address).Unmap()); (err != nil) != inside {
			t.Errorf("%s: %v", address, err)
		}
	}
	called := false
	address, port := published(t, false, func(http.ResponseWriter, *http.Request) { called = true })
	subject := Subject{Platform: config.PlatformOfficialAccount, MessageMode: config.ModePlaintext, AppID: "wx1", Host: "wx.example.com", Path: "/weixin", Pair: config.Pair{Token: token}}
	for _, name := range []string{address, "localhost"} { // a name is judged by what it leads to
		if err := subject.reach(t.Context(), name, false, port, refuseInside); err == nil || called {
			t.Errorf("%s was called: %v", name, err)
		}
	}
}

// TestReachAsksForTheHostByTLS: an ingress controller chooses the certificate by it.
func TestReachAsksForTheHostByTLS(t *testing.T) {
	var asked string
	server := httptest.NewUnstartedServer(http.HandlerFunc(echo))
	server.TLS = &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		asked = hello.ServerName
		return nil, nil
	}}
	server.StartTLS()
	defer server.Close()
	host, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	subject := Subject{Platform: config.PlatformOfficialAccount, MessageMode: config.ModePlaintext, AppID: "wx1", Host: "example.com", Path: "/weixin", Pair: config.Pair{Token: token}}
	if err := subject.reach(context.Background(), host, true, port, anywhere); err != nil {
		t.Error(err)
	}
	if asked != "example.com" {
		t.Errorf("asked for %q", asked)
	}
}
