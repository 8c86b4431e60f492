// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Command fasthttp is a peer of the benchmark: fasthttp's server and client, with a check of the signature between.
package main

import (
	"log"
	"os"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/wechatendpoint/wechatendpoint/test/bench/dataplane/peers/check"
)

func main() {
	checker, err := check.New(os.Args[1], os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	// An app that closes an idle connection costs a message here: this one never does.
	app := &fasthttp.HostClient{Addr: "127.78.0.1:7081", MaxConns: 1024, MaxIdleConnDuration: time.Hour, NoDefaultUserAgentHeader: true}
	server := &fasthttp.Server{
		MaxRequestBodySize: 256 << 10, NoDefaultServerHeader: true,
		Handler: func(ctx *fasthttp.RequestCtx) {
			query := ctx.QueryArgs()
			peek := func(name string) string { return string(query.Peek(name)) }
			triple, now := check.Triple{Signature: peek("signature"), Timestamp: peek("timestamp"), Nonce: peek("nonce")}, time.Now()
			path, ok := string(ctx.Path()), false
			if path != "/weixin" {
				triple.Signature = peek("msg_signature")
			}
			switch path {
			case "/weixin":
				ok = checker.Plaintext(triple, now)
			case "/envelope":
				ok = checker.Envelope(triple, ctx.Request.Body(), now)
			case "/decrypt":
				var message []byte
				if message, ok = checker.Open(triple, ctx.Request.Body(), now); ok {
					ctx.Request.SetBodyRaw(message)
				}
			}
			switch {
			case !ok:
				ctx.Error("", fasthttp.StatusForbidden)
			case ctx.IsGet():
				ctx.SetBody(query.Peek("echostr"))
			default:
				if err := app.Do(&ctx.Request, &ctx.Response); err != nil {
					ctx.Error("", fasthttp.StatusBadGateway)
				}
			}
		},
	}
	log.Fatal(server.ListenAndServe("127.78.0.1:7080"))
}
