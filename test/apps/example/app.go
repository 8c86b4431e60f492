// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// maxMessage bounds a message's body, as the sidecar does. Bytes.
const maxMessage = 1 << 20

// app holds what a test asks about. Real apps have no such thing.
type app struct {
	mu    sync.Mutex
	diary diary
	next  behaviour
}

// behaviour is how messages are answered. The zero value is the passive reply, at once.
type behaviour struct {
	delay  time.Duration
	status int    // 0 is 200
	reply  string // in place of the passive reply
}

func newApp() http.Handler {
	a := &app{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /weixin", a.receive)
	mux.HandleFunc("POST /weixin/{$}", a.receive) // the path of the Django app that this one stands for
	mux.HandleFunc("GET /seen", a.seen)
	mux.HandleFunc("POST /behave", a.behave)
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	return mux
}

// receive takes a message. All that an app must do is here: read the body, answer in time.
func (a *app) receive(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMessage))
	if err != nil {
		http.Error(w, "the body cannot be read", http.StatusBadRequest)
		return
	}
	received, err := parseMessage(body)
	if err != nil {
		http.Error(w, "the body is not a message", http.StatusBadRequest)
		return
	}
	answer := a.note(r, received, body)
	select {
	case <-time.After(answer.delay):
	case <-r.Context().Done(): // whoever called has hung up
		return
	}
	if content := contentFor(received); answer.reply == "" && content != "" {
		answer.reply = textReply(received, content, time.Now())
	}
	switch {
	case answer.status >= 300 && answer.status < 400:
		w.Header().Set("Location", "/elsewhere")
	case answer.status == 0:
		answer.status = http.StatusOK
	}
	w.Header().Set("Content-Type", r.Header.Get("Content-Type")) // the reply has the form of the message
	w.WriteHeader(answer.status)
	fmt.Fprint(w, answer.reply) // empty for an event: nothing is said
}

// note writes a message into the diary and returns how to answer it.
func (a *app) note(r *http.Request, received message, body []byte) behaviour {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.diary.add(r, received, body)
	return a.next
}

func (a *app) seen(w http.ResponseWriter, _ *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(&a.diary) // a client that hung up wants no answer
}

// behave reads the behaviour of the messages to come.
func (a *app) behave(w http.ResponseWriter, r *http.Request) {
	query, next := r.URL.Query(), behaviour{reply: r.URL.Query().Get("reply")}
	var err error
	if delay := query.Get("delay"); delay != "" {
		if next.delay, err = time.ParseDuration(delay); err != nil {
			http.Error(w, "delay must be like 6s", http.StatusBadRequest)
			return
		}
	}
	if status := query.Get("status"); status != "" {
		if next.status, err = strconv.Atoi(status); err != nil || next.status < 200 || next.status > 599 {
			http.Error(w, "status must be from 200 to 599", http.StatusBadRequest)
			return
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.next = next
}
