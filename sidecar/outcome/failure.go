// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"slices"
	"strconv"
	"strings"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// Failure is why an app's answer did not reach WeChat. It is an error that holds no byte of a message, a reply or an address.
type Failure struct {
	Cause Cause
	// Number is the status of a Status, and the bound in bytes of a TooLong; zero otherwise.
	Number int64
}

// Cause is one of a closed list.
type Cause string

// Causes from the call of the app.
const (
	NoName           Cause = "no_name"
	Refused          Cause = "refused"
	UnknownAuthority Cause = "unknown_authority"
	NoAuthority      Cause = "no_authority"
	WrongName        Cause = "wrong_name"
	BadCertificate   Cause = "bad_certificate"
	NotTLS           Cause = "not_tls"
	TLS              Cause = "tls"
	Ended            Cause = "ended"
	Late             Cause = "late"
	Closed           Cause = "closed"
	NotHTTP          Cause = "not_http"
	LongHead         Cause = "long_head"
	Upgrade          Cause = "upgrade"
)

// Causes from its answer. Those of the reply itself are wechat.ReplyFaults.
const (
	Status     Cause = "status"
	Compressed Cause = "compressed"
	CutOff     Cause = "cut_off"
	NoRoom     Cause = "no_room"
	TooLong    Cause = "too_long"
)

// ofCall are what is wrong with the app, and what to do.
var ofCall = map[Cause][2]string{
	NoName:           {"its name cannot be resolved", "see whether the Service exists, and the cluster's DNS"},
	Refused:          {"it refuses connections", "see whether its pods run and listen on the Service's targetPort"},
	UnknownAuthority: {"its certificate is signed by an unknown authority", "compare it with backend.tls.caBundle"},
	NoAuthority:      {"no certificate by which it could be known can be read", "see backend.tls.caBundle"},
	WrongName:        {"its certificate is not valid for the name that is asked for", "set backend.tls.serverName to a name in it"},
	BadCertificate:   {"its certificate is not valid now, or not for this use", "renew it"},
	NotTLS:           {"it does not answer with TLS", "take backend.tls away, or name the port that has it"},
	TLS:              {"it ended the TLS handshake", "see its log"},
	Ended:            {"the call was ended", "see the sidecar's log"},
	Late:             {"it did not take the message in time", "see whether its pods are ready"},
	Closed:           {"it closed the connection", "see its log"},
	NotHTTP:          {"it does not answer with HTTP", "see whether the app has this port"},
	LongHead:         {"the head of its answer has too many bytes or lines", "let it set fewer headers and cookies"},
	Upgrade:          {"it answered with another protocol", "see whether the app has this port"},
}

// ofAnswer has # for the Number.
var ofAnswer = map[Cause][2]string{
	Status:     {"the app answered with status #, and WeChat takes 200 only", ""}, // whose remedy is that of the status
	Compressed: {"the app's reply is compressed, which WeChat does not read", "turn compression off for this path"},
	CutOff:     {"the app's reply broke off, or is not HTTP", "see the app's log"},
	NoRoom:     {"the sidecar had no memory for a reply of that size", "raise the limit in sidecar.resources, or let the app answer with less"},
	TooLong:    {"the app's reply is longer than # bytes, which is all that is passed on here", "let it answer with less"},
}

// explain says what is wrong and what to do, each as a clause. Called says that it is about the app itself.
func (f Failure) explain() (cause, remedy string, called bool) {
	if text, ok := ofCall[f.Cause]; ok {
		return text[0], text[1], true
	}
	if text, ok := ofAnswer[f.Cause]; ok {
		if f.Cause == Status {
			text[1] = remedyOfStatus(f.Number)
		}
		return strings.Replace(text[0], "#", strconv.FormatInt(f.Number, 10), 1), text[1], false
	}
	cause, remedy = wechat.ReplyFault(f.Cause).Explain()
	if cause == "" { // of a newer sidecar
		return "for a reason that is not known here", "see the sidecar's log", false
	}
	return cause, remedy, false
}

func remedyOfStatus(status int64) string {
	switch {
	case status/100 == 3:
		return "set backend.path to the path that answers by itself: what redirects is a login, or a slash at the end that is missing or too much"
	case status == 404 || status == 405:
		return "set backend.path to the path of the app that takes POST"
	}
	return "see the app's log"
}

// Error is the cause alone.
func (f Failure) Error() string {
	cause, _, _ := f.explain()
	return cause
}

func (c Cause) known() bool {
	_, call := ofCall[c]
	_, answer := ofAnswer[c]
	return call || answer || slices.Contains(wechat.ReplyFaults, wechat.ReplyFault(c))
}
