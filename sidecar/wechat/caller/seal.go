// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package caller

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// seal encrypts what WeChat encrypts: the body of a message, the resource of Pay, and WeCom's echostr.
func (s *Sender) seal(d *Draft) error {
	if s.Pay != nil && d.Method != http.MethodGet {
		return s.sealNotification(d)
	}
	if s.EncodingAESKey == "" || d.Method == http.MethodGet && !s.WeCom {
		return nil
	}
	key, err := wechat.ParseEncodingAESKey(s.EncodingAESKey)
	if err != nil {
		return fmt.Errorf("reading the EncodingAESKey: %w", err)
	}
	plain := d.Body
	if d.Method == http.MethodGet {
		plain = []byte(*d.Echostr)
	}
	var random [wechat.RandomSize]byte
	_, _ = rand.Read(random[:]) // crypto/rand never fails
	if d.encrypt, err = key.Seal(random, plain, s.ReceiverID); err != nil {
		return fmt.Errorf("encrypting the message: %w", err)
	}
	if d.Method == http.MethodGet {
		d.echo, d.Echostr = *d.Echostr, &d.encrypt
		return nil
	}
	if d.address == nil {
		d.address = []wechat.Address{{Name: "ToUserName", Value: s.account()}}
	}
	if body := s.besideCleartext(plain, d.encrypt); s.Cleartext && body != nil {
		d.Body = body
	} else {
		d.Body = wechat.RequestEnvelope(s.Form, d.address, d.encrypt)
	}
	return nil
}

// besideCleartext is the body of the compatible mode, all of the message with Encrypt before its end; nil for a message
// that has no such end.
func (s *Sender) besideCleartext(plain []byte, encrypted string) []byte {
	ending, encrypt := "</xml>", []byte("<Encrypt>"+wechat.CDATA(encrypted)+"</Encrypt>")
	if s.Form != wechat.FormXML {
		ending, encrypt = "}", fmt.Appendf(nil, `,"Encrypt":%q`, encrypted)
	}
	end := bytes.LastIndex(plain, []byte(ending))
	if end < 0 {
		return nil
	}
	return slices.Concat(plain[:end], encrypt, plain[end:])
}

// OpenReply verifies and decrypts a sealed reply as WeChat does, and returns the message in it.
func (s *Sender) OpenReply(reply []byte) ([]byte, error) {
	key, err := wechat.ParseEncodingAESKey(s.EncodingAESKey)
	if err != nil {
		return nil, fmt.Errorf("reading the EncodingAESKey: %w", err)
	}
	sealed, err := wechat.ParseReplyEnvelope(reply)
	if err != nil {
		return nil, fmt.Errorf("reading the reply: %w", err)
	}
	if !wechat.Verify(sealed.Signature, s.Token, sealed.Timestamp, sealed.Nonce, sealed.Encrypt) {
		return nil, fmt.Errorf("the reply's MsgSignature is wrong")
	}
	opened, err := key.Open([]byte(sealed.Encrypt))
	if err != nil {
		return nil, fmt.Errorf("opening the reply: %w", err)
	}
	if opened.ReceiverID != s.ReceiverID {
		return nil, fmt.Errorf("the reply is for another account")
	}
	return opened.Message, nil
}
