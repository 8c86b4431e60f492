// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"

	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
)

// payOpening is a captured notification of Pay. Each step adds to it what the next needs.
type payOpening struct {
	account account
	capture capture
	keys    []keyring
	now     time.Time

	header       wechat.PayHeader
	notification wechat.PayNotification
	message      []byte
}

func (p *payOpening) opened() []byte { return p.message }

func (p *payOpening) steps() []step {
	return append(p.capture.tellUndone(),
		step{"headers", p.readHeader}, step{"age", p.tellAge}, step{"serial", p.findSerial}, step{"body", p.capture.whole},
		step{"signature", p.verify}, step{"notification", p.parse}, step{"resource", p.open})
}

// headless reports whether there is only a body.
func (p *payOpening) headless() bool { return p.capture.header == nil }

func (p *payOpening) readHeader() finding {
	if p.headless() {
		return skipped("none are given, so that nothing shows who sent this: pass --request with the whole HTTP request")
	}
	var refusal *wechat.Refusal
	var err error
	if p.header, err = wechat.ParsePayHeader(p.capture.header); errors.As(err, &refusal) {
		return failed(text.Verbatim(refusal.Detail), "capture the request as it arrived: proxies drop headers that they do not know, and the signature stands in them")
	}
	return found("timestamp, nonce, signature, serial %s", p.header.Serial)
}

func (p *payOpening) tellAge() finding {
	if p.headless() {
		return skipped("the timestamp stands in the headers")
	}
	return age(p.header.Timestamp, p.now, cmp.Or(p.account.freshness, config.Freshness))
}

func (p *payOpening) findSerial() finding {
	if p.headless() {
		return skipped("it stands in the headers")
	}
	if !slices.ContainsFunc(p.keys, func(k keyring) bool { return len(k.PlatformKeys) > 0 }) {
		return skipped("no public key of WeChat Pay is known without an endpoint: the signature is not looked at")
	}
	var known []string
	for _, key := range p.keys {
		if key.PlatformKeys[p.header.Serial] != "" {
			return found("a key of %s", key.from)
		}
		known = slices.AppendSeq(known, maps.Keys(key.PlatformKeys))
	}
	slices.Sort(known)
	return failed(text.New("signed with %s, and known are %s", p.header.Serial, strings.Join(slices.Compact(known), ", ")),
		"put WeChat Pay's public key with that id, or the certificate with that serial, into the Secret; a merchant's own serial is never there")
}

func (p *payOpening) verify() finding {
	if p.headless() {
		return skipped("it stands in the headers")
	}
	tried := false
	for _, key := range p.keys {
		public, err := config.ParsePlatformKey([]byte(key.PlatformKeys[p.header.Serial]))
		if err != nil {
			continue
		}
		tried = true
		if wechat.VerifyPay(public, p.header.Signature, p.header.Timestamp, p.header.Nonce, p.capture.body) {
			return found("made by the key with serial %s of %s, over this very body", p.header.Serial, key.from)
		}
	}
	switch {
	case !tried:
		return skipped("no public key of WeChat Pay is known")
	case strings.HasPrefix(p.header.Signature, caller.SignTestPrefix):
		return failed(text.New("this is one of WeChat Pay's own tests of whether anybody looks (SIGNTEST)"),
			"nothing: it is to be refused, and the same notification comes again with a right signature")
	}
	return failed(text.New("not made over this body by the key with serial %s", p.header.Serial),
		"look whether the body is byte for byte what was sent: an editor's line end, or JSON that was written anew, breaks it; "+
			"if it is, the request is not WeChat Pay's, or the public key beside the serial is another")
}

func (p *payOpening) parse() finding {
	var refusal *wechat.Refusal
	var err error
	if p.notification, err = wechat.ParsePayNotification(p.capture.body); errors.As(err, &refusal) {
		return failed(text.Verbatim(refusal.Detail), "look whether the body is whole, and a notification of API v3: those of v2 are XML and not served")
	}
	return found("event_type %s", p.notification.EventType)
}

func (p *payOpening) open() finding {
	for _, key := range p.keys {
		if opened, err := p.notification.Open(key.APIv3Key); err == nil {
			p.message = opened
			return found("%d bytes, with the APIv3 key of %s", len(opened), key.from)
		}
	}
	return failed(text.New("no APIv3 key opens it, or it is not AEAD_AES_256_GCM"),
		"compare the APIv3 key with the merchant platform's (账户中心, API安全); if it was changed, what was sent before needs the older one (--api-v3-key-file)")
}
