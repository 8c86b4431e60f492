// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Versions of the contract. A document has the lowest version that knows all that it says, so that a sidecar of an older image
// goes on reading the documents of a newer operator until an endpoint asks for something new.
const (
	VersionFirst  = 1
	VersionSecond = 2 // backend.tls, query, / as path and * among receiverIDs
)

// LowestVersion returns the lowest version of the contract that knows all that c says.
func (c Config) LowestVersion() int {
	second := c.Backend.TLS != nil || c.Query != "" || c.Path == "/" || slices.Contains(c.ReceiverIDs, AnyReceiver)
	for _, rule := range c.Rules {
		second = second || rule.Backend != nil && rule.Backend.TLS != nil
	}
	if second {
		return VersionSecond
	}
	return VersionFirst
}

// ReadVersion returns the version of a document, without judging the rest: one that is for newer sidecars says things that
// cannot be read here.
func ReadVersion(data []byte) (int, error) {
	var file struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return 0, fmt.Errorf("reading the version of %s: %w", File, redact(err))
	}
	return max(file.Version, VersionFirst), nil
}
