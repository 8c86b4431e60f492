// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// maxSizes are the keys of the user's Secret that are read, and the most bytes that a value may have: several times what belongs
// there, with the words that openssl writes between certificates.
var maxSizes = map[string]int{
	v1alpha1.KeyToken: 256, v1alpha1.KeyEncodingAESKey: 256, v1alpha1.KeyAPIv3Key: 256, v1alpha1.KeyPublicKeyID: 256,
	v1alpha1.KeyPublicKey: 8 << 10, v1alpha1.KeyCertificates: 64 << 10,
}

// Bounded returns what is read of a user's Secret, for a cache that many people fill. A value that is too long stays too long: it
// must neither look as if it were missing, nor be cut into something that is right.
func Bounded(data map[string][]byte) map[string][]byte {
	bounded := map[string][]byte{}
	for key, most := range maxSizes {
		if value, ok := data[key]; ok && len(value) > most {
			bounded[key] = make([]byte, most+1)
		} else if ok {
			bounded[key] = value
		}
	}
	return bounded
}

// Pair reads of the user's Secret the keys that the platform needs, and no other. What it says never holds a byte of a value.
func Pair(secret *corev1.Secret, endpoint *v1alpha1.WeChatEndpoint) (config.Pair, *verdict.Problem) {
	name := endpoint.Spec.Credentials.SecretName
	if secret == nil || secret.Labels[v1alpha1.LabelCredentials] != v1alpha1.CredentialsUser {
		return config.Pair{}, verdict.Problemf(v1alpha1.ReasonSecretNotFound,
			"Secret %s does not exist or lacks the label without which the operator cannot see it: create it with %s, and run: kubectl -n %s label secret %s %s=%s",
			name, neededKeys(endpoint), endpoint.Namespace, name, v1alpha1.LabelCredentials, v1alpha1.CredentialsUser)
	}
	if endpoint.Spec.Platform == v1alpha1.PlatformPay {
		return payPair(secret)
	}
	var pair config.Pair
	var problem *verdict.Problem
	if pair.Token, problem = value(secret, v1alpha1.KeyToken, "the Token of the console", config.ValidateToken); problem != nil {
		return config.Pair{}, problem
	}
	if encrypted(endpoint) {
		pair.EncodingAESKey, problem = value(secret, v1alpha1.KeyEncodingAESKey, "the EncodingAESKey of the console", config.ValidateEncodingAESKey)
		if problem != nil {
			return config.Pair{}, problem
		}
	}
	return pair, nil
}

func encrypted(endpoint *v1alpha1.WeChatEndpoint) bool {
	return config.Encrypted(string(endpoint.Spec.Platform), string(endpoint.Spec.MessageMode))
}

// neededKeys names the keys of the Secret in words that follow "create it with".
func neededKeys(endpoint *v1alpha1.WeChatEndpoint) string {
	switch {
	case endpoint.Spec.Platform == v1alpha1.PlatformPay:
		return fmt.Sprintf("the key %s, and %s with %s, or %s, or both",
			v1alpha1.KeyAPIv3Key, v1alpha1.KeyPublicKey, v1alpha1.KeyPublicKeyID, v1alpha1.KeyCertificates)
	case encrypted(endpoint):
		return "the keys " + v1alpha1.KeyToken + " and " + v1alpha1.KeyEncodingAESKey
	}
	return "the key " + v1alpha1.KeyToken
}

// value reads one key; meaning says what belongs there.
func value(secret *corev1.Secret, key, meaning string, validate func(string) error) (string, *verdict.Problem) {
	data, ok := secret.Data[key]
	if !ok {
		return "", verdict.Problemf(v1alpha1.ReasonSecretKeyMissing, "Secret %s has no key %s: put %s there", secret.Name, key, meaning)
	}
	if err := checkSize(key, data); err != nil {
		return "", malformed(secret, key, err)
	}
	if err := validate(string(data)); err != nil {
		return "", malformed(secret, key, err)
	}
	return string(data), nil
}

// checkSize says whether a value is longer than any that is right, in words that follow the name of the key.
func checkSize(key string, value []byte) error {
	if most := maxSizes[key]; len(value) > most {
		return fmt.Errorf("has more than %d bytes, which is no value for it: put there what belongs there, and nothing else", most)
	}
	return nil
}

// malformed takes an error whose words follow the name of the key.
func malformed(secret *corev1.Secret, key string, err error) *verdict.Problem {
	return verdict.Problemf(v1alpha1.ReasonSecretMalformed, "Secret %s, key %s %v", secret.Name, key, err)
}

// payPair reads what Pay's notifications are verified and decrypted with. During a change from certificates to the public
// key, WeChat Pay signs with either: both may be there.
func payPair(secret *corev1.Secret) (config.Pair, *verdict.Problem) {
	key, problem := value(secret, v1alpha1.KeyAPIv3Key, "the APIv3 key of the merchant platform (账户中心, API安全)", config.ValidateAPIv3Key)
	if problem != nil {
		return config.Pair{}, problem
	}
	pair := config.Pair{APIv3Key: key, PlatformKeys: map[string]string{}}
	_, hasKey := secret.Data[v1alpha1.KeyPublicKey]
	_, hasID := secret.Data[v1alpha1.KeyPublicKeyID]
	certificates, hasCertificates := secret.Data[v1alpha1.KeyCertificates]
	if !hasKey && !hasID && !hasCertificates {
		return config.Pair{}, verdict.Problemf(v1alpha1.ReasonSecretKeyMissing,
			"Secret %s has neither key %s (with %s) nor key %s: put WeChat Pay's public key and its id there, or its certificates",
			secret.Name, v1alpha1.KeyPublicKey, v1alpha1.KeyPublicKeyID, v1alpha1.KeyCertificates)
	}
	if hasKey || hasID {
		text, problem := value(secret, v1alpha1.KeyPublicKey, "WeChat Pay's public key (pub_key.pem) that belongs to "+v1alpha1.KeyPublicKeyID, config.ValidatePublicKey)
		if problem != nil {
			return config.Pair{}, problem
		}
		id, problem := value(secret, v1alpha1.KeyPublicKeyID, "the id of the public key (PUB_KEY_ID_…)", config.ValidatePublicKeyID)
		if problem != nil {
			return config.Pair{}, problem
		}
		pair.PlatformKeys[id] = text
	}
	if hasCertificates {
		if err := readCertificates(certificates, pair.PlatformKeys); err != nil {
			return config.Pair{}, malformed(secret, v1alpha1.KeyCertificates, err)
		}
	}
	return pair, nil
}

// CertificatesEnd is when the last of WeChat Pay's certificates in a user's Secret ends. It is nil where there is none, and where there is a public
// key, which does not end: WeChat Pay signs with it instead.
func CertificatesEnd(secret *corev1.Secret) *metav1.Time {
	if secret == nil || secret.Data[v1alpha1.KeyPublicKey] != nil || checkSize(v1alpha1.KeyCertificates, secret.Data[v1alpha1.KeyCertificates]) != nil {
		return nil
	}
	var last time.Time
	for rest := secret.Data[v1alpha1.KeyCertificates]; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if certificate, err := x509.ParseCertificate(block.Bytes); err == nil {
			last = later(last, certificate.NotAfter)
		}
	}
	return &metav1.Time{Time: last}
}

// readCertificates adds every certificate of a PEM text by its serial. Its errors follow the name of the key.
func readCertificates(text []byte, into map[string]string) error {
	if err := checkSize(v1alpha1.KeyCertificates, text); err != nil {
		return err
	}
	return config.ParseCertificates(text, into)
}
