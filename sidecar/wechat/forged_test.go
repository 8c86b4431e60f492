// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package wechat

import (
	"runtime"
	"strings"
	"testing"
)

// forged are bodies that nobody has signed, each of a shape that costs some parser much.
func forged(size int) map[string]string {
	fill := func(text string) string { return strings.Repeat(text, size/len(text)) }
	return map[string]string{
		"attributes":                 "<xml " + fill(`a="" `) + "></xml>",
		"attributes below the root":  "<xml><MsgType " + fill(`a="" `) + "></MsgType></xml>",
		"elements":                   "<xml>" + fill("<a></a>") + "</xml>",
		"elements of WeChat's":       "<xml>" + fill("<MsgId>1</MsgId>") + "</xml>",
		"elements that never end":    "<xml>" + fill("<a>") + "</xml>",
		"many Encrypts":              "<xml>" + fill("<Encrypt>QUFB</Encrypt>") + "</xml>",
		"Encrypts that never end":    "<xml>" + fill("<Encrypt><![CDATA[") + "</xml>",
		"ends of Encrypts":           "<xml>" + fill("]]></Encrypt>") + "</xml>",
		"starts of sections":         "<xml>" + fill("<![CDATA[") + "</xml>",
		"one large Encrypt":          "<xml><Encrypt>" + fill("QUFB") + "</Encrypt></xml>",
		"one large Encrypt of space": "<xml><Encrypt>" + fill(" ") + "</Encrypt></xml>",
		"comments":                   fill("<!-- -->"),
		"white space":                fill(" ") + "<xml></xml>",
		"names":                      "{" + fill(`"a":1,`) + `"a":1}`,
		"levels":                     `{"a":` + fill("["),
		"levels that end":            `{"a":` + fill("[]") + "}",
		"texts":                      `{"a":[` + fill(`"a",`) + `1]}`,
		"texts of quotes":            `{"a":"` + fill(`\"`) + `"}`,
		"texts of backslashes":       `{"a":"` + fill(`\\`) + `"}`,
		"a text that never ends":     `{"a":"` + fill(`\\\"`),
		"a number":                   `{"a":` + fill("9") + "}",
		"a large Encrypt in JSON":    `{"Encrypt":"` + fill("QUFB") + `"}`,
		"with escapes":               `{"Encrypt":"` + fill(`\/`) + `"}`,
		"with escapes by number":     `{"Encrypt":"` + fill(`\u0041`) + `"}`,
		"with escapes of two words":  `{"Encrypt":"` + fill(`\ud83d\ude00`) + `"}`,
	}
}

// TestForgedBodiesTakeNoMemory beside their own: at most as much again, where a text has escapes.
func TestForgedBodiesTakeNoMemory(t *testing.T) {
	const size, runs = 256 << 10, 10
	for name, text := range forged(size) {
		body := []byte(text)
		taken := allocated(func() {
			for range runs {
				judgeForged(t, body)
			}
		}) / runs
		most := uint64(size / 4) // what other tests allocate meanwhile is counted too
		if strings.Contains(name, "escapes") {
			most += uint64(len(body))
		}
		if taken > most {
			t.Errorf("%s: %d bytes are taken for %d", name, taken, len(body))
		}
	}
}

func judgeForged(tb testing.TB, body []byte) {
	tb.Helper()
	envelope, err := ParseEnvelope(body, true)
	if err == nil && VerifyEncrypt(strings.Repeat("0", SignatureSize), "a-fine-token", "1700000000", "7", envelope.Encrypt) {
		tb.Fatal("a forged body is verified")
	}
}

// allocated is how many bytes are allocated by do.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// BenchmarkForgedBodies is of a MiB of each shape.
func BenchmarkForgedBodies(b *testing.B) {
	for name, text := range forged(1 << 20) {
		b.Run(name, func(b *testing.B) {
			body := []byte(text)
			b.ReportAllocs()
			for b.Loop() {
				judgeForged(b, body)
			}
		})
	}
}
