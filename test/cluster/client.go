package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// What up asks the cluster, from the host.

// waitFor tries until it works, the context ends, or init gives up on a component.
func waitFor(ctx context.Context, what string, try func(context.Context) error) error {
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		if failed := checkProcesses(); failed != nil {
			return failed
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited too long for %s: %w", what, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// checkProcesses returns a failure when the cluster can no longer become ready.
func checkProcesses() error {
	if failed, err := os.ReadFile(failedFile); err == nil {
		return failure{component: string(failed), err: errors.New("it ends again and again")}
	}
	if supervisorPID() == 0 {
		return failure{component: "supervisor", err: errors.New("the cluster's first process has ended")}
	}
	return nil
}

// A failure is a component's; its log says why.
type failure struct {
	component string
	err       error
}

func (f failure) Error() string { return f.component + ": " + f.err.Error() }

// apiReady asks the apiserver, as admin, whether it is ready.
func apiReady(ctx context.Context) error {
	client, err := adminClient()
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	return get(ctx, client, fmt.Sprintf("https://127.0.0.1:%d/readyz", apiPort), http.StatusOK)
}

// ingressReady asks the node's port 80 for a host that no Ingress names: the ingress controller answers 404.
func ingressReady(ctx context.Context) error {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy: it is the loopback
	return get(ctx, client, fmt.Sprintf("http://127.0.0.1:%d/", hostHTTPPort), http.StatusNotFound)
}

func adminClient() (*http.Client, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(pki, "admin.crt"), filepath.Join(pki, "admin.key"))
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(filepath.Join(pki, "ca.crt"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}},
	}}, nil
}

func get(ctx context.Context, client *http.Client, url string, want int) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != want {
		body, _ := io.ReadAll(io.LimitReader(response.Body, 1000)) // for the message only
		return fmt.Errorf("%s answers %s: %s", url, response.Status, body)
	}
	return nil
}

// kubectl runs kubectl as admin.
func kubectl(ctx context.Context, stdin []byte, arguments ...string) error {
	command := exec.CommandContext(ctx, kubernetes.path("kubectl"), arguments...)
	command.Env = []string{"KUBECONFIG=" + adminConfig, "HOME=" + state, "PATH=" + os.Getenv("PATH")}
	command.Stdin = bytes.NewReader(stdin)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl %s: %w: %s", arguments[0], err, bytes.TrimSpace(output))
	}
	return nil
}
