// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package config is the contract between the operator and the sidecar, both ways: an endpoint's Document, which the operator writes
// into a Secret and the sidecar reads from a file, and the Status that the sidecar answers with.
//
// A document is whole or absent. The package imports nothing of the project, so that the sidecar stays free of Kubernetes.
package config

import (
	"maps"
	"slices"
	"time"
)

// Names of files in a sidecar's folder. Those of a volume are also the keys of its Secrets.
const (
	// DocumentSuffix ends the name of a document. What stands before it names the entry.
	DocumentSuffix = ".json"
	// ListSuffix ends the name of a list, which holds the names of entries between white space: those that are in the Secret of the
	// list. One that it does not name any more has ended.
	ListSuffix = ".list"
	// File is the document of pods that serve one endpoint, and Entry the name of that.
	File  = Entry + DocumentSuffix
	Entry = "endpoint"
)

// MaxEntries is how many documents a sidecar reads.
const MaxEntries = 8192

// Document is all that a sidecar is told about an endpoint. Never log a value of this type.
type Document struct {
	Config
	Credentials Credentials `json:"credentials"`
}

// Config says what one sidecar serves. What is left out has the default of its platform.
type Config struct {
	// Version is the lowest version of the contract that knows all that the document says; zero is VersionFirst.
	Version int `json:"version,omitempty"`
	// Generation names the document. The sidecar reports it on /status.
	Generation string `json:"generation"`
	// Endpoint is namespace/name of the WeChatEndpoint; it is told to the app.
	Endpoint string `json:"endpoint"`
	// Platform is one of the Platform constants.
	Platform string `json:"platform"`
	// AppID is told to the app where the message names no receiver of its own.
	AppID string `json:"appID"`
	// ReceiverIDs are accepted at the end of decrypted messages; none accepts AppID only. An empty string accepts messages
	// without a receiver (WeCom's bots), $CORPID$ the id that stands in its place in the URL, and * any.
	ReceiverIDs []string `json:"receiverIDs,omitempty"`
	// MessageMode is one of the Mode constants for OfficialAccount and MiniProgram, and empty for the others, which have
	// only one.
	MessageMode string `json:"messageMode,omitempty"`
	// Host is the only host that is answered, without port; empty answers every host.
	Host string `json:"host,omitempty"`
	// Path is the only path that is answered, and its twin with a trailing slash. One whole segment may be $APPID$ or
	// $CORPID$, which stands for any id.
	Path string `json:"path"`
	// Query is the part of the console's URL behind the question mark, such as id=5: every callback must carry these parameters,
	// and the app is called with them. A value may hold the placeholder, if Path has none.
	Query string `json:"query,omitempty"`
	// Freshness is how old a callback's timestamp may be; zero is the default of the platform and the kind of message.
	Freshness Duration `json:"freshness,omitempty"`
	// AuditUntil, until that time, lets messages through that fail a check, marked as unverified. Nil enforces.
	AuditUntil *time.Time `json:"auditUntil,omitempty"`
	// Backend is the app.
	Backend Backend `json:"backend"`
	// Rules are tried in their order, and the first that matches decides; without a match, Backend gets the message.
	Rules []Rule `json:"rules,omitempty"`
	// DomainFiles are served at the root of the host.
	DomainFiles []DomainFile `json:"domainFiles,omitempty"`
}

// Backend is an app that receives verified messages.
type Backend struct {
	// URL is http://host:port, or https:// with TLS, nothing more.
	URL string `json:"url"`
	// TLS says how the app is known; nil for one that is called in clear.
	TLS *BackendTLS `json:"tls,omitempty"`
	// Path is the path that the app is called with; empty calls it with the request's own path.
	Path string `json:"path,omitempty"`
	// Payload is Decrypted or Original; empty is Decrypted.
	Payload string `json:"payload,omitempty"`
	// Deadline is how long the app has to answer, from the arrival of the callback's head; zero is the default of the
	// platform and the kind of message.
	Deadline Duration `json:"deadline,omitempty"`
	// OnDeadline is one of the OnDeadline constants; empty is the default of the platform and the kind of message.
	OnDeadline string `json:"onDeadline,omitempty"`
}

// BackendTLS says how an app is known that is called by HTTPS.
type BackendTLS struct {
	// CA holds the certificates, in PEM, of who may issue the app's.
	CA string `json:"ca"`
	// ServerName is the name in the app's certificate; empty is the host of the URL.
	ServerName string `json:"serverName,omitempty"`
}

// Rule says what happens to the messages that match it.
type Rule struct {
	Match Match `json:"match"`
	// Action is Forward or Discard.
	Action string `json:"action"`
	// Backend is where Forward sends the message; nil is the Config's own.
	Backend *Backend `json:"backend,omitempty"`
}

// Match compares fields of the message, exactly. An empty field of a Match is not compared; a field that stands twice in a
// message matches no rule.
type Match struct {
	// MsgType is the message's MsgType (msgtype for WeCom's bots), such as text or event.
	MsgType string `json:"msgType,omitempty"`
	// Event is the message's Event, or event_type for Pay.
	Event string `json:"event,omitempty"`
	// InfoType is the message's InfoType: what third-party platforms and suites are told about.
	InfoType string `json:"infoType,omitempty"`
}

// DomainFile proves to WeChat who owns the host.
type DomainFile struct {
	// Name is the file's name at the root, such as MP_verify_abc.txt.
	Name string `json:"name"`
	// Content is served as it is.
	Content string `json:"content"`
}

// Credentials are what callbacks are verified with. Never log a value of this type.
type Credentials struct {
	// Pairs are accepted, newest first.
	Pairs []Pair `json:"pairs"`
	// GatewayKey is 32 bytes that sign what goes to the app, which may hold them too. Nil signs nothing.
	GatewayKey []byte `json:"gatewayKey,omitempty"`
}

// Pair is one accepted set of values from the console.
type Pair struct {
	// Generation counts the changes of the user's Secret, from 1. It is no secret.
	Generation int64 `json:"generation"`
	// Token is the console's Token; empty for Pay.
	Token string `json:"token,omitempty"`
	// EncodingAESKey is the console's 43 characters; empty for Plaintext and Pay.
	EncodingAESKey string `json:"encodingAESKey,omitempty"`
	// APIv3Key is the 32 characters that Pay's resources are encrypted with; empty for the others.
	APIv3Key string `json:"apiV3Key,omitempty"`
	// PlatformKeys verify Pay's signatures, by serial: the id of a public key (PUB_KEY_ID_…), or a certificate's serial
	// number in upper-case hexadecimal digits. The values are PEM.
	PlatformKeys map[string]string `json:"platformKeys,omitempty"`
	// NotAfter is when the pair ends: from then on it verifies nothing. Nil is never.
	NotAfter *time.Time `json:"notAfter,omitempty"`
}

// Accepted reports whether the pair has not ended.
func (p Pair) Accepted(now time.Time) bool { return p.NotAfter == nil || now.Before(*p.NotAfter) }

// Equal reports whether two pairs hold the same values; the generation and the end do not count.
func (p Pair) Equal(q Pair) bool {
	return p.Token == q.Token && p.EncodingAESKey == q.EncodingAESKey && p.APIv3Key == q.APIv3Key &&
		maps.Equal(p.PlatformKeys, q.PlatformKeys)
}

// What marks a request that is played: by the operator, to see whether a sidecar answers, or by kubectl wechat. It is verified
// like any other; what is signed with a nonce like that tells nothing of the console.
const (
	// ProbeNoncePrefix is for URL checks, and for messages of ProbeInfoType. Other messages in plaintext mode are refused with it.
	ProbeNoncePrefix = "wechatendpoint-probe-"
	// TrialNoncePrefix is for messages that are to reach the app.
	TrialNoncePrefix = "wechatendpoint-trial-"
	// ProbeInfoType is the InfoType of a message that reaches no app.
	ProbeInfoType = "wechatendpoint_probe"
)

// Platforms that the sidecar speaks.
const (
	PlatformOfficialAccount = "OfficialAccount"
	PlatformMiniProgram     = "MiniProgram"
	PlatformShop            = "Shop"
	PlatformWeCom           = "WeCom"
	PlatformOpenPlatform    = "OpenPlatform"
	PlatformPay             = "Pay"
)

// Message modes of OfficialAccount and MiniProgram (明文模式, 兼容模式, 安全模式).
const (
	ModePlaintext  = "Plaintext"
	ModeCompatible = "Compatible"
	ModeEncrypted  = "Encrypted"
)

// Forms in which the app gets a message.
const (
	PayloadDecrypted = "Decrypted" // the inner message, byte for byte
	PayloadOriginal  = "Original"  // as WeChat sent it, for an app that keeps its own SDK
)

// What WeChat is told when the app has not answered at the deadline.
const (
	OnDeadlineAcknowledge = "Acknowledge" // success; the app's reply is lost
	OnDeadlineFail        = "Fail"        // an error, so that WeChat sends the message again
	OnDeadlineAwaitRetry  = "AwaitRetry"  // nothing, until WeChat hangs up; its retry joins the call
)

// Actions of a Rule.
const (
	ActionForward = "Forward"
	ActionDiscard = "Discard" // success, and the app is not called
)

// Placeholders of the URL, which stand for any id.
const (
	PlaceholderAppID  = "$APPID$"
	PlaceholderCorpID = "$CORPID$"
)

// AnyReceiver among the ReceiverIDs accepts messages whoever they are for.
const AnyReceiver = "*"

// HasModes reports whether the platform's console offers message modes.
func HasModes(platform string) bool {
	return platform == PlatformOfficialAccount || platform == PlatformMiniProgram
}

// Encrypted reports whether messages come encrypted with an EncodingAESKey.
func Encrypted(platform, mode string) bool {
	return platform != PlatformPay && mode != ModePlaintext
}

// Encrypted reports whether messages come encrypted with an EncodingAESKey.
func (c *Config) Encrypted() bool { return Encrypted(c.Platform, c.MessageMode) }

// MustNotBeLost reports whether WeChat repeats a message for hours until the app takes it. It does so with messages of some kinds,
// and on some platforms with all.
func (c *Config) MustNotBeLost(kind bool) bool {
	return kind || c.Platform == PlatformPay || c.Platform == PlatformShop || c.Platform == PlatformOpenPlatform
}

// Apps are the URLs of the different apps that get messages.
func (c Config) Apps() []string {
	apps := []string{c.Backend.URL}
	for _, rule := range c.Rules {
		if rule.Backend != nil && !slices.Contains(apps, rule.Backend.URL) {
			apps = append(apps, rule.Backend.URL)
		}
	}
	return apps
}

// EntryCost is what an entry takes of a sidecar's memory whose document has so many bytes, so many rules and so many apps: its text, as read and
// in parts, its keys and its metrics, with the series that begin with its first message, with everything that strangers try, and with the use of
// its rules and apps. Bytes; a test of the sidecar measures it.
func EntryCost(size, rules, apps int) int {
	cost := 17<<10 + 2*size + rules<<10
	if apps > 1 {
		cost += apps * 1536
	}
	return cost
}

// RoomForEntries is how much of so much memory entries may take, where there are several. The rest is for messages. Bytes.
func RoomForEntries(memory int64) int { return int(memory / 8) }

// Windows of freshness. Pay's developer documentation has the first; message push documents none. The second is for what WeChat
// repeats for up to 24 hours, with the timestamp of the first try.
const (
	Freshness     = 5 * time.Minute
	LongFreshness = 25 * time.Hour
)

// Duration is a time.Duration written like 4.5s in JSON.
type Duration time.Duration

func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes the duration as time.Duration.String does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}
