// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// nonroot is the user and group that images without a user database agree on; a number, so that the kubelet can see
// for runAsNonRoot that it is not root.
const nonroot = "65532:65532"

// imageOptions are the flags of the command image.
type imageOptions struct {
	binary, name, tag, arch, out string
	push                         bool
}

func runImage(args []string, stdout io.Writer) error {
	o, err := parseImage(args)
	if err != nil {
		return err
	}
	tag, err := name.NewTag(o.tag)
	if err != nil {
		return err
	}
	image, err := makeImage(o.binary, o.name, o.arch, nil, time.Time{})
	if err != nil {
		return err
	}
	if o.push {
		err = remote.Write(tag, image, remote.WithAuthFromKeychain(authn.DefaultKeychain))
	} else {
		err = tarball.WriteToFile(o.out, tag, image)
	}
	if err != nil {
		return err
	}
	digest, err := image.Digest()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s@%s\n", tag.Repository, digest)
	return err
}

func parseImage(args []string) (imageOptions, error) {
	var o imageOptions
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	flags.StringVar(&o.binary, "binary", "", "the static binary to pack")
	flags.StringVar(&o.name, "name", "", "its absolute path in the image (default /NAME of the binary)")
	flags.StringVar(&o.tag, "tag", "", "the image's name and tag")
	flags.StringVar(&o.arch, "arch", runtime.GOARCH, "the binary's architecture")
	flags.StringVar(&o.out, "out", "", "write a tarball to this file")
	flags.BoolVar(&o.push, "push", false, "push to the tag's registry, with the credentials of docker's configuration")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.name == "" {
		o.name = "/" + filepath.Base(o.binary)
	}
	if o.binary == "" || o.tag == "" || (o.out == "") == !o.push {
		return o, errors.New("needs -binary, -tag and one of -out or -push")
	}
	if !path.IsAbs(o.name) {
		return o, fmt.Errorf("-name %s is not an absolute path", o.name)
	}
	return o, nil
}

// makeImage makes an image of one static binary: one layer, no base, no shell, the user 65532. The labels are its annotations too. The same
// arguments give the same digest: the only time in it is created, which may be zero.
func makeImage(file, nameInImage, arch string, labels map[string]string, created time.Time) (v1.Image, error) {
	binary, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	archive, err := pack(nameInImage, binary)
	if err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive)), nil }
	layer, err := tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
	if err != nil {
		return nil, err
	}
	oci := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.AppendLayers(oci, layer)
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = "linux", arch, v1.Time{Time: created}
	config.Config = v1.Config{User: nonroot, Entrypoint: []string{nameInImage}, WorkingDir: "/", Labels: maps.Clone(labels)}
	if image, err = mutate.ConfigFile(image, config); err != nil || labels == nil {
		return image, err
	}
	return mutate.Annotations(image, labels).(v1.Image), nil
}

// pack makes a tar archive of one executable file, owned by root so that the image's user cannot change it.
func pack(name string, binary []byte) ([]byte, error) {
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name[1:], Mode: 0o555, Size: int64(len(binary))}
	if err := writer.WriteHeader(header); err != nil {
		return nil, err
	}
	if _, err := writer.Write(binary); err != nil {
		return nil, err
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	return archive.Bytes(), nil
}
