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
	page := "https://" + forwardMetrics(t) + "/metrics"
	token := s.accountToken(t, "prometheus")

	wantScrape(t, page, "", http.StatusUnauthorized)
	wantScrape(t, page, "made-up", http.StatusUnauthorized)
	wantScrape(t, page, token, http.StatusForbidden)
	s.allowMetrics(t, "prometheus")
	eventually(t, patience, "the right to count", func(ctx context.Context) error {
		status, text, err := scrape(ctx, page, token)
		if err == nil && (status != http.StatusOK || !strings.Contains(text, "\ncontroller_runtime_reconcile_total{")) {
			err = fmt.Errorf("the status is %d and the page:\n%.500s", status, text)
		}
		return err
	})
	wantScrape(t, page, "", http.StatusUnauthorized)
	if status, _, err := scrape(t.Context(), strings.Replace(page, "https:", "http:", 1), token); err == nil && status == http.StatusOK {
		t.Error("the metrics are served by plain HTTP too")
	}
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

// forwardMetrics returns an address that leads to the operator's metrics while the test runs. The API server's proxy would not:
// it keeps the token for itself.
func forwardMetrics(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, kube.kubectl, "-n", operatorNamespace, "port-forward", "deployment/"+operatorName, ":metrics")
	stdout, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = command.Wait() // killed
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	found := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(line)
	if found == "" {
		t.Fatalf("kubectl port-forward said %q: %v", line, err)
	}
	return found
}

func wantScrape(t *testing.T, page, token string, want int) {
	t.Helper()
	status, text, err := scrape(t.Context(), page, token)
	if err != nil {
		t.Fatal(err)
	}
	if status != want || strings.Contains(text, "controller_runtime") {
		t.Errorf("the status is %d and not %d, and the page:\n%.500s", status, want, text)
	}
}

// scrape asks for the metrics. Nobody can check the certificate, which the operator made for itself.
func scrape(ctx context.Context, page, token string) (int, string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, page, nil)
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 4<<20))
	return response.StatusCode, string(text), err
}
