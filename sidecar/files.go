// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import "github.com/wechatendpoint/wechatendpoint/sidecar/config"

// findFile returns the domain file that a request asks for, by which a console sees who owns the host. It reports whether it was one.
func (c *callback) findFile() (found config.DomainFile, ok bool) {
	files := c.served.config.DomainFiles
	if len(files) == 0 || c.request.Method != "GET" && c.request.Method != "HEAD" || !c.served.gate.ServesHost(c.request.Host) {
		return found, false
	}
	for _, file := range files {
		if c.request.Path == "/"+file.Name {
			return file, true
		}
	}
	return found, false
}
