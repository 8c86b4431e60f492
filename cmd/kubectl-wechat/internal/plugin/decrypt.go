// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"

	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// How far a decryption got.
const (
	stageNothing = iota
	stagePadding
	stageLength
)

// The layout of what is encrypted, which wechat.Key.Open has too. Bytes.
const (
	blockSize   = 32
	prefixSize  = wechat.RandomSize + 4 // and the length of the message
	maxReceiver = 128
)

// decryption is what came of a key.
type decryption struct {
	key      keyring
	stage    int
	why      text.Text // it went no further
	padding  int
	message  []byte
	receiver string
}

// decrypt is wechat.Key.Open, but it says which step failed and with which numbers.
//
// The sidecar must never say that. Whoever can send it ciphertexts and learns, by words, status or time, whether the padding
// or the length was wrong, can read and forge messages byte by byte without the key; so its Open has one error. Here nobody
// asks from afar: it runs once, on a text that a person captured, for that person, who holds the key and could decrypt by
// hand. For the same reason it does not ask for a constant time, and nothing that serves a network may call it.
func decrypt(key keyring, sealed []byte) decryption {
	d := decryption{key: key}
	raw, err := base64.RawStdEncoding.DecodeString(key.EncodingAESKey)
	if err != nil {
		d.why = text.New("the EncodingAESKey is not base64")
		return d
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		d.why = text.New("the EncodingAESKey does not stand for 32 bytes")
		return d
	}
	plain := make([]byte, len(sealed))
	cipher.NewCBCDecrypter(block, raw[:aes.BlockSize]).CryptBlocks(plain, sealed)
	if !d.unpad(&plain) {
		return d
	}
	d.split(plain)
	return d
}

// unpad removes the padding: 1 to 32 bytes, each of which holds their number.
func (d *decryption) unpad(plain *[]byte) bool {
	size := int((*plain)[len(*plain)-1])
	if size < 1 || size > blockSize {
		d.why = text.New("the last byte decrypts to %d, and a padding has 1 to %d bytes", size, blockSize)
		return false
	}
	start := len(*plain) - size
	if same := bytes.Count((*plain)[start:], []byte{byte(size)}); same != size {
		d.why = text.New("the last byte decrypts to %d, and only %d of the last %d bytes do", size, same, size)
		return false
	}
	d.stage, d.padding, *plain = stagePadding, size, (*plain)[:start]
	return true
}

// split takes the message and the receiver's id apart.
func (d *decryption) split(plain []byte) {
	if len(plain) < prefixSize {
		d.why = text.New("%d bytes are left without the padding, and the random bytes and the length alone have %d", len(plain), prefixSize)
		return
	}
	content, size := plain[prefixSize:], uint64(binary.BigEndian.Uint32(plain[wechat.RandomSize:]))
	switch {
	case size > uint64(len(content)):
		d.why = text.New("the length says %d bytes, and %d follow it", size, len(content))
	case uint64(len(content))-size > maxReceiver:
		d.why = text.New("the length says %d of %d bytes, which leaves more than %d for the receiver's id", size, len(content), maxReceiver)
	default:
		d.stage, d.message, d.receiver = stageLength, content[:size], string(content[size:])
	}
}
