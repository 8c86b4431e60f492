// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// refusals say what the reason of a callback's refusal means, and what to do when the callback was WeChat's.
var refusals = map[wechat.Reason][2]string{
	wechat.ReasonUnknownURL:    {"a call of a host or path that no endpoint has", "compare the URL in the console with status.url; scanners of the internet call any path"},
	wechat.ReasonMalformed:     {"a call that cannot be WeChat's: its method, parameters or body", "look whether a proxy changes the query or the body; scanners of the internet call so, too"},
	wechat.ReasonDowngrade:     {"a plaintext message to an endpoint that wants encrypted ones", "compare 消息加解密方式 in the console with messageMode"},
	wechat.ReasonWrongMode:     {"an encrypted message to an endpoint in plaintext mode", "compare 消息加解密方式 in the console with messageMode"},
	wechat.ReasonStale:         {"the timestamp is too far from the node's time", "set the node's clock by NTP; an old call that is sent again is an attack"},
	wechat.ReasonTooLarge:      {"the body is too large", "WeChat sends no such body: see who calls, in the ingress controller's log"},
	wechat.ReasonUnknownSerial: {"a notification of WeChat Pay that is signed with a key that is not in the Secret", "put WeChat Pay's public key with its id, or the certificate with that serial, into the Secret"},
	wechat.ReasonBadSignature:  {"signed with another token or key, or not signed at all", "compare the token in the console with the Secret; of somebody else's calls there is nothing to do"},
	wechat.ReasonUndecryptable: {"well signed, but no key of the Secret opens it", "compare EncodingAESKey in the console with the Secret"},
	wechat.ReasonWrongReceiver: {"encrypted for another account", "compare appID and receiverIDs with the console"},
	wechat.ReasonReflected:     {"a sealed reply of the app's that somebody posted back", "nothing: it is an attack, and it was refused"},
	wechat.ReasonReplayed:      {"a used signature with another body", "nothing: it is an attack, and it was refused"},
}

// Log says what the reason of a refusal in a sidecar's log means, and what to do; both are empty for a reason that is not known.
func Log(reason wechat.Reason) (meaning, remedy text.Text) {
	known, ok := refusals[reason]
	if !ok {
		return text.Text{}, text.Text{}
	}
	return text.New(known[0]), text.New(known[1])
}
