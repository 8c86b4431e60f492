// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package installation is what the platform team chose: for every endpoint, and what it lets endpoints ask for. It is pure.
package installation

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// Options are the choices of an installation: what its platform team sets for every endpoint, and what it lets endpoints
// ask for. The zero value of each field but SidecarImage and NetworkPolicy is the strict one.
type Options struct {
	// SidecarImage is the image of the sidecar's pods. It is required.
	SidecarImage string `json:"sidecarImage"`
	// SidecarPullPolicy is Always, IfNotPresent or Never; empty is IfNotPresent.
	SidecarPullPolicy string `json:"sidecarImagePullPolicy,omitempty"`
	// AllowEmptyHost accepts endpoints without url.host, which answer on every host.
	AllowEmptyHost bool `json:"allowEmptyHost,omitempty"`
	// AllowedIngressAnnotations are the keys that url.ingress.annotations may hold. Others could change what an ingress
	// controller does for everybody.
	AllowedIngressAnnotations []string `json:"allowedIngressAnnotations,omitempty"`
	// AllowedIngressClasses are the classes that url.ingress.className may name; empty allows all, and the cluster's default.
	AllowedIngressClasses []string `json:"allowedIngressClasses,omitempty"`
	// Hosts says which namespaces may use which hosts; empty lets a host belong to whichever namespace publishes it first.
	Hosts Hosts `json:"hosts,omitempty"`
	// LoadBalancerNetworks are private networks where the cluster has its load balancers. No other private address is called
	// to see whether an endpoint is Reachable: a tenant may have led there.
	LoadBalancerNetworks []netip.Prefix `json:"loadBalancerNetworks,omitempty"`
	// SidecarDefaults are for what endpoints leave out of spec.sidecar.
	SidecarDefaults v1alpha1.SidecarPod `json:"sidecar,omitempty"`
	// CommonLabels are on every object that the operator makes, PodLabels and PodAnnotations on the pods, beside the operator's own.
	CommonLabels   map[string]string `json:"commonLabels,omitempty"`
	PodLabels      map[string]string `json:"podLabels,omitempty"`
	PodAnnotations map[string]string `json:"podAnnotations,omitempty"`
	// PodSecurityContext is whom the pods run as; what is left out is the image's, or the cluster's choice.
	PodSecurityContext render.PodSecurityContext `json:"podSecurityContext,omitzero"`
	// SidecarMode says what serves endpoints that name no gateway and leave spec.sidecar out; empty is ModeDedicated.
	SidecarMode Mode `json:"sidecarMode,omitempty"`
	// SidecarLane says what reads callbacks in all sidecars; empty is render.LaneStrict.
	SidecarLane render.Lane `json:"sidecarLane,omitempty"`
	// Tracing says to whom all sidecars tell how messages went.
	Tracing config.Tracing `json:"tracing,omitzero"`
	// Rollout bounds how a change of the sidecars' pods reaches the endpoints.
	Rollout Rollout `json:"rollout,omitzero"`
	// NetworkPolicy says who may reach the sidecars' pods, and whom they may.
	NetworkPolicy render.NetworkPolicy `json:"networkPolicy,omitempty"`
	// OperatorNamespace is where the operator runs; empty is the namespace of its pod. NetworkPolicy needs it.
	OperatorNamespace string `json:"operatorNamespace,omitempty"`
	// Namespaces are those whose endpoints are served; nothing else is read then. Empty is the whole cluster.
	Namespaces []string `json:"-"`
	// Concurrency is how many endpoints are reconciled at once; zero is 1.
	Concurrency int `json:"-"`
}

// Mode is what serves endpoints that do not say it.
type Mode string

const (
	// ModeDedicated gives each of them pods of its own.
	ModeDedicated Mode = "Dedicated"
	// ModeGateway lets those of a namespace share DefaultGateway, which the operator makes.
	ModeGateway Mode = "Gateway"
)

// DefaultGateway is the WeChatGateway that endpoints share by default.
const DefaultGateway = "default"

// Place names the gateway that serves an endpoint by default. What the endpoint says itself stays.
func (o *Options) Place(endpoint *v1alpha1.WeChatEndpoint) {
	spec := &endpoint.Spec
	if o.SidecarMode == ModeGateway && spec.Readable() && spec.Gateway == nil && equality.Semantic.DeepEqual(spec.Sidecar, v1alpha1.Sidecar{}) {
		spec.Gateway = &v1alpha1.GatewayReference{Name: DefaultGateway}
	}
}

// Makes reports whether the operator makes the gateway where it is missing.
func (o *Options) Makes(gateway string) bool {
	return o.SidecarMode == ModeGateway && gateway == DefaultGateway
}

// Rollout bounds how what the installation changes in the sidecars' pods reaches the endpoints.
type Rollout struct {
	// MaxEndpoints is how many endpoints' pods are replaced at a time; zero is 3.
	MaxEndpoints int `json:"maxEndpoints,omitempty"`
	// ProgressDeadline is how long the new pods of an endpoint may take until they are available and verified; zero is 5
	// minutes. Then the rollout stops.
	ProgressDeadline metav1.Duration `json:"progressDeadline,omitzero"`
}

const (
	defaultMaxEndpoints     = 3
	defaultProgressDeadline = 5 * time.Minute
)

// Most is how many endpoints' pods are replaced at a time.
func (o Rollout) Most() int { return cmp.Or(o.MaxEndpoints, defaultMaxEndpoints) }

// Deadline is how long new pods may take.
func (o Rollout) Deadline() time.Duration {
	return cmp.Or(o.ProgressDeadline.Duration, defaultProgressDeadline)
}

// Installed is what the installation chooses of pods for which so much is asked.
func (o *Options) Installed(asked v1alpha1.Sidecar) render.Installed {
	return render.Installed{
		Image: render.Image(asked, o.SidecarImage), PullPolicy: o.SidecarPullPolicy, Defaults: o.SidecarDefaults,
		CommonLabels: o.CommonLabels, PodLabels: o.PodLabels, PodAnnotations: o.PodAnnotations, PodSecurityContext: o.PodSecurityContext,
		NetworkPolicy: o.NetworkPolicy, OperatorNamespace: o.OperatorNamespace, Lane: o.SidecarLane, Tracing: o.Tracing,
	}
}

// ReadOptions reads the options from a file. The namespace is the operator's own, if it knows it.
func ReadOptions(file, namespace string) (Options, error) {
	if file == "" {
		return Options{}, errors.New("--config is required: name the file with the choices of the installation")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return Options{}, fmt.Errorf("reading the choices of the installation: %w", err)
	}
	options, err := ParseOptions(text, namespace)
	if err != nil {
		return Options{}, fmt.Errorf("the choices of the installation in %s: %w", file, err)
	}
	return options, nil
}

// ParseOptions reads the options from YAML. A field that is not known is an error: what a typing mistake leaves out could be
// a limit. The namespace is for options that do not name the operator's.
func ParseOptions(text []byte, namespace string) (Options, error) {
	options := Options{SidecarPullPolicy: "IfNotPresent"}
	if err := yaml.UnmarshalStrict(text, &options); err != nil {
		return Options{}, fmt.Errorf("parsing: %w", err)
	}
	options.OperatorNamespace = cmp.Or(options.OperatorNamespace, namespace)
	return options, options.validate()
}

func (o Options) validate() error {
	if o.SidecarImage == "" {
		return errors.New("sidecarImage is required: name the image of the sidecar's pods")
	}
	switch o.SidecarPullPolicy {
	case "Always", "IfNotPresent", "Never":
	default:
		return fmt.Errorf("sidecarImagePullPolicy is %q: set Always, IfNotPresent or Never", o.SidecarPullPolicy)
	}
	switch o.SidecarMode {
	case "", ModeDedicated, ModeGateway:
	default:
		return fmt.Errorf("sidecarMode is %q: set %s or %s", o.SidecarMode, ModeDedicated, ModeGateway)
	}
	switch o.SidecarLane {
	case "", render.LaneStrict, render.LaneStandard:
	default:
		return fmt.Errorf("sidecarLane is %q: set %s or %s", o.SidecarLane, render.LaneStrict, render.LaneStandard)
	}
	if o.Rollout.MaxEndpoints < 0 || o.Rollout.ProgressDeadline.Duration < 0 {
		return errors.New("rollout: maxEndpoints and progressDeadline must be more than nothing; left out, they are 3 and 5m")
	}
	if o.NetworkPolicy.Enabled && o.OperatorNamespace == "" {
		return errors.New("operatorNamespace is required with networkPolicy.enabled where the operator is not in a pod, which tells it: it would lock itself out")
	}
	if o.NetworkPolicy.Egress && !o.NetworkPolicy.Enabled {
		return errors.New("networkPolicy.egress does nothing without networkPolicy.enabled: set it, or remove egress")
	}
	if err := o.Tracing.Validate(); err != nil {
		return fmt.Errorf("tracing.%w", err)
	}
	if o.NetworkPolicy.Egress && o.Tracing.Endpoint != "" && o.Tracing.Namespace() == "" {
		return errors.New("networkPolicy.egress does not let the sidecars reach tracing.endpoint: name a collector in the cluster by its Service, " +
			"http://NAME.NAMESPACE.svc:4318, or set egress to false")
	}
	return errors.Join(o.validatePods(), o.Hosts.validate())
}
