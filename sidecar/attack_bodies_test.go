// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wechatendpoint/wechatendpoint/sidecar"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
)

// layout is the plain text before its encryption, with every part in the attacker's hand.
type layout struct {
	random   string
	length   uint32
	message  string
	receiver string
	padding  []byte
}

// layoutOf is the layout that WeChat makes.
func layoutOf(message, receiver string) layout {
	l := layout{random: "0123456789abcdef", length: uint32(len(message)), message: message, receiver: receiver} //nolint:gosec // a short text
	size := 32 - (len(l.random)+4+len(message)+len(receiver))%32
	l.padding = bytes.Repeat([]byte{byte(size)}, size)
	return l
}

func (l layout) bytes() []byte {
	plain := binary.BigEndian.AppendUint32([]byte(l.random), l.length)
	return slices.Concat(plain, []byte(l.message), []byte(l.receiver), l.padding)
}

// encryptWith is the protocol's cipher without its rules: any whole number of AES's own blocks of 16 bytes.
func encryptWith(t *testing.T, encodingKey string, plain []byte) []byte {
	t.Helper()
	key, err := base64.RawStdEncoding.DecodeString(encodingKey)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	sealed := slices.Clone(plain)
	cipher.NewCBCEncrypter(block, key[:16]).CryptBlocks(sealed, sealed)
	return sealed
}

// flippedBits sets the bits of the last base64 digit that stand for nothing.
func flippedBits(t *testing.T, encrypt string) string {
	t.Helper()
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	end := len(strings.TrimRight(encrypt, "="))
	if end == len(encrypt) {
		t.Fatal("this text has no spare bits")
	}
	return encrypt[:end-1] + string(digits[strings.IndexByte(digits, encrypt[end-1])+1]) + encrypt[end:]
}

// TestMalformedCiphertextsAreRefusedAlike signs each with the token: the attacker knows it and not the key, or WeChat has
// a fault, and no difference in the answers may become an oracle.
func TestMalformedCiphertextsAreRefusedAlike(t *testing.T) {
	t.Parallel()
	v := newVictim(t, "an Official Account, encrypted", nil)
	text := func(plain []byte) string { return base64.StdEncoding.EncodeToString(encryptWith(t, aesKey, plain)) }
	shaped := func(shape func(*layout)) func(message string) string {
		return func(message string) string {
			l := layoutOf(message, "wx1")
			shape(&l)
			return text(l.bytes())
		}
	}
	written := func(write func(encrypt string) string) func(message string) string {
		return func(message string) string { return write(text(layoutOf(message, "wx1").bytes())) }
	}
	padded := func(size int) func(*layout) {
		return func(l *layout) {
			free := 32 - (16+4+len(l.message)+3)%32
			l.padding = bytes.Repeat([]byte{byte(size)}, free)
		}
	}
	if !strings.HasSuffix(text(layoutOf(v.message(), "wx1").bytes()), "=") {
		t.Fatal("the base64 of these messages has no end to be tampered with")
	}
	for name, row := range map[string]struct {
		want verdict
		make func(message string) string
	}{
		"as WeChat makes it": {accepted, shaped(func(*layout) {})},
		"with the older key": {accepted, func(m string) string {
			return base64.StdEncoding.EncodeToString(encryptWith(t, olderKey, layoutOf(m, "wx1").bytes()))
		}},
		"broken into lines":           {accepted, written(func(e string) string { return e[:40] + "\n" + e[40:] })},
		"padding of 0":                {refused, shaped(padded(0))},
		"padding of 33":               {refused, shaped(padded(33))},
		"padding of 255":              {refused, shaped(padded(255))},
		"padding longer than it says": {refused, shaped(func(l *layout) { l.padding[len(l.padding)-1]-- })},
		"padding of 33, whole":        {refused, shaped(func(l *layout) { l.message = alignedTo(l, 31); l.padding = bytes.Repeat([]byte{33}, 33) })},
		"padding with one byte flipped": {refused, shaped(func(l *layout) {
			l.message = alignedTo(l, 0)
			l.padding = bytes.Repeat([]byte{32}, 32)
			l.padding[0] ^= 1
		})},
		"padding by PKCS #7 of 16":        {refused, func(m string) string { return text(slices.Concat(halfBlock(m), bytes.Repeat([]byte{16}, 16))) }},
		"nothing but padding":             {refused, func(string) string { return text(bytes.Repeat([]byte{32}, 32)) }},
		"random and padding only":         {refused, func(string) string { return text(append([]byte("0123456789abcdef"), bytes.Repeat([]byte{16}, 16)...)) }},
		"length of 0xFFFFFFFF":            {refused, shaped(func(l *layout) { l.length = 0xFFFFFFFF })},
		"length of 0x7FFFFFFF":            {refused, shaped(func(l *layout) { l.length = 0x7FFFFFFF })},
		"length of 0x80000000":            {refused, shaped(func(l *layout) { l.length = 0x80000000 })},
		"length too long by the receiver": {refused, shaped(func(l *layout) { l.length += 3 })},
		"length too long by one":          {refused, shaped(func(l *layout) { l.length++ })},
		"length too long by four":         {refused, shaped(func(l *layout) { l.length += 4 })},
		"length too short by one":         {refused, shaped(func(l *layout) { l.length-- })},
		"length of 0":                     {refused, shaped(func(l *layout) { l.length = 0 })},
		"length in the other byte order":  {refused, shaped(func(l *layout) { l.length = l.length<<24 | l.length>>24 })},
		"another receiver":                {refused, shaped(func(l *layout) { l.receiver = "wx2" })},
		"no receiver":                     {refused, func(m string) string { return text(layoutOf(m, "").bytes()) }},
		"the receiver in capitals":        {refused, shaped(func(l *layout) { l.receiver = "WX1" })},
		"the receiver and a line feed":    {refused, func(m string) string { return text(layoutOf(m, "wx1\n").bytes()) }},
		"the receiver and NUL":            {refused, func(m string) string { return text(layoutOf(m, "wx1\x00").bytes()) }},
		"the receiver twice":              {refused, func(m string) string { return text(layoutOf(m, "wx1wx1").bytes()) }},
		"a receiver of 4 KiB":             {refused, func(m string) string { return text(layoutOf(m, strings.Repeat("w", 4096)).bytes()) }},
		"another key": {refused, func(m string) string {
			return base64.StdEncoding.EncodeToString(encryptWith(t, strings.Repeat("A", 43), layoutOf(m, "wx1").bytes()))
		}},
		"blocks of 16 that are not of 32": {refused, func(string) string { return text(bytes.Repeat([]byte{16}, 48)) }},
		"one block of 16":                 {refused, func(string) string { return text(bytes.Repeat([]byte{16}, 16)) }},
		"a block cut off":                 {refused, func(m string) string { l := layoutOf(m, "wx1").bytes(); return text(l[:len(l)-32]) }},
		"a byte cut off": {refused, func(m string) string {
			s := encryptWith(t, aesKey, layoutOf(m, "wx1").bytes())
			return base64.StdEncoding.EncodeToString(s[:len(s)-1])
		}},
		"two blocks swapped": {refused, func(m string) string {
			s := encryptWith(t, aesKey, layoutOf(m, "wx1").bytes())
			return base64.StdEncoding.EncodeToString(slices.Concat(s[:len(s)-32], s[len(s)-16:], s[len(s)-32:len(s)-16]))
		}},
		"a space in base64":                 {refused, written(func(e string) string { return e[:40] + " " + e[40:] })},
		"a tab in base64":                   {refused, written(func(e string) string { return e[:40] + "\t" + e[40:] })},
		"base64 of URLs":                    {refused, written(func(e string) string { return "-_" + e[2:] })},
		"base64 without its end":            {refused, written(func(e string) string { return strings.TrimRight(e, "=") })},
		"base64 with too much of an end":    {refused, written(func(e string) string { return e + "=" })},
		"base64 with an end inside":         {refused, written(func(e string) string { return e + "====" + e })},
		"base64 with trailing bits":         {refused, written(func(e string) string { return flippedBits(t, e) })},
		"base64 with the end that is right": {accepted, written(func(e string) string { return e })},
		"base64 encoded twice":              {refused, written(func(e string) string { return base64.StdEncoding.EncodeToString([]byte(e)) })},
		"base64 percent-encoded":            {refused, written(func(e string) string { return strings.ReplaceAll(e+"=", "=", "%3D") })},
		"hexadecimal":                       {refused, func(m string) string { return fmt.Sprintf("%x", encryptWith(t, aesKey, layoutOf(m, "wx1").bytes())) }},
		"not encrypted, in base64":          {refused, func(m string) string { return base64.StdEncoding.EncodeToString(layoutOf(m, "wx1").bytes()) }},
		"not encrypted":                     {refused, func(string) string { return "hello" }},
		"not ASCII":                         {refused, func(string) string { return "密文" }},
	} {
		t.Run(name, func(t *testing.T) {
			request, message := v.genuine(t)
			attacked := *request
			encrypted(&attacked, wechat.FormXML, row.make(message))
			for _, s := range v.doors() {
				answer, err := v.sends(t, s, &attacked)
				v.judge(t, row.want, answer, err, message)
			}
			v.expectAccepted(t, request, message, row.want == accepted)
		})
	}
}

// alignedTo cuts the message so that its layout with the receiver ends at this byte of a block of 32, and keeps the
// length true.
func alignedTo(l *layout, end int) string {
	message := l.message
	for (16+4+len(message)+len(l.receiver))%32 != end {
		message = message[:len(message)-1]
	}
	l.length = uint32(len(message)) //nolint:gosec // a short text
	return message
}

// halfBlock is a layout that ends in the middle of a block of 32.
func halfBlock(message string) []byte {
	l := layoutOf(message, "wx1")
	l.message, l.padding = alignedTo(&l, 0), nil
	return l.bytes()
}

// TestMalformedVectorsAreRefusedAlike plays the vectors that must fail against a sidecar with their key, and a message
// that the same key encrypts.
func TestMalformedVectorsAreRefusedAlike(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("wechat", "testdata", "vectors", "peer-generated.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors []struct {
			ID             string `json:"id"`
			Kind           string `json:"kind"`
			EncodingAESKey string `json:"encoding_aes_key"`
			ReceiveID      string `json:"receive_id"`
			Encrypt        string `json:"encrypt"`
		} `json:"vectors"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	played := 0
	for _, vector := range file.Vectors {
		if vector.Kind != "post-encrypted-malformed" {
			continue
		}
		played++
		t.Run(vector.ID, func(t *testing.T) {
			t.Parallel()
			v := attack(t, newStage(t, func(c *config.Config) {
				c.MessageMode, c.AppID = config.ModeEncrypted, vector.ReceiveID
			}))
			v.kind = account{message: xmlText}
			v.serve(t, config.Credentials{Pairs: []config.Pair{{Generation: 1, Token: token, EncodingAESKey: vector.EncodingAESKey}}})
			v.sender = &caller.Sender{URL: v.url, Token: token, EncodingAESKey: vector.EncodingAESKey, ReceiverID: vector.ReceiveID, Timeout: patience}
			v.expect(t, refused, func(r *caller.Request) { encrypted(r, wechat.FormXML, vector.Encrypt) })
		})
	}
	if played < 12 {
		t.Errorf("only %d vectors were played", played)
	}
}

// rewrite is a change to the text of the body.
func rewrite(change func(body string) string) func(*caller.Request) {
	return func(r *caller.Request) { r.Body = []byte(change(string(r.Body))) }
}

// before puts a text before the first occurrence of a mark, which must be there.
func before(mark, text string) func(*caller.Request) {
	return func(r *caller.Request) {
		at := bytes.Index(r.Body, []byte(mark))
		if at < 0 {
			panic("no " + mark + " in the body")
		}
		r.Body = slices.Concat(r.Body[:at], []byte(text), r.Body[at:])
	}
}

// bodyRow is a change to the body of an encrypted message: what comes of it where a cleartext may stand beside Encrypt, with whatever a
// user typed, and where Encrypt stands alone.
type bodyRow struct {
	beside, alone verdict
	attack        func(*caller.Request)
}

func prefix(text string) func(*caller.Request) {
	return rewrite(func(body string) string { return text + body })
}

func suffix(text string) func(*caller.Request) {
	return rewrite(func(body string) string { return body + text })
}

func TestHostileXML(t *testing.T) {
	t.Parallel()
	const declared = `<?xml version="1.0" encoding="utf-8"?>`
	in := func(text string) func(*caller.Request) { return before("<ToUserName>", text) }
	after := func(text string) func(*caller.Request) { return before("</xml>", text) }
	within := func(text string) func(*caller.Request) { return before("]]></Encrypt>", "]]>"+text+"<![CDATA[") }
	nested := func(depth int) string { return strings.Repeat("<a>", depth) + strings.Repeat("</a>", depth) }
	laughs := `<!DOCTYPE xml [<!ENTITY a0 "ha">`
	for i := range 9 {
		laughs += fmt.Sprintf(`<!ENTITY a%d "%s">`, i+1, strings.Repeat(fmt.Sprintf("&a%d;", i), 10))
	}
	bomb := func(r *caller.Request) {
		in("<a>&a9;</a>")(r)
		prefix(laughs + "]>")(r)
	}
	beside, alone := newVictim(t, "an Official Account, encrypted", nil), newVictim(t, "a WeCom app", nil)
	for name, row := range map[string]bodyRow{
		"a declaration is accepted":               {accepted, accepted, prefix(declared + "\n")},
		"a byte order mark is accepted":           {accepted, accepted, prefix("\ufeff")},
		"white space around is accepted":          {accepted, accepted, func(r *caller.Request) { prefix(" \r\n\t")(r); suffix("\r\n ")(r) }},
		"comments around":                         {refused, refused, func(r *caller.Request) { prefix("<!-- a -->")(r); suffix("<!-- a -->")(r) }},
		"white space around Encrypt is accepted":  {accepted, accepted, pretty},
		"Encrypt in two sections":                 {refused, refused, before("]]></Encrypt>", "]]><![CDATA[")},
		"an include declares a namespace":         {accepted, refused, in(`<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/passwd" parse="text"/>`)},
		"an Encrypt of another namespace":         {accepted, refused, in(`<o:Encrypt xmlns:o="urn:o">Zm9yZ2Vk</o:Encrypt>`)},
		"an Encrypt of a namespace that is empty": {accepted, refused, in(`<o:Encrypt xmlns:o="">Zm9yZ2Vk</o:Encrypt>`)},
		"an Encrypt within another element":       {accepted, refused, in(`<o><Encrypt>Zm9yZ2Vk</Encrypt></o>`)},
		"a second declaration":                    {refused, refused, rewrite(func(b string) string { return `<?xml version="1.0"?><?xml version="1.0"?>` + b })},
		"an attribute of 900 KiB":                 {refused, refused, rewrite(func(b string) string { return `<xml a="` + strings.Repeat("a", 900<<10) + `">` + b[len("<xml>"):] })},
		"an attribute of 1 MiB":                   {refused, refused, rewrite(func(b string) string { return `<xml a="` + strings.Repeat("a", 1<<20-8) + `">` + b[len("<xml>"):] })},
		"30 levels beside Encrypt":                {accepted, refused, in(nested(30))},
		"32 levels beside Encrypt":                {accepted, refused, in(nested(32))},
		"10000 levels beside Encrypt":             {accepted, refused, in(nested(10000))},
		"100000 levels that never end":            {refused, refused, in(strings.Repeat("<a>", 100000))},
		"10000 levels around":                     {refused, refused, rewrite(func(b string) string { return strings.Repeat("<xml>", 10000) + b + strings.Repeat("</xml>", 10000) })},
		"250 fields":                              {accepted, refused, in(strings.Repeat("<a/>", 250))},
		"1000 fields":                             {accepted, refused, in(strings.Repeat("<a/>", 1000))},
		"an external entity": {refused, refused, func(r *caller.Request) {
			in("<a>&x;</a>")(r)
			prefix(`<!DOCTYPE xml [<!ENTITY x SYSTEM "file:///etc/passwd">]>`)(r)
		}},
		"an external entity in place of Encrypt": {refused, refused, func(r *caller.Request) {
			r.Body = []byte(`<!DOCTYPE xml [<!ENTITY x SYSTEM "http://127.0.0.1/x">]><xml><Encrypt>&x;</Encrypt></xml>`)
		}},
		"a parameter entity":                      {refused, refused, prefix(`<!DOCTYPE xml [<!ENTITY % x SYSTEM "http://127.0.0.1/x.dtd"> %x;]>`)},
		"an external DTD":                         {refused, refused, prefix(`<!DOCTYPE xml SYSTEM "http://127.0.0.1/x.dtd">`)},
		"a public DTD":                            {refused, refused, prefix(`<!DOCTYPE xml PUBLIC "-//W3C//DTD XHTML 1.0//EN" "http://127.0.0.1/x.dtd">`)},
		"an unused DOCTYPE":                       {refused, refused, prefix("<!DOCTYPE xml>")},
		"an unused DOCTYPE, in small letters":     {refused, refused, prefix("<!doctype xml>")},
		"an unused DOCTYPE after a declaration":   {refused, refused, prefix(declared + "<!DOCTYPE xml []>")},
		"a DOCTYPE behind a byte order mark":      {refused, refused, prefix("\ufeff<!DOCTYPE xml []>")},
		"a DOCTYPE inside":                        {accepted, refused, in("<!DOCTYPE xml []>")},
		"a DOCTYPE at the end":                    {refused, refused, suffix("<!DOCTYPE xml []>")},
		"an entity declaration inside":            {accepted, refused, in(`<!ENTITY x "y">`)},
		"an entity that was never declared":       {accepted, refused, in("<a>&x;</a>")},
		"an entity of HTML":                       {accepted, refused, in("<a>&nbsp;</a>")},
		"a billion laughs":                        {refused, refused, bomb},
		"a billion laughs that nobody hears":      {refused, refused, prefix(laughs + "]>")},
		"a quadratic bomb":                        {refused, refused, prefix(`<!DOCTYPE xml [<!ENTITY a "` + strings.Repeat("a", 50000) + `">]>`)},
		"a processing instruction before":         {refused, refused, prefix(`<?xml-stylesheet href="http://127.0.0.1/x.xsl"?>`)},
		"a processing instruction inside":         {accepted, refused, in("<?php phpinfo() ?>")},
		"a processing instruction in Encrypt":     {refused, refused, within("<?a?>")},
		"a processing instruction after":          {refused, refused, suffix("<?a?>")},
		"a declaration after":                     {refused, refused, suffix(declared)},
		"a declaration inside":                    {accepted, refused, in(declared)},
		"a declaration of UTF-16":                 {refused, refused, prefix(`<?xml version="1.0" encoding="UTF-16"?>`)},
		"a declaration of UTF-7":                  {refused, refused, prefix(`<?xml version="1.0" encoding="UTF-7"?>`)},
		"a declaration of GBK":                    {refused, refused, prefix(`<?xml version="1.0" encoding="GBK"?>`)},
		"a declaration with a hidden encoding":    {refused, refused, prefix(`<?xml version="1.0" encoding = "UTF-7"?>`)},
		"a declaration of version 1.1":            {refused, refused, prefix(`<?xml version="1.1"?>`)},
		"UTF-16":                                  {refused, refused, rewrite(func(b string) string { return "\xff\xfe" + strings.Join(strings.Split(b, ""), "\x00") + "\x00" })},
		"two byte order marks":                    {refused, refused, prefix("\ufeff\ufeff")},
		"a byte order mark after the declaration": {refused, refused, prefix(declared + "\ufeff")},
		"bytes that are not UTF-8":                {accepted, accepted, in("<a>\xff</a>")},
		"NUL beside Encrypt":                      {accepted, refused, in("<a>\x00</a>")},
		"NUL by its number":                       {accepted, refused, in("<a>&#0;</a>")},
		"NUL at the end":                          {refused, refused, suffix("\x00")},
		"text at the end":                         {refused, refused, suffix("a")},
		"another document at the end":             {refused, refused, suffix("<xml/>")},
		"text at the start":                       {refused, refused, prefix("a")},
		"an end without a start":                  {accepted, refused, suffix("</xml>")},
		"no end":                                  {refused, refused, rewrite(func(b string) string { return strings.TrimSuffix(b, "</xml>") })},
		"another root":                            {refused, refused, rewrite(func(b string) string { return strings.ReplaceAll(b, "xml>", "html>") })},
		"a root in capitals":                      {refused, refused, rewrite(func(b string) string { return strings.ReplaceAll(b, "xml>", "XML>") })},
		"a root of a namespace":                   {refused, refused, rewrite(func(b string) string { return `<xml xmlns="urn:o">` + b[len("<xml>"):] })},
		"Encrypt twice, forged first":             {refused, refused, in("<Encrypt>Zm9yZ2Vk</Encrypt>")},
		"Encrypt twice, forged last":              {refused, refused, after("<Encrypt>Zm9yZ2Vk</Encrypt>")},
		"Encrypt twice, the second empty":         {refused, refused, after("<Encrypt/>")},
		"Encrypt twice, in another case":          {refused, refused, after("<encrypt>Zm9yZ2Vk</encrypt>")},
		"Encrypt twice, in capitals":              {refused, refused, in("<ENCRYPT>Zm9yZ2Vk</ENCRYPT>")},
		"Encrypt in another case only":            {refused, refused, rewrite(func(b string) string { return strings.ReplaceAll(b, "Encrypt>", "encrypt>") })},
		"Encrypt in a child only": {refused, refused, rewrite(func(b string) string {
			return strings.ReplaceAll(strings.ReplaceAll(b, "<Encrypt>", "<a><Encrypt>"), "</Encrypt>", "</Encrypt></a>")
		})},
		"Encrypt as an attribute only": {refused, refused, rewrite(func(b string) string {
			return strings.ReplaceAll(strings.ReplaceAll(b, "<Encrypt><![CDATA[", `<a Encrypt="`), "]]></Encrypt>", `"/>`)
		})},
		"Encrypt with a child":                   {refused, refused, within("<a/>")},
		"Encrypt with a child that has a text":   {refused, refused, within("<a>AAAA</a>")},
		"Encrypt with a comment":                 {refused, refused, within("<!-- a -->")},
		"Encrypt with a space inside":            {refused, refused, rewrite(func(b string) string { return strings.Replace(b, "<Encrypt><![CDATA[", "<Encrypt><![CDATA[AAAA ", 1) })},
		"Encrypt that is empty":                  {refused, refused, func(r *caller.Request) { r.Body = []byte("<xml><Encrypt></Encrypt></xml>") }},
		"no Encrypt":                             {refused, refused, func(r *caller.Request) { r.Body = []byte(xmlText) }},
		"no fields":                              {refused, refused, func(r *caller.Request) { r.Body = []byte("<xml/>") }},
		"no body":                                {refused, refused, func(r *caller.Request) { r.Body = nil }},
		"white space only":                       {refused, refused, func(r *caller.Request) { r.Body = []byte(" \n") }},
		"a form":                                 {refused, refused, rewrite(func(b string) string { return "Encrypt=" + b })},
		"a body that is compressed":              {refused, refused, func(r *caller.Request) { r.Header.Set("Content-Encoding", "gzip"); r.Body = []byte("\x1f\x8b\x08") }},
		"a body that only says it is compressed": {accepted, accepted, func(r *caller.Request) { r.Header.Set("Content-Encoding", "gzip") }},
		"a body that is called something else":   {accepted, accepted, func(r *caller.Request) { r.Header.Set("Content-Type", "multipart/form-data; boundary=a") }},
	} {
		t.Run(name, func(t *testing.T) { beside.expect(t, row.beside, row.attack) })
		t.Run(name+", alone", func(t *testing.T) { alone.expect(t, row.alone, row.attack) })
	}
}

// pretty puts white space around the sections of Encrypt, as some programs print it.
func pretty(r *caller.Request) {
	r.Body = []byte(strings.NewReplacer("<Encrypt>", "<Encrypt>\n\t", "</Encrypt>", "\n</Encrypt>").Replace(string(r.Body)))
}

func TestHostileJSON(t *testing.T) {
	t.Parallel()
	in := func(member string) func(*caller.Request) {
		return rewrite(func(body string) string { return "{" + member + "," + body[1:] })
	}
	after := func(member string) func(*caller.Request) {
		return rewrite(func(body string) string { return body[:len(body)-1] + "," + member + "}" })
	}
	// value changes the genuine Encrypt, quotation marks included.
	value := func(change func(quoted string) string) func(*caller.Request) {
		return rewrite(func(body string) string {
			start := strings.Index(body, `"Encrypt":`) + len(`"Encrypt":`)
			return body[:start] + change(body[start:len(body)-1]) + "}"
		})
	}
	nested := func(open, end string, depth int) string {
		return `"a":` + strings.Repeat(open, depth) + "0" + strings.Repeat(end, depth)
	}
	beside, alone := newVictim(t, "a Mini Program, encrypted JSON", nil), newVictim(t, "a Shop", nil)
	for name, row := range map[string]bodyRow{
		"a byte order mark is accepted":               {accepted, accepted, prefix("\ufeff")},
		"white space around is accepted":              {accepted, accepted, func(r *caller.Request) { prefix(" \r\n\t")(r); suffix("\r\n ")(r) }},
		"an escaped Encrypt is accepted":              {accepted, accepted, value(func(q string) string { return strings.ReplaceAll(q, "=", `\u003d`) })},
		"a prototype is a member like others":         {accepted, refused, in(`"__proto__":{"a":"b"}`)},
		"a member twice that is not Encrypt":          {accepted, accepted, in(`"a":1,"a":2`)},
		"30 arrays beside Encrypt":                    {accepted, refused, in(nested("[", "]", 30))},
		"33 arrays beside Encrypt":                    {refused, refused, in(nested("[", "]", 33))},
		"33 objects beside Encrypt":                   {refused, refused, in(nested(`{"a":`, "}", 33))},
		"10000 arrays beside Encrypt":                 {refused, refused, in(nested("[", "]", 10000))},
		"10000 objects beside Encrypt":                {refused, refused, in(nested(`{"a":`, "}", 10000))},
		"900000 arrays that never end":                {refused, refused, in(`"a":` + strings.Repeat("[", 900000))},
		"10000 objects around":                        {refused, refused, rewrite(func(b string) string { return strings.Repeat(`{"a":`, 10000) + b + strings.Repeat("}", 10000) })},
		"250 members":                                 {accepted, refused, in(strings.TrimSuffix(strings.Repeat(`"a":1,`, 250), ","))},
		"1000 members":                                {refused, refused, in(strings.TrimSuffix(strings.Repeat(`"a":1,`, 1000), ","))},
		"a string of 900 KiB":                         {refused, refused, in(`"a":"` + strings.Repeat("a", 900<<10) + `"`)},
		"a string of 1 MiB":                           {refused, refused, in(`"a":"` + strings.Repeat("a", 1<<20-8) + `"`)},
		"a number of 100 KiB":                         {refused, refused, in(`"a":` + strings.Repeat("9", 100<<10))},
		"Encrypt twice, forged first":                 {refused, refused, in(`"Encrypt":"Zm9yZ2Vk"`)},
		"Encrypt twice, forged last":                  {refused, refused, after(`"Encrypt":"Zm9yZ2Vk"`)},
		"Encrypt twice, the second empty":             {refused, refused, after(`"Encrypt":""`)},
		"Encrypt twice, the second nothing":           {refused, refused, after(`"Encrypt":null`)},
		"Encrypt twice, in small letters, first":      {refused, refused, in(`"encrypt":"Zm9yZ2Vk"`)},
		"Encrypt twice, in small letters, last":       {refused, refused, after(`"encrypt":"Zm9yZ2Vk"`)},
		"Encrypt twice, in capitals":                  {refused, refused, after(`"ENCRYPT":"Zm9yZ2Vk"`)},
		"Encrypt twice, in mixed letters":             {refused, refused, after(`"eNcRyPt":"Zm9yZ2Vk"`)},
		"Encrypt twice, one name escaped":             {refused, refused, after(`"\u0045ncrypt":"Zm9yZ2Vk"`)},
		"Encrypt in capitals only":                    {refused, refused, rewrite(func(b string) string { return strings.ReplaceAll(b, `"Encrypt"`, `"ENCRYPT"`) })},
		"Encrypt in a child only":                     {refused, refused, rewrite(func(b string) string { return `{"a":` + b + "}" })},
		"Encrypt in an array":                         {refused, refused, value(func(q string) string { return "[" + q + "]" })},
		"Encrypt in an object":                        {refused, refused, value(func(q string) string { return `{"Encrypt":` + q + "}" })},
		"Encrypt is a number":                         {refused, refused, value(func(string) string { return "1" })},
		"Encrypt is true":                             {refused, refused, value(func(string) string { return "true" })},
		"Encrypt is null":                             {refused, refused, value(func(string) string { return "null" })},
		"Encrypt is empty":                            {refused, refused, value(func(string) string { return `""` })},
		"Encrypt with a line feed in it":              {refused, refused, value(func(q string) string { return q[:9] + "\n" + q[9:] })},
		"Encrypt in single quotation marks":           {refused, refused, value(func(q string) string { return strings.ReplaceAll(q, `"`, "'") })},
		"an array around":                             {refused, refused, rewrite(func(b string) string { return "[" + b + "]" })},
		"a string around":                             {refused, refused, rewrite(func(b string) string { return fmt.Sprintf("%q", b) })},
		"a comment":                                   {refused, refused, prefix("/* a */")},
		"a comment inside":                            {refused, refused, rewrite(func(b string) string { return "{/* a */" + b[1:] })},
		"a comma too many":                            {refused, refused, rewrite(func(b string) string { return b[:len(b)-1] + ",}" })},
		"no end":                                      {refused, refused, rewrite(func(b string) string { return b[:len(b)-1] })},
		"a brace too many":                            {refused, refused, suffix("}")},
		"another object at the end":                   {refused, refused, suffix("{}")},
		"NUL at the end":                              {refused, refused, suffix("\x00")},
		"a prefix against scripts":                    {refused, refused, prefix(")]}',\n")},
		"two byte order marks":                        {refused, refused, prefix("\ufeff\ufeff")},
		"bytes that are not UTF-8":                    {accepted, accepted, in("\"a\":\"\xff\"")},
		"UTF-16":                                      {refused, refused, rewrite(func(b string) string { return "\xff\xfe" + strings.Join(strings.Split(b, ""), "\x00") + "\x00" })},
		"not a number":                                {refused, refused, in(`"a":NaN`)},
		"XML around the genuine text is another form": {accepted, accepted, func(r *caller.Request) { encrypted(r, wechat.FormXML, encryptOf(r)) }},
		"no members":                                  {refused, refused, func(r *caller.Request) { r.Body = []byte("{}") }},
		"cleartext only":                              {refused, refused, func(r *caller.Request) { r.Body = []byte(jsonText) }},
	} {
		t.Run(name, func(t *testing.T) { beside.expect(t, row.beside, row.attack) })
		t.Run(name+", alone", func(t *testing.T) { alone.expect(t, row.alone, row.attack) })
	}
}

// encryptOf is the Encrypt of a genuine request.
func encryptOf(r *caller.Request) string {
	envelope, err := wechat.ParseEnvelope(r.Body, true)
	if err != nil {
		panic(err)
	}
	return string(envelope.Encrypt)
}

// TestWhatStandsBesideEncryptReachesNobody: only Encrypt is signed. The app sees what was in it, and headers from it.
func TestWhatStandsBesideEncryptReachesNobody(t *testing.T) {
	t.Parallel()
	replace := func(old, forged string) func(*caller.Request) {
		return rewrite(func(b string) string {
			if !strings.Contains(b, old) {
				panic("no " + old + " in the body")
			}
			return strings.Replace(b, old, forged, 1)
		})
	}
	for kind, rows := range map[string]map[string]func(*caller.Request){
		"an Official Account, compatible": {
			"the text":                 replace("private words", "forged words"),
			"the sender":               replace(">oUser<", ">oForged<"),
			"the type":                 replace("<MsgType>text<", "<MsgType>event<"),
			"an event":                 before("<MsgType>", "<Event>subscribe</Event>"),
			"an InfoType":              before("<MsgType>", "<InfoType>component_verify_ticket</InfoType>"),
			"the type, twice":          before("<MsgType>", "<MsgType>event</MsgType>"),
			"everything but Encrypt":   func(r *caller.Request) { r.Body = []byte("<xml><Encrypt>" + encryptOf(r) + "</Encrypt></xml>") },
			"an attack on the app":     before("<MsgType>", "<a>' OR 1=1 --</a>"),
			"the account, in capitals": replace("gh_1", "GH_1"),
		},
		"an Official Account, encrypted": {
			"the account":                    replace("gh_", "forged_"),
			"a sender":                       before("<Encrypt>", "<FromUserName>oForged</FromUserName>"),
			"an AppId":                       before("<Encrypt>", "<AppId>wxforged</AppId>"),
			"a MsgSignature of its own":      before("<Encrypt>", "<MsgSignature>forged</MsgSignature><TimeStamp>1</TimeStamp><Nonce>1</Nonce>"),
			"a cleartext that was not there": before("<Encrypt>", "<MsgType>event</MsgType><Event>subscribe</Event>"),
		},
		"a Mini Program, compatible JSON": {
			"the text":   replace("private words", "forged words"),
			"the sender": replace(`"oUser"`, `"oForged"`),
			"an event":   before(`"MsgType"`, `"Event":"subscribe",`),
		},
	} {
		for _, payload := range []string{config.PayloadDecrypted, config.PayloadOriginal} {
			t.Run(kind+", "+payload, func(t *testing.T) {
				t.Parallel()
				v := newVictim(t, kind, func(c *config.Config) { c.Backend.Payload = payload })
				for name, attack := range rows {
					t.Run(name, func(t *testing.T) {
						request, message := v.genuine(t)
						attacked := *request
						attack(&attacked)
						if answer := whole(v.sender.Send(t.Context(), &attacked)); answer.Status != http.StatusOK {
							t.Fatalf("answered %d", answer.Status)
						}
						got := v.app.last(t).Header
						if got.Get("X-Wechat-Open-Id") != "oUser" || got.Get("X-Wechat-Message-Type") != "text" || got.Get("X-Wechat-Event") != "" || got.Get("X-Wechat-App-Id") != "wx1" {
							t.Errorf("the app was told %v", got)
						}
						if payload == config.PayloadDecrypted {
							v.expectSeen(t, true, message)
							return
						}
						body := v.app.taken()[0]
						if strings.Contains(strings.ToLower(body), "forged") || strings.Contains(body, "subscribe") || strings.Contains(body, "words") {
							t.Errorf("the app saw %s", body)
						}
					})
				}
			})
		}
	}
}

// TestMessagesForAnotherAccount: one key may serve several accounts, so that the receiver in the message counts, and
// never the one in the path.
func TestMessagesForAnotherAccount(t *testing.T) {
	t.Parallel()
	for kind, rows := range map[string]map[string]struct {
		want           verdict
		path, receiver string
		told           []string // X-WeChat-App-Id and -Path-App-Id
	}{
		"a third-party platform's authorizer": {
			"the receiver is the platform, whatever the path": {accepted, "/weixin/wxother/callback", "wx1", []string{"wx1", "wxother"}},
			"another tenant's AppID is only told":             {accepted, "/weixin/wxvictim/callback", "wx1", []string{"wx1", "wxvictim"}},
			"the platform's own AppID too":                    {accepted, "/weixin/wx1/callback", "wx1", []string{"wx1", "wx1"}},
			"the receiver is the tenant":                      {refused, "/weixin/wxother/callback", "wxother", nil},
			"the receiver is nobody":                          {refused, "/weixin/wxother/callback", "", nil},
			"the tenant is the placeholder":                   {unknown, "/weixin/$APPID$/callback", "wx1", nil},
			"the tenant is empty":                             {unknown, "/weixin//callback", "wx1", nil},
			"the tenant is missing":                           {unknown, "/weixin/callback", "wx1", nil},
			"the tenant is two segments":                      {unknown, "/weixin/a/b/callback", "wx1", nil},
			"the tenant is a dot segment":                     {unknown, "/weixin/../callback", "wx1", nil},
			"the tenant is escaped":                           {unknown, "/weixin/wx%6fther/callback", "wx1", nil},
			"the tenant has an escaped slash":                 {unknown, "/weixin/wx%2fother/callback", "wx1", nil},
			"the tenant has a line feed":                      {unknown, "/weixin/wx%0aother/callback", "wx1", nil},
			"the tenant has a parameter":                      {unknown, "/weixin/wxother;a=b/callback", "wx1", nil},
			"the tenant is far too long":                      {unknown, "/weixin/" + strings.Repeat("w", 65) + "/callback", "wx1", nil},
			"something follows":                               {unknown, "/weixin/wxother/callback/more", "wx1", nil},
		},
		"a suite's data": {
			"the receiver is the one in the path":   {accepted, "/weixin/wwcorp", "wwcorp", []string{"wwcorp", "wwcorp"}},
			"the receiver is another":               {refused, "/weixin/wwcorp", "wwother", nil},
			"the path is another":                   {refused, "/weixin/wwother", "wwcorp", nil},
			"the path is in capitals":               {refused, "/weixin/WWCORP", "wwcorp", nil},
			"the receiver is in capitals":           {refused, "/weixin/wwcorp", "WWCORP", nil},
			"the receiver is nobody":                {refused, "/weixin/wwcorp", "", nil},
			"the receiver is the placeholder":       {refused, "/weixin/wwcorp", "$CORPID$", nil},
			"the receiver is the suite's own AppID": {refused, "/weixin/wwcorp", "wx1", nil},
			"both are the placeholder":              {unknown, "/weixin/$CORPID$", "$CORPID$", nil},
			"the path has no receiver":              {unknown, "/weixin/", "wwcorp", nil},
			"the path is escaped":                   {unknown, "/weixin/wwc%6frp", "wwcorp", nil},
			"the path has two slashes at its end":   {unknown, "/weixin/wwcorp//", "wwcorp", nil},
		},
		"a WeCom bot": {
			"the receiver is nobody": {accepted, "/weixin", "", []string{"wx1", ""}},
			"the receiver is a corp": {refused, "/weixin", "wx1", nil},
		},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			v := newVictim(t, kind, nil)
			for name, row := range rows {
				t.Run(name, func(t *testing.T) {
					control, message := v.genuine(t)
					attacker := *v.sender
					attacker.ReceiverID = row.receiver
					attacked, err := attacker.NewPost([]byte(message), wechattest.WithPath(row.path))
					if err != nil {
						t.Fatal(err)
					}
					answer, err := attacker.Send(t.Context(), attacked)
					if row.want == accepted {
						got := v.app.last(t)
						if told := []string{got.Header.Get("X-Wechat-App-Id"), got.Header.Get("X-Wechat-Path-App-Id")}; !slices.Equal(told, row.told) || got.URL.Path != row.path {
							t.Errorf("the app was told %q at %s", told, got.URL.Path)
						}
					}
					v.judge(t, row.want, answer, err, message)
					v.expectAccepted(t, control, message, row.want == accepted && row.path == control.Path) // another path is another account's
				})
			}
		})
	}
}

// TestBodiesAreBounded: none over the bound is read to its end, however it is sent.
func TestBodiesAreBounded(t *testing.T) {
	t.Parallel()
	padding := func(request *caller.Request, size int) {
		request.Body = append(request.Body[:len(request.Body):len(request.Body)], bytes.Repeat([]byte(" "), size-len(request.Body))...)
	}
	for kind, bound := range map[string]int{
		"an Official Account, plaintext": sidecar.MaxBodySize,
		"an Official Account, encrypted": sidecar.MaxUnverifiedSize,
		"a Shop":                         sidecar.MaxUnverifiedSize,
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			v := newVictim(t, kind, nil)
			for name, row := range map[string]struct {
				want    verdict
				size    int
				chunked bool
			}{
				"exactly the bound":            {accepted, bound, false},
				"exactly the bound, in chunks": {accepted, bound, true},
				"one byte over":                {refused, bound + 1, false},
				"one byte over, in chunks":     {refused, bound + 1, true},
				"twice the bound":              {refused, 2 * bound, false},
				"twice the bound, in chunks":   {refused, 2 * bound, true},
			} {
				t.Run(name, func(t *testing.T) {
					request, message := v.genuine(t)
					attacked := *request
					padding(&attacked, row.size)
					text := rawOf(&attacked).with(lastRequest)
					if row.chunked {
						text = text.with("Transfer-Encoding: chunked")
						text.body = fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(text.body), text.body)
					} else {
						text = text.sized()
					}
					if kind == "an Official Account, plaintext" {
						message = string(attacked.Body) // white space and all
					}
					for _, s := range v.doors() {
						answers := s.exchange(t, text.String(), false)
						if len(answers) != 1 {
							t.Fatalf("%d answers", len(answers))
						}
						v.judge(t, row.want, answers[0], nil, message)
					}
					if control, genuine := v.genuine(t); row.want == refused {
						v.expectAccepted(t, control, genuine, false)
					}
				})
			}
		})
	}
}
