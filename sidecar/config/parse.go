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

// MaxFileSize bounds each file: no ConfigMap or Secret holds more. Bytes.
const MaxFileSize = 1 << 20

// Parse reads a config.json and validates it. An unknown field is an error: it is a typing mistake, or the file was
// written for a newer sidecar whose checks this one does not have.
func Parse(data []byte) (Config, error) {
	var c Config
	err := decode(data, &c)
	if version, versionErr := ReadVersion(data); versionErr == nil && version > Understood {
		return Config{}, fmt.Errorf("%s is of version %d, and this sidecar reads none after %d: use a newer image", File, version, Understood)
	}
	if err != nil {
		return Config{}, fmt.Errorf("reading %s: %w", File, err)
	}
	if err := c.Validate(); err != nil {
		return Config{}, fmt.Errorf("%s: %w", File, err)
	}
	return c, nil
}

// ParseCredentials reads a credentials.json and validates what can be without the Config. Its errors never quote a value.
func ParseCredentials(data []byte) (Credentials, error) {
	var c Credentials
	if err := decode(data, &c); err != nil {
		return Credentials{}, fmt.Errorf("reading %s: %w", CredentialsFile, redact(err))
	}
	if err := c.Validate(); err != nil {
		return Credentials{}, fmt.Errorf("%s: %w", CredentialsFile, err)
	}
	return c, nil
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
		return fmt.Errorf("field %s cannot be a JSON %s", mistyped.Field, strings.Fields(mistyped.Value)[0])
	case strings.Contains(err.Error(), "illegal base64"):
		return errors.New("gatewayKey is not base64")
	}
	return err
}
