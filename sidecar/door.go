// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/door"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/gate"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/http1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/peers"
	"github.com/wechatendpoint/wechatendpoint/sidecar/tap"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// This is the one file that knows net/http. What comes in becomes a gate.Request, and an Answer becomes what goes out.

// newServer returns a server for one of the doors. What net/http would log is not: it quotes what clients sent.
func newServer(handler http.Handler, bounds door.Bounds) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: bounds.HeadTime,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    bounds.HeadSize,
		ErrorLog:          log.New(io.Discard, "", 0),
		// net/http would answer OPTIONS * by itself.
		DisableGeneralOptionsHandler: true,
	}
}

// newLane returns the server that reads usual callbacks itself, and hands every other connection over.
func (s *Sidecar) newLane() *http1.Server {
	bounds := s.bounds.door()
	return &http1.Server{
		Handler: s.serveCallback,
		Names:   wechat.PayHeaders,
		Faulted: s.noteFault,
		Bounds: http1.Bounds{
			HeadSize: bounds.HeadSize, HeadLines: bounds.HeadLines, HeadTime: bounds.HeadTime,
			BodySize: MaxUnverifiedSize, ReadTime: readTimeout, WriteTime: writeTimeout, IdleTime: idleTimeout,
		},
	}
}

// serveCallback serves a callback of the lane.
func (s *Sidecar) serveCallback(ctx context.Context, w *http1.Response, r *http1.Request) {
	if s.draining.Load() {
		w.Close() // the router opens its next connection elsewhere
	}
	answer := s.answer(ctx, &gate.Request{
		Method: r.Method, Host: r.Host, Path: r.Path, RawQuery: r.RawQuery, Header: r.Header, Stream: r.Body, Length: r.Length, Arrived: r.Arrived,
	})
	defer answer.Free()
	if answer.Refused && s.crowded() {
		w.Close()
	}
	var fields [maxFields]http1.Field
	w.Head(answer.Status, answer.Len(), answer.appendFields(fields[:0])...)
	_ = answer.Write(w) // a client that hung up needs no answer
}

// callbackHandler serves callbacks, and nothing else.
func (s *Sidecar) callbackHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer s.recovered()
		if s.draining.Load() {
			w.Header().Set("Connection", "close") // the router opens its next connection elsewhere
		}
		answer := s.answer(r.Context(), &gate.Request{
			Method:   r.Method,
			Host:     r.Host,
			Path:     r.URL.EscapedPath(),
			RawQuery: r.URL.RawQuery,
			Header:   r.Header,
			Stream:   r.Body,
			Length:   r.ContentLength,
			Arrived:  time.Now(),
		})
		defer answer.Free()
		if answer.Refused && s.crowded() {
			w.Header().Set("Connection", "close")
		}
		write(w, &answer)
	})
}

// recovered logs where the sidecar panicked, and ends the connection. net/http would log the panic's text, which may quote a user.
func (s *Sidecar) recovered() {
	if fault := recover(); fault != nil {
		s.noteFault()
		panic(http.ErrAbortHandler)
	}
}

func (s *Sidecar) noteFault() {
	s.options.Log.Error("a fault of the sidecar's own ended a callback; please report it", "stack", string(debug.Stack()))
}

// write writes an answer, byte for byte.
func write(w http.ResponseWriter, answer *Answer) {
	header := w.Header()
	for _, field := range answer.appendFields(nil) {
		header.Set(field.Name, field.Value)
	}
	if answer.Status != statusNothing {
		header.Set("Content-Length", strconv.Itoa(answer.Len()))
	}
	w.WriteHeader(answer.Status)
	_ = answer.Write(w) // a client that hung up needs no answer
}

// opsHandler serves what the route never reaches: health, readiness, status, metrics and taps.
func (s *Sidecar) opsHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		status := s.status()
		writeJSON(w, map[bool]int{true: http.StatusOK, false: http.StatusServiceUnavailable}[status.Ready], status)
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		if query := r.URL.Query(); query.Has("entry") {
			writeJSON(w, http.StatusOK, s.statusOf(query.Get("entry")))
			return
		}
		writeJSON(w, http.StatusOK, s.statusOfAll())
	})
	mux.HandleFunc("POST "+peers.Path, s.answerPeer)
	mux.HandleFunc("POST "+peers.UsesPath, s.takeUses)
	mux.HandleFunc("GET "+tap.Path, s.serveTap)
	mux.HandleFunc("POST "+tap.AnswerPath, s.takeTapAnswer)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.Gatherer(), promhttp.HandlerOpts{MaxRequestsInFlight: 4, DisableCompression: true}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		door.Received(r.Context())
		mux.ServeHTTP(w, r)
	})
}

// answerPeer answers a callback that another pod hands over.
func (s *Sidecar) answerPeer(w http.ResponseWriter, r *http.Request) {
	defer s.recovered()
	handed, err := peers.Parse(r.Header, wechat.PayHeaders)
	if err != nil || s.peers == nil {
		w.WriteHeader(peers.StatusForged)
		return
	}
	connection := http.NewResponseController(w)
	_ = connection.SetReadDeadline(time.Now().Add(s.peers.Patience())) // a body that comes later is not taken
	taken := false
	take := func(key []byte) {
		if taken {
			return
		}
		taken = true
		_ = connection.SetReadDeadline(time.Time{})
		w.Header().Set(handed.Taken(key))
		w.WriteHeader(http.StatusOK)
		_ = connection.Flush() // of a connection that broke: the rest of the answer is lost too
	}
	answer, key, declined := s.takeHandover(r.Context(), handed, r.Body, r.ContentLength, take)
	defer answer.Free()
	if declined != 0 {
		w.WriteHeader(declined)
		return
	}
	take(key)
	digest := sha256.New()
	_ = answer.Write(digest) // a digest takes everything
	told := peers.Answer{Status: answer.Status, ContentType: answer.ContentType, Outcome: answer.Outcome}
	_ = handed.WriteHead(w, key, told, answer.Len(), [sha256.Size]byte(digest.Sum(nil)))
	_ = answer.Write(w) // a pod that hung up needs no answer
}

// takeUses takes what another pod tells of the uses of signatures.
func (s *Sidecar) takeUses(w http.ResponseWriter, r *http.Request) {
	defer s.recovered()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, peers.MaxTelling))
	if err != nil {
		w.WriteHeader(peers.StatusForged)
		return
	}
	signature := r.Header.Get(peers.HeaderUses)
	status, known, key := s.told(body, signature)
	if key != nil {
		w.Header().Set(peers.HeaderUses, peers.SignKnown(key, signature, status, known))
	}
	w.WriteHeader(status)
	_, _ = w.Write(known) // a pod that hung up needs no answer
}

// serveTap writes the lines of a tap as they come, until one of them is the last.
func (s *Sidecar) serveTap(w http.ResponseWriter, r *http.Request) {
	opened, refusal := s.openTap(asked(r, nil), r.Header["Authorization"])
	if refusal != "" {
		writeJSON(w, refusal.Status(), tap.Refused{Reason: refusal})
		return
	}
	defer opened.Close()
	connection := http.NewResponseController(w)
	_ = connection.SetReadDeadline(time.Time{}) // else it would pass for the caller's end
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	lines := json.NewEncoder(w)
	for {
		line, more := opened.Next(r.Context())
		if !more {
			return
		}
		_ = connection.SetWriteDeadline(time.Now().Add(writeTimeout))
		if lines.Encode(line) != nil || connection.Flush() != nil {
			return // nobody reads any more
		}
	}
}

// takeTapAnswer takes what somebody's computer answers to a message.
func (s *Sidecar) takeTapAnswer(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, tap.MaxReply))
	if err != nil {
		writeJSON(w, tap.Malformed.Status(), tap.Refused{Reason: tap.Malformed})
		return
	}
	if refusal := s.answerTap(asked(r, body), r.Header["Authorization"], body); refusal != "" {
		writeJSON(w, refusal.Status(), tap.Refused{Reason: refusal})
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func asked(r *http.Request, body []byte) tap.Asked {
	return tap.Asked{Method: r.Method, Path: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery, Body: sha256.Sum256(body)}
}

func writeJSON(w http.ResponseWriter, code int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(value) // a client that hung up needs no answer
}
