// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
)

// defaultRegistry is where the images of the project are, by the word of the chart and of config/default.
const defaultRegistry = "ghcr.io/wechatendpoint"

// homepage is where the source and the releases are.
const homepage = "https://github.com/wechatendpoint/wechatendpoint"

// release is what all its files have in common.
type release struct {
	version   string // such as 0.2.0
	registry  string // before the images' names, such as ghcr.io/wechatendpoint
	platforms []platform
	root      string // of the checkout
	commit    string
	date      time.Time // of the commit: the only time that is in a release
	out       string    // the folder that it is written to
	work      string    // a folder for what is not a part of it
}

// program is a binary of a release.
type program struct {
	name, source, description string
}

// images run in pods, plugin on people's computers.
var (
	images = []program{
		{"operator", "./cmd/operator", "The operator of WeChatEndpoint: gives every WeChat account of a cluster a verified front door"},
		{"sidecar", "./cmd/sidecar", "The gateway of WeChatEndpoint: verifies WeChat's callbacks and forwards them to an app"},
		{"example-app", "./test/apps/example", "An app to try WeChatEndpoint with: it says back what it is told"},
	}
	plugin = program{"kubectl-wechat", "./cmd/kubectl-wechat", "Plays WeChat's server against a callback URL, and opens what WeChat has sent"}
)

func runMake(ctx context.Context, args []string, stdout io.Writer) error {
	var (
		r         release
		platforms string
		err       error
	)
	flags := flag.NewFlagSet("make", flag.ContinueOnError)
	flags.StringVar(&r.version, "version", "", "the version, such as 0.2.0")
	flags.StringVar(&r.registry, "registry", defaultRegistry, "where the images will be")
	flags.StringVar(&platforms, "platforms", "", "only for these, such as linux/amd64,darwin/arm64")
	flags.StringVar(&r.root, "source", ".", "the checkout to build")
	flags.StringVar(&r.out, "out", "", "the folder to write to; what is in it is replaced")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if r.out == "" {
		return errors.New("needs -out")
	}
	if r.platforms, err = parsePlatforms(platforms); err != nil {
		return err
	}
	if err := r.check(); err != nil {
		return err
	}
	if err := r.readCommit(ctx); err != nil {
		return err
	}
	return r.make(ctx, stdout)
}

// semver is a version of https://semver.org without build metadata: an image's tag cannot have the plus sign.
var semver = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$`)

func (r *release) check() error {
	if !semver.MatchString(r.version) {
		return fmt.Errorf("VERSION is %q: name a version such as 0.2.0 or 0.2.0-rc.1, without v and without +", r.version)
	}
	if err := checkRegistry(r.registry); err != nil {
		return err
	}
	root, err := filepath.Abs(r.root)
	if err != nil {
		return err
	}
	r.root = root
	return nil
}

func checkRegistry(registry string) error {
	if _, err := name.NewRepository(registry+"/operator", name.StrictValidation); err != nil || strings.Contains(registry, "//") {
		return errors.Join(fmt.Errorf("REGISTRY is %q: name a registry and a folder in it, such as %s", registry, defaultRegistry), err)
	}
	return nil
}

// make makes all files in a folder beside the one to write to, and then puts it there: a release is whole or absent.
func (r release) make(ctx context.Context, stdout io.Writer) error {
	target, err := filepath.Abs(r.out)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	building, err := os.MkdirTemp(filepath.Dir(target), ".release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(building)
	r.out, r.work = filepath.Join(building, "out"), filepath.Join(building, "work")
	for _, folder := range []string{r.out, r.work} {
		if err := os.Mkdir(folder, 0o755); err != nil {
			return err
		}
	}
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"the images of " + r.registry, r.makeBundle},
		{"the plugin", r.makePlugin},
		{"the chart", r.makeChart},
		{"install.yaml", r.makeManifest},
		{"the checksums", r.makeSums},
	} {
		fmt.Fprintf(stdout, "release %s: %s\n", r.version, step.what)
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("making %s: %w", step.what, err)
		}
	}
	if err := os.RemoveAll(target); err != nil {
		return err
	}
	if err := os.Rename(r.out, target); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "release %s of commit %s is in %s\n", r.version, r.commit, target)
	return err
}

// file is the path of a file of the release, whose name has the version.
func (r release) file(format string) string {
	return filepath.Join(r.out, fmt.Sprintf(format, r.version))
}
