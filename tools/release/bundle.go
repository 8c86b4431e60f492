// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// Names of the files of a release, with the version in the place of %s.
const (
	bundleFile  = "wechatendpoint-%s-images.tar"
	imagesFile  = "wechatendpoint-%s-images.txt"
	chartFile   = "wechat-endpoint-%s.tgz"
	installFile = "install.yaml"
)

// Annotations in the index of a bundle. A runtime that imports it calls an image by its whole name.
const (
	imageName   = "io.containerd.image.name"
	refName     = "org.opencontainers.image.ref.name"
	subjectName = "io.containerd.manifest.subject" // of an artifact: it is no image
)

// makeBundle builds what runs in pods, for each architecture, and writes the images with their bills of materials into one OCI layout. It is
// what `ctr images import` reads.
func (r release) makeBundle(ctx context.Context) error {
	folder := filepath.Join(r.work, "layout")
	bundle, err := layout.Write(folder, empty.Index)
	if err != nil {
		return err
	}
	var list strings.Builder
	for _, p := range images {
		parts, err := r.makeParts(ctx, p)
		if err != nil {
			return err
		}
		name := r.registry + "/" + p.name
		digest, err := addImage(bundle, name, r.version, parts, r.labels(p))
		if err != nil {
			return err
		}
		fmt.Fprintf(&list, "%s:%s@%s\n", name, r.version, digest)
	}
	if err := os.WriteFile(r.file(imagesFile), []byte(list.String()), 0o644); err != nil {
		return err
	}
	return r.writeTar(r.file(bundleFile), folder)
}

// makeParts builds a program for each architecture. Beside the images it leaves archives of the binaries, for who runs them without a
// cluster, and the bills of materials.
func (r release) makeParts(ctx context.Context, p program) ([]part, error) {
	var parts []part
	for _, arch := range r.architectures() {
		linux := platform{"linux", arch}
		binary, err := r.build(ctx, p, linux)
		if err != nil {
			return nil, err
		}
		image, err := makeImage(binary, "/"+p.name, arch, r.labels(p), r.date)
		if err != nil {
			return nil, err
		}
		sbom, err := r.makeSBOM(binary, p)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(r.out, r.named(p, linux)+".cdx.json"), sbom, 0o644); err != nil {
			return nil, err
		}
		if _, _, err := r.archive(p, linux, binary); err != nil {
			return nil, err
		}
		parts = append(parts, part{arch, image, sbom})
	}
	return parts, nil
}

// addImage puts an index into a bundle, and beside it what refers to its images. It has two names: what a cluster's manifests pin by a digest,
// its runtime looks for by the digest.
func addImage(bundle layout.Path, name, version string, parts []part, labels map[string]string) (v1.Hash, error) {
	index := makeIndex(parts, labels)
	digest, err := index.Digest()
	if err != nil {
		return digest, err
	}
	for _, full := range []string{name + ":" + version, name + "@" + digest.String()} {
		if err := bundle.AppendIndex(index, layout.WithAnnotations(map[string]string{imageName: full, refName: full})); err != nil {
			return digest, err
		}
	}
	for _, p := range parts {
		artifact, err := attach(p.image, p.sbom, labels)
		if err != nil {
			return digest, err
		}
		subject, err := p.image.Digest()
		if err != nil {
			return digest, err
		}
		if err := bundle.AppendImage(artifact, layout.WithAnnotations(map[string]string{subjectName: subject.String()})); err != nil {
			return digest, err
		}
	}
	return digest, nil
}

// writeTar writes a folder's files into an archive, by their names, as of the release's commit and of nobody.
func (r release) writeTar(file, folder string) error {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer out.Close()
	archive := tar.NewWriter(out)
	err = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error { // in the order of names
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		return addFile(archive, filepath.ToSlash(name), 0o644, content, r.date)
	})
	return errors.Join(err, archive.Close(), out.Close())
}

// openBundle unpacks a bundle into a folder.
func openBundle(file, folder string) (layout.Path, error) {
	in, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer in.Close()
	root, err := os.OpenRoot(folder)
	if err != nil {
		return "", err
	}
	defer root.Close()
	archive := tar.NewReader(in)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return layout.FromPath(folder)
		}
		if err != nil {
			return "", err
		}
		if err := unpack(root, header, archive); err != nil {
			return "", fmt.Errorf("unpacking %s: %w", header.Name, err)
		}
	}
}

// unpack writes a file of an archive; root keeps it where it belongs, whatever its name says.
func unpack(root *os.Root, header *tar.Header, content io.Reader) error {
	if header.Typeflag != tar.TypeReg {
		return nil
	}
	if err := root.MkdirAll(filepath.Dir(filepath.FromSlash(header.Name)), 0o755); err != nil {
		return err
	}
	file, err := root.Create(filepath.FromSlash(header.Name))
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Close())
}
