// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// encrypt is AES-CBC without a padding of its own.
func encrypt(t *testing.T, parts ...[]byte) []byte {
	t.Helper()
	raw, err := base64.RawStdEncoding.DecodeString(aesKey)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		t.Fatal(err)
	}
	plain := slices.Concat(parts...)
	cipher.NewCBCEncrypter(block, raw[:aes.BlockSize]).CryptBlocks(plain, plain)
	return plain
}

// TestDecryptAgreesWithTheSidecar: it opens what the sidecar opens, and nothing else; only the words are its own.
func TestDecryptAgreesWithTheSidecar(t *testing.T) {
	key, err := wechat.ParseEncodingAESKey(aesKey)
	if err != nil {
		t.Fatal(err)
	}
	random, padding := make([]byte, wechat.RandomSize), func(n, of int) []byte { return bytes.Repeat([]byte{byte(n)}, of) }
	for name, test := range map[string]struct {
		sealed []byte
		stage  int
		why    string
	}{
		"a message and its receiver":      {encrypt(t, random, []byte{0, 0, 0, 2}, []byte("hiwx1"), padding(7, 7)), stageLength, ""},
		"a message for nobody":            {encrypt(t, random, []byte{0, 0, 0, 5}, []byte("hello"), padding(7, 7)), stageLength, ""},
		"a padding of a whole block":      {encrypt(t, random, []byte{0, 0, 0, 9}, []byte("hellohellowx"), padding(32, 32)), stageLength, ""},
		"a receiver of 128 bytes":         {encrypt(t, random, []byte{0, 0, 0, 0}, bytes.Repeat([]byte("x"), 128), padding(12, 12)), stageLength, ""},
		"a receiver of 129 bytes":         {encrypt(t, random, []byte{0, 0, 0, 0}, bytes.Repeat([]byte("x"), 129), padding(11, 11)), stagePadding, "leaves more than 128"},
		"a padding of 0":                  {encrypt(t, random, []byte{0, 0, 0, 2}, []byte("hiwx1"), padding(0, 7)), stageNothing, "decrypts to 0, and a padding has 1 to 32 bytes"},
		"a padding of 33":                 {encrypt(t, random, []byte{0, 0, 0, 2}, []byte("hiwx1"), padding(33, 7)), stageNothing, "decrypts to 33"},
		"a padding that is not the same":  {encrypt(t, random, []byte{0, 0, 0, 2}, []byte("hiwx1"), padding(6, 6), padding(7, 1)), stageNothing, "only 1 of the last 7 bytes do"},
		"a length beyond the end":         {encrypt(t, random, []byte{0, 0, 0, 6}, []byte("hello"), padding(7, 7)), stagePadding, "the length says 6 bytes, and 5 follow it"},
		"the greatest length":             {encrypt(t, random, []byte{255, 255, 255, 255}, []byte("hello"), padding(7, 7)), stagePadding, "the length says 4294967295 bytes"},
		"no room for random and a length": {encrypt(t, random, padding(16, 16)), stagePadding, "16 bytes are left without the padding"},
	} {
		t.Run(name, func(t *testing.T) {
			got := decrypt(keyring{Pair: config.Pair{EncodingAESKey: aesKey}}, test.sealed)
			if got.stage != test.stage || !strings.Contains(got.why.String(), test.why) {
				t.Errorf("stage %d because %q, want %d because %q", got.stage, got.why, test.stage, test.why)
			}
			opened, err := key.Open([]byte(base64.StdEncoding.EncodeToString(test.sealed)))
			if (err == nil) != (got.stage == stageLength) || string(opened.Message) != string(got.message) || opened.ReceiverID != got.receiver {
				t.Errorf("the sidecar has %q for %q (%v), and this %q for %q", opened.Message, opened.ReceiverID, err, got.message, got.receiver)
			}
		})
	}
}
