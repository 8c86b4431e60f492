// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"cmp"
	"strconv"
)

// Shown is the URL without its scheme, as it is entered in the console and stands in status.url. A * stands for every host.
func (u CallbackURL) Shown() string {
	shown := cmp.Or(u.Host, "*")
	if u.Port != 0 {
		shown += ":" + strconv.Itoa(int(u.Port))
	}
	shown += u.Path
	if u.Query != "" {
		shown += "?" + u.Query
	}
	return shown
}
