// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"log/slog"
	"testing"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/metrics"
)

// TestTable: a request is its host's and path's, and what is nobody's the last one refuses.
func TestTable(t *testing.T) {
	s := New(Options{ConfigDir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	zero := func() float64 { return 0 }
	add := func(c config.Config) *Endpoint {
		e := newEndpoint(&s.shared, metrics.NewProcess(zero, zero))
		e.take(config.Document{Config: c})
		return e
	}
	shop := add(config.Config{Host: "shop.example.com", Path: "/weixin", DomainFiles: []config.DomainFile{{Name: "MP_verify_a.txt"}}})
	suite := add(config.Config{Host: "suite.example.com", Path: "/weixin/$CORPID$"})
	anyHost := add(config.Config{Path: "/any"})
	endpoints := table{newEndpoint(&s.shared, metrics.NewProcess(zero, zero)), shop, suite, anyHost}
	for name, test := range map[string]struct {
		host, path string
		want       *Endpoint
	}{
		"its host and path":                {"shop.example.com", "/weixin", shop},
		"with a port, and the path's twin": {"SHOP.example.com:8443", "/weixin/", shop},
		"its domain file":                  {"shop.example.com", "/MP_verify_a.txt", shop},
		"another's host":                   {"suite.example.com", "/weixin/ww1", suite},
		"another's domain file":            {"suite.example.com", "/MP_verify_a.txt", anyHost},
		"a path of nobody's":               {"shop.example.com", "/admin", anyHost},
		"any host":                         {"other.example.com", "/any", anyHost},
	} {
		t.Run(name, func(t *testing.T) {
			if endpoints.find(test.host, test.path) != test.want {
				t.Error("another endpoint got it")
			}
		})
	}
}
