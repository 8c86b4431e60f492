// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package wechat

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
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
	block   cipher.Block
	iv      [aes.BlockSize]byte
	markKey []byte
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
	key := &Key{block: block, markKey: digest(raw, []byte("wechatendpoint: the mark of a reply"))}
	copy(key.iv[:], raw) // the protocol's: the first half of the key, for every message
	return key, nil
}

// Opened is what was encrypted.
type Opened struct {
	// Random is what keeps two equal messages from having equal texts.
	Random [RandomSize]byte
	// Message is a part of one fresh slice.
	Message []byte
	// ReceiverID must be compared with one's own: the same key may serve several accounts.
	ReceiverID string
}

// Open decrypts the text of an Encrypt element.
//
// Verify msg_signature first. The cipher has no authentication of its own, and the signature is what keeps strangers from
// trying ciphertexts here.
func (k *Key) Open(encrypted []byte) (Opened, error) {
	sealed := make([]byte, base64.StdEncoding.DecodedLen(len(encrypted)))
	size, err := base64.StdEncoding.Strict().Decode(sealed, encrypted)
	if sealed = sealed[:size]; err != nil || size == 0 || size%padBlock != 0 {
		return Opened{}, ErrUndecryptable
	}
	o := k.opener()
	o.decrypt(sealed)
	openers.Put(o)
	padded, ok := unpad(sealed)
	if !ok || len(padded) < RandomSize+lengthSize {
		return Opened{}, ErrUndecryptable
	}
	content := padded[RandomSize+lengthSize:]
	// Compared as uint64: as an int, a length of 0xFFFFFFFF is negative on some machines and passes.
	length := uint64(binary.BigEndian.Uint32(padded[RandomSize:]))
	if length > uint64(len(content)) || uint64(len(content))-length > maxReceiverID {
		return Opened{}, ErrUndecryptable
	}
	return Opened{[RandomSize]byte(padded), content[:length:length], view(content[length:])}, nil
}

// unpad removes 1 to 32 bytes that all hold their own number. Without the comparison of every one of them, a wrong key
// passes for right in one of eight messages and yields rubbish.
func unpad(padded []byte) ([]byte, bool) {
	size := int(padded[len(padded)-1])
	if size < 1 || size > padBlock || size > len(padded) {
		return nil, false
	}
	padding := padded[len(padded)-size:]
	var other byte
	for _, c := range padding {
		other |= c ^ byte(size)
	}
	ok := other == 0
	return padded[:len(padded)-size], ok
}

// MarkedRandom returns the random bytes of a reply that is sealed here: 8 that nobody can predict, and 8 that say so.
//
// A sealed reply has the very form of a message: the same token signs it, the same key encrypts it, and the same id of the
// receiver stands behind it. Whoever sees one pass could post it back, and it would be taken for WeChat's; and an app can
// choose what is in it. The mark is how a reply is known by every replica, without remembering it. It is a MAC by a key that
// follows from the EncodingAESKey, so that it is known by the very key that opens the reply, whatever was rotated since.
// Nobody can take it out of a reply: with the fixed IV it stands in the first block of the cipher, which msg_signature covers.
// And none of WeChat's messages bears it but by a chance of 1 in 2^64. Whoever could compute it would gain a refusal.
func (k *Key) MarkedRandom(random [RandomSize / 2]byte) [RandomSize]byte {
	o := k.opener()
	defer openers.Put(o)
	marked := append(o.marked[:0], random[:]...)
	o.mac.Reset()
	o.mac.Write(marked)
	return [RandomSize]byte(append(marked, o.mac.Sum(o.sum[:0])[:RandomSize/2]...))
}

// opener is what a key needs to open a text. It is kept for the next text, which is mostly for the same key.
type opener struct {
	key    *Key
	cbc    cipher.BlockMode
	mac    hash.Hash // with the markKey
	marked [RandomSize]byte
	sum    [sha256.Size]byte
}

var openers sync.Pool

func (k *Key) opener() *opener {
	if o, _ := openers.Get().(*opener); o != nil && o.key == k {
		return o
	}
	return &opener{key: k, mac: hmac.New(sha256.New, k.markKey)}
}

// decrypt decrypts a text in its place.
func (o *opener) decrypt(text []byte) {
	if used, ok := o.cbc.(interface{ SetIV(iv []byte) }); ok {
		used.SetIV(o.key.iv[:])
	} else {
		o.cbc = cipher.NewCBCDecrypter(o.key.block, o.key.iv[:])
	}
	o.cbc.CryptBlocks(text, text)
}

// Marked reports whether random bytes are those of a reply that was sealed here.
func (k *Key) Marked(random [RandomSize]byte) bool {
	return random == k.MarkedRandom([RandomSize / 2]byte(random[:]))
}

func digest(key, text []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(text)
	return mac.Sum(nil)
}

// Seal encrypts a message for a receiver as Open reads it, and returns base64. Random is 16 bytes that nobody can
// predict: with the fixed IV, they alone keep two equal messages from having equal texts.
func (k *Key) Seal(random [RandomSize]byte, message []byte, receiverID string) (string, error) {
	if err := sealable(message, receiverID); err != nil {
		return "", err
	}
	var text strings.Builder
	text.Grow(sealedLen(message, receiverID))
	err := k.sealTo(&text, random, message, receiverID)
	return text.String(), err
}

func sealable(message []byte, receiverID string) error {
	if uint64(len(message)) > math.MaxUint32 || len(receiverID) > maxReceiverID {
		return errors.New("the message or the id of the receiver is too long to be encrypted")
	}
	return nil
}

// sealedLen is the length of what Seal returns.
func sealedLen(message []byte, receiverID string) int {
	plain := RandomSize + lengthSize + len(message) + len(receiverID)
	return base64.StdEncoding.EncodedLen(plain + padBlock - plain%padBlock)
}

// sealTo writes what Seal returns, piece by piece: a message of megabytes is not held twice.
func (k *Key) sealTo(w io.Writer, random [RandomSize]byte, message []byte, receiverID string) error {
	head := binary.BigEndian.AppendUint32(random[:], uint32(len(message))) //nolint:gosec // compared in sealable
	unpadded := len(head) + len(message) + len(receiverID)
	size := padBlock - unpadded%padBlock // a whole block where the text fills the last one
	tail := append([]byte(receiverID), slices.Repeat([]byte{byte(size)}, size)...)
	plain := io.MultiReader(bytes.NewReader(head), bytes.NewReader(message), bytes.NewReader(tail))

	encoder := base64.NewEncoder(base64.StdEncoding, w)
	cbc := cipher.NewCBCEncrypter(k.block, k.iv[:])
	piece := make([]byte, min(sealPiece, unpadded+size))
	for {
		n, err := io.ReadFull(plain, piece)
		if n == 0 {
			return errors.Join(encoder.Close(), notEnd(err))
		}
		cbc.CryptBlocks(piece[:n], piece[:n])
		if _, err := encoder.Write(piece[:n]); err != nil {
			return err
		}
	}
}

// sealPiece is a multiple of the cipher's block. Bytes.
const sealPiece = 3 << 10

func notEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
