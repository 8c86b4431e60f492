// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import "net/http"

// serveFile answers a request for a domain file, by which a console sees who owns the host. It reports whether it was one.
func (s *served) serveFile(w http.ResponseWriter, r *http.Request) bool {
	if len(s.config.DomainFiles) == 0 || r.Method != http.MethodGet && r.Method != http.MethodHead || !s.gate.ServesHost(r.Host) {
		return false
	}
	for _, file := range s.config.DomainFiles {
		if r.URL.EscapedPath() == "/"+file.Name {
			answer(w, http.StatusOK, plainText, []byte(file.Content))
			return true
		}
	}
	return false
}
