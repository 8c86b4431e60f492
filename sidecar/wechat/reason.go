// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package wechat

// Reason says why a callback was refused. The set is closed: it is also the "reason" label of
// wechat_sidecar_refused_total.
type Reason string

// The reasons, in the order in which a callback meets them.
const (
	ReasonUnknownURL    Reason = "unknown_url"    // no such host or path here
	ReasonMalformed     Reason = "malformed"      // method, parameters or body cannot be WeChat's
	ReasonDowngrade     Reason = "downgrade"      // a plaintext message to an endpoint in an encrypted mode
	ReasonWrongMode     Reason = "wrong_mode"     // an encrypted message to an endpoint in plaintext mode
	ReasonStale         Reason = "stale"          // the timestamp is too far from now
	ReasonTooLarge      Reason = "too_large"      // the body is over the bound
	ReasonUnknownSerial Reason = "unknown_serial" // a notification of Pay signed with a key that is not in the Secret
	ReasonBadSignature  Reason = "bad_signature"  // signed with another token or key, or not signed at all
	ReasonUndecryptable Reason = "undecryptable"  // well signed, but no key of the Secret opens it
	ReasonWrongReceiver Reason = "wrong_receiver" // encrypted for another account
	ReasonReflected     Reason = "reflected"      // a sealed reply that is posted back
	ReasonReplayed      Reason = "replayed"       // a used signature with another body
)

// Reasons lists every Reason, for metrics that start at zero.
var Reasons = []Reason{
	ReasonUnknownURL, ReasonMalformed, ReasonDowngrade, ReasonWrongMode, ReasonStale, ReasonTooLarge, ReasonUnknownSerial,
	ReasonBadSignature, ReasonUndecryptable, ReasonWrongReceiver, ReasonReflected, ReasonReplayed,
}

// Refusal is the error of a callback that must not go on. Its text is for the log of the operator of the sidecar and
// never for the client, who must not learn which check he failed. It holds no value of the request but the Receiver.
type Refusal struct {
	Reason Reason
	Detail string // what is wrong, and where a person can mend it
	// Receiver is whom a message was encrypted for that was refused with ReasonWrongReceiver, if that is an id. Who encrypted it has
	// the token and the key.
	Receiver string
}

func (r *Refusal) Error() string { return string(r.Reason) + ": " + r.Detail }

// Refuse returns a Refusal.
func Refuse(reason Reason, detail string) *Refusal { return &Refusal{Reason: reason, Detail: detail} }
