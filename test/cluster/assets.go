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

// assets builds what envtest needs and prints the folder that has it, and nothing else, on standard output.
func assets(ctx context.Context) error {
	folder := filepath.Join(cacheRoot(), "assets-"+etcd.key()+"-"+kubernetes.key())
	if err := buildAssets(ctx); err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for _, p := range assetParts {
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
func buildAssets(ctx context.Context) error {
	var missing []part
	for _, p := range assetParts {
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
