// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Condition types of a WeChatEndpoint, in the order in which a callback depends on them. A WeChatGateway has Accepted, SidecarAvailable, Verified,
// Ready and SidecarCurrent.
const (
	// ConditionAccepted is true when the spec is coherent and allowed here, no other endpoint holds its host and path,
	// and no foreign object has the name of one of its children.
	ConditionAccepted = "Accepted"
	// ConditionCredentialsResolved is true when the Secret is there, labelled, and holds well-formed values.
	ConditionCredentialsResolved = "CredentialsResolved"
	// ConditionBackendResolved is true when the app's Service and port exist and may be used.
	ConditionBackendResolved = "BackendResolved"
	// ConditionSidecarAvailable is true when the pods serve this configuration and these credentials, by their own word.
	ConditionSidecarAvailable = "SidecarAvailable"
	// ConditionRouteProgrammed is true when the route is applied at this generation and its class exists.
	ConditionRouteProgrammed = "RouteProgrammed"
	// ConditionVerified is true when the operator played WeChat against every pod with the newest credentials and was
	// answered as WeChat needs it: the URL check where there is one, a message of its own for OpenPlatform, and for Pay a
	// forged notification that was refused.
	ConditionVerified = "Verified"
	// ConditionReachable is true when the operator played WeChat through the address that the Ingress or the Gateway
	// publishes. It is not a part of Ready: the operator may stand where that address does not lead.
	ConditionReachable = "Reachable"
	// ConditionBackendAvailable is false when a backend's Service has no pod that is ready, or a sidecar could not reach it. It is no part of
	// Ready: WeChat sends most messages again.
	ConditionBackendAvailable = "BackendAvailable"
	// ConditionBackendExposed is true when another Ingress or HTTPRoute leads to a backend's Service, past every check. It is
	// a warning, and absent where there is none.
	ConditionBackendExposed = "BackendExposed"
	// ConditionWrongReceiver is true when a pod refused a message that was signed with the token and encrypted with the key, for
	// an account that the spec does not name. It is a warning, and absent where there is none.
	ConditionWrongReceiver = "WrongReceiver"
	// ConditionSidecarCurrent is true when the pods are what the installation asks for now: its image, its defaults, the
	// operator's own template. It is not a part of Ready: older pods serve as well, until the endpoint gets a slot.
	ConditionSidecarCurrent = "SidecarCurrent"
	// ConditionReady is true when all before Reachable are.
	ConditionReady = "Ready"
)

// Reasons of the conditions. The reason of an event is the reason of the condition that changed.
const (
	// ReasonAccepted: the spec is coherent and allowed.
	ReasonAccepted = "Accepted"
	// ReasonPaused: spec.paused keeps the operator's hands off.
	ReasonPaused = "Paused"
	// ReasonSpecUnreadable: a field of the stored spec holds what this operator cannot read or serve.
	ReasonSpecUnreadable = "SpecUnreadable"
	// ReasonHostRequired: url.host is left out, and this installation does not allow that.
	ReasonHostRequired = "HostRequired"
	// ReasonAnnotationNotAllowed: url.ingress.annotations has a key that this installation does not allow.
	ReasonAnnotationNotAllowed = "AnnotationNotAllowed"
	// ReasonAuditTooLong: verification.auditUntil is more than 14 days ahead.
	ReasonAuditTooLong = "AuditTooLong"
	// ReasonAuditEnded: verification.auditUntil is past, and the sidecar enforces again.
	ReasonAuditEnded = "AuditEnded"
	// ReasonHostNotAllowed: url.host belongs to another namespace, or the installation does not give it to this one.
	ReasonHostNotAllowed = "HostNotAllowed"
	// ReasonIngressClassNotAllowed: the installation does not allow the IngressClass.
	ReasonIngressClassNotAllowed = "IngressClassNotAllowed"
	// ReasonURLConflict: another endpoint holds the host and path, or the domain file.
	ReasonURLConflict = "URLConflict"
	// ReasonNameTaken: an object that this endpoint does not control has the name of one of its children.
	ReasonNameTaken = "NameTaken"

	// ReasonCredentialsResolved: the Secret holds well-formed values.
	ReasonCredentialsResolved = "CredentialsResolved"
	// ReasonRotationStarting: newer values are accepted too, but not yet by every pod: it is too early for the console.
	ReasonRotationStarting = "RotationStarting"
	// ReasonCredentialsLost: earlier values that WeChat may use stand nowhere any more.
	ReasonCredentialsLost = "CredentialsLost"
	// ReasonRotationPending: newer values are accepted too, and WeChat was not seen using them: the console's form waits to
	// be saved.
	ReasonRotationPending = "RotationPending"
	// ReasonRotationEnding: WeChat uses the newest values, and older ones are still accepted until a given time.
	ReasonRotationEnding = "RotationEnding"
	// ReasonSecretNotFound: there is no such Secret, or it lacks the label (without it the operator cannot see it).
	ReasonSecretNotFound = "SecretNotFound"
	// ReasonSecretKeyMissing: the Secret lacks a key.
	ReasonSecretKeyMissing = "SecretKeyMissing"
	// ReasonSecretMalformed: a value in the Secret cannot be a value of the console.
	ReasonSecretMalformed = "SecretMalformed"

	// ReasonBackendResolved: the Service and its port exist.
	ReasonBackendResolved = "BackendResolved"
	// ReasonServiceNotFound: there is no such Service.
	ReasonServiceNotFound = "ServiceNotFound"
	// ReasonServiceNotAllowed: the Service may not be a backend (ExternalName, or a sidecar's own).
	ReasonServiceNotAllowed = "ServiceNotAllowed"
	// ReasonPortNotFound: the Service has no such port.
	ReasonPortNotFound = "PortNotFound"
	// ReasonReferenceNotGranted: the Service is in another namespace, which has no ReferenceGrant for it.
	ReasonReferenceNotGranted = "ReferenceNotGranted"
	// ReasonTLSMalformed: backend.tls.caBundle cannot be read.
	ReasonTLSMalformed = "TLSMalformed"
	// ReasonBackendAvailable: every backend's Service has a pod that is ready.
	ReasonBackendAvailable = "BackendAvailable"
	// ReasonNoBackendPods: a backend's Service has none.
	ReasonNoBackendPods = "NoBackendPods"
	// ReasonBackendUnreached: a sidecar could not deliver its last message to an app.
	ReasonBackendUnreached = "BackendUnreached"
	// ReasonBackendExposed: another route leads to a backend's Service.
	ReasonBackendExposed = "BackendExposed"

	// ReasonWrongReceiver: a message for an account that the spec does not name was refused; the message names it.
	ReasonWrongReceiver = "WrongReceiver"

	// ReasonSidecarAvailable: every wanted pod serves this configuration and these credentials.
	ReasonSidecarAvailable = "SidecarAvailable"
	// ReasonProgressing: pods are starting, or are about to load the newest configuration.
	ReasonProgressing = "Progressing"
	// ReasonPodsUnreachable: a ready pod does not tell the operator what it serves; the message names it.
	ReasonPodsUnreachable = "PodsUnreachable"
	// ReasonPodsNotCreated: the API server refuses the pods (quota, admission); the message quotes it.
	ReasonPodsNotCreated = "PodsNotCreated"
	// ReasonPodsFailing: pods do not start (image, crash, scheduling); the message quotes why.
	ReasonPodsFailing = "PodsFailing"
	// ReasonScaledToZero: sidecar.replicas is 0, nothing answers.
	ReasonScaledToZero = "ScaledToZero"
	// ReasonNoSuchGateway: spec.gateway names a WeChatGateway that does not exist in the endpoint's namespace.
	ReasonNoSuchGateway = "NoSuchGateway"
	// ReasonGatewayDeleted: the WeChatGateway is being deleted. It goes on serving the endpoints that it has.
	ReasonGatewayDeleted = "GatewayDeleted"
	// ReasonGatewayFull: the WeChatGateway has no room for the endpoint.
	ReasonGatewayFull = "GatewayFull"
	// ReasonGatewayNotReady: the WeChatGateway has no pod that serves.
	ReasonGatewayNotReady = "GatewayNotReady"
	// ReasonEntryRefused: a pod of the WeChatGateway does not take what the endpoint asks for; the message quotes why.
	ReasonEntryRefused = "EntryRefused"

	// ReasonSidecarOutdated: the spec asks for something that the pods' image does not know yet.
	ReasonSidecarOutdated = "SidecarOutdated"

	// ReasonSidecarCurrent: the pods are what the installation asks for now.
	ReasonSidecarCurrent = "SidecarCurrent"
	// ReasonRolloutQueued: the installation asks for other pods, and other endpoints get theirs first.
	ReasonRolloutQueued = "RolloutQueued"
	// ReasonRolloutStopped: likewise, and nobody's pods are replaced while those of another endpoint fail.
	ReasonRolloutStopped = "RolloutStopped"
	// ReasonRollingOut: the pods are being replaced by those that the installation asks for.
	ReasonRollingOut = "RollingOut"
	// ReasonRolloutFailed: the new pods did not become available and verified in time; nobody else gets them meanwhile.
	ReasonRolloutFailed = "RolloutFailed"

	// ReasonRouteProgrammed: the route is applied and its class exists.
	ReasonRouteProgrammed = "RouteProgrammed"
	// ReasonIngressClassNotFound: the IngressClass does not exist, or none is the default.
	ReasonIngressClassNotFound = "IngressClassNotFound"
	// ReasonGatewayAPINotFound: url.exposure is HTTPRoute, and the cluster does not know that kind.
	ReasonGatewayAPINotFound = "GatewayAPINotFound"
	// ReasonChildTerminating: somebody deletes an object of the endpoint, and a finalizer keeps it.
	ReasonChildTerminating = "ChildTerminating"
	// ReasonTLSSecretNotFound: the Secret that url.ingress.tlsSecretName names does not exist, and another one is published.
	ReasonTLSSecretNotFound = "TLSSecretNotFound"
	// ReasonGatewayNotFound: a Gateway that url.httpRoute.parentRefs names does not exist.
	ReasonGatewayNotFound = "GatewayNotFound"
	// ReasonRouteNotAccepted: a Gateway has not accepted the HTTPRoute, or not yet, or the API server refuses the route; the
	// message quotes it.
	ReasonRouteNotAccepted = "RouteNotAccepted"
	// ReasonNotPublished: url.exposure is None, the user routes the URL.
	ReasonNotPublished = "NotPublished"

	// ReasonVerified: every pod answered as WeChat needs it.
	ReasonVerified = "Verified"
	// ReasonNotVerified: a pod did not; the message names it.
	ReasonNotVerified = "NotVerified"

	// ReasonReachable: the URL check succeeded through the published address.
	ReasonReachable = "Reachable"
	// ReasonNotReachable: it did not; the message says what came instead.
	ReasonNotReachable = "NotReachable"
	// ReasonAddressNotAllowed: the operator does not call the published address. It is in a private network that the installation does
	// not name, or is a loopback, link-local, multicast or metadata address.
	ReasonAddressNotAllowed = "AddressNotAllowed"
	// ReasonNoAddress: nothing publishes an address, which many ingress controllers never do.
	ReasonNoAddress = "NoAddress"

	// ReasonReady: all other conditions hold.
	ReasonReady = "Ready"
	// ReasonStatusRefused: the API server does not take the status of this endpoint; the message quotes why. What the other conditions
	// say may be out of date.
	ReasonStatusRefused = "StatusRefused"
	// ReasonNotObserved: no operator has looked at the object yet. The definition's default says so, and no operator writes it.
	ReasonNotObserved = "NotObserved"
	// ReasonWaiting: a condition cannot be known before another one holds.
	ReasonWaiting = "Waiting"

	// ReasonChildRecreated and ReasonChildRestored are reasons of events only: a child was deleted or changed by somebody else.
	ReasonChildRecreated = "ChildRecreated"
	ReasonChildRestored  = "ChildRestored"
)

const (
	// LabelCredentials marks a Secret as one that the operator may read: "true" on the user's Secret,
	// CredentialsGenerated on the one that the operator makes for the sidecar.
	LabelCredentials = "wechatendpoint.io/credentials"
	// CredentialsUser is the value of LabelCredentials on a Secret made by the user.
	CredentialsUser = "true"
	// CredentialsGenerated is the value of LabelCredentials on a Secret made by the operator.
	CredentialsGenerated = "generated"
	// LabelEndpoint names the endpoint that an object was made for.
	LabelEndpoint = "wechatendpoint.io/endpoint"
	// LabelGateway names the WeChatGateway that an object was made for.
	LabelGateway = "wechatendpoint.io/gateway"
	// FinalizerInUse is on a WeChatGateway that endpoints use: with it would go the pods that serve them.
	FinalizerInUse = "wechatendpoint.io/in-use"
	// AnnotationGeneration is patched onto sidecar pods when their configuration or credentials change: the kubelet
	// refreshes the files of a pod at once when its annotations change, instead of within a minute.
	AnnotationGeneration = "wechatendpoint.io/generation"
	// AnnotationTemplate is on the sidecar's Deployment and says for what template of pods it was applied, by a digest.
	AnnotationTemplate = "wechatendpoint.io/template"
	// AnnotationAsked is on the sidecar's Deployment and says what of its pods the endpoint itself had asked for, by a digest.
	AnnotationAsked = "wechatendpoint.io/asked"
)

// Keys of the user's Secret.
const (
	// KeyToken holds the token (Token) of the console; every platform but Pay has it.
	KeyToken = "token"
	// KeyEncodingAESKey holds the EncodingAESKey of the console, where messages are encrypted.
	KeyEncodingAESKey = "encodingAESKey"
	// KeyAPIv3Key holds the APIv3 key (APIv3密钥) of a merchant of Pay.
	KeyAPIv3Key = "apiV3Key"
	// KeyPublicKey holds WeChat Pay's public key (微信支付公钥) in PEM.
	KeyPublicKey = "publicKey"
	// KeyPublicKeyID holds the id of the public key (PUB_KEY_ID_…).
	KeyPublicKeyID = "publicKeyID"
	// KeyCertificates holds one or more of WeChat Pay's certificates (微信支付平台证书) in PEM.
	KeyCertificates = "certificates"
)

// The generated Secret NAME-gateway-key holds 32 bytes that sign what goes to the app.
const (
	// GatewayKeySuffix follows the endpoint's name in the Secret's.
	GatewayKeySuffix = "-gateway-key"
	// GatewayKeyKey is the Secret's only key.
	GatewayKeyKey = "key"
)
