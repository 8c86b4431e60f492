// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/wechatendpoint/wechatendpoint/sidecar/version"
)

// BuildInfo is the metric that says which operator runs.
func BuildInfo() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "wechatendpoint_build_info", Help: "Always 1: the operator's version, the commit and the version of Go that it was built from.",
		ConstLabels: version.Get().Labels(),
	}, func() float64 { return 1 })
}
