// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package dashboard serves a page on this computer's loopback address. The page shows endpoints and gateways with the rights of whoever
// started the command, and asks nobody but this server. What guards it against other processes and other pages stands in guard.go.
package dashboard
