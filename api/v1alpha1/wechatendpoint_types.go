// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// WeChatEndpoint is one callback URL, as it is entered in a WeChat console, with a verified front door before the app.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,shortName=wxe,categories=wechat
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Platform",type=string,JSONPath=`.spec.platform`
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.messageMode`
// +kubebuilder:printcolumn:name="URL",type=string,JSONPath=`.status.url`
// +kubebuilder:printcolumn:name="Backend",type=string,JSONPath=`.status.backend`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$')",message="metadata.name must be a DNS label of at most 40 characters that starts with a letter, because the names of its Service and Deployment carry it: choose a shorter or simpler name"
type WeChatEndpoint struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object's metadata. The name is a DNS label of at most 40 characters.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec is what the user asks for.
	// +required
	Spec WeChatEndpointSpec `json:"spec,omitzero"`

	// status is what the operator saw.
	// +optional
	Status WeChatEndpointStatus `json:"status,omitempty,omitzero"`
}

// WeChatEndpointList is a list of WeChatEndpoint.
//
// +kubebuilder:object:root=true
type WeChatEndpointList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []WeChatEndpoint `json:"items"`
}

// Platform is the kind of WeChat account. It decides the protocol of the callback.
//
// +kubebuilder:validation:Enum=OfficialAccount
type Platform string

// PlatformOfficialAccount is an Official Account (公众号) or a test account (测试号).
const PlatformOfficialAccount Platform = "OfficialAccount"

// MessageMode is the message encryption mode (消息加解密方式) chosen in the console.
//
// +kubebuilder:validation:Enum=Plaintext
type MessageMode string

// MessageModePlaintext (明文模式): the message is not encrypted, and its signature does not cover the body.
const MessageModePlaintext MessageMode = "Plaintext"

// Exposure is the kind of route that publishes the URL.
//
// +kubebuilder:validation:Enum=Ingress;None
type Exposure string

const (
	// ExposureIngress publishes the URL by an Ingress that the operator owns.
	ExposureIngress Exposure = "Ingress"
	// ExposureNone publishes nothing: the user routes the URL to the Service of the sidecar.
	ExposureNone Exposure = "None"
)

// WeChatEndpointSpec is what the user asks for.
//
// +kubebuilder:validation:XValidation:rule="self.url.exposure != 'Ingress' || has(self.url.host) || !has(self.url.ingress) || !has(self.url.ingress.tlsSecretName)",message="url.ingress.tlsSecretName needs url.host: a certificate is chosen by host name"
type WeChatEndpointSpec struct {
	// platform is the kind of WeChat account. It cannot be changed: make another endpoint instead.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="platform cannot be changed: delete the endpoint and make one for the other platform"
	Platform Platform `json:"platform,omitempty"`

	// appID is the AppID of the account, as the console shows it (wx…).
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9_-]+$')",message="appID holds letters, digits, - and _ only: copy it from the console (开发者ID(AppID))"
	AppID string `json:"appID,omitempty"`

	// messageMode is the message encryption mode chosen in the console (消息加解密方式).
	// +optional
	// +default="Plaintext"
	MessageMode MessageMode `json:"messageMode,omitempty"`

	// credentials names the Secret that holds the account's token.
	// +required
	Credentials CredentialsReference `json:"credentials,omitzero"`

	// url is the callback URL, and how it is published.
	// +required
	URL CallbackURL `json:"url,omitzero"`

	// backend is the app that receives the verified messages.
	// +required
	Backend Backend `json:"backend,omitzero"`

	// verification tunes the checks of a callback.
	// +optional
	// +default={}
	Verification Verification `json:"verification,omitempty,omitzero"`

	// sidecar sizes the pods that verify the callbacks.
	// +optional
	// +default={}
	Sidecar Sidecar `json:"sidecar,omitempty,omitzero"`

	// paused keeps the operator's hands off this endpoint's objects; what runs keeps serving what it served.
	// +optional
	Paused bool `json:"paused,omitempty"`
}

// CredentialsReference names a Secret in the endpoint's namespace, labelled wechatendpoint.io/credentials: "true".
type CredentialsReference struct {
	// secretName is the name of the Secret. Its key token holds the token (Token) of the console: 3 to 32 characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="credentials.secretName must be the name of a Secret: lower-case letters, digits, - and ."
	SecretName string `json:"secretName,omitempty"`
}

// CallbackURL is the URL that is entered in the console, and how it is published.
//
// +kubebuilder:validation:XValidation:rule="self.exposure == 'Ingress' || !has(self.ingress)",message="url.ingress is only used when url.exposure is Ingress: remove the section, or set url.exposure to Ingress"
type CallbackURL struct {
	// host is the host name of the URL: lower case, no port, no wildcard. It may be left out only where the
	// installation of the operator allows it (a test account on a bare address).
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="url.host must be a host name in lower case, without scheme, port, wildcard or trailing dot, such as wx.example.com"
	Host string `json:"host,omitempty"`

	// path is the path of the URL, without query: segments of letters, digits and - . _ ~, never / alone. The same path
	// with a trailing slash is served too.
	// +required
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.matches('^(/[A-Za-z0-9._~-]+)+$')",message="url.path must be like /weixin: segments of letters, digits and - . _ ~, no trailing slash, no query, not / alone"
	// +kubebuilder:validation:XValidation:rule="!self.matches('(^|/)[.][.]?(/|$)')",message="url.path must not hold a . or .. segment: write the path that they lead to"
	Path string `json:"path,omitempty"`

	// exposure is the kind of route that publishes the URL.
	// +optional
	// +default="Ingress"
	Exposure Exposure `json:"exposure,omitempty"`

	// ingress tunes the Ingress, where exposure is Ingress.
	// +optional
	Ingress *IngressExposure `json:"ingress,omitempty"`
}

// IngressExposure tunes the Ingress that publishes the URL.
//
// +kubebuilder:validation:MinProperties=1
type IngressExposure struct {
	// className is the IngressClass. Left out, the cluster's default class is used.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="url.ingress.className must be the name of an IngressClass: see kubectl get ingressclass"
	ClassName string `json:"className,omitempty"`

	// annotations are put on the Ingress. Only the keys that the installation of the operator allows are accepted.
	// +optional
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(key, size(key) <= 253 && size(self[key]) <= 1024)",message="url.ingress.annotations: a key has at most 253 characters and a value at most 1024"
	Annotations map[string]string `json:"annotations,omitempty"`

	// tlsSecretName is the Secret with the certificate of the host. Left out, the Ingress serves plain HTTP, or what the
	// ingress controller serves by default.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="url.ingress.tlsSecretName must be the name of a Secret: lower-case letters, digits, - and ."
	TLSSecretName string `json:"tlsSecretName,omitempty"`
}

// Backend is the app that receives the verified messages.
type Backend struct {
	// service is the app's Service, in the endpoint's namespace.
	// +required
	Service ServiceReference `json:"service,omitzero"`

	// path is the path that the app is called with. Left out, it is the path of the request: url.path, or its
	// twin with a trailing slash, whichever was entered in the console.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.matches('^/([A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*/?)?$')",message="backend.path must be like /weixin or /weixin/: segments of letters, digits and - . _ ~, no query"
	// +kubebuilder:validation:XValidation:rule="!self.matches('(^|/)[.][.]?(/|$)')",message="backend.path must not hold a . or .. segment: write the path that they lead to"
	Path string `json:"path,omitempty"`

	// deadline is how long the app has to answer before the sidecar answers WeChat in its place. WeChat hangs up after 5
	// seconds. From 100ms to 4900ms.
	// +optional
	// +default="4500ms"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('100ms') && duration(self) <= duration('4900ms')",message="backend.deadline must be from 100ms to 4900ms, because WeChat hangs up after 5s"
	Deadline *metav1.Duration `json:"deadline,omitempty"`
}

// ServiceReference names a port of a Service in the endpoint's namespace.
type ServiceReference struct {
	// name is the name of the Service. It must not be of type ExternalName.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="!format.dns1035Label().validate(self).hasValue()",message="backend.service.name must be the name of a Service: lower-case letters, digits and -, starting with a letter"
	Name string `json:"name,omitempty"`

	// port is a port of the Service, by number or by name.
	// +required
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == string ? size(self) <= 15 && self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && self.matches('[a-z]') : self >= 1 && self <= 65535",message="backend.service.port must be a port number from 1 to 65535, or the name of a port of the Service (a number is written without quotes)"
	Port intstr.IntOrString `json:"port,omitempty,omitzero"` //nolint:kubeapilinter // its zero value, port 0, is refused: no pointer is needed to tell it from a missing one
}

// Verification tunes the checks of a callback.
type Verification struct {
	// freshness is how far a callback's timestamp may be from now, before or after. From 30s to 24h.
	// +optional
	// +default="5m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('30s') && duration(self) <= duration('24h')",message="verification.freshness must be from 30s to 24h: shorter refuses WeChat's own retries, longer lets a captured request be replayed for days"
	Freshness *metav1.Duration `json:"freshness,omitempty"`
}

// Sidecar sizes the pods that verify the callbacks.
type Sidecar struct {
	// replicas is the number of pods.
	// +optional
	// +default=2
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Replicas *int32 `json:"replicas,omitempty"`

	// resources of the sidecar container. Default: requests of 10m CPU and 16Mi memory, and a limit of 64Mi memory.
	// +optional
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`
}

// WeChatEndpointStatus is what the operator saw.
type WeChatEndpointStatus struct {
	// conditions say what holds and what to do about what does not: Accepted, CredentialsResolved, BackendResolved,
	// SidecarAvailable, RouteProgrammed and, of them all, Ready.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchStrategy=merge
	// +patchMergeKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type"`

	// url is the URL to enter in the console.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	URL string `json:"url,omitempty"`

	// backend is where verified messages go, as service:port.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Backend string `json:"backend,omitempty"`

	// observedGeneration is the generation of the spec that this status speaks of.
	// +optional
	// +kubebuilder:validation:Minimum=0
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// credentials are the accepted credentials.
	// +optional
	Credentials CredentialsStatus `json:"credentials,omitempty,omitzero"`
}

// CredentialsStatus says which credentials are accepted. It holds nothing that is derived from a secret byte.
type CredentialsStatus struct {
	// generation counts the changes of the credentials: 1 for the first that were served.
	// +optional
	// +kubebuilder:validation:Minimum=1
	Generation int64 `json:"generation,omitempty"`
}
