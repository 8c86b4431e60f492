// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"sync"
)

// Identity is how an app is known that is called by HTTPS. The zero Identity is that of an app called in clear.
type Identity struct {
	CA         string // certificates, in PEM, of who may issue the app's
	ServerName string // in its certificate; empty is the URL's host
}

// secured are the clients of the apps that are called by HTTPS. Each identity has connections of its own: one that was made
// to an app known by one authority is no connection to an app known by another, though the address be the same.
type secured struct {
	mu      sync.Mutex
	clients map[Identity]*http.Client
}

// maxIdentities bounds what is kept of earlier configurations. One has at most 33 backends.
const maxIdentities = 64

// client returns the client of an identity.
func (c *Client) client(identity Identity) (*http.Client, error) {
	if identity == (Identity{}) {
		return c.plain, nil
	}
	c.secure.mu.Lock()
	defer c.secure.mu.Unlock()
	if client := c.secure.clients[identity]; client != nil {
		return client, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(identity.CA)) {
		return nil, errors.New("no certificate by which the app could be known can be read")
	}
	if len(c.secure.clients) >= maxIdentities {
		for old, client := range c.secure.clients {
			client.CloseIdleConnections()
			delete(c.secure.clients, old)
		}
	}
	if c.secure.clients == nil {
		c.secure.clients = map[Identity]*http.Client{}
	}
	client := newHTTPClient(&tls.Config{RootCAs: pool, ServerName: identity.ServerName, MinVersion: tls.VersionTLS12})
	c.secure.clients[identity] = client
	return client, nil
}
