// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package render turns an endpoint and what it refers to into the objects that the operator applies. It is pure: the same
// input gives the same output, and nothing is read or written.
package render

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
	core "k8s.io/client-go/applyconfigurations/core/v1"
	metav1 "k8s.io/client-go/applyconfigurations/meta/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// Input is all that the children of an endpoint depend on.
type Input struct {
	Installed
	Endpoint *v1alpha1.WeChatEndpoint
	// LeadsTo is the Deployment to whose pods the URL leads, while the endpoint moves to others; empty is the one that it asks for.
	LeadsTo string
	// KeepsOwn says that the endpoint's own pods are still needed, although it asks for a gateway's.
	KeepsOwn bool
	// Served, where the endpoint's spec cannot be served, is the configuration that goes on instead; otherwise nil.
	Served *config.Config
	// Serving says that pods have a document already.
	Serving bool
	// Copied says that the pods' document is written twice. Part of it is nowhere else: earlier credentials while they are rotated, and what is
	// served while the spec or the user's Secret is broken. Whoever deletes one Secret loses none of it.
	Copied bool
	// BackendURL is http://host:port of the app, or https://.
	BackendURL string
	// RuleURLs lead to the backends of spec.rules, in their order; empty where a rule has none.
	RuleURLs []string
	// Pairs are the accepted values of the user's Secret, newest first. The generation counts their changes, from 1.
	Pairs []config.Pair
	// GatewayKey is the endpoint's own random key, of config.GatewayKeySize bytes.
	GatewayKey []byte
}

// Objects are the children of an endpoint, in the order in which they are applied. Before pods serve, the document comes first: part of it may stand
// nowhere else, and no other object may hold it up. Then come what a pod needs, the pods, and the route last. Where pods serve already, the document
// comes last: the API server, a quota or a webhook may refuse any other object, and then nothing must have changed for what serves.
type Objects struct {
	// Generation names the configuration together with the credentials.
	Generation string
	// Children are apply configurations.
	Children []runtime.ApplyConfiguration
}

// Make renders all children of an endpoint.
func Make(in Input) (Objects, error) {
	generation, written, err := MakeFiles(in)
	if err != nil {
		return Objects{}, err
	}
	before, pods, access, err := makeAround(in)
	if err != nil {
		return Objects{}, err
	}
	access = append(access, makeRoute(in)...)
	order := [][]runtime.ApplyConfiguration{written, before, pods, access}
	if in.Serving {
		order = [][]runtime.ApplyConfiguration{before, access, pods, written}
	}
	return Objects{Generation: generation, Children: slices.Concat(order...)}, nil
}

// Around renders what there is beside the document and the route.
func Around(in Input) ([]runtime.ApplyConfiguration, error) {
	before, pods, access, err := makeAround(in)
	return slices.Concat(before, access, pods), err
}

// makeAround renders the endpoint's own pods, if it has some, with what comes before them and what makes them reachable.
func makeAround(in Input) (before, pods, access []runtime.ApplyConfiguration, err error) {
	before = []runtime.ApplyConfiguration{makeGatewayKey(in)}
	if in.Endpoint.Spec.Gateway != nil && !in.KeepsOwn {
		if in.Endpoint.Spec.URL.Exposure == v1alpha1.ExposureNone {
			access = append(access, makeService(in.pods(), in.serviceLeadsTo()))
		}
		return before, nil, access, nil
	}
	own := in.pods()
	pods, err = own.makePods()
	return append(own.makeBefore(), before...), pods, own.makeAccess(in.serviceLeadsTo()), err
}

// pods are the endpoint's own.
func (in Input) pods() pods {
	return pods{
		Fleet: OwnFleet(in.Endpoint), Installed: in.Installed, backends: backendNamespaces(in.Endpoint),
		sources: []*core.VolumeProjectionApplyConfiguration{core.VolumeProjection().WithSecret(core.SecretProjection().
			WithName(Name(in.Endpoint)).WithItems(core.KeyToPath().WithKey(config.File).WithPath(config.File)))},
	}
}

// leadsTo is the fleet to which the URL leads.
func (in Input) leadsTo() Fleet {
	name := cmp.Or(in.LeadsTo, Asked(in.Endpoint))
	if gateway, is := GatewayOf(name); is {
		return Fleet{Kind: KindGateway, Owner: gateway, Name: name}
	}
	return OwnFleet(in.Endpoint)
}

// serviceLeadsTo is the fleet to which the endpoint's own Service leads. Whoever publishes the URL himself routes it to that Service, whatever
// the endpoint moves to.
func (in Input) serviceLeadsTo() Fleet {
	if in.Endpoint.Spec.URL.Exposure == v1alpha1.ExposureNone {
		return in.leadsTo()
	}
	return OwnFleet(in.Endpoint)
}

// makeRoute renders what publishes the URL, if anything does.
func makeRoute(in Input) []runtime.ApplyConfiguration {
	switch in.Endpoint.Spec.URL.Exposure {
	case v1alpha1.ExposureIngress:
		return []runtime.ApplyConfiguration{makeIngress(in)}
	case v1alpha1.ExposureHTTPRoute:
		return []runtime.ApplyConfiguration{makeHTTPRoute(in)}
	default:
		return nil
	}
}

func (in Input) labels() map[string]string { return in.labelsOf(OwnFleet(in.Endpoint)) }

// owner makes the garbage collector delete a child with its endpoint.
func owner(endpoint *v1alpha1.WeChatEndpoint) *metav1.OwnerReferenceApplyConfiguration {
	return OwnFleet(endpoint).reference()
}
