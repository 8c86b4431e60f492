// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// WeChatGateway is a fleet of sidecar pods that serves the endpoints of its namespace which name it in spec.gateway.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,shortName=wxg,categories=wechat
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Endpoints",type=integer,JSONPath=`.status.endpoints`
// +kubebuilder:printcolumn:name="Pods",type=integer,JSONPath=`.status.pods`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$')",message="metadata.name must be a DNS label of at most 40 characters that starts with a letter, because the names of its Service and Deployment carry it: choose a shorter or simpler name"
type WeChatGateway struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object's metadata. The name is a DNS label of at most 40 characters.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec is what the user asks for.
	// +optional
	// +default={}
	Spec WeChatGatewaySpec `json:"spec,omitempty,omitzero"`

	// status is what the operator saw. Until it saw anything, Ready is Unknown.
	// +optional
	// +default={"conditions": [{"type": "Ready", "status": "Unknown", "reason": "NotObserved", "message": "no operator has looked at this gateway yet; if that lasts, none runs or none serves this namespace (the chart's watchNamespaces): kubectl get deployments -A -l app.kubernetes.io/name=wechatendpoint-operator", "lastTransitionTime": "1970-01-01T00:00:00Z"}]}
	Status WeChatGatewayStatus `json:"status,omitempty,omitzero"`
}

// WeChatGatewayList is a list of WeChatGateway.
//
// +kubebuilder:object:root=true
type WeChatGatewayList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []WeChatGateway `json:"items"`
}

// WeChatGatewaySpec is what the user asks for: the pods that all endpoints of the gateway share.
type WeChatGatewaySpec struct {
	Sidecar `json:",inline"`

	// paused keeps the operator's hands off this gateway's objects; what runs keeps serving what it served.
	// +optional
	Paused bool `json:"paused,omitempty"`

	// Unreadable names the fields of the stored object that could not be read, and says why. They have their zero values. It is no
	// field of the API.
	Unreadable []string `json:"-"`
}

// WeChatGatewayStatus is what the operator saw.
type WeChatGatewayStatus struct {
	// conditions say what holds and what to do about what does not: Accepted, SidecarAvailable, Verified and, of them all, Ready. Beside
	// it SidecarCurrent.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchStrategy=merge
	// +patchMergeKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type"`

	// observedGeneration is the generation of the spec that this status speaks of.
	// +optional
	// +kubebuilder:validation:Minimum=0
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// endpoints is how many endpoints the pods are given.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Endpoints *int32 `json:"endpoints,omitempty"`

	// pods is how many pods are ready.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Pods *int32 `json:"pods,omitempty"`

	// left names endpoints that the pods are not given, because there is no room for them: the first 256 of them.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=253
	Left []string `json:"left,omitempty"`

	// rollout is this gateway's slot, in which it gets the pods that the installation asks for now. Left out, it has none.
	// +optional
	Rollout *RolloutSlot `json:"rollout,omitempty"`

	// Unreadable names the fields of the stored object that could not be read, and says why. Then nothing else of the status is
	// known. It is no field of the API.
	Unreadable []string `json:"-"`
}
