// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package rights compares what an identity may do, by its roles, with what it did, by the API server's audit log.
package rights

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
)

// Grant is one verb on one resource.
type Grant struct {
	Verb, Group string
	// Resource includes the subresource, as in pods/status.
	Resource string
	// Namespace is empty for every namespace.
	Namespace string
	// Names are empty for every name.
	Names []string
}

func (g Grant) String() string {
	text := g.Verb + " " + g.Resource
	if g.Group != "" {
		text += "." + g.Group
	}
	if g.Namespace != "" {
		text += " in " + g.Namespace
	}
	return text
}

// Grants takes rules apart. Namespace is that of their role, or empty for those of a cluster role.
func Grants(namespace string, rules []rbacv1.PolicyRule) []Grant {
	var grants []Grant
	for _, rule := range rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					grants = append(grants, Grant{verb, group, resource, namespace, rule.ResourceNames})
				}
			}
		}
	}
	return grants
}

// Request is a request for an object, as the audit log has it.
type Request struct {
	Verb            string
	UserAgent       string
	SourceIPs       []string
	RequestReceived time.Time `json:"requestReceivedTimestamp"`
	ObjectRef       *Object
	ResponseStatus  struct {
		Code    int
		Message string
	}
}

// Object is what a request was for.
type Object struct {
	APIGroup, Resource, Subresource, Namespace, Name string
}

func (r Request) String() string {
	return fmt.Sprintf("%s (%d) by %q: %s", r.needs(r.Verb), r.ResponseStatus.Code, r.UserAgent, r.ResponseStatus.Message)
}

// needs is the grant that the request needs for the verb.
func (r Request) needs(verb string) Grant {
	resource := r.ObjectRef.Resource
	if r.ObjectRef.Subresource != "" {
		resource += "/" + r.ObjectRef.Subresource
	}
	return Grant{Verb: verb, Group: r.ObjectRef.APIGroup, Resource: resource, Namespace: r.ObjectRef.Namespace, Names: []string{r.ObjectRef.Name}}
}

// verbs are those that the request needed. What is applied and was not there is created, which the API server asks for
// besides and tells by its answer only. A cache that watches asks for the list by the same request, and by another where the
// API server does not stream lists.
func (r Request) verbs() []string {
	switch {
	case r.Verb == "patch" && r.ResponseStatus.Code == http.StatusCreated:
		return []string{"patch", "create"}
	case r.Verb == "watch":
		return []string{"watch", "list"}
	default:
		return []string{r.Verb}
	}
}

// ReadRequests reads an audit log, whose last line may still be in writing. What was not for an object, such as a question for
// the API's version, is left out.
func ReadRequests(log io.Reader) ([]Request, error) {
	var requests []Request
	lines := bufio.NewReader(log)
	for number := 1; ; number++ {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return requests, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading the audit log: %w", err)
		}
		var request Request
		if err := json.Unmarshal(line, &request); err != nil {
			return nil, fmt.Errorf("line %d of the audit log: %w", number, err)
		}
		if request.ObjectRef != nil && request.ObjectRef.Resource != "" {
			requests = append(requests, request)
		}
	}
}

// Findings are the differences between what was granted and what was done. Each is a list without repetitions.
type Findings struct {
	// Unused are grants that no request needed.
	Unused []string
	// Refused are requests that were forbidden, by the roles or by an admission policy.
	Refused []string
	// Stray are requests that none of the grants allows, and which were answered all the same: there are other roles.
	Stray []string
}

// Compare compares the grants with the requests.
func Compare(grants []Grant, requests []Request) Findings {
	var found Findings
	used := make([]bool, len(grants))
	for _, request := range requests {
		if request.ResponseStatus.Code == http.StatusForbidden {
			found.Refused = append(found.Refused, request.String())
			continue
		}
		for _, verb := range request.verbs() {
			needed, granted := request.needs(verb), false
			for i, grant := range grants {
				if grant.allows(needed) {
					used[i], granted = true, true
				}
			}
			if !granted {
				found.Stray = append(found.Stray, needed.String())
			}
		}
	}
	for i, grant := range grants {
		if !used[i] {
			found.Unused = append(found.Unused, grant.String())
		}
	}
	for _, list := range []*[]string{&found.Unused, &found.Refused, &found.Stray} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return found
}

// allows knows no wildcards: a grant with one is never used, and so is found.
func (g Grant) allows(needed Grant) bool {
	return g.Verb == needed.Verb && g.Group == needed.Group && g.Resource == needed.Resource &&
		(g.Namespace == "" || g.Namespace == needed.Namespace) &&
		(len(g.Names) == 0 || slices.Contains(g.Names, needed.Names[0]))
}
