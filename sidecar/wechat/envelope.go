// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package wechat

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Envelope is the body of an encrypted message. All that is authentic in it is Encrypt, once msg_signature is verified:
// in the compatible mode a cleartext stands beside it that anybody may have written.
type Envelope struct {
	// Encrypt is the text that msg_signature covers: as received, without white space at its ends. It is a part of the body.
	Encrypt []byte
	// Form is the notation, which the reply follows.
	Form Form
	// Cleartext says that there is more beside Encrypt than an address.
	Cleartext bool

	// start and end are the offsets in the body of what WithoutEncrypt leaves out.
	start, end int
}

// encryptName is the name of the element or member; WeCom's bots write it in lower case.
const (
	encryptName      = "Encrypt"
	lowerEncryptName = "encrypt"
)

var (
	// errNoEncrypt: a document without an Encrypt where only its name says what it is for.
	errNoEncrypt  = errors.New("the body has no Encrypt")
	errTwoEncrypt = errors.New("the body has Encrypt twice")
)

// ParseEnvelope finds the Encrypt of a body. It is asked before anybody has signed the body: it takes time in proportion to the
// body, and no memory but for escapes in JSON.
//
// Cleartext says that the message itself may stand beside Encrypt, as in the compatible mode of Official Accounts and Mini
// Programs. Whatever a user typed may be in it, an Encrypt too, so that it is not read and refuses nothing: in XML, Encrypt is
// looked for before and behind it, in JSON among the members. Without cleartext, nothing but an address stands there, and
// everything else is refused at its first byte.
//
// Encrypt stands once, below the root, as plain text, and no name beside it that differs from it in case only.
//
// Its error is a *Refusal with ReasonMalformed.
func ParseEnvelope(body []byte, cleartext bool) (Envelope, error) {
	envelope, err := findEncrypt(body, cleartext)
	if err == nil && len(envelope.Encrypt) == 0 {
		err = errors.New("the body has an empty Encrypt")
	}
	if err != nil {
		return Envelope{}, Refuse(ReasonMalformed, err.Error())
	}
	return envelope, nil
}

// maxAddress is how many elements or members are read beside Encrypt where there is no cleartext.
const maxAddress = 16

// beforeText and behindText are the elements that WeChat writes before and behind what a user typed.
var (
	beforeText = []string{encryptName, "ToUserName", "FromUserName", "CreateTime", "MsgType", "Event", "AppId", "AgentID", "MsgId"}
	behindText = []string{encryptName, "MsgId", "MsgDataId", "Idx", "AgentID"}
)

// search is what was found of Encrypt so far.
type search struct {
	body  []byte
	found Envelope
	count int // of what a careless reader could take for it
}

func findEncrypt(body []byte, cleartext bool) (Envelope, error) {
	switch FormOf(body) {
	case FormXML:
		return findInXML(body, cleartext)
	case FormJSON:
		return findInJSON(body, cleartext)
	default:
		return Envelope{}, errDocument
	}
}

func findInXML(body []byte, cleartext bool) (Envelope, error) {
	rest, ok := insideRoot(body)
	if !ok {
		return Envelope{}, errDocument
	}
	s := search{body: body}
	for range maxAddress {
		e, after, ok := cutElement(rest)
		if !ok || cleartext && !isAmong(beforeText, e.name) {
			break
		}
		s.takeElement(e, rest[:len(rest)-len(after)])
		rest = after
	}
	rest = trimLeft(rest)
	if len(rest) > 0 && !cleartext {
		return Envelope{}, errDocument
	}
	s.found.Cleartext = s.found.Cleartext || len(rest) > 0
	for range maxAddress {
		e, before, ok := cutLastElement(rest)
		if !ok || !isAmong(behindText, e.name) {
			break
		}
		s.takeElement(e, rest[len(before):])
		rest = before
	}
	return s.result()
}

// isAmong reports whether a name is among those that WeChat writes, or looks like Encrypt.
func isAmong(names []string, name []byte) bool {
	return slices.Contains(names, string(name)) || isEncryptInAnyCase(name)
}

// takeElement takes note of an element. Whole is all of it.
func (s *search) takeElement(e element, whole []byte) {
	if s.isEncrypt(e.name, encryptName) {
		s.found.Encrypt = e.text
		s.found.start = s.offset(trimLeft(whole))
		s.found.end = s.offset(whole) + len(trimRight(whole))
	}
}

func findInJSON(body []byte, cleartext bool) (Envelope, error) {
	s := search{body: body}
	index, last := 0, 0 // last is where the member before ended
	err := eachMember(body, func(m member) error {
		if nested := m.value[0] == '{' || m.value[0] == '['; !cleartext && (nested || index == maxAddress) {
			return errDocument
		}
		start, end := s.offset(m.name)-1, s.offset(m.value)+len(m.value)
		if index == 1 && s.found.start != 0 {
			s.found.end = start // Encrypt was the first, and takes the comma behind it with it
		}
		if s.isEncrypt(m.name, encryptName, lowerEncryptName) {
			if !m.isText() {
				return errors.New("the body has an Encrypt that is not a text")
			}
			var err error
			if s.found.Encrypt, err = m.base64(); err != nil {
				return err
			}
			s.found.Form, s.found.start, s.found.end = FormJSON, start, end
			if m.named(lowerEncryptName) {
				s.found.Form = FormJSONLower
			}
			if index > 0 {
				s.found.start = last
			}
		}
		index, last = index+1, end
		return nil
	})
	if err != nil {
		return Envelope{}, err
	}
	return s.result()
}

// isEncrypt reports whether a name is one of the spellings of Encrypt, and counts it if a reader who ignores case would say so.
func (s *search) isEncrypt(name []byte, spellings ...string) bool {
	if !isEncryptInAnyCase(name) {
		s.found.Cleartext = s.found.Cleartext || !isAddress(name)
		return false
	}
	s.count++
	return slices.Contains(spellings, string(name))
}

// offset is where a part of the body begins in it: a part reaches, unseen, to the end of what it was cut from.
func (s *search) offset(part []byte) int { return cap(s.body) - cap(part) }

func (s *search) result() (Envelope, error) {
	switch {
	case s.count > 1:
		return Envelope{}, errTwoEncrypt
	case s.found.end == 0:
		return Envelope{}, errNoEncrypt
	}
	return s.found, nil
}

func isEncryptInAnyCase(name []byte) bool {
	return len(name) <= maxFolded && strings.EqualFold(string(name), encryptName)
}

// isAddress reports whether a name is part of the address on the envelope, and not of a message.
func isAddress(name []byte) bool {
	var array [maxFolded]byte
	switch string(folded(array[:0], name)) {
	case "tousername", "appid", "agentid":
		return true
	}
	return false
}

// ErrNoCleartext says that a body has nothing but Encrypt and an address.
var ErrNoCleartext = errors.New("the body has no message beside Encrypt")

// WithoutEncrypt returns the cleartext of a body of the compatible mode: all of it, byte for byte, but Encrypt. A body in
// which no Encrypt is found is returned as it is: it is the app's to judge.
//
// Its error is ErrNoCleartext, or a *Refusal with ReasonMalformed where Encrypt stands twice.
func WithoutEncrypt(body []byte) ([]byte, error) {
	envelope, err := findEncrypt(body, true)
	switch {
	case errors.Is(err, errTwoEncrypt):
		return nil, Refuse(ReasonMalformed, err.Error())
	case err != nil:
		return body, nil
	case !envelope.Cleartext:
		return nil, ErrNoCleartext
	}
	return slices.Concat(body[:envelope.start], body[envelope.end:]), nil
}

// RequestEnvelope is the body that WeChat would send with encrypted in it. Address names the receiver: ToUserName, and
// AgentID or AppId where there is one; an empty value is left out.
func RequestEnvelope(form Form, address []Address, encrypted string) []byte {
	var b bytes.Buffer
	if form == FormXML {
		b.WriteString("<xml>")
		for _, a := range address {
			if a.Value != "" {
				fmt.Fprintf(&b, "<%s>%s</%[1]s>", a.Name, CDATA(a.Value))
			}
		}
		fmt.Fprintf(&b, "<Encrypt>%s</Encrypt></xml>", CDATA(encrypted))
		return b.Bytes()
	}
	spell := func(name string) string { return name }
	if form == FormJSONLower {
		spell = strings.ToLower
	}
	b.WriteByte('{')
	for _, a := range address {
		if a.Value != "" {
			fmt.Fprintf(&b, "%s:%s,", quote(spell(a.Name)), quote(a.Value))
		}
	}
	fmt.Fprintf(&b, "%s:%s}", quote(spell("Encrypt")), quote(encrypted))
	return b.Bytes()
}

// Address is a field on the envelope.
type Address struct{ Name, Value string }

// ReplyEnvelope is the sealed reply that WeChat expects: encrypted, the signature over it with the token, and the
// timestamp and nonce that went into it. Timestamp is in decimal digits.
func ReplyEnvelope(form Form, token, timestamp, nonce, encrypted string) []byte {
	before, after := aroundEncrypt(form, Sign(token, timestamp, nonce, encrypted), timestamp, nonce)
	return slices.Concat([]byte(before), []byte(encrypted), []byte(after))
}

// aroundEncrypt is what stands before and behind the text of Encrypt, which is base64 and needs no escapes.
func aroundEncrypt(form Form, signature, timestamp, nonce string) (before, after string) {
	switch form {
	case FormJSON:
		return `{"Encrypt":"`, fmt.Sprintf(`","MsgSignature":%s,"TimeStamp":%s,"Nonce":%s}`, quote(signature), timestamp, quote(nonce))
	case FormJSONLower:
		return `{"encrypt":"`, fmt.Sprintf(`","msgsignature":%s,"timestamp":%s,"nonce":%s}`, quote(signature), timestamp, quote(nonce))
	default:
		return "<xml>\n<Encrypt><![CDATA[", fmt.Sprintf("]]></Encrypt>\n<MsgSignature>%s</MsgSignature>\n<TimeStamp>%s</TimeStamp>\n<Nonce>%s</Nonce>\n</xml>",
			CDATA(signature), timestamp, CDATA(nonce))
	}
}

// Sealing is a reply that is encrypted as it is written. It holds no copy of the message.
type Sealing struct {
	key           *Key
	random        [RandomSize]byte
	message       []byte
	receiverID    string
	before, after string
}

// NewSealing seals a message in a ReplyEnvelope. Random is as for Key.Seal.
func NewSealing(form Form, token, timestamp, nonce string, key *Key, random [RandomSize]byte, message []byte, receiverID string) (*Sealing, error) {
	if err := sealable(message, receiverID); err != nil {
		return nil, err
	}
	s := &Sealing{key: key, random: random, message: message, receiverID: receiverID}
	signature, err := signStream(token, timestamp, nonce, func(w io.Writer) error { return key.sealTo(w, random, message, receiverID) })
	if err != nil {
		return nil, err
	}
	s.before, s.after = aroundEncrypt(form, signature, timestamp, nonce)
	return s, nil
}

// Len is how many bytes WriteTo writes.
func (s *Sealing) Len() int { return len(s.before) + sealedLen(s.message, s.receiverID) + len(s.after) }

// Write writes the envelope.
func (s *Sealing) Write(w io.Writer) error {
	if _, err := io.WriteString(w, s.before); err != nil {
		return err
	}
	if err := s.key.sealTo(w, s.random, s.message, s.receiverID); err != nil {
		return err
	}
	_, err := io.WriteString(w, s.after)
	return err
}

// SealedReply is what a ReplyEnvelope carries.
type SealedReply struct{ Encrypt, Signature, Timestamp, Nonce string }

// ParseReplyEnvelope reads a sealed reply in any of its spellings.
func ParseReplyEnvelope(reply []byte) (SealedReply, error) {
	var sealed struct {
		XMLName      xml.Name    `xml:"xml" json:"-"`
		Encrypt      string      `xml:"Encrypt"`
		MsgSignature string      `xml:"MsgSignature"`
		TimeStamp    json.Number `xml:"TimeStamp"`
		Nonce        string      `xml:"Nonce"`
	}
	parse := xml.Unmarshal
	if FormOf(reply) != FormXML {
		parse = json.Unmarshal
	}
	if err := parse(reply, &sealed); err != nil {
		return SealedReply{}, errDocument
	}
	if sealed.Encrypt == "" || sealed.MsgSignature == "" || sealed.TimeStamp == "" || sealed.Nonce == "" {
		return SealedReply{}, errors.New("the reply lacks Encrypt, MsgSignature, TimeStamp or Nonce")
	}
	return SealedReply{sealed.Encrypt, sealed.MsgSignature, sealed.TimeStamp.String(), sealed.Nonce}, nil
}

// CDATA wraps a text in a CDATA section, split where the text would end it: a nonce is chosen by whoever sent it.
func CDATA(text string) string {
	return "<![CDATA[" + strings.ReplaceAll(text, "]]>", "]]]]><![CDATA[>") + "]]>"
}

func quote(text string) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(text) // a string into memory
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
