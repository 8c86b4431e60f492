// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/wechatendpoint/wechatendpoint/sidecar/version"
)

func TestBuildInfo(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(buildInfo())
	families, err := registry.Gather()
	if err != nil || len(families) != 1 || len(families[0].GetMetric()) != 1 {
		t.Fatalf("got %v, %v", families, err)
	}
	metric, labels := families[0].GetMetric()[0], map[string]string{}
	for _, pair := range metric.GetLabel() {
		labels[pair.GetName()] = pair.GetValue()
	}
	if name, value := families[0].GetName(), metric.GetGauge().GetValue(); name != "wechatendpoint_build_info" || value != 1 {
		t.Errorf("got %s %v", name, value)
	}
	if diff := cmp.Diff(version.Get().Labels(), labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
}
