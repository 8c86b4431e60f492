package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// validity is longer than anybody keeps a local cluster; down removes the keys.
const validity = 365 * 24 * time.Hour

// An identity is a key pair of the cluster, signed by its one CA. Kubernetes reads user and groups from the subject.
type identity struct {
	file  string // pki/FILE.crt and pki/FILE.key
	user  string
	group string
	hosts []string // names and addresses, when it also serves
}

var identities = []identity{
	{file: "apiserver", user: "kube-apiserver", hosts: []string{
		"127.0.0.1", nodeIP, serviceIP, "localhost", "kubernetes", "kubernetes.default",
		"kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
	}},
	{file: "apiserver-kubelet", user: "kube-apiserver-kubelet-client", group: "system:masters"},
	{file: "admin", user: "admin", group: "system:masters"},
	{file: "controller-manager", user: "system:kube-controller-manager"},
	{file: "scheduler", user: "system:kube-scheduler"},
	{file: "proxy", user: "system:kube-proxy"},
	{file: "netpol", user: "netpol"},
	{file: "kubelet", user: "system:node:" + nodeName, group: "system:nodes", hosts: []string{nodeName, nodeIP}},
}

// kubeconfigs are the identities that talk to the apiserver, by the file that lets them.
var kubeconfigs = map[string]string{
	"admin":              adminConfig,
	"controller-manager": etc + "/controller-manager.kubeconfig",
	"scheduler":          etc + "/scheduler.kubeconfig",
	"proxy":              etc + "/proxy.kubeconfig",
	"netpol":             etc + "/netpol.kubeconfig",
	"kubelet":            etc + "/kubelet.kubeconfig",
}

// An authority signs certificates.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
	pem         []byte
}

// writePKI makes the CA, every identity's key pair and kubeconfig, and the key that signs service account tokens.
func writePKI() error {
	ca, err := newAuthority()
	if err != nil {
		return err
	}
	if err := writePrivate(filepath.Join(pki, "ca.crt"), ca.pem); err != nil {
		return err
	}
	for _, id := range identities {
		certificate, key, err := ca.sign(id)
		if err != nil {
			return fmt.Errorf("key pair of %s: %w", id.file, err)
		}
		if err := store(id, ca, certificate, key); err != nil {
			return err
		}
	}
	_, serviceAccounts, err := newKey()
	if err != nil {
		return err
	}
	return writePrivate(filepath.Join(pki, "service-accounts.key"), serviceAccounts)
}

func store(id identity, ca *authority, certificate, key []byte) error {
	if err := writePrivate(filepath.Join(pki, id.file+".crt"), certificate); err != nil {
		return err
	}
	if err := writePrivate(filepath.Join(pki, id.file+".key"), key); err != nil {
		return err
	}
	if path, ok := kubeconfigs[id.file]; ok {
		return writePrivate(path, kubeconfig(ca.pem, certificate, key))
	}
	return nil
}

func newAuthority() (*authority, error) {
	key, _, err := newKey()
	if err != nil {
		return nil, err
	}
	template := certificateTemplate(pkix.Name{CommonName: "wechatendpoint-cluster"})
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &authority{certificate, key, encodePEM("CERTIFICATE", der)}, nil
}

// sign makes a key pair for id and returns both halves as PEM.
func (a *authority) sign(id identity) (certificate, key []byte, err error) {
	signer, key, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	template := certificateTemplate(pkix.Name{CommonName: id.user})
	if id.group != "" {
		template.Subject.Organization = []string{id.group}
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if len(id.hosts) > 0 {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	for _, host := range id.hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, signer.Public(), a.key)
	if err != nil {
		return nil, nil, err
	}
	return encodePEM("CERTIFICATE", der), key, nil
}

func certificateTemplate(subject pkix.Name) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)) // the system's randomness never fails
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      subject,
		NotBefore:    now.Add(-time.Hour), // clocks are set back
		NotAfter:     now.Add(validity),
	}
}

func newKey() (crypto.Signer, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalECPrivateKey(key) // the form in which the apiserver also takes it for a public key
	if err != nil {
		return nil, nil, err
	}
	return key, encodePEM("EC PRIVATE KEY", der), nil
}

func encodePEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// kubeconfig lets the holder of a key pair in. The server's address is the same on the host and in the cluster's own
// network namespace, so one file does for both.
func kubeconfig(ca, certificate, key []byte) []byte {
	encode := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: wechatendpoint
  cluster:
    server: https://127.0.0.1:%d
    certificate-authority-data: %s
users:
- name: wechatendpoint
  user:
    client-certificate-data: %s
    client-key-data: %s
contexts:
- name: wechatendpoint
  context: {cluster: wechatendpoint, user: wechatendpoint}
current-context: wechatendpoint
`, apiPort, encode(ca), encode(certificate), encode(key))
}

// writePrivate writes a file that only its owner reads.
func writePrivate(path string, content []byte) error { return os.WriteFile(path, content, 0o600) }
