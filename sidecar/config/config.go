// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package config is the contract between the operator, which writes a sidecar's configuration, and the sidecar, which
// reads it: two JSON files, config.json from a ConfigMap and credentials.json from a Secret, projected into one volume.
//
// Both files carry the same generation. A pair of files whose generations differ is a half-written update and is never
// loaded. The package imports nothing of the project, so that the sidecar stays free of Kubernetes.
package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Names of the files in the volume, which are also the keys in the ConfigMap and the Secret.
const (
	File            = "config.json"
	CredentialsFile = "credentials.json"
)

// MaxFileSize bounds each file. 64 KiB is over a hundred times what an endpoint of today needs. Bytes.
const MaxFileSize = 64 << 10

// MaxPairs bounds the accepted pairs of credentials.
const MaxPairs = 4

// Config says what one sidecar serves.
type Config struct {
	// Generation names this configuration together with its credentials. The sidecar reports it on /status.
	Generation string `json:"generation"`
	// Endpoint is namespace/name of the WeChatEndpoint; it is told to the app.
	Endpoint string `json:"endpoint"`
	// Platform is OfficialAccount.
	Platform string `json:"platform"`
	// AppID is told to the app.
	AppID string `json:"appID"`
	// MessageMode is Plaintext.
	MessageMode string `json:"messageMode"`
	// Host is the only host that is answered, without port; empty answers every host.
	Host string `json:"host,omitempty"`
	// Path is the only path that is answered, and its twin with a trailing slash.
	Path string `json:"path"`
	// Freshness is how far a callback's timestamp may be from now.
	Freshness Duration `json:"freshness"`
	// Backend is the app.
	Backend Backend `json:"backend"`
}

// Backend is the app that receives the verified messages.
type Backend struct {
	// URL is http://host:port, nothing more.
	URL string `json:"url"`
	// Path is the path that the app is called with; empty calls it with the request's own path.
	Path string `json:"path,omitempty"`
	// Deadline is how long the app has to answer, from the arrival of the callback's head.
	Deadline Duration `json:"deadline"`
}

// Credentials are what callbacks are verified with. Never log a value of this type.
type Credentials struct {
	// Generation equals that of the Config that these credentials belong to.
	Generation string `json:"generation"`
	// Pairs are accepted, newest first.
	Pairs []Pair `json:"pairs"`
}

// Pair is one accepted set of values from the console.
type Pair struct {
	// Generation counts the changes of the user's Secret, from 1. It is no secret.
	Generation int64 `json:"generation"`
	// Token is the console's Token.
	Token string `json:"token"`
}

// Bounds of what Validate accepts; the CRD has the same.
const (
	MinFreshness = 30 * time.Second
	MaxFreshness = 24 * time.Hour
	MinDeadline  = 100 * time.Millisecond
	MaxDeadline  = 4900 * time.Millisecond // WeChat hangs up after 5 s
)

// Platforms and modes that the sidecar speaks.
const (
	PlatformOfficialAccount = "OfficialAccount"
	ModePlaintext           = "Plaintext"
)

var (
	pathPattern        = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)+$`)
	backendPathPattern = regexp.MustCompile(`^/([A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*/?)?$`)
)

// Parse reads a config.json and validates it. An unknown field is an error: it is a typing mistake, or the file was
// written for a newer sidecar whose checks this one does not have.
func Parse(data []byte) (Config, error) {
	var c Config
	if err := decode(data, &c); err != nil {
		return Config{}, fmt.Errorf("reading %s: %w", File, err)
	}
	if err := c.Validate(); err != nil {
		return Config{}, fmt.Errorf("%s: %w", File, err)
	}
	return c, nil
}

// ParseCredentials reads a credentials.json and validates it. Its errors never quote a value.
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

// Validate says which field cannot be served and why.
func (c Config) Validate() error {
	switch {
	case c.Generation == "":
		return errors.New("generation is empty: write the same one into both files")
	case c.Endpoint == "" || !plain(c.Endpoint):
		return errors.New("endpoint must be namespace/name")
	case c.Platform != PlatformOfficialAccount:
		return fmt.Errorf("platform %q is not known to this sidecar: use %s, or a newer image", c.Platform, PlatformOfficialAccount)
	case c.AppID == "" || !plain(c.AppID):
		return errors.New("appID must be letters, digits, - and _")
	case c.MessageMode != ModePlaintext:
		return fmt.Errorf("messageMode %q is not known to this sidecar: use %s, or a newer image", c.MessageMode, ModePlaintext)
	case len(c.Host) > 253 || strings.ToLower(c.Host) != c.Host || strings.ContainsAny(c.Host, ":/ \t\r\n"):
		return errors.New("host must be a host name in lower case, without port")
	case len(c.Path) > 256 || !pathPattern.MatchString(c.Path):
		return fmt.Errorf("path %q must be like /weixin, without trailing slash", c.Path)
	case time.Duration(c.Freshness) < MinFreshness || time.Duration(c.Freshness) > MaxFreshness:
		return fmt.Errorf("freshness %v must be from %v to %v", c.Freshness, MinFreshness, MaxFreshness)
	}
	return c.Backend.validate()
}

func (b Backend) validate() error {
	u, err := url.Parse(b.URL)
	switch {
	case err != nil || u.Scheme != "http" || u.Host == "" || b.URL != "http://"+u.Host:
		return fmt.Errorf("backend.url %q must be http://host:port and nothing more", b.URL)
	case b.Path != "" && (len(b.Path) > 256 || !backendPathPattern.MatchString(b.Path)):
		return fmt.Errorf("backend.path %q must be like /weixin or /weixin/", b.Path)
	case time.Duration(b.Deadline) < MinDeadline || time.Duration(b.Deadline) > MaxDeadline:
		return fmt.Errorf("backend.deadline %v must be from %v to %v, because WeChat hangs up after 5s", b.Deadline, MinDeadline, MaxDeadline)
	}
	return nil
}

// Validate says which field cannot be used and why, without quoting a value.
func (c Credentials) Validate() error {
	switch {
	case c.Generation == "":
		return errors.New("generation is empty: write the same one into both files")
	case len(c.Pairs) == 0:
		return errors.New("pairs is empty: nothing could be verified")
	case len(c.Pairs) > MaxPairs:
		return fmt.Errorf("pairs has %d entries, at most %d are accepted", len(c.Pairs), MaxPairs)
	}
	for i, pair := range c.Pairs {
		if err := ValidateToken(pair.Token); err != nil {
			return fmt.Errorf("pairs[%d].token %w", i, err)
		}
	}
	return nil
}

// MaxTokenSize is 32 characters: the consoles take 3 to 32 letters and digits.
const MaxTokenSize = 32

// ValidateToken says why a token cannot be one of the console, in words that follow the name of the field and do not
// quote it. Characters beyond letters and digits are let through, because old accounts have them; white space at an end
// is not, because it is the newline of an editor or of echo.
func ValidateToken(token string) error {
	switch {
	case token == "":
		return errors.New("is empty: put the Token of the console there")
	case strings.TrimSpace(token) != token:
		return errors.New("begins or ends with white space, such as the newline of echo: write it with printf %s, or kubectl create secret --from-literal")
	case len(token) < 3 || len(token) > MaxTokenSize:
		return fmt.Errorf("has %d characters, the console allows 3 to %d: copy it again", len(token), MaxTokenSize)
	}
	for _, c := range []byte(token) {
		if c < 0x20 || c > 0x7e {
			return errors.New("holds a character that is not printable ASCII: copy it again from the console")
		}
	}
	return nil
}

// Duration is a time.Duration written like 4.5s in JSON.
type Duration time.Duration

func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes the duration as time.Duration.String does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
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
	}
	return err
}

// plain reports whether s may stand in a header to the app.
func plain(s string) bool {
	for _, c := range []byte(s) {
		if c <= 0x20 || c > 0x7e {
			return false
		}
	}
	return len(s) <= 256
}
