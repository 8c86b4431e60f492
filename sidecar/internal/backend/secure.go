// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"crypto/tls"
	"crypto/x509"
	"net/url"

	"github.com/wechatendpoint/wechatendpoint/sidecar/outcome"
)

// Identity is how an app is known that is called by HTTPS. The zero Identity is that of an app called in clear.
type Identity struct {
	CA         string // certificates, in PEM, of who may issue the app's
	ServerName string // in its certificate; empty is the origin's host
}

var errNoAuthority = outcome.Failure{Cause: outcome.NoAuthority}

// config is for one connection to the origin. Without a CA it trusts nobody.
func (i Identity) config(origin string) (*tls.Config, error) {
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM([]byte(i.CA)) {
		return nil, errNoAuthority
	}
	name := i.ServerName
	if name == "" {
		parsed, err := url.Parse(origin)
		if err != nil {
			return nil, errNoAuthority
		}
		name = parsed.Hostname()
	}
	return &tls.Config{RootCAs: trusted, ServerName: name, MinVersion: tls.VersionTLS12}, nil
}
