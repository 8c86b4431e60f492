// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/doctor"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
)

// part is one file of a report.
type part struct {
	name string
	data []byte
}

// bundle writes what somebody needs who is to help: the endpoint, its status, its pods, events, log and diagnosis. No value of a Secret is
// in it: none is written, and what has one elsewhere (an annotation, an argument) has … in its place.
func (p Plugin) bundle(ctx context.Context, o options) (int, error) {
	facts, url, err := p.facts(ctx, o)
	if err != nil {
		return 0, err
	}
	cluster, namespace, err := p.connect(o)
	if err != nil {
		return 0, err
	}
	endpoint := facts.Cluster.Endpoint.DeepCopy()
	delete(endpoint.Annotations, corev1.LastAppliedConfigAnnotation) // the same once more, perhaps with what was taken away since
	parts := []part{{"version.txt", []byte(p.Version + "\n")}, {"secret-keys.txt", secretKeys(facts.Cluster.Secret)}}
	summary := p.summaryOfEndpoint(endpoint)
	p.addPods(ctx, cluster, &summary, podsOf(endpoint))
	endpoint.ManagedFields = nil
	for _, one := range []struct {
		name  string
		value any
	}{{"endpoint.json", endpoint}, {"status.json", summary}, {"doctor.json", p.diagnosis(facts, url, doctor.Decide(facts))}, {"events.json", eventsOf(ctx, cluster, endpoint)}} {
		data, err := json.MarshalIndent(one.value, "", "  ")
		if err != nil {
			return 0, err
		}
		parts = append(parts, part{one.name, append(data, '\n')})
	}
	for _, pod := range facts.Cluster.Pods {
		parts = append(parts, part{"logs/" + pod.Name + ".txt", p.logOf(ctx, o, pod)})
	}
	redact(parts, facts.Cluster.Secret, facts.Cluster.Certificate)
	path := o.file
	if path == "" {
		path = fmt.Sprintf("wechat-report-%s-%s.tar.gz", namespace, endpoint.Name)
	}
	var archive bytes.Buffer
	if err := writeArchive(&archive, parts, facts.Now); err != nil {
		return 0, text.Errorf("writing %s: %w", path, err)
	}
	if err := writeNew(path, 0o600, archive.Bytes()); err != nil {
		return 0, text.Errorf("writing %s: %w", path, err)
	}
	r := p.report(p.Stdout)
	for _, one := range parts {
		r.line("holds", "%s", one.name)
	}
	return r.ok("wrote %s; look through it before you send it: it names hosts, namespaces and ids of accounts, and no token, key or message", path), nil
}

// secretKeys are the names of the keys of a Secret.
func secretKeys(secret *corev1.Secret) []byte {
	if secret == nil {
		return []byte("not known\n")
	}
	return []byte(strings.Join(slices.Sorted(maps.Keys(secret.Data)), "\n") + "\n")
}

// event is what the cluster tells of an object.
type event struct {
	Time                  time.Time
	Type, Reason, Message string
	Count                 int32
}

// eventsOf are those of the endpoint and of what has its name; none where they may not be listed.
func eventsOf(ctx context.Context, cluster client.Reader, endpoint client.Object) []event {
	var list corev1.EventList
	all := []event{}
	if err := cluster.List(ctx, &list, client.InNamespace(endpoint.GetNamespace())); err != nil {
		return all
	}
	for _, one := range list.Items {
		if one.InvolvedObject.Name == endpoint.GetName() || strings.HasPrefix(one.InvolvedObject.Name, endpoint.GetName()+"-sidecar") {
			all = append(all, event{one.LastTimestamp.UTC(), one.Type, one.Reason, one.Message, one.Count})
		}
	}
	return all
}

// logOf is the log of a sidecar, which holds no message and no token, or why it cannot be read.
func (p Plugin) logOf(ctx context.Context, o options, pod corev1.Pod) []byte {
	stream, err := p.PodLog(ctx, o.cluster, pod.Namespace, pod.Name, sidecarContainer, o.since, maxLog)
	if err != nil {
		return []byte(err.Error() + "\n")
	}
	defer stream.Close()
	data, err := io.ReadAll(io.LimitReader(stream, maxLog))
	if err != nil {
		data = append(data, err.Error()...)
	}
	return data
}

// shortest is the length of a value that is looked for elsewhere: a shorter one would stand in many a word. Bytes.
const shortest = 6

// redact takes the values of Secrets out of every part, wherever they come from.
func redact(parts []part, secrets ...*corev1.Secret) {
	for _, secret := range secrets {
		if secret == nil {
			continue
		}
		for _, value := range secret.Data {
			if value = bytes.TrimSpace(value); len(value) < shortest {
				continue
			}
			for i := range parts {
				parts[i].data = bytes.ReplaceAll(parts[i].data, value, []byte("…"))
			}
		}
	}
}

func writeArchive(to io.Writer, parts []part, now time.Time) error {
	compressed := gzip.NewWriter(to)
	archive := tar.NewWriter(compressed)
	for _, one := range parts {
		if err := archive.WriteHeader(&tar.Header{Name: one.name, Mode: 0o600, Size: int64(len(one.data)), ModTime: now}); err != nil {
			return err
		}
		if _, err := archive.Write(one.data); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return compressed.Close()
}
