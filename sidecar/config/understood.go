// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !previous

package config

// Understood is the newest version of the contract that this sidecar reads. It says so on /status.
const Understood = VersionSecond
