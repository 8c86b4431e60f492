package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
)

// gatewayDefinitions are the definitions of the Gateway API that Traefik reads; they come with the module it is built with.
var gatewayDefinitions = []string{"gatewayclasses", "gateways", "httproutes", "grpcroutes", "tlsroutes", "referencegrants", "backendtlspolicies"}

// definitionFiles are the manifests of the Gateway API, in the version that Traefik requires.
func definitionFiles(ctx context.Context, log io.Writer) ([]string, error) {
	var answer bytes.Buffer
	command := traefik.command(ctx, log, "mod", "download", "-json", "sigs.k8s.io/gateway-api")
	command.Stdout = &answer
	if err := command.Run(); err != nil {
		return nil, fmt.Errorf("finding the Gateway API's module: %w", err)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(answer.Bytes(), &module); err != nil {
		return nil, fmt.Errorf("finding the Gateway API's module: %w", err)
	}
	var files []string
	for _, kind := range gatewayDefinitions {
		files = append(files, filepath.Join(module.Dir, "config/crd/standard/gateway.networking.k8s.io_"+kind+".yaml"))
	}
	return files, nil
}

// applyGatewayAPI installs the definitions and waits until the API server serves them.
func (u *upper) applyGatewayAPI(ctx context.Context) error {
	var files []string
	err := u.logged("gateway-api", func(log io.Writer) (err error) {
		files, err = definitionFiles(ctx, log)
		return err
	})
	if err != nil {
		return err
	}
	arguments := []string{"apply", "--server-side", "--force-conflicts"}
	established := []string{"wait", "--for=condition=Established", "--timeout=2s"}
	for _, file := range files {
		arguments, established = append(arguments, "-f", file), append(established, "-f", file)
	}
	err = waitFor(ctx, "the definitions of the Gateway API", func(ctx context.Context) error { return kubectl(ctx, nil, arguments...) })
	if err != nil {
		return err
	}
	return waitFor(ctx, "the Gateway API", func(ctx context.Context) error { return kubectl(ctx, nil, established...) })
}
