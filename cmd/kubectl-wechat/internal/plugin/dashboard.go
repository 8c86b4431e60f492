// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/dashboard"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/doctor"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/listen"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
	"github.com/wechatendpoint/wechatendpoint/sidecar/tap"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

// dashboard serves a page on this computer until it is interrupted.
func (p Plugin) dashboard(ctx context.Context, o options) (int, error) {
	cluster, namespace, err := p.connect(o)
	if err != nil {
		return 0, err
	}
	if o.allNamespaces {
		namespace = ""
	}
	shown := shownCluster{plugin: p, cluster: cluster, namespace: namespace, options: o}
	server, err := dashboard.Listen(ctx, o.localPort, shown, p.dialPod(o))
	if err != nil {
		return 0, text.Errorf("port %d of this computer cannot be taken: choose another --port, or leave it out: %w", o.localPort, err)
	}
	fmt.Fprintln(p.Stdout, server.URL())
	p.report(p.Stderr).line("note", "the page is for you alone: its URL holds the key to it. It has your rights in the cluster until you press Ctrl-C")
	if o.openPage {
		done, err := openPage(ctx, server.URL())
		if err != nil {
			p.report(p.Stderr).line("note", "the browser cannot be started: open the URL yourself: %v", err)
		}
		defer done()
	}
	return StatusOK, server.Serve(ctx)
}

// openPage starts the browser of the desktop. The URL is no argument, which every user of this computer could read, but stands in a file that
// only the caller can read, and that leads there. Done removes it.
func openPage(ctx context.Context, url string) (done func(), err error) {
	folder, err := os.MkdirTemp("", "wechat-dashboard-") // with mode 0700
	if err != nil {
		return func() {}, withoutPath(err)
	}
	done = func() { _ = os.RemoveAll(folder) }
	file := filepath.Join(folder, "open.html")
	page := `<!doctype html><meta charset="utf-8"><meta name="referrer" content="no-referrer"><meta http-equiv="refresh" content="0;url=` + url + `">`
	if err := os.WriteFile(file, []byte(page), 0o600); err != nil {
		return done, withoutPath(err)
	}
	command := map[string][]string{"darwin": {"open"}, "windows": {"rundll32", "url.dll,FileProtocolHandler"}}[runtime.GOOS]
	if command == nil {
		command = []string{"xdg-open"}
	}
	return done, exec.CommandContext(ctx, command[0], append(command[1:], file)...).Start()
}

// dialPod connects to a port of a pod.
func (p Plugin) dialPod(o options) dashboard.Dial {
	return func(ctx context.Context, pod dashboard.Pod) (net.Conn, error) {
		dial, err := p.Forward(o.cluster, pod.Namespace)
		if err != nil {
			return nil, err
		}
		return dial(ctx, listen.Pod{Name: pod.Name, Port: pod.Port})
	}
}

// shownCluster is what the dashboard shows and does.
type shownCluster struct {
	plugin    Plugin
	cluster   client.Client
	namespace string // empty for all
	options   options
}

// in is the plugin in the language of a call.
func (c shownCluster) in(lang text.Language) Plugin {
	p := c.plugin
	p.lang = lang
	return p
}

// List returns what the caller may list.
func (c shownCluster) List(ctx context.Context, lang text.Language) dashboard.List {
	p, list := c.in(lang), dashboard.List{Namespace: c.namespace, Objects: []any{}, Unread: []string{}}
	var endpoints v1alpha1.WeChatEndpointList
	if err := c.cluster.List(ctx, &endpoints, client.InNamespace(c.namespace)); err != nil {
		list.Unread = append(list.Unread, lang.Error(c.unlisted(kindEndpoint, err)))
	}
	var gateways v1alpha1.WeChatGatewayList
	if err := c.cluster.List(ctx, &gateways, client.InNamespace(c.namespace)); err != nil {
		list.Unread = append(list.Unread, lang.Error(c.unlisted(kindGateway, err)))
	}
	for i := range endpoints.Items {
		list.Objects = append(list.Objects, p.summaryOfEndpoint(&endpoints.Items[i]))
	}
	for i := range gateways.Items {
		list.Objects = append(list.Objects, p.summaryOfGateway(&gateways.Items[i]))
	}
	return list
}

// unlisted says why a kind is missing from the list, and which right is.
func (c shownCluster) unlisted(kind string, err error) error {
	switch {
	case apierrors.IsForbidden(err) && c.namespace == "":
		return text.Errorf("you may not list %s in all namespaces: ask for that right, or leave -A out", plurals[kind])
	case apierrors.IsForbidden(err):
		return text.Errorf("you may not list %s in namespace %s: ask for that right, or choose another -n", plurals[kind], c.namespace)
	}
	return text.Errorf("%s could not be listed: %w", plurals[kind], unread(kind, c.namespace, "*", err))
}

// optionsFor are the options of a command for one object.
func (c shownCluster) optionsFor(ref dashboard.Ref, command string) options {
	namespace := ref.Namespace
	o := options{command: command, cluster: &genericclioptions.ConfigFlags{Namespace: &namespace}, address: c.options.address, timeout: sendTimeout}
	if ref.Kind == dashboard.KindGateway {
		o.gateway = ref.Name
		return o
	}
	o.name = ref.Name
	return o
}

// Show returns what is known of one object.
func (c shownCluster) Show(ctx context.Context, lang text.Language, ref dashboard.Ref) (dashboard.Object, error) {
	p := c.in(lang)
	if ref.Kind == dashboard.KindGateway {
		summary, err := p.readGatewaySummary(ctx, c.cluster, ref.Namespace, ref.Name)
		return dashboard.Object{
			Summary: summary, Credentials: []dashboard.Generation{}, Scenarios: []string{}, Command: "kubectl wechat status -n " + ref.Namespace + " --gateway " + ref.Name,
		}, err
	}
	endpoint, err := readEndpoint(ctx, c.cluster, ref.Namespace, ref.Name)
	if err != nil {
		return dashboard.Object{}, err
	}
	return dashboard.Object{
		Summary: p.summaryWithPods(ctx, c.cluster, endpoint), Console: p.shownConsole(endpoint), Credentials: shownGenerations(endpoint.Status.Credentials),
		Scenarios: playable(endpoint), Command: "kubectl wechat status -n " + ref.Namespace + " " + ref.Name,
	}, nil
}

// shownConsole is the paste block. It holds no secret.
func (p Plugin) shownConsole(endpoint *v1alpha1.WeChatEndpoint) *dashboard.Console {
	shown := dashboard.Console{Steps: []dashboard.Step{}}
	for _, step := range consoleSteps(endpoint) {
		one := dashboard.Step{Action: p.say(step.label), Field: step.field, Value: p.lang.Say(step.value)}
		if step.key != "" {
			one.Command = secretCommand(endpoint, step.key)
			one.Where = p.lang.Sprintf("the key %s of Secret %s", step.key, endpoint.Spec.Credentials.SecretName)
		}
		shown.Steps = append(shown.Steps, one)
	}
	ready, tooEarly, why := consoleVerdict(endpoint)
	if shown.Ready = why == nil; shown.Ready {
		shown.Verdict = p.lang.Say(ready)
		return &shown
	}
	shown.Verdict, shown.Do = p.lang.Say(tooEarly)+p.lang.Say(why.cause), p.lang.Say(why.remedy)
	return &shown
}

// shownGenerations are the sets of credentials that are accepted, newest first, and those that are lost.
func shownGenerations(status v1alpha1.CredentialsStatus) []dashboard.Generation {
	all := []dashboard.Generation{}
	for _, accepted := range status.Accepted {
		all = append(all, dashboard.Generation{
			Number: accepted.Generation, Newest: accepted.Generation == status.Generation, Since: timeOf(accepted.Since), Until: timeOf(accepted.Until),
			FirstUsed: timeOf(accepted.FirstUsed), LastUsed: timeOf(accepted.LastUsed),
		})
	}
	for _, number := range status.Lost {
		all = append(all, dashboard.Generation{Number: number, Lost: true})
	}
	slices.SortFunc(all, func(a, b dashboard.Generation) int { return cmp.Compare(b.Number, a.Number) })
	return all
}

func timeOf(t *metav1.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// playable are the scenarios that need no further argument.
func playable(endpoint *v1alpha1.WeChatEndpoint) []string {
	if endpointURL(endpoint) == "" || strings.Contains(endpointURL(endpoint), "$") {
		return []string{}
	}
	return slices.DeleteFunc(slices.Clone(scenarios[endpoint.Spec.Platform]), func(name string) bool {
		return name == scenarioReleaseCheck || name == scenarioPayment // which asks for a private key
	})
}

// Pods returns the pods that are ready, whose metrics are read.
func (c shownCluster) Pods(ctx context.Context, ref dashboard.Ref) ([]dashboard.Pod, error) {
	labels := client.MatchingLabels{v1alpha1.LabelGateway: ref.Name}
	if ref.Kind == dashboard.KindEndpoint {
		endpoint, err := readEndpoint(ctx, c.cluster, ref.Namespace, ref.Name)
		if err != nil {
			return nil, err
		}
		labels = podsOf(endpoint)
	}
	var pods corev1.PodList
	err := c.cluster.List(ctx, &pods, client.InNamespace(ref.Namespace), labels, sidecarPods)
	switch {
	case apierrors.IsForbidden(err):
		return nil, text.Errorf("you may not list pods in namespace %s: ask for that right", ref.Namespace)
	case err != nil:
		return nil, text.Errorf("listing the pods of the %s: %w", sidecarContainer, err)
	}
	ready := []dashboard.Pod{}
	for _, pod := range pods.Items {
		if doctor.PodReady(pod) {
			ready = append(ready, dashboard.Pod{Namespace: pod.Namespace, Name: pod.Name, Port: portOf(pod)})
		}
	}
	return ready, nil
}

// Send plays one message, as kubectl wechat send does.
func (c shownCluster) Send(ctx context.Context, lang text.Language, ref dashboard.Ref, message dashboard.Message) (dashboard.Trip, error) {
	p, o := c.in(lang), c.optionsFor(ref, commandSend)
	p.Connect = func(*genericclioptions.ConfigFlags) (client.Client, string, error) {
		return c.cluster, ref.Namespace, nil
	}
	o.scenario, o.text, o.from = message.Scenario, cmp.Or(message.Text, defaultText), defaultFrom
	t, err := p.target(ctx, o)
	if err != nil {
		return dashboard.Trip{}, err
	}
	if o.scenario != "" && !slices.Contains(playable(t.endpoint), o.scenario) {
		return dashboard.Trip{}, text.Errorf("the dashboard does not send that to an account of platform %s", t.account.platform)
	}
	plays, err := t.plays(o)
	if err != nil {
		return dashboard.Trip{}, err
	}
	request, err := t.sender.NewScenario(plays[0].Scenario)
	if err != nil {
		return dashboard.Trip{}, err
	}
	done, err := t.play(ctx, plays[0], request)
	if err != nil {
		return dashboard.Trip{}, err
	}
	return p.reportOn(t, o).trip(t, plays[0], request, done), nil
}

// trip is what the page shows of a test message.
func (r report) trip(t target, p play, request *caller.Request, done played) dashboard.Trip {
	lang := r.plugin.lang
	url, _, _ := strings.Cut(shownURL(t.sender.URL, request, done.received), "?") // whose query has a user in it
	trip := dashboard.Trip{
		Message: p.Name, URL: url, Address: done.received.Remote, Answer: lang.Say(text.New("no answer")),
		Milliseconds: milliseconds(done.received.Elapsed), Taken: done.refusal == nil, Verdict: lang.Say(p.ok),
	}
	if done.received.Status != 0 {
		trip.Answer = lang.Say(head(done.received))
	}
	if report, ok := done.received.Report(); ok {
		trip.App, trip.AppMilliseconds = lang.Say(appLine(report)), milliseconds(report.Took)
	}
	if done.judged {
		trip.Reply = lang.Say(replyOf(done.opened, done.reply))
	}
	if done.refusal != nil {
		why := r.known(done.refusal)
		trip.Verdict, trip.Do = lang.Say(done.consequence)+lang.Say(why.cause), lang.Say(r.remedy(why))
	}
	return trip
}

// Tail opens the taps of the pods that serve an endpoint, without the messages: it hands over verdicts, which have no user in them.
func (c shownCluster) Tail(ctx context.Context, lang text.Language, ref dashboard.Ref, take func(dashboard.Tell)) error {
	p, o := c.in(lang), c.optionsFor(ref, commandListen)
	p.Connect = func(*genericclioptions.ConfigFlags) (client.Client, string, error) {
		return c.cluster, ref.Namespace, nil
	}
	p.Forward = func(_ *genericclioptions.ConfigFlags, namespace string) (listen.Dial, error) {
		return c.plugin.Forward(c.options.cluster, namespace)
	}
	t, err := p.tapped(ctx, o)
	if err != nil {
		return err
	}
	err = t.client.Follow(ctx, t.pods, tap.Query{Follow: true}, func(event listen.Event) {
		if told, ok := tellOf(lang, event); ok && ctx.Err() == nil {
			take(told)
		}
	})
	return listen.Explain(err)
}

// tellOf is what the page is told of what a pod tells.
func tellOf(lang text.Language, event listen.Event) (dashboard.Tell, bool) {
	told := dashboard.Tell{At: time.Now().UnixMilli(), Pod: event.Pod.Name}
	line := event.Line
	switch {
	case event.Opened:
		told.Note = lang.Say(text.New("listening to pod %s until %s", event.Pod.Name, event.Stream.Hello.Until.Format(time.TimeOnly)))
	case event.Err != nil:
		told.Note, told.Failed = lang.Say(text.New("pod %s is not listened to: %s", event.Pod.Name, listen.Explain(event.Err))), true
	case line == nil:
		return told, false
	case line.Verdict != nil:
		v := line.Verdict
		told.At, told.Outcome, told.Reason, told.Type, told.Event = v.At.UnixMilli(), v.Outcome, v.Reason, v.Type, v.Event
		told.Status, told.Milliseconds, told.Repeat, told.Played = v.Status, v.Millis, v.Repeat, v.Played
	case line.Dropped > 0:
		told.Note, told.Failed = lang.Say(text.New("%d lines of pod %s were left out: they came faster than they are read here", line.Dropped, event.Pod.Name)), true
	case line.Ended != "" && line.Ended != tap.EndTime:
		told.Note = lang.Say(text.New("pod %s tells no more: %s", event.Pod.Name, ends[line.Ended]))
	default:
		return told, false
	}
	return told, true
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Round(10*time.Microsecond).Microseconds()) / 1000
}
