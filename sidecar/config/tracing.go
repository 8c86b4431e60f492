// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Tracing is what an installation tells all its sidecars of traces. They get it as arguments and not in their documents: it is the
// process's, whichever endpoints it serves.
type Tracing struct {
	// Endpoint is http://host:port of an OTLP/HTTP receiver. Nothing is traced without.
	Endpoint string `json:"endpoint,omitempty"`
	// SamplingRatePerMillion is how many of a million messages are traced, as in the configuration of Kubernetes' own parts; nil is all.
	SamplingRatePerMillion *int `json:"samplingRatePerMillion,omitempty"`
}

// EveryMessage is the sampling rate that leaves none out.
const EveryMessage = 1_000_000

// maxTracingEndpoint is room for the longest name that DNS has. Bytes.
const maxTracingEndpoint = len("http://") + 253 + len(":65535")

// tracingEndpoint has a name or an address, and a port. Kubernetes replaces $(NAME) in a container's arguments: there is no dollar.
var tracingEndpoint = regexp.MustCompile(`^http://([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\]):[1-9][0-9]*$`)

// PerMillion is how many of a million messages are traced.
func (t Tracing) PerMillion() int {
	if t.SamplingRatePerMillion == nil {
		return EveryMessage
	}
	return *t.SamplingRatePerMillion
}

// Validate says which field cannot be obeyed and why.
func (t Tracing) Validate() error {
	switch {
	case t.Endpoint == "" && t.SamplingRatePerMillion != nil:
		return errors.New("samplingRatePerMillion does nothing without endpoint: name a collector, or remove it")
	case t.Endpoint != "" && !isTracingEndpoint(t.Endpoint):
		return errors.New("endpoint is not http://host:port of an OTLP/HTTP receiver, such as http://otel-collector.observability.svc:4318, " +
			"without a path; HTTPS and credentials are left to that collector") // it is not quoted: it may hold a password
	case t.PerMillion() < 1 || t.PerMillion() > EveryMessage:
		return fmt.Errorf("samplingRatePerMillion is %d: set 1 to %d; to trace nothing, leave endpoint empty", t.PerMillion(), EveryMessage)
	}
	return nil
}

func isTracingEndpoint(endpoint string) bool {
	_, err := strconv.ParseUint(endpoint[strings.LastIndex(endpoint, ":")+1:], 10, 16) // the port
	return err == nil && len(endpoint) <= maxTracingEndpoint && tracingEndpoint.MatchString(endpoint)
}

// Namespace is the collector's where it is named as a Service of the cluster, NAME.NAMESPACE.svc; otherwise empty.
func (t Tracing) Namespace() string {
	host, _, _ := strings.Cut(strings.TrimPrefix(t.Endpoint, "http://"), ":")
	if labels := strings.Split(host, "."); len(labels) > 2 && labels[2] == "svc" {
		return labels[1]
	}
	return ""
}
