// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// The errors of the network and of parsers quote what they met: a URL with its query, an answer, an address. None of them is told.
// What is told is one of the sentences below, for who operates the app.

var (
	errCompressed = errors.New("the app's reply is compressed, which WeChat does not read; turn compression off for this path")
	errCutOff     = errors.New("reading the app's reply: it broke off, or is not HTTP")
	errNoRoom     = errors.New("there was no memory for a reply of that size; raise the limit in sidecar.resources, or let the app answer with less")
)

func statusError(status int) error {
	return fmt.Errorf("the app answered with status %d; WeChat's messages want 200", status)
}

// tooLong is the bound that a reply is over. Bytes.
type tooLong int64

func (bound tooLong) Error() string {
	return fmt.Sprintf("the reply is longer than %d bytes, which is all that is passed on here", int64(bound))
}

// brokeOff says how an app ended a call whose message it has.
func brokeOff(err error) error {
	return fmt.Errorf("the app took the message and broke off: %s", sentence(err))
}

// unreachable says why an app could not be reached.
func unreachable(err error) error { return fmt.Errorf("calling the app: %s", sentence(err)) }

func sentence(err error) string {
	var name *net.DNSError
	var network net.Error
	var authority x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var certificate x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	switch {
	case errors.Is(err, errHead), errors.Is(err, errUpgrade), errors.Is(err, errNotHTTP), errors.Is(err, errNoAuthority):
		return err.Error()
	case errors.As(err, &name):
		return "its name cannot be resolved; see whether the Service exists, and the cluster's DNS"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "it refuses connections; see whether its pods run and listen on the Service's targetPort"
	case errors.As(err, &authority):
		return "its certificate is signed by an unknown authority; compare it with backend.tls.caBundle"
	case errors.As(err, &hostname):
		return "its certificate is not valid for the name that is asked for; set backend.tls.serverName to a name in it"
	case errors.As(err, &certificate):
		return "its certificate is not valid now, or not for this use; renew it"
	case errors.As(err, &record):
		return "it does not answer with TLS; take backend.tls away, or name the port that has it"
	case errors.As(err, &alert):
		return "it ended the TLS handshake"
	case errors.Is(err, context.Canceled):
		return "the call was ended"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return "it did not answer in time"
	}
	return "the connection was closed"
}
