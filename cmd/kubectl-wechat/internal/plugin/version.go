// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"cmp"
	"context"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
)

// What the pods of the operator and of sidecars are found by, and the container that is asked about: a mesh may add others.
var (
	operatorPods = client.MatchingLabels{"app.kubernetes.io/name": "wechatendpoint-operator"}
	sidecarPods  = client.MatchingLabels{"app.kubernetes.io/managed-by": "wechatendpoint", "app.kubernetes.io/component": "sidecar"}
)

const (
	operatorContainer = "operator"
	sidecarContainer  = "sidecar"
)

// version prints the releases of the plugin, the operator and the sidecars. The last two are read from the images of their pods.
func (p Plugin) version(ctx context.Context, o options) (int, error) {
	r := p.report(p.Stdout)
	r.line("client", "%s", p.Version)
	if o.client {
		return StatusOK, nil
	}
	cluster, namespace, err := p.connect(o)
	if err != nil {
		return StatusUsage, err
	}
	if err := r.images(ctx, cluster, operatorContainer, text.New("none runs in the cluster"), operatorPods); err != nil {
		return StatusUsage, err
	}
	where := client.InNamespace(namespace)
	if o.allNamespaces {
		where = client.InNamespace("")
	}
	return StatusOK, r.images(ctx, cluster, sidecarContainer, text.New("none runs here: see --namespace and --all-namespaces"), sidecarPods, where)
}

// images writes a line for each image that pods run. Who may not see the pods is told so.
func (r report) images(ctx context.Context, cluster client.Reader, container string, none text.Text, which ...client.ListOption) error {
	var pods corev1.PodList
	err := cluster.List(ctx, &pods, which...)
	switch {
	case apierrors.IsForbidden(err):
		r.line(container, "not known, because you may not list its pods")
		return nil
	case err != nil:
		return text.Errorf("listing the pods of the %s: %w", container, err)
	}
	all := countImages(pods.Items, container)
	for _, image := range all {
		r.line(container, "%s", image.text())
	}
	if len(all) == 0 {
		r.line(container, "%s", none)
	}
	return nil
}

// runningImage is an image, and the pods that run it.
type runningImage struct {
	image      string
	pods       int
	namespaces []string
}

// countImages returns the images of that container, the one with the most pods first.
func countImages(pods []corev1.Pod, container string) []runningImage {
	var all []runningImage
	for _, pod := range pods {
		own := slices.IndexFunc(pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == container })
		if own < 0 || pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		image := pod.Spec.Containers[own].Image
		i := slices.IndexFunc(all, func(r runningImage) bool { return r.image == image })
		if i < 0 {
			i, all = len(all), append(all, runningImage{image: image})
		}
		all[i].pods++
		if !slices.Contains(all[i].namespaces, pod.Namespace) {
			all[i].namespaces = append(all[i].namespaces, pod.Namespace)
		}
	}
	slices.SortStableFunc(all, func(a, b runningImage) int {
		return cmp.Or(cmp.Compare(b.pods, a.pods), cmp.Compare(a.image, b.image))
	})
	return all
}

// text is like 0.2.0, 2 pods in team-a: ghcr.io/wechatendpoint/sidecar:0.2.0.
func (r runningImage) text() text.Text {
	number, where := text.New("%d pods", r.pods), text.Verbatim(r.namespaces[0])
	if r.pods == 1 {
		number = text.New("1 pod")
	}
	if len(r.namespaces) > 1 {
		where = text.New("%d namespaces", len(r.namespaces))
	}
	return text.New("%s, %s in %s: %s", versionOf(r.image), number, where, r.image)
}

// versionOf is an image's tag. One without a tag, by a digest alone, does not say its version.
func versionOf(image string) text.Text {
	name, _, _ := strings.Cut(image, "@")
	if colon := strings.LastIndexByte(name, ':'); colon > strings.LastIndexByte(name, '/') { // else it is a registry's port
		return text.Verbatim(name[colon+1:])
	}
	return text.New("unknown version")
}
