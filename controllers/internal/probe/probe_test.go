// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

func TestAsk(t *testing.T) {
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   config.Status
		err    string
	}{
		"a pod that serves": {
			answer: func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/status" {
					_, _ = w.Write([]byte(`{"generation":"abc-1","ready":true}`))
				}
			},
			want: config.Status{Generation: "abc-1", Ready: true},
		},
		"a pod that refused a message for another account": {
			answer: func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte(`{"generation":"abc-1","wrongReceiver":{"id":"wx1","last":"2026-11-26T12:00:00Z"}}`))
			},
			want: config.Status{Generation: "abc-1", WrongReceiver: &config.WrongReceiver{ID: "wx1", Last: time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)}},
		},
		"an account that no sidecar tells is refused": {
			answer: func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte(`{"generation":"abc-1","wrongReceiver":{"id":"wx1: call 555","last":"2026-11-26T12:00:00Z"}}`))
			},
			err: "no id",
		},
		"a redirect is not followed": {
			answer: func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
			},
			err: "status 302",
		},
		"an endless answer": {
			answer: func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte(`{"generation":"` + strings.Repeat("x", maxAnswer) + `"}`))
			},
			err: "unexpected EOF",
		},
		"something else listens there": {
			answer: func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
			err:    "reading the answer",
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(test.answer)
			defer server.Close()
			host, port, err := net.SplitHostPort(server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			number, err := strconv.Atoi(port)
			if err != nil {
				t.Fatal(err)
			}
			result := New(number).Ask(t.Context(), []string{host})[0]
			if !cmp.Equal(result.Status, test.want) && test.err == "" {
				t.Errorf("got %+v, want %+v", result.Status, test.want)
			}
			if (result.Err == nil) != (test.err == "") || result.Err != nil && !strings.Contains(result.Err.Error(), test.err) {
				t.Errorf("error %v, want %q", result.Err, test.err)
			}
		})
	}
}

func TestAnswersKeepTheOrderOfTheQuestions(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"ready":true}`)) }))
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	addresses := make([]string, 3*concurrency)
	for i := range addresses {
		addresses[i] = "127.0.0.1"
		if i%2 == 1 {
			addresses[i] = "127.0.0.2" // nothing of ours listens there
		}
	}
	for i, result := range New(number).Ask(t.Context(), addresses) {
		if answered := result.Err == nil; answered != (i%2 == 0) {
			t.Errorf("answer %d of %s: %v", i, addresses[i], result.Err)
		}
	}
}

// TestSilentPodsHoldUpNobody: of many pods that take a connection and say nothing, all are reported within the bound of one
// reconcile.
func TestSilentPodsHoldUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		prober := New(1)
		prober.client.Transport.(*http.Transport).DialContext = func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() { _, _ = io.Copy(io.Discard, theirs) }()
			return ours, nil
		}
		began := time.Now()
		for i, result := range prober.Ask(t.Context(), make([]string, 3*concurrency)) {
			if result.Err == nil {
				t.Errorf("pod %d is said to have answered", i)
			}
		}
		if took := time.Since(began); took != patience { // by the clock of the test, which waits for nobody
			t.Errorf("asking took %v, want %v", took, patience)
		}
	})
}
