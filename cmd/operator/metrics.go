// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"path/filepath"

	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/wechatendpoint/wechatendpoint/cmd/operator/internal/guard"
)

// metrics says how the metrics are served.
type metrics struct {
	address, certificates string
	secure                bool
}

func metricsFlags(flags *flag.FlagSet) *metrics {
	m := &metrics{}
	flags.StringVar(&m.address, "metrics-bind-address", ":8443", "address of the metrics, 0 for none")
	flags.BoolVar(&m.secure, "metrics-secure", true, "metrics by HTTPS, for those whom the cluster allows to get /metrics; else by plain HTTP, for all")
	flags.StringVar(&m.certificates, "metrics-cert-dir", "", "directory of tls.crt and tls.key for the metrics; default: a certificate of our own making")
	return m
}

func (m *metrics) options() (metricsserver.Options, error) {
	options := metricsserver.Options{BindAddress: m.address}
	if !m.secure {
		return options, nil
	}
	options.SecureServing, options.FilterProvider = true, guard.Filter
	options.TLSOpts = []func(*tls.Config){func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }} // a scrape gains nothing by HTTP/2
	if m.certificates == "" {
		return options, nil
	}
	// The server would silently make a certificate of its own where these are missing.
	if _, err := tls.LoadX509KeyPair(filepath.Join(m.certificates, "tls.crt"), filepath.Join(m.certificates, "tls.key")); err != nil {
		return options, fmt.Errorf("reading the certificate of the metrics: %w", err)
	}
	options.CertDir = m.certificates
	return options, nil
}
