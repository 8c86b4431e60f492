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

	// status is what the operator saw. Until it saw anything, Ready is Unknown.
	// +optional
	// +default={"conditions": [{"type": "Ready", "status": "Unknown", "reason": "NotObserved", "message": "no operator has looked at this endpoint yet; if that lasts, none runs or none serves this namespace (the chart's watchNamespaces): kubectl get deployments -A -l app.kubernetes.io/name=wechatendpoint-operator", "lastTransitionTime": "1970-01-01T00:00:00Z"}]}
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
// +kubebuilder:validation:Enum=OfficialAccount;MiniProgram;Shop;WeCom;OpenPlatform;Pay
type Platform string

const (
	// PlatformOfficialAccount is an Official Account (公众号) or a test account (测试号).
	PlatformOfficialAccount Platform = "OfficialAccount"
	// PlatformMiniProgram is a Mini Program (小程序) or a Mini Game (小游戏).
	PlatformMiniProgram Platform = "MiniProgram"
	// PlatformShop is a WeChat Shop (微信小店).
	PlatformShop Platform = "Shop"
	// PlatformWeCom is an app, a bot or a suite of WeCom (企业微信).
	PlatformWeCom Platform = "WeCom"
	// PlatformOpenPlatform is a third-party platform (第三方平台) of the Open Platform.
	PlatformOpenPlatform Platform = "OpenPlatform"
	// PlatformPay is a merchant of WeChat Pay (微信支付), API v3.
	PlatformPay Platform = "Pay"
)

// MessageMode is the message encryption mode (消息加解密方式) chosen in the console.
//
// +kubebuilder:validation:Enum=Plaintext;Compatible;Encrypted
type MessageMode string

const (
	// MessageModePlaintext (明文模式): the message is not encrypted, and its signature does not cover the body.
	MessageModePlaintext MessageMode = "Plaintext"
	// MessageModeCompatible (兼容模式): the message comes in clear and encrypted, and only the encrypted part is read.
	MessageModeCompatible MessageMode = "Compatible"
	// MessageModeEncrypted (安全模式): the message is encrypted.
	MessageModeEncrypted MessageMode = "Encrypted"
)

// Payload is the form in which the app gets a message.
//
// +kubebuilder:validation:Enum=Original;Decrypted
type Payload string

const (
	// PayloadOriginal is the message as WeChat sent it, for an app that keeps its own SDK.
	PayloadOriginal Payload = "Original"
	// PayloadDecrypted is the inner message, byte for byte.
	PayloadDecrypted Payload = "Decrypted"
)

// OnDeadline is what WeChat is told when the app has not answered at the deadline.
//
// +kubebuilder:validation:Enum=Acknowledge;Fail;AwaitRetry
type OnDeadline string

const (
	// OnDeadlineAcknowledge tells WeChat success. The app's reply is lost.
	OnDeadlineAcknowledge OnDeadline = "Acknowledge"
	// OnDeadlineFail answers an error, so that WeChat sends the message again.
	OnDeadlineFail OnDeadline = "Fail"
	// OnDeadlineAwaitRetry answers nothing until WeChat hangs up; its retry joins the call to the app.
	OnDeadlineAwaitRetry OnDeadline = "AwaitRetry"
)

// RuleAction is what happens to a message that a rule matches.
//
// +kubebuilder:validation:Enum=Forward;Discard
type RuleAction string

const (
	// RuleActionForward sends the message to the rule's backend, or to spec.backend where the rule has none.
	RuleActionForward RuleAction = "Forward"
	// RuleActionDiscard answers success, and no app is called.
	RuleActionDiscard RuleAction = "Discard"
)

// Enforcement says what happens to a message that fails a check.
//
// +kubebuilder:validation:Enum=Enforce;InsecureAudit
type Enforcement string

const (
	// EnforcementEnforce refuses it.
	EnforcementEnforce Enforcement = "Enforce"
	// EnforcementInsecureAudit lets it through, marked as unverified, until auditUntil.
	EnforcementInsecureAudit Enforcement = "InsecureAudit"
)

// Exposure is the kind of route that publishes the URL.
//
// +kubebuilder:validation:Enum=Ingress;HTTPRoute;None
type Exposure string

const (
	// ExposureIngress publishes the URL by an Ingress that the operator owns.
	ExposureIngress Exposure = "Ingress"
	// ExposureHTTPRoute publishes the URL by an HTTPRoute of the Gateway API that the operator owns.
	ExposureHTTPRoute Exposure = "HTTPRoute"
	// ExposureNone publishes nothing: the user routes the URL to the Service of the sidecar.
	ExposureNone Exposure = "None"
)

// Scheme is that of a URL.
//
// +kubebuilder:validation:Enum=http;https
type Scheme string

const (
	// SchemeHTTP is plain HTTP, port 80.
	SchemeHTTP Scheme = "http"
	// SchemeHTTPS is HTTP over TLS, port 443.
	SchemeHTTPS Scheme = "https"
)

// WeChatEndpointSpec is what the user asks for.
//
// +kubebuilder:validation:XValidation:rule="self.url.exposure != 'Ingress' || has(self.url.host) || !has(self.url.ingress) || !has(self.url.ingress.tlsSecretName)",message="url.ingress.tlsSecretName needs url.host: a certificate is chosen by host name"
// +kubebuilder:validation:XValidation:rule="!(self.platform in ['OfficialAccount', 'MiniProgram']) || has(self.messageMode)",message="messageMode must be Plaintext, Compatible or Encrypted, as 消息加解密方式 in the console"
// +kubebuilder:validation:XValidation:rule="!(self.platform in ['Shop', 'WeCom', 'OpenPlatform']) || !has(self.messageMode) || self.messageMode == 'Encrypted'",message="messageMode must be left out or Encrypted: platforms Shop, WeCom and OpenPlatform always encrypt"
// +kubebuilder:validation:XValidation:rule="self.platform != 'Pay' || !has(self.messageMode)",message="messageMode must be left out: platform Pay has none"
// +kubebuilder:validation:XValidation:rule="!has(self.receiverIDs) || !('$CORPID$' in self.receiverIDs) || self.url.path.contains('/$CORPID$') || has(self.url.query) && self.url.query.contains('$CORPID$')",message="receiverIDs may hold $CORPID$ only if url.path has that segment, or url.query that value: write url.path like /wecom/$CORPID$, or name the ids"
// +kubebuilder:validation:XValidation:rule="!has(self.receiverIDs) || !('*' in self.receiverIDs) || self.platform == 'WeCom'",message="receiverIDs may hold * only for platform WeCom, where one suite has many receivers: copy the AppID from the console"
// +kubebuilder:validation:XValidation:rule="!has(self.url.port) || self.platform == 'WeCom'",message="url.port is only for platform WeCom: WeChat calls no other ports than 80 and 443. Remove it, and publish the URL on one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.url.query) || self.platform in ['WeCom', 'Pay'] || !self.url.query.matches('(^|&)(encrypt_type|openid)(=|&|$)')",message="url.query must not name encrypt_type or openid, which WeChat adds by itself: leave it out here; what the console's URL has of it does no harm"
// +kubebuilder:validation:XValidation:rule="!has(self.rules) || self.platform in ['WeCom', 'OpenPlatform'] || self.rules.all(r, !has(r.match.infoType))",message="rules: match.infoType matches nothing on this platform: only messages of WeCom and OpenPlatform have an InfoType. Remove the rule"
// +kubebuilder:validation:XValidation:rule="!has(self.rules) || self.platform != 'Pay' || self.rules.all(r, !has(r.match.msgType))",message="rules: match.msgType matches nothing on platform Pay: compare the notification's event_type by match.event"
// +kubebuilder:validation:XValidation:rule="self.platform != 'Pay' || !has(self.backend.onDeadline) || self.backend.onDeadline == 'Fail'",message="backend.onDeadline must be Fail, or be left out: WeChat Pay tries again with a new signature for a day, and a payment that the app has not taken is never acknowledged"
// +kubebuilder:validation:XValidation:rule="self.platform != 'Pay' || !has(self.rules) || self.rules.all(r, !has(r.backend) || !has(r.backend.onDeadline) || r.backend.onDeadline == 'Fail')",message="rules: backend.onDeadline must be Fail, or be left out: a payment that the app has not taken is never acknowledged"
// +kubebuilder:validation:XValidation:rule="self.platform != 'Pay' || self.verification.enforcement != 'InsecureAudit'",message="verification.enforcement must be Enforce: notifications of payments are never let through unverified"
// +kubebuilder:validation:XValidation:rule="self.verification.enforcement != 'InsecureAudit' || self.backend.payload == 'Original'",message="verification.enforcement InsecureAudit needs backend.payload Original, because what is not verified cannot be decrypted: set backend.payload to Original, or enforcement to Enforce"
// +kubebuilder:validation:XValidation:rule="!has(self.rules) || self.rules.map(r, has(r.backend) && has(r.backend.tls) ? size(r.backend.tls.caBundle) : 0).sum() <= 65536",message="rules: the backends' tls.caBundle must have at most 65536 characters together: keep of each the certificates of who may issue the app's"
// +kubebuilder:validation:XValidation:rule="!has(self.gateway) || !has(self.sidecar)",message="sidecar must be left out with gateway: the pods are the gateway's, and sized by its own spec. Remove sidecar, or gateway for pods of its own"
// +kubebuilder:validation:XValidation:rule="!has(self.domainFiles) || self.domainFiles.all(f, '/' + f.name != self.url.path)",message="domainFiles: a name must not be that of url.path: choose another url.path"
type WeChatEndpointSpec struct {
	// platform is the kind of WeChat account. It cannot be changed: make another endpoint instead.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="platform cannot be changed: delete the endpoint and make one for the other platform"
	Platform Platform `json:"platform,omitempty"`

	// appID is the AppID of the account, as the console shows it (wx…); for WeCom the CorpID, for OpenPlatform the AppID
	// of the third-party platform, and for Pay the merchant id.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9_-]+$')",message="appID holds letters, digits, - and _ only: copy it from the console (开发者ID(AppID))"
	AppID string `json:"appID,omitempty"`

	// receiverIDs are the ids that are accepted at the end of decrypted messages. Left out, it is appID alone. An empty
	// string accepts messages without a receiver (WeCom's bots), $CORPID$ the id that stands in its place in the URL, and * any
	// (the data of a WeCom suite whose URL has no $CORPID$).
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.all(id, id in ['$CORPID$', '*'] || id.matches('^[A-Za-z0-9_-]*$'))",message="receiverIDs holds ids of letters, digits, - and _, the empty string, $CORPID$ or *: copy the ids from the console"
	ReceiverIDs []string `json:"receiverIDs,omitempty"`

	// messageMode is the message encryption mode chosen in the console (消息加解密方式). It is required for OfficialAccount
	// and MiniProgram. The other platforms have no choice: leave it out.
	// +optional
	MessageMode MessageMode `json:"messageMode,omitempty"`

	// credentials names the Secret that holds the account's token and keys.
	// +required
	Credentials CredentialsReference `json:"credentials,omitzero"`

	// url is the callback URL, and how it is published.
	// +required
	URL CallbackURL `json:"url,omitzero"`

	// backend is the app that receives the verified messages.
	// +required
	Backend Backend `json:"backend,omitzero"`

	// rules are tried in their order, and the first that matches decides. A message that none matches goes to backend.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Rules []Rule `json:"rules,omitempty"`

	// domainFiles are served at the root of url.host: they prove to WeChat who owns the host.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	DomainFiles []DomainFile `json:"domainFiles,omitempty"`

	// verification tunes the checks of a callback.
	// +optional
	// +default={}
	Verification Verification `json:"verification,omitempty,omitzero"`

	// gateway names the WeChatGateway of this namespace whose pods serve this endpoint, beside others. Left out, it has pods of its own.
	// +optional
	Gateway *GatewayReference `json:"gateway,omitempty"`

	// sidecar sizes the endpoint's own pods, which verify its callbacks. With gateway it must be left out.
	// +optional
	Sidecar Sidecar `json:"sidecar,omitempty,omitzero"`

	// paused keeps the operator's hands off this endpoint's objects; what runs keeps serving what it served.
	// +optional
	Paused bool `json:"paused,omitempty"`

	// Unreadable names the fields of the stored object that could not be read, and says why. They have their zero values. It is no
	// field of the API.
	Unreadable []string `json:"-"`
}

// GatewayReference names a WeChatGateway of the endpoint's namespace.
type GatewayReference struct {
	// name is the name of the WeChatGateway.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$')",message="gateway.name must be the name of a WeChatGateway of this namespace: lower-case letters, digits and -, starting with a letter"
	Name string `json:"name,omitempty"`
}

// CredentialsReference names a Secret in the endpoint's namespace, labelled wechatendpoint.io/credentials: "true".
type CredentialsReference struct {
	// secretName is the name of the Secret. Its keys depend on the platform: token (Token) for all but Pay; encodingAESKey
	// (EncodingAESKey) where messages are encrypted; for Pay apiV3Key, and publicKey with publicKeyID, or certificates, or both.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="credentials.secretName must be the name of a Secret: lower-case letters, digits, - and ."
	SecretName string `json:"secretName,omitempty"`

	// overlap is how long the values before the newest are accepted after WeChat was first seen using the newest. Until
	// then they are accepted for as long as it takes: save the console's form whenever it suits. From 0s to 720h.
	// +optional
	// +default="24h"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s') && duration(self) <= duration('720h')",message="credentials.overlap must be from 0s to 720h: WeChat repeats a message for some seconds, events of a shop for hours, notifications of payments for a day"
	Overlap *metav1.Duration `json:"overlap,omitempty"`

	// revokeBefore refuses at once the values of every generation below it (status.credentials.generation), but the newest:
	// for a token or key that leaked. First change the Secret, then set this to the new generation.
	// +optional
	// +kubebuilder:validation:Minimum=0
	RevokeBefore int64 `json:"revokeBefore,omitempty"`
}

// CallbackURL is the URL that is entered in the console, and how it is published.
//
// +kubebuilder:validation:XValidation:rule="self.exposure == 'Ingress' || !has(self.ingress)",message="url.ingress is only used when url.exposure is Ingress: remove the section, or set url.exposure to Ingress"
// +kubebuilder:validation:XValidation:rule="self.exposure != 'Ingress' || !has(self.host) || !self.host.matches('^[0-9]+([.][0-9]+){3}$')",message="url.host must be a host name where url.exposure is Ingress: Kubernetes takes no IP address there. Point a DNS name at the address, or leave url.host out where the installation allows it"
// +kubebuilder:validation:XValidation:rule="!has(self.query) || !self.query.contains('$') || !self.path.contains('$')",message="url.query and url.path may hold one placeholder together: write $APPID$ or $CORPID$ once"
// +kubebuilder:validation:XValidation:rule="(self.exposure == 'HTTPRoute') == has(self.httpRoute)",message="url.httpRoute is required when url.exposure is HTTPRoute, and only used then: name the Gateway in url.httpRoute.parentRefs, or remove the section"
type CallbackURL struct {
	// host is the host name of the URL: lower case, no port, no wildcard. It may be left out only where the
	// installation of the operator allows it (a test account on a bare address).
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="url.host must be a host name in lower case, without scheme, port, wildcard or trailing dot, such as wx.example.com"
	Host string `json:"host,omitempty"`

	// path is the path of the URL, without query: /, or segments of letters, digits and - . _ ~. The same path with a trailing
	// slash is served too. One whole segment may be $APPID$ or $CORPID$, which stands for any id; then everything below the part
	// before it is routed here, and what does not match is answered 404.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self == '/' || self.matches('^(/[A-Za-z0-9._~-]+)+$') || self.matches('^(/[A-Za-z0-9._~-]+)*/[$](APPID|CORPID)[$](/[A-Za-z0-9._~-]+)*$')",message="url.path must be like /, /weixin or /weixin/$APPID$: segments of letters, digits and - . _ ~, no trailing slash, no query (it belongs into url.query); one whole segment may be $APPID$ or $CORPID$"
	// +kubebuilder:validation:XValidation:rule="!self.matches('(^|/)[.][.]?(/|$)')",message="url.path must not hold a . or .. segment: write the path that they lead to"
	Path string `json:"path,omitempty"`

	// query is the part of the console's URL behind the question mark, such as id=5. Every callback must carry these parameters,
	// and the app is called with them. One value may hold $APPID$ or $CORPID$, if path holds none. Parameters that the console's URL
	// has besides are ignored.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9._~-]+(=([A-Za-z0-9._~:/@!*(),+-]|%[0-9A-Fa-f]{2}|[$](APPID|CORPID)[$])*)?(&[A-Za-z0-9._~-]+(=([A-Za-z0-9._~:/@!*(),+-]|%[0-9A-Fa-f]{2}|[$](APPID|CORPID)[$])*)?){0,15}$')",message="url.query must be like id=5&kind=a, without the question mark, at most 16 parameters: names of letters, digits and - . _ ~, and other characters of values as escapes (%20); a value may hold $APPID$ or $CORPID$"
	// +kubebuilder:validation:XValidation:rule="!self.matches('(^|&)(signature|msg_signature|timestamp|nonce|echostr)(=|&|$)')",message="url.query must not name signature, msg_signature, timestamp, nonce or echostr, which WeChat adds: remove it from the URL in the console too"
	// +kubebuilder:validation:XValidation:rule="!self.matches('[$].*[$].*[$]')",message="url.query may hold one placeholder: write $APPID$ or $CORPID$ once"
	Query string `json:"query,omitempty"`

	// port is the port of the URL, for WeCom, which calls any; it only shows in status.url. WeChat calls none but 80 and 443.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`

	// exposure is the kind of route that publishes the URL.
	// +optional
	// +default="Ingress"
	Exposure Exposure `json:"exposure,omitempty"`

	// ingress tunes the Ingress, where exposure is Ingress.
	// +optional
	Ingress *IngressExposure `json:"ingress,omitempty"`

	// httpRoute says where the HTTPRoute is attached, where exposure is HTTPRoute.
	// +optional
	HTTPRoute *HTTPRouteExposure `json:"httpRoute,omitempty"`

	// scheme is http or https, for status.url, where TLS ends before the cluster's own route. Left out, it is https if
	// ingress.tlsSecretName is set or a listener of the Gateway ends TLS, and else http.
	// +optional
	Scheme Scheme `json:"scheme,omitempty"`
}

// HTTPRouteExposure says where the HTTPRoute that publishes the URL is attached.
type HTTPRouteExposure struct {
	// parentRefs are the Gateways that serve the URL, each by its name and, where one listener is meant, its section.
	// Whether routes of this namespace may be attached is the Gateway's to say (allowedRoutes).
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	ParentRefs []ParentReference `json:"parentRefs,omitempty"`
}

// ParentReference names a Gateway, or one listener of it.
type ParentReference struct {
	// name is the name of the Gateway.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="url.httpRoute.parentRefs: name must be the name of a Gateway: see kubectl get gateways -A"
	Name string `json:"name,omitempty"`

	// namespace is that of the Gateway. Left out, it is the endpoint's.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Label().validate(self).hasValue()",message="url.httpRoute.parentRefs: namespace must be the name of a namespace: lower-case letters, digits and -"
	Namespace string `json:"namespace,omitempty"`

	// sectionName is the name of one of the Gateway's listeners. Left out, every listener that fits url.host serves the URL.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="url.httpRoute.parentRefs: sectionName must be the name of a listener of the Gateway: lower-case letters, digits, - and ."
	SectionName string `json:"sectionName,omitempty"`
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
	// +kubebuilder:validation:XValidation:rule="self.all(key, !format.qualifiedName().validate(key).hasValue())",message="url.ingress.annotations: a key must be like cert-manager.io/issuer: copy it from the documentation of what reads it"
	Annotations map[string]AnnotationValue `json:"annotations,omitempty"`

	// tlsSecretName is the Secret with the certificate of the host. Left out, the Ingress serves plain HTTP, or what the
	// ingress controller serves by default.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="url.ingress.tlsSecretName must be the name of a Secret: lower-case letters, digits, - and ."
	TLSSecretName string `json:"tlsSecretName,omitempty"`
}

// AnnotationValue is one line: some ingress controllers copy it into a configuration of their own, where a line break would begin
// another directive.
//
// +kubebuilder:validation:MaxLength=1024
// +kubebuilder:validation:XValidation:rule="self.matches('^[^\\\\p{Cc}\\\\p{Cf}\\\\p{Zl}\\\\p{Zp}]*$')",message="url.ingress.annotations: a value must be one line of visible characters: remove line breaks, tabs and other control characters"
type AnnotationValue string

// Backend is the app that receives the verified messages.
type Backend struct {
	// service is the app's Service.
	// +required
	Service ServiceReference `json:"service,omitzero"`

	// tls calls the app by HTTPS. Left out, it is called by plain HTTP.
	// +optional
	TLS *BackendTLS `json:"tls,omitempty"`

	// path is the path that the app is called with. Left out, it is the path of the request: url.path, or its
	// twin with a trailing slash, whichever was entered in the console.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.matches('^/([A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*/?)?$')",message="backend.path must be like /weixin or /weixin/: segments of letters, digits and - . _ ~, no query"
	// +kubebuilder:validation:XValidation:rule="!self.matches('(^|/)[.][.]?(/|$)')",message="backend.path must not hold a . or .. segment: write the path that they lead to"
	Path string `json:"path,omitempty"`

	// payload is the form in which the app gets a message: Decrypted is the inner message, Original is what WeChat sent,
	// for an app that keeps its own SDK.
	// +optional
	// +default="Decrypted"
	Payload Payload `json:"payload,omitempty"`

	// deadline is how long the app has to answer before the sidecar answers WeChat in its place. WeChat hangs up after 5
	// seconds. From 100ms to 4900ms. Left out, it is the default of the platform and the kind of message.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('100ms') && duration(self) <= duration('4900ms')",message="backend.deadline must be from 100ms to 4900ms, because WeChat hangs up after 5s"
	Deadline *metav1.Duration `json:"deadline,omitempty"`

	// onDeadline is what WeChat is told when the app has not answered at the deadline: Acknowledge, Fail (an error, so that
	// WeChat sends the message again) or AwaitRetry (nothing, until WeChat hangs up). Left out, it is the default of the
	// platform and the kind of message; for Pay it is always Fail.
	// +optional
	OnDeadline OnDeadline `json:"onDeadline,omitempty"`
}

// BackendTLS says how the app is known that is called by HTTPS.
type BackendTLS struct {
	// caBundle holds the certificates, in PEM, of who may issue the app's certificate: no other is trusted.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=16384
	// +kubebuilder:validation:XValidation:rule="self.contains('-----BEGIN CERTIFICATE-----')",message="backend.tls.caBundle must be one or more certificates in PEM: copy ca.crt from who issued the app's certificate"
	CABundle string `json:"caBundle,omitempty"`

	// serverName is the name in the app's certificate. Left out, it is the Service's, such as shop-app.team-a.svc.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="backend.tls.serverName must be a host name in lower case, without port, such as shop-app.team-a.svc"
	ServerName string `json:"serverName,omitempty"`
}

// Rule says what happens to the messages that match it.
//
// +kubebuilder:validation:XValidation:rule="self.action != 'Discard' || !has(self.backend)",message="rules: backend is not called by action Discard: remove the rule's backend, or set its action to Forward"
type Rule struct {
	// match says which messages the rule is for.
	// +required
	Match RuleMatch `json:"match,omitzero"` //nolint:kubeapilinter // none of its fields is required, but one of them is: an empty match is refused

	// action is Forward, or Discard: success is answered, and no app is called.
	// +required
	Action RuleAction `json:"action,omitempty"`

	// backend is where Forward sends the message. Left out, it is spec.backend.
	// +optional
	Backend *Backend `json:"backend,omitempty"`
}

// RuleMatch compares fields of the message, exactly. What is left out is not compared; a field that stands twice in a
// message matches no rule.
//
// +kubebuilder:validation:XValidation:rule="has(self.msgType) || has(self.event) || has(self.infoType)",message="rules: match must name at least one of msgType, event and infoType"
// +kubebuilder:validation:XValidation:rule="!has(self.infoType) || !has(self.msgType) && !has(self.event)",message="rules: match.infoType beside msgType or event matches nothing: no message has both. Make two rules"
// +kubebuilder:validation:XValidation:rule="!has(self.msgType) || self.msgType == self.msgType.lowerAscii()",message="rules: match.msgType matches nothing with a capital letter: WeChat writes it like text"
// +kubebuilder:validation:XValidation:rule="!has(self.event) || !has(self.msgType) || self.msgType == 'event'",message="rules: match.event matches only where MsgType is event: set match.msgType to event, or remove it"
type RuleMatch struct {
	// msgType is the message's MsgType (msgtype for WeCom's bots), such as text or event.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[!-~]+$')",message="rules: match.msgType must be a word as the message holds it, such as text: printable ASCII without spaces"
	MsgType string `json:"msgType,omitempty"`

	// event is the message's Event, such as subscribe, or the event_type of a notification of Pay.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[!-~]+$')",message="rules: match.event must be a word as the message holds it, such as subscribe: printable ASCII without spaces"
	Event string `json:"event,omitempty"`

	// infoType is the message's InfoType, which third-party platforms and suites are told, such as component_verify_ticket.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[!-~]+$')",message="rules: match.infoType must be a word as the message holds it, such as suite_ticket: printable ASCII without spaces"
	InfoType string `json:"infoType,omitempty"`
}

// DomainFile is a file at the root of the host, which the console asks for before it accepts the domain.
type DomainFile struct {
	// name is the file's name, such as MP_verify_abc.txt: letters, digits, - and _, at most 64 of them, and .txt.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=68
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9_-]{1,64}[.]txt$')",message="domainFiles: name must be that of the file that the console offers, such as MP_verify_abc.txt: letters, digits, - and _, at most 64 of them, and .txt"
	// +kubebuilder:validation:XValidation:rule="!(self.lowerAscii() in ['robots.txt', 'security.txt', 'ads.txt', 'app-ads.txt'])",message="domainFiles: name must be none of robots.txt, security.txt, ads.txt and app-ads.txt, which are the web site's own: remove the entry"
	Name string `json:"name,omitempty"`

	// content is served as it is: at most 4096 bytes.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	// +kubebuilder:validation:XValidation:rule="size(bytes(self)) <= 4096",message="domainFiles: content must have at most 4096 bytes: copy it from the file that the console offers"
	Content string `json:"content,omitempty"`
}

// ServiceReference names a port of a Service.
type ServiceReference struct {
	// name is the name of the Service. It must not be of type ExternalName.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="!format.dns1035Label().validate(self).hasValue()",message="backend.service.name must be the name of a Service: lower-case letters, digits and -, starting with a letter"
	Name string `json:"name,omitempty"`

	// namespace is that of the Service. Left out, it is the endpoint's. Another one must allow it by a ReferenceGrant (Gateway
	// API) from WeChatEndpoints of this namespace to its Services.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Label().validate(self).hasValue()",message="backend.service.namespace must be the name of a namespace: lower-case letters, digits and -"
	Namespace string `json:"namespace,omitempty"`

	// port is a port of the Service, by number (without quotes) or by name.
	// +required
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=15
	// +kubebuilder:validation:Pattern=`^[a-z0-9-]+$`
	Port intstr.IntOrString `json:"port,omitempty,omitzero"` //nolint:kubeapilinter // its zero value, port 0, is refused: no pointer is needed to tell it from a missing one
}

// Verification tunes the checks of a callback.
//
// +kubebuilder:validation:XValidation:rule="!has(self.enforcement) || self.enforcement != 'InsecureAudit' || has(self.auditUntil)",message="verification.auditUntil is required with enforcement InsecureAudit: set a time within 14 days, such as 2026-01-31T12:00:00Z"
// +kubebuilder:validation:XValidation:rule="!has(self.auditUntil) || has(self.enforcement) && self.enforcement == 'InsecureAudit'",message="verification.auditUntil is only used with enforcement InsecureAudit: remove it"
type Verification struct {
	// freshness is how far a callback's timestamp may be from now, before or after. From 30s to 25h. Left out, it is
	// 5m, or 25h for encrypted messages that WeChat repeats for so long, such as those about money.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('30s') && duration(self) <= duration('25h')",message="verification.freshness must be from 30s to 25h: shorter refuses WeChat's own retries, longer lets a captured request be replayed for days"
	Freshness *metav1.Duration `json:"freshness,omitempty"`

	// enforcement says what happens to a message that fails a check. Enforce refuses it. InsecureAudit, for a migration,
	// lets it through until auditUntil, marked as unverified; it needs backend.payload Original and is never for Pay. URL
	// checks are always enforced.
	// +optional
	// +default="Enforce"
	Enforcement Enforcement `json:"enforcement,omitempty"`

	// auditUntil is when InsecureAudit ends and Enforce begins by itself: at most 14 days ahead.
	// +optional
	AuditUntil *metav1.Time `json:"auditUntil,omitempty"`
}

// Sidecar sizes the pods that verify the callbacks.
//
// +kubebuilder:validation:XValidation:rule="!has(self.autoscaling) || !has(self.replicas) || self.replicas > 0",message="replicas must be 1 or more with autoscaling: remove autoscaling to stop the pods"
// +kubebuilder:validation:XValidation:rule="!has(self.autoscaling) || !has(self.resources) || has(self.resources.requests) && 'cpu' in self.resources.requests || has(self.resources.limits) && 'cpu' in self.resources.limits",message="autoscaling needs a CPU request to measure by: set resources.requests.cpu"
type Sidecar struct {
	// replicas is the number of pods.
	// +optional
	// +default=2
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Replicas *int32 `json:"replicas,omitempty"`

	// autoscaling lets a HorizontalPodAutoscaler choose the number of pods. Then replicas is only where it begins.
	// +optional
	Autoscaling *Autoscaling `json:"autoscaling,omitempty"`

	// imageVersion is the tag of the sidecar's image, or its digest (sha256:…), in the installation's own repository: for an
	// endpoint that tries a version before the others, or stays with one. Left out, it is the installation's version, which
	// reaches the endpoints some at a time.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^([A-Za-z0-9_][A-Za-z0-9_.-]*|sha256:[0-9a-f]{64})$')",message="imageVersion must be a tag, such as 1.2.0, or a digest, such as sha256:… with 64 hexadecimal digits; the repository is the installation's"
	ImageVersion string `json:"imageVersion,omitempty"`

	SidecarPod `json:",inline"`
}

// Autoscaling bounds the number of pods, and says what it follows.
//
// +kubebuilder:validation:XValidation:rule="self.maxReplicas >= self.minReplicas",message="autoscaling.maxReplicas must not be less than minReplicas"
type Autoscaling struct {
	// minReplicas is the least number of pods.
	// +optional
	// +default=2
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	MinReplicas *int32 `json:"minReplicas,omitempty"`

	// maxReplicas is the greatest number of pods.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	MaxReplicas int32 `json:"maxReplicas,omitempty"`

	// targetCPUUtilizationPercentage is what the pods' mean use of the CPU is kept near, in percent of what they request.
	// +optional
	// +default=70
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	TargetCPUUtilizationPercentage *int32 `json:"targetCPUUtilizationPercentage,omitempty"`
}

// SidecarPod is what a sidecar's pod may be asked to be. A field that is left out is the installation's default, one that
// is there replaces it, and an empty list, map or section asks for none.
type SidecarPod struct {
	// resources of the sidecar container. Default: requests of 10m CPU and 16Mi memory, and a limit of 64Mi memory; of a gateway's, 48Mi and
	// 192Mi memory, with which it serves a thousand endpoints of the usual size.
	// +optional
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`

	// nodeSelector names labels of the nodes that the pods may run on.
	// +optional
	// +mapType=atomic
	// +kubebuilder:validation:MaxProperties=32
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`

	// tolerations let the pods run on nodes with taints.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`

	// affinity says near what the pods run. They are spread over the nodes without it too.
	// +optional
	Affinity *corev1.Affinity `json:"affinity,omitempty"`

	// imagePullSecrets name Secrets of the endpoint's namespace with which the sidecar's image is pulled.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	ImagePullSecrets []PullSecret `json:"imagePullSecrets,omitempty"`

	// priorityClassName is the PriorityClass of the pods. Left out, it is the cluster's default.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="priorityClassName must be the name of a PriorityClass: see kubectl get priorityclasses"
	PriorityClassName string `json:"priorityClassName,omitempty"`
}

// PullSecret names a Secret with the credentials of a registry.
type PullSecret struct {
	// name is the name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="imagePullSecrets: name must be the name of a Secret: lower-case letters, digits, - and ."
	Name string `json:"name,omitempty"`
}

// RolloutSlot is an endpoint's place among those that get the installation's new pods now.
type RolloutSlot struct {
	// since is when it began.
	// +required
	Since *metav1.Time `json:"since,omitempty"`

	// template names the pods that it is for, by a digest.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Template string `json:"template,omitempty"`

	// failingBefore says that the pods were not available or not verified before it began: it is no fault of the new ones.
	// +optional
	FailingBefore bool `json:"failingBefore,omitempty"`
}

// WeChatEndpointStatus is what the operator saw.
type WeChatEndpointStatus struct {
	// conditions say what holds and what to do about what does not: Accepted, CredentialsResolved, BackendResolved,
	// SidecarAvailable, RouteProgrammed, Verified and, of them all, Ready. Beside it Reachable, SidecarCurrent and, as a
	// warning, BackendExposed.
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

	// published are the routes that the operator has made for this endpoint, as it made them. The endpoint's right to its URL rests
	// on this, and on no object that others may write.
	// +optional
	// +listType=map
	// +listMapKey=by
	// +kubebuilder:validation:MaxItems=2
	Published []PublishedRoute `json:"published,omitempty"`

	// fleet says whose pods serve the URL, and what a move to others has come to.
	// +optional
	Fleet FleetStatus `json:"fleet,omitempty,omitzero"`

	// observedGeneration is the generation of the spec that this status speaks of.
	// +optional
	// +kubebuilder:validation:Minimum=0
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// rollout is this endpoint's slot, in which it gets the pods that the installation asks for now. Left out, it has none.
	// +optional
	Rollout *RolloutSlot `json:"rollout,omitempty"`

	// credentials are the accepted credentials.
	// +optional
	Credentials CredentialsStatus `json:"credentials,omitempty,omitzero"`

	// certificateNotAfter is when the certificate ends that the published address showed for url.host when the operator last called it.
	// Left out where TLS does not end there, or where the operator could not call it.
	// +optional
	CertificateNotAfter *metav1.Time `json:"certificateNotAfter,omitempty"`

	// Unreadable names the fields of the stored object that could not be read, and says why. Then nothing else of the status is
	// known. It is no field of the API.
	Unreadable []string `json:"-"`
}

// FleetStatus names fleets by their Deployments: NAME-sidecar has an endpoint's own pods, and NAME-wechat-gateway a gateway's.
type FleetStatus struct {
	// leadsTo is the Deployment to whose pods the URL leads.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	LeadsTo string `json:"leadsTo,omitempty"`

	// since is when the URL was led there from another one.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`

	// former is the Deployment to whose pods it led before. They go on serving until what publishes the URL has settled.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Former string `json:"former,omitempty"`

	// verified is the Deployment whose pods were verified, and to which the URL is led next.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Verified string `json:"verified,omitempty"`
}

// PublishedRoute is what one object of the operator's publishes.
type PublishedRoute struct {
	// by is the kind of the object: Ingress or HTTPRoute. While url.exposure changes, there is one of each.
	// +required
	By Exposure `json:"by,omitempty"`

	// host is the host of the paths. Left out, it is every host.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Host string `json:"host,omitempty"`

	// paths are the paths that lead here. One that ends with /* stands for all below it.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=18
	// +kubebuilder:validation:items:MaxLength=258
	Paths []string `json:"paths,omitempty"`
}

// CredentialsStatus says which credentials are accepted. It holds nothing that is derived from a secret byte.
type CredentialsStatus struct {
	// generation counts the changes of the credentials: 1 for the first that were served.
	// +optional
	// +kubebuilder:validation:Minimum=1
	Generation int64 `json:"generation,omitempty"`

	// accepted are the values that are accepted now, newest first.
	// +optional
	// +listType=map
	// +listMapKey=generation
	// +kubebuilder:validation:MaxItems=4
	Accepted []AcceptedCredentials `json:"accepted,omitempty"`

	// lost are the generations of earlier values that WeChat may still use, and that stand nowhere any more.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=4
	Lost []int64 `json:"lost,omitempty"`
}

// AcceptedCredentials are the values of one generation.
type AcceptedCredentials struct {
	// generation is their number.
	// +required
	// +kubebuilder:validation:Minimum=1
	Generation int64 `json:"generation,omitempty"`

	// since is when they became the newest ones beside earlier ones. Left out, there were no earlier ones.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`

	// until is when they end. Left out, they do not end by themselves.
	// +optional
	Until *metav1.Time `json:"until,omitempty"`

	// firstUsed is when WeChat was first seen using them: by a verified message, or the URL check of the console. Left
	// out, it was not.
	// +optional
	FirstUsed *metav1.Time `json:"firstUsed,omitempty"`

	// lastUsed is when WeChat was last seen using them, to the hour.
	// +optional
	LastUsed *metav1.Time `json:"lastUsed,omitempty"`
}
