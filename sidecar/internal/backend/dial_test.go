// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wechatendpoint/wechatendpoint/sidecar/outcome"
)

// names are what a name server says of app.team-a: each time the next answer, and in the end the last one. An answer without addresses is
// that there is no such name, as of a Service without a cluster IP and without pods.
type names struct {
	answers [][]string
	asked   atomic.Int64
}

func (n *names) lookup(_ context.Context, host string) ([]string, error) {
	answer := n.answers[min(int(n.asked.Add(1)), len(n.answers))-1]
	if host != "app.team-a" || len(answer) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return append([]string(nil), answer...), nil
}

// newNamedApp is an app that listens on some addresses of this machine, and the port. It answers with the address that was called.
func newNamedApp(t *testing.T, addresses ...string) (port string) {
	t.Helper()
	port = "0"
	for _, address := range addresses {
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", net.JoinHostPort(address, port))
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ = net.SplitHostPort(listener.Addr().String())
		app := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, "<xml>%s</xml>", address)
		}))
		app.Listener.Close()
		app.Listener = listener
		app.Start()
		t.Cleanup(app.Close)
	}
	return port
}

// silence makes an address with that port one whose machine is gone: nothing comes back from it, as from a listener whose queue is full.
func silence(t *testing.T, address [4]byte, port string) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	to := &syscall.SockaddrInet4{Addr: address}
	if _, err := fmt.Sscan(port, &to.Port); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(fd, to); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	dialer := net.Dialer{Timeout: 100 * time.Millisecond}
	for range 8 {
		conn, err := dialer.DialContext(t.Context(), "tcp", net.JoinHostPort(net.IP(address[:]).String(), port))
		if err != nil {
			return
		}
		t.Cleanup(func() { conn.Close() })
	}
	t.Skip("this kernel takes more connections than a listener asks for")
}

// TestAddressesOfAnApp: what a Service may say of its pods, and which of them gets the message.
func TestAddressesOfAnApp(t *testing.T) {
	const here, gone, silent = "127.0.0.1", "127.0.0.2", "127.0.0.3"
	for name, test := range map[string]struct {
		answers [][]string
		outcome outcome.Outcome
		cause   outcome.Cause
		retried bool
	}{
		"one address":                                {[][]string{{here}}, outcome.Answered, "", false},
		"a pod of several has ended":                 {[][]string{{gone, here}}, outcome.Answered, "", false},
		"the machine of a pod of several is gone":    {[][]string{{silent, here}}, outcome.Answered, "", false},
		"two addresses, and the app listens on IPv4": {[][]string{{"::1", here}}, outcome.Answered, "", false},
		"no pods":     {[][]string{{}}, outcome.Unavailable, outcome.NoName, true},
		"no pods yet": {[][]string{{}, {}, {here}}, outcome.Answered, "", true},
		"the only pod has ended, and a new one comes":      {[][]string{{gone}, {here}}, outcome.Answered, "", true},
		"the only pod has ended":                           {[][]string{{gone}}, outcome.Unavailable, outcome.Refused, true},
		"all pods have ended":                              {[][]string{{gone, "127.0.0.4"}}, outcome.Unavailable, outcome.Refused, true},
		"one pod has ended, and another's machine is gone": {[][]string{{gone, silent}}, outcome.Unavailable, outcome.Refused, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			port := newNamedApp(t, here)
			silence(t, [4]byte{127, 0, 0, 3}, port)
			client, asked := New(1), &names{answers: test.answers}
			client.dialer.lookup = asked.lookup
			c := call("http://app.team-a:"+port, time.Second) // less than dialTimeout: no single address may take all of it
			answer := deliver(client, c)
			if answer.Outcome != test.outcome || answer.Failure.Cause != test.cause || (answer.Retries > 0) != test.retried {
				t.Errorf("got %+v, want %s", answer, test.outcome)
			}
			if got := asked.asked.Load(); got < int64(len(test.answers)) {
				t.Errorf("the addresses were asked for %d times", got)
			}
		})
	}
}

// TestDeadAddressesAreTriedLast for a while, and no more of them are remembered than is useful.
func TestDeadAddressesAreTriedLast(t *testing.T) {
	var d dialer
	now := time.Now()
	d.noteDead("a", now)
	for want, at := range map[string]time.Time{"[b c a]": now.Add(deadFor - 1), "[a b c]": now.Add(deadFor)} {
		if got := fmt.Sprint(d.order([]string{"a", "b", "c"}, at)); got != want {
			t.Errorf("they are tried as %s, want %s", got, want)
		}
	}
	for i := range 2 * maxDead {
		d.noteDead(fmt.Sprint(i), now)
	}
	if len(d.dead) > maxDead {
		t.Errorf("%d are remembered", len(d.dead))
	}
}

// TestADeadAddressIsRemembered once a connection has tried it.
func TestADeadAddressIsRemembered(t *testing.T) {
	port := newNamedApp(t, "127.0.0.1")
	d := dialer{lookup: (&names{answers: [][]string{{"127.0.0.2", "127.0.0.1", "127.0.0.9"}}}).lookup}
	conn, err := d.connect(t.Context(), "app.team-a:"+port)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	want := []string{"127.0.0.1:" + port, "127.0.0.9:" + port, "127.0.0.2:" + port}
	if diff := cmp.Diff(want, d.order([]string{"127.0.0.2:" + port, "127.0.0.1:" + port, "127.0.0.9:" + port}, time.Now())); diff != "" {
		t.Error(diff)
	}
}

// TestACallThatEndsMakesNoAddressDead: nobody knows whether it would have answered.
func TestACallThatEndsMakesNoAddressDead(t *testing.T) {
	port := newNamedApp(t, "127.0.0.1")
	d := dialer{lookup: (&names{answers: [][]string{{"127.0.0.1", "127.0.0.2"}}}).lookup}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.connect(ctx, "app.team-a:"+port); err == nil || len(d.dead) > 0 {
		t.Errorf("%v, and then %v are dead", err, d.dead)
	}
}

// TestAnOldConnectionIsNotKept: the addresses are asked for again, and pods that came later get their part.
func TestAnOldConnectionIsNotKept(t *testing.T) {
	port := newNamedApp(t, "127.0.0.1", "127.0.0.2")
	client := New(1)
	client.dialer.lookup = (&names{answers: [][]string{{"127.0.0.1"}, {"127.0.0.2"}}}).lookup
	var got []string
	for n := range 4 {
		if n == 1 {
			client.pool.idle[0].made = time.Now().Add(-maxAge)
		}
		got = append(got, string(deliver(client, call("http://app.team-a:"+port, 5*time.Second)).Reply))
	}
	// The second call goes over the connection, as it is there.
	const first, second = "<xml>127.0.0.1</xml>", "<xml>127.0.0.2</xml>"
	if diff := cmp.Diff([]string{first, first, second, second}, got); diff != "" {
		t.Error(diff)
	}
}

// TestConnectionsAreBounded in number, and in the time that nobody uses them. The one that was used the longest ago is closed.
func TestConnectionsAreBounded(t *testing.T) {
	var p pool
	var apps []net.Conn
	put := func() {
		here, app := net.Pipe()
		t.Cleanup(func() { here.Close(); app.Close() })
		apps = append(apps, app)
		p.put(&connection{Conn: here, made: time.Now()})
	}
	for range maxIdle + 1 {
		put()
	}
	if len(p.idle) != maxIdle || !ended(apps[0]) || ended(apps[1]) {
		t.Errorf("%d are kept; the first is closed: %v, the second: %v", len(p.idle), ended(apps[0]), ended(apps[1]))
	}
	for _, c := range p.idle[:maxIdle-1] {
		c.kept = time.Now().Add(-idleTimeout - time.Second)
	}
	if p.take(target{}) == nil || len(p.idle) != 0 || !ended(apps[maxIdle-1]) || ended(apps[maxIdle]) {
		t.Errorf("%d are kept that nobody used; closed: %v, %v", len(p.idle), ended(apps[maxIdle-1]), ended(apps[maxIdle]))
	}
}

// ended reports whether the other end of a connection is closed.
func ended(c net.Conn) bool {
	_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := c.Read(make([]byte, 1))
	return errors.Is(err, io.EOF)
}

// TestAConnectionEndsWithItsMachine: the kernel does not wait for as long as it usually does until something is confirmed.
func TestAConnectionEndsWithItsMachine(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("it is Linux that can do so")
	}
	port := newNamedApp(t, "127.0.0.1")
	conn, err := New(1).dialer.dial(t.Context(), target{origin: "http://127.0.0.1:" + port})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.close()
	var got int
	if err := conn.raw.Control(func(fd uintptr) { got, err = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, userTimeout) }); err != nil {
		t.Fatal(err)
	}
	if err != nil || time.Duration(got)*time.Millisecond != deadTimeout {
		t.Errorf("it waits for %d ms (%v), want %v", got, err, deadTimeout)
	}
}

// TestTheConnectionsOfADeadMachineAreLeft: the message goes over none of the others, each of which would take as long.
func TestTheConnectionsOfADeadMachineAreLeft(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		kept int
	}{
		"nothing is confirmed":       {syscall.ETIMEDOUT, 1},
		"there is no way to it":      {syscall.EHOSTUNREACH, 1},
		"the app ended a connection": {syscall.ECONNRESET, 3},
	} {
		t.Run(name, func(t *testing.T) {
			client := New(1)
			app, other := target{origin: "http://app"}, target{origin: "http://other"}
			var apps []net.Conn
			for _, to := range []target{app, other, app} {
				here, there := net.Pipe()
				t.Cleanup(func() { here.Close(); there.Close() })
				apps = append(apps, there)
				client.pool.put(&connection{Conn: here, target: to, made: time.Now()})
			}
			p := &pending{client: client, delivery: new(Delivery), call: call(app.origin, time.Minute), reused: true}
			if answer, over := p.failed(fmt.Errorf("read: %w", test.err)); over || !p.anew {
				t.Errorf("the call is over with %+v, or goes on over a kept connection: %v", answer, !p.anew)
			}
			if len(client.pool.idle) != test.kept || ended(apps[0]) != (test.kept == 1) || ended(apps[1]) {
				t.Errorf("%d connections are left", len(client.pool.idle))
			}
		})
	}
}
