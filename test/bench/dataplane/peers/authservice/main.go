// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Command authservice is a part of two peers of the benchmark, which ask it about each request: nginx by auth_request, Traefik by ForwardAuth.
package main

import (
	"log"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/wechatendpoint/wechatendpoint/test/bench/dataplane/peers/check"
)

func main() {
	checker, err := check.New(os.Args[1], os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		if asked, err := url.Parse(r.Header.Get("X-Forwarded-Uri")); err == nil && asked.RawQuery != "" { // Traefik's
			query = asked.Query()
		}
		triple := check.Triple{Signature: query.Get("signature"), Timestamp: query.Get("timestamp"), Nonce: query.Get("nonce")}
		if !checker.Plaintext(triple, time.Now()) {
			w.WriteHeader(http.StatusForbidden)
		}
	})
	server := &http.Server{Addr: "127.78.0.1:7083", Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}
