// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package claims decides which endpoint may publish a URL (docs/adr/0011-claims.md). It is pure.
//
// An endpoint that has published a URL wins over one that has not. If both have, or neither has, the older one wins. A host belongs to the
// namespace of its first endpoint, unless the installation gives it to others.
//
// What was published stands in the endpoint's status, and is read from nowhere else: it was written there when the claim was judged and the
// route applied. An Ingress or an HTTPRoute is its tenant's to edit, and a spec says only what is asked for.
package claims

import (
	"slices"
	"strings"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/installation"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/status"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
)

// Contender is an endpoint that asks for a URL of a host, or has published one.
type Contender struct {
	*v1alpha1.WeChatEndpoint
	// Allowed is what the installation's map of hosts says of its namespace.
	Allowed installation.Allowance
}

// Check judges the claim of an endpoint beside its rivals on the host.
func Check(hosts installation.Hosts, endpoint *v1alpha1.WeChatEndpoint, rivals []*v1alpha1.WeChatEndpoint) *verdict.Problem {
	if endpoint.Spec.URL.Exposure == v1alpha1.ExposureNone {
		return nil
	}
	contender := func(e *v1alpha1.WeChatEndpoint) Contender {
		return Contender{WeChatEndpoint: e, Allowed: hosts.Allowance(e.Namespace, endpoint.Spec.URL.Host)}
	}
	contenders := make([]Contender, 0, len(rivals))
	for _, rival := range rivals {
		contenders = append(contenders, contender(rival))
	}
	return Judge(contender(endpoint), contenders)
}

// Judge says why the endpoint may not publish the URL that it asks for, beside the other contenders of the host; nil where it may.
func Judge(mine Contender, rivals []Contender) *verdict.Problem {
	host := mine.Spec.URL.Host
	switch mine.Allowed {
	case installation.Forbidden:
		return verdict.Problemf(v1alpha1.ReasonHostNotAllowed,
			"url.host %s is not given to namespace %s in this cluster: choose a host that is, or ask the platform team to add it to hosts",
			shown(host), mine.Namespace)
	case installation.FirstCome:
		if first(mine, rivals).Namespace != mine.Namespace {
			return verdict.Problemf(v1alpha1.ReasonHostNotAllowed,
				"url.host %s belongs to another namespace, which published it first: choose another host, or ask the platform team to give it to namespace %s",
				shown(host), mine.Namespace)
		}
	case installation.Named:
	}
	for _, rival := range rivals {
		if lost := lostRoute(mine, rival); lost != nil {
			return conflict(mine, rival, *lost)
		}
	}
	return nil
}

// first is the contender whose namespace owns the host, where no map gives it to others.
func first(mine Contender, rivals []Contender) Contender {
	host, owner := mine.Spec.URL.Host, mine
	for _, rival := range rivals {
		published, earlier := len(published(rival.WeChatEndpoint, host)) > 0, len(published(owner.WeChatEndpoint, host)) > 0
		if len(asked(rival.WeChatEndpoint, host)) == 0 && !published {
			continue
		}
		if published && !earlier || published == earlier && older(rival, owner) {
			owner = rival
		}
	}
	return owner
}

// lostRoute returns a route that the endpoint asks for and the rival holds, or nil.
func lostRoute(mine, rival Contender) *render.Route {
	host := mine.Spec.URL.Host
	held, theirs := published(mine.WeChatEndpoint, host), published(rival.WeChatEndpoint, host)
	var rivalling []render.Route
	if contests(rival, mine) {
		rivalling = asked(rival.WeChatEndpoint, host)
	}
	shared := render.URLRoutes(mine.WeChatEndpoint)
	for _, route := range asked(mine.WeChatEndpoint, host) {
		mineHolds, isOlder := slices.Contains(held, route), older(rival, mine)
		if slices.Contains(shared, route) && (share(mine.WeChatEndpoint, rival.WeChatEndpoint) || mineHolds && departs(rival.WeChatEndpoint, mine.WeChatEndpoint)) {
			continue
		}
		if slices.Contains(shared, route) && slices.Contains(theirs, route) && mineHolds && departs(mine.WeChatEndpoint, rival.WeChatEndpoint) {
			return &route
		}
		if slices.ContainsFunc(theirs, route.Overlaps) && (!mineHolds || isOlder) ||
			slices.ContainsFunc(rivalling, route.Overlaps) && !mineHolds && isOlder {
			return &route
		}
	}
	return nil
}

// share reports whether two endpoints may have one path: one gateway serves both, and tells them apart by their queries.
func share(a, b *v1alpha1.WeChatEndpoint) bool {
	served := func(e *v1alpha1.WeChatEndpoint) bool { // by that gateway, or by another one that it moves from
		_, shared := render.GatewayOf(e.Status.Fleet.LeadsTo)
		return e.Spec.Gateway != nil && (shared || e.Status.Fleet.LeadsTo == "")
	}
	return a.Namespace == b.Namespace && served(a) && served(b) && render.Asked(a) == render.Asked(b) &&
		a.Spec.URL.Path == b.Spec.URL.Path && a.Spec.URL.Query != b.Spec.URL.Query
}

// departs reports whether an endpoint moves away from the pods that serve the other one too. Then their path would lead to two places: who stays keeps it.
func departs(mine, rival *v1alpha1.WeChatEndpoint) bool {
	return rival.Spec.Gateway != nil && mine.Status.Fleet.LeadsTo == render.Asked(rival) && render.Asked(mine) != render.Asked(rival)
}

// contests reports whether a rival may ever publish what it asks for: an endpoint of another namespace may only where the map names both.
func contests(rival, mine Contender) bool {
	return rival.Namespace == mine.Namespace || mine.Allowed == installation.Named && rival.Allowed == installation.Named
}

func conflict(mine, holder Contender, lost render.Route) *verdict.Problem {
	name, what := "an endpoint in another namespace", ""
	if holder.Namespace == mine.Namespace {
		name = "WeChatEndpoint " + holder.Name
	}
	if lost.Prefix {
		what = "a path below "
	}
	remedy := "choose another host, path or domain file, or delete the other endpoint"
	if mine.Spec.URL.Path == holder.Spec.URL.Path && mine.Spec.URL.Query != holder.Spec.URL.Query {
		remedy = "two endpoints of one path are told apart by url.query only where one WeChatGateway serves both: name the same in gateway.name, " + remedy
	}
	return verdict.Problemf(v1alpha1.ReasonURLConflict, "%s%s%s is held by %s: %s", what, mine.Spec.URL.Host, lost.Path, name, remedy)
}

// older reports whether a was made before b; of two that were made in the same second, the name decides.
func older(a, b Contender) bool {
	if !a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.CreationTimestamp.Before(&b.CreationTimestamp)
	}
	return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name) < 0
}

func shown(host string) string {
	if host == "" {
		return "*"
	}
	return host
}

// Hosts are where the endpoint asks for a route, or has published one.
func Hosts(endpoint *v1alpha1.WeChatEndpoint) []string {
	var hosts []string
	if asks(endpoint) {
		hosts = append(hosts, endpoint.Spec.URL.Host)
	}
	for _, route := range status.Published(endpoint) {
		if !slices.Contains(hosts, route.Host) {
			hosts = append(hosts, route.Host)
		}
	}
	return hosts
}

// Publishes reports whether the endpoint has published any route of the host.
func Publishes(endpoint *v1alpha1.WeChatEndpoint, host string) bool {
	return len(published(endpoint, host)) > 0
}

// Overlap reports whether a route of the host that the endpoint asks for could be lost to the other one, or regained from it.
func Overlap(endpoint, other *v1alpha1.WeChatEndpoint, host string) bool {
	theirs := append(asked(other, host), published(other, host)...)
	return slices.ContainsFunc(asked(endpoint, host), func(mine render.Route) bool { return slices.ContainsFunc(theirs, mine.Overlaps) })
}

// Released reports whether the endpoint has given up what it had published, which others may wait for.
func Released(before, after *v1alpha1.WeChatEndpoint) bool {
	for _, route := range status.Published(before) {
		left := published(after, route.Host)
		if slices.ContainsFunc(status.RoutesOf(route), func(r render.Route) bool { return !slices.Contains(left, r) }) {
			return true
		}
	}
	return false
}

// asks reports whether the endpoint asks for a route at all. Of one whose spec cannot be read it is not known what for, and one that is about
// to be deleted asks for nothing more.
func asks(endpoint *v1alpha1.WeChatEndpoint) bool {
	exposure := endpoint.Spec.URL.Exposure
	return (exposure == v1alpha1.ExposureIngress || exposure == v1alpha1.ExposureHTTPRoute) && endpoint.Spec.Unreadable == nil && endpoint.DeletionTimestamp.IsZero()
}

// asked are the routes of the host that the endpoint asks for.
func asked(endpoint *v1alpha1.WeChatEndpoint, host string) []render.Route {
	if !asks(endpoint) || endpoint.Spec.URL.Host != host {
		return nil
	}
	return render.Routes(endpoint)
}

// published are the routes of the host that the endpoint has published.
func published(endpoint *v1alpha1.WeChatEndpoint, host string) []render.Route {
	var routes []render.Route
	for _, route := range status.Published(endpoint) {
		if route.Host == host {
			routes = append(routes, status.RoutesOf(route)...)
		}
	}
	return routes
}

// Covers reports whether all that the spec asks for is published by an object of the kind.
func Covers(published []v1alpha1.PublishedRoute, endpoint *v1alpha1.WeChatEndpoint, kind v1alpha1.Exposure) bool {
	return slices.ContainsFunc(published, func(route v1alpha1.PublishedRoute) bool {
		there := status.RoutesOf(route)
		return route.By == kind && route.Host == endpoint.Spec.URL.Host &&
			!slices.ContainsFunc(render.Routes(endpoint), func(asked render.Route) bool { return !slices.Contains(there, asked) })
	})
}

// With is what is published once an object of the kind publishes what the spec asks for.
func With(published []v1alpha1.PublishedRoute, endpoint *v1alpha1.WeChatEndpoint, kind v1alpha1.Exposure) []v1alpha1.PublishedRoute {
	return append([]v1alpha1.PublishedRoute{status.RouteOf(endpoint, kind)}, Without(published, kind)...)
}

// Without is what is published once the object of the kind is gone.
func Without(published []v1alpha1.PublishedRoute, kind v1alpha1.Exposure) []v1alpha1.PublishedRoute {
	return slices.DeleteFunc(slices.Clone(published), func(r v1alpha1.PublishedRoute) bool { return r.By == kind })
}
