//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// Names of the installation; the chart's are fixed.
const (
	release           = "wechat-endpoint"
	chart             = "../../charts/wechat-endpoint"
	operatorNamespace = "wechatendpoint-system"
	operatorName      = "wechatendpoint-operator"
	definition        = "wechatendpoints.wechatendpoint.io"
	gatewayDefinition = "wechatgateways.wechatendpoint.io"
)

// cluster is what the tests need of the world.
type cluster struct {
	client.WithWatch
	typed  kubernetes.Interface // for what client.WithWatch has not: logs, proxies, discovery
	config *rest.Config

	local                     bool
	helm, kubectl             string
	krew, crane               string // of the local cluster
	imagePrefix, imageTag     string
	ingressAddress, className string
	ingressTLSAddress         string // empty where it is not known
}

// connect reads the environment; see the package's documentation.
func connect() (*cluster, error) {
	c := &cluster{
		local:          cmp.Or(os.Getenv("CLUSTER"), "local") == "local",
		imagePrefix:    cmp.Or(os.Getenv("IMAGE_PREFIX"), "ghcr.io/wechatendpoint"),
		imageTag:       cmp.Or(os.Getenv("IMAGE_TAG"), "dev"),
		className:      cmp.Or(os.Getenv("INGRESS_CLASS"), "traefik"),
		ingressAddress: os.Getenv("INGRESS_ADDRESS"),

		ingressTLSAddress: os.Getenv("INGRESS_TLS_ADDRESS"),
	}
	var noHelm, noKubectl error
	c.helm, noHelm = exec.LookPath(cmp.Or(os.Getenv("HELM"), "helm"))
	c.krew, c.crane = os.Getenv("KREW"), os.Getenv("CRANE")
	c.kubectl, noKubectl = exec.LookPath(cmp.Or(os.Getenv("KUBECTL"), "kubectl"))
	if err := errors.Join(noHelm, noKubectl); err != nil {
		return nil, fmt.Errorf("HELM and KUBECTL must name the programs: %w", err)
	}
	if c.ingressAddress == "" {
		if !c.local {
			return nil, errors.New("INGRESS_ADDRESS must be the host:port of the ingress controller's plain HTTP")
		}
		c.ingressAddress, c.ingressTLSAddress = "198.18.255.1:80", "198.18.255.1:443"
	}
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	config.QPS, config.Burst = 200, 400
	config.WarningHandler = rest.NoWarnings{} // every kind is listed, deprecated ones too
	types := runtime.NewScheme()
	if err := errors.Join(scheme.AddToScheme(types), v1alpha1.AddToScheme(types), gatewayv1.Install(types)); err != nil {
		return nil, err
	}
	if c.WithWatch, err = client.NewWithWatch(config, client.Options{Scheme: types}); err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	c.config = config
	c.typed, err = kubernetes.NewForConfig(config)
	return c, err
}

// install installs or upgrades the chart, with values as of helm --set, and waits until the operator is there.
func (c *cluster) install(ctx context.Context, values ...string) error {
	return c.installSidecar(ctx, c.imageTag, values...)
}

// installSidecar does so with another tag of the sidecar's image.
func (c *cluster) installSidecar(ctx context.Context, tag string, values ...string) error {
	arguments := []string{
		"upgrade", "--install", release, chart, "--namespace", operatorNamespace, "--create-namespace", "--wait", "--timeout", "2m",
		"--set", "operator.image.repository=" + c.imagePrefix + "/operator", "--set-string", "operator.image.tag=" + c.imageTag,
		"--set", "sidecar.image.repository=" + c.imagePrefix + "/sidecar", "--set-string", "sidecar.image.tag=" + tag,
		"--set-string", `podAnnotations.wechatendpoint\.io/build=` + operatorBuild(),
		"--set", "loadBalancerNetworks={0.0.0.0/0,::/0}", // wherever the cluster of the tests has its own
	}
	for _, value := range values {
		arguments = append(arguments, "--set", value)
	}
	if _, err := call(ctx, c.helm, arguments...); err != nil {
		return err
	}
	_, err := call(ctx, c.kubectl, "-n", operatorNamespace, "rollout", "status", "deployment/"+operatorName, "--timeout", "2m")
	return err
}

func (c *cluster) uninstall(ctx context.Context) error {
	_, err := call(ctx, c.helm, "uninstall", release, "--namespace", operatorNamespace, "--ignore-not-found", "--wait", "--timeout", "1m")
	return err
}

// operatorBuild is a digest of the operator's binary. The image's tag stays the same from build to build, so that the
// Deployment of an earlier one would go on with its pods.
func operatorBuild() string {
	content, err := os.ReadFile("../../bin/operator")
	if err != nil {
		return "unknown"
	}
	digest := sha256.Sum256(content)
	return hex.EncodeToString(digest[:6])
}

// call runs a program and returns what it wrote to standard output. Its error quotes what it wrote to standard error.
func call(ctx context.Context, program string, arguments ...string) (string, error) {
	return callIn(ctx, nil, program, arguments...)
}

// callIn adds variables to the environment of the program.
func callIn(ctx context.Context, environment []string, program string, arguments ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	command := exec.CommandContext(ctx, program, arguments...)
	command.Env = append(os.Environ(), environment...)
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s %s: %w: %s", filepath.Base(program), strings.Join(arguments, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

// inventory is a list of objects: kind, namespace and name, with UID and resource version.
type inventory map[string]version

type version struct{ uid, resourceVersion string }

// names are the objects, sorted.
func (i inventory) names() []string { return slices.Sorted(maps.Keys(i)) }

// without leaves out the objects of some kinds.
func (i inventory) without(kinds ...string) inventory {
	rest := maps.Clone(i)
	maps.DeleteFunc(rest, func(name string, _ version) bool {
		kind, _, _ := strings.Cut(name, " ")
		return slices.Contains(kinds, kind)
	})
	return rest
}

// restless kinds change without anybody's doing.
var restless = []string{"Event", "Lease", "EndpointSlice", "Endpoints", "PodMetrics"}

// inventory lists the objects of every kind that the cluster knows.
func (c *cluster) inventory(ctx context.Context, options ...client.ListOption) (inventory, error) {
	resources, err := c.typed.Discovery().ServerPreferredResources()
	if err != nil {
		return nil, fmt.Errorf("listing kinds: %w", err)
	}
	wanted := client.ListOptions{}
	wanted.ApplyOptions(options)
	found := inventory{}
	for _, group := range resources {
		version, err := schema.ParseGroupVersion(group.GroupVersion)
		if err != nil {
			return nil, err
		}
		for _, resource := range group.APIResources {
			if !slices.Contains(resource.Verbs, "list") || wanted.Namespace != "" && !resource.Namespaced {
				continue
			}
			if err := c.addTo(ctx, found, version.WithKind(resource.Kind), options); err != nil {
				return nil, err
			}
		}
	}
	return found, nil
}

func (c *cluster) addTo(ctx context.Context, found inventory, kind schema.GroupVersionKind, options []client.ListOption) error {
	var list metav1.PartialObjectMetadataList
	list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
	if err := c.List(ctx, &list, options...); err != nil {
		return fmt.Errorf("listing %s: %w", kind, err)
	}
	for _, item := range list.Items {
		found[strings.TrimSpace(kind.Kind+" "+item.Namespace+"/"+item.Name)] = version{string(item.UID), item.ResourceVersion}
	}
	return nil
}

// interval is the pause between two looks at something that is waited for.
const interval = 200 * time.Millisecond

// pause waits for one interval.
func pause(ctx context.Context) error {
	timer := time.NewTimer(interval)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// eventually looks again until check has no complaint. At the end of its patience the test fails with the last one.
func eventually(t *testing.T, patience time.Duration, what string, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		err := check(ctx)
		if err == nil {
			return
		}
		if pause(ctx) != nil {
			t.Fatalf("waited %v in vain for %s: %v", patience, what, err)
		}
	}
}

// podLog is the end of the log of each container of the pods.
func (c *cluster) podLog(ctx context.Context, namespace, name string, lines int64) string {
	stream, err := c.typed.CoreV1().Pods(namespace).GetLogs(name, podLogOptions(lines)).Stream(ctx)
	if err != nil {
		return err.Error()
	}
	defer stream.Close()
	text, err := io.ReadAll(io.LimitReader(stream, 64<<10))
	if err != nil {
		return err.Error()
	}
	return string(text)
}
