// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	core "k8s.io/client-go/applyconfigurations/core/v1"
	meta "k8s.io/client-go/applyconfigurations/meta/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// Kinds of owners.
const (
	KindEndpoint = "WeChatEndpoint"
	KindGateway  = "WeChatGateway"
)

// Fleet is the pods that serve one or more entries, and whose they are: an endpoint's own, or a gateway's.
type Fleet struct {
	// Kind, Namespace, Owner and UID are those of the WeChatEndpoint or the WeChatGateway.
	Kind, Namespace, Owner string
	UID                    types.UID
	// Name is the Deployment's, and the name of all that belongs to it.
	Name string
	// Sidecar is what the owner asks of the pods.
	Sidecar v1alpha1.Sidecar
}

// OwnFleet is the endpoint's own.
func OwnFleet(endpoint *v1alpha1.WeChatEndpoint) Fleet {
	return Fleet{
		Kind: KindEndpoint, Namespace: endpoint.Namespace, Owner: endpoint.Name, UID: endpoint.UID,
		Name: Name(endpoint), Sidecar: endpoint.Spec.Sidecar,
	}
}

// GatewayFleet is a gateway's.
func GatewayFleet(gateway *v1alpha1.WeChatGateway) Fleet {
	return Fleet{
		Kind: KindGateway, Namespace: gateway.Namespace, Owner: gateway.Name, UID: gateway.UID,
		Name: GatewayName(gateway.Name), Sidecar: gateway.Spec.Sidecar,
	}
}

// Asked is the Deployment that the endpoint asks to be served by.
func Asked(endpoint *v1alpha1.WeChatEndpoint) string {
	if endpoint.Spec.Gateway != nil {
		return GatewayName(endpoint.Spec.Gateway.Name)
	}
	return Name(endpoint)
}

// Field is how the owner writes a field of what it asks of the pods.
func (f Fleet) Field(name string) string {
	if f.Kind == KindGateway {
		return "spec." + name
	}
	return "sidecar." + name
}

// Noun is what the owner is.
func (f Fleet) Noun() string {
	if f.Kind == KindGateway {
		return "gateway"
	}
	return "endpoint"
}

// Labels are on every object and pod of the fleet. The installation may add others.
func (f Fleet) Labels() map[string]string {
	labels := f.selector()
	labels["app.kubernetes.io/component"] = container
	label := v1alpha1.LabelEndpoint
	if f.Kind == KindGateway {
		label = v1alpha1.LabelGateway
	}
	labels[label] = f.Owner
	return labels
}

// selector is what a Deployment and a Service find their pods by. It can never change.
func (f Fleet) selector() map[string]string {
	app := "wechat-sidecar"
	if f.Kind == KindGateway {
		app = "wechat-gateway"
	}
	return map[string]string{"app.kubernetes.io/name": app, "app.kubernetes.io/instance": f.Owner, LabelManagedBy: ManagedBy}
}

// reference makes the garbage collector delete an object with its owner.
func (f Fleet) reference() *meta.OwnerReferenceApplyConfiguration {
	return meta.OwnerReference().
		WithAPIVersion(v1alpha1.GroupVersion.String()).WithKind(f.Kind).
		WithName(f.Owner).WithUID(f.UID).
		WithController(true).WithBlockOwnerDeletion(true)
}

// Installed is what an installation chooses of the pods.
type Installed struct {
	// Image and PullPolicy are the sidecar's.
	Image, PullPolicy string
	// Defaults are for what the owner leaves out.
	Defaults v1alpha1.SidecarPod
	// CommonLabels are on every object, PodLabels and PodAnnotations on the pods. None of them is one of ours.
	CommonLabels, PodLabels, PodAnnotations map[string]string
	// PodSecurityContext is whom the pods run as.
	PodSecurityContext PodSecurityContext
	// NetworkPolicy says who may reach the pods, and OperatorNamespace where the operator runs.
	NetworkPolicy     NetworkPolicy
	OperatorNamespace string
	// Lane says what reads callbacks and the apps' answers in the pods; empty is LaneStrict.
	Lane Lane `json:",omitempty"`
	// Tracing says to whom the pods tell how messages went.
	Tracing config.Tracing `json:",omitzero"`
}

// Lane is what reads callbacks and the apps' answers in a sidecar.
type Lane string

const (
	// LaneStrict is a strict reader for what is usual, and net/http for all else.
	LaneStrict Lane = "Strict"
	// LaneStandard is net/http for all.
	LaneStandard Lane = "Standard"
)

// labelsOf are on every object that is made for the fleet's owner.
func (i Installed) labelsOf(fleet Fleet) map[string]string {
	labels := maps.Clone(i.CommonLabels)
	if labels == nil {
		return fleet.Labels()
	}
	maps.Copy(labels, fleet.Labels())
	return labels
}

// PodSecurityContext is whom pods run as, where an installation says so. Otherwise it is the image's user, or the cluster's choice.
type PodSecurityContext struct {
	RunAsUser  *int64 `json:"runAsUser,omitempty"`
	RunAsGroup *int64 `json:"runAsGroup,omitempty"`
	FSGroup    *int64 `json:"fsGroup,omitempty"`
}

// pods are a fleet in an installation, with what it serves.
type pods struct {
	Fleet
	Installed
	// sources are where the pods' documents are read from.
	sources []*core.VolumeProjectionApplyConfiguration
	// backends are the namespaces of the apps that the pods call, in their order, each once.
	backends []string
}

func (p pods) labels() map[string]string { return p.labelsOf(p.Fleet) }

// makeBefore renders what comes before the pods. There is no moment without a NetworkPolicy.
func (p pods) makeBefore() []runtime.ApplyConfiguration {
	before := []runtime.ApplyConfiguration{makeServiceAccount(p)}
	if p.NetworkPolicy.Enabled {
		before = append(before, makeNetworkPolicy(p))
	}
	return before
}

// makePods renders the pods, and what scales them.
func (p pods) makePods() ([]runtime.ApplyConfiguration, error) {
	deployment, err := makeDeployment(p)
	if err != nil {
		return nil, fmt.Errorf("rendering the Deployment: %w", err)
	}
	made := []runtime.ApplyConfiguration{deployment}
	if scaling := p.Sidecar.Autoscaling; scaling != nil {
		made = append(made, makeAutoscaler(p, scaling))
	}
	return made, nil
}

// makeAccess renders what keeps the pods reachable. The Service mostly leads to them.
func (p pods) makeAccess(leadsTo Fleet) []runtime.ApplyConfiguration {
	return []runtime.ApplyConfiguration{makePodDisruptionBudget(p), makeService(p, leadsTo), makePeers(p)}
}

func makeServiceAccount(p pods) *core.ServiceAccountApplyConfiguration {
	return core.ServiceAccount(p.Name, p.Namespace).
		WithLabels(p.labels()).WithOwnerReferences(p.reference()).
		WithAutomountServiceAccountToken(false)
}

// Shards is how many Secrets hold a gateway's entries. All of them are mounted from the start, whether they are there or not: what comes and goes
// changes no pod.
const Shards = 16

// ShardName is the name of one of them.
func ShardName(gateway string, number int) string {
	return fmt.Sprintf("%s-%d", GatewayName(gateway), number)
}

// ShardList is the key, in a shard, of the list of its entries.
func ShardList(number int) string { return fmt.Sprintf("shard-%d%s", number, config.ListSuffix) }

// Shard is what one Secret of a gateway holds: documents by the names of their endpoints.
type Shard map[string][]byte

// GatewayInput is all that the objects of a gateway depend on.
type GatewayInput struct {
	Installed
	Gateway *v1alpha1.WeChatGateway
	// Backends are the namespaces of the apps of all its endpoints, in their order, each once.
	Backends []string
	// Shards are all that there should be, by their numbers. One that is nil is not written.
	Shards [Shards]Shard
}

// Memory is the limit of each pod's memory: what the gateway or the installation asks for, or the sidecar's own. Bytes.
func (in GatewayInput) Memory() int64 {
	resources := makeResources(choose(in.Gateway.Spec.SidecarPod, in.Defaults).Resources, KindGateway)
	if resources.Limits != nil {
		if limit, limited := (*resources.Limits)[corev1.ResourceMemory]; limited {
			return limit.Value()
		}
	}
	return unlimitedMemory
}

// unlimitedMemory is what a sidecar uses that has no limit. Bytes.
const unlimitedMemory = 64 << 20

// MakeGateway renders all objects of a gateway: the shards come first, so that nothing holds up what was revoked.
func MakeGateway(in GatewayInput) ([]runtime.ApplyConfiguration, error) {
	fleet := in.pods()
	made, err := fleet.makePods()
	return slices.Concat(in.makeShards(), fleet.makeBefore(), made, fleet.makeAccess(fleet.Fleet)), err
}

// GatewayTemplate names the template of the gateway's pods by a digest.
func GatewayTemplate(in GatewayInput) (string, error) { return in.pods().template() }

func (in GatewayInput) pods() pods {
	p := pods{Fleet: GatewayFleet(in.Gateway), Installed: in.Installed, backends: in.Backends}
	for number := range Shards {
		p.sources = append(p.sources, core.VolumeProjection().WithSecret(core.SecretProjection().
			WithName(ShardName(in.Gateway.Name, number)).WithOptional(true)))
	}
	return p
}

func (in GatewayInput) makeShards() []runtime.ApplyConfiguration {
	var made []runtime.ApplyConfiguration
	fleet := GatewayFleet(in.Gateway)
	for number, shard := range in.Shards {
		if shard == nil {
			continue
		}
		data, names := map[string][]byte{}, []string{}
		for name, document := range shard {
			data[name+config.DocumentSuffix] = document
			names = append(names, name)
		}
		slices.Sort(names)
		data[ShardList(number)] = []byte(strings.Join(names, "\n"))
		made = append(made, core.Secret(ShardName(in.Gateway.Name, number), in.Gateway.Namespace).
			WithLabels(in.labelsOf(fleet)).
			WithLabels(map[string]string{v1alpha1.LabelCredentials: v1alpha1.CredentialsGenerated}).
			WithOwnerReferences(fleet.reference()).
			WithType(corev1.SecretTypeOpaque).
			WithData(data))
	}
	return made
}
