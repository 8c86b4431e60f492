// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Command httputil is a peer of the benchmark: the proxy of the standard library behind a check of the signature.
package main

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/wechatendpoint/wechatendpoint/test/bench/dataplane/peers/check"
)

const maxBody = 256 << 10

func main() {
	checker, err := check.New(os.Args[1], os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConns: 256, MaxIdleConnsPerHost: 256, DisableCompression: true}
	app := &url.URL{Scheme: "http", Host: "127.78.0.1:7081"}
	proxy := &httputil.ReverseProxy{
		Rewrite:    func(r *httputil.ProxyRequest) { r.SetURL(app) },
		Transport:  transport,
		BufferPool: &pool{},
		ErrorLog:   log.Default(),
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now, query := time.Now(), r.URL.Query()
		triple := check.Triple{Signature: query.Get("signature"), Timestamp: query.Get("timestamp"), Nonce: query.Get("nonce")}
		if r.URL.Path == "/weixin" {
			switch {
			case !checker.Plaintext(triple, now):
				w.WriteHeader(http.StatusForbidden)
			case r.Method == http.MethodGet:
				w.Header().Set("Content-Type", "text/plain")
				_, _ = io.WriteString(w, query.Get("echostr")) // the client has gone
			default:
				proxy.ServeHTTP(w, r)
			}
			return
		}
		triple.Signature = query.Get("msg_signature")
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		message, ok := body, false
		if err == nil && r.URL.Path == "/decrypt" {
			message, ok = checker.Open(triple, body, now)
		} else if err == nil {
			ok = checker.Envelope(triple, body, now)
		}
		if !ok {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(message)), int64(len(message))
		r.Header.Set("Content-Length", strconv.Itoa(len(message)))
		proxy.ServeHTTP(w, r)
	})
	server := &http.Server{Addr: "127.78.0.1:7080", Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}

// pool keeps the buffers by which answers are copied.
type pool struct{ sync.Pool }

// Get returns a buffer.
func (p *pool) Get() []byte {
	if b, ok := p.Pool.Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, 32<<10)
}

// Put keeps a buffer.
func (p *pool) Put(b []byte) { p.Pool.Put(&b) }
