// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/test/demo/manifests"
)

// TestDocumentsOfTheDemo: `make try` gives its sidecar what the operator renders of the demo's manifests. The documents stand in test/try/documents,
// for whoever has no operator; `-update` writes them anew.
func TestDocumentsOfTheDemo(t *testing.T) {
	for name, files := range map[string]string{
		"shop": manifests.Shop(manifests.FirstToken),
		"club": manifests.Club(manifests.PodsOfItsOwn),
	} {
		var secret corev1.Secret
		var endpoint v1alpha1.WeChatEndpoint
		first, second, found := strings.Cut(files, "\n---\n")
		if err := yaml.UnmarshalStrict([]byte(first), &secret); err != nil || !found {
			t.Fatalf("the Secret of %s: %v", name, err)
		}
		if err := yaml.UnmarshalStrict([]byte(second), &endpoint); err != nil {
			t.Fatalf("the WeChatEndpoint %s: %v", name, err)
		}
		endpoint.Namespace = manifests.Namespace
		endpoint.Spec.Backend.Payload = v1alpha1.PayloadDecrypted // the API server's default
		document := renderDocument(t, Input{
			Endpoint: &endpoint, BackendURL: "http://shop-app.wechat-demo.svc:8080", GatewayKey: []byte("the-gateway-key-of-demo-32-bytes"),
			Pairs: []config.Pair{{
				Generation: 1, Token: secret.StringData["token"], EncodingAESKey: secret.StringData["encodingAESKey"],
			}},
		})
		compareGolden(t, filepath.Join("..", "..", "..", "test", "try", "documents", name+".json"), document)
	}
}
