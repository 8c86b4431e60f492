// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// Defaults for endpoints that were stored before the CRD had them.
const (
	defaultFreshness = 5 * time.Minute
	defaultDeadline  = 4500 * time.Millisecond
)

// files are the two files of a sidecar.
type files struct {
	generation          string
	config, credentials []byte
}

// makeFiles renders both files with one generation: a digest of the configuration, and the counter of the credentials. So
// a change of either changes it, and no byte of it is derived from a secret.
func makeFiles(in Input) (files, error) {
	c := makeConfig(in)
	text, err := json.Marshal(c)
	if err != nil {
		return files{}, err
	}
	digest := sha256.Sum256(text)
	c.Generation = fmt.Sprintf("%s-%d", hex.EncodeToString(digest[:5]), in.Counter)
	credentials := config.Credentials{
		Generation: c.Generation,
		Pairs:      []config.Pair{{Generation: in.Counter, Token: in.Token}},
	}
	if err := c.Validate(); err != nil {
		return files{}, err
	}
	if err := credentials.Validate(); err != nil {
		return files{}, err
	}
	out := files{generation: c.Generation}
	if out.config, err = json.MarshalIndent(c, "", "  "); err != nil {
		return files{}, err
	}
	out.credentials, err = json.Marshal(credentials)
	return out, err
}

func makeConfig(in Input) config.Config {
	spec := in.Endpoint.Spec
	host := spec.URL.Host
	if spec.URL.Exposure == v1alpha1.ExposureNone {
		host = "" // the user's own router may call the Service by another name
	}
	return config.Config{
		Endpoint:    in.Endpoint.Namespace + "/" + in.Endpoint.Name,
		Platform:    string(spec.Platform),
		AppID:       spec.AppID,
		MessageMode: string(spec.MessageMode),
		Host:        host,
		Path:        spec.URL.Path,
		Freshness:   duration(spec.Verification.Freshness, defaultFreshness),
		Backend: config.Backend{
			URL:      in.BackendURL,
			Path:     spec.Backend.Path,
			Deadline: duration(spec.Backend.Deadline, defaultDeadline),
		},
	}
}

func duration(given *v1.Duration, otherwise time.Duration) config.Duration {
	if given == nil {
		return config.Duration(otherwise)
	}
	return config.Duration(given.Duration)
}

func makeConfigMap(endpoint *v1alpha1.WeChatEndpoint, f files) *applycorev1.ConfigMapApplyConfiguration {
	return applycorev1.ConfigMap(Name(endpoint), endpoint.Namespace).
		WithLabels(Labels(endpoint)).WithOwnerReferences(owner(endpoint)).
		WithData(map[string]string{config.File: string(f.config)})
}

func makeSecret(endpoint *v1alpha1.WeChatEndpoint, f files) *applycorev1.SecretApplyConfiguration {
	return applycorev1.Secret(Name(endpoint), endpoint.Namespace).
		WithLabels(Labels(endpoint)).
		WithLabels(map[string]string{v1alpha1.LabelCredentials: v1alpha1.CredentialsGenerated}).
		WithOwnerReferences(owner(endpoint)).
		WithType(corev1.SecretTypeOpaque).
		WithData(map[string][]byte{config.CredentialsFile: f.credentials})
}
