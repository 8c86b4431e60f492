// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// maxSecretFile bounds what is read of a file with a token or key: PEM has some 3 KiB. Bytes.
const maxSecretFile = 16 << 10

// vault finds tokens and keys: in the file that an option names, and otherwise in the endpoint's Secret, which is read
// when it is needed for the first time. Its errors hold no byte of a value.
type vault struct {
	plugin   Plugin
	reader   client.Reader
	endpoint *v1alpha1.WeChatEndpoint // nil: only files
	secret   *corev1.Secret
}

// value is one token or key.
type value struct {
	key, name, purpose string // in the Secret; in sentences; what belongs there
	flag, file         string
	validate           func(string) error
}

// pair reads what the account needs. Pay's platform keys are read from the Secret only.
func (v *vault) pair(ctx context.Context, o options, a account) (config.Pair, error) {
	var pair config.Pair
	var err error
	if a.platform == v1alpha1.PlatformPay {
		pair.APIv3Key, err = v.read(ctx, value{v1alpha1.KeyAPIv3Key, "APIv3 key", "the APIv3 key of the merchant platform",
			"api-v3-key-file", o.apiV3KeyFile, config.ValidateAPIv3Key})
		if err == nil && v.endpoint != nil {
			pair.PlatformKeys, err = v.platformKeys(ctx)
		}
		return pair, err
	}
	pair.Token, err = v.read(ctx, value{v1alpha1.KeyToken, "token", "the token of the console",
		"token-file", o.tokenFile, config.ValidateToken})
	if err == nil && a.encrypted() {
		pair.EncodingAESKey, err = v.read(ctx, value{v1alpha1.KeyEncodingAESKey, "EncodingAESKey", "the EncodingAESKey of the console",
			"encoding-aes-key-file", o.aesKeyFile, config.ValidateEncodingAESKey})
	}
	return pair, err
}

func (v *vault) read(ctx context.Context, want value) (string, error) {
	if want.file != "" {
		return v.plugin.valueOfFile(want)
	}
	if v.endpoint == nil {
		return "", text.Errorf("without an endpoint the %s is read from a file: pass --%s FILE", want.name, want.flag)
	}
	if err := v.load(ctx); err != nil {
		return "", text.Errorf("reading the %s from Secret %s (--%s reads it from elsewhere): %w", want.name, v.secretKey(), want.flag, err)
	}
	data, ok := v.secret.Data[want.key]
	if !ok {
		return "", text.Errorf("the Secret %s has no key %s: put %s there", v.secretKey(), want.key, text.Verbatim(want.purpose))
	}
	return want.check(text.New("the key %s of Secret %s", want.key, v.secretKey()), string(data))
}

func (v *vault) secretKey() client.ObjectKey {
	return client.ObjectKey{Namespace: v.endpoint.Namespace, Name: v.endpoint.Spec.Credentials.SecretName}
}

func (v *vault) load(ctx context.Context) error {
	if v.secret != nil {
		return nil
	}
	var secret corev1.Secret
	err := v.reader.Get(ctx, v.secretKey(), &secret)
	switch {
	case apierrors.IsNotFound(err):
		return text.Errorf("it does not exist: create it, or correct spec.credentials.secretName")
	case err != nil:
		return err
	}
	v.secret = &secret
	return nil
}

// platformKeys are WeChat Pay's public keys in the Secret, as PEM by serial.
func (v *vault) platformKeys(ctx context.Context) (map[string]string, error) {
	if err := v.load(ctx); err != nil {
		return nil, text.Errorf("reading WeChat Pay's public keys from Secret %s: %w", v.secretKey(), err)
	}
	keys := map[string]string{}
	wrong := func(key string, err error) error {
		return text.Errorf("the key %s of Secret %s %w", key, v.secretKey(), err)
	}
	id, publicKey := string(v.secret.Data[v1alpha1.KeyPublicKeyID]), string(v.secret.Data[v1alpha1.KeyPublicKey])
	if id+publicKey != "" {
		if err := config.ValidatePublicKeyID(id); err != nil {
			return nil, wrong(v1alpha1.KeyPublicKeyID, err)
		}
		if err := config.ValidatePublicKey(publicKey); err != nil {
			return nil, wrong(v1alpha1.KeyPublicKey, err)
		}
		keys[id] = publicKey
	}
	if certificates := v.secret.Data[v1alpha1.KeyCertificates]; len(certificates) > 0 {
		if err := config.ParseCertificates(certificates, keys); err != nil {
			return nil, wrong(v1alpha1.KeyCertificates, err)
		}
	}
	return keys, nil
}

// valueOfFile reads a token or key from a file, or from standard input for -. An editor and echo end a line with a newline,
// so one is left out. Errors do not quote the path, which is the token if somebody mistakes the flag.
func (p Plugin) valueOfFile(want value) (string, error) {
	where := text.New("the %s file", want.name)
	if want.file == "-" {
		where = text.New("standard input")
	}
	data, err := p.readFile(want.file, maxSecretFile)
	if err != nil {
		return "", text.Errorf("reading %s: %w", where, err)
	}
	return want.check(where, strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r"))
}

// check refuses what the operator would refuse, without quoting it.
func (v value) check(where text.Text, content string) (string, error) {
	if err := v.validate(content); err != nil {
		return "", text.Errorf("the %s in %s %w", v.name, where, err)
	}
	return content, nil
}

// readFile reads a bounded file, or standard input for -. Its errors do not hold the path.
func (p Plugin) readFile(path string, limit int64) ([]byte, error) {
	reader := p.Stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, withoutPath(err)
		}
		defer file.Close()
		reader = file
	}
	data, err := io.ReadAll(io.LimitReader(reader, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = text.Errorf("it has more than %d bytes", limit)
	}
	return data, withoutPath(err)
}

func withoutPath(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
