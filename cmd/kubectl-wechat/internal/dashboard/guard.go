// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// guard decides who may speak with the server. Who can reach it is more than the caller:
//
//   - every process of this computer, of other users, too. It does not have the token of this run, which is in the URL's fragment and
//     therefore in no request, no Referer and no log. The page sends it as a header; there is no cookie that a browser would send by itself.
//   - every page that the caller's browser shows. Another site cannot read answers, as no CORS header is ever sent, and cannot set the
//     header without a preflight that fails. What changes something is a POST whose Origin is this server.
//   - a site whose name leads to 127.0.0.1 after it was loaded (DNS rebinding): its requests name it as Host, and only this server's own
//     names pass.
//
// A request that fails one of these is answered before anything of it is read but its head.
type guard struct {
	// hosts are the values of Host that pass: this server's addresses and localhost, each with its port.
	hosts []string
	// token is the SHA-256 of the token of this run, therefore comparisons take as long for every length.
	token [sha256.Size]byte
	cross *http.CrossOriginProtection
}

// newToken makes the token of a run: 128 bits at least.
func newToken() string { return rand.Text() }

func newGuard(port, token string) *guard {
	g := &guard{token: sha256.Sum256([]byte(token)), cross: http.NewCrossOriginProtection()}
	for _, name := range []string{"127.0.0.1", "localhost", "::1"} {
		g.hosts = append(g.hosts, net.JoinHostPort(name, port))
	}
	return g
}

// policy is the Content-Security-Policy: the page's own files, and connections to this server.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// protect lets those requests through that come from the page, or ask for the page itself, which holds nothing of a cluster.
func (g *guard) protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Cache-Control", "no-store")
		if status := g.check(r); status != http.StatusOK {
			w.WriteHeader(status)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// check is the status with which a request is refused, or 200.
func (g *guard) check(r *http.Request) int {
	isAPI := strings.HasPrefix(r.URL.Path, apiPath)
	switch {
	case !slices.Contains(g.hosts, r.Host):
		return http.StatusMisdirectedRequest
	case r.Method != http.MethodGet && r.Method != http.MethodPost, r.Method == http.MethodPost && !isAPI:
		return http.StatusMethodNotAllowed
	case !g.sameOrigin(r):
		return http.StatusForbidden
	case isAPI && !g.hasToken(r):
		return http.StatusUnauthorized
	}
	return http.StatusOK
}

// sameOrigin refuses what the page of another origin asks for. A POST must name its Origin, as every browser does. The page itself may be
// opened from anywhere, as by a click in a terminal.
func (g *guard) sameOrigin(r *http.Request) bool {
	if g.cross.Check(r) != nil {
		return false
	}
	origins := r.Header.Values("Origin")
	if len(origins) == 0 {
		return r.Method == http.MethodGet
	}
	origin, err := url.Parse(origins[0])
	return err == nil && len(origins) == 1 && origin.Scheme == "http" && origin.Host == r.Host
}

// tokenHeader carries the token of this run.
const tokenHeader = "X-Dashboard-Token" //nolint:gosec // the name of a header

func (g *guard) hasToken(r *http.Request) bool {
	shown := sha256.Sum256([]byte(r.Header.Get(tokenHeader)))
	return subtle.ConstantTimeCompare(shown[:], g.token[:]) == 1
}
