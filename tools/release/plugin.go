// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"text/template"
)

// krewFile is the plugin's manifest for krew, which names it after the plugin.
const krewFile = "wechat.yaml"

var krewTemplate = template.Must(template.New(krewFile).Parse(`apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: wechat
spec:
  version: {{ .Tag }}
  homepage: {{ .Homepage }}
  shortDescription: Play WeChat's server against a callback URL
  description: |
    Tells whether WeChat would accept the URL of a WeChatEndpoint, and if not, why:

      kubectl wechat verify NAME    does the URL check of WeChat's console
      kubectl wechat send NAME      sends a signed message and judges the app's reply
      kubectl wechat open NAME      decrypts a captured callback and explains each step
      kubectl wechat rotate NAME    changes the token and key without losing a message

    verify and send also work with any URL and a token from a file, without a cluster.
  platforms:
{{- range .Downloads }}
  - selector:
      matchLabels:
        os: {{ .OS }}
        arch: {{ .Arch }}
    uri: {{ .URL }}
    sha256: {{ .SHA256 }}
    bin: {{ .Binary }}
{{- end }}
`))

// download is the plugin for one platform.
type download struct {
	OS, Arch, URL, SHA256, Binary string
}

// makePlugin builds the plugin for each platform that kubectl is used on, and the manifest by which krew installs it.
func (r release) makePlugin(ctx context.Context) error {
	var downloads []download
	for _, p := range r.platforms {
		binary, err := r.build(ctx, plugin, p)
		if err != nil {
			return err
		}
		file, sum, err := r.archive(plugin, p, binary)
		if err != nil {
			return err
		}
		url := homepage + "/releases/download/" + r.tag() + "/" + file
		downloads = append(downloads, download{p.os, p.arch, url, sum, filepath.Base(binary)})
	}
	var manifest bytes.Buffer
	if err := krewTemplate.Execute(&manifest, map[string]any{"Tag": r.tag(), "Homepage": homepage, "Downloads": downloads}); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.out, krewFile), manifest.Bytes(), 0o644)
}
