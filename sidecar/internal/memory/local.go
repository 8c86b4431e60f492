// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package memory

// Local is the memory of one endpoint in one process. It is safe for concurrent use.
type Local[T any] struct {
	*Uses
	*Repeats[T]
}

// NewLocal returns a memory whose uses and settled deliveries take at most so many bytes.
func NewLocal[T any](uses, repeats int) Local[T] {
	return Local[T]{NewUses(uses), NewRepeats[T](repeats)}
}
