// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package render turns an endpoint and what it refers to into the objects that the operator applies. It is pure: the same
// input gives the same output, and nothing is read or written.
package render

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/applyconfigurations/core/v1"
	metav1 "k8s.io/client-go/applyconfigurations/meta/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// Input is all that the children of an endpoint depend on.
type Input struct {
	Endpoint *v1alpha1.WeChatEndpoint
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
	// Image and PullPolicy are the sidecar's.
	Image, PullPolicy string
	// Defaults are the installation's, for what the endpoint leaves out.
	Defaults v1alpha1.SidecarPod
	// NetworkPolicy is the installation's, and OperatorNamespace where the operator runs.
	NetworkPolicy     NetworkPolicy
	OperatorNamespace string
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
	pods, err := makePods(in)
	if err != nil {
		return Objects{}, err
	}
	around, access := makeSurroundings(in), append(makeAccess(in.Endpoint), makeRoute(in.Endpoint)...)
	order := [][]runtime.ApplyConfiguration{written, around, pods, access}
	if in.Serving {
		order = [][]runtime.ApplyConfiguration{around, access, pods, written}
	}
	return Objects{Generation: generation, Children: slices.Concat(order...)}, nil
}

// Around renders what there is beside the document and the route.
func Around(in Input) ([]runtime.ApplyConfiguration, error) {
	pods, err := makePods(in)
	return slices.Concat(makeSurroundings(in), makeAccess(in.Endpoint), pods), err
}

// makeSurroundings renders what comes before the pods. There is no moment without a NetworkPolicy.
func makeSurroundings(in Input) []runtime.ApplyConfiguration {
	around := []runtime.ApplyConfiguration{makeServiceAccount(in.Endpoint), makeGatewayKey(in)}
	if in.NetworkPolicy.Enabled {
		around = append(around, makeNetworkPolicy(in))
	}
	return around
}

func makePods(in Input) ([]runtime.ApplyConfiguration, error) {
	deployment, err := makeDeployment(in)
	if err != nil {
		return nil, fmt.Errorf("rendering the Deployment: %w", err)
	}
	pods := []runtime.ApplyConfiguration{deployment}
	if scaling := in.Endpoint.Spec.Sidecar.Autoscaling; scaling != nil {
		pods = append(pods, makeAutoscaler(in.Endpoint, scaling))
	}
	return pods, nil
}

func makeAccess(endpoint *v1alpha1.WeChatEndpoint) []runtime.ApplyConfiguration {
	return []runtime.ApplyConfiguration{makePodDisruptionBudget(endpoint), makeService(endpoint)}
}

// makeRoute renders what publishes the URL, if anything does.
func makeRoute(endpoint *v1alpha1.WeChatEndpoint) []runtime.ApplyConfiguration {
	switch endpoint.Spec.URL.Exposure {
	case v1alpha1.ExposureIngress:
		return []runtime.ApplyConfiguration{makeIngress(endpoint)}
	case v1alpha1.ExposureHTTPRoute:
		return []runtime.ApplyConfiguration{makeHTTPRoute(endpoint)}
	default:
		return nil
	}
}

// owner makes the garbage collector delete a child with its endpoint.
func owner(endpoint *v1alpha1.WeChatEndpoint) *metav1.OwnerReferenceApplyConfiguration {
	return metav1.OwnerReference().
		WithAPIVersion(v1alpha1.GroupVersion.String()).WithKind("WeChatEndpoint").
		WithName(endpoint.Name).WithUID(endpoint.UID).
		WithController(true).WithBlockOwnerDeletion(true)
}

func makeServiceAccount(endpoint *v1alpha1.WeChatEndpoint) *v1.ServiceAccountApplyConfiguration {
	return v1.ServiceAccount(Name(endpoint), endpoint.Namespace).
		WithLabels(Labels(endpoint)).WithOwnerReferences(owner(endpoint)).
		WithAutomountServiceAccountToken(false)
}
