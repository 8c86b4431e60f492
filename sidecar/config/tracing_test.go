// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"strings"
	"testing"
)

func TestTracing(t *testing.T) {
	const collector = "http://otel-collector.observability.svc:4318"
	for name, test := range map[string]struct {
		tracing   Tracing
		namespace string
		refused   string // a part of the error; empty for none
	}{
		"nothing is traced":                    {Tracing{}, "", ""},
		"a Service":                            {Tracing{Endpoint: collector}, "observability", ""},
		"a Service by its whole name":          {Tracing{Endpoint: "http://a.b.svc.cluster.local:4318"}, "b", ""},
		"a name of the network":                {Tracing{Endpoint: "http://collector.example.com:4318"}, "", ""},
		"a name of one label":                  {Tracing{Endpoint: "http://localhost:4318"}, "", ""},
		"an address":                           {Tracing{Endpoint: "http://192.0.2.1:4318"}, "", ""},
		"an address of IPv6":                   {Tracing{Endpoint: "http://[2001:db8::1]:4318"}, "", ""},
		"one of a million":                     {Tracing{collector, new(1)}, "observability", ""},
		"all of a million":                     {Tracing{collector, new(EveryMessage)}, "observability", ""},
		"none of a million":                    {Tracing{collector, new(0)}, "", "samplingRatePerMillion is 0: set 1 to 1000000"},
		"more than all":                        {Tracing{collector, new(EveryMessage + 1)}, "", "samplingRatePerMillion is 1000001"},
		"less than none":                       {Tracing{collector, new(-1)}, "", "samplingRatePerMillion is -1"},
		"some, and no collector":               {Tracing{SamplingRatePerMillion: new(5)}, "", "samplingRatePerMillion does nothing without endpoint"},
		"HTTPS, for which there is no CA":      {Tracing{Endpoint: "https://a.b.svc:4318"}, "", "endpoint is not http://host:port"},
		"a host and port, as gRPC's":           {Tracing{Endpoint: "a.b.svc:4317"}, "", "endpoint is not http://host:port"},
		"no port":                              {Tracing{Endpoint: "http://a.b.svc"}, "", "endpoint is not http://host:port"},
		"a port that there is not":             {Tracing{Endpoint: "http://a.b.svc:65536"}, "", "endpoint is not http://host:port"},
		"a path":                               {Tracing{Endpoint: collector + "/v1/traces"}, "", "without a path"},
		"a slash":                              {Tracing{Endpoint: collector + "/"}, "", "without a path"},
		"a password":                           {Tracing{Endpoint: "http://user:secret@a.b.svc:4318"}, "", "credentials are left to that collector"},
		"a variable of the container":          {Tracing{Endpoint: "http://$(COLLECTOR):4318"}, "", "endpoint is not http://host:port"},
		"a second argument":                    {Tracing{Endpoint: "http://a:1 --ops-listen=:8080"}, "", "endpoint is not http://host:port"},
		"a line feed at the end":               {Tracing{Endpoint: collector + "\n"}, "", "endpoint is not http://host:port"},
		"a name that is longer than names are": {Tracing{Endpoint: "http://" + strings.Repeat("a", 254) + ":65535"}, "", "endpoint is not http://host:port"},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.tracing.Validate()
			if (err == nil) != (test.refused == "") || err != nil && !strings.Contains(err.Error(), test.refused) {
				t.Errorf("error %v, want %q", err, test.refused)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error quotes a password: %v", err)
			}
			if got := test.tracing.Namespace(); err == nil && got != test.namespace {
				t.Errorf("it is of the namespace %q, want %q", got, test.namespace)
			}
		})
	}
}
