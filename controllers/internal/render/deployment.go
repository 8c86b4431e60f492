// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	apps "k8s.io/client-go/applyconfigurations/apps/v1"
	core "k8s.io/client-go/applyconfigurations/core/v1"
	meta "k8s.io/client-go/applyconfigurations/meta/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// terminationSeconds is the sidecar's drain delay of 5 s, its grace time of 25 s, and 10 s to spare.
const terminationSeconds = 40

// makeDeployment renders the pods. Their template does not depend on the configuration or the credentials, which are
// reloaded without a restart.
func makeDeployment(p pods) (*apps.DeploymentApplyConfiguration, error) {
	template, err := p.makeTemplate()
	if err != nil {
		return nil, err
	}
	digest, err := digestOf(template)
	if err != nil {
		return nil, err
	}
	asked, err := AskedOf(p.Sidecar)
	if err != nil {
		return nil, err
	}
	deployment := apps.Deployment(p.Name, p.Namespace).
		WithLabels(p.labels()).WithOwnerReferences(p.reference()).
		WithAnnotations(map[string]string{v1alpha1.AnnotationTemplate: digest, v1alpha1.AnnotationAsked: asked})
	spec := apps.DeploymentSpec()
	if p.Sidecar.Autoscaling == nil {
		spec.WithReplicas(Replicas(p.Sidecar)) // otherwise the HorizontalPodAutoscaler's
	}
	return deployment.WithSpec(spec.
		WithRevisionHistoryLimit(3).
		WithSelector(meta.LabelSelector().WithMatchLabels(p.selector())).
		WithStrategy(apps.DeploymentStrategy().WithType(appsv1.RollingUpdateDeploymentStrategyType).
			WithRollingUpdate(apps.RollingUpdateDeployment().
				WithMaxUnavailable(intstr.FromInt32(0)).WithMaxSurge(intstr.FromString("25%")))).
		WithTemplate(template)), nil
}

// Template names the template of the endpoint's own pods by a digest: two that differ have different ones.
func Template(in Input) (string, error) { return in.pods().template() }

func (p pods) template() (string, error) {
	template, err := p.makeTemplate()
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

// AskedOf names what an owner itself asks for of its pods, by a digest: it stays the same when the installation asks for
// something else, and when the owner changes what is not of the pods.
func AskedOf(sidecar v1alpha1.Sidecar) (string, error) {
	sidecar.Replicas, sidecar.Autoscaling = nil, nil
	return digestOf(sidecar)
}

func (p pods) makeTemplate() (*core.PodTemplateSpecApplyConfiguration, error) {
	asked := choose(p.Sidecar.SidecarPod, p.Defaults)
	pod := p.makePod(asked.Resources)
	if err := place(pod, asked); err != nil {
		return nil, err
	}
	template := core.PodTemplateSpec().WithLabels(p.PodLabels).WithLabels(p.Labels()).WithSpec(pod)
	if len(p.PodAnnotations) > 0 {
		template.WithAnnotations(p.PodAnnotations)
	}
	return template, nil
}

func (p pods) makePod(resources *corev1.ResourceRequirements) *core.PodSpecApplyConfiguration {
	return core.PodSpec().
		WithServiceAccountName(p.Name).
		WithAutomountServiceAccountToken(false).
		WithEnableServiceLinks(false).
		WithTerminationGracePeriodSeconds(terminationSeconds).
		WithSecurityContext(makeSecurityContext(p.PodSecurityContext)).
		WithTopologySpreadConstraints(core.TopologySpreadConstraint().
			WithMaxSkew(1).WithTopologyKey(corev1.LabelHostname).
			WithWhenUnsatisfiable(corev1.ScheduleAnyway).
			WithLabelSelector(meta.LabelSelector().WithMatchLabels(p.selector()))).
		WithVolumes(makeVolume(p.sources)).
		WithContainers(p.makeContainer(resources))
}

// makeSecurityContext leaves the user to the image, which has a number that is not root's, unless the installation wants others. So a cluster that
// gives each namespace numbers of its own, as OpenShift does, can give them to the pods.
func makeSecurityContext(chosen PodSecurityContext) *core.PodSecurityContextApplyConfiguration {
	context := core.PodSecurityContext().WithRunAsNonRoot(true).
		WithSeccompProfile(core.SeccompProfile().WithType(corev1.SeccompProfileTypeRuntimeDefault))
	context.RunAsUser, context.RunAsGroup, context.FSGroup = chosen.RunAsUser, chosen.RunAsGroup, chosen.FSGroup
	return context
}

func (p pods) makeContainer(resources *corev1.ResourceRequirements) *core.ContainerApplyConfiguration {
	return core.Container().
		WithName(container).
		WithImage(p.Image).
		WithImagePullPolicy(corev1.PullPolicy(p.PullPolicy)).
		WithArgs(p.arguments()...).
		WithPorts(
			core.ContainerPort().WithName(portCallback).WithContainerPort(NumberHTTP).WithProtocol(corev1.ProtocolTCP),
			core.ContainerPort().WithName(portOps).WithContainerPort(NumberOps).WithProtocol(corev1.ProtocolTCP)).
		WithStartupProbe(probe("/readyz").WithPeriodSeconds(1).WithFailureThreshold(60)).
		WithReadinessProbe(probe("/readyz").WithPeriodSeconds(2).WithFailureThreshold(1)).
		WithLivenessProbe(probe("/healthz").WithPeriodSeconds(10).WithFailureThreshold(3)).
		WithResources(makeResources(resources, p.Kind)).
		WithSecurityContext(core.SecurityContext().
			WithAllowPrivilegeEscalation(false).WithReadOnlyRootFilesystem(true).
			WithCapabilities(core.Capabilities().WithDrop("ALL"))).
		WithVolumeMounts(core.VolumeMount().WithName("config").WithMountPath(configDir).WithReadOnly(true))
}

// arguments are what the pods are told: where the others of their fleet are, and what all of the installation are told alike. The name of a
// Service without its namespace is the first that a resolver looks up.
func (p pods) arguments() []string {
	arguments := []string{"--config-dir=" + configDir, fmt.Sprintf("--peers=%s:%d", PeersName(p.Name), NumberOps)}
	if p.Lane == LaneStandard {
		arguments = append(arguments, "--lane=standard")
	}
	if p.Tracing.Endpoint == "" {
		return arguments
	}
	return append(arguments, "--tracing-endpoint="+p.Tracing.Endpoint, "--tracing-sampling-rate-per-million="+strconv.Itoa(p.Tracing.PerMillion()))
}

func probe(path string) *core.ProbeApplyConfiguration {
	return core.Probe().WithTimeoutSeconds(2).
		WithHTTPGet(core.HTTPGetAction().WithPath(path).WithPort(intstr.FromString(portOps)))
}

// makeVolume projects the documents into a folder, which the kubelet swaps as a whole. They can be read by any user of the pod, because which one
// the pod runs as is not known here. There is one container, and the kubelet's own folders keep everybody else of the node out.
func makeVolume(sources []*core.VolumeProjectionApplyConfiguration) *core.VolumeApplyConfiguration {
	return core.Volume().WithName("config").WithProjected(core.ProjectedVolumeSource().WithDefaultMode(0o444).WithSources(sources...))
}

// makeResources takes the given resources as they are, or our own: a sidecar that serves 128 connections holds less
// than 20 MiB, and one that is flooded to its bounds less than 64 MiB. A gateway's has room for a thousand endpoints of the usual size.
func makeResources(given *corev1.ResourceRequirements, kind string) *core.ResourceRequirementsApplyConfiguration {
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
	request, limit := "16Mi", "64Mi"
	if kind == KindGateway {
		request, limit = "48Mi", "192Mi"
	}
	return core.ResourceRequirements().
		WithRequests(corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse(request)}).
		WithLimits(corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(limit)})
}

// canonical writes quantities as the API server stores them, so that 1000m and 1 do not look like a change for ever.
func canonical(list corev1.ResourceList) corev1.ResourceList {
	out := make(corev1.ResourceList, len(list))
	for name, quantity := range list {
		out[name] = resource.MustParse(quantity.String())
	}
	return out
}
