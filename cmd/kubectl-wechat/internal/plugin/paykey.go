// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"cmp"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"slices"
	"strings"

	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

// onlyAtWeChat is why no command signs for an endpoint that serves.
const onlyAtWeChat = "WeChat Pay's own private key is nowhere but at WeChat Pay, and an endpoint that serves holds its public half only"

// sign gives WeChat Pay a key to sign with, and its serial. A private key is the user's own, whose public half stands in the Secret of
// an endpoint for tests; the test signature of WeChat Pay needs none.
func (p Plugin) sign(pay *caller.PayAccount, o options, pair config.Pair) (err error) {
	first := pay.Serial
	pay.Serial = o.serial
	if o.payPrivateKey == "" {
		if o.scenario != scenarioSignTest {
			return text.Errorf("a notification is signed with a private key: " + onlyAtWeChat +
				"; pass a key of your own with --pay-private-key FILE, whose public half is in the Secret of an endpoint for tests, or play --scenario signtest, which needs none")
		}
		pay.Serial = cmp.Or(o.serial, first, "PUB_KEY_ID_0")
		return nil
	}
	if pay.PrivateKey, err = p.privateKey(o.payPrivateKey); err != nil {
		return err
	}
	if o.name == "" {
		if o.serial == "" {
			return text.Errorf("without an endpoint, --serial says under which serial the server holds the public half of the private key")
		}
		return nil
	}
	pay.Serial, err = serialOf(pay.PrivateKey, pair.PlatformKeys)
	return err
}

// serialOf is the serial in the Secret under which the public half of the key stands.
func serialOf(key *rsa.PrivateKey, platformKeys map[string]string) (string, error) {
	serials := slices.Sorted(maps.Keys(platformKeys))
	for _, serial := range serials {
		if public, err := config.ParsePlatformKey([]byte(platformKeys[serial])); err == nil && public.Equal(&key.PublicKey) {
			return serial, nil
		}
	}
	return "", text.Errorf("the private key belongs to none of the keys in the Secret (%s), so that the sidecar would refuse what it signs: %s; "+
		"to play a payment, make an endpoint for tests and put the public half of your key into its Secret", strings.Join(serials, ", "), text.New(onlyAtWeChat))
}

// privateKey reads an RSA key in PEM, as openssl writes it. Errors quote neither the file nor its path.
func (p Plugin) privateKey(path string) (*rsa.PrivateKey, error) {
	data, err := p.readFile(path, maxSecretFile)
	if err != nil {
		return nil, text.Errorf("reading the private key: %w", err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, text.Errorf("the private key is not PEM: make one with openssl genrsa 2048")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(*rsa.PrivateKey)
	if err != nil || !ok {
		return nil, text.Errorf("the private key is not an RSA key without a password: make one with openssl genrsa 2048")
	}
	return key, nil
}
