// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"strings"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// Image is the image of pods: the installation's, or the version of it that their owner asks for.
func Image(asked v1alpha1.Sidecar, installed string) string {
	version := asked.ImageVersion
	switch {
	case version == "":
		return installed
	case strings.HasPrefix(version, "sha256:"):
		return repository(installed) + "@" + version
	}
	return repository(installed) + ":" + version
}

// repository is an image without its tag and digest. A colon before the last slash belongs to a registry's port.
func repository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if tag := strings.LastIndexByte(image, ':'); tag > strings.LastIndexByte(image, '/') {
		image = image[:tag]
	}
	return image
}
