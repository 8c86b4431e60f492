// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// chartsFolder is where charts are in a registry, beside the images.
const chartsFolder = "charts"

// pusher brings a release into a registry. It prints what is there then, one line for each: its name, tag and digest.
type pusher struct {
	from, registry string
	plainHTTP      bool
	helm           string
	options        []remote.Option
}

func runPush(ctx context.Context, args []string, stdout io.Writer) error {
	p := pusher{options: []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}}
	flags := flag.NewFlagSet("push", flag.ContinueOnError)
	flags.StringVar(&p.from, "from", "", "the folder of the release")
	flags.StringVar(&p.registry, "registry", "", "a registry and a folder in it, such as registry.example.com/you")
	flags.BoolVar(&p.plainHTTP, "plain-http", false, "speak HTTP without TLS to the registry: whoever is on the way can change what is pushed")
	flags.StringVar(&p.helm, "helm", "", "helm, which pushes the chart; without it only the images are pushed")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if p.from == "" || p.registry == "" {
		return errors.New("needs -from and -registry")
	}
	if err := checkRegistry(p.registry); err != nil {
		return err
	}
	bundle, err := p.find("wechatendpoint-*-images.tar")
	if err != nil {
		return err
	}
	if err := p.pushBundle(bundle, stdout); err != nil || p.helm == "" {
		return err
	}
	return p.pushChart(ctx, stdout)
}

// find returns the one file of that name in the release.
func (p pusher) find(pattern string) (string, error) {
	found, err := filepath.Glob(filepath.Join(p.from, pattern))
	if err != nil {
		return "", err
	}
	if len(found) != 1 {
		return "", fmt.Errorf("%s has %d files %s, want one: name the folder of one release", p.from, len(found), pattern)
	}
	return found[0], nil
}

// pushBundle pushes each image under its own name and version, with the digest that it has in the release, and what refers to it.
func (p pusher) pushBundle(file string, stdout io.Writer) error {
	folder, err := os.MkdirTemp("", "bundle-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	bundle, err := openBundle(file, folder)
	if err != nil {
		return fmt.Errorf("reading %s: %w", file, err)
	}
	root, err := bundle.ImageIndex()
	if err != nil {
		return err
	}
	manifest, err := root.IndexManifest()
	if err != nil {
		return err
	}
	owners := map[string]name.Repository{} // by the digest of an image
	for _, descriptor := range manifest.Manifests {
		if full := descriptor.Annotations[imageName]; full != "" && !strings.Contains(full, "@") {
			repository, err := p.pushImage(root, descriptor, full, owners)
			if err != nil {
				return err
			}
			fmt.Fprintf(stdout, "%s@%s\n", repository, descriptor.Digest)
		}
	}
	for _, descriptor := range manifest.Manifests {
		if subject := descriptor.Annotations[subjectName]; subject != "" {
			if err := p.pushReferrer(bundle, descriptor, owners[subject]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p pusher) pushImage(root v1.ImageIndex, descriptor v1.Descriptor, full string, owners map[string]name.Repository) (name.Tag, error) {
	tag, err := name.NewTag(p.registry+"/"+path.Base(full), p.strictness()...)
	if err != nil {
		return tag, err
	}
	index, err := root.ImageIndex(descriptor.Digest)
	if err != nil {
		return tag, err
	}
	children, err := index.IndexManifest()
	if err != nil {
		return tag, err
	}
	for _, child := range children.Manifests {
		owners[child.Digest.String()] = tag.Context()
	}
	return tag, remote.WriteIndex(tag, index, p.options...)
}

func (p pusher) pushReferrer(bundle layout.Path, descriptor v1.Descriptor, owner name.Repository) error {
	artifact, err := bundle.Image(descriptor.Digest)
	if err != nil {
		return err
	}
	return remote.Write(owner.Digest(descriptor.Digest.String()), artifact, p.options...)
}

func (p pusher) strictness() []name.Option {
	if p.plainHTTP {
		return []name.Option{name.StrictValidation, name.Insecure}
	}
	return []name.Option{name.StrictValidation}
}

// pushChart lets helm push the chart, beside the images, and asks the registry which digest it has there.
func (p pusher) pushChart(ctx context.Context, stdout io.Writer) error {
	chart, err := p.find("wechat-endpoint-*.tgz")
	if err != nil {
		return err
	}
	arguments := []string{"push", chart, "oci://" + p.registry + "/" + chartsFolder}
	if p.plainHTTP {
		arguments = append(arguments, "--plain-http")
	}
	helm := exec.CommandContext(ctx, p.helm, arguments...)
	helm.Env = append(os.Environ(), "TZ=UTC") // it writes the file's time into the manifest
	if out, err := helm.CombinedOutput(); err != nil {
		return fmt.Errorf("helm push: %w: %s", err, bytes.TrimSpace(out))
	}
	version := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(chart), "wechat-endpoint-"), ".tgz")
	tag, err := name.NewTag(p.registry+"/"+chartsFolder+"/wechat-endpoint:"+version, p.strictness()...)
	if err != nil {
		return err
	}
	pushed, err := remote.Head(tag, p.options...)
	if err != nil {
		return fmt.Errorf("asking for the chart that was pushed: %w", err)
	}
	_, err = fmt.Fprintf(stdout, "%s@%s\n", tag, pushed.Digest)
	return err
}
