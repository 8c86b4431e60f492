// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

// TestBadFlags are told of before anything is served, and a password in a URL is not repeated.
func TestBadFlags(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"a collector by HTTPS":            {[]string{"--tracing-endpoint=https://user:private@collector:4318"}, "tracing: endpoint is not http://host:port"},
		"a sample of nothing":             {[]string{"--tracing-endpoint=http://collector:4318", "--tracing-sampling-rate-per-million=0"}, "set 1 to 1000000"},
		"a sample, and nobody to tell it": {[]string{"--tracing-sampling-rate-per-million=10"}, "does nothing without endpoint"},
		"others without a port":           {[]string{"--peers=shop-sidecar-peers"}, `--peers: "shop-sidecar-peers" is not HOST:PORT`},
		"others without a name":           {[]string{"--peers=:8081"}, "is not HOST:PORT"},
		"others at a port by its name":    {[]string{"--peers=shop-sidecar-peers:ops"}, "is not HOST:PORT"},
		"others at no port":               {[]string{"--peers=shop-sidecar-peers:0"}, "is not HOST:PORT"},
		"a flag that there is not":        {[]string{"--tracing"}, "not defined"},
	} {
		t.Run(name, func(t *testing.T) {
			err := run(t.Context(), test.args)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "private") {
				t.Errorf("the error is %v, want %s", err, test.want)
			}
		})
	}
}
