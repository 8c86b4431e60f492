// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package status

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestLongMessagesKeepTheirBeginningAndEnd(t *testing.T) {
	for name, test := range map[string]struct{ message, want string }{
		"what fits is kept":           {strings.Repeat("a", 1024), strings.Repeat("a", 1024)},
		"one byte more is too much":   {"b" + strings.Repeat("a", 1023) + "e", "b" + strings.Repeat("a", 718) + " … " + strings.Repeat("a", 299) + "e"},
		"what is no text is replaced": {"a\xff\xfeb", "a\uFFFDb"},
		"no character is cut in two":  {strings.Repeat("微", 400), strings.Repeat("微", 239) + " … " + strings.Repeat("微", 100)},
	} {
		t.Run(name, func(t *testing.T) {
			got := Shortened(test.message)
			if got != test.want || len(got) > maxMessage || !utf8.ValidString(got) {
				t.Errorf("got %d bytes: %s", len(got), got)
			}
		})
	}
}
