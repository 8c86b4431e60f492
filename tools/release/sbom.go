// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// makeSBOM tells what a binary is made of, by what Go has written into it: every module that is linked, and the standard library.
func (r release) makeSBOM(binary string, p program) ([]byte, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(content)
	program := module(info.Main.Path, r.tag(), strings.TrimPrefix(info.Path, info.Main.Path+"/"))
	program.Type, program.Description = cdx.ComponentTypeApplication, p.description
	program.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(digest[:])}}
	program.Licenses = &cdx.Licenses{{License: &cdx.License{ID: "Apache-2.0"}}}
	program.Properties = &[]cdx.Property{
		{Name: "go:binary", Value: filepath.Base(binary)},
		{Name: "go:platform", Value: setting(info, "GOOS") + "/" + setting(info, "GOARCH")},
		{Name: "go:commit", Value: r.commit},
	}

	components := []cdx.Component{module("std", strings.TrimPrefix(info.GoVersion, "go"), "")}
	for _, dependency := range info.Deps {
		used := dependency
		if used.Replace != nil {
			used = used.Replace
		}
		component := module(used.Path, used.Version, "")
		if used.Sum != "" {
			hash, err := moduleHash(used.Sum)
			if err != nil {
				return nil, fmt.Errorf("module %s: %w", used.Path, err)
			}
			component.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hash}}
		}
		components = append(components, component)
	}
	needs := make([]string, 0, len(components))
	for _, component := range components {
		needs = append(needs, component.BOMRef)
	}

	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{Timestamp: r.date.Format(time.RFC3339), Component: &program}
	bom.Components, bom.Dependencies = &components, &[]cdx.Dependency{{Ref: program.BOMRef, Dependencies: &needs}}
	var out bytes.Buffer
	if err := cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// module is a component that is named as https://github.com/package-url has it for Go. The package is a program's, within its module.
func module(path, version, inside string) cdx.Component {
	purl := "pkg:golang/" + path + "@" + version
	if inside != "" {
		purl += "#" + inside
	}
	return cdx.Component{BOMRef: purl, Type: cdx.ComponentTypeLibrary, Name: path, Version: version, PackageURL: purl}
}

// moduleHash is a line of go.sum, h1: and a SHA-256 in base64, in hexadecimal digits.
func moduleHash(sum string) (string, error) {
	encoded, ok := strings.CutPrefix(sum, "h1:")
	if !ok {
		return "", fmt.Errorf("unknown hash %s", sum)
	}
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return "", fmt.Errorf("hash %s: %w", sum, err)
	}
	return hex.EncodeToString(raw), nil
}

func setting(info *debug.BuildInfo, key string) string {
	for _, s := range info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}
