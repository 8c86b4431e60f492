// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package wechat

import (
	"strings"
	"testing"
)

// TestVerifyEncrypt: a text that is sorted by its beginning is signed as Sign signs it, wherever it belongs.
func TestVerifyEncrypt(t *testing.T) {
	long := strings.Repeat("m", 3*telling)
	for name, parts := range map[string][3]string{ // token, timestamp, nonce
		"before all":              {"z", "y", "x"},
		"behind all":              {"c", "b", "a"},
		"between them":            {"z", "a", "n"},
		"between them, otherwise": {"a", "z", "b"},
		"like one of them":        {long[:32], "1700000000", long[:128]},
	} {
		t.Run(name, func(t *testing.T) {
			for _, encrypt := range []string{long, long + "a", "m", ""} {
				signature := Sign(parts[0], parts[1], parts[2], encrypt)
				if !VerifyEncrypt(signature, parts[0], parts[1], parts[2], []byte(encrypt)) {
					t.Errorf("the signature of %d bytes does not verify", len(encrypt))
				}
				if VerifyEncrypt(signature, parts[0], parts[1], parts[2], []byte(encrypt+"x")) {
					t.Errorf("the signature of %d bytes verifies with another text", len(encrypt))
				}
			}
		})
	}
}
