package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// An asset is a program of a part that envtest runs. It finds it by its name.
type asset struct {
	part part
	name string
}

var (
	newestAssets = []asset{{etcd, "etcd"}, {kubernetes, "kube-apiserver"}, {kubernetes, "kubectl"}}
	// oldestAssets are for the oldest Kubernetes that is supported. Clients never have to be that old.
	oldestAssets = []asset{{etcd, "etcd"}, {oldestKubernetes, "kube-apiserver"}}
)

// assets builds what envtest needs and prints the folder that has it, and nothing else, on standard output.
func assets(ctx context.Context, args []string) error {
	switch {
	case len(args) == 0:
		return provideAssets(ctx, newestAssets)
	case len(args) == 1 && args[0] == "oldest":
		return provideAssets(ctx, oldestAssets)
	default:
		return fmt.Errorf("assets takes nothing or the word oldest, not %q", args)
	}
}

// partsOf are the parts that the assets are of, each once.
func partsOf(assets []asset) []part {
	var parts []part
	for _, a := range assets {
		if !slices.ContainsFunc(parts, func(p part) bool { return p.name == a.part.name }) {
			parts = append(parts, a.part)
		}
	}
	return parts
}

// assetsFolder is the folder of links to what the parts' programs are now.
func assetsFolder(parts []part) string {
	name := "assets"
	for _, p := range parts {
		name += "-" + p.key()
	}
	return filepath.Join(cacheRoot(), name)
}

func provideAssets(ctx context.Context, assets []asset) error {
	parts := partsOf(assets)
	if err := buildAssets(ctx, parts); err != nil {
		return err
	}
	folder := assetsFolder(parts)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for _, a := range assets {
		if err := os.Symlink(a.part.path(a.name), filepath.Join(folder, a.name)); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	fmt.Println(folder)
	return nil
}

// buildAssets builds the parts that miss. It takes the lock for that only: with all there, assets need not wait for an
// up under way.
func buildAssets(ctx context.Context, parts []part) error {
	missing := notBuilt(parts)
	if len(missing) == 0 {
		return nil
	}
	unlock, err := lock()
	if err != nil {
		return err
	}
	defer unlock()
	u := &upper{progress: newProgress(os.Stderr, len(missing), missing)}
	for _, p := range missing {
		if err := u.build(ctx, p, nil); err != nil {
			return explain(err, u.log)
		}
	}
	return nil
}
