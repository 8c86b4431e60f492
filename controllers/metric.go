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
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/acceptance"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/status"
	"github.com/wechatendpoint/wechatendpoint/sidecar/version"
)

// buildInfo is the metric that says which operator runs.
func buildInfo() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "wechatendpoint_build_info", Help: "Always 1: the operator's version, the commit and the version of Go that it was built from.",
		ConstLabels: version.Get().Labels(),
	}, func() float64 { return 1 })
}

// tellUnreadable writes a line of the log when an object was stored that cannot be read. While its status cannot be written either, the
// metric goes on telling.
func tellUnreadable(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint) {
	problems := append(slices.Clone(endpoint.Spec.Unreadable), endpoint.Status.Unreadable...)
	if len(problems) > 0 {
		ctrl.LoggerFrom(ctx).Error(errors.New(status.Shortened(strings.Join(acceptance.FirstFew(problems), "; "))), "a WeChatEndpoint cannot be read as it is stored")
	}
}

// maxNamed is how many endpoints the metric names.
const maxNamed = 100

// unreadableEndpoints is the metric that names them. It looks into the cache whenever it is asked: no name outlives its object.
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
		if acceptance.CheckReadable(endpoint) == nil && endpoint.Status.Unreadable == nil || named == maxNamed {
			continue
		}
		named++
		metrics <- prometheus.MustNewConstMetric(unreadableDescription, prometheus.GaugeValue, 1, endpoint.Namespace, endpoint.Name)
	}
}
