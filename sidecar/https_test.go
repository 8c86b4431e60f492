// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar_test

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// TestAnAppByHTTPS: the app gets its messages over TLS if it is who the configuration says, and WeChat is told to try again
// if it is not.
func TestAnAppByHTTPS(t *testing.T) {
	called := 0
	secure := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called++ }))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // of the handshake that fails
	secure.StartTLS()
	defer secure.Close()
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}))
	s := newStage(t, func(c *config.Config) {
		c.Backend = config.Backend{URL: secure.URL, TLS: &config.BackendTLS{CA: ca}, Deadline: config.Duration(2 * time.Second)}
	})
	answer, err := s.sender().Text(t.Context(), "oUser", "private words")
	if must(t, answer, err); answer.Status != http.StatusOK || called != 1 {
		t.Errorf("WeChat got %d, and the app was called %d times", answer.Status, called)
	}
	s.config.Generation, s.config.Backend.TLS.ServerName = "g-2", "another.example.org"
	s.config.Backend.Deadline = config.Duration(200 * time.Millisecond)
	s.write(t, s.config, token)
	s.awaitGeneration(t, "g-2")
	answer, err = s.sender().Text(t.Context(), "oUser", "other private words")
	if must(t, answer, err); answer.Status != http.StatusServiceUnavailable || called != 1 {
		t.Errorf("with another name in its certificate: WeChat got %d, and the app was called %d times", answer.Status, called)
	}
}
