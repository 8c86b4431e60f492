// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package commands runs the commands of the pages that build, test or measure this repository, in a copy of the checkout. Those of whoever
// uses a cluster are run by test/e2e.
package commands
