// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package installation

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// EveryNamespace in a list of Hosts lets every namespace use the host: it belongs to whichever publishes it first.
const EveryNamespace = "*"

// Hosts maps hosts to the namespaces that may use them. A key is a host; *.example.com, which is every host below
// example.com, however deep, but not itself; * for every other host; or the empty string for endpoints without a host. The
// longest key that fits counts. A host that fits no key may not be used.
type Hosts map[string][]string

// namespaces are those that may use the host.
func (h Hosts) namespaces(host string) []string {
	if namespaces, found := h[host]; found || host == "" {
		return namespaces
	}
	for rest := host; ; {
		_, below, more := strings.Cut(rest, ".")
		if !more {
			return h["*"]
		}
		if namespaces, found := h["*."+below]; found {
			return namespaces
		}
		rest = below
	}
}

// Allowance is the word of the installation's map of hosts about one namespace.
type Allowance int

// The allowances. FirstCome is for an installation without a map, and for one that lets every namespace use the host.
const (
	FirstCome Allowance = iota
	Named
	Forbidden
)

// Allowance is what the map, if there is one, says of a namespace and a host.
func (h Hosts) Allowance(namespace, host string) Allowance {
	namespaces := h.namespaces(host)
	switch {
	case slices.Contains(namespaces, namespace):
		return Named
	case len(h) == 0 || slices.Contains(namespaces, EveryNamespace):
		return FirstCome
	}
	return Forbidden
}

func (h Hosts) validate() error {
	for _, host := range slices.Sorted(maps.Keys(h)) {
		if name := strings.TrimPrefix(host, "*."); host != "" && host != "*" && len(validation.IsDNS1123Subdomain(name)) > 0 {
			return fmt.Errorf("hosts: %q must be a host name in lower case, such as wx.example.com or *.example.com, or *", host)
		}
		if len(h[host]) == 0 {
			return fmt.Errorf("hosts: %q has no namespace: name those that may use it, or remove it", host)
		}
		for _, namespace := range h[host] {
			if namespace != EveryNamespace && len(validation.IsDNS1123Label(namespace)) > 0 {
				return fmt.Errorf("hosts: %q: %q must be the name of a namespace, or * for all", host, namespace)
			}
		}
	}
	return nil
}
