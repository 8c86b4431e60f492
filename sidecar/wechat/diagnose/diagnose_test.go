// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"bytes"
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
	"os"
	"strings"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
)

const token, openid = wechattest.Token, wechattest.OpenID

// want is a code, and words that the sentence for it must hold.
type want struct {
	code  Code
	words []string
}

func (w want) check(t *testing.T, refusal *Refusal) {
	t.Helper()
	if refusal == nil {
		if w.code != "" {
			t.Errorf("accepted, want %s", w.code)
		}
		return
	}
	if refusal.Code != w.code {
		t.Errorf("code %s, want %q: %v", refusal.Code, w.code, refusal)
	}
	for _, word := range w.words {
		if !strings.Contains(refusal.String(), word) {
			t.Errorf("%q is not in %q", word, refusal)
		}
	}
	if refusal.Cause == "" || refusal.Remedy == "" || strings.HasSuffix(refusal.Cause, ".") || strings.HasSuffix(refusal.Remedy, ".") {
		t.Errorf("not a cause and a remedy: %+v", refusal)
	}
}

func TestDiagnoseAnAnswer(t *testing.T) {
	echo := func(r *http.Request) string { return r.URL.Query().Get("echostr") }
	say := func(before, after string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, before+echo(r)+after) }
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	redirect := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", to+"?"+r.URL.RawQuery)
			w.WriteHeader(http.StatusMovedPermanently)
		}
	}
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		want    want
	}{
		"a correct endpoint":             {wechattest.Correct, want{}},
		"an echo without a look":         {say("", ""), want{}},
		"a redirect to https":            {redirect("https://wx.example.com/weixin"), want{CodeRedirect, []string{"301", `"https://wx.example.com/weixin"`, "ssl-redirect"}}},
		"a redirect to a slash":          {redirect("/weixin/"), want{CodeRedirect, []string{`"/weixin/"`, "slash"}}},
		"a redirect elsewhere":           {redirect("/login"), want{CodeRedirect, []string{`"/login"`}}},
		"a redirect without a Location":  {status(302), want{CodeRedirect, []string{"302", "without a Location"}}},
		"a login":                        {status(401), want{CodeUnauthorized, []string{"401", "login"}}},
		"a refusal":                      {status(403), want{CodeForbidden, []string{"403", "token"}}},
		"no such path":                   {status(404), want{CodeNotFound, []string{"404", "path"}}},
		"a wrong method":                 {status(405), want{CodeStatus, []string{"405"}}},
		"created, not OK":                {status(201), want{CodeStatus, []string{"201 Created", "200 only"}}},
		"a status that has no name":      {status(299), want{CodeStatus, []string{"answered 299,"}}},
		"an error":                       {status(500), want{CodeServerError, []string{"500"}}},
		"a proxy without a server":       {status(502), want{CodeServerError, []string{"502 Bad Gateway"}}},
		"nothing":                        {status(200), want{CodeBodyEmpty, []string{"empty"}}},
		"a line end":                     {say("", "\n"), want{CodeBodyWhiteSpace, []string{`\n`}}},
		"a space before":                 {say(" ", ""), want{CodeBodyWhiteSpace, nil}},
		"a byte order mark":              {say("\xef\xbb\xbf", ""), want{CodeBodyBOM, []string{"BOM"}}},
		"quotation marks":                {say(`"`, `"`), want{CodeBodyQuoted, []string{"JSON"}}},
		"quotation marks and a line end": {say(`"`, "\"\n"), want{CodeBodyQuoted, nil}},
		"apostrophes":                    {say("'", "'"), want{CodeBodyQuoted, nil}},
		"a JSON wrapper":                 {say(`{"code":0,"data":"`, `"}`), want{CodeBodyJSON, []string{"wrapper"}}},
		"a JSON list":                    {say("[", "]"), want{CodeBodyJSON, nil}},
		"an HTML page":                   {say("<!DOCTYPE html>\n<html>", "</html>"), want{CodeBodyHTML, []string{"HTML"}}},
		"HTML by its type": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = io.WriteString(w, "<p>welcome</p>")
		}, want{CodeBodyHTML, nil}},
		"an XML answer":         {say("<xml>", "</xml>"), want{CodeBodyExtra, []string{"more in it"}}},
		"debug output":          {say("Notice: x ", ""), want{CodeBodyExtra, []string{"Notice: x"}}},
		"success":               {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "success") }, want{CodeBodyDiffers, []string{"success"}}},
		"a number that was cut": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "1.23e+18") }, want{CodeBodyDiffers, []string{"1.23e+18"}}},
		"gzip": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			var packed bytes.Buffer
			writer := gzip.NewWriter(&packed)
			_, _ = io.WriteString(writer, echo(r))
			_ = writer.Close()
			_, _ = w.Write(packed.Bytes())
		}, want{CodeBodyCompressed, []string{`"gzip"`}}},
		"a flood": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(bytes.Repeat([]byte("x"), 2*wechat.MaxReplySize))
		}, want{CodeBodyDiffers, []string{"bytes more"}}},
		"terminal control": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "\x1b[2J") }, want{CodeBodyDiffers, []string{`"\x1b[2J"`}}},
		"a clock that is wrong": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
			w.WriteHeader(http.StatusForbidden)
		}, want{CodeForbidden, []string{"clock is 1h0m"}}},
		"a slow answer": {func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-time.After(5 * time.Second):
			}
		}, want{CodeTimeout, []string{"no answer came within", "5s"}}},
		"an answer without an end": {func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, want{CodeTimeout, []string{"not complete"}}},
		"a crash":   {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, want{CodeConnectionCut, []string{"ended before"}}},
		"a half":    {hijack("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"), want{CodeConnectionCut, nil}},
		"not HTTP":  {hijack("SSH-2.0-OpenSSH_9.6\r\n\r\n"), want{CodeNotHTTP, nil}},
		"no header": {hijack("HTTP/1.1 200 OK\r\nnonsense\r\n\r\n"), want{CodeNotHTTP, nil}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sender := wechattest.Serve(t, test.handler)
			sender.Timeout = 500 * time.Millisecond
			answer, err := sender.URLCheck(t.Context())
			refusal := URLCheck(answer, err)
			test.want.check(t, refusal)
			if refusal != nil && (strings.Contains(refusal.String(), "signature=") || strings.Contains(refusal.String(), token)) {
				t.Errorf("shows a secret: %v", refusal)
			}
		})
	}
}

func hijack(answer string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(conn, answer)
		_ = conn.Close()
	}
}

func TestWrongTokenAndStaleTimestampAreRefusedByACorrectEndpoint(t *testing.T) {
	sender := wechattest.Serve(t, wechattest.Correct)
	for name, mutation := range map[string]caller.Mutation{"token": wechattest.WithToken("another"), "signature": wechattest.WithSignature(strings.Repeat("0", 40))} {
		answer, err := sender.URLCheck(t.Context(), mutation)
		if refusal := URLCheck(answer, err); refusal == nil || refusal.Code != CodeForbidden {
			t.Errorf("%s: %v", name, refusal)
		}
	}
}

func TestAnAnswerAfterFiveSecondsIsTooLate(t *testing.T) {
	in := caller.Answer{Status: 200, Body: []byte("1"), Echostr: "1", Elapsed: caller.Timeout}
	want{}.check(t, URLCheck(in, nil))
	in.Elapsed += time.Millisecond
	want{CodeTimeout, []string{"5.001s"}}.check(t, URLCheck(in, nil))
}

func TestARefusalQuotesNeitherTokenNorSignature(t *testing.T) {
	sender := wechattest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, token+" "+r.URL.Query().Get("signature"))
	})
	request, err := sender.NewURLCheck()
	if err != nil {
		t.Fatal(err)
	}
	answer, err := sender.Send(t.Context(), request)
	refusal := URLCheck(answer, err)
	want{CodeBodyDiffers, []string{`"… …"`}}.check(t, refusal)
	if shown := answer.Redact(string(answer.Body)); strings.Contains(shown, token) || strings.Contains(shown, request.Signature) {
		t.Error(shown)
	}
}

func TestDiagnoseTLS(t *testing.T) {
	yesterday, tomorrow := time.Now().Add(-24*time.Hour), time.Now().Add(24*time.Hour)
	good := certificate(t, "wx.example.com", yesterday, tomorrow)
	for name, test := range map[string]struct {
		served, trusted tls.Certificate
		host            string
		want            want
	}{
		"a good certificate": {good, good, "", want{}},
		"another name":       {good, good, "other.example.com", want{CodeTLSName, []string{"other.example.com", `"wx.example.com"`}}},
		"unknown authority":  {good, certificate(t, "x", yesterday, tomorrow), "", want{CodeTLSAuthority, []string{"intermediate"}}},
		"expired":            expiredCase(t, yesterday.Add(-24*time.Hour), yesterday),
		"not valid yet":      expiredCase(t, tomorrow, tomorrow.Add(time.Hour)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewUnstartedServer(http.HandlerFunc(wechattest.Correct))
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.TLS = &tls.Config{Certificates: []tls.Certificate{test.served}}
			server.StartTLS()
			defer server.Close()
			roots := x509.NewCertPool()
			roots.AddCert(test.trusted.Leaf)
			sender := &caller.Sender{URL: "https://wx.example.com/weixin", Token: token, Host: test.host, Address: server.Listener.Addr().String(), RootCAs: roots}
			answer, err := sender.URLCheck(t.Context())
			test.want.check(t, URLCheck(answer, err))
		})
	}
}

func expiredCase(t *testing.T, from, to time.Time) (test struct {
	served, trusted tls.Certificate
	host            string
	want            want
}) {
	test.served = certificate(t, "wx.example.com", from, to)
	test.trusted = test.served
	test.want = want{CodeTLSExpired, []string{from.UTC().Format(time.DateOnly), to.UTC().Format(time.DateOnly)}}
	return test
}

// certificate is self-signed, so that it is also its authority.
func certificate(t *testing.T, host string, from, to time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}, NotBefore: from, NotAfter: to,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func TestDiagnoseHTTPSToAPortWithoutTLS(t *testing.T) {
	sender := wechattest.Serve(t, wechattest.Correct)
	sender.URL = "https://wx.example.com/weixin"
	answer, err := sender.URLCheck(t.Context())
	want{CodeTLSNotSpoken, []string{"http://"}}.check(t, URLCheck(answer, err))
}

func TestDiagnoseAServerThatHasNoCertificateForTheName(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(wechattest.Correct))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, errors.New("no such name") }}
	server.StartTLS()
	defer server.Close()
	sender := &caller.Sender{URL: "https://wx.example.com/weixin", Token: token, Address: server.Listener.Addr().String()}
	answer, err := sender.URLCheck(t.Context())
	want{CodeTLS, []string{"broke TLS off"}}.check(t, URLCheck(answer, err))
}

func TestDiagnoseAConnectionThatIsRefused(t *testing.T) {
	const address = "127.0.0.1:1" // nobody listens there
	sender := &caller.Sender{URL: "http://wx.example.com/weixin", Token: token, Address: address}
	answer, err := sender.URLCheck(t.Context())
	want{CodeConnectionRefused, []string{address}}.check(t, URLCheck(answer, err))
	if strings.Contains(err.Error(), "signature") {
		t.Error(err)
	}
}

func TestDiagnoseAnInterruption(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	sender := wechattest.Serve(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	answer, err := sender.URLCheck(ctx)
	want{CodeInterrupted, nil}.check(t, URLCheck(answer, err))
}

// What a test cannot cause on every computer is made up.
func TestDiagnoseAnError(t *testing.T) {
	address := &net.TCPAddr{IP: net.IPv4(203, 0, 113, 7), Port: 443}
	dial := func(err error) error {
		return fmt.Errorf("connecting: %w", &net.OpError{Op: "dial", Net: "tcp", Addr: address, Err: err})
	}
	for name, test := range map[string]struct {
		err  error
		want want
	}{
		"no such name":         {dial(&net.DNSError{Err: "no such host", Name: "wx.example.com", IsNotFound: true}), want{CodeDNS, []string{"wx.example.com has no address"}}},
		"a silent name server": {dial(&net.DNSError{Err: "i/o timeout", Name: "wx.example.com", IsTimeout: true}), want{CodeDNS, []string{"could not be looked up", "i/o timeout"}}},
		"a firewall":           {dial(os.ErrDeadlineExceeded), want{CodeConnectTimeout, []string{"203.0.113.7:443", "firewall"}}},
		"no route":             {dial(errors.New("no route to host")), want{CodeUnreachable, []string{"no route to host"}}},
		"another certificate error": {&tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.TooManyIntermediates}},
			want{CodeTLS, []string{"certificate is refused"}}},
		"another error of TLS": {errors.New("tls: no supported versions"), want{CodeTLS, []string{"agreed"}}},
		"another error":        {errors.New("weather"), want{CodeConnectionCut, []string{"weather"}}},
	} {
		t.Run(name, func(t *testing.T) {
			test.want.check(t, URLCheck(caller.Answer{}, test.err))
		})
	}
}

func TestDiagnoseURL(t *testing.T) {
	for raw, want := range map[string]want{
		"https://wx.example.com/weixin":      {},
		"http://wx.example.com/weixin":       {},
		"http://203.0.113.7/wx?a=1":          {},
		"https://wx.example.com:443/weixin":  {},
		"http://wx.example.com:80/weixin":    {},
		"https://wx.example.com:8443/weixin": {CodePort, []string{"8443", "port 443"}},
		"http://wx.example.com:443/weixin":   {CodePort, []string{"port 443", "port 80"}},
		"wx.example.com/weixin":              {CodeURL, []string{"http://"}},
		"ftp://wx.example.com/":              {CodeURL, nil},
		"https:///weixin":                    {CodeURL, []string{"no host"}},
		"http://a b/":                        {CodeURL, []string{"cannot be read"}},
		"https://me:secret@wx.example.com/":  {CodeURL, []string{"user name"}},
		"https://wx.example.com/#top":        {CodeURL, []string{"fragment"}},
		"https://微信.example.com/":            {CodeURL, []string{"xn--"}},
	} {
		t.Run(raw, func(t *testing.T) {
			refusal := URL(&caller.Sender{URL: raw})
			want.check(t, refusal)
			if refusal != nil && strings.Contains(refusal.String(), "secret") {
				t.Errorf("quotes the URL: %v", refusal)
			}
		})
	}
}

func TestWeComCallsAnyPort(t *testing.T) {
	for raw, want := range map[string]want{
		"https://wx.example.com:8443/wecom": {},
		"http://wx.example.com:443/wecom":   {},
		"http://wx.example.com:/wecom":      {},
		"https://me@wx.example.com:8443/":   {CodeURL, []string{"user name"}},
		"http://wx.example.com:99999/wecom": {CodeURL, nil},
	} {
		want.check(t, URL(&caller.Sender{URL: raw, WeCom: true}))
	}
}

func TestASenderWithoutAUsableURLSaysSo(t *testing.T) {
	sender := &caller.Sender{URL: "wx.example.com", Token: token}
	for name, call := range map[string]func() (caller.Answer, error){
		"URL check": func() (caller.Answer, error) { return sender.URLCheck(t.Context()) },
		"text":      func() (caller.Answer, error) { return sender.Text(t.Context(), openid, "hi") },
		"post":      func() (caller.Answer, error) { return sender.Post(t.Context(), nil) },
		"send":      func() (caller.Answer, error) { return sender.Send(t.Context(), &caller.Request{}) },
	} {
		answer, err := call()
		if refusal := URLCheck(answer, err); refusal == nil || refusal.Code != CodeURL {
			t.Errorf("%s: %v", name, refusal)
		}
	}
}
