// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/diagnose"
)

const (
	rightToken = "q7RkZt0mWc5xVb2nLs9dYh4gJf8aPe3u"
	host       = "wx.example.com"
)

// resolver is what DNS says.
type resolver struct {
	addresses []string
	err       error
}

func (r resolver) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	var all []netip.Addr
	for _, address := range r.addresses {
		all = append(all, netip.MustParseAddr(address))
	}
	return all, r.err
}

// public is an address of documentation (RFC 5737), which the tests dial as that of their server.
const public = "203.0.113.7"

// correct answers a URL check as a sidecar does.
func correct(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if !wechat.Verify(q.Get("signature"), rightToken, q.Get("timestamp"), q.Get("nonce")) || r.Host != host || r.URL.Path != "/weixin" {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	_, _ = io.WriteString(w, q.Get("echostr"))
}

// page answers with a web page.
func page(status int, server, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Server", server)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// around answers the echostr with something around it.
func around(before, after string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, before+r.URL.Query().Get("echostr")+after)
	}
}

// authority is one that signs certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// sign makes a certificate; a nil authority makes one that signs itself.
func (a *authority) sign(t *testing.T, name string, isCA bool, end time.Time) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-365 * 24 * time.Hour), NotAfter: end,
		IsCA: isCA, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if isCA {
		template.KeyUsage |= x509.KeyUsageCertSign
	} else {
		template.DNSNames = []string{name}
	}
	parent, signer := template, key
	if a != nil {
		parent, signer = a.certificate, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{certificate, key}
}

// chain is what a server sends.
func chain(own *authority, others ...*authority) tls.Certificate {
	pair := tls.Certificate{Certificate: [][]byte{own.certificate.Raw}, PrivateKey: own.key, Leaf: own.certificate}
	for _, other := range others {
		pair.Certificate = append(pair.Certificate, other.certificate.Raw)
	}
	return pair
}

// serve starts a web server, with TLS where there is a certificate, and returns its address.
func serve(t *testing.T, handler http.HandlerFunc, pairs ...tls.Certificate) string {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	if len(pairs) > 0 {
		server.TLS = &tls.Config{Certificates: pairs}
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// raw starts a server that writes bytes and hangs up, whatever it is asked.
func raw(t *testing.T, answer string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = io.WriteString(conn, answer)
			_ = conn.Close()
		}
	}()
	return listener.Addr().String()
}

// closed is an address where nothing listens.
func closed(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// setup is a URL as somebody has set it up.
type setup struct {
	url       string // http://wx.example.com/weixin if empty
	dns       resolver
	servers   map[string]string // by the address that DNS says
	platform  v1alpha1.Platform // OfficialAccount if empty
	unsigned  bool              // without the account's token
	unchecked bool
	timeout   time.Duration // as long as WeChat waits if zero
}

// causes are what the doctor finds from here, with their levels.
func (s setup) causes(t *testing.T, roots *x509.CertPool) []string {
	t.Helper()
	url := s.url
	if url == "" {
		url = "http://" + host + "/weixin"
	}
	sender := caller.Sender{URL: url, Token: rightToken, Timeout: s.timeout, RootCAs: roots, Dial: func(ctx context.Context, address string) (net.Conn, error) {
		dialled, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		server, ok := s.servers[dialled]
		if !ok {
			return nil, fmt.Errorf("nobody may dial %s", address)
		}
		return new(net.Dialer).DialContext(ctx, "tcp", server)
	}}
	if s.unsigned {
		sender.Token = "another0another0another0another0"
	}
	facts := Facts{Now: time.Now(), Host: host, Secure: strings.HasPrefix(url, "https"), Platform: s.platform, Checked: !s.unchecked, Invalid: diagnose.URL(&sender)}
	if facts.Invalid == nil {
		var err error
		if facts.Here, err = Look(t.Context(), s.dns, sender, !s.unsigned); err != nil {
			t.Fatal(err)
		}
	}
	var all []string
	for _, one := range Decide(facts) {
		if one.Place == FromHere {
			all = append(all, string(one.Level)+" "+string(one.Cause))
		}
		if one.Text.String() == "" || one.Remedy.String() == "" || strings.Contains(one.Text.String()+one.Remedy.String(), rightToken) {
			t.Errorf("%s: text %q, remedy %q", one.Cause, one.Text, one.Remedy)
		}
	}
	return all
}

// TestEachCauseIsToldApartFromHere: against servers that are broken in one way each.
func TestEachCauseIsToldApartFromHere(t *testing.T) {
	later, gone := time.Now().Add(200*24*time.Hour), time.Now().Add(-24*time.Hour)
	root := (*authority)(nil).sign(t, "A Public Root", true, later)
	middle := root.sign(t, "An Intermediate", true, later)
	stranger := (*authority)(nil).sign(t, "A Company's Root", true, later)
	own := middle.sign(t, host, false, later)
	roots := x509.NewCertPool()
	roots.AddCert(root.certificate)
	at := func(server string) map[string]string { return map[string]string{public: server} }
	dns := resolver{addresses: []string{public}}
	secure := func(server string) setup {
		return setup{url: "https://" + host + "/weixin", dns: dns, servers: at(server)}
	}
	plain := func(handler http.HandlerFunc) setup { return setup{dns: dns, servers: at(serve(t, handler))} }

	for name, test := range map[string]struct {
		setup
		want []string
	}{
		"all is well":                             {plain(correct), nil},
		"all is well by https":                    {secure(serve(t, correct, chain(own, middle))), nil},
		"the URL has a port":                      {setup{url: "http://" + host + ":8080/weixin"}, []string{"refuses port"}},
		"the URL has a password":                  {setup{url: "http://a:b@" + host + "/weixin"}, []string{"refuses url"}},
		"the host is not in DNS":                  {setup{dns: resolver{err: &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}}}, []string{"refuses dns"}},
		"DNS does not answer":                     {setup{dns: resolver{err: &net.DNSError{Err: "i/o timeout", Name: host, IsTimeout: true}}}, []string{"refuses dns"}},
		"DNS says a private address":              {setup{dns: resolver{addresses: []string{"10.0.0.7"}}, servers: map[string]string{"10.0.0.7": serve(t, correct)}}, []string{"risk private_address"}},
		"DNS says an address of a carrier's NAT":  {setup{dns: resolver{addresses: []string{"100.64.0.7"}}, servers: map[string]string{"100.64.0.7": serve(t, correct)}}, []string{"risk private_address"}},
		"DNS has IPv6 alone":                      {setup{dns: resolver{addresses: []string{"2001:db8::7"}}, servers: map[string]string{"2001:db8::7": serve(t, correct)}}, []string{"risk ipv6_only"}},
		"one of two addresses is closed":          {setup{dns: resolver{addresses: []string{public, "203.0.113.8"}}, servers: map[string]string{public: serve(t, correct), "203.0.113.8": closed(t)}}, []string{"refuses connection_refused", "risk address_differs"}},
		"the port is closed":                      {setup{dns: dns, servers: at(closed(t))}, []string{"refuses connection_refused"}},
		"https to a port without TLS":             {secure(serve(t, correct)), []string{"refuses tls_not_spoken"}},
		"the certificate is for another name":     {secure(serve(t, correct, chain(middle.sign(t, "other.example.com", false, later), middle))), []string{"refuses tls_name"}},
		"the certificate is expired":              {secure(serve(t, correct, chain(middle.sign(t, host, false, gone), middle))), []string{"refuses tls_expired"}},
		"the certificate ends in a week":          {secure(serve(t, correct, chain(middle.sign(t, host, false, time.Now().Add(7*24*time.Hour)), middle))), []string{"risk tls_expires_soon"}},
		"the intermediate certificate is missing": {secure(serve(t, correct, chain(own))), []string{"refuses tls_chain"}},
		"the server's certificate alone, which this computer knows enough to take": {secure(serve(t, correct, chain(root.sign(t, host, false, later)))), []string{"risk tls_chain"}},
		"the certificate signs itself":                                             {secure(serve(t, correct, chain((*authority)(nil).sign(t, host, false, later)))), []string{"refuses tls_self_signed"}},
		"an authority of the company's own":                                        {secure(serve(t, correct, chain(stranger.sign(t, host, false, later), stranger))), []string{"refuses tls_private_root"}},
		"a redirect to https": {plain(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://"+host+"/weixin", http.StatusMovedPermanently)
		}), []string{"refuses redirect"}},
		"a provider's page for a domain without ICP": {plain(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://dnspod.qcloud.com/static/webblock.html?d="+host, http.StatusFound)
		}), []string{"refuses icp_filing"}},
		"the same by another provider": {plain(page(http.StatusForbidden, "Beaver", "<h1>Non-compliance ICP Filing</h1>")), []string{"refuses icp_filing"}},
		"a login":                      {plain(status(http.StatusUnauthorized)), []string{"refuses unauthorized"}},
		"another token":                {plain(status(http.StatusForbidden)), []string{"refuses forbidden"}},
		"another token, and a clock that is wrong": {plain(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
			w.WriteHeader(http.StatusForbidden)
		}), []string{"refuses clock"}},
		"a clock that is wrong": {plain(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", time.Now().Add(3*time.Minute).UTC().Format(http.TimeFormat))
			correct(w, r)
		}), []string{"risk clock"}},
		"nobody has the path":                 {plain(status(http.StatusNotFound)), []string{"refuses not_found"}},
		"nginx has the host and not the path": {plain(page(http.StatusNotFound, "nginx/1.27", "<html>404 Not Found</html>")), []string{"refuses other_server"}},
		"a web site has the path":             {plain(page(http.StatusOK, "Apache", "<html>Welcome</html>")), []string{"refuses other_server"}},
		"a firewall of the web":               {plain(page(http.StatusForbidden, "cloudflare", "<html>Sorry, you have been blocked</html>")), []string{"refuses other_server"}},
		"a server that takes POST alone":      {plain(status(http.StatusMethodNotAllowed)), []string{"refuses other_server"}},
		"no pod behind the proxy":             {plain(status(http.StatusBadGateway)), []string{"refuses server_error"}},
		"a slow server":                       {setup{dns: dns, servers: at(serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })), timeout: 100 * time.Millisecond}, []string{"refuses timeout"}},
		"a server that hangs up":              {setup{dns: dns, servers: at(raw(t, ""))}, []string{"refuses connection_cut"}},
		"a port that is not HTTP's":           {setup{dns: dns, servers: at(raw(t, "220 mail.example.com ESMTP\r\n"))}, []string{"refuses not_http"}},
		"an answer in chunks":                 {plain(func(w http.ResponseWriter, r *http.Request) { w.(http.Flusher).Flush(); correct(w, r) }), []string{"risk framing"}},
		"an answer that is compressed": {plain(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = io.WriteString(z, r.URL.Query().Get("echostr"))
			_ = z.Close()
		}), []string{"refuses body_compressed"}},
		"an empty answer":                           {plain(status(http.StatusOK)), []string{"refuses body_empty"}},
		"quotation marks around the echostr":        {plain(around(`"`, `"`)), []string{"refuses body_quoted"}},
		"a line end behind the echostr":             {plain(around("", "\n")), []string{"refuses body_white_space"}},
		"a byte order mark before the echostr":      {plain(around("\ufeff", "")), []string{"refuses body_bom"}},
		"JSON":                                      {plain(around(`{"data":`, `}`)), []string{"refuses body_json"}},
		"another text":                              {plain(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }), []string{"refuses body_differs"}},
		"201":                                       {plain(status(http.StatusCreated)), []string{"refuses status"}},
		"without the token, a sidecar":              {setup{dns: dns, servers: at(serve(t, correct)), unsigned: true}, []string{"unknown no_token"}},
		"without the token, another server":         {setup{dns: dns, servers: at(serve(t, page(http.StatusForbidden, "nginx", "<html>"))), unsigned: true}, []string{"refuses other_server"}},
		"a platform that checks no URL":             {setup{dns: dns, servers: at(serve(t, status(http.StatusMethodNotAllowed))), unsigned: true, unchecked: true, platform: v1alpha1.PlatformPay}, []string{"unknown not_checked"}},
		"WeChat Pay's, and a sidecar":               {setup{dns: dns, servers: at(serve(t, page(http.StatusForbidden, "", wechat.PayRefusal))), unsigned: true, unchecked: true, platform: v1alpha1.PlatformPay}, []string{"unknown not_checked"}},
		"WeChat Pay's, and another server":          {setup{dns: dns, servers: at(serve(t, page(http.StatusForbidden, "nginx", `{"code":"FAIL"}`))), unsigned: true, unchecked: true, platform: v1alpha1.PlatformPay}, []string{"refuses forbidden"}},
		"the Open Platform's, and an answer of Pay": {setup{dns: dns, servers: at(serve(t, page(http.StatusForbidden, "nginx", wechat.PayRefusal))), unsigned: true, unchecked: true, platform: v1alpha1.PlatformOpenPlatform}, []string{"refuses forbidden"}},
		"a platform that checks no URL, redirected": {setup{dns: dns, servers: at(serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) })), unsigned: true, unchecked: true, platform: v1alpha1.PlatformPay}, []string{"refuses redirect"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, test.causes(t, roots)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestHowLongWeChatAndWeComWait: the times are given, not waited for.
func TestHowLongWeChatAndWeComWait(t *testing.T) {
	for _, test := range []struct {
		platform v1alpha1.Platform
		took     time.Duration
		want     Cause
	}{
		{v1alpha1.PlatformOfficialAccount, 2 * time.Second, ""},
		{v1alpha1.PlatformOfficialAccount, 3 * time.Second, CauseSlow},
		{v1alpha1.PlatformOfficialAccount, 6 * time.Second, Cause(diagnose.CodeTimeout)},
		{v1alpha1.PlatformWeCom, 900 * time.Millisecond, ""},
		{v1alpha1.PlatformWeCom, 1100 * time.Millisecond, CauseWeComLate},
	} {
		answer := caller.Answer{Status: 200, Header: http.Header{"Content-Length": {"1"}}, Body: []byte("1"), Echostr: "1", Elapsed: test.took}
		var got Cause
		for _, one := range decideHere(Facts{Platform: test.platform, Checked: true, Here: Here{Calls: []Call{{Signed: true, Answer: answer}}}}) {
			got = one.Cause
		}
		if got != test.want {
			t.Errorf("%s after %v: %q, want %q", test.platform, test.took, got, test.want)
		}
	}
}

func TestAnInterruptedLookIsNoFinding(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Look(ctx, resolver{err: context.Canceled}, caller.Sender{URL: "http://" + host + "/weixin", Token: rightToken}, true); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
