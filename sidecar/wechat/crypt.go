// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package wechat

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// The layout of what is encrypted: random, the length of the message as a big-endian uint32, the message, the receiver's
// id, padding. Bytes.
const (
	RandomSize    = 16
	lengthSize    = 4
	maxReceiverID = 128
	// padBlock is 32, twice the cipher's own block: WeChat pads to it, and a PKCS #7 of 16 loses every second message.
	padBlock = 32
)

// Key is what an EncodingAESKey stands for. It is immutable and safe for concurrent use.
type Key struct {
	block cipher.Block
	iv    [aes.BlockSize]byte
}

// ErrUndecryptable is the one error of Open. Which step failed is not told: a server that tells padding from length is
// an oracle, with which a ciphertext can be read byte by byte.
var ErrUndecryptable = errors.New("the message cannot be decrypted with this key")

// ParseEncodingAESKey returns the Key of the console's 43 characters: base64 of 32 bytes without the = at its end.
//
// The last character carries two bits too many. Consoles have set them at random for years, so they are ignored; a
// decoder that insists on zeros refuses two keys of three. The error does not quote the key.
func ParseEncodingAESKey(encoded string) (*Key, error) {
	raw, err := base64.RawStdEncoding.DecodeString(encoded)
	if err != nil || len(encoded) != 43 || len(raw) != 32 {
		return nil, errors.New("an EncodingAESKey has 43 letters and digits")
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		return nil, fmt.Errorf("making the cipher: %w", err)
	}
	key := &Key{block: block}
	copy(key.iv[:], raw) // the protocol's: the first half of the key, for every message
	return key, nil
}

// Open decrypts the text of an Encrypt element and returns the message and the id of the receiver that was put behind
// it, which the caller must compare with its own: the same key may serve several accounts. The message is a part of one
// fresh slice.
//
// Verify msg_signature first. The cipher has no authentication of its own, and the signature is what keeps strangers from
// trying ciphertexts here.
func (k *Key) Open(encrypted string) (message []byte, receiverID string, err error) {
	sealed, err := base64.StdEncoding.Strict().DecodeString(encrypted)
	if err != nil || len(sealed) == 0 || len(sealed)%padBlock != 0 {
		return nil, "", ErrUndecryptable
	}
	cipher.NewCBCDecrypter(k.block, k.iv[:]).CryptBlocks(sealed, sealed)
	padded, ok := unpad(sealed)
	if !ok || len(padded) < RandomSize+lengthSize {
		return nil, "", ErrUndecryptable
	}
	content := padded[RandomSize+lengthSize:]
	// Compared as uint64: as an int, a length of 0xFFFFFFFF is negative on some machines and passes.
	size := uint64(binary.BigEndian.Uint32(padded[RandomSize:]))
	if size > uint64(len(content)) || uint64(len(content))-size > maxReceiverID {
		return nil, "", ErrUndecryptable
	}
	return content[:size:size], string(content[size:]), nil
}

// unpad removes 1 to 32 bytes that all hold their own number. Without the comparison of every one of them, a wrong key
// passes for right in one of eight messages and yields rubbish.
func unpad(padded []byte) ([]byte, bool) {
	size := int(padded[len(padded)-1])
	if size < 1 || size > padBlock || size > len(padded) {
		return nil, false
	}
	padding := padded[len(padded)-size:]
	ok := subtle.ConstantTimeCompare(padding, bytes.Repeat([]byte{byte(size)}, size)) == 1
	return padded[:len(padded)-size], ok
}

// Seal encrypts a message for a receiver as Open reads it, and returns base64. Random is 16 bytes that nobody can
// predict: with the fixed IV, they alone keep two equal messages from having equal texts.
func (k *Key) Seal(random [RandomSize]byte, message []byte, receiverID string) (string, error) {
	if uint64(len(message)) > math.MaxUint32 || len(receiverID) > maxReceiverID {
		return "", errors.New("the message or the id of the receiver is too long to be encrypted")
	}
	plain := make([]byte, 0, RandomSize+lengthSize+len(message)+len(receiverID)+padBlock)
	plain = append(plain, random[:]...)
	plain = binary.BigEndian.AppendUint32(plain, uint32(len(message))) //nolint:gosec // compared above
	plain = append(plain, message...)
	plain = append(plain, receiverID...)
	size := padBlock - len(plain)%padBlock // a whole block where the text fills the last one
	plain = append(plain, slices.Repeat([]byte{byte(size)}, size)...)
	cipher.NewCBCEncrypter(k.block, k.iv[:]).CryptBlocks(plain, plain)
	return base64.StdEncoding.EncodeToString(plain), nil
}
