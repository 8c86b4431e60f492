// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
)

// onlyAtWeChat is why no command signs for an endpoint that serves.
const onlyAtWeChat = "WeChat Pay's own private key is nowhere but at WeChat Pay, and an endpoint that serves holds its public half only"

// payAccount is what signs a notification. A private key is the user's own, whose public half stands in the Secret of an
// endpoint for tests; the test signature of WeChat Pay needs none.
func (p Plugin) payAccount(o options, pair config.Pair) (*wechattest.PayAccount, error) {
	pay := &wechattest.PayAccount{APIv3Key: pair.APIv3Key, Serial: o.serial}
	serials := slices.Sorted(maps.Keys(pair.PlatformKeys))
	if o.payPrivateKey == "" {
		switch {
		case o.scenario != scenarioSignTest:
			return nil, errors.New("a notification is signed with a private key: " + onlyAtWeChat +
				"; pass a key of your own with --pay-private-key FILE, whose public half is in the Secret of an endpoint for tests, or play --scenario signtest, which needs none")
		case pay.Serial == "" && len(serials) > 0:
			pay.Serial = serials[0]
		case pay.Serial == "":
			pay.Serial = "PUB_KEY_ID_0"
		}
		return pay, nil
	}
	key, err := p.privateKey(o.payPrivateKey)
	if err != nil {
		return nil, err
	}
	pay.PrivateKey = key
	if o.name == "" {
		if o.serial == "" {
			return nil, errors.New("without an endpoint, --serial says under which serial the server holds the public half of the private key")
		}
		return pay, nil
	}
	pay.Serial, err = serialOf(key, pair.PlatformKeys, serials)
	return pay, err
}

// serialOf is the serial in the Secret under which the public half of the key stands.
func serialOf(key *rsa.PrivateKey, platformKeys map[string]string, serials []string) (string, error) {
	for _, serial := range serials {
		if public, err := config.ParsePlatformKey([]byte(platformKeys[serial])); err == nil && public.Equal(&key.PublicKey) {
			return serial, nil
		}
	}
	return "", fmt.Errorf("the private key belongs to none of the keys in the Secret (%s), so that the sidecar would refuse what it signs: %s; "+
		"to play a payment, make an endpoint for tests and put the public half of your key into its Secret", strings.Join(serials, ", "), onlyAtWeChat)
}

// privateKey reads an RSA key in PEM, as openssl writes it. Errors quote neither the file nor its path.
func (p Plugin) privateKey(path string) (*rsa.PrivateKey, error) {
	data, err := p.readFile(path, maxSecretFile)
	if err != nil {
		return nil, fmt.Errorf("reading the private key: %w", err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("the private key is not PEM: make one with openssl genrsa 2048")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(*rsa.PrivateKey)
	if err != nil || !ok {
		return nil, errors.New("the private key is not an RSA key without a password: make one with openssl genrsa 2048")
	}
	return key, nil
}
