// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package hostile holds what strangers can send to an endpoint in encrypted mode that costs most, for the tests that flood the sidecar and for the benchmark
// that compares what floods cost.
package hostile

import (
	"fmt"
	"strings"
	"time"
)

// Way is how a flood is sent.
type Way int

// Ways. The zero value is none: it is how WeChat sends.
const (
	// Answered waits for each answer and sends on, over the same connection.
	Answered Way = 1 + iota
	// Kept sends once on each connection, and makes another when that is closed.
	Kept
	// Dropped sends once on each connection, closes it and makes another.
	Dropped
	// Trickled sends as Kept does, a byte at a time.
	Trickled
)

// Flood is what so many connections send at once.
type Flood struct {
	// Name is a few words.
	Name        string
	Connections int
	Way         Way
	// Text is what each sends: a request, or a part of one.
	Text string
}

// Largest is about the size of most bodies here, and the most that the sidecar reads of an encrypted message. Bytes.
const Largest = 256 << 10

// Floods are sent to the path of an endpoint.
func Floods(path string) []Flood {
	uri := ForgedURI(path)
	var floods []Flood
	add := func(name string, connections int, way Way, text string) {
		floods = append(floods, Flood{name, connections, way, text})
	}
	post := func(name string, connections int, body string) { add(name, connections, Answered, Post(path, body)) }
	within := func(text string, size int) string { return strings.Repeat(text, size/len(text)) }
	xml := func(inside string) string { return "<xml>" + inside + "</xml>" }
	cipher := within("QUFB", Largest-256)

	post("attributes of 1 MiB", 2, "<xml "+within(`a="" `, 1<<20)+"></xml>")
	post("attributes of 256 KiB", 8, "<xml "+within(`a="" `, Largest-64)+"></xml>")
	post("attributes of 64 KiB", 32, "<xml "+within(`a="" `, 64<<10)+"></xml>")
	post("attributes below the root", 8, xml("<MsgType "+within(`a="" `, Largest-64)+"></MsgType>"))
	post("elements", 8, xml(within("<a></a>", Largest-64)))
	post("elements of WeChat's", 8, xml(within("<MsgId>1</MsgId>", Largest-64)))
	post("elements that never end", 8, xml(within("<a>", Largest-64)))
	post("many Encrypts", 8, xml(within("<Encrypt>QUFB</Encrypt>", Largest-64)))
	post("Encrypts that never end", 8, xml(within("<Encrypt><![CDATA[", Largest-64)))
	post("ends of sections", 8, xml(within("]]></Encrypt>", Largest-64)))
	post("entities", 8, xml("<Content>"+within("&amp;", Largest-64)+"</Content>"))
	post("comments", 8, xml(within("<!-- -->", Largest-64)))
	post("one large Encrypt", 8, xml("<Encrypt>"+cipher+"</Encrypt>"))
	post("one large Encrypt of white space", 8, xml("<Encrypt>"+within(" ", Largest-64)+"</Encrypt>"))
	post("names in JSON", 8, "{"+within(`"a":1,`, Largest-64)+`"a":1}`)
	post("levels in JSON", 8, `{"a":`+within("[", Largest-64))
	post("texts in JSON", 8, `{"a":[`+within(`"a",`, Largest-64)+`1]}`)
	post("backslashes in JSON", 8, `{"a":"`+within(`\\`, Largest-64)+`"}`)
	post("quotes in JSON", 8, `{"a":"`+within(`\"`, Largest-64))
	post("one large Encrypt in JSON", 8, `{"Encrypt":"`+cipher+`"}`)
	post("one large Encrypt in JSON, escaped", 8, `{"Encrypt":"`+within(`\/`, Largest-64)+`"}`)
	post("one large Encrypt in JSON, in UTF-16", 8, `{"Encrypt":"`+within(`\u0041`, Largest-64)+`"}`)
	post("small requests with a bad signature", 32, xml("<Encrypt>QUFB</Encrypt>"))

	large := xml("<Encrypt>" + cipher + "</Encrypt>")
	add("one large Encrypt in chunks", 8, Answered,
		fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", uri, Host, len(large), large))
	add("another path", 32, Answered, "GET /other HTTP/1.1\r\nHost: "+Host+"\r\n\r\n")
	announced := func(size int, fields string) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n%s\r\n", uri, Host, size, fields)
	}
	add("bodies that stop", 400, Kept, announced(Largest, "")+strings.Repeat("x", 5000))
	add("bodies that stop near their end", 100, Kept, announced(Largest, "")+strings.Repeat("x", Largest-10))
	add("heads of tiny fields, stalled bodies", 400, Kept, announced(9, Tiny(3000)))
	add("heads of few fields, stalled bodies", 600, Kept, announced(9, Tiny(60)))
	unfinished := "POST " + path + " HTTP/1.1\r\nHost: " + Host + "\r\n"
	add("heads of tiny fields, unfinished", 400, Kept, unfinished+Tiny(3000))
	add("heads of 8 KiB, unfinished", 1500, Kept, unfinished+"A: "+strings.Repeat("a", 8000))
	add("heads byte by byte", 600, Trickled, unfinished)
	add("connections that send nothing", 2000, Kept, "")
	add("connections that were answered", 1000, Kept, "GET /other HTTP/1.1\r\nHost: "+Host+"\r\n\r\n")
	add("connections that come and go", 32, Dropped, "")
	return floods
}

// Host is whom the requests are for.
const Host = "wx.example.com"

// ForgedURI has everything but a right signature.
func ForgedURI(path string) string {
	return fmt.Sprintf("%s?timestamp=%d&nonce=7&encrypt_type=aes&signature=%040x&msg_signature=%040x", path, time.Now().Unix(), 1, 1)
}

// Post is a forged message with a body.
func Post(path, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s", ForgedURI(path), Host, len(body), body)
}

// Tiny are so many header fields of five bytes, of which no two have the same name for long.
func Tiny(n int) string {
	const letters = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%c%c:\r\n", letters[i%len(letters)], letters[i/len(letters)%len(letters)])
	}
	return b.String()
}
