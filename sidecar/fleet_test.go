// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/gate"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/peers"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

// fleet is several sidecars that serve one endpoint before one app. Each has an address of its own on the loopback interface.
type fleet struct {
	app      *app
	document config.Document
	kind     account
	pods     []*member
	unique   int
	// patience is how long pods wait for each other. It is long, because the computer may be busy.
	patience time.Duration
	memory   int64 // of each; 0 is the usual
}

// member is a pod of a fleet.
type member struct {
	*stage
	address netip.Addr
	public  *mortal
	second  *mortal

	mu     sync.Mutex
	listed []netip.Addr // what DNS tells it
	looks  int          // how often it has asked since that changed
	away   error        // DNS
}

var fleets atomic.Int32

// secondPort is every pod's. It is none that the kernel gives to whoever asks for any port: another process could have that one on all addresses.
const secondPort = 18081

// newFleet starts so many sidecars for an account, which know each other.
func newFleet(t *testing.T, a account, pods int, edit func(*fleet)) *fleet {
	t.Helper()
	f := &fleet{app: &app{}, kind: a, patience: patience}
	f.app.answers(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, a.reply+a.answered) })
	server := httptest.NewServer(f.app)
	t.Cleanup(server.Close)
	f.document = config.Document{
		Config: config.Config{
			Generation: "g-1", Endpoint: "team-a/shop", Platform: config.PlatformOfficialAccount, AppID: "wx1", MessageMode: config.ModePlaintext,
			Path: "/weixin", Backend: config.Backend{URL: server.URL, Deadline: config.Duration(4 * time.Second)},
		},
		Credentials: config.Credentials{GatewayKey: []byte(strings.Repeat("k", 32)), Pairs: []config.Pair{{Generation: 1, Token: token, EncodingAESKey: a.sender.EncodingAESKey}}},
	}
	if pay := a.sender.Pay; pay != nil {
		f.document.Credentials.Pairs = []config.Pair{{Generation: 1, APIv3Key: pay.APIv3Key, PlatformKeys: map[string]string{pay.Serial: payer{pay.PrivateKey}.public(t)}}}
	}
	a.edit(&f.document.Config)
	if edit != nil {
		edit(f)
	}
	network := fleets.Add(1)
	for n := range pods {
		f.pods = append(f.pods, &member{address: netip.AddrFrom4([4]byte{127, 9, byte(network), byte(n + 1)})})
	}
	for _, pod := range f.pods {
		pod.listed = f.addresses(f.pods...)
	}
	for _, pod := range f.pods {
		f.start(t, pod, nil)
	}
	for _, pod := range f.pods {
		pod.awaitPeers(t, pods-1)
	}
	return f
}

func (f *fleet) addresses(pods ...*member) (addresses []netip.Addr) {
	for _, pod := range pods {
		addresses = append(addresses, pod.address)
	}
	return addresses
}

// start starts a pod. Edit changes its document before. Every second pod reads by net/http alone.
func (f *fleet) start(t *testing.T, pod *member, edit func(*config.Document)) {
	t.Helper()
	pod.stage = &stage{dir: t.TempDir(), app: f.app, log: &syncBuffer{}, ended: make(chan error, 1)}
	document := f.document
	if edit != nil {
		edit(&document)
	}
	text, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(pod.dir, config.File), text, 0o600); err != nil {
		t.Fatal(err)
	}
	pod.public, pod.second = newMortal(t, pod.address, 0), newMortal(t, pod.address, secondPort)
	pod.url, pod.ops = "http://"+pod.public.Addr().String()+"/weixin", "http://"+pod.second.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	pod.stop = stop
	gateway := sidecar.New(sidecar.Options{
		ConfigDir: pod.dir, DrainDelay: 500 * time.Millisecond, Grace: 10 * time.Second, Memory: f.memory,
		Peers:        sidecar.Peers{Host: "peers.test", Port: secondPort, Lookup: pod.lookup, Interval: time.Second, Patience: f.patience},
		StandardHTTP: pod.address.As4()[3]%2 == 0,
		Log:          slog.New(slog.NewJSONHandler(pod.log, nil)),
	})
	public, second, ended := pod.public, pod.second, pod.ended
	go func() { ended <- gateway.Serve(ctx, public, second) }()
	t.Cleanup(func() {
		stop()
		public.kill()
		second.kill()
		for _, secret := range secrets {
			if log := pod.log.String(); strings.Contains(log, secret) {
				t.Errorf("the log holds %q:\n%s", secret, log)
			}
		}
	})
}

// replace ends the pod's second port, and serves another program at its address.
func (m *member) replace(t *testing.T, by http.Handler) {
	t.Helper()
	m.second.kill()
	other := newMortal(t, m.address, secondPort)
	t.Cleanup(other.kill)
	server := &http.Server{Handler: by, ReadHeaderTimeout: patience}
	go func() { _ = server.Serve(other) }()
}

func (m *member) lookup(context.Context, string) ([]netip.Addr, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.looks++
	if m.away != nil {
		return nil, m.away
	}
	if len(m.listed) == 0 {
		return nil, &net.DNSError{IsNotFound: true}
	}
	return m.listed, nil
}

// list changes what DNS tells the pod.
func (m *member) list(addresses ...netip.Addr) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.listed, m.looks = addresses, 0
}

// loseDNS lets the pod look up nothing any more.
func (m *member) loseDNS(cause error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.away, m.looks = cause, 0
}

// awaitLook waits until the pod acts on what DNS tells it.
func (m *member) awaitLook(t *testing.T) {
	t.Helper()
	eventually(t, m.address.String()+" looks", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.looks > 0
	})
	time.Sleep(100 * time.Millisecond)
}

func (m *member) awaitPeers(t *testing.T, others int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s knows %d others", m.address, others), func() bool { return m.metric(t, "wechat_sidecar_peers") == float64(others) })
}

// handovers is how many callbacks the pod has handed over with that result.
func (m *member) handovers(t *testing.T, result string) float64 {
	t.Helper()
	return m.metric(t, fmt.Sprintf("wechat_sidecar_handovers_total{result=%q}", result))
}

// sender plays WeChat towards a pod.
func (f *fleet) sender(pod *member) *caller.Sender {
	sender := f.kind.sender
	sender.URL, sender.Token, sender.Timeout = pod.url+sender.URL, token, patience
	return &sender
}

// send sends a request to a pod, and returns the answer.
func (f *fleet) send(t *testing.T, pod *member, request *caller.Request) caller.Answer {
	t.Helper()
	answer, err := f.sender(pod).Send(t.Context(), request)
	return must(t, answer, err)
}

// newMessage is one that the app has not seen.
func (f *fleet) newMessage(t *testing.T, mutations ...caller.Mutation) *caller.Request {
	t.Helper()
	f.unique++
	message := []byte(strings.Replace(f.kind.message, "hi", fmt.Sprint("private words, ", f.unique), 1))
	sender := f.sender(f.pods[0])
	make := sender.NewPost
	if sender.Pay != nil {
		make = func(resource []byte, mutations ...caller.Mutation) (*caller.Request, error) {
			return sender.NewNotification("TRANSACTION.SUCCESS", resource, mutations...)
		}
	}
	request, err := make(message, mutations...)
	if err != nil {
		t.Fatal(err)
	}
	return request
}

// messageOf is a new message that a pod owns among others.
func (f *fleet) messageOf(t *testing.T, owner *member, among ...*member) *caller.Request {
	t.Helper()
	for {
		request := f.newMessage(t)
		if f.owner(t, request, among...) == owner.address {
			return request
		}
	}
}

// owner is the address of the pod that owns a message among others.
func (f *fleet) owner(t *testing.T, request *caller.Request, among ...*member) netip.Addr {
	t.Helper()
	var message gate.Message
	err := gate.New(f.document.Config, f.document.Credentials).Check(&message, gate.Request{
		Method: request.Method, Host: request.Host, Path: request.Path, RawQuery: request.Query, Header: request.Header,
		Body: func() ([]byte, error) { return request.Body, nil },
	}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	view := peers.NewView(nil).Looked(f.addresses(among...), time.Now())
	return view.Order(message.OwnerKey(f.document.Endpoint), time.Now())[0].Pod
}

// expectOnce compares how often the app has seen one message with one.
func (f *fleet) expectOnce(t *testing.T) {
	t.Helper()
	if got := f.app.count(); got != 1 {
		t.Errorf("the app saw the message %d times, want once", got)
	}
}

// mortal is a listener that can die or freeze with all its connections.
type mortal struct {
	net.Listener
	mu     sync.Mutex
	conns  []net.Conn
	frozen chan struct{} // closed when it thaws; nil if it is not frozen
}

func newMortal(t *testing.T, address netip.Addr, port uint16) *mortal {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", netip.AddrPortFrom(address, port).String())
	if err != nil {
		t.Fatal(err)
	}
	return &mortal{Listener: listener}
}

func (m *mortal) Accept() (net.Conn, error) {
	c, err := m.Listener.Accept()
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.conns = append(m.conns, c)
	return mortalConn{c, m}, nil
}

// kill ends the listener and its connections, as the end of a process does.
func (m *mortal) kill() {
	m.thaw()
	m.mu.Lock()
	defer m.mu.Unlock()
	_ = m.Close()
	for _, c := range m.conns {
		_ = c.Close()
	}
}

// freeze lets nothing in or out; connections are still accepted by the kernel.
func (m *mortal) freeze() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.frozen = make(chan struct{})
}

func (m *mortal) thaw() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.frozen != nil {
		close(m.frozen)
		m.frozen = nil
	}
}

func (m *mortal) wait() {
	m.mu.Lock()
	frozen := m.frozen
	m.mu.Unlock()
	if frozen != nil {
		<-frozen
	}
}

type mortalConn struct {
	net.Conn
	of *mortal
}

// SyscallConn is that of the connection itself.
func (c mortalConn) SyscallConn() (syscall.RawConn, error) {
	return c.Conn.(syscall.Conn).SyscallConn()
}

func (c mortalConn) Read(p []byte) (int, error) {
	c.of.wait()
	n, err := c.Conn.Read(p)
	c.of.wait()
	return n, err
}

func (c mortalConn) Write(p []byte) (int, error) {
	c.of.wait()
	return c.Conn.Write(p)
}
