// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/outcome"
)

// newSecureApp is an app with a certificate for example.com and 127.0.0.1, and that certificate in PEM.
func newSecureApp(t *testing.T) (app *httptest.Server, ca string) {
	t.Helper()
	app = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<xml/>") }))
	return app, start(t, app, true).CA
}

// start starts an app that is called by HTTPS or in clear, and returns how it is known.
func start(t *testing.T, app *httptest.Server, secure bool) Identity {
	t.Helper()
	t.Cleanup(app.Close)
	if !secure {
		app.Start()
		return Identity{}
	}
	app.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that the tests break
	app.StartTLS()
	return Identity{CA: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: app.Certificate().Raw}))}
}

// anotherCA is an authority that has issued nothing.
func anotherCA(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestAnAppByHTTPS(t *testing.T) {
	app, ca := newSecureApp(t)
	for name, test := range map[string]struct {
		identity Identity
		problem  string // part of it; empty for none
	}{
		"known by its issuer and address":  {Identity{CA: ca}, ""},
		"known by its issuer and name":     {Identity{CA: ca, ServerName: "example.com"}, ""},
		"of another name":                  {Identity{CA: ca, ServerName: "app.team-a.svc"}, "not valid for the name"},
		"of another issuer":                {Identity{CA: anotherCA(t)}, "unknown authority"},
		"whose issuer's certificate broke": {Identity{CA: "nonsense"}, "no certificate"},
		"called as if it were in clear":    {Identity{}, "no certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wanted := call(app.URL, time.Second)
			wanted.Identity = test.identity
			answer := deliver(New(1), wanted)
			if test.problem == "" {
				if answer.Outcome != outcome.Answered {
					t.Errorf("got %+v, want the reply", answer)
				}
				return
			}
			if answer.Outcome != outcome.Unavailable || !strings.Contains(explain(answer), test.problem) {
				t.Errorf("got %+v, want unavailable: %s", answer, test.problem)
			}
		})
	}
}

// TestAConnectionIsOfOneIdentity: an open connection to an app is not used for a call that knows the app otherwise.
func TestAConnectionIsOfOneIdentity(t *testing.T) {
	app, ca := newSecureApp(t)
	client := New(1)
	good := call(app.URL, time.Second)
	good.Identity = Identity{CA: ca}
	if answer := deliver(client, good); answer.Outcome != outcome.Answered {
		t.Fatalf("got %+v", answer)
	}
	other := call(app.URL, 200*time.Millisecond)
	other.Identity = Identity{CA: anotherCA(t)}
	if answer := deliver(client, other); answer.Outcome != outcome.Unavailable {
		t.Errorf("got %+v over another identity's connection", answer)
	}
}
