// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

// The attack corpus plays what an outsider can send to the public listener of a running sidecar. A row is one change to a
// genuine request, and its name is a sentence. After each row the genuine request itself is sent and must pass, so that
// no row is refused for another reason than its own.

// verdict is what comes of a request.
type verdict int

const (
	refused    verdict = iota // 403, empty, and like every other refusal; the app sees nothing
	unknown                   // 404, otherwise as refused
	unreadable                // refused by the HTTP server itself, in its own words, or cut off; the app sees nothing
	accepted                  // 200; the app sees exactly the genuine message, if it is a message
)

// patience is how long an answer may take before it counts as none. It is long, because nothing here is about time and
// the computer may be busy.
const patience = 20 * time.Second

// victim is a sidecar under attack, and WeChat beside the attacker.
type victim struct {
	*stage
	standard *stage // the same, where net/http reads what the strict reader would
	sender   *caller.Sender
	kind     account
	check    bool // the genuine request is the URL check
	unique   int
	refusal  http.Header // of the first refusal
}

// newVictim starts a sidecar for one kind of account, as accounts names them, changed by edit if that is not nil.
func newVictim(t *testing.T, kind string, edit func(*config.Config)) *victim {
	t.Helper()
	a, ok := accounts()[kind]
	if !ok {
		t.Fatalf("there is no account %q", kind)
	}
	usual := a.edit
	a.edit = func(c *config.Config) {
		usual(c)
		c.Backend.Deadline = config.Duration(config.MaxDeadline)
		if edit != nil {
			edit(c)
		}
	}
	s, sender := newAccountStage(t, a)
	sender.Timeout = patience
	v := attack(t, s)
	v.sender, v.kind = sender, a
	v.standard.awaitGeneration(t, s.config.Generation)
	return v
}

// attack makes a victim of a running sidecar.
func attack(t *testing.T, s *stage) *victim {
	t.Helper()
	return &victim{stage: s, standard: s.beside(t)}
}

// serve replaces the credentials, and waits until they are served.
func (v *victim) serve(t *testing.T, credentials config.Credentials) {
	t.Helper()
	v.config.Generation = "g-attacked"
	v.writeDocument(t, v.config, credentials)
	for _, s := range v.doors() {
		s.awaitGeneration(t, v.config.Generation)
	}
}

// doors are both ways to read HTTP. What is read by them must be the same.
func (v *victim) doors() []*stage { return []*stage{v.stage, v.standard} }

// sends sends a request to one of the doors.
func (v *victim) sends(t *testing.T, to *stage, request *caller.Request) (caller.Answer, error) {
	t.Helper()
	sender := *v.sender
	sender.URL = strings.Replace(sender.URL, v.address(), to.address(), 1)
	return sender.Send(t.Context(), request)
}

// message is one that the app has not seen.
func (v *victim) message() string {
	v.unique++
	return strings.Replace(v.kind.message, "hi", fmt.Sprintf("private words, %d", v.unique), 1)
}

// genuine is a request that WeChat sends, and the message in it.
func (v *victim) genuine(t *testing.T, mutations ...caller.Mutation) (request *caller.Request, message string) {
	t.Helper()
	var err error
	if v.check {
		request, err = v.sender.NewURLCheck(mutations...)
	} else {
		message = v.message()
		request, err = v.sender.NewPost([]byte(message), mutations...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return request, message
}

// expect sends a request that an attacker made of a genuine one, by both doors, and then the genuine one.
func (v *victim) expect(t *testing.T, want verdict, attack func(*caller.Request)) {
	t.Helper()
	request, message := v.genuine(t)
	attacked := *request
	attacked.Header = maps.Clone(request.Header)
	attack(&attacked)
	for _, s := range v.doors() {
		answer, err := v.sends(t, s, &attacked)
		v.judge(t, want, answer, err, message)
	}
	v.expectAccepted(t, request, message, want == accepted)
}

// expectAccepted is the control. A message that the app has already is answered like a new one, and not seen again.
func (v *victim) expectAccepted(t *testing.T, request *caller.Request, message string, again bool) {
	t.Helper()
	answer, err := v.sender.Send(t.Context(), request)
	if must(t, answer, err); answer.Status != http.StatusOK {
		t.Errorf("control: the genuine request was answered with %d", answer.Status)
	}
	if v.check && string(answer.Body) != request.Echostr {
		t.Errorf("control: the genuine URL check was answered %q", answer.Body)
	}
	v.expectSeen(t, !again && !v.check, message)
}

func (v *victim) judge(t *testing.T, want verdict, answer caller.Answer, err error, message string) {
	t.Helper()
	switch want {
	case unreadable:
		if err == nil && answer.Status < http.StatusBadRequest {
			t.Errorf("answered %d, want an error of the HTTP server", answer.Status)
		}
	case accepted:
		if must(t, answer, err); answer.Status != http.StatusOK {
			t.Errorf("answered %d, want 200", answer.Status)
		}
	case refused, unknown:
		v.expectRefusal(t, want, must(t, answer, err))
	}
	v.expectSeen(t, want == accepted && !v.check, message)
}

// expectRefusal compares whole answers: a difference would tell which check failed.
func (v *victim) expectRefusal(t *testing.T, want verdict, answer caller.Answer) {
	t.Helper()
	if status := map[verdict]int{refused: http.StatusForbidden, unknown: http.StatusNotFound}[want]; answer.Status != status || len(answer.Body) > 0 {
		t.Errorf("answered %d %q, want %d and nothing", answer.Status, answer.Body, status)
	}
	header := answer.Header.Clone()
	header.Del("Date")
	header.Del("Connection") // said where the server did not read the body to its end
	if v.refusal == nil {
		v.refusal = header
	}
	if diff := cmp.Diff(v.refusal, header); diff != "" {
		t.Errorf("refused in another way than before:\n%s", diff)
	}
}

// expectSeen compares what the app saw since the last call with one message, or with none.
func (v *victim) expectSeen(t *testing.T, seen bool, message string) {
	t.Helper()
	var want []string
	if seen {
		want = []string{message}
	}
	if diff := cmp.Diff(want, v.app.taken()); diff != "" {
		t.Errorf("what the app saw (-want +got):\n%s", diff)
	}
}

// taken returns the bodies that the app saw, and forgets them.
func (a *app) taken() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	taken := a.bodies
	a.bodies, a.seen = nil, nil
	return taken
}

// last is the newest request that the app saw and has not forgotten.
func (a *app) last(t *testing.T) *http.Request {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.seen) == 0 {
		t.Fatal("the app saw nothing")
	}
	return a.seen[len(a.seen)-1]
}

// encrypted is a body with an Encrypt of the attacker's choice, signed with the token: the attacker knows the token and
// not the key, or a program of WeChat's is broken.
func encrypted(request *caller.Request, form wechat.Form, encrypt string) {
	request.Body = wechat.RequestEnvelope(form, []wechat.Address{{Name: "ToUserName", Value: "gh_1"}}, encrypt)
	resign(request, encrypt)
}

// resign replaces msg_signature by the right one for encrypt.
func resign(request *caller.Request, encrypt string) {
	query := parameters(request.Query)
	signature := wechat.Sign(token, query["timestamp"], query["nonce"], encrypt)
	request.Query = strings.Replace(request.Query, request.MsgSignature, signature, 1)
	request.MsgSignature = signature
}

// parameters reads a query of the Sender's, which has no escapes where it is used.
func parameters(query string) map[string]string {
	values := map[string]string{}
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		values[name] = value
	}
	return values
}

// raw is a request as text, for attacks on HTTP itself.
type raw struct {
	line   string
	fields []string
	body   string
}

// rawOf is what the Sender would write, with an end of the connection after the answer.
func rawOf(request *caller.Request) raw {
	r := raw{line: request.Method + " " + request.URI() + " " + request.Proto, body: string(request.Body)}
	r.fields = append(r.fields, "Host: "+request.Host)
	for _, name := range slices.Sorted(maps.Keys(request.Header)) {
		r.fields = append(r.fields, name+": "+request.Header[name][0])
	}
	return r
}

// with adds fields after those that are there.
func (r raw) with(fields ...string) raw {
	r.fields = slices.Concat(r.fields, fields)
	return r
}

// sized adds the true Content-Length.
func (r raw) sized() raw { return r.with(fmt.Sprintf("Content-Length: %d", len(r.body))) }

func (r raw) String() string {
	return r.line + "\r\n" + strings.Join(r.fields, "\r\n") + "\r\n\r\n" + r.body
}

const lastRequest = "Connection: close"

// address is that of the public listener.
func (s *stage) address() string {
	host, _, _ := strings.Cut(strings.TrimPrefix(s.url, "http://"), "/")
	return host
}

func (s *stage) dial(t *testing.T) net.Conn {
	t.Helper()
	connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	if err := connection.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return connection
}

// exchange writes bytes on a connection of their own and returns every answer until the server closes it. It reads while
// it writes: a server that refuses early may stop reading.
func (s *stage) exchange(t *testing.T, text string, broken bool) []caller.Answer {
	t.Helper()
	connection := s.dial(t)
	defer connection.Close()
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = io.WriteString(connection, text)
		if broken {
			_ = connection.(*net.TCPConn).CloseWrite()
		}
	}()
	defer func() { connection.Close(); <-written }()
	var answers []caller.Answer
	for reader := bufio.NewReader(connection); ; {
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				t.Error("the server neither answered nor closed the connection")
			}
			return answers
		}
		if response.StatusCode == http.StatusContinue {
			continue
		}
		body, err := io.ReadAll(response.Body)
		answers = append(answers, caller.Answer{Status: response.StatusCode, Header: response.Header, Body: body})
		if err != nil {
			return answers // reset behind the head, with more of the request unread
		}
	}
}
