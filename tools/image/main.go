// Command image makes a container image of one static binary: one layer, no base, no shell, the user 65532. The same
// binary gives the same digest, because every time in the image is zero. It needs no container engine.
//
//	image -binary bin/sidecar -tag ghcr.io/wechatendpoint/sidecar:dev -out sidecar.tar
//	image -binary bin/sidecar -tag ghcr.io/wechatendpoint/sidecar:v1.0.0 -push
package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"

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

// options are the command's flags.
type options struct {
	binary, name, tag, arch, out string
	push                         bool
}

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "image: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string, stdout io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	tag, err := name.NewTag(o.tag)
	if err != nil {
		return err
	}
	image, err := build(o)
	if err != nil {
		return err
	}
	if err := deliver(o, tag, image); err != nil {
		return err
	}
	digest, err := image.Digest()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s@%s\n", tag.Repository, digest)
	return err
}

func parse(args []string) (options, error) {
	var o options
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

// build makes the image: one layer that holds the binary.
func build(o options) (v1.Image, error) {
	binary, err := os.ReadFile(o.binary)
	if err != nil {
		return nil, err
	}
	archive, err := pack(o.name, binary)
	if err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive)), nil }
	layer, err := tarball.LayerFromOpener(open)
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.DockerManifestSchema2), layer)
	if err != nil {
		return nil, err
	}
	return mutate.ConfigFile(image, configure(o, image))
}

// configure adds to the layers of image what a runtime wants to know. No creation time: it would change the digest.
func configure(o options, image v1.Image) *v1.ConfigFile {
	config, err := image.ConfigFile()
	if err != nil {
		panic(err) // the image was made in memory a moment ago
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", o.arch
	config.Config = v1.Config{User: nonroot, Entrypoint: []string{o.name}, WorkingDir: "/"}
	return config
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

func deliver(o options, tag name.Tag, image v1.Image) error {
	if o.push {
		return remote.Write(tag, image, remote.WithAuthFromKeychain(authn.DefaultKeychain))
	}
	return tarball.WriteToFile(o.out, tag, image)
}
