// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// labels are those of https://specs.opencontainers.org/image-spec/annotations.
func (r release) labels(p program) map[string]string {
	const prefix = "org.opencontainers.image."
	return map[string]string{
		prefix + "title":         p.name,
		prefix + "description":   p.description,
		prefix + "version":       r.version,
		prefix + "revision":      r.commit,
		prefix + "created":       r.date.Format(time.RFC3339),
		prefix + "url":           homepage,
		prefix + "source":        homepage,
		prefix + "documentation": homepage + "/tree/" + r.tag() + "/docs",
		prefix + "licenses":      "Apache-2.0",
		prefix + "vendor":        "The WeChatEndpoint Authors",
	}
}

// tag is the release's in git.
func (r release) tag() string { return "v" + r.version }

// part is the image of one architecture, and what it is made of.
type part struct {
	arch  string
	image v1.Image
	sbom  []byte
}

// makeIndex puts the images of all architectures under one name.
func makeIndex(parts []part, labels map[string]string) v1.ImageIndex {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, p := range parts {
		platform := v1.Platform{OS: "linux", Architecture: p.arch}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: p.image, Descriptor: v1.Descriptor{Platform: &platform}})
	}
	return mutate.Annotations(index, labels).(v1.ImageIndex)
}

// sbomType is CycloneDX as JSON.
const sbomType types.MediaType = "application/vnd.cyclonedx+json"

// attach makes an artifact that refers to an image and holds its bill of materials, as registries list it beside the image.
func attach(image v1.Image, sbom []byte, annotations map[string]string) (v1.Image, error) {
	subject, err := partial.Descriptor(image)
	if err != nil {
		return nil, err
	}
	artifact := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), sbomType)
	if artifact, err = mutate.AppendLayers(artifact, static.NewLayer(sbom, sbomType)); err != nil {
		return nil, err
	}
	artifact = mutate.Annotations(artifact, annotations).(v1.Image)
	return mutate.Subject(artifact, v1.Descriptor{MediaType: subject.MediaType, Size: subject.Size, Digest: subject.Digest}).(v1.Image), nil
}
