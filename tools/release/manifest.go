// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// makeManifest writes what `kubectl apply` installs without helm: config/default with the release's images, each by its tag and digest.
func (r release) makeManifest(ctx context.Context) error {
	kustomize, err := r.tool(ctx, "kustomize")
	if err != nil {
		return err
	}
	text, err := r.run(ctx, nil, kustomize, "build", "config/default")
	if err != nil {
		return err
	}
	list, err := os.ReadFile(r.file(imagesFile))
	if err != nil {
		return err
	}
	if text, err = pin(text, r.registry, strings.Fields(string(list))); err != nil {
		return err
	}
	header := fmt.Sprintf("# WeChatEndpoint %s, of commit %s: kubectl apply --server-side -f install.yaml\n", r.version, r.commit)
	return os.WriteFile(filepath.Join(r.out, installFile), []byte(header+text+"\n"), 0o644)
}

// unreleased ends the names of images in config/default.
const unreleased = ":dev"

// pin replaces the images that a manifest names without a release by those that a release has: in Deployments, in the operator's
// configuration, and in the policies that know it.
func pin(manifest, registry string, pinned []string) (string, error) {
	for _, program := range []string{"operator", "sidecar"} {
		image, from := "", defaultRegistry+"/"+program+unreleased
		for _, one := range pinned {
			if strings.HasPrefix(one, registry+"/"+program+":") {
				image = one
			}
		}
		if image == "" || !strings.Contains(manifest, from) {
			return "", fmt.Errorf("the manifest does not name %s, or the release has no image for it", from)
		}
		manifest = strings.ReplaceAll(manifest, from, image)
	}
	if strings.Contains(manifest, unreleased) {
		return "", fmt.Errorf("the manifest names one more image with %s", unreleased)
	}
	return manifest, nil
}
