// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wechatendpoint/wechatendpoint/sidecar/version"
	"github.com/wechatendpoint/wechatendpoint/test/exposition"
)

func TestBuildInfo(t *testing.T) {
	families := exposition.Gather(t, BuildInfo())
	if len(families) != 1 || len(families[0].GetMetric()) != 1 {
		t.Fatalf("got %v", families)
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
