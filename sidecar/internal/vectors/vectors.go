// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package vectors reads the test vectors of other implementations, and runs them: once in memory, against the protocol's
// package, and once over HTTP, against the running sidecar. It is for tests only.
package vectors

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// file is one file. What describes the origin is not read
// any further, so it may have any shape; a vector may not.
type file struct {
	Half       string          `json:"half"`
	Source     json.RawMessage `json:"source"`
	Provenance string          `json:"provenance"`
	Vectors    []Vector        `json:"vectors"`
}

// Vector is one case. The README beside the files says what its fields mean; an absent one is empty.
type Vector struct {
	ID            string `json:"id"`
	Kind          string `json:"kind"`
	Platform      string `json:"platform"`
	Mode          string `json:"mode"`
	Notes         string `json:"notes"`
	Informational bool   `json:"informational"`

	Token                  string `json:"token"`
	EncodingAESKey         string `json:"encoding_aes_key"`
	PreviousEncodingAESKey string `json:"previous_encoding_aes_key"`
	ReceiveID              string `json:"receive_id"`
	APIV3Key               string `json:"api_v3_key"`

	Query      map[string]string `json:"query"`
	RawQuery   string            `json:"raw_query"`
	Body       *string           `json:"body"`
	BodyFormat string            `json:"body_format"`
	Encrypt    string            `json:"encrypt"`

	ReplyPlaintext string `json:"reply_plaintext"`
	ReplyTimestamp string `json:"reply_timestamp"`
	ReplyNonce     string `json:"reply_nonce"`
	RandomASCII    string `json:"random_ascii"`

	Timestamp           string            `json:"timestamp"`
	Nonce               string            `json:"nonce"`
	AssociatedData      string            `json:"associated_data"`
	Ciphertext          string            `json:"ciphertext"`
	PlatformCertificate string            `json:"platform_certificate"`
	PublicKey           string            `json:"public_key"`
	Signature           string            `json:"signature"`
	Headers             map[string]string `json:"headers"`
	Now                 int64             `json:"now"`

	Expect Expectation `json:"expect"`
}

// Expectation holds pointers, because false and the empty text are expected too. A check takes out what it has compared;
// what is left at the end was compared by nobody.
type Expectation struct {
	SignatureOK       *bool     `json:"signature_ok"`
	MsgSignatureOK    *bool     `json:"msg_signature_ok"`
	DecryptOK         *bool     `json:"decrypt_ok"`
	ReceiveIDOK       *bool     `json:"receive_id_ok"`
	Plaintext         *string   `json:"plaintext"`
	PlaintextContains []string  `json:"plaintext_contains"`
	ReceiveID         *string   `json:"receive_id"`
	ResponseBody      *string   `json:"response_body"`
	RandomASCII       *string   `json:"random_ascii"`
	Encrypt           *string   `json:"encrypt"`
	MsgSignature      *string   `json:"msg_signature"`
	Envelope          *Envelope `json:"envelope"`
	EnvelopeXML       *string   `json:"envelope_xml"`
}

// Envelope is a sealed reply in JSON.
type Envelope struct {
	Encrypt      string
	MsgSignature string
	TimeStamp    json.Number
	Nonce        string
}

// Run runs every vector of the files in folder, or in the one that WECHAT_VECTORS names, by the check of its kind. The
// kinds are closed, so that a new one fails the run instead of passing unread, and so does an unknown field, or an
// expectation that no check took out. It prints how many passed; where says of which run.
func Run(t *testing.T, folder, where string, kinds map[string]func(*testing.T, *Vector)) {
	t.Helper()
	if named := os.Getenv("WECHAT_VECTORS"); named != "" {
		folder = named
	}
	names, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no file of vectors in %s: %v", folder, err)
	}
	passed, failed := 0, 0
	for _, name := range names {
		read, err := load(name)
		if err != nil {
			t.Error(err)
			failed++
			continue
		}
		for _, v := range read {
			check, known := kinds[v.Kind]
			if known && v.Informational {
				continue // it tells how a peer deviates, which is nothing to follow
			}
			if t.Run(strings.TrimSuffix(filepath.Base(name), ".json")+"/"+v.ID, func(t *testing.T) { v.run(t, check) }) {
				passed++
			} else {
				failed++
			}
		}
	}
	if passed == 0 {
		t.Error("no vector passed")
	}
	fmt.Printf("vectors: %d passed, %d failed (%s)\n", passed, failed, where)
}

func (v *Vector) run(t *testing.T, check func(*testing.T, *Vector)) {
	if check == nil {
		t.Fatalf("the kind %q is not known here", v.Kind)
	}
	if cmp.Equal(Expectation{}, v.Expect) {
		t.Fatal("the vector expects nothing")
	}
	check(t, v)
	if left := cmp.Diff(Expectation{}, v.Expect); left != "" {
		t.Errorf("these expectations were not compared:\n%s", left)
	}
}

func load(name string) ([]Vector, error) {
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var read file
	if err := Strictly(content, &read); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if len(read.Vectors) == 0 {
		return nil, fmt.Errorf("%s holds no vector", name)
	}
	return read.Vectors, nil
}

// Strictly decodes one JSON document that has no field beyond those of into.
func Strictly(document []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more behind the document")
	}
	return nil
}

// Expect compares where something is expected, and takes the expectation out.
func Expect[T comparable](t *testing.T, what string, want **T, got T) {
	t.Helper()
	if *want != nil && **want != got {
		t.Errorf("%s is %v, want %v", what, got, **want)
	}
	*want = nil
}

// ExpectPlaintext compares what came out of a decryption.
func (v *Vector) ExpectPlaintext(t *testing.T, message string) {
	t.Helper()
	Expect(t, "the plaintext", &v.Expect.Plaintext, message)
	for _, part := range v.Expect.PlaintextContains {
		if !strings.Contains(message, part) {
			t.Errorf("the plaintext lacks %q: %s", part, message)
		}
	}
	v.Expect.PlaintextContains = nil
}
