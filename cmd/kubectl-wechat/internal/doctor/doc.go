// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package doctor tells the causes apart for which WeChat could refuse a URL. Look collects facts from this computer, the plugin adds those
// of the cluster, and Decide, which is pure, says what they mean and what to do.
package doctor
