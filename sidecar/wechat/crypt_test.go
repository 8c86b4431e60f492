// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package wechat

import (
	"bytes"
	"crypto/cipher"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// sampleKey is the key of Tencent's sample for WeCom.
const sampleKey = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"

func mustKey(t testing.TB, encoded string) *Key {
	t.Helper()
	key, err := ParseEncodingAESKey(encoded)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestParseEncodingAESKey(t *testing.T) {
	for name, test := range map[string]struct {
		encoded string
		refused bool
	}{
		"43 characters are a key":                   {sampleKey, false},
		"the two bits too many are ignored":         {strings.Repeat("A", 42) + "B", false},
		"42 characters are too few":                 {sampleKey[:42], true},
		"44 characters are too many":                {sampleKey + "A", true},
		"the = at the end does not belong to it":    {sampleKey + "=", true},
		"a line feed is not skipped":                {sampleKey + "\n", true},
		"a line feed does not stand for a letter":   {sampleKey[:42] + "\n", true},
		"a character of the other base64 is no key": {"-" + sampleKey[1:], true},
		"nothing is no key":                         {"", true},
		"line feeds do not make a key of 16 bytes":  {strings.Repeat("A", 22) + strings.Repeat("\n", 21), true},
	} {
		t.Run(name, func(t *testing.T) {
			key, err := ParseEncodingAESKey(test.encoded)
			if (err != nil) != test.refused || (key == nil) != test.refused {
				t.Errorf("key %v, error %v", key, err)
			}
			if err != nil && len(test.encoded) > 8 && strings.Contains(err.Error(), test.encoded[:8]) {
				t.Errorf("the error quotes the key: %v", err)
			}
		})
	}
}

// TestKeysThatDifferInTheLastBitsAreOne holds that the bits that are ignored are ignored by both directions.
func TestKeysThatDifferInTheLastBitsAreOne(t *testing.T) {
	sealed, err := mustKey(t, strings.Repeat("A", 42)+"A").Seal([RandomSize]byte{}, []byte("m"), "wx1")
	if err != nil {
		t.Fatal(err)
	}
	if message, receiver, err := openText(mustKey(t, strings.Repeat("A", 42)+"D"), sealed); string(message) != "m" || receiver != "wx1" || err != nil {
		t.Errorf("got %q for %q, error %v", message, receiver, err)
	}
}

func openText(key *Key, encrypted string) (message []byte, receiver string, err error) {
	opened, err := key.Open([]byte(encrypted))
	return opened.Message, opened.ReceiverID, err
}

// encryptRaw encrypts a plaintext as it is, also one that Seal would never make.
func encryptRaw(key *Key, plain []byte) string {
	sealed := make([]byte, len(plain))
	cipher.NewCBCEncrypter(key.block, key.iv[:]).CryptBlocks(sealed, plain)
	return base64.StdEncoding.EncodeToString(sealed)
}

// layout is a plaintext with a length of the test's choosing and correct padding.
func layout(size, content string) []byte {
	plain := []byte(strings.Repeat("r", RandomSize) + size + content)
	padding := padBlock - len(plain)%padBlock
	return append(plain, bytes.Repeat([]byte{byte(padding)}, padding)...)
}

func TestOpen(t *testing.T) {
	key := mustKey(t, sampleKey)
	good, err := key.Seal([RandomSize]byte{1}, []byte("<xml/>"), "wx1")
	if err != nil {
		t.Fatal(err)
	}
	padded := func(end ...byte) string {
		return encryptRaw(key, append(bytes.Repeat([]byte{0}, 2*padBlock-len(end)), end...))
	}
	for name, test := range map[string]struct {
		encrypted         string
		message, receiver string
		refused           bool
	}{
		"what was sealed is opened":                        {encrypted: good, message: "<xml/>", receiver: "wx1"},
		"a line break in the base64 is skipped":            {encrypted: good[:20] + "\r\n" + good[20:], message: "<xml/>", receiver: "wx1"},
		"an empty message is one":                          {encrypted: encryptRaw(key, layout("\x00\x00\x00\x00", "wx1")), receiver: "wx1"},
		"an empty receiver is one, as AI bots have it":     {encrypted: encryptRaw(key, layout("\x00\x00\x00\x02", "hi")), message: "hi"},
		"neither message nor receiver is still a layout":   {encrypted: encryptRaw(key, layout("\x00\x00\x00\x00", ""))},
		"the longest receiver":                             {encrypted: encryptRaw(key, layout("\x00\x00\x00\x00", strings.Repeat("i", 128))), receiver: strings.Repeat("i", 128)},
		"a receiver of one byte more":                      {encrypted: encryptRaw(key, layout("\x00\x00\x00\x00", strings.Repeat("i", 129))), refused: true},
		"a length of one byte too many":                    {encrypted: encryptRaw(key, layout("\x00\x00\x00\x03", "hi")), refused: true},
		"a length that is negative as an int32":            {encrypted: encryptRaw(key, layout("\xff\xff\xff\xff", "hi")), refused: true},
		"the greatest length that is positive as an int32": {encrypted: encryptRaw(key, layout("\x7f\xff\xff\xff", "hi")), refused: true},
		"padding of zero":                                  {encrypted: padded(0), refused: true},
		"padding of 33":                                    {encrypted: padded(bytes.Repeat([]byte{33}, 33)...), refused: true},
		"padding whose bytes differ":                       {encrypted: padded(2, 3, 3), refused: true},
		"nothing but padding":                              {encrypted: encryptRaw(key, bytes.Repeat([]byte{32}, 32)), refused: true},
		"no room for the length":                           {encrypted: encryptRaw(key, bytes.Repeat([]byte{13}, 32)), refused: true},
		"one block of the cipher":                          {encrypted: encryptRaw(key, bytes.Repeat([]byte{16}, 16)), refused: true},
		"one and a half blocks of padding":                 {encrypted: encryptRaw(key, bytes.Repeat([]byte{16}, 48)), refused: true},
		"no whole block of the cipher":                     {encrypted: base64.StdEncoding.EncodeToString(make([]byte, 33)), refused: true},
		"nothing":                                          {encrypted: "", refused: true},
		"no base64":                                        {encrypted: "!!!!", refused: true},
		"a space where a + was decoded twice":              {encrypted: " " + good[1:], refused: true},
		"base64 without its end":                           {encrypted: strings.TrimRight(good, "="), refused: true},
		"bits behind the end of the base64":                {encrypted: strings.Repeat("A", 42) + "B=", refused: true},
		"a text that is padded to one and a half blocks":   {encrypted: encryptRaw(key, append([]byte(strings.Repeat("r", RandomSize)+"\x00\x00\x00\x02hi"), bytes.Repeat([]byte{26}, 26)...)), refused: true},
		"bits behind the end of what was sealed":           {encrypted: good[:len(good)-2] + string(good[len(good)-2]+1) + "=", refused: true},
		"a message of another key":                         {encrypted: encryptRaw(mustKey(t, strings.Repeat("A", 43)), layout("\x00\x00\x00\x02", "hi")), refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			message, receiver, err := openText(key, test.encrypted)
			if test.refused {
				if err != ErrUndecryptable || message != nil || receiver != "" { //nolint:errorlint // it must be the value itself: a wrapped one would tell the step
					t.Errorf("got %q for %q, error %v", message, receiver, err)
				}
				return
			}
			if string(message) != test.message || receiver != test.receiver || err != nil {
				t.Errorf("got %q for %q, error %v", message, receiver, err)
			}
		})
	}
}

// TestOpenGivesNothingBehindTheMessage holds that an append to the message cannot write over the receiver's id.
func TestOpenGivesNothingBehindTheMessage(t *testing.T) {
	key := mustKey(t, sampleKey)
	sealed, err := key.Seal([RandomSize]byte{}, []byte("message"), "wx1")
	if err != nil {
		t.Fatal(err)
	}
	message, _, err := openText(key, sealed)
	if err != nil || cap(message) != len(message) {
		t.Errorf("error %v, length %d, capacity %d", err, len(message), cap(message))
	}
}

// TestSealPadsEveryLength holds the padding to blocks of 32, of which a whole one is added to a text that fills its last.
// A padding to blocks of 16 differs in half of these lengths.
func TestSealPadsEveryLength(t *testing.T) {
	key := mustKey(t, sampleKey)
	for size := range 2*padBlock + 1 {
		t.Run(fmt.Sprintf("a message of %d bytes", size), func(t *testing.T) {
			message := strings.Repeat("m", size)
			sealed, err := key.Seal([RandomSize]byte{}, []byte(message), "wx1")
			if err != nil {
				t.Fatal(err)
			}
			raw, err := base64.StdEncoding.DecodeString(sealed)
			text := RandomSize + lengthSize + size + len("wx1")
			if want := (text/padBlock + 1) * padBlock; len(raw) != want || err != nil {
				t.Errorf("sealed it has %d bytes, want %d; error %v", len(raw), want, err)
			}
			if got, receiver, err := openText(key, sealed); string(got) != message || receiver != "wx1" || err != nil {
				t.Errorf("opened it is %q for %q, error %v", got, receiver, err)
			}
		})
	}
}

// TestRandomBytesHideThatMessagesAreEqual holds that they are not left out: with the fixed IV, nothing else does it.
func TestRandomBytesHideThatMessagesAreEqual(t *testing.T) {
	key := mustKey(t, sampleKey)
	one, oneErr := key.Seal([RandomSize]byte{1}, []byte("m"), "wx1")
	two, twoErr := key.Seal([RandomSize]byte{2}, []byte("m"), "wx1")
	if one == two || oneErr != nil || twoErr != nil {
		t.Errorf("errors %v and %v; both are %q", oneErr, twoErr, one)
	}
}

func TestSealRefusesALongReceiver(t *testing.T) {
	key := mustKey(t, sampleKey)
	if _, err := key.Seal([RandomSize]byte{}, nil, strings.Repeat("i", maxReceiverID)); err != nil {
		t.Errorf("the longest id is refused: %v", err)
	}
	if sealed, err := key.Seal([RandomSize]byte{}, nil, strings.Repeat("i", maxReceiverID+1)); err == nil || sealed != "" {
		t.Errorf("an id that Open would refuse is sealed: %q", sealed)
	}
}

// FuzzOpen holds that no ciphertext and no plaintext makes Open panic or tell which step failed.
func FuzzOpen(f *testing.F) {
	key := mustKey(f, sampleKey)
	sealed, err := key.Seal([RandomSize]byte{}, []byte("<xml/>"), "wx1")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed, layout("\x00\x00\x00\x02", "hi"))
	f.Add("!!!!", layout("\xff\xff\xff\xff", "hi"))
	f.Add("", bytes.Repeat([]byte{32}, 32))
	f.Fuzz(func(t *testing.T, encrypted string, plain []byte) {
		// A random ciphertext seldom passes the padding; a chosen plaintext reaches what is behind it.
		chosen := encryptRaw(key, plain[:len(plain)/padBlock*padBlock])
		for _, text := range []string{encrypted, chosen} {
			message, receiver, err := openText(key, text)
			switch {
			case err != nil && (!errors.Is(err, ErrUndecryptable) || message != nil || receiver != ""):
				t.Errorf("got %q for %q, error %v", message, receiver, err)
			case len(receiver) > maxReceiverID || len(message)+len(receiver) > len(text):
				t.Errorf("%d bytes for %q come out of %d", len(message), receiver, len(text))
			}
		}
	})
}

// FuzzSealOpen holds that Open returns what Seal was given.
func FuzzSealOpen(f *testing.F) {
	f.Add([]byte("0123456789abcdef0123456789abcdef"), []byte("<xml/>"), "wx1")
	f.Add([]byte{}, []byte{}, "")
	f.Fuzz(func(t *testing.T, secrets, message []byte, receiver string) {
		var raw [32]byte
		var random [RandomSize]byte
		copy(random[:], secrets[copy(raw[:], secrets):])
		key := mustKey(t, base64.RawStdEncoding.EncodeToString(raw[:]))
		sealed, err := key.Seal(random, message, receiver)
		if err != nil {
			if len(receiver) <= maxReceiverID {
				t.Errorf("%q is not sealed for %q: %v", message, receiver, err)
			}
			return
		}
		got, gotReceiver, err := openText(key, sealed)
		if !bytes.Equal(got, message) || gotReceiver != receiver || err != nil {
			t.Errorf("got %q for %q, error %v, want %q for %q", got, gotReceiver, err, message, receiver)
		}
	})
}

// BenchmarkOpen decrypts a message of the usual size.
func BenchmarkOpen(b *testing.B) {
	key := mustKey(b, sampleKey)
	sealed, err := key.Seal([RandomSize]byte{}, bytes.Repeat([]byte("m"), 512), "wx5823bf96d3bd56c7")
	if err != nil {
		b.Fatal(err)
	}
	text := []byte(sealed)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := key.Open(text); err != nil {
			b.Fatal(err)
		}
	}
}

// TestTheMarkOfAReply: it is in the first of the encrypted bytes, and none is without one.
func TestTheMarkOfAReply(t *testing.T) {
	key, another := mustKey(t, sampleKey), mustKey(t, strings.Repeat("A", 43))
	random := [RandomSize / 2]byte{1, 2, 3}
	marked := key.MarkedRandom(random)
	if !bytes.Equal(marked[:len(random)], random[:]) {
		t.Errorf("the random bytes are not in %x", marked)
	}
	changed := marked
	changed[RandomSize-1] ^= 1
	for name, test := range map[string]struct {
		key    *Key
		random [RandomSize]byte
		want   bool
	}{
		"a marked one":                     {key, marked, true},
		"another one that is marked":       {key, key.MarkedRandom([RandomSize / 2]byte{9}), true},
		"one bit is another":               {key, changed, false},
		"the mark of another key":          {another, marked, false},
		"WeChat's, letters and digits":     {key, [RandomSize]byte([]byte("aaaaaaaaaaaaaaaa")), false},
		"nothing but zeros":                {key, [RandomSize]byte{}, false},
		"the mark without its random half": {key, [RandomSize]byte(append(make([]byte, RandomSize/2), marked[RandomSize/2:]...)), false},
	} {
		if got := test.key.Marked(test.random); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	sealed, err := key.Seal(marked, []byte("<xml/>"), "wx1")
	if err != nil {
		t.Fatal(err)
	}
	if opened, err := key.Open([]byte(sealed)); err != nil || opened.Random != marked {
		t.Errorf("opened with the random bytes %x, error %v", opened.Random, err)
	}
}

// TestTextsAreOpenedOneAfterTheOther, also of several keys: nothing of one is left for the next. With the random bytes, the mark of a reply would be lost.
func TestTextsAreOpenedOneAfterTheOther(t *testing.T) {
	for range 3 {
		for _, encoded := range []string{sampleKey, sampleKey, strings.Repeat("A", 43)} {
			key := mustKey(t, encoded)
			for range 2 {
				marked := key.MarkedRandom([RandomSize / 2]byte{1, 2, 3})
				sealed, err := key.Seal(marked, []byte("<xml/>"), "wx1")
				if err != nil {
					t.Fatal(err)
				}
				if opened, err := key.Open([]byte(sealed)); err != nil || opened.Random != marked || !key.Marked(opened.Random) {
					t.Errorf("opened with the random bytes %x, error %v, want %x", opened.Random, err, marked)
				}
			}
		}
	}
}
