// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Bounds of what Validate accepts; the CRD has the same.
const (
	MinFreshness      = 30 * time.Second
	MaxFreshness      = 25 * time.Hour
	MinDeadline       = 100 * time.Millisecond
	MaxDeadline       = 4900 * time.Millisecond // WeChat hangs up after 5 s
	MaxReceiverIDs    = 32
	MaxRules          = 32
	MaxDomainFiles    = 16
	MaxDomainFileSize = 4 << 10  // bytes
	MaxCASize         = 16 << 10 // bytes
	maxIDSize         = 128      // bytes
	maxMatchSize      = 128      // bytes
)

var (
	pathPattern        = regexp.MustCompile(`^(/|(/([A-Za-z0-9._~-]+|\$APPID\$|\$CORPID\$))+)$`)
	backendPathPattern = regexp.MustCompile(`^/([A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*/?)?$`)
	domainFilePattern  = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}\.txt$`)
	platforms          = []string{
		PlatformOfficialAccount, PlatformMiniProgram, PlatformShop, PlatformWeCom, PlatformOpenPlatform, PlatformPay,
	}
	modes = []string{ModePlaintext, ModeCompatible, ModeEncrypted}
	// reservedFiles are files of the web that somebody else of the host answers for.
	reservedFiles = []string{"robots.txt", "security.txt", "ads.txt", "app-ads.txt"}
)

// Validate says which field cannot be served and why, without quoting a secret.
func (d Document) Validate() error {
	if err := d.Config.Validate(); err != nil {
		return err
	}
	if err := d.Credentials.Validate(); err != nil {
		return fmt.Errorf("credentials.%w", err)
	}
	if err := d.Credentials.ValidateFor(d.Config); err != nil {
		return fmt.Errorf("credentials.%w", err)
	}
	return nil
}

// Validate says which field cannot be served and why.
func (c Config) Validate() error {
	if err := c.validateAccount(); err != nil {
		return err
	}
	if err := c.validateURL(); err != nil {
		return err
	}
	if err := c.Backend.validate("backend", c.Platform); err != nil {
		return err
	}
	if len(c.Rules) > MaxRules {
		return fmt.Errorf("rules has %d entries, at most %d are accepted", len(c.Rules), MaxRules)
	}
	for i, rule := range c.Rules {
		if err := rule.validate(fmt.Sprintf("rules[%d]", i), c.Platform); err != nil {
			return err
		}
	}
	return c.validateDomainFiles()
}

func (c Config) validateAccount() error {
	switch {
	case c.Generation == "":
		return errors.New("generation is empty: give every document another one")
	case c.Endpoint == "" || !plain(c.Endpoint):
		return errors.New("endpoint must be namespace/name")
	case !slices.Contains(platforms, c.Platform):
		return fmt.Errorf("platform %q is not known to this sidecar: use one of %s, or a newer image", c.Platform, strings.Join(platforms, ", "))
	case c.AppID == "" || !plain(c.AppID):
		return errors.New("appID must be letters, digits, - and _")
	case HasModes(c.Platform) && !slices.Contains(modes, c.MessageMode):
		return fmt.Errorf("messageMode %q is not known to this sidecar: use one of %s, or a newer image", c.MessageMode, strings.Join(modes, ", "))
	case !HasModes(c.Platform) && c.MessageMode != "":
		return fmt.Errorf("messageMode must be left out: platform %s has only one", c.Platform)
	case len(c.ReceiverIDs) > MaxReceiverIDs:
		return fmt.Errorf("receiverIDs has %d entries, at most %d are accepted", len(c.ReceiverIDs), MaxReceiverIDs)
	}
	for i, id := range c.ReceiverIDs {
		switch {
		case len(id) > maxIDSize || !plain(id):
			return fmt.Errorf("receiverIDs[%d] must be an id of letters, digits, - and _, or empty, or %s for any", i, AnyReceiver)
		case id == PlaceholderCorpID && !strings.Contains(c.Path+c.Query, PlaceholderCorpID):
			return fmt.Errorf("receiverIDs[%d] is %s, which needs that placeholder in path or query", i, PlaceholderCorpID)
		}
	}
	return nil
}

func (c Config) validateURL() error {
	switch {
	case len(c.Host) > 253 || strings.ToLower(c.Host) != c.Host || strings.ContainsAny(c.Host, ":/ \t\r\n"):
		return errors.New("host must be a host name in lower case, without port")
	case len(c.Path) > 256 || !pathPattern.MatchString(c.Path):
		return fmt.Errorf("path %q must be like /weixin, without trailing slash, or /", c.Path)
	case strings.Count(c.Path+c.Query, "$") > 2:
		return errors.New("path and query may hold one placeholder together")
	case c.Freshness != 0 && (time.Duration(c.Freshness) < MinFreshness || time.Duration(c.Freshness) > MaxFreshness):
		return fmt.Errorf("freshness %v must be from %v to %v", c.Freshness, MinFreshness, MaxFreshness)
	case c.AuditUntil != nil && c.Platform == PlatformPay:
		return errors.New("auditUntil: notifications of payments are never let through unverified; leave it out")
	case c.AuditUntil != nil && c.Backend.Payload != PayloadOriginal:
		return errors.New("auditUntil needs backend.payload Original: what is not verified cannot be decrypted")
	}
	_, err := c.Parameters()
	return err
}

func (b Backend) validate(field, platform string) error {
	if b.TLS != nil {
		if err := b.TLS.validate(field); err != nil {
			return err
		}
	}
	scheme := map[bool]string{false: "http", true: "https"}[b.TLS != nil]
	u, err := url.Parse(b.URL)
	switch {
	case err != nil || u.Scheme != scheme || u.Host == "" || b.URL != scheme+"://"+u.Host:
		return fmt.Errorf("%s.url %q must be %s://host:port and nothing more", field, b.URL, scheme)
	case b.Path != "" && (len(b.Path) > 256 || !backendPathPattern.MatchString(b.Path)):
		return fmt.Errorf("%s.path %q must be like /weixin or /weixin/", field, b.Path)
	case b.Payload != "" && b.Payload != PayloadDecrypted && b.Payload != PayloadOriginal:
		return fmt.Errorf("%s.payload %q must be %s or %s", field, b.Payload, PayloadDecrypted, PayloadOriginal)
	case b.Deadline != 0 && (time.Duration(b.Deadline) < MinDeadline || time.Duration(b.Deadline) > MaxDeadline):
		return fmt.Errorf("%s.deadline %v must be from %v to %v, because WeChat hangs up after 5s", field, b.Deadline, MinDeadline, MaxDeadline)
	}
	switch b.OnDeadline {
	case "", OnDeadlineFail:
		return nil
	case OnDeadlineAcknowledge, OnDeadlineAwaitRetry:
		if platform == PlatformPay {
			return fmt.Errorf("%s.onDeadline: a payment that the app has not taken is never acknowledged; use %s", field, OnDeadlineFail)
		}
		return nil
	}
	return fmt.Errorf("%s.onDeadline %q must be %s, %s or %s", field, b.OnDeadline, OnDeadlineAcknowledge, OnDeadlineFail, OnDeadlineAwaitRetry)
}

func (t BackendTLS) validate(field string) error {
	if _, err := ParseCA(t.CA); err != nil {
		return fmt.Errorf("%s.tls.ca: %w", field, err)
	}
	if len(t.ServerName) > 253 || strings.ContainsAny(t.ServerName, ":/ \t\r\n") {
		return fmt.Errorf("%s.tls.serverName must be a host name without port", field)
	}
	return nil
}

// ParseCA reads the certificates of who may issue an app's: PEM, at most MaxCASize bytes, and nothing else in it.
func ParseCA(text string) (*x509.CertPool, error) {
	if len(text) > MaxCASize {
		return nil, fmt.Errorf("it has %d bytes, at most %d are accepted", len(text), MaxCASize)
	}
	pool := x509.NewCertPool()
	for rest := []byte(strings.TrimSpace(text)); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" {
			return nil, errors.New("it must be one or more certificates in PEM (-----BEGIN CERTIFICATE-----)")
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, errors.New("a certificate in it cannot be read: copy it again from its issuer")
		}
		pool.AddCert(certificate)
		if len(bytes.TrimSpace(rest)) == 0 {
			return pool, nil
		}
	}
}

func (r Rule) validate(field, platform string) error {
	for name, value := range map[string]string{"msgType": r.Match.MsgType, "event": r.Match.Event, "infoType": r.Match.InfoType} {
		if len(value) > maxMatchSize || !plain(value) {
			return fmt.Errorf("%s.match.%s must be a plain word", field, name)
		}
	}
	switch {
	case r.Match == (Match{}):
		return fmt.Errorf("%s.match is empty: name msgType, event or infoType", field)
	case r.Action == ActionDiscard && r.Backend != nil:
		return fmt.Errorf("%s.backend is not called by %s: leave it out", field, ActionDiscard)
	case r.Action != ActionDiscard && r.Action != ActionForward:
		return fmt.Errorf("%s.action %q must be %s or %s", field, r.Action, ActionForward, ActionDiscard)
	case r.Backend != nil:
		return r.Backend.validate(field+".backend", platform)
	}
	return nil
}

func (c Config) validateDomainFiles() error {
	if len(c.DomainFiles) > MaxDomainFiles {
		return fmt.Errorf("domainFiles has %d entries, at most %d are accepted", len(c.DomainFiles), MaxDomainFiles)
	}
	for i, file := range c.DomainFiles {
		switch {
		case !domainFilePattern.MatchString(file.Name) || slices.Contains(reservedFiles, strings.ToLower(file.Name)):
			return fmt.Errorf("domainFiles[%d].name %q must be like MP_verify_abc.txt, and none of %s", i, file.Name, strings.Join(reservedFiles, ", "))
		case len(file.Content) > MaxDomainFileSize:
			return fmt.Errorf("domainFiles[%d].content has %d bytes, at most %d are served", i, len(file.Content), MaxDomainFileSize)
		case slices.ContainsFunc(c.DomainFiles[:i], func(f DomainFile) bool { return f.Name == file.Name }):
			return fmt.Errorf("domainFiles[%d].name %q stands twice", i, file.Name)
		}
	}
	return nil
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
