// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package rawhttp lets tests send texts to an HTTP server as they are, and read its answers.
package rawhttp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"
)

// Client is a connection to a server. It ends with the test.
type Client struct {
	net.Conn
	Answers *bufio.Reader
}

// Dial connects to an address.
func Dial(t testing.TB, address string) Client {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return Client{c, bufio.NewReader(c)}
}

// Send sends a text.
func (c Client) Send(t testing.TB, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// Answer returns the status and the body of the next answer, "none" where the connection ends without one, and "none yet" where neither
// happens within 10 s.
func (c Client) Answer(t testing.TB) string {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	response, err := http.ReadResponse(c.Answers, nil)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "none yet"
	case err != nil:
		return "none"
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d %s", response.StatusCode, body)
}

// Expect wants that answer next.
func (c Client) Expect(t testing.TB, want string) {
	t.Helper()
	if got := c.Answer(t); got != want {
		t.Errorf("answered %q, want %q", got, want)
	}
}

// Closed reports whether the connection ends without an answer within 3 s.
func (c Client) Closed(t testing.TB) bool {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(3 * time.Second))
	_, err := c.Answers.ReadByte()
	return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}
