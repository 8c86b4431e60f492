// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// Bounds of a call through the published address.
const (
	reachTimeout = 800 * time.Millisecond
	maxReached   = 4 << 10 // bytes of the answer, with its head
)

// metadataAddresses answer for the machine's cloud, and no WeChat calls them: AWS and most others are link-local, and these
// are Alibaba's, Azure's, Oracle's, and those of AWS and Google in IPv6.
var metadataAddresses = []netip.Addr{
	netip.MustParseAddr("100.100.100.200"), netip.MustParseAddr("168.63.129.16"), netip.MustParseAddr("192.0.0.192"),
	netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("fd20:ce::254"),
}

// Reach plays WeChat through the address that an Ingress or a Gateway publishes, an IP address or a name of the cluster's
// load balancer, on port 80, or on port 443 where TLS ends there. The subject's host is the Host header and the TLS server
// name, and is not looked up: it says where WeChat gets to, which the operator's own DNS may not know.
//
// What the address is comes from a status, so that the operator must not be led by it to what only it can reach: no loopback,
// link-local or metadata address is called, no redirect followed, and little read.
func (p *Prober) Reach(ctx context.Context, address string, secure bool, s Subject) error {
	return s.reach(ctx, address, secure, map[bool]string{false: "80", true: "443"}[secure], refuseInside)
}

func (s Subject) reach(ctx context.Context, address string, secure bool, port string, allowed func(netip.Addr) error) error {
	sender := s.sender(net.JoinHostPort(address, port))
	sender.Timeout = reachTimeout
	sender.Dial = func(ctx context.Context, address string) (net.Conn, error) {
		conn, err := dialAllowed(ctx, address, allowed)
		if err != nil {
			return nil, err
		}
		if secure {
			if conn, err = startTLS(ctx, conn, s.Host); err != nil {
				return nil, err
			}
		}
		return &boundedConn{Conn: conn, left: maxReached}, nil
	}
	return s.playWith(ctx, sender)
}

// dialAllowed judges the address that is dialled, after a name was looked up.
func dialAllowed(ctx context.Context, address string, allowed func(netip.Addr) error) (net.Conn, error) {
	dialer := net.Dialer{Control: func(_, address string, _ syscall.RawConn) error {
		parsed, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("reading the address: %w", err)
		}
		return allowed(parsed.Addr().Unmap())
	}}
	return dialer.DialContext(ctx, "tcp", address)
}

func refuseInside(address netip.Addr) error {
	if address.IsLoopback() || address.IsUnspecified() || address.IsLinkLocalUnicast() || address.IsMulticast() ||
		slices.Contains(metadataAddresses, address.WithZone("")) {
		return errors.New("the address is a loopback, link-local, multicast or metadata address, which no route publishes")
	}
	return nil
}

// startTLS begins TLS and holds that the certificate is of the host and in its time. Who issued it is not judged: the operator
// has not the roots that WeChat has.
func startTLS(ctx context.Context, conn net.Conn, host string) (net.Conn, error) {
	secured := tls.Client(conn, &tls.Config{
		ServerName: host, MinVersion: tls.VersionTLS12,
		InsecureSkipVerify: true, //nolint:gosec // checked by hand below, all but the issuer
		VerifyConnection: func(state tls.ConnectionState) error {
			certificate := state.PeerCertificates[0]
			if now := time.Now(); now.After(certificate.NotAfter) || now.Before(certificate.NotBefore) {
				return fmt.Errorf("the certificate is good from %s until %s only",
					certificate.NotBefore.UTC().Format(time.RFC3339), certificate.NotAfter.UTC().Format(time.RFC3339))
			}
			if host != "" && certificate.VerifyHostname(host) != nil {
				return errors.New("the certificate is another host's")
			}
			return nil
		},
	})
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("starting TLS: %w", err), conn.Close())
	}
	return secured, nil
}

// boundedConn ends the answer after so many bytes.
type boundedConn struct {
	net.Conn
	left int
}

var errTooLong = errors.New("the answer is too long")

func (c *boundedConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errTooLong
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}
