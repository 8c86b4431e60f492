//go:build linux

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bytes"
	"fmt"

	"golang.org/x/sys/unix"
)

// appAnswer is the app's to every message.
const appAnswer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 7\r\n\r\nsuccess"

// App is what the app has seen. It answers every message with success, a URL check with its echostr, and never closes a connection.
type App struct {
	// Requests have come so far.
	Requests int
	// Last is the body of the last one, while Record is set.
	Last   []byte
	Record bool
}

// answer answers every request that is whole at the beginning of the text, and returns what it took.
func (a *App) answer(text, answers []byte) (taken int, out []byte) {
	for {
		m, whole := parseMessage(text[taken:])
		if !whole {
			return taken, answers
		}
		taken += len(m.text)
		a.Requests++
		if a.Record {
			a.Last = append([]byte(nil), m.body...)
		}
		if m.text[0] == 'G' {
			echostr := echostrOf(m.text)
			answers = fmt.Appendf(answers, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", len(echostr), echostr)
			continue
		}
		answers = append(answers, appAnswer...)
	}
}

func echostrOf(request []byte) []byte {
	_, value, _ := bytes.Cut(request, []byte("echostr="))
	if end := bytes.IndexAny(value, "& "); end >= 0 {
		return value[:end]
	}
	return nil
}

// listenApp makes the socket on which the app listens.
func listenApp(address string) (int, error) {
	at, err := parseAddress(address)
	if err != nil {
		return 0, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("making the app's socket: %w", err)
	}
	if err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err == nil {
		if err = unix.Bind(fd, at); err == nil {
			err = unix.Listen(fd, 4096)
		}
	}
	if err != nil {
		_ = unix.Close(fd)
		return 0, fmt.Errorf("listening on %s: %w", address, err)
	}
	return fd, nil
}
