//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// TestHTTPS publishes by HTTPS: the certificate's Secret comes late, then messages come by the Ingress, and while they come the
// endpoint moves to an HTTPRoute of a Gateway that ends TLS.
func TestHTTPS(t *testing.T) {
	t.Parallel()
	if kube.ingressTLSAddress == "" {
		t.Skip("INGRESS_TLS_ADDRESS says not where the ingress controller serves HTTPS")
	}
	s := newStage(t, "https")
	certificate := s.tlsSecret(t, "wx-tls", s.host)
	s.roots = x509.NewCertPool()
	s.roots.AppendCertsFromPEM(certificate.Data[corev1.TLSCertKey])

	s.create(t, s.secret(), s.endpoint(func(spec *v1alpha1.WeChatEndpointSpec) { spec.URL.Ingress.TLSSecretName = certificate.Name }))
	message := s.await(t, v1alpha1.ConditionReachable, metav1.ConditionFalse, v1alpha1.ReasonNotReachable)
	if want := "the certificate is another host's"; !strings.Contains(message, want) {
		t.Errorf("without a certificate the status says %q, want it to say %q", message, want)
	}
	s.create(t, certificate)
	s.await(t, v1alpha1.ConditionReachable, metav1.ConditionTrue, v1alpha1.ReasonReachable)
	s.awaitReady(t)
	s.publishes(t, "https://"+s.host+s.path)
	s.awaitPublished(t)

	s.create(t, s.tlsGateway(certificate.Name))
	stop := s.load(t)
	s.change(t, asHTTPRoute(v1alpha1.ParentReference{Name: gatewayName, SectionName: "https"}))
	s.await(t, v1alpha1.ConditionRouteProgrammed, metav1.ConditionTrue, v1alpha1.ReasonRouteProgrammed)
	s.awaitGone(t, &networkingv1.Ingress{ObjectMeta: s.object(childName)})
	s.await(t, v1alpha1.ConditionReachable, metav1.ConditionTrue, v1alpha1.ReasonReachable)
	s.awaitReady(t)
	stop()
	s.publishes(t, "https://"+s.host+s.path)
}

// publishes holds that the status names that URL.
func (s *stage) publishes(t *testing.T, url string) {
	t.Helper()
	endpoint, err := s.current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if endpoint.Status.URL != url {
		t.Errorf("status.url is %s, want %s", endpoint.Status.URL, url)
	}
}

const gatewayName = "gateway"

// tlsGateway is a Gateway of the stage's own that ends TLS for its host with the certificate of a Secret. Its port is that of
// the entry point of Traefik's that is port 443 of the node.
func (s *stage) tlsGateway(secret string) *gatewayv1.Gateway {
	host := gatewayv1.Hostname(s.host)
	return &gatewayv1.Gateway{ObjectMeta: s.object(gatewayName), Spec: gatewayv1.GatewaySpec{
		GatewayClassName: "traefik",
		Listeners: []gatewayv1.Listener{{
			Name: "https", Port: 8443, Protocol: gatewayv1.HTTPSProtocolType, Hostname: &host,
			TLS: &gatewayv1.ListenerTLSConfig{CertificateRefs: []gatewayv1.SecretObjectReference{{Name: gatewayv1.ObjectName(secret)}}},
		}},
	}}
}

// tlsSecret is a Secret with a certificate for a host, which is its own issuer's, and its key.
func (s *stage) tlsSecret(t *testing.T, name, host string) *corev1.Secret {
	t.Helper()
	certificate, key := selfSigned(t, host)
	return &corev1.Secret{
		ObjectMeta: s.object(name), Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{corev1.TLSCertKey: certificate, corev1.TLSPrivateKeyKey: key},
	}
}

// selfSigned makes a certificate for a host or an address, which is its own issuer's, and its key, in PEM.
func selfSigned(t *testing.T, name string) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if address := net.ParseIP(name); address != nil {
		template.DNSNames, template.IPAddresses = nil, []net.IP{address}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}
