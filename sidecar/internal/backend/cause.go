// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"syscall"

	"github.com/wechatendpoint/wechatendpoint/sidecar/outcome"
)

// failureOf names the cause of a failed call. The errors of the network and of parsers quote what they met: a URL with its query,
// an answer, an address. None of them is told.
func failureOf(err error) outcome.Failure {
	var known outcome.Failure
	if errors.As(err, &known) {
		return known
	}
	return outcome.Failure{Cause: causeOf(err)}
}

func causeOf(err error) outcome.Cause {
	var name *net.DNSError
	var network net.Error
	var authority x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var certificate x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	switch {
	case errors.As(err, &name):
		return outcome.NoName
	case errors.Is(err, syscall.ECONNREFUSED):
		return outcome.Refused
	case errors.As(err, &authority):
		return outcome.UnknownAuthority
	case errors.As(err, &hostname):
		return outcome.WrongName
	case errors.As(err, &certificate):
		return outcome.BadCertificate
	case errors.As(err, &record):
		return outcome.NotTLS
	case errors.As(err, &alert):
		return outcome.TLS
	case errors.Is(err, context.Canceled):
		return outcome.Ended
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return outcome.Late
	}
	return outcome.Closed
}
