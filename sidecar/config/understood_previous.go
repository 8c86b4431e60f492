// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build previous

package config

// Understood is that of the sidecar one version of the contract ago, for the tests of a newer operator with older sidecars.
const Understood = VersionSecond - 1
