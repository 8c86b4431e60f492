// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package installation

import (
	"slices"
	"strings"
)

// riskyWords stand in the names of annotations by which the author of one Ingress gets more than a path of a host from some
// ingress controller. They are words and not whole keys, because the same annotation has another prefix in every fork, and the
// prefix is often a setting. Sources: the annotations of ingress-nginx (with its own table of risks), NGINX Inc., Traefik, both
// HAProxy controllers, Kong, APISIX, AWS' load balancers and external-dns.
var riskyWords = []string{
	// Text that becomes the controller's own configuration, for all tenants.
	"snippet", "config-", "lua", "modsecurity", "fastcgi", "headers",
	// What stands before the route: it may ask a server of the tenant's about each request, or let all pass.
	"auth", "jwt", "satisfy", "middlewares", "plugin", "policies",
	// Copies of the messages, to anywhere.
	"mirror",
	// Another path than the one that was checked against those of other endpoints.
	"rewrite", "redirect", "app-root", "use-regex", "path-type", "pathmatcher", "rulesyntax", "actions.", "conditions.", "transforms.",
	// Other hosts, or a place before the routes of others.
	"server-alias", "host-alias", "hostname", "canary", "priority", "group.", "mergeable", "passthrough", "ingress.class", "override",
	// Another backend than the sidecar, or another way to it.
	"backend", "upstream-vhost", "upstream-scheme", "serversscheme", "serverstransport",
	// Objects of other namespaces.
	"secret", "ssl-certificate", "configmap", "namespace",
}

// RiskyAnnotations returns those of AllowedIngressAnnotations that are known to let an endpoint do more than publish its URL.
// An installation may still choose them, where all tenants are trusted that far.
func (o Options) RiskyAnnotations() []string {
	var risky []string
	for _, key := range o.AllowedIngressAnnotations {
		name := strings.ToLower(key[strings.LastIndexByte(key, '/')+1:])
		if slices.ContainsFunc(riskyWords, func(word string) bool { return strings.Contains(name, word) }) {
			risky = append(risky, key)
		}
	}
	return risky
}
