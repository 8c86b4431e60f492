// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Bounds of credentials. MaxTokenSize is 32 characters: the consoles take 3 to 32 letters and digits.
const (
	MaxPairs           = 4
	MaxTokenSize       = 32
	EncodingAESKeySize = 43 // characters, of 32 bytes
	APIv3KeySize       = 32 // characters
	GatewayKeySize     = 32 // bytes
	MaxPlatformKeys    = 8
	minRSABits         = 2048 // WECHATPAY2-SHA256-RSA2048
)

// Validate says which field cannot be used and why, without quoting a value.
func (c Credentials) Validate() error {
	switch {
	case len(c.Pairs) == 0:
		return errors.New("pairs is empty: nothing could be verified")
	case len(c.Pairs) > MaxPairs:
		return fmt.Errorf("pairs has %d entries, at most %d are accepted", len(c.Pairs), MaxPairs)
	case c.GatewayKey != nil && len(c.GatewayKey) != GatewayKeySize:
		return fmt.Errorf("gatewayKey must have %d bytes", GatewayKeySize)
	}
	for i, pair := range c.Pairs {
		if err := pair.validate(); err != nil {
			return fmt.Errorf("pairs[%d].%w", i, err)
		}
	}
	return nil
}

// ValidateFor says what credentials lack for a configuration.
func (c Credentials) ValidateFor(config Config) error {
	for i, pair := range c.Pairs {
		switch {
		case config.Platform == PlatformPay && (pair.APIv3Key == "" || len(pair.PlatformKeys) == 0):
			return fmt.Errorf("pairs[%d] has no apiV3Key or no platformKeys, which platform Pay needs", i)
		case config.Platform != PlatformPay && pair.Token == "":
			return fmt.Errorf("pairs[%d].token is missing", i)
		case config.Encrypted() && pair.EncodingAESKey == "":
			return fmt.Errorf("pairs[%d].encodingAESKey is missing, which encrypted messages need", i)
		}
	}
	return nil
}

// validate checks what is there; what must be there depends on the platform.
func (p Pair) validate() error {
	if p.Token == "" && p.APIv3Key == "" {
		return errors.New("token is missing")
	}
	if p.Token != "" {
		if err := ValidateToken(p.Token); err != nil {
			return fmt.Errorf("token %w", err)
		}
	}
	if p.EncodingAESKey != "" {
		if err := ValidateEncodingAESKey(p.EncodingAESKey); err != nil {
			return fmt.Errorf("encodingAESKey %w", err)
		}
	}
	if p.APIv3Key != "" {
		if err := ValidateAPIv3Key(p.APIv3Key); err != nil {
			return fmt.Errorf("apiV3Key %w", err)
		}
	}
	if len(p.PlatformKeys) > MaxPlatformKeys {
		return fmt.Errorf("platformKeys has %d entries, at most %d are accepted", len(p.PlatformKeys), MaxPlatformKeys)
	}
	for serial, text := range p.PlatformKeys {
		if serial == "" || !plain(serial) {
			return errors.New("platformKeys has a serial that is no plain word")
		}
		if _, err := ParsePlatformKey([]byte(text)); err != nil {
			return fmt.Errorf("platformKeys %s: %w", serial, err)
		}
	}
	return nil
}

// The Validate functions below say why a value cannot be the console's, in words that follow the name of its field and
// do not quote it.

// ValidateToken checks a Token. Characters beyond letters and digits are let through, because old accounts have them;
// white space at an end is not, because it is the newline of an editor or of echo.
func ValidateToken(token string) error {
	switch {
	case token == "":
		return errors.New("is empty: put the Token of the console there")
	case strings.TrimSpace(token) != token:
		return errTrailingSpace
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

// ValidateEncodingAESKey checks an EncodingAESKey: 43 letters and digits.
func ValidateEncodingAESKey(key string) error {
	switch {
	case key == "":
		return errors.New("is empty: put the EncodingAESKey of the console there")
	case strings.TrimSpace(key) != key:
		return errTrailingSpace
	case len(key) != EncodingAESKeySize:
		return fmt.Errorf("has %d characters, the console's has %d: copy it again, without = at its end", len(key), EncodingAESKeySize)
	case !alphanumeric(key):
		return errors.New("holds a character that is neither a letter nor a digit: copy it again from the console")
	}
	return nil
}

// ValidateAPIv3Key checks Pay's APIv3 key: 32 letters and digits.
func ValidateAPIv3Key(key string) error {
	switch {
	case key == "":
		return errors.New("is empty: put the APIv3 key of the merchant platform there (账户中心, API安全)")
	case strings.TrimSpace(key) != key:
		return errTrailingSpace
	case len(key) != APIv3KeySize:
		return fmt.Errorf("has %d characters, an APIv3 key has %d: set it again in the merchant platform", len(key), APIv3KeySize)
	case !alphanumeric(key):
		return errors.New("holds a character that is neither a letter nor a digit: set it again in the merchant platform")
	}
	return nil
}

// ParsePlatformKey reads the RSA public key of a PEM block, which may be a public key or a certificate. A certificate's
// validity is not checked: Pay signs with its serial, and ends it by using another one.
func ParsePlatformKey(text []byte) (*rsa.PublicKey, error) {
	block, rest := pem.Decode(text)
	if block == nil || len(strings.TrimSpace(string(rest))) > 0 {
		return nil, errors.New("not one PEM block: it begins with -----BEGIN PUBLIC KEY----- or -----BEGIN CERTIFICATE-----")
	}
	var key any
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "CERTIFICATE":
		var certificate *x509.Certificate
		if certificate, err = x509.ParseCertificate(block.Bytes); err == nil {
			key = certificate.PublicKey
		}
	default:
		return nil, errors.New("neither a PUBLIC KEY nor a CERTIFICATE: it must be WeChat Pay's, never the merchant's own private key")
	}
	public, ok := key.(*rsa.PublicKey)
	switch {
	case err != nil:
		return nil, errors.New("the PEM block cannot be read: download the file again")
	case !ok:
		return nil, errors.New("not an RSA key, which WeChat Pay signs with")
	case public.N.BitLen() < minRSABits:
		return nil, fmt.Errorf("an RSA key of %d bits, WeChat Pay's have %d", public.N.BitLen(), minRSABits)
	}
	return public, nil
}

// publicKeyIDPattern is the form of the id of WeChat Pay's public key.
var publicKeyIDPattern = regexp.MustCompile(`^PUB_KEY_ID_[A-Za-z0-9]{1,64}$`)

// ValidatePublicKey checks WeChat Pay's public key, in PEM.
func ValidatePublicKey(text string) error {
	if block, _ := pem.Decode([]byte(text)); block != nil && block.Type == "CERTIFICATE" {
		return errors.New("holds a certificate: move it to the key certificates")
	}
	if _, err := ParsePlatformKey([]byte(text)); err != nil {
		return fmt.Errorf("is %w", err)
	}
	return nil
}

// ValidatePublicKeyID checks the id under which the public key stands in the merchant platform.
func ValidatePublicKeyID(id string) error {
	switch {
	case strings.TrimSpace(id) != id:
		return errTrailingSpace
	case !publicKeyIDPattern.MatchString(id):
		return errors.New("is not like PUB_KEY_ID_ and digits: copy the id beside the public key in the merchant platform")
	}
	return nil
}

// ParseCertificates adds every certificate of a PEM text to the platform keys, by its serial. Its errors follow the name of the field.
func ParseCertificates(text []byte, platformKeys map[string]string) error {
	if len(bytes.TrimSpace(text)) == 0 {
		return errors.New("is empty: put WeChat Pay's certificates there, or remove the key")
	}
	for rest := text; len(bytes.TrimSpace(rest)) > 0; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			return errors.New("holds something that is not PEM: keep only the blocks that begin with -----BEGIN CERTIFICATE-----")
		}
		if block.Type != "CERTIFICATE" {
			return errors.New("holds a PEM block that is not a CERTIFICATE: keep only WeChat Pay's certificates; a public key belongs in the key publicKey, and the merchant's private key nowhere")
		}
		one := pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes})
		if _, err := ParsePlatformKey(one); err != nil {
			return fmt.Errorf("holds a certificate that is %w", err)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return errors.New("holds a certificate that cannot be read: download it again")
		}
		platformKeys[fmt.Sprintf("%X", certificate.SerialNumber.Bytes())] = string(one)
	}
	if len(platformKeys) > MaxPlatformKeys {
		return fmt.Errorf("holds too many certificates: %d keys are accepted, that of publicKey among them; remove the oldest", MaxPlatformKeys)
	}
	return nil
}

var errTrailingSpace = errors.New("begins or ends with white space, such as the newline of echo: write it with printf %s, or kubectl create secret --from-literal")

func alphanumeric(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}
