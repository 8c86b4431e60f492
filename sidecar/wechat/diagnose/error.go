// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

// diagnoseError names the cause of a missing answer, from the first step that can fail to the last.
func diagnoseError(answer caller.Answer, err error) *Refusal {
	if refusal := diagnoseURLError(err); refusal != nil {
		return refusal
	}
	if errors.Is(err, context.Canceled) {
		return &Refusal{CodeInterrupted, "the call was interrupted before an answer came", "try again"}
	}
	if refusal := diagnoseDNS(err); refusal != nil {
		return refusal
	}
	if refusal := diagnoseDial(answer, err); refusal != nil {
		return refusal
	}
	if refusal := diagnoseTLS(answer, err); refusal != nil {
		return refusal
	}
	return diagnoseRead(answer, err)
}

func diagnoseURLError(err error) *Refusal {
	var wrong *caller.URLError
	if !errors.As(err, &wrong) {
		return nil
	}
	return &Refusal{CodeURL, "the URL " + wrong.Cause, wrong.Remedy}
}

func diagnoseDNS(err error) *Refusal {
	var failure *net.DNSError
	if !errors.As(err, &failure) {
		return nil
	}
	if failure.IsNotFound {
		return &Refusal{CodeDNS, fmt.Sprintf("the host name %s has no address in DNS", failure.Name),
			"make an A record for it at the domain's DNS provider, and wait until it is seen everywhere; to try the server before that, dial its own address"}
	}
	return &Refusal{CodeDNS, fmt.Sprintf("the host name %s could not be looked up: %s", failure.Name, failure.Err),
		"look whether DNS works on this computer, and whether the domain's name servers answer; to go on without it, dial the server's own address"}
}

func diagnoseDial(answer caller.Answer, err error) *Refusal {
	var failure *net.OpError
	if !errors.As(err, &failure) || failure.Op != "dial" {
		return nil
	}
	where := "the server"
	if failure.Addr != nil {
		where = failure.Addr.String()
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return &Refusal{CodeConnectionRefused, where + " refuses the connection",
			"look whether DNS leads to the ingress controller or load balancer, and whether that listens on this port"}
	case failure.Timeout():
		return &Refusal{CodeConnectTimeout, fmt.Sprintf("%s could not be connected to within %v", where, answer.Elapsed.Round(time.Millisecond)),
			"open the port in the firewall or security group for the internet, and look whether DNS leads to the right address"}
	default:
		return &Refusal{CodeUnreachable, fmt.Sprintf("%s cannot be reached: %v", where, failure.Err),
			"look whether DNS leads to the right address, and whether this computer has a network"}
	}
}

func diagnoseTLS(answer caller.Answer, err error) *Refusal {
	var (
		notTLS    tls.RecordHeaderError
		name      x509.HostnameError
		authority x509.UnknownAuthorityError
		invalid   x509.CertificateInvalidError
		other     *tls.CertificateVerificationError
		alert     *net.OpError
	)
	switch {
	case errors.As(err, &notTLS):
		return &Refusal{CodeTLSNotSpoken, "the server does not speak TLS on this port",
			"enter the URL with http://, or give the ingress a certificate"}
	case errors.As(err, &name):
		return &Refusal{CodeTLSName, fmt.Sprintf("the certificate is not for %s but for %s", name.Host, names(answer, name.Certificate)),
			"give the ingress a certificate for the host; a name like Kubernetes Ingress Controller Fake Certificate means that it serves its own for want of the Secret"}
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return &Refusal{CodeTLSExpired, "the certificate is expired or not valid yet" + validity(invalid.Cert),
			"renew it, and look whether the ingress serves the new one; if the dates are right, set this computer's clock"}
	case errors.As(err, &authority):
		return &Refusal{CodeTLSAuthority, "the certificate is not signed by an authority that is known here: it is for " + names(answer, authority.Cert),
			"use a certificate of a public authority, and serve it with its intermediate certificates; a self-signed one is refused"}
	case errors.As(err, &other):
		return &Refusal{CodeTLS, "the certificate is refused: " + excerpt(answer, []byte(other.Err.Error())), "use a certificate of a public authority for this host"}
	case errors.As(err, &alert) && alert.Op == "remote error":
		return &Refusal{CodeTLS, "the server broke TLS off: " + alert.Err.Error(), "look whether the server has a certificate for this host name and offers TLS 1.2 or 1.3"}
	case strings.Contains(err.Error(), "tls: "):
		return &Refusal{CodeTLS, "TLS could not be agreed on with the server", "look whether the server has a certificate for this host name and offers TLS 1.2 or 1.3"}
	}
	return nil
}

func diagnoseRead(answer caller.Answer, err error) *Refusal {
	var network net.Error
	switch {
	case errors.As(err, &network) && network.Timeout():
		return noAnswer(answer)
	case errors.Is(err, caller.ErrNotHTTP):
		return &Refusal{CodeNotHTTP, "the answer is not HTTP", "look whether a web server has this port; https:// is needed where TLS is spoken"}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return &Refusal{CodeConnectionCut, "the connection ended before the answer did",
			"look into the log of the server and of each proxy in front of it: one of them crashed, refused the request, or forwards to a port that does not speak HTTP"}
	default:
		return &Refusal{CodeConnectionCut, "the answer could not be read: " + excerpt(answer, []byte(err.Error())), "look into the log of the server and of each proxy in front of it"}
	}
}

// noAnswer tells a slow server from a body whose end never comes.
func noAnswer(answer caller.Answer) *Refusal {
	waited := answer.Elapsed.Round(time.Millisecond)
	if answer.Status != 0 {
		return &Refusal{CodeTimeout, fmt.Sprintf("the answer began, but was not complete after %v", waited),
			"send a Content-Length that is true, and close the answer"}
	}
	return &Refusal{CodeTimeout, fmt.Sprintf("no answer came within %v (WeChat hangs up after %v)", waited, caller.Timeout),
		"answer at once and do slow work afterwards; look whether a proxy waits for a server that is not there"}
}

// names are those a certificate is for, at most four.
func names(answer caller.Answer, certificate *x509.Certificate) string {
	if certificate == nil {
		return "an unknown name"
	}
	all := certificate.DNSNames
	for _, ip := range certificate.IPAddresses {
		all = append(all, ip.String())
	}
	if len(all) == 0 {
		all = []string{certificate.Subject.CommonName}
	}
	if len(all) > 4 {
		all = append(all[:4:4], "others")
	}
	return excerpt(answer, []byte(strings.Join(all, ", ")))
}

func validity(certificate *x509.Certificate) string {
	if certificate == nil {
		return ""
	}
	return fmt.Sprintf(" (valid from %s to %s)", certificate.NotBefore.UTC().Format(time.DateOnly), certificate.NotAfter.UTC().Format(time.DateOnly))
}
