// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"net/url"
	"slices"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

// maxAddresses bounds how many of a host's addresses are called.
const maxAddresses = 4

// Resolver looks host names up; net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Look does the URL check of a sender at each address of its host, or at the sender's own Address. Signed says that the sender has the
// account's token. It takes as long as the sender's Timeout for each address, at the most.
func Look(ctx context.Context, resolver Resolver, sender caller.Sender, signed bool) (Here, error) {
	target, err := caller.ParseURL(sender.URL)
	if err != nil {
		return Here{}, err
	}
	if sender.Address != "" {
		call, err := look(ctx, sender, target, signed)
		return Here{Calls: []Call{call}}, err
	}
	var found Here
	if found.Addresses, found.Lookup = lookup(ctx, resolver, target.Hostname()); found.Lookup != nil {
		return found, ctx.Err()
	}
	for _, address := range found.Addresses[:min(len(found.Addresses), maxAddresses)] {
		sender.Address = net.JoinHostPort(address.Unmap().String(), caller.Port(target))
		call, err := look(ctx, sender, target, signed)
		if err != nil {
			return found, err
		}
		found.Calls = append(found.Calls, call)
	}
	return found, nil
}

// lookup returns the addresses of a host, those of IPv4 first, and an address that stands in the URL as it is.
func lookup(ctx context.Context, resolver Resolver, host string) ([]netip.Addr, error) {
	if address, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{address}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, caller.Timeout)
	defer cancel()
	addresses, err := resolver.LookupNetIP(ctx, "ip", host)
	slices.SortStableFunc(addresses, func(a, b netip.Addr) int {
		switch {
		case a.Unmap().Is4() == b.Unmap().Is4():
			return 0
		case a.Unmap().Is4():
			return -1
		}
		return 1
	})
	return addresses, err
}

func look(ctx context.Context, sender caller.Sender, target *url.URL, signed bool) (Call, error) {
	call := Call{Address: sender.Address, Signed: signed}
	request, err := sender.NewURLCheck()
	if err != nil {
		return call, err
	}
	call.Answer, call.Err = sender.Send(ctx, request)
	if ctx.Err() != nil {
		return call, ctx.Err()
	}
	if call.Err == nil && target.Scheme == "https" {
		call.Chain = chainOf(ctx, sender, target.Hostname())
	}
	return call, nil
}

// chainOf are the certificates that a server sends. The handshake of the URL check has judged them; here they are only read.
func chainOf(ctx context.Context, sender caller.Sender, host string) []*x509.Certificate {
	limit := sender.Timeout
	if limit == 0 {
		limit = caller.Timeout
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	dial := sender.Dial
	if dial == nil {
		dial = func(ctx context.Context, address string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		}
	}
	conn, err := dial(ctx, sender.Address)
	if err != nil {
		return nil
	}
	defer conn.Close()
	secured := tls.Client(conn, &tls.Config{ServerName: host, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12})
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil
	}
	return secured.ConnectionState().PeerCertificates
}
