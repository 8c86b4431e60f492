// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

// awaited are files, targets of the Makefile and values of the chart that pages name before they are there.
var awaited = map[string]bool{"docs/release.md": true, "docs/runbooks.md": true}
