// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

func anywhere(netip.Addr) *NotAllowedError { return nil }

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
			ends, err := subject.reach(t.Context(), address, test.secure, port, anywhere)
			if isHosts := test.secure && test.want == ""; isHosts == ends.IsZero() || isHosts && ends.Year() != 2084 { // that of the test server
				t.Errorf("the certificate ends at %v", ends)
			}
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
	const never, private, called = "never", "if the installation allows it", "called"
	p := New(0, netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd01::/64"), netip.MustParsePrefix("0.0.0.0/1"))
	for address, want := range map[string]string{
		"127.0.0.1": never, "::1": never, "0.0.0.0": never, "::": never, "169.254.169.254": never, "fe80::1": never, "fe80::1%eth0": never, "224.0.0.1": never, "ff02::1": never, "255.255.255.255": never,
		"::ffff:127.0.0.1": never, "64:ff9b::7f00:1": never, "64:ff9b::a9fe:a9fe": never, "2002:7f00:1::": never, "::127.0.0.1": never,
		"100.100.100.200": never, "168.63.129.16": never, "192.0.0.192": never, "fd00:ec2::254": never, "fd20:ce::254": never, "::ffff:100.100.100.200": never,
		"192.168.1.1": private, "172.16.0.1": private, "172.31.255.255": private, "192.0.0.1": private, "198.18.0.1": private, "fc00::1": private, "fd02::1": private, "64:ff9b:1::1": private,
		"::ffff:192.168.1.1": private, "64:ff9b::c0a8:101": private, "2002:c0a8:101::1": private,
		"10.1.2.3": called, "fd01::5": called, "::ffff:10.1.2.3": called, "64:ff9b::a01:203": called, "10.2.0.1": called, "100.64.0.1": called,
		"203.0.113.1": called, "8.8.8.8": called, "172.32.0.1": called, "2001:db8::1": called, "64:ff9b::808:808": called, "198.20.0.1": called,
	} {
		got := called
		if refusal := p.judge(netip.MustParseAddr(address)); refusal != nil && refusal.Private {
			got = private
		} else if refusal != nil {
			got = never
		}
		if got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
	for _, address := range []string{"10.1.2.3", "10.2.0.1", "100.64.0.1", "fd01::5"} {
		if refusal := New(0).judge(netip.MustParseAddr(address)); refusal == nil || !refusal.Private {
			t.Errorf("%s is called although nobody allowed it", address)
		}
	}
	reached := false
	address, port := published(t, false, func(http.ResponseWriter, *http.Request) { reached = true })
	subject := Subject{Platform: config.PlatformOfficialAccount, MessageMode: config.ModePlaintext, AppID: "wx1", Host: "wx.example.com", Path: "/weixin", Pair: config.Pair{Token: token}}
	for _, name := range []string{address, "localhost"} { // a name is judged by what it leads to
		var refusal *NotAllowedError
		if _, err := subject.reach(t.Context(), name, false, port, p.judge); !errors.As(err, &refusal) || refusal.Private || reached {
			t.Errorf("%s was called: %v, %v", name, reached, err)
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
	if _, err := subject.reach(context.Background(), host, true, port, anywhere); err != nil {
		t.Error(err)
	}
	if asked != "example.com" {
		t.Errorf("asked for %q", asked)
	}
}
