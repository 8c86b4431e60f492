// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"maps"
	"slices"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// Serials name the keys of Pay that are accepted now, sorted. They are public.
func (g *Gate) Serials(now time.Time) []string {
	known := map[string]bool{}
	for i := range g.pairs {
		if g.pairs[i].Accepted(now) {
			for serial := range g.pairs[i].platformKeys {
				known[serial] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(known))
}

// checkNotification verifies a notification of WeChat Pay. Its age is checked before the signature, as its documentation
// asks; the query is not signed and not read.
func (g *Gate) checkNotification(m *Message, r Request, now time.Time) error {
	header, err := wechat.ParsePayHeader(r.Header)
	if err != nil {
		return err
	}
	if m.StaleAt, err = g.freshUntil(header.Timestamp, config.Freshness, now); err != nil {
		return err
	}
	if !g.knowsSerial(header.Serial, now) {
		return wechat.Refuse(wechat.ReasonUnknownSerial, "signed with a key that is not in the Secret; add WeChat Pay's new public key or certificate")
	}
	body, err := readBody(r)
	if err != nil {
		return err
	}
	return g.openNotification(m, header, body, now)
}

func (g *Gate) knowsSerial(serial string, now time.Time) bool {
	for i := range g.pairs {
		if g.pairs[i].Accepted(now) && g.pairs[i].platformKeys[serial] != nil {
			return true
		}
	}
	return false
}

// openNotification tries every pair that knows the serial; two pairs may differ in the APIv3 key only.
func (g *Gate) openNotification(m *Message, header wechat.PayHeader, body []byte, now time.Time) error {
	err := wechat.Refuse(wechat.ReasonBadSignature, "not signed by WeChat Pay; a few such are its own tests of whether anybody looks (SIGNTEST)")
	for i := range g.pairs {
		p := &g.pairs[i]
		key := p.platformKeys[header.Serial]
		if key == nil || !p.Accepted(now) || !wechat.VerifyPay(key, header.Signature, header.Timestamp, header.Nonce, body) {
			continue
		}
		notification, parseErr := wechat.ParsePayNotification(body)
		if parseErr != nil {
			return parseErr
		}
		opened, openErr := notification.Open(p.APIv3Key)
		if openErr != nil {
			err = wechat.Refuse(wechat.ReasonUndecryptable, "signed by WeChat Pay, and not encrypted with the Secret's apiV3Key; compare it with the merchant platform's")
			continue
		}
		m.Generation, m.Body, m.Form = p.Generation, opened, wechat.FormJSON
		m.Fields = wechat.Fields{Event: notification.EventType} // it stands on the notification, not in its resource
		m.pair, m.payment = p, &payment{header: header, notification: notification, original: body}
		return nil
	}
	return err
}
