// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"crypto/x509"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/diagnose"
)

// Facts are what is known of one URL at one moment.
type Facts struct {
	// Now is this computer's clock.
	Now time.Time
	// Host is that of the URL, without port, and Secure says that the URL begins with https.
	Host   string
	Secure bool
	// Platform decides what WeChat asks of the URL. Checked says that its console checks URLs.
	Platform v1alpha1.Platform
	Checked  bool
	// Invalid says why the console would not take the URL; nil when it would.
	Invalid *diagnose.Refusal
	Here    Here
	// Cluster is nil where only a URL was named.
	Cluster *Cluster
}

// Here is what was found from this computer.
type Here struct {
	// Lookup is the error of DNS, and Addresses are what DNS says. Both are empty where an address was given.
	Lookup    error
	Addresses []netip.Addr
	// Calls are the URL checks, one for each address; none where the URL is not called.
	Calls []Call
}

// Call is one URL check.
type Call struct {
	// Address is that of the server, as host:port.
	Address string
	Answer  caller.Answer
	Err     error
	// Signed says that the check was made with the account's token. Without it a sidecar is to refuse.
	Signed bool
	// Chain are the certificates that the server sent, its own first; none without TLS.
	Chain []*x509.Certificate
}

// Cluster is what the cluster tells. An error beside a field says why it is not known.
type Cluster struct {
	Endpoint *v1alpha1.WeChatEndpoint
	// Secret is the one of the credentials, and Values says what is wrong with the values in it.
	Secret    *corev1.Secret
	SecretErr error
	Values    error
	Pods      []corev1.Pod
	PodsErr   error
	// Ingresses are those that the reader may list, of every namespace or of the endpoint's alone.
	Ingresses    []networkingv1.Ingress
	IngressesErr error
	// Certificate is the Secret of url.ingress.tlsSecretName; nil where none is named or it could not be read.
	Certificate    *corev1.Secret
	CertificateErr error
}
