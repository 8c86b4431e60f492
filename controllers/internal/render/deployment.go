// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	apps "k8s.io/client-go/applyconfigurations/apps/v1"
	core "k8s.io/client-go/applyconfigurations/core/v1"
	meta "k8s.io/client-go/applyconfigurations/meta/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// terminationSeconds is the sidecar's drain delay of 5 s, its grace time of 25 s, and 10 s to spare.
const terminationSeconds = 40

// makeDeployment renders the pods. Their template does not depend on the configuration or the credentials, which are
// reloaded without a restart.
func makeDeployment(in Input) (*apps.DeploymentApplyConfiguration, error) {
	endpoint := in.Endpoint
	template, err := makeTemplate(in)
	if err != nil {
		return nil, err
	}
	digest, err := digestOf(template)
	if err != nil {
		return nil, err
	}
	asked, err := Asked(endpoint)
	if err != nil {
		return nil, err
	}
	deployment := apps.Deployment(Name(endpoint), endpoint.Namespace).
		WithLabels(Labels(endpoint)).WithOwnerReferences(owner(endpoint)).
		WithAnnotations(map[string]string{v1alpha1.AnnotationTemplate: digest, v1alpha1.AnnotationAsked: asked})
	spec := apps.DeploymentSpec()
	if endpoint.Spec.Sidecar.Autoscaling == nil {
		spec.WithReplicas(Replicas(endpoint)) // otherwise the HorizontalPodAutoscaler's
	}
	return deployment.WithSpec(spec.
		WithRevisionHistoryLimit(3).
		WithSelector(meta.LabelSelector().WithMatchLabels(selector(endpoint))).
		WithStrategy(apps.DeploymentStrategy().WithType(appsv1.RollingUpdateDeploymentStrategyType).
			WithRollingUpdate(apps.RollingUpdateDeployment().
				WithMaxUnavailable(intstr.FromInt32(0)).WithMaxSurge(intstr.FromString("25%")))).
		WithTemplate(template)), nil
}

// Template names the template of the pods by a digest: two that differ have different ones.
func Template(in Input) (string, error) {
	template, err := makeTemplate(in)
	if err != nil {
		return "", err
	}
	return digestOf(template)
}

// digestOf names a part of the pods.
func digestOf(template any) (string, error) {
	text, err := json.Marshal(template)
	if err != nil {
		return "", fmt.Errorf("writing the template of the pods: %w", err)
	}
	digest := sha256.Sum256(text)
	return hex.EncodeToString(digest[:8]), nil
}

// Asked names what the endpoint itself asks for of its pods, by a digest: it stays the same when the installation asks for
// something else, and when the endpoint changes what is not of the pods.
func Asked(endpoint *v1alpha1.WeChatEndpoint) (string, error) {
	sidecar := endpoint.Spec.Sidecar
	sidecar.Replicas, sidecar.Autoscaling = nil, nil
	return digestOf(sidecar)
}

func makeTemplate(in Input) (*core.PodTemplateSpecApplyConfiguration, error) {
	asked := choose(in.Endpoint.Spec.Sidecar.SidecarPod, in.Defaults)
	pod := makePod(in, asked.Resources)
	if err := place(pod, asked); err != nil {
		return nil, err
	}
	return core.PodTemplateSpec().WithLabels(Labels(in.Endpoint)).WithSpec(pod), nil
}

func makePod(in Input, resources *corev1.ResourceRequirements) *core.PodSpecApplyConfiguration {
	return core.PodSpec().
		WithServiceAccountName(Name(in.Endpoint)).
		WithAutomountServiceAccountToken(false).
		WithEnableServiceLinks(false).
		WithTerminationGracePeriodSeconds(terminationSeconds).
		WithSecurityContext(core.PodSecurityContext().
			WithRunAsNonRoot(true).WithRunAsUser(uid).WithRunAsGroup(uid).WithFSGroup(uid).
			WithSeccompProfile(core.SeccompProfile().WithType(corev1.SeccompProfileTypeRuntimeDefault))).
		WithTopologySpreadConstraints(core.TopologySpreadConstraint().
			WithMaxSkew(1).WithTopologyKey(corev1.LabelHostname).
			WithWhenUnsatisfiable(corev1.ScheduleAnyway).
			WithLabelSelector(meta.LabelSelector().WithMatchLabels(selector(in.Endpoint)))).
		WithVolumes(makeVolume(in.Endpoint)).
		WithContainers(makeContainer(in, resources))
}

func makeContainer(in Input, resources *corev1.ResourceRequirements) *core.ContainerApplyConfiguration {
	return core.Container().
		WithName(container).
		WithImage(in.Image).
		WithImagePullPolicy(corev1.PullPolicy(in.PullPolicy)).
		WithArgs("--config-dir="+configDir).
		WithPorts(
			core.ContainerPort().WithName(portCallback).WithContainerPort(NumberHTTP).WithProtocol(corev1.ProtocolTCP),
			core.ContainerPort().WithName(portOps).WithContainerPort(NumberOps).WithProtocol(corev1.ProtocolTCP)).
		WithStartupProbe(probe("/readyz").WithPeriodSeconds(1).WithFailureThreshold(60)).
		WithReadinessProbe(probe("/readyz").WithPeriodSeconds(2).WithFailureThreshold(1)).
		WithLivenessProbe(probe("/healthz").WithPeriodSeconds(10).WithFailureThreshold(3)).
		WithResources(makeResources(resources)).
		WithSecurityContext(core.SecurityContext().
			WithAllowPrivilegeEscalation(false).WithReadOnlyRootFilesystem(true).
			WithCapabilities(core.Capabilities().WithDrop("ALL"))).
		WithVolumeMounts(core.VolumeMount().WithName("config").WithMountPath(configDir).WithReadOnly(true))
}

func probe(path string) *core.ProbeApplyConfiguration {
	return core.Probe().WithTimeoutSeconds(2).
		WithHTTPGet(core.HTTPGetAction().WithPath(path).WithPort(intstr.FromString(portOps)))
}

// makeVolume projects the document into a folder, which the kubelet swaps as a whole.
func makeVolume(endpoint *v1alpha1.WeChatEndpoint) *core.VolumeApplyConfiguration {
	return core.Volume().WithName("config").WithProjected(core.ProjectedVolumeSource().
		WithDefaultMode(0o440).
		WithSources(
			core.VolumeProjection().WithSecret(core.SecretProjection().WithName(Name(endpoint)).
				WithItems(core.KeyToPath().WithKey(config.File).WithPath(config.File)))))
}

// makeResources takes the given resources as they are, or our own: a sidecar that serves 128 connections holds less
// than 20 MiB, and one that is flooded to its bounds less than 64 MiB.
func makeResources(given *corev1.ResourceRequirements) *core.ResourceRequirementsApplyConfiguration {
	if given != nil {
		resources := core.ResourceRequirements()
		if len(given.Requests) > 0 {
			resources.WithRequests(canonical(given.Requests))
		}
		if len(given.Limits) > 0 {
			resources.WithLimits(canonical(given.Limits))
		}
		return resources
	}
	return core.ResourceRequirements().
		WithRequests(corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("16Mi")}).
		WithLimits(corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")})
}

// canonical writes quantities as the API server stores them, so that 1000m and 1 do not look like a change for ever.
func canonical(list corev1.ResourceList) corev1.ResourceList {
	out := make(corev1.ResourceList, len(list))
	for name, quantity := range list {
		out[name] = resource.MustParse(quantity.String())
	}
	return out
}
