// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// keyring is credentials with where they come from.
type keyring struct {
	config.Pair
	from text.Text
}

// opening is a captured callback that is being opened.
type opening interface {
	steps() []step
	opened() []byte // what the steps have found, nil before
}

// open explains a captured callback step by step, and prints the message in it.
func (p Plugin) open(ctx context.Context, o options) (int, error) {
	var reader client.Reader
	var endpoint *v1alpha1.WeChatEndpoint
	var err error
	if o.name != "" {
		if reader, endpoint, err = p.endpoint(ctx, o); err != nil {
			return 0, err
		}
	}
	a := accountOf(o, endpoint)
	captured, err := p.capture(o)
	if err != nil {
		return 0, err
	}
	keys, err := p.keyrings(ctx, o, a, reader, endpoint)
	if err != nil {
		return 0, err
	}
	p.report(p.Stderr).endpoint(target{endpoint: endpoint})
	var captive opening = &pushOpening{account: a, capture: captured, keys: keys, now: time.Now()}
	if a.platform == v1alpha1.PlatformPay {
		captive = &payOpening{account: a, capture: captured, keys: keys, now: time.Now()}
	}
	whole := p.work(p.Stderr, captive.steps())
	p.printMessage(captive.opened())
	if !whole {
		return StatusRefused, nil
	}
	return StatusOK, nil
}

// keyrings are the credentials of the Secret or of the files, and those that the sidecar has accepted besides: a Secret may
// have been changed since, or be broken while the sidecar goes on with what it had.
func (p Plugin) keyrings(ctx context.Context, o options, a account, reader client.Reader, endpoint *v1alpha1.WeChatEndpoint) ([]keyring, error) {
	keys := vault{plugin: p, reader: reader, endpoint: endpoint}
	from := text.New("the files")
	if endpoint != nil && o.tokenFile+o.aesKeyFile+o.apiV3KeyFile == "" {
		from = text.New("Secret %s", keys.secretKey())
	}
	pair, err := keys.pair(ctx, o, a)
	var all []keyring
	if err == nil {
		all = append(all, keyring{pair, from})
	}
	if endpoint != nil {
		all = append(all, accepted(ctx, reader, endpoint, all)...)
	}
	if len(all) > 0 && err != nil {
		p.report(p.Stderr).line("note", "%v; what the sidecar goes on with is used", err)
		err = nil
	}
	return all, err
}

// accepted are the credentials in the sidecar's own Secret that differ from those that are known. Who may not read it goes
// without.
func accepted(ctx context.Context, reader client.Reader, endpoint *v1alpha1.WeChatEndpoint, known []keyring) []keyring {
	key := client.ObjectKey{Namespace: endpoint.Namespace, Name: endpoint.Name + "-sidecar"}
	var secret corev1.Secret
	if err := reader.Get(ctx, key, &secret); err != nil {
		return nil
	}
	credentials, err := config.ReadCredentials(secret.Data[config.File])
	if err != nil {
		return nil
	}
	var all []keyring
	for _, pair := range credentials.Pairs {
		if len(known) == 0 || !pair.Equal(known[0].Pair) {
			all = append(all, keyring{pair, text.New("Secret %s, generation %d", key, pair.Generation)})
		}
	}
	return all
}

// printMessage writes a message as it is, for jq and xmllint. On a terminal, what could steer it is escaped.
func (p Plugin) printMessage(message []byte) {
	if len(message) == 0 {
		return
	}
	shown := string(message)
	if p.onTerminal(p.Stdout) {
		shown = harmless(shown)
	}
	_, _ = io.WriteString(p.Stdout, shown)
	if !strings.HasSuffix(shown, "\n") {
		fmt.Fprintln(p.Stdout)
	}
}

// onTerminal reports whether what is written is seen at once, and by nobody later.
func (p Plugin) onTerminal(out io.Writer) bool {
	if p.terminal != nil {
		return p.terminal(out)
	}
	return isTerminal(out)
}

func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// harmless escapes what is neither graphic nor a line end or tab.
func harmless(raw string) string {
	var b strings.Builder
	for _, c := range raw {
		if unicode.IsPrint(c) || c == '\n' || c == '\t' {
			b.WriteRune(c)
		} else {
			fmt.Fprintf(&b, "\\u%04x", c)
		}
	}
	return b.String()
}

// age says when something was signed. It is no reason to refuse: what is captured is old.
func age(timestamp string, now time.Time, freshness time.Duration) finding {
	var seconds int64
	if _, err := fmt.Sscan(timestamp, &seconds); err != nil {
		return skipped("no timestamp is known")
	}
	sent := time.Unix(seconds, 0).UTC()
	old := now.Sub(sent).Round(time.Second)
	at := sent.Format(time.RFC3339)
	switch {
	case old < 0:
		return found("signed at %s, %v ahead of this computer's clock", at, -old)
	case freshness == 0 && old > config.Freshness && old <= config.LongFreshness:
		return found("signed at %s, %v ago; the sidecar would refuse it by now, after %v, unless it is one that WeChat repeats for a day", at, old, config.Freshness)
	case old > cmp.Or(freshness, config.LongFreshness):
		return found("signed at %s, %v ago; the sidecar would refuse it by now, after %v", at, old, cmp.Or(freshness, config.LongFreshness))
	}
	return found("signed at %s, %v ago", at, old)
}
