// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
	"unicode"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
	"github.com/wechatendpoint/wechatendpoint/sidecar/outcome"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/diagnose"
)

// maxShown bounds what is printed of a reply. A text that WeChat takes has at most 2048 bytes. Characters.
const maxShown = 2048

// report writes what was done, a line for each fact, and at last the verdict.
type report struct {
	plugin Plugin
	out    io.Writer
	// about is the endpoint that was called; nil when only a URL was named.
	about *v1alpha1.WeChatEndpoint
	// called is the URL in place of the endpoint's own, empty where it is that.
	called string
}

func (p Plugin) report(out io.Writer) report { return report{plugin: p, out: out} }

// reportOn is about what was called.
func (p Plugin) reportOn(t target, o options) report {
	r := p.report(p.Stdout)
	r.about = t.endpoint
	if t.endpoint != nil && o.url != endpointURL(t.endpoint) {
		r.called = o.url
	}
	return r
}

func (r report) line(label, format string, values ...any) {
	fmt.Fprintf(r.out, "%s %s\n", text.Pad(r.plugin.say(label), 9), r.plugin.lang.Sprintf(format, values...))
}

func (r report) ok(format string, values ...any) int {
	fmt.Fprintln(r.out, r.plugin.paint(green, r.plugin.say("ok:"), r.out), r.plugin.lang.Sprintf(format, values...))
	return StatusOK
}

// endpoint names the endpoint, and says what the operator waits for when it is not ready.
func (r report) endpoint(t target) {
	if t.endpoint == nil {
		return
	}
	r.line("endpoint", "%s/%s", t.endpoint.Namespace, t.endpoint.Name)
	if pods := servers(t.endpoint); !pods.IsZero() {
		r.line("served by", "%s", pods)
	}
	ready := meta.FindStatusCondition(t.endpoint.Status.Conditions, v1alpha1.ConditionReady)
	switch {
	case unobserved(t.endpoint):
		r.line("note", "no operator has looked at the endpoint yet: %s", findOperator())
	case ready.Status != metav1.ConditionTrue:
		r.line("note", "the endpoint is not Ready: %s: %s", ready.Reason, printable(ready.Message))
	case ready.ObservedGeneration < t.endpoint.Generation:
		r.line("note", "the endpoint was Ready before its spec changed, and the operator has not seen the change yet")
	}
}

// exchange says what was sent where and what came back. Neither the signature nor the token is shown.
func (r report) exchange(t target, request *caller.Request, answer caller.Answer) {
	r.line("sent", "%s %s", request.Method, shownURL(t.sender.URL, request, answer))
	if answer.Remote != "" {
		r.line("to", "%s", answer.Remote)
	}
	if answer.Status == 0 {
		r.line("received", "no answer")
	} else {
		r.line("received", "%s", head(answer))
	}
	r.line("elapsed", "%v", answer.Elapsed.Round(10*time.Microsecond))
	if report, ok := answer.Report(); ok {
		r.app(report)
	}
	if t.sender.Address == "" && private(answer.Remote) {
		r.line("note", "from here, the host leads to a private address, which WeChat cannot reach: it must have a public one")
	}
}

// app says what the sidecar reports of the app, and which one that is where no rule chooses another.
func (r report) app(report outcome.Report) {
	called := report.Outcome != outcome.Probe && report.Outcome != outcome.URLCheck
	if r.about == nil || len(r.about.Spec.Rules) > 0 || !called {
		r.line("app", "%s", appLine(report))
		return
	}
	backend := r.about.Spec.Backend
	service := backend.Service
	r.line("app", "POST %s at Service %s, port %s: %s", cmp.Or(backend.Path, r.about.Spec.URL.Path), service.Name, service.Port.String(), appLine(report))
	if report.Outcome == outcome.Unavailable {
		r.line("note", "whether the Service has pods: kubectl -n %s get endpointslices -l kubernetes.io/service-name=%s",
			cmp.Or(service.Namespace, r.about.Namespace), service.Name)
	}
}

// appLine says what the sidecar reports of the app.
func appLine(report outcome.Report) text.Text {
	switch report.Outcome {
	case outcome.Answered:
		return text.New("answered in %v", report.Took)
	case outcome.Acknowledged, outcome.TimedOut:
		return text.New("too slow: it took %v", report.Took)
	case outcome.Discarded:
		return text.New("not called: a rule discards the message")
	case outcome.Probe, outcome.URLCheck:
		return text.New("not called: the sidecar answers this by itself")
	case outcome.Unavailable, outcome.Overloaded, outcome.BadReply:
	}
	return text.Verbatim(strings.ReplaceAll(string(report.Outcome), "_", " "))
}

func shownURL(raw string, request *caller.Request, answer caller.Answer) string {
	scheme := "http"
	if target, err := url.Parse(raw); err == nil {
		scheme = target.Scheme
	}
	shown := scheme + "://" + request.Host + request.Path
	if request.Query != "" {
		shown += "?" + answer.Redact(request.Query)
	}
	return printable(shown)
}

func head(answer caller.Answer) text.Text {
	kind := text.Verbatim(printable(answer.Redact(answer.Header.Get("Content-Type"))))
	if answer.Header.Get("Content-Type") == "" {
		kind = text.New("no Content-Type")
	}
	size := text.New("%d bytes", len(answer.Body))
	if answer.Truncated {
		size = text.New("more than %d bytes", len(answer.Body))
	}
	return text.New("%s, %s, %s", strings.TrimSpace(fmt.Sprintf("%d %s", answer.Status, http.StatusText(answer.Status))), kind, size)
}

func private(remote string) bool {
	address, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	ip := address.Addr().Unmap()
	return ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast()
}

// reply shows what the user would see, or else the body as it is.
func (r report) reply(answer caller.Answer, reply diagnose.Reply) {
	if said := replyOf(answer, reply); !said.IsZero() {
		r.line("reply", "%s", said)
	}
}

// replyOf is what the user would see, or else the body as it is.
func replyOf(answer caller.Answer, reply diagnose.Reply) text.Text {
	switch {
	case reply.Kind == diagnose.ReplyEmpty:
		return text.New("empty, the user is shown nothing")
	case reply.Kind == diagnose.ReplySuccess:
		return text.New("success, the user is shown nothing")
	case (reply.Type == "text" || reply.Type == "stream") && reply.Content != "":
		return text.Verbatim(printable(answer.Redact(reply.Content)))
	case len(answer.Body) > 0:
		return text.Verbatim(printable(answer.Redact(strings.TrimSpace(string(answer.Body)))))
	}
	return text.Text{}
}

// printable makes text harmless for a terminal: line ends are kept and followed by an indent, everything else that is
// not a graphic character is escaped, and what is too long is cut.
func printable(raw string) string {
	var b strings.Builder
	shown := 0
	for _, c := range raw {
		if shown++; shown > maxShown {
			b.WriteString("… (cut)")
			break
		}
		switch {
		case c == '\n':
			b.WriteString("\n          ")
		case unicode.IsPrint(c):
			b.WriteRune(c)
		default:
			fmt.Fprintf(&b, "\\u%04x", c)
		}
	}
	return b.String()
}
