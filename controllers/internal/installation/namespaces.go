// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package installation

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// An installation for some namespaces has Roles in these and no right beyond them. It must not even ask for what is elsewhere
// or belongs to the whole cluster: a watch that is refused keeps the operator from starting.

// ParseNamespaces reads a list of namespaces, separated by commas. An empty text is nil: the whole cluster.
func ParseNamespaces(text string) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	namespaces := strings.Split(text, ",")
	for i, namespace := range namespaces {
		if problems := validation.IsDNS1123Label(namespace); len(problems) > 0 {
			return nil, fmt.Errorf("%q is not the name of a namespace to watch: list them as team-a,team-b", namespace)
		}
		if slices.Contains(namespaces[:i], namespace) {
			return nil, fmt.Errorf("namespace %s is listed twice among those to watch", namespace)
		}
	}
	return namespaces, nil
}

// SeesCluster reports whether this installation may read what belongs to no namespace.
func (o *Options) SeesCluster() bool { return len(o.Namespaces) == 0 }

// Sees reports whether this installation may look into the namespace.
func (o *Options) Sees(namespace string) bool {
	return o.SeesCluster() || slices.Contains(o.Namespaces, namespace)
}
