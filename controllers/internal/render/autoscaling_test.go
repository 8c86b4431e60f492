// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"testing"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

func TestReplicas(t *testing.T) {
	scaling := func(least, most int32) *v1alpha1.Autoscaling {
		return &v1alpha1.Autoscaling{MinReplicas: &least, MaxReplicas: most}
	}
	for name, test := range map[string]struct {
		sidecar v1alpha1.Sidecar
		want    int32
	}{
		"nothing is said":                       {v1alpha1.Sidecar{}, 2},
		"a number":                              {v1alpha1.Sidecar{Replicas: new(int32(7))}, 7},
		"none":                                  {v1alpha1.Sidecar{Replicas: new(int32(0))}, 0},
		"autoscaling begins at the number":      {v1alpha1.Sidecar{Replicas: new(int32(4)), Autoscaling: scaling(2, 9)}, 4},
		"autoscaling begins not below its own":  {v1alpha1.Sidecar{Replicas: new(int32(1)), Autoscaling: scaling(3, 9)}, 3},
		"autoscaling begins not above its own":  {v1alpha1.Sidecar{Replicas: new(int32(9)), Autoscaling: scaling(1, 5)}, 5},
		"autoscaling never begins with nothing": {v1alpha1.Sidecar{Replicas: new(int32(0)), Autoscaling: scaling(1, 5)}, 1},
		"autoscaling without its least":         {v1alpha1.Sidecar{Replicas: new(int32(1)), Autoscaling: &v1alpha1.Autoscaling{MaxReplicas: 5}}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Replicas(test.sidecar); got != test.want {
				t.Errorf("it begins with %d pods, want %d", got, test.want)
			}
		})
	}
}
