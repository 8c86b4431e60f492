// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/doctor"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
)

// Summary is an endpoint or a gateway at a glance: what kubectl wechat status -o json prints. What is not known, or does not apply, is
// left out.
type Summary struct {
	// Kind is WeChatEndpoint or WeChatGateway.
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Ready repeats the condition Ready: True, False or Unknown. Next says what to do, empty where there is nothing.
	Ready string `json:"ready"`
	Next  string `json:"next,omitempty"`

	URL         string `json:"url,omitempty"`
	Platform    string `json:"platform,omitempty"`
	MessageMode string `json:"messageMode,omitempty"`
	Backend     string `json:"backend,omitempty"`
	Gateway     string `json:"gateway,omitempty"`
	Paused      bool   `json:"paused,omitempty"`

	// Generation is the spec's, and ObservedGeneration the one that the operator has seen.
	Generation         int64 `json:"generation"`
	ObservedGeneration int64 `json:"observedGeneration"`
	// CredentialsGeneration counts the changes of the Secret, and Accepted are the generations that are accepted now.
	CredentialsGeneration int64                          `json:"credentialsGeneration,omitempty"`
	Accepted              []v1alpha1.AcceptedCredentials `json:"accepted,omitempty"`
	// LastSeen is when WeChat was last seen, to the hour.
	LastSeen *metav1.Time `json:"lastSeen,omitempty"`
	// CertificateNotAfter is when the certificate ends that the published address shows.
	CertificateNotAfter *metav1.Time `json:"certificateNotAfter,omitempty"`

	// Endpoints is how many a gateway serves, and Left are those for which it has no room.
	Endpoints *int32   `json:"endpoints,omitempty"`
	Left      []string `json:"left,omitempty"`

	Conditions []SummaryCondition `json:"conditions,omitempty"`
	Pods       []SummaryPod       `json:"pods,omitempty"`
	// PodsUnknown says why no pods are listed.
	PodsUnknown string `json:"podsUnknown,omitempty"`
}

// SummaryCondition is a condition, with whether it holds, and what to do where it does not.
type SummaryCondition struct {
	Type    string `json:"type"`
	Status  string `json:"status"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
	// Holds is false where something is to be done or known: most conditions hold when they are True, warnings when they are not.
	Holds bool `json:"holds"`
	// Outdated says that the condition speaks of an earlier spec.
	Outdated bool   `json:"outdated,omitempty"`
	Do       string `json:"do,omitempty"`

	said, remedy text.Text
}

// SummaryPod is a pod that serves.
type SummaryPod struct {
	Name     string `json:"name"`
	Ready    bool   `json:"ready"`
	Restarts int32  `json:"restarts"`
	Node     string `json:"node,omitempty"`
	Image    string `json:"image,omitempty"`
	// Problem says why it is not ready.
	Problem string `json:"problem,omitempty"`

	problem text.Text
}

// status shows an endpoint, a gateway, or every endpoint of the namespace.
func (p Plugin) status(ctx context.Context, o options) (int, error) {
	cluster, namespace, err := p.connect(o)
	if err != nil {
		return 0, err
	}
	if o.name == "" && o.gateway == "" {
		return p.statusOfAll(ctx, cluster, namespace, o)
	}
	summary, err := p.summary(ctx, cluster, namespace, o)
	if err != nil {
		return 0, err
	}
	status := StatusOK
	if summary.Ready != string(metav1.ConditionTrue) {
		status = StatusRefused
	}
	if done, err := p.print(o.output, summary); done || err != nil {
		return status, err
	}
	p.showSummary(summary, o.output == outputWide)
	return status, nil
}

// summary reads what is known of one endpoint or gateway.
func (p Plugin) summary(ctx context.Context, cluster client.Reader, namespace string, o options) (Summary, error) {
	if o.gateway != "" {
		return p.readGatewaySummary(ctx, cluster, namespace, o.gateway)
	}
	endpoint, err := readEndpoint(ctx, cluster, namespace, o.name)
	if err != nil {
		return Summary{}, err
	}
	return p.summaryWithPods(ctx, cluster, endpoint), nil
}

// readGatewaySummary reads what is known of a gateway.
func (p Plugin) readGatewaySummary(ctx context.Context, cluster client.Reader, namespace, name string) (Summary, error) {
	var gateway v1alpha1.WeChatGateway
	if err := readObject(ctx, cluster, kindGateway, namespace, name, &gateway, &v1alpha1.WeChatGatewayList{}); err != nil {
		return Summary{}, err
	}
	s := p.summaryOfGateway(&gateway)
	p.addPods(ctx, cluster, &s, client.MatchingLabels{v1alpha1.LabelGateway: name})
	return s, nil
}

// summaryWithPods is what is known of an endpoint that was read, with the pods that serve it.
func (p Plugin) summaryWithPods(ctx context.Context, cluster client.Reader, endpoint *v1alpha1.WeChatEndpoint) Summary {
	s := p.summaryOfEndpoint(endpoint)
	p.addPods(ctx, cluster, &s, podsOf(endpoint))
	return s
}

// podsOf are the labels of the pods that serve an endpoint.
func podsOf(endpoint *v1alpha1.WeChatEndpoint) client.MatchingLabels {
	if gateway := serving(endpoint)[0]; gateway != "" {
		return client.MatchingLabels{v1alpha1.LabelGateway: string(gateway)}
	}
	return client.MatchingLabels{v1alpha1.LabelEndpoint: endpoint.Name}
}

func (p Plugin) summaryOfEndpoint(endpoint *v1alpha1.WeChatEndpoint) Summary {
	spec, status := endpoint.Spec, endpoint.Status
	s := Summary{
		Kind: kindEndpoint, Namespace: endpoint.Namespace, Name: endpoint.Name, URL: endpointURL(endpoint), Platform: string(spec.Platform),
		MessageMode: string(spec.MessageMode), Gateway: string(serving(endpoint)[0]), Paused: spec.Paused,
		Backend: cmp.Or(status.Backend, spec.Backend.Service.Name+":"+spec.Backend.Service.Port.String()), Generation: endpoint.Generation,
		ObservedGeneration: status.ObservedGeneration, CredentialsGeneration: status.Credentials.Generation, Accepted: status.Credentials.Accepted,
		LastSeen: lastSeen(status.Credentials), CertificateNotAfter: status.CertificateNotAfter,
	}
	p.addConditions(&s, status.Conditions)
	return s
}

func (p Plugin) summaryOfGateway(gateway *v1alpha1.WeChatGateway) Summary {
	s := Summary{
		Kind: kindGateway, Namespace: gateway.Namespace, Name: gateway.Name, Paused: gateway.Spec.Paused, Generation: gateway.Generation,
		ObservedGeneration: gateway.Status.ObservedGeneration, Endpoints: gateway.Status.Endpoints, Left: gateway.Status.Left,
	}
	p.addConditions(&s, gateway.Status.Conditions)
	return s
}

// lastSeen is when WeChat was last seen with any of the credentials; nil when it was not.
func lastSeen(credentials v1alpha1.CredentialsStatus) (last *metav1.Time) {
	for _, accepted := range credentials.Accepted {
		if used := accepted.LastUsed; used != nil && (last == nil || last.Before(used)) {
			last = used
		}
	}
	return last
}

// addConditions tells the conditions, and from them whether it is ready and what to do next.
func (p Plugin) addConditions(s *Summary, conditions []metav1.Condition) {
	s.Ready = string(metav1.ConditionUnknown)
	for _, condition := range conditions {
		_, remedy := doctor.Reason(condition.Reason)
		one := SummaryCondition{
			Type: condition.Type, Status: string(condition.Status), Reason: condition.Reason, Message: condition.Message, Holds: doctor.Holds(condition),
			Outdated: condition.ObservedGeneration < s.Generation, said: doctor.Said(condition),
		}
		if !one.Holds || condition.Reason == v1alpha1.ReasonRotationPending {
			one.remedy, one.Do = remedy, p.lang.Say(remedy)
		}
		if condition.Type == v1alpha1.ConditionReady {
			s.Ready, s.Next = one.Status, one.Do
		}
		s.Conditions = append(s.Conditions, one)
	}
	if meta.FindStatusCondition(conditions, v1alpha1.ConditionReady) == nil {
		s.Next = p.lang.Say(findOperator())
	}
}

// addPods tells the pods that serve. Who may not list them is told so.
func (p Plugin) addPods(ctx context.Context, cluster client.Reader, s *Summary, labels client.MatchingLabels) {
	var pods corev1.PodList
	if err := cluster.List(ctx, &pods, client.InNamespace(s.Namespace), labels, sidecarPods); err != nil {
		s.PodsUnknown = p.lang.Error(unlisted(err))
		return
	}
	for _, pod := range pods.Items {
		problem := doctor.PodProblem(pod)
		one := SummaryPod{
			Name: pod.Name, Ready: doctor.PodReady(pod), Restarts: doctor.Restarts(pod), Node: pod.Spec.NodeName,
			Problem: p.lang.Say(problem), problem: problem,
		}
		if own := slices.IndexFunc(pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == sidecarContainer }); own >= 0 {
			one.Image = pod.Spec.Containers[own].Image
		}
		s.Pods = append(s.Pods, one)
	}
}

// unlisted says why objects could not be listed.
func unlisted(err error) error {
	if apierrors.IsForbidden(err) {
		return text.Errorf("you may not list them")
	}
	return text.Errorf("they could not be listed: %w", err)
}

// showSummary writes a summary for people.
func (p Plugin) showSummary(s Summary, wide bool) {
	r := p.report(p.Stdout)
	if s.Kind == kindGateway {
		r.line("gateway", "%s/%s", s.Namespace, s.Name)
		if s.Endpoints != nil {
			r.line("serves", "%d endpoints", *s.Endpoints)
		}
		if len(s.Left) > 0 {
			r.line("no room", "%s", strings.Join(s.Left, ", "))
		}
	} else {
		r.line("endpoint", "%s/%s", s.Namespace, s.Name)
		r.line("url", "%s", cmp.Or(s.URL, "-"))
		r.line("platform", "%s", strings.TrimSuffix(s.Platform+", "+s.MessageMode, ", "))
		r.line("backend", "%s", s.Backend)
		r.line("pods", "%s", fleet(s.Gateway).pods())
		p.showUse(r, s)
	}
	p.showPods(r, s, wide)
	if s.ObservedGeneration < s.Generation {
		r.line("note", "the operator has seen generation %d of the spec, and the newest is %d", s.ObservedGeneration, s.Generation)
	}
	for _, condition := range s.Conditions {
		p.showCondition(condition)
	}
	if s.Next != "" {
		fmt.Fprintf(p.Stdout, "%s %s\n", p.paint(yellow, p.say("next:"), p.Stdout), printable(s.Next))
	}
}

// showUse tells what WeChat was seen using, and how long the certificate lasts.
func (p Plugin) showUse(r report, s Summary) {
	switch {
	case s.LastSeen != nil:
		r.line("seen", "WeChat was last seen in the hour of %s; the newest credentials are generation %d", s.LastSeen.UTC().Format(time.RFC3339), s.CredentialsGeneration)
	case s.CredentialsGeneration > 0:
		r.line("seen", "WeChat was not seen yet; the newest credentials are generation %d", s.CredentialsGeneration)
	}
	if s.CertificateNotAfter != nil {
		r.line("tls", "the certificate ends at %s", s.CertificateNotAfter.UTC().Format(time.RFC3339))
	}
}

func (p Plugin) showPods(r report, s Summary, wide bool) {
	for _, pod := range s.Pods {
		state := text.New("ready, %d restarts", pod.Restarts)
		if !pod.Ready {
			state = text.New("not ready, %d restarts: %s", pod.Restarts, pod.problem)
		}
		if wide {
			state = text.New("%s; node %s, image %s", state, pod.Node, pod.Image)
		}
		r.line("pod", "%s: %s", pod.Name, text.Verbatim(printable(p.lang.Say(state))))
	}
	switch {
	case s.PodsUnknown != "":
		r.line("pod", "not known: %s", s.PodsUnknown)
	case len(s.Pods) == 0:
		r.line("pod", "there is none")
	}
}

func (p Plugin) showCondition(c SummaryCondition) {
	mark := markOK
	switch {
	case c.Holds:
	case c.Status == string(metav1.ConditionUnknown):
		mark = markUnknown
	default:
		mark = markFailed
	}
	fmt.Fprintf(p.Stdout, "%s %-20s %s: %s\n", p.mark(mark, p.Stdout), c.Type, c.Reason, printable(p.lang.Say(c.said)))
	if c.Outdated {
		fmt.Fprintf(p.Stdout, "%-10s %-20s %s\n", "", "", p.say("it speaks of an earlier spec"))
	}
	if c.Do != "" && c.Type != v1alpha1.ConditionReady {
		fmt.Fprintf(p.Stdout, "%-10s %-20s %s\n", "", "", printable(p.lang.Sprintf("do: %s", c.Do)))
	}
}

// statusOfAll shows the endpoints and gateways of the namespace, a line for each.
func (p Plugin) statusOfAll(ctx context.Context, cluster client.Reader, namespace string, o options) (int, error) {
	var endpoints v1alpha1.WeChatEndpointList
	if err := cluster.List(ctx, &endpoints, client.InNamespace(namespace)); err != nil {
		return 0, unread(kindEndpoint, namespace, "*", err)
	}
	var gateways v1alpha1.WeChatGatewayList
	_ = cluster.List(ctx, &gateways, client.InNamespace(namespace)) // who may not list them sees the endpoints
	all := []Summary{}
	for i := range endpoints.Items {
		all = append(all, p.summaryOfEndpoint(&endpoints.Items[i]))
	}
	for i := range gateways.Items {
		all = append(all, p.summaryOfGateway(&gateways.Items[i]))
	}
	status := StatusOK
	if slices.ContainsFunc(all, func(s Summary) bool { return s.Ready != string(metav1.ConditionTrue) }) {
		status = StatusRefused
	}
	if done, err := p.print(o.output, all); done || err != nil {
		return status, err
	}
	if len(all) == 0 {
		fmt.Fprintln(p.Stdout, p.lang.Sprintf("there is no endpoint in namespace %s: kubectl wechat init makes one", namespace))
		return StatusOK, nil
	}
	return status, p.showTable(all)
}

// showTable writes a line for each, with the columns of kubectl.
func (p Plugin) showTable(all []Summary) error {
	out := tabwriter.NewWriter(p.Stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(out, "KIND\tNAME\tREADY\tPLATFORM\tURL\tNEXT")
	for _, s := range all {
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\n", s.Kind, s.Name, s.Ready, cmp.Or(s.Platform, "-"), cmp.Or(s.URL, "-"), printable(s.Next))
	}
	return out.Flush()
}
