// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/diagnose"
	"github.com/wechatendpoint/wechatendpoint/test/demo/manifests"
	"github.com/wechatendpoint/wechatendpoint/test/story"
)

// begin makes the namespace, which also says that the operator was installed by the demo. A namespace of another build
// goes first, because its pods run old images under the same tag.
func (d *demo) begin(ctx context.Context) error {
	const annotation = `jsonpath={.metadata.annotations.wechatendpoint\.io/demo-build}`
	before, err := call(ctx, "", d.kubectl, "get", "namespace", namespace, "--ignore-not-found", "-o", "name")
	if err != nil {
		return err
	}
	if before == "" && !d.local {
		if _, err := call(ctx, "", d.helm, "status", release, "--namespace", operatorNamespace); err == nil {
			return errors.New("this cluster has an operator already, which the demo would replace: use another cluster, or read README.md for what to do with it")
		}
	}
	if before != "" {
		build, err := call(ctx, "", d.kubectl, "get", "namespace", namespace, "-o", annotation)
		if err != nil {
			return err
		}
		if build != d.build {
			d.Printf("The programs were built anew since the last run: removing the namespace %s and starting over.\n", namespace)
			defer d.StillAtIt()()
			if _, err := call(ctx, "", d.kubectl, "delete", "namespace", namespace, "--wait", "--timeout", story.Patience.String()); err != nil {
				return err
			}
		}
	}
	_, err = call(ctx, d.values.Replace(manifests.Read("namespace.yaml")), d.kubectl, "apply", "-f", "-")
	return err
}

// down removes the demo's namespace and then the operator, which lets the gateway go; the definitions of the resources only if nobody else has some.
func (d *demo) down(ctx context.Context) error {
	existing, err := call(ctx, "", d.kubectl, "get", "namespace", namespace, "--ignore-not-found", "-o", "name")
	if err != nil {
		return err
	}
	if existing == "" {
		d.Printf("There is nothing of the demo's on this cluster.\n")
		return nil
	}
	for _, command := range [][]string{
		{d.kubectl, "delete", "namespace", namespace, "--ignore-not-found", "--timeout", story.Patience.String()},
		{d.helm, "uninstall", release, "--namespace", operatorNamespace, "--ignore-not-found", "--wait"},
		{d.kubectl, "delete", "namespace", operatorNamespace, "--ignore-not-found"},
	} {
		if _, err := call(ctx, "", command[0], command[1:]...); err != nil {
			return err
		}
	}
	left, err := call(ctx, "", d.kubectl, "get", "wechatendpoints,wechatgateways", "-A", "-o", "name", "--ignore-not-found")
	if err != nil || left != "" {
		d.Printf("The demo is removed. The definitions of WeChatEndpoint and WeChatGateway stay for those that there are.\n")
		return nil
	}
	group := "." + v1alpha1.GroupVersion.Group
	if _, err := call(ctx, "", d.kubectl, "delete", "crd", "wechatendpoints"+group, "wechatgateways"+group); err != nil {
		return err
	}
	d.Printf("The demo is removed.\n")
	return nil
}

func (d *demo) installOperator(ctx context.Context) (string, error) {
	arguments := []string{
		"upgrade", "--install", release, chart, "--namespace", operatorNamespace, "--create-namespace", "--wait", "--timeout", story.Patience.String(),
		"--set", "operator.image.repository=" + d.imagePrefix + "/operator", "--set-string", "operator.image.tag=" + d.imageTag,
		"--set", "sidecar.image.repository=" + d.imagePrefix + "/sidecar", "--set-string", "sidecar.image.tag=" + d.imageTag,
	}
	if d.build != "" {
		arguments = append(arguments, "--set-string", `podAnnotations.wechatendpoint\.io/demo-build=`+d.build)
	}
	d.Show("$ helm %s", story.Quoted(arguments))
	if _, err := call(ctx, "", d.helm, arguments...); err != nil {
		return "", err
	}
	said, err := call(ctx, "", d.kubectl, "-n", operatorNamespace, "rollout", "status", "deployment/"+operatorName, "--timeout", story.Patience.String())
	return strings.TrimSpace(said), err
}

func (d *demo) deployApp(ctx context.Context) (string, error) {
	if err := d.apply(ctx, manifests.Read("app.yaml")); err != nil {
		return "", err
	}
	_, err := d.kubectlRun(ctx, "rollout", "status", "deployment/shop-app", "--timeout", story.Patience.String())
	return "it runs", err
}

func (d *demo) applyEndpoint(ctx context.Context) (string, error) {
	if err := d.apply(ctx, manifests.Secret(manifests.FirstToken)); err != nil {
		return "", err
	}
	if err := d.apply(ctx, manifests.Read("endpoint.yaml")); err != nil {
		return "", err
	}
	return d.awaitReady(ctx, &d.shop)
}

func (d *demo) applySecondEndpoint(ctx context.Context) (string, error) {
	if err := d.apply(ctx, manifests.Club(manifests.PodsOfItsOwn)); err != nil {
		return "", err
	}
	ready, err := d.awaitReady(ctx, &d.club)
	if err != nil {
		return "", err
	}
	d.club.Address = d.shop.Address
	_, err = d.awaitPublished(ctx, &d.club)
	return ready, err
}

// awaitReady shows each condition that is waited for.
func (d *demo) awaitReady(ctx context.Context, a *story.Account) (string, error) {
	var told string
	var endpoint v1alpha1.WeChatEndpoint
	err := story.Until(ctx, func(ctx context.Context) error {
		said, err := d.kubectlRun(ctx, "get", "wxe", a.Name(), "-o", "json")
		if err != nil {
			return err
		}
		endpoint = v1alpha1.WeChatEndpoint{}
		if err := json.Unmarshal([]byte(said), &endpoint); err != nil {
			return fmt.Errorf("reading kubectl's answer: %w", err)
		}
		missing := missing(&endpoint)
		if missing != nil && missing.Error() != told {
			told = missing.Error()
			d.Show("… %s", told)
		}
		return missing
	})
	return "the endpoint is Ready; the URL for the console is " + endpoint.Status.URL, err
}

// missing says which condition does not hold yet, in the words of the operator.
func missing(endpoint *v1alpha1.WeChatEndpoint) error {
	order := []string{
		v1alpha1.ConditionAccepted, v1alpha1.ConditionCredentialsResolved, v1alpha1.ConditionBackendResolved,
		v1alpha1.ConditionSidecarAvailable, v1alpha1.ConditionRouteProgrammed, v1alpha1.ConditionVerified, v1alpha1.ConditionReady,
	}
	for _, name := range order {
		i := indexOf(endpoint.Status.Conditions, name)
		if i < 0 || endpoint.Status.Conditions[i].ObservedGeneration != endpoint.Generation {
			return errors.New("the operator has not looked yet")
		}
		if c := endpoint.Status.Conditions[i]; c.Status != metav1.ConditionTrue {
			return fmt.Errorf("%s is %s (%s): %s", c.Type, c.Status, c.Reason, c.Message)
		}
	}
	return nil
}

func indexOf(conditions []metav1.Condition, name string) int {
	for i := range conditions {
		if conditions[i].Type == name {
			return i
		}
	}
	return -1
}

// firstAnswer shows the first request that comes through, which is signed as WeChat does it.
func (d *demo) firstAnswer(ctx context.Context) (string, error) {
	if err := story.Until(ctx, d.findAddress); err != nil {
		return "", err
	}
	tries, err := d.awaitPublished(ctx, &d.shop)
	if err != nil {
		return "", err
	}
	d.Show("The signature is the SHA-1 of the token, the timestamp and the nonce, sorted and joined.")
	return fmt.Sprintf("the answer is the echostr of the request, by way of %s; tries: %d", d.shop.Address, tries), nil
}

// awaitPublished waits for the ingress controller, whose progress no condition can tell, and shows the request that is answered
// at last. It returns how often one was sent.
func (d *demo) awaitPublished(ctx context.Context, a *story.Account) (tries int, err error) {
	err = story.Until(ctx, func(ctx context.Context) error {
		tries++
		request, err := a.NewURLCheck()
		if err != nil {
			return err
		}
		answer, err := a.Send(ctx, request)
		if refusal := diagnose.URLCheck(answer, err); refusal != nil {
			return errors.New(refusal.String())
		}
		d.ShowRequest(request)
		d.ShowAnswer(answer)
		return nil
	})
	return tries, err
}

// findAddress asks the Ingress where the ingress controller is, unless that is known.
func (d *demo) findAddress(ctx context.Context) error {
	if d.shop.Address != "" {
		return nil
	}
	address, err := d.kubectlRun(ctx, "get", "ingress", "shop-sidecar", "-o", "jsonpath={.status.loadBalancer.ingress[0]['ip','hostname']}")
	if err != nil {
		return err
	}
	if address = strings.TrimSpace(address); address == "" {
		return errors.New("the Ingress has no address in its status: set INGRESS_ADDRESS to the host:port of the ingress controller's plain HTTP")
	}
	d.shop.Address = address + ":80"
	return nil
}
