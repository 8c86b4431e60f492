// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
)

// buildOf names the build of the binaries beside this program's own, 12 hexadecimal digits. The images are made of them
// and their tag stays the same from build to build, so that a cluster would go on with old ones. It is empty where this
// program does not stand beside them.
func buildOf(names ...string) string {
	self, err := os.Executable()
	if err != nil {
		return ""
	}
	hash := sha256.New()
	for _, name := range names {
		file, err := os.Open(filepath.Join(filepath.Dir(self), name))
		if err != nil {
			return ""
		}
		_, err = io.Copy(hash, file)
		file.Close()
		if err != nil {
			return ""
		}
	}
	return hex.EncodeToString(hash.Sum(nil))[:12]
}
