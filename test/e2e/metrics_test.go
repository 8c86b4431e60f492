//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestOperatorMetrics reads the operator's metrics as a Prometheus would, with and without what it takes.
func TestOperatorMetrics(t *testing.T) {
	t.Parallel()
	s := newStage(t, "metrics")
	s.serve(t) // there is something to measure
	token := s.accountToken(t, "prometheus")

	wantScrape(t, "https", "", http.StatusUnauthorized)
	wantScrape(t, "https", "made-up", http.StatusUnauthorized)
	wantScrape(t, "https", token, http.StatusForbidden)
	s.allowMetrics(t, "prometheus")
	eventually(t, patience, "the right to count", func(ctx context.Context) error {
		status, text, err := scrape(ctx, "https", token)
		if err == nil && (status != http.StatusOK || !strings.Contains(text, "\ncontroller_runtime_reconcile_total{")) {
			err = fmt.Errorf("the status is %d and the page:\n%.500s", status, text)
		}
		return err
	})
	wantScrape(t, "https", "", http.StatusUnauthorized)
	wantScrape(t, "http", token, http.StatusBadRequest)
}

// accountToken makes a ServiceAccount and returns a token of it.
func (s *stage) accountToken(t *testing.T, name string) string {
	t.Helper()
	s.create(t, &corev1.ServiceAccount{ObjectMeta: s.object(name)})
	request, err := kube.typed.CoreV1().ServiceAccounts(s.namespace).CreateToken(t.Context(), name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return request.Status.Token
}

// allowMetrics gives a ServiceAccount the chart's role for readers of the metrics.
func (s *stage) allowMetrics(t *testing.T, name string) {
	t.Helper()
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: s.namespace + "-metrics"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "wechatendpoint-metrics-reader"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: s.namespace, Name: name}},
	}
	s.create(t, binding)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := kube.Delete(ctx, binding); err != nil {
			t.Errorf("deleting ClusterRoleBinding %s: %v", binding.Name, err)
		}
	})
}

// wantScrape wants that status in the place of the metrics.
func wantScrape(t *testing.T, scheme, token string, want int) {
	t.Helper()
	var status int
	var text string
	eventually(t, patience, "an answer of the operator's metrics", func(ctx context.Context) (err error) {
		status, text, err = scrape(ctx, scheme, token)
		return err
	})
	if status != want || strings.Contains(text, "controller_runtime") {
		t.Errorf("the status is %d and not %d, and the page:\n%.500s", status, want, text)
	}
}

// scrape asks for the metrics, by a port-forward of its own: kubectl ends a port-forward when one of its connections is reset, which a server
// that closes first may cause. The API server's proxy would not do: it keeps the token for itself. Nobody can check the certificate, which the
// operator made for itself.
func scrape(ctx context.Context, scheme, token string) (status int, text string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	address, stop, err := forwardMetrics(ctx)
	defer stop()
	defer cancel()
	if err != nil {
		return 0, "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+address+"/metrics", nil)
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	page, err := io.ReadAll(io.LimitReader(response.Body, 4<<20))
	return response.StatusCode, string(page), err
}

// forwardMetrics returns an address that leads to the operator's metrics until ctx ends, and what then waits for kubectl's end.
func forwardMetrics(ctx context.Context) (address string, stop func(), err error) {
	command := exec.CommandContext(ctx, kube.kubectl, "-n", operatorNamespace, "port-forward", "deployment/"+operatorName, ":metrics")
	var stderr strings.Builder
	command.Stderr = &stderr
	stdout, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		return "", func() {}, err
	}
	stop = func() { _ = command.Wait() } // killed
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil { // kubectl has ended
		stop()
		return "", func() {}, fmt.Errorf("reading the address of kubectl port-forward: %w: %s", err, &stderr)
	}
	return regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(line), stop, nil
}
