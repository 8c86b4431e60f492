// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"context"
	"embed"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"strconv"
	"time"
)

// files are the page: HTML, CSS, modules of JavaScript, and the libraries that page/libraries.txt names.
//
//go:embed page
var files embed.FS

// Bounds of the server. A page makes a few requests every few seconds.
const (
	maxHead      = 16 << 10 // bytes
	maxBody      = 4 << 10  // bytes
	maxCalls     = 8        // calls of the API at once
	maxTails     = 4        // tails at once
	headTimeout  = 5 * time.Second
	readTimeout  = 10 * time.Second
	callTimeout  = 30 * time.Second
	writeTimeout = callTimeout + 5*time.Second
	idleTimeout  = time.Minute
)

// Server is the dashboard of one run.
type Server struct {
	listener net.Listener
	token    string
	handler  http.Handler
}

// Listen takes a port of the loopback address: port 0 takes any that is free. Nobody on another computer can reach it.
func Listen(ctx context.Context, port uint16, cluster Cluster, dial Dial) (*Server, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
	if err != nil {
		return nil, err
	}
	_, taken, _ := net.SplitHostPort(listener.Addr().String())
	s := &Server{listener: listener, token: newToken()}
	s.handler = newGuard(taken, s.token).protect(newHandler(cluster, dial))
	return s, nil
}

// URL opens the page, with the token of this run in its fragment, which no browser sends.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() + "/#token=" + s.token }

// Serve serves the page until ctx is done.
func (s *Server) Serve(ctx context.Context) error {
	server := &http.Server{
		Handler: s.handler, ReadHeaderTimeout: headTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHead,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// newHandler serves the page's files and its API. What guards it is put around it.
func newHandler(cluster Cluster, dial Dial) http.Handler {
	page, err := fs.Sub(files, "page")
	if err != nil {
		panic(err) // the folder is embedded
	}
	a := api{cluster: cluster, traffic: newSampler(cluster, dial), calls: make(chan struct{}, maxCalls), tails: make(chan struct{}, maxTails)}
	mux := http.NewServeMux()
	for _, name := range pageFiles {
		path := "/" + name
		if name == "index.html" {
			path = "/{$}"
		}
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, page, name) })
	}
	mux.HandleFunc("GET "+apiPath+"words", a.call(a.words))
	mux.HandleFunc("GET "+apiPath+"objects", a.call(a.list))
	mux.HandleFunc("GET "+apiPath+"objects/{kind}/{namespace}/{name}", a.call(a.show))
	mux.HandleFunc("GET "+apiPath+"traffic/{kind}/{namespace}/{name}", a.call(a.sample))
	mux.HandleFunc("GET "+apiPath+"tail/{kind}/{namespace}/{name}", a.tail)
	mux.HandleFunc("POST "+apiPath+"send/{kind}/{namespace}/{name}", a.call(a.send))
	return mux
}

// pageFiles are the files that the page consists of.
var pageFiles = []string{"index.html", "style.css", "app.js", "parts.js", "charts.js", "api.js", "preact.js", "htm.js", "icon.svg"}
