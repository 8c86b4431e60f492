// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/sidecartest"
)

const (
	apiV3Key = "0123456789abcdefABCDEF0123456789"
	serial   = "PUB_KEY_ID_0114232134912410000000000000"
)

// gateway runs a real sidecar for an endpoint, before an app, and returns its address.
func gateway(t *testing.T, endpoint *v1alpha1.WeChatEndpoint, pair config.Pair, app http.HandlerFunc) string {
	t.Helper()
	backend := httptest.NewServer(app)
	t.Cleanup(backend.Close)
	pair.Generation = 1
	spec := endpoint.Spec
	callbacks, _ := sidecartest.Run(t, config.Document{
		Config: config.Config{
			Generation: "g", Endpoint: "shop/demo", Platform: string(spec.Platform), AppID: spec.AppID, ReceiverIDs: spec.ReceiverIDs,
			MessageMode: string(spec.MessageMode), Host: spec.URL.Host, Path: spec.URL.Path,
			Backend: config.Backend{URL: backend.URL, Deadline: config.Duration(2 * time.Second)},
		},
		Credentials: config.Credentials{Pairs: []config.Pair{pair}},
	})
	return callbacks
}

// file is a new file with a content.
func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	writeFile(t, path, []byte(content))
	return path
}

func writeFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// payKey is a key as openssl makes it, and its public half as WeChat Pay hands it out.
func payKey(t *testing.T) (key *rsa.PrivateKey, private, public string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return key, encode("PRIVATE KEY", secret), encode("PUBLIC KEY", der)
}

func paySecret(public string) *corev1.Secret {
	s := secret(token)
	s.Data = map[string][]byte{v1alpha1.KeyAPIv3Key: []byte(apiV3Key), v1alpha1.KeyPublicKeyID: []byte(serial), v1alpha1.KeyPublicKey: []byte(public)}
	return s
}

// encryptedSecret holds a token and an EncodingAESKey.
func encryptedSecret() *corev1.Secret {
	s := secret(token)
	s.Data[v1alpha1.KeyEncodingAESKey] = []byte(aesKey)
	return s
}
