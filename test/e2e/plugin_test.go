//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/diagnose"
)

// plugin is the program that kubectl wechat runs.
const plugin = "../../bin/kubectl-wechat"

// TestPluginRotates does what the plugin says, at the moment it says it, while encrypted messages come: what it lets a user enter
// is taken by every pod then, beside all that was before, and what it says is revoked by none.
func TestPluginRotates(t *testing.T) {
	t.Parallel()
	s := newStage(t, "plugin")
	var turn atomic.Int64
	var signers atomic.Pointer[[]caller.Sender]
	signWith := func(senders ...caller.Sender) { signers.Store(&senders) } // in turn
	s.plays = func() caller.Sender {
		senders := *signers.Load()
		return senders[turn.Add(1)%int64(len(senders))]
	}
	before := []caller.Sender{{Token: s.token, EncodingAESKey: sampleKey, ReceiverID: "wx5823bf96d3bd56c7"}} // the newest first
	signWith(before...)
	secret := s.secret()
	secret.Data[v1alpha1.KeyEncodingAESKey] = []byte(sampleKey)
	s.create(t, secret, s.endpoint(withReplicas(2), func(spec *v1alpha1.WeChatEndpointSpec) { spec.MessageMode = v1alpha1.MessageModeEncrypted }))
	s.awaitReady(t)
	s.awaitPublished(t)
	pods := s.sidecars(t)

	stop := s.load(t)
	for _, test := range []struct {
		flags          []string
		answer         string // to what it asks
		shows, revokes bool
	}{
		{},
		{flags: []string{"--show"}, shows: true},
		{flags: []string{"--compromised"}, answer: "y\n", revokes: true},
	} {
		r := s.rotate(t, test.flags...)
		after := r.entered(t, before[0])
		signWith(after, before[0]) // the console was saved, and not all of WeChat's servers know
		all := append([]caller.Sender{after}, before...)
		s.takes(t, all...)
		time.Sleep(settled)
		signWith(after)
		time.Sleep(settled)
		said := r.end(t, test.answer)
		if test.revokes {
			s.refuses(t, before...)
			s.takes(t, after)
			time.Sleep(settled)
		}
		hidden := all
		if test.shows {
			hidden = before
		}
		for _, sender := range hidden {
			if strings.Contains(said, sender.Token) || strings.Contains(said, sender.EncodingAESKey) {
				t.Errorf("rotate %v printed a value that nobody asked for:\n%s", test.flags, said)
			}
		}
		before = all
	}
	stop()
	if now := s.sidecars(t); !maps.Equal(pods, now) || len(now) != 2 {
		t.Errorf("the pods (UID and restarts) were %v and are %v", pods, now)
	}
	s.await(t, v1alpha1.ConditionCredentialsResolved, metav1.ConditionTrue, v1alpha1.ReasonCredentialsResolved)
}

// rotation is kubectl wechat rotate at work.
type rotation struct {
	command       *exec.Cmd
	stdin         io.WriteCloser
	stdout        io.Reader
	wrote, stderr bytes.Buffer
}

// rotate runs the plugin until it says that Save may be pressed.
func (s *stage) rotate(t *testing.T, flags ...string) *rotation {
	t.Helper()
	r := &rotation{command: exec.CommandContext(t.Context(), plugin, append([]string{"rotate", s.name, "-n", s.namespace}, flags...)...)}
	var noStdin, noStdout error
	r.stdin, noStdin = r.command.StdinPipe()
	r.stdout, noStdout = r.command.StdoutPipe()
	r.command.Stderr = &r.stderr
	if err := errors.Join(noStdin, noStdout, r.command.Start()); err != nil {
		t.Fatal(err)
	}
	for chunk := make([]byte, 4096); !strings.Contains(r.wrote.String(), "ress Save (提交) in the console"); {
		n, err := r.stdout.Read(chunk)
		r.wrote.Write(chunk[:n])
		if err != nil {
			t.Fatalf("it does not say when to press Save (%v, %v):\n%s%s", err, r.command.Wait(), r.wrote.String(), r.stderr.String())
		}
	}
	return r
}

var toEnter = regexp.MustCompile(`(?m)^enter +(Token|EncodingAESKey): (what this prints: )?(.+)$`)

// entered is who has in the console what the plugin says, which is either the values or the commands that print them.
func (r *rotation) entered(t *testing.T, before caller.Sender) caller.Sender {
	t.Helper()
	after := before
	fields := map[string]*string{"Token": &after.Token, "EncodingAESKey": &after.EncodingAESKey}
	for _, line := range toEnter.FindAllStringSubmatch(r.wrote.String(), -1) {
		value := line[3]
		if line[2] != "" {
			var err error
			if value, err = call(t.Context(), "sh", "-c", strings.Replace(value, "kubectl", kube.kubectl, 1)); err != nil {
				t.Fatal(err)
			}
		}
		*fields[line[1]] = value
	}
	if len(after.Token) != 32 || len(after.EncodingAESKey) != 43 || after.Token == before.Token || after.EncodingAESKey == before.EncodingAESKey {
		t.Fatalf("it does not lead to a new token and a new key:\n%s", r.wrote.String())
	}
	return after
}

// end answers what the plugin asks, if it does, waits until it has ended well, and returns all that it wrote.
func (r *rotation) end(t *testing.T, answer string) string {
	t.Helper()
	io.WriteString(r.stdin, answer)
	rest, err := io.ReadAll(r.stdout)
	said := r.wrote.String() + string(rest)
	if err := errors.Join(err, r.command.Wait()); err != nil {
		t.Fatalf("%v:\n%s%s", err, said, r.stderr.String())
	}
	return said + r.stderr.String()
}

// tries is how often a pod is looked for that is behind the others.
const tries = 20

// takes does the URL check of the console with the values of each sender. Their messages are a load's.
func (s *stage) takes(t *testing.T, senders ...caller.Sender) {
	t.Helper()
	for range tries {
		for i, sender := range senders {
			if refusal := diagnose.URLCheck(s.senderOf(sender).URLCheck(t.Context())); refusal != nil {
				t.Errorf("the URL check with the values of %d changes ago: %v", i, refusal)
			}
		}
	}
}

// refuses does so too, and sends messages, in vain.
func (s *stage) refuses(t *testing.T, senders ...caller.Sender) {
	t.Helper()
	for range tries {
		for _, sender := range senders {
			check, failed := s.senderOf(sender).URLCheck(t.Context())
			message, lost := s.senderOf(sender).Text(t.Context(), openID, "with what leaked")
			if err := errors.Join(failed, lost); err != nil || check.Status != http.StatusForbidden || message.Status != http.StatusForbidden {
				t.Errorf("with what leaked, the URL check is answered with %d and a message with %d, not with 403 (%v)", check.Status, message.Status, err)
			}
		}
	}
}
