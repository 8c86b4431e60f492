package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
)

// definitions are files of a Go module that define kinds.
type definitions struct {
	module string   // with a version, or without: the one that Traefik is built with
	sum    string   // of the module with a version, as go.sum has it
	files  []string // in the module
}

// othersKinds are kinds that the ingress controller serves, and kinds of programs that are not here: what pages say of them is tried by their rules.
var othersKinds = []definitions{
	{module: "sigs.k8s.io/gateway-api", files: []string{
		gatewayAPI("gatewayclasses"), gatewayAPI("gateways"), gatewayAPI("httproutes"), gatewayAPI("grpcroutes"), gatewayAPI("tlsroutes"),
		gatewayAPI("referencegrants"), gatewayAPI("backendtlspolicies"),
	}},
	{module: "github.com/traefik/traefik/v3", files: []string{"docs/content/reference/dynamic-configuration/kubernetes-crd-definition-v1.yml"}},
	{module: "github.com/openshift/api@v0.0.0-20250820105013-6282350d0c39", sum: "h1:X42iTyo3AAHS36BkiBkU8FvxfK8NEDmnBi3QrnaCIlA=",
		files: []string{"route/v1/zz_generated.crd-manifests/routes.crd.yaml"}},
	{module: "github.com/external-secrets/external-secrets@v1.3.2", sum: "h1:u2J8RjlHIeF0oZCqtl92adI/uZWUwOesJIDkfql6LqQ=",
		files: []string{"config/crds/bases/external-secrets.io_externalsecrets.yaml"}},
}

func gatewayAPI(kind string) string {
	return "config/crd/standard/gateway.networking.k8s.io_" + kind + ".yaml"
}

// fetch downloads the module, and returns the paths of the files.
func (d definitions) fetch(ctx context.Context, log io.Writer) ([]string, error) {
	var answer bytes.Buffer
	command := traefik.command(ctx, log, "mod", "download", "-json", d.module)
	command.Stdout = &answer
	err := command.Run()
	var module struct{ Dir, Sum string }
	if err == nil {
		err = json.Unmarshal(answer.Bytes(), &module)
	}
	if err == nil && d.sum != "" && module.Sum != d.sum {
		err = fmt.Errorf("its sum is %s, and should be %s", module.Sum, d.sum)
	}
	if err != nil {
		return nil, fmt.Errorf("downloading %s: %w", d.module, err)
	}
	var paths []string
	for _, file := range d.files {
		paths = append(paths, filepath.Join(module.Dir, file))
	}
	return paths, nil
}

// applyDefinitions installs the kinds of others, and waits until the API server serves them.
func (u *upper) applyDefinitions(ctx context.Context) error {
	var arguments []string
	err := u.logged("definitions", func(log io.Writer) error {
		for _, d := range othersKinds {
			paths, err := d.fetch(ctx, log)
			if err != nil {
				return err
			}
			for _, path := range paths {
				arguments = append(arguments, "-f", path)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, step := range []struct {
		what      string
		arguments []string
	}{
		{"the definitions of other kinds", []string{"apply", "--server-side", "--force-conflicts"}},
		{"the other kinds", []string{"wait", "--for=condition=Established", "--timeout=20s"}},
	} {
		if err := waitFor(ctx, step.what, func(ctx context.Context) error { return kubectl(ctx, nil, append(step.arguments, arguments...)...) }); err != nil {
			return err
		}
	}
	return nil
}
