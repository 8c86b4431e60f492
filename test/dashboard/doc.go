// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package dashboard tries kubectl wechat dashboard in a headless browser, as `make dashboard` does: the real plugin, against a server that answers
// as an API server does, and pods that are a few lines each.
package dashboard
