package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// assetParts are the parts, and those of their packages, that envtest runs. It finds them by their binaries' names.
var assetParts = []part{
	etcd,
	{kubernetes.name, []string{"k8s.io/kubernetes/cmd/kube-apiserver", "k8s.io/kubernetes/cmd/kubectl"}, "4 minutes"},
}

// oldestAssetParts are the same for the oldest Kubernetes that is supported. Clients never have to be that old.
var oldestAssetParts = []part{etcd, oldestKubernetes}

// assets builds what envtest needs and prints the folder that has it, and nothing else, on standard output.
func assets(ctx context.Context, args []string) error {
	switch {
	case len(args) == 0:
		return provideAssets(ctx, assetParts)
	case len(args) == 1 && args[0] == "oldest":
		return provideAssets(ctx, oldestAssetParts)
	default:
		return fmt.Errorf("assets takes nothing or the word oldest, not %q", args)
	}
}

// assetsFolder is the folder of links to what the parts' binaries are now.
func assetsFolder(parts []part) string {
	name := "assets"
	for _, p := range parts {
		name += "-" + p.key()
	}
	return filepath.Join(cacheRoot(), name)
}

func provideAssets(ctx context.Context, parts []part) error {
	if err := buildAssets(ctx, parts); err != nil {
		return err
	}
	folder := assetsFolder(parts)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for _, p := range parts {
		for _, pkg := range p.packages {
			name := p.binary(pkg)
			if err := os.Symlink(p.path(name), filepath.Join(folder, name)); err != nil && !errors.Is(err, os.ErrExist) {
				return err
			}
		}
	}
	fmt.Println(folder)
	return nil
}

// buildAssets builds the parts that miss. It takes the lock for that only: with all there, assets need not wait for an
// up under way.
func buildAssets(ctx context.Context, parts []part) error {
	var missing []part
	for _, p := range parts {
		if len(p.missing(p.packages)) > 0 {
			missing = append(missing, p)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	unlock, err := lock()
	if err != nil {
		return err
	}
	defer unlock()
	u := &upper{progress: newProgress(os.Stderr, len(missing))}
	for _, p := range missing {
		if err := u.build(ctx, p, nil); err != nil {
			return explain(err, u.log)
		}
	}
	return nil
}
