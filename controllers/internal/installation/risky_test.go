// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package installation_test

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/wechatendpoint/wechatendpoint/controllers/internal/installation"
)

func TestRiskyAnnotations(t *testing.T) {
	harmless := []string{
		"cert-manager.io/issuer", "external-dns.alpha.kubernetes.io/ttl", "nginx.ingress.kubernetes.io/proxy-read-timeout",
		"nginx.ingress.kubernetes.io/limit-rps", "alb.ingress.kubernetes.io/tags", "unprefixed",
	}
	risky := []string{
		"nginx.ingress.kubernetes.io/configuration-snippet", "nginx.ingress.kubernetes.io/server-snippet",
		"nginx.ingress.kubernetes.io/stream-snippet", "nginx.ingress.kubernetes.io/auth-snippet",
		"nginx.ingress.kubernetes.io/modsecurity-snippet", "nginx.ingress.kubernetes.io/auth-url",
		"nginx.ingress.kubernetes.io/auth-signin", "nginx.ingress.kubernetes.io/auth-tls-secret",
		"nginx.ingress.kubernetes.io/enable-global-auth", "nginx.ingress.kubernetes.io/satisfy",
		"nginx.ingress.kubernetes.io/mirror-target", "nginx.ingress.kubernetes.io/mirror-host",
		"nginx.ingress.kubernetes.io/rewrite-target", "nginx.ingress.kubernetes.io/use-regex",
		"nginx.ingress.kubernetes.io/app-root", "nginx.ingress.kubernetes.io/permanent-redirect",
		"nginx.ingress.kubernetes.io/temporal-redirect", "nginx.ingress.kubernetes.io/ssl-passthrough",
		"nginx.ingress.kubernetes.io/backend-protocol", "nginx.ingress.kubernetes.io/default-backend",
		"nginx.ingress.kubernetes.io/upstream-vhost", "nginx.ingress.kubernetes.io/server-alias",
		"nginx.ingress.kubernetes.io/canary-by-header", "nginx.ingress.kubernetes.io/custom-headers",
		"nginx.ingress.kubernetes.io/fastcgi-params-configmap", "nginx.ingress.kubernetes.io/proxy-ssl-secret",
		"nginx.org/location-snippets", "nginx.org/rewrites", "nginx.org/mergeable-ingress-type", "nginx.com/jwt-key",
		"traefik.ingress.kubernetes.io/router.middlewares", "traefik.ingress.kubernetes.io/router.priority",
		"traefik.ingress.kubernetes.io/router.pathmatcher", "traefik.ingress.kubernetes.io/service.serverstransport",
		"haproxy.org/backend-config-snippet", "haproxy.org/path-rewrite", "haproxy.org/ssl-certificate", "haproxy.org/auth-secret",
		"haproxy-ingress.github.io/config-backend", "haproxy-ingress.github.io/path-type",
		"konghq.com/plugins", "konghq.com/override", "konghq.com/host-aliases",
		"k8s.apisix.apache.org/plugin-config-name", "k8s.apisix.apache.org/svc-namespace",
		"alb.ingress.kubernetes.io/actions.any", "alb.ingress.kubernetes.io/group.name",
		"external-dns.alpha.kubernetes.io/hostname", "kubernetes.io/ingress.class",
		"an.own.prefix.example.com/Server-Snippet", "rewrite-target",
	}
	options := installation.Options{AllowedIngressAnnotations: append(append([]string(nil), harmless...), risky...)}
	if diff := cmp.Diff(risky, options.RiskyAnnotations()); diff != "" {
		t.Errorf("not those of which the operator should warn (-want +got):\n%s", diff)
	}
}

// TestNoRiskyAnnotationIsAllowedByDefault reads what the chart allows where nobody chooses.
func TestNoRiskyAnnotationIsAllowedByDefault(t *testing.T) {
	text, err := os.ReadFile("../../../charts/wechat-endpoint/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var values struct {
		AllowedIngressAnnotations []string `json:"allowedIngressAnnotations"`
	}
	if err := yaml.Unmarshal(text, &values); err != nil {
		t.Fatal(err)
	}
	if len(values.AllowedIngressAnnotations) == 0 {
		t.Fatal("values.yaml allows no annotation at all: is the value named otherwise?")
	}
	options := installation.Options{AllowedIngressAnnotations: values.AllowedIngressAnnotations}
	if risky := options.RiskyAnnotations(); len(risky) > 0 {
		t.Errorf("the chart allows %v by default", risky)
	}
}
