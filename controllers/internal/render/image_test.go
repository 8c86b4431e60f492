// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"testing"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

func TestImage(t *testing.T) {
	const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for name, test := range map[string]struct{ installed, version, want string }{
		"the installation's":                    {"example.com/sidecar:1", "", "example.com/sidecar:1"},
		"another tag":                           {"example.com/sidecar:1", "2", "example.com/sidecar:2"},
		"a digest":                              {"example.com/sidecar:1", digest, "example.com/sidecar@" + digest},
		"a tag beside an installation's digest": {"example.com/sidecar@" + digest, "2", "example.com/sidecar:2"},
		"a tag beside both":                     {"example.com/sidecar:1@" + digest, "2", "example.com/sidecar:2"},
		"a registry with a port":                {"localhost:5000/sidecar:1", "2", "localhost:5000/sidecar:2"},
		"a registry with a port and no tag":     {"localhost:5000/sidecar", "2", "localhost:5000/sidecar:2"},
		"no registry at all":                    {"sidecar", "2", "sidecar:2"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Image(v1alpha1.Sidecar{ImageVersion: test.version}, test.installed); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}
