// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package world

import (
	"fmt"
	"sync"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
)

// GatewayAPI knows whether the cluster has the Gateway API, which may come after the operator. Its kinds are watched from
// then on: a watch of a kind that does not exist would keep the operator from starting. The zero value watches nothing.
type GatewayAPI struct {
	// Watch begins the watches; nil begins none.
	Watch func() error

	mu    sync.Mutex
	found bool
	asked time.Time
}

var httpRouteKind = schema.GroupKind{Group: gatewayv1.GroupName, Kind: "HTTPRoute"}

// Installed reports whether there are HTTPRoutes. While there are none it asks the API server again, for all endpoints
// together, once in some seconds.
func (g *GatewayAPI) Installed(mapper apimeta.RESTMapper) (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.found || time.Since(g.asked) < verdict.Unwatched {
		return g.found, nil
	}
	_, err := mapper.RESTMapping(httpRouteKind, gatewayv1.GroupVersion.Version)
	switch {
	case apimeta.IsNoMatchError(err):
		g.asked = time.Now()
		return false, nil
	case err != nil:
		return false, fmt.Errorf("asking for the Gateway API: %w", err)
	}
	if g.Watch != nil {
		if err := g.Watch(); err != nil {
			return false, fmt.Errorf("watching the Gateway API: %w", err)
		}
	}
	g.found = true
	return true, nil
}
