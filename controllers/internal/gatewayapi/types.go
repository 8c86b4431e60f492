// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gatewayapi holds of the kinds of the Gateway API what the operator reads, and nothing else. They are for reading only.
//
// The kinds are custom resources, whose schemas take what Go's types of the Gateway API cannot hold: one HTTPRoute of a tenant's, with a number
// of 33 bits somewhere, would hide all others. Here most fields are left out, and those that are there are read whatever is stored.
//
// +kubebuilder:object:generate=true
package gatewayapi

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"

	"github.com/wechatendpoint/wechatendpoint/api/decode"
)

// AddToScheme lets a scheme know these types as the kinds of the Gateway API.
func AddToScheme(scheme *runtime.Scheme) {
	v1, v1beta1 := schema.GroupVersion(gatewayv1.GroupVersion), schema.GroupVersion(gatewayv1beta1.GroupVersion)
	scheme.AddKnownTypes(v1, &Gateway{}, &GatewayList{}, &HTTPRoute{}, &HTTPRouteList{})
	metav1.AddToGroupVersion(scheme, v1)
	scheme.AddKnownTypes(v1beta1, &ReferenceGrant{}, &ReferenceGrantList{})
	metav1.AddToGroupVersion(scheme, v1beta1)
}

// Gateway is where routes are attached.
//
// +kubebuilder:object:root=true
type Gateway struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   GatewaySpec   `json:"spec"`
	Status GatewayStatus `json:"status,omitempty"`
}

// GatewaySpec is what a Gateway should be.
type GatewaySpec struct {
	GatewayClassName string     `json:"gatewayClassName"`
	Listeners        []Listener `json:"listeners,omitempty"`
}

// Listener is a port of a Gateway.
type Listener struct {
	Name          gatewayv1.SectionName  `json:"name"`
	Hostname      *gatewayv1.Hostname    `json:"hostname,omitempty"`
	Protocol      gatewayv1.ProtocolType `json:"protocol"`
	AllowedRoutes *AllowedRoutes         `json:"allowedRoutes,omitempty"`
}

// AllowedRoutes are those that a listener takes.
type AllowedRoutes struct {
	Namespaces *RouteNamespaces `json:"namespaces,omitempty"`
}

// RouteNamespaces are where such routes may be.
type RouteNamespaces struct {
	From *gatewayv1.FromNamespaces `json:"from,omitempty"`
}

// GatewayStatus is what became of a Gateway.
type GatewayStatus struct {
	Addresses []Address `json:"addresses,omitempty"`
}

// Address leads to a Gateway.
type Address struct {
	Value string `json:"value"`
}

// GatewayList is a list of Gateways.
//
// +kubebuilder:object:root=true
type GatewayList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Gateway `json:"items"`
}

// HTTPRoute leads requests to Services.
//
// +kubebuilder:object:root=true
type HTTPRoute struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   HTTPRouteSpec   `json:"spec"`
	Status HTTPRouteStatus `json:"status,omitempty"`
}

// HTTPRouteSpec says which requests are led where.
type HTTPRouteSpec struct {
	ParentRefs []gatewayv1.ParentReference `json:"parentRefs,omitempty"`
	Hostnames  []gatewayv1.Hostname        `json:"hostnames,omitempty"`
	Rules      []HTTPRouteRule             `json:"rules,omitempty"`

	// Raw is the whole spec as it is stored, for who compares it with what was applied. It is no field of the API, and empty where it
	// is longer than a spec of the operator's own.
	Raw []byte `json:"-"`
}

// HTTPRouteRule leads what matches to the backends.
type HTTPRouteRule struct {
	Matches     []HTTPRouteMatch   `json:"matches,omitempty"`
	BackendRefs []BackendReference `json:"backendRefs,omitempty"`
}

// HTTPRouteMatch is what a request must look like.
type HTTPRouteMatch struct {
	Path *gatewayv1.HTTPPathMatch `json:"path,omitempty"`
}

// BackendReference names what requests are led to.
type BackendReference struct {
	Group     *gatewayv1.Group     `json:"group,omitempty"`
	Kind      *gatewayv1.Kind      `json:"kind,omitempty"`
	Namespace *gatewayv1.Namespace `json:"namespace,omitempty"`
	Name      gatewayv1.ObjectName `json:"name"`
}

// HTTPRouteStatus is what became of an HTTPRoute.
type HTTPRouteStatus struct {
	Parents []ParentStatus `json:"parents,omitempty"`
}

// ParentStatus is what a Gateway says of an HTTPRoute.
type ParentStatus struct {
	ParentRef  gatewayv1.ParentReference `json:"parentRef"`
	Conditions []metav1.Condition        `json:"conditions,omitempty"`
}

// HTTPRouteList is a list of HTTPRoutes.
//
// +kubebuilder:object:root=true
type HTTPRouteList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []HTTPRoute `json:"items"`
}

// ReferenceGrant allows objects of other namespaces to refer to some of its own.
//
// +kubebuilder:object:root=true
type ReferenceGrant struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec ReferenceGrantSpec `json:"spec"`
}

// ReferenceGrantSpec says who may refer to what.
type ReferenceGrantSpec struct {
	From []gatewayv1beta1.ReferenceGrantFrom `json:"from"`
	To   []gatewayv1beta1.ReferenceGrantTo   `json:"to"`
}

// ReferenceGrantList is a list of ReferenceGrants.
//
// +kubebuilder:object:root=true
type ReferenceGrantList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ReferenceGrant `json:"items"`
}

// maxRaw is more than the spec of an HTTPRoute of the operator's has: 18 paths and 8 parents. Bytes.
const maxRaw = 32 << 10

// UnmarshalJSON never fails, and leaves out what cannot be read.
func (s *GatewaySpec) UnmarshalJSON(data []byte) error {
	*s = GatewaySpec{}
	decode.Object("spec", data, s, decode.Limits{})
	return nil
}

// UnmarshalJSON never fails, and leaves out what cannot be read.
func (s *GatewayStatus) UnmarshalJSON(data []byte) error {
	*s = GatewayStatus{}
	decode.Object("status", data, s, decode.Limits{})
	return nil
}

// UnmarshalJSON never fails, and leaves out what cannot be read.
func (s *HTTPRouteSpec) UnmarshalJSON(data []byte) error {
	*s = HTTPRouteSpec{}
	decode.Object("spec", data, s, decode.Limits{})
	if len(data) <= maxRaw {
		s.Raw = append([]byte(nil), data...)
	}
	return nil
}

// UnmarshalJSON never fails, and leaves out what cannot be read.
func (s *HTTPRouteStatus) UnmarshalJSON(data []byte) error {
	*s = HTTPRouteStatus{}
	decode.Object("status", data, s, decode.Limits{})
	return nil
}

// UnmarshalJSON never fails, and leaves out what cannot be read.
func (s *ReferenceGrantSpec) UnmarshalJSON(data []byte) error {
	*s = ReferenceGrantSpec{}
	decode.Object("spec", data, s, decode.Limits{})
	return nil
}

// JudgedConditions are what a Gateway must say of a route.
var JudgedConditions = []gatewayv1.RouteConditionType{gatewayv1.RouteConditionAccepted, gatewayv1.RouteConditionResolvedRefs}
