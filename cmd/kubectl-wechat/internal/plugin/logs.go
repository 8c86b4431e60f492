// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/doctor"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// maxLog bounds what is read of one pod's log. Bytes.
const maxLog = 4 << 20

// PodLog reads what a container of a pod has logged since a time ago, at most so many bytes.
type PodLog func(ctx context.Context, flags *genericclioptions.ConfigFlags, namespace, pod, container string, since time.Duration, most int64) (io.ReadCloser, error)

// KubernetesLog reads it like kubectl logs.
func KubernetesLog(ctx context.Context, flags *genericclioptions.ConfigFlags, namespace, pod, container string, since time.Duration, most int64) (io.ReadCloser, error) {
	config, err := flags.ToRESTConfig()
	if err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	config.APIPath, config.GroupVersion = "/api", &corev1.SchemeGroupVersion
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	api, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, err
	}
	seconds := max(1, int64(since.Seconds()))
	return api.Get().Namespace(namespace).Resource("pods").Name(pod).SubResource("log").
		VersionedParams(&corev1.PodLogOptions{Container: container, SinceSeconds: &seconds, LimitBytes: &most}, runtime.NewParameterCodec(scheme)).Stream(ctx)
}

// logLine is what the sidecar logs, as far as it is read here.
type logLine struct {
	Time     time.Time `json:"time"`
	Level    string    `json:"level"`
	Msg      string    `json:"msg"`
	Endpoint string    `json:"endpoint"`
	Reason   string    `json:"reason"`
	Detail   string    `json:"detail"`
	Cause    string    `json:"cause"`
	Remedy   string    `json:"remedy"`
	Problem  string    `json:"problem"`
	Error    string    `json:"error"`

	pod string
}

// logs shows what the sidecars refused of an endpoint's callbacks and why, and what else they complained of.
func (p Plugin) logs(ctx context.Context, o options) (int, error) {
	cluster, endpoint, err := p.endpoint(ctx, o)
	if err != nil {
		return 0, err
	}
	var pods corev1.PodList
	if err := cluster.List(ctx, &pods, client.InNamespace(endpoint.Namespace), podsOf(endpoint), sidecarPods); err != nil {
		return 0, text.Errorf("listing the pods of the %s: %w", sidecarContainer, err)
	}
	if len(pods.Items) == 0 {
		return 0, text.Errorf("no pod serves the endpoint: see kubectl wechat status %s -n %s", endpoint.Name, endpoint.Namespace)
	}
	var all []logLine
	r := p.report(p.Stdout)
	for _, pod := range pods.Items {
		lines, err := p.readLog(ctx, o, pod, client.ObjectKeyFromObject(endpoint).String())
		switch {
		case ctx.Err() != nil:
			return 0, errInterrupted
		case apierrors.IsForbidden(err):
			return 0, text.Errorf("you may not read the log of pod %s: ask for the right to get pods/log in namespace %s", pod.Name, pod.Namespace)
		case err != nil: // one that is starting, or whose node does not answer
			r.line("note", "the log of pod %s cannot be read: %v", pod.Name, err)
		}
		all = append(all, lines...)
	}
	slices.SortStableFunc(all, func(a, b logLine) int { return a.Time.Compare(b.Time) })
	return p.showLog(all, o), nil
}

// readLog reads the lines of one pod that are of the endpoint.
func (p Plugin) readLog(ctx context.Context, o options, pod corev1.Pod, endpoint string) ([]logLine, error) {
	stream, err := p.PodLog(ctx, o.cluster, pod.Namespace, pod.Name, sidecarContainer, o.since, maxLog)
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	return parseLog(stream, pod.Name, endpoint)
}

// parseLog reads the lines of a log that are of the endpoint. What is no JSON is not the sidecar's, and what names no endpoint is of all.
func parseLog(stream io.Reader, pod, endpoint string) (all []logLine, err error) {
	lines := bufio.NewScanner(io.LimitReader(stream, maxLog))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := logLine{pod: pod}
		if json.Unmarshal(lines.Bytes(), &line) == nil && cmp.Or(line.Endpoint, endpoint) == endpoint {
			all = append(all, line)
		}
	}
	return all, lines.Err()
}

// showLog explains each refusal, and counts them by their reasons.
func (p Plugin) showLog(all []logLine, o options) int {
	counts := map[string]int{}
	for _, line := range all {
		at := line.Time.UTC().Format(time.RFC3339)
		switch {
		case line.Reason != "":
			counts[line.Reason]++
			meaning, remedy := doctor.Log(wechat.Reason(line.Reason))
			if meaning.IsZero() {
				meaning = text.Verbatim(line.Detail)
			}
			fmt.Fprintf(p.Stdout, "%s %s %s %s: %s\n", at, line.pod, p.paint(red, p.say("refused"), p.Stdout), printable(line.Reason), printable(p.lang.Say(meaning)))
			if !remedy.IsZero() && counts[line.Reason] == 1 {
				fmt.Fprintf(p.Stdout, "  %s\n", p.lang.Sprintf("do: %s", remedy))
			}
		case line.Level == "WARN" || line.Level == "ERROR":
			fmt.Fprintf(p.Stdout, "%s %s %s %s\n", at, line.pod, p.paint(yellow, line.Level, p.Stdout), printable(line.Msg+colon(cmp.Or(line.Cause, line.Problem, line.Error))))
			if line.Remedy != "" {
				fmt.Fprintf(p.Stdout, "  %s\n", printable(p.lang.Sprintf("do: %s", line.Remedy)))
			}
		}
	}
	r := p.report(p.Stdout)
	if len(counts) == 0 {
		return r.ok("no callback was refused in the last %v, as far as the log tells, which holds some of many: the metric wechat_sidecar_refused_total counts all", o.since)
	}
	for _, reason := range slices.Sorted(maps.Keys(counts)) {
		r.line("count", "%s: %d", printable(reason), counts[reason])
	}
	return StatusRefused
}

func colon(more string) string {
	if more == "" {
		return ""
	}
	return ": " + more
}
