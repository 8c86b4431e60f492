// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// UnservableError is what no sidecar would load of an endpoint's spec. The CustomResourceDefinition takes no such spec, but another one may have
// taken it before.
type UnservableError struct {
	err error
	// Reason is Accepted's then.
	Reason string
}

// MaxShared is what a gateway takes of one endpoint: thirty times the usual document. Domain files and CA bundles are what is large. Bytes.
const MaxShared = 64 << 10

func (e *UnservableError) Error() string { return e.err.Error() }
func (e *UnservableError) Unwrap() error { return e.err }

// makeDocument renders the sidecar's document and its generation. The generation is a digest of the configuration, of whose it is, and of which pairs
// are accepted until when, with the number of the newest pair. No byte of it is derived from a secret.
func makeDocument(in Input) (generation string, text []byte, err error) {
	c := makeConfig(in)
	if version := c.LowestVersion(); version > config.VersionFirst {
		c.Version = version
	}
	if in.Served != nil {
		c = *in.Served
		c.Generation = ""
	}
	if text, err = json.Marshal(c); err != nil {
		return "", nil, err
	}
	// Of an endpoint that is made anew the name is another one: its credentials count from 1 again.
	digest := sha256.Sum256(slices.Concat(text, []byte(in.Endpoint.UID), []byte(lifetimes(in.Pairs))))
	c.Generation = fmt.Sprintf("%s-%d", hex.EncodeToString(digest[:5]), in.Pairs[0].Generation)
	if err := c.Validate(); err != nil {
		return "", nil, &UnservableError{err, v1alpha1.ReasonSpecUnreadable}
	}
	document := config.Document{Config: c, Credentials: config.Credentials{Pairs: in.Pairs, GatewayKey: in.GatewayKey}}
	if err := document.Validate(); err != nil {
		return "", nil, err
	}
	text, err = json.Marshal(document)
	if in.Served == nil && in.Endpoint.Spec.Gateway != nil && len(text) > MaxShared {
		err = fmt.Errorf("it has %d KiB, of which a gateway takes %d: shorten domainFiles and caBundles, or remove gateway for pods of its own", len(text)>>10, MaxShared>>10)
		return "", nil, &UnservableError{err, v1alpha1.ReasonGatewayFull}
	}
	return c.Generation, text, err
}

// MakeFiles renders the Secret with the sidecar's document, after its copy if there is one, and names its generation.
func MakeFiles(in Input) (generation string, children []runtime.ApplyConfiguration, err error) {
	generation, document, err := makeDocument(in)
	if err != nil {
		return "", nil, fmt.Errorf("rendering the configuration: %w", err)
	}
	if in.Copied {
		children = append(children, makeSecret(in, CopyName(in.Endpoint), document))
	}
	return generation, append(children, makeSecret(in, Name(in.Endpoint), document)), nil
}

// generationPattern is the form of the name of a generation, which is written into an annotation of pods.
var generationPattern = regexp.MustCompile(`^[0-9a-f]{10}-[0-9]{1,19}$`)

// IsGeneration reports whether the text may name a generation that makeDocument rendered.
func IsGeneration(text string) bool { return generationPattern.MatchString(text) }

// Version is the lowest version of the sidecar's configuration that knows all that the endpoint asks for.
func Version(in Input) int { return makeConfig(in).LowestVersion() }

// lifetimes names the generations of all pairs but the newest, and their ends.
func lifetimes(pairs []config.Pair) string {
	var text string
	for _, pair := range pairs[1:] {
		text += fmt.Sprintf(" %d", pair.Generation)
		if pair.NotAfter != nil {
			text += pair.NotAfter.UTC().Format("@2006-01-02T15:04:05.999999999")
		}
	}
	return text
}

func makeConfig(in Input) config.Config {
	spec := in.Endpoint.Spec
	host := spec.URL.Host
	if spec.URL.Exposure == v1alpha1.ExposureNone {
		host = "" // the user's own router may call the Service by another name
	}
	c := config.Config{
		Endpoint:    in.Endpoint.Namespace + "/" + in.Endpoint.Name,
		Platform:    string(spec.Platform),
		AppID:       spec.AppID,
		ReceiverIDs: spec.ReceiverIDs,
		Host:        host,
		Path:        spec.URL.Path,
		Query:       spec.URL.Query,
		Freshness:   duration(spec.Verification.Freshness),
		Backend:     makeBackend(in.BackendURL, spec.Backend),
		Rules:       makeRules(in),
	}
	if config.HasModes(c.Platform) {
		c.MessageMode = string(spec.MessageMode)
	}
	if until := spec.Verification.AuditUntil; until != nil && spec.Verification.Enforcement == v1alpha1.EnforcementInsecureAudit {
		c.AuditUntil = new(until.UTC())
	}
	for _, file := range spec.DomainFiles {
		c.DomainFiles = append(c.DomainFiles, config.DomainFile{Name: file.Name, Content: file.Content})
	}
	return c
}

func makeBackend(url string, backend v1alpha1.Backend) config.Backend {
	var secure *config.BackendTLS
	if backend.TLS != nil {
		secure = &config.BackendTLS{CA: backend.TLS.CABundle, ServerName: backend.TLS.ServerName}
	}
	return config.Backend{
		URL:        url,
		TLS:        secure,
		Path:       backend.Path,
		Payload:    string(backend.Payload),
		Deadline:   duration(backend.Deadline),
		OnDeadline: string(backend.OnDeadline),
	}
}

func makeRules(in Input) []config.Rule {
	var rules []config.Rule
	for i, given := range in.Endpoint.Spec.Rules {
		rule := config.Rule{
			Match:  config.Match{MsgType: given.Match.MsgType, Event: given.Match.Event, InfoType: given.Match.InfoType},
			Action: string(given.Action),
		}
		if given.Backend != nil {
			rule.Backend = new(makeBackend(in.RuleURLs[i], *given.Backend))
		}
		rules = append(rules, rule)
	}
	return rules
}

// duration of a field that is left out is zero, for which the sidecar has the platform's default.
func duration(given *v1.Duration) config.Duration {
	if given == nil {
		return 0
	}
	return config.Duration(given.Duration)
}

func makeSecret(in Input, name string, document []byte) *applycorev1.SecretApplyConfiguration {
	return applycorev1.Secret(name, in.Endpoint.Namespace).
		WithLabels(in.labels()).
		WithLabels(map[string]string{v1alpha1.LabelCredentials: v1alpha1.CredentialsGenerated}).
		WithOwnerReferences(owner(in.Endpoint)).
		WithType(corev1.SecretTypeOpaque).
		WithData(map[string][]byte{config.File: document})
}

// makeGatewayKey renders the key that signs what goes to the app in a Secret of its own, so that the app can mount it
// without seeing what callbacks are verified with.
func makeGatewayKey(in Input) *applycorev1.SecretApplyConfiguration {
	return applycorev1.Secret(GatewayKeyName(in.Endpoint), in.Endpoint.Namespace).
		WithLabels(in.labels()).
		WithLabels(map[string]string{v1alpha1.LabelCredentials: v1alpha1.CredentialsGenerated}).
		WithOwnerReferences(owner(in.Endpoint)).
		WithType(corev1.SecretTypeOpaque).
		WithData(map[string][]byte{v1alpha1.GatewayKeyKey: in.GatewayKey})
}
