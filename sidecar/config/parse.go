// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// MaxFileSize bounds a document: no Secret holds more. Bytes.
const MaxFileSize = 1 << 20

// halves is a document whose credentials are not read yet.
type halves struct {
	Config
	Credentials json.RawMessage `json:"credentials"`
}

// Parse reads a document and validates it. An unknown field is an error: it is a typing mistake, or the document was
// written for a newer sidecar whose checks this one does not have. Its errors quote no credentials.
func Parse(data []byte) (Document, error) { return ParseFile(File, data) }

// ParseFile is Parse for a document in a file of another name, which its errors tell.
func ParseFile(file string, data []byte) (Document, error) {
	c, configErr := parseConfig(file, data)
	if version, err := ReadVersion(data); err == nil && version > Understood {
		return Document{}, configErr // which says so
	}
	credentials, err := readCredentials(file, data)
	if err := errors.Join(configErr, err); err != nil {
		return Document{}, err
	}
	d := Document{Config: c, Credentials: credentials}
	if err := d.Validate(); err != nil {
		return Document{}, fmt.Errorf("%s: %w", file, err)
	}
	return d, nil
}

// ParseConfig reads a document's configuration and validates it, whatever its credentials are.
func ParseConfig(data []byte) (Config, error) { return parseConfig(File, data) }

func parseConfig(file string, data []byte) (Config, error) {
	var d halves
	err := decode(data, &d)
	if version, versionErr := ReadVersion(data); versionErr == nil && version > Understood {
		return Config{}, fmt.Errorf("%s is of version %d, and this sidecar reads none after %d: use a newer image", file, version, Understood)
	}
	if err != nil {
		return Config{}, fmt.Errorf("reading %s: %w", file, redact(err))
	}
	if err := d.Validate(); err != nil {
		return Config{}, fmt.Errorf("%s: %w", file, err)
	}
	return d.Config, nil
}

// ReadCredentials reads a document's credentials and validates what can be without the rest, which may be of a newer operator.
func ReadCredentials(data []byte) (Credentials, error) { return readCredentials(File, data) }

func readCredentials(file string, data []byte) (Credentials, error) {
	var d struct {
		Credentials json.RawMessage `json:"credentials"`
	}
	var c Credentials
	if len(data) > MaxFileSize {
		return Credentials{}, fmt.Errorf("%s has %d bytes, at most %d are read", file, len(data), MaxFileSize)
	}
	err := json.Unmarshal(data, &d)
	if err == nil && d.Credentials == nil {
		return Credentials{}, fmt.Errorf("%s has no credentials: nothing could be verified", file)
	}
	if err == nil {
		err = decode(d.Credentials, &c)
	}
	if err != nil {
		return Credentials{}, fmt.Errorf("reading the credentials of %s: %w", file, redact(err))
	}
	if err := c.Validate(); err != nil {
		return Credentials{}, fmt.Errorf("%s: credentials.%w", file, err)
	}
	return c, nil
}

// ReadGeneration returns the name of a document, without judging the rest.
func ReadGeneration(data []byte) (string, error) {
	var d struct {
		Generation string `json:"generation"`
	}
	if err := json.Unmarshal(data, &d); err != nil {
		return "", fmt.Errorf("reading the generation of %s: %w", File, redact(err))
	}
	return d.Generation, nil
}

// decode reads exactly one JSON value of known fields.
func decode(data []byte, into any) error {
	if len(data) > MaxFileSize {
		return fmt.Errorf("it has %d bytes, at most %d are read", len(data), MaxFileSize)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more after the JSON object: keep only one")
	}
	return nil
}

// redact keeps the kind and place of a JSON error but no byte of the file. An unknown field's name is kept: it is what
// the reader needs, and names are no secrets.
func redact(err error) error {
	var syntax *json.SyntaxError
	var mistyped *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("not valid JSON at byte %d", syntax.Offset)
	case errors.As(err, &mistyped):
		return fmt.Errorf("field %s cannot be a JSON %s", strings.TrimPrefix(mistyped.Field, "Config."), strings.Fields(mistyped.Value)[0])
	case strings.Contains(err.Error(), "illegal base64"):
		return errors.New("gatewayKey is not base64")
	}
	return err
}
