// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package doctor says every cause for which WeChat could refuse a URL.
package doctor
