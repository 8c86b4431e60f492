package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net"
	"strings"
	"testing"
)

func TestCNIConfigIsJSON(t *testing.T) {
	if !json.Valid([]byte(cniConfig)) {
		t.Error("the CNI configuration is no JSON")
	}
}

func TestConfigNamesThePauseImage(t *testing.T) {
	if !strings.Contains(containerdConfig(), `sandbox = "`+imageOf(pause)+`"`) {
		t.Error("containerd is not told which image holds a pod's namespaces")
	}
}

// The manifests are plain files: the addresses in them must be those of the program.
func TestManifestsUseTheProgramsAddresses(t *testing.T) {
	for what, missing := range map[string]bool{
		"CoreDNS " + dnsIP:  !strings.Contains(corednsManifest, "clusterIP: "+dnsIP),
		"Traefik " + nodeIP: !strings.Contains(traefikManifest, "ingressendpoint.ip="+nodeIP),
	} {
		if missing {
			t.Errorf("the manifest of %s names another address", what)
		}
	}
}

func TestSignedPairServesItsHosts(t *testing.T) {
	ca, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	certificate, key, err := ca.sign(identities[0])
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca.certificate)
	for _, host := range identities[0].hosts {
		if ip := net.ParseIP(host); ip != nil {
			host = "[" + host + "]"
		}
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: pool}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func TestLastLines(t *testing.T) {
	for text, want := range map[string]string{"": "", "a\n": "a", "a\nb\nc\n": "b\nc"} {
		if got := lastLines(text, 2); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
