// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/refs"
)

// An endpoint whose spec cannot be read as a whole was stored by an older CustomResourceDefinition, or by one of a newer operator. It is one
// that is refused: its pods go on with their configuration, and its credentials go on being rotated and revoked, as far as the
// fields can be read that say how. Its fields with zero values say nothing: it is none without a host.

// checkReadable refuses a spec that could not be read, in words for its author.
func checkReadable(endpoint *v1alpha1.WeChatEndpoint) error {
	problems := endpoint.Spec.Unreadable
	if len(problems) == 0 && endpoint.Spec.Platform == "" {
		problems = []string{"spec is missing"}
	}
	if len(problems) == 0 {
		return nil
	}
	return refs.Waitf(v1alpha1.ReasonSpecUnreadable,
		"%s; what was served before is served on: correct it with kubectl -n %s edit wxe %s", strings.Join(firstFew(problems), "; "), endpoint.Namespace, endpoint.Name)
}

// maxProblems is how many fields a message names.
const maxProblems = 3

func firstFew(problems []string) []string {
	if len(problems) <= maxProblems {
		return problems
	}
	return append(slices.Clone(problems[:maxProblems]), "and more")
}

// knowsCredentials reports whether what the spec says of the credentials could be read.
func knowsCredentials(endpoint *v1alpha1.WeChatEndpoint) bool {
	return endpoint.Spec.Platform != "" && endpoint.Spec.Credentials.SecretName != "" && !slices.ContainsFunc(endpoint.Spec.Unreadable, func(problem string) bool {
		return strings.HasPrefix(problem, "spec.credentials") || strings.HasPrefix(problem, "spec.messageMode")
	})
}

// tellUnreadable writes a line of the log when an object was stored that cannot be read. While its status cannot be written either, the
// metric goes on telling.
func tellUnreadable(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint) {
	problems := append(slices.Clone(endpoint.Spec.Unreadable), endpoint.Status.Unreadable...)
	if len(problems) > 0 {
		ctrl.LoggerFrom(ctx).Error(errors.New(shortened(strings.Join(firstFew(problems), "; "))), "a WeChatEndpoint cannot be read as it is stored")
	}
}

// maxNamed is how many endpoints the metric names.
const maxNamed = 100

// unreadableEndpoints is the metric that names them. It looks into the cache whenever it is asked, so that no name outlives its object.
type unreadableEndpoints struct{ client.Reader }

var unreadableDescription = prometheus.NewDesc("wechatendpoint_unreadable",
	"WeChatEndpoints whose stored spec or status the operator cannot read as a whole: 1 for each, and at most 100 of them.", []string{"namespace", "name"}, nil)

// Describe implements prometheus.Collector.
func (unreadableEndpoints) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- unreadableDescription
}

// Collect implements prometheus.Collector.
func (u unreadableEndpoints) Collect(metrics chan<- prometheus.Metric) {
	var all v1alpha1.WeChatEndpointList
	if err := u.List(context.Background(), &all, client.UnsafeDisableDeepCopy); err != nil {
		return // the cache has not begun
	}
	named := 0
	for i := range all.Items {
		endpoint := &all.Items[i]
		if checkReadable(endpoint) == nil && endpoint.Status.Unreadable == nil || named == maxNamed {
			continue
		}
		named++
		metrics <- prometheus.MustNewConstMetric(unreadableDescription, prometheus.GaugeValue, 1, endpoint.Namespace, endpoint.Name)
	}
}
