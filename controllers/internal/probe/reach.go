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
	"sync/atomic"
	"syscall"
	"time"
)

// Bounds of a call as WeChat's.
const (
	reachTimeout = 800 * time.Millisecond
	maxPlayed    = 4 << 10 // bytes of the answer, with its head
)

// metadataAddresses answer for the machine's cloud, and no WeChat calls them: AWS and most others are link-local, and these
// are Alibaba's, Azure's, Oracle's, and those of AWS and Google in IPv6.
var metadataAddresses = []netip.Addr{
	netip.MustParseAddr("100.100.100.200"), netip.MustParseAddr("168.63.129.16"), netip.MustParseAddr("192.0.0.192"),
	netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("fd20:ce::254"),
}

// privateNetworks lead to no machine of the internet, as 10.0.0.0/8 and the others of RFC 1918 and RFC 4193: pods, Services and machines of a
// cluster have such addresses, and so have some of its load balancers.
var privateNetworks = []netip.Prefix{
	netip.MustParsePrefix("100.64.0.0/10"), // RFC 6598, from which providers number pods
	netip.MustParsePrefix("192.0.0.0/24"),  // RFC 6890
	netip.MustParsePrefix("198.18.0.0/15"), // RFC 2544
	netip.MustParsePrefix("64:ff9b:1::/48"),
}

// translated are networks of IPv6 whose addresses lead to the IPv4 address in them, from that byte on.
var translated = map[netip.Prefix]int{
	netip.MustParsePrefix("64:ff9b::/96"): 12, // RFC 6052
	netip.MustParsePrefix("2002::/16"):    2,  // RFC 3056
	netip.MustParsePrefix("::/96"):        12, // RFC 4291
}

// NotAllowedError is an address that is not called.
type NotAllowedError struct {
	Address netip.Addr
	// Private says that it is one of a private network, which the installation could allow.
	Private bool
}

func (e *NotAllowedError) Error() string {
	if e.Private {
		return fmt.Sprintf("%s is the address of a private network", e.Address)
	}
	return fmt.Sprintf("%s is a loopback, link-local, multicast or metadata address, which no route publishes", e.Address)
}

// Reach plays WeChat through the address that an Ingress or a Gateway publishes, an IP address or a name of the cluster's
// load balancer, on port 80, or on port 443 where TLS ends there. The subject's host is the Host header and the TLS server
// name, and is not looked up: it says where WeChat gets to, which the operator's own DNS may not know.
//
// What the address is comes from a status, which its writer may have from a tenant: the operator must not be led by it to what only it can
// reach. No loopback, link-local or metadata address is called, and none of a private network but those that the Prober was given; no
// redirect is followed, and little read. An address that is not called is a *NotAllowedError.
//
// The time is when the host's certificate ends that was shown there, also beside an error; zero where none was.
func (p *Prober) Reach(ctx context.Context, address string, secure bool, s Subject) (time.Time, error) {
	return s.reach(ctx, address, secure, map[bool]string{false: "80", true: "443"}[secure], p.judge)
}

func (s Subject) reach(ctx context.Context, address string, secure bool, port string, judge func(netip.Addr) *NotAllowedError) (time.Time, error) {
	var refused atomic.Pointer[NotAllowedError] // a name may have several addresses, which are called at once
	var ends atomic.Pointer[time.Time]
	sender := s.sender(net.JoinHostPort(address, port))
	sender.Timeout = reachTimeout
	sender.Dial = func(ctx context.Context, address string) (net.Conn, error) {
		conn, err := dialJudged(ctx, address, func(address netip.Addr) error {
			if refusal := judge(address); refusal != nil {
				refused.Store(refusal)
				return refusal
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if secure {
			if conn, err = startTLS(ctx, conn, s.Host, &ends); err != nil {
				return nil, err
			}
		}
		return &boundedConn{Conn: conn, left: maxPlayed}, nil
	}
	err := s.playWith(ctx, sender)
	if refusal := refused.Load(); err != nil && refusal != nil {
		return time.Time{}, refusal
	}
	if end := ends.Load(); end != nil {
		return *end, err
	}
	return time.Time{}, err
}

// dialJudged judges the address that is dialled, after a name was looked up.
func dialJudged(ctx context.Context, address string, judge func(netip.Addr) error) (net.Conn, error) {
	dialer := net.Dialer{Control: func(_, address string, _ syscall.RawConn) error {
		parsed, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("reading the address: %w", err)
		}
		return judge(parsed.Addr())
	}}
	return dialer.DialContext(ctx, "tcp", address)
}

// judge says why an address is not called, or nil.
func (p *Prober) judge(address netip.Addr) *NotAllowedError {
	address = embedded(address.Unmap().WithZone(""))
	within := func(networks []netip.Prefix) bool {
		return slices.ContainsFunc(networks, func(network netip.Prefix) bool { return network.Contains(address) })
	}
	switch {
	case address.IsLoopback() || address.IsUnspecified() || address.IsLinkLocalUnicast() || address.IsMulticast() ||
		address == netip.AddrFrom4([4]byte{255, 255, 255, 255}) || slices.Contains(metadataAddresses, address):
		return &NotAllowedError{Address: address}
	case (address.IsPrivate() || within(privateNetworks)) && !within(p.private):
		return &NotAllowedError{Address: address, Private: true}
	}
	return nil
}

// embedded returns the IPv4 address that an IPv6 address leads to, or else the address itself.
func embedded(address netip.Addr) netip.Addr {
	for network, from := range translated {
		if bytes := address.AsSlice(); network.Contains(address) && !address.IsLoopback() && !address.IsUnspecified() {
			return netip.AddrFrom4([4]byte(bytes[from : from+4]))
		}
	}
	return address
}

// startTLS begins TLS and holds that the certificate is of the host and in its time. Who issued it is not judged: the operator
// has not the roots that WeChat has. Ends gets the end of a certificate of the host.
func startTLS(ctx context.Context, conn net.Conn, host string, ends *atomic.Pointer[time.Time]) (net.Conn, error) {
	secured := tls.Client(conn, &tls.Config{
		ServerName: host, MinVersion: tls.VersionTLS12,
		InsecureSkipVerify: true, //nolint:gosec // checked by hand below, all but the issuer
		VerifyConnection: func(state tls.ConnectionState) error {
			certificate := state.PeerCertificates[0]
			isHosts := host == "" || certificate.VerifyHostname(host) == nil
			if isHosts {
				ends.Store(&certificate.NotAfter)
			}
			if now := time.Now(); now.After(certificate.NotAfter) || now.Before(certificate.NotBefore) {
				return fmt.Errorf("the certificate is good from %s until %s only",
					certificate.NotBefore.UTC().Format(time.RFC3339), certificate.NotAfter.UTC().Format(time.RFC3339))
			}
			if !isHosts {
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
