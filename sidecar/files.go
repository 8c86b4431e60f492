// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"net/http"

	"github.com/wechatendpoint/wechatendpoint/sidecar/internal/door"
)

// serveFile answers a request for a domain file, by which a console sees who owns the host. It reports whether it was one.
func (c *callback) serveFile() bool {
	files := c.served.config.DomainFiles
	if len(files) == 0 || c.r.Method != http.MethodGet && c.r.Method != http.MethodHead || !c.served.gate.ServesHost(c.r.Host) {
		return false
	}
	for _, file := range files {
		if c.r.URL.EscapedPath() == "/"+file.Name {
			door.Received(c.r.Context())
			c.answer(http.StatusOK, plainText, []byte(file.Content))
			return true
		}
	}
	return false
}
