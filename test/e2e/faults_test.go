//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/test/chaos"
)

// faults are played in this order. A message may be lost only where WeChat was told success at the deadline and the app ended with the message,
// or where no ingress controller was there; the sidecars must count as many as are lost in the first case. In plaintext mode a used query may be good
// for another body while a sidecar takes no connections: they tell each other who has seen it.
var faults = []fault{
	{name: "kill-sidecars", strike: killSidecars, renews: true, short: true},
	{name: "kill-apps", strike: killApps, short: true},
	{name: "drain-sidecars", strike: drainSidecars, renews: true},
	{name: "roll-out", strike: rollOut, renews: true, short: true},
	{name: "freeze-app", strike: freezeApp},
	{name: "freeze-and-kill-app", strike: freezeAndKillApp, expect: chaos.Expectation{Late: true}},
	{name: "cut-app", strike: cutApp},
	{name: "exhaust-descriptors", strike: exhaustDescriptors, expect: chaos.Expectation{Unbound: true}},
	{name: "flood-neighbour", strike: floodNeighbour, shared: true},
	{name: "restart-ingress", strike: restartIngress, expect: chaos.Expectation{Away: true}},
}

// faultTime is how long something stays frozen, cut off or exhausted: longer than any deadline, and shorter than a message's three tries in
// silence take.
const faultTime = 8 * time.Second

// ofApp are the labels of the app's pods.
var ofApp = client.MatchingLabels{"app": appName}

// killSidecars kills the process of one pod of each account, and once it is back deletes the other pod without a grace period.
func killSidecars(t *testing.T, c *disaster) {
	for _, v := range c.accounts {
		c.kill(t, c.awaitPods(t, v.labels(), 2)[0])
	}
	c.awaitWhole(t)
	for _, v := range c.accounts {
		c.remove(t, c.awaitPods(t, v.labels(), 2)[1])
	}
}

// killApps kills the process of one pod of the app, and once it is back deletes both without a grace period.
func killApps(t *testing.T, c *disaster) {
	c.kill(t, c.awaitPods(t, ofApp, 2)[0])
	pods := c.awaitPods(t, ofApp, 2)
	c.remove(t, pods...)
}

// drainSidecars evicts each pod, as `kubectl drain` does.
func drainSidecars(t *testing.T, c *disaster) {
	for _, v := range c.accounts {
		for _, pod := range c.awaitPods(t, v.labels(), 2) {
			eventually(t, patience, "the eviction of "+pod.Name, func(ctx context.Context) error {
				err := kube.SubResource("eviction").Create(ctx, &pod, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}})
				return client.IgnoreNotFound(err)
			})
			c.awaitGone(t, &pod)
		}
	}
}

// rollOut gives the pods of each account another template.
func rollOut(t *testing.T, c *disaster) {
	for _, v := range c.accounts {
		before := c.awaitPods(t, v.labels(), 2)
		v.change(t, func(spec *v1alpha1.WeChatEndpointSpec) {
			spec.Sidecar.NodeSelector = map[string]string{corev1.LabelOSStable: "linux"}
		})
		for i := range before {
			c.awaitGone(t, &before[i])
		}
	}
}

// freezeApp stops the process of one of the app's pods for a time.
func freezeApp(t *testing.T, c *disaster) {
	process := c.signal(t, c.awaitPods(t, ofApp, 2)[0], syscall.SIGSTOP)
	time.Sleep(faultTime)
	if err := syscall.Kill(process, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
}

// freezeAndKillApp stops the processes of all of the app's pods, and kills them when WeChat has been answered.
func freezeAndKillApp(t *testing.T, c *disaster) {
	pods := c.awaitPods(t, ofApp, 2)
	for _, pod := range pods {
		c.signal(t, pod, syscall.SIGSTOP)
	}
	time.Sleep(faultTime)
	c.kill(t, pods...)
}

// cutApp takes the network from all of the app's pods for a time.
func cutApp(t *testing.T, c *disaster) {
	for _, pod := range c.awaitPods(t, ofApp, 2) {
		link, err := linkTo(t.Context(), pod.Status.PodIP)
		if err != nil {
			t.Fatal(err)
		}
		setLink(t, link, "down")
		defer setLink(t, link, "up")
	}
	time.Sleep(faultTime)
}

func setLink(t *testing.T, link, state string) {
	t.Helper()
	if _, err := call(context.WithoutCancel(t.Context()), "ip", "link", "set", link, state); err != nil {
		t.Error(err)
	}
}

// linkTo is the node's end of the pod's link.
func linkTo(ctx context.Context, podIP string) (string, error) {
	network, err := networkOf(podIP)
	if err != nil {
		return "", err
	}
	inside, err := call(ctx, "nsenter", "--net="+network, "ip", "-o", "link", "show", "eth0")
	if err != nil {
		return "", err
	}
	peer := regexp.MustCompile(`eth0@if(\d+):`).FindStringSubmatch(inside)
	if peer == nil {
		return "", fmt.Errorf("%s has no link to the node: %s", podIP, inside)
	}
	outside, err := call(ctx, "ip", "-o", "link", "show")
	if err != nil {
		return "", err
	}
	link := regexp.MustCompile(`(?m)^` + peer[1] + `: (\w+)@`).FindStringSubmatch(outside)
	if link == nil {
		return "", fmt.Errorf("the node has no link %s: %s", peer[1], outside)
	}
	return link[1], nil
}

// exhaustDescriptors lets one pod of each account open nothing more for a time: no connection from anybody, and none to an app. Forged messages
// come meanwhile.
func exhaustDescriptors(t *testing.T, c *disaster) {
	var exhausted []string
	for _, v := range c.accounts {
		pod := c.awaitPods(t, v.labels(), 2)[0]
		process, err := processOf(pod)
		if err != nil {
			t.Fatal(err)
		}
		exhausted = append(exhausted, pod.Status.PodIP)
		usual, err := descriptorsOf(process)
		if err != nil {
			t.Fatal(err)
		}
		limitDescriptors(t, process, 3) // what it has open beyond these stays open; a number that gets free is not used again
		defer limitDescriptors(t, process, usual)
		stop := v.forgedFlood(t.Context(), 32)
		defer func() { t.Logf("chaos: %s got %d forged messages meanwhile", v.name, stop()) }()
	}
	time.Sleep(faultTime / 2)
	asks := http.Client{Timeout: faultTime / 4, Transport: &http.Transport{DisableKeepAlives: true}}
	for _, address := range exhausted {
		if answer, err := asks.Get("http://" + net.JoinHostPort(address, "8081") + "/healthz"); err == nil {
			answer.Body.Close()
			t.Errorf("%s answers %s over a new connection: it has descriptors left", address, answer.Status)
		}
	}
	time.Sleep(faultTime / 2)
}

// descriptorsOf is how many descriptors a process may have.
func descriptorsOf(process int) (int, error) {
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", process))
	if err != nil {
		return 0, err
	}
	found := regexp.MustCompile(`(?m)^Max open files\s+(\d+)`).FindSubmatch(limits)
	if found == nil {
		return 0, fmt.Errorf("the limits of %d are\n%s", process, limits)
	}
	return strconv.Atoi(string(found[1]))
}

// limitDescriptors sets how many descriptors a process may have, as the user of the process: root needs CAP_SYS_RESOURCE for that, which it may lack.
func limitDescriptors(t *testing.T, process, most int) {
	t.Helper()
	folder, err := os.Stat(fmt.Sprintf("/proc/%d", process))
	if err != nil {
		t.Fatal(err)
	}
	owner := folder.Sys().(*syscall.Stat_t)
	if _, err := call(context.WithoutCancel(t.Context()), "setpriv", "--clear-groups", fmt.Sprintf("--regid=%d", owner.Gid), fmt.Sprintf("--reuid=%d", owner.Uid),
		"prlimit", "--pid", strconv.Itoa(process), fmt.Sprintf("--nofile=%d:", most)); err != nil {
		t.Error(err)
	}
}

// floodNeighbour floods two neighbours of a gateway: one has an app that is frozen, the other one gets forged messages.
func floodNeighbour(t *testing.T, c *disaster) {
	c.deployFrozen(t)
	on := c.onGateway("front")
	frozen, toFrozen := on.account("frozen")
	toFrozen.Spec.Backend.Service.Name = frozenApp
	forged, toForged := on.account("forged")
	c.create(t, toFrozen, toForged)
	for _, own := range []*stage{frozen, forged} {
		own.awaitReady(t)
		own.awaitPublished(t)
	}
	stopFrozen, stopForged := frozen.flood(t.Context(), 32), forged.forgedFlood(t.Context(), 32)
	time.Sleep(2 * faultTime)
	t.Logf("chaos: a neighbour whose app is frozen got %d messages, and another one %d that were forged", stopFrozen(), stopForged())
}

// restartIngress deletes the ingress controller's pod.
func restartIngress(t *testing.T, _ *disaster) {
	ingress := &stage{namespace: "traefik"}
	labels := client.MatchingLabels{"app": "traefik"}
	pod := ingress.awaitPods(t, labels, 1)[0]
	if err := kube.Delete(t.Context(), &pod); err != nil {
		t.Fatal(err)
	}
	ingress.awaitGone(t, &pod)
	ingress.awaitPods(t, labels, 1)
}

// signal sends a signal to the pod's process.
func (c *disaster) signal(t *testing.T, pod corev1.Pod, signal syscall.Signal) (process int) {
	t.Helper()
	process, err := processOf(pod)
	if err == nil {
		err = syscall.Kill(process, signal)
	}
	if err != nil {
		t.Fatalf("sending a signal to %s: %v", pod.Name, err)
	}
	return process
}

// kill ends the process of each pod without notice, and waits until the kubelet has started others.
func (c *disaster) kill(t *testing.T, pods ...corev1.Pod) {
	t.Helper()
	began := time.Now()
	var processes []int
	for _, pod := range pods {
		processes = append(processes, c.signal(t, pod, syscall.SIGKILL))
	}
	for _, process := range processes {
		c.awaitEnd(t, process)
	}
	c.deaths = append(c.deaths, chaos.Death{From: began, To: time.Now()})
	for _, pod := range pods {
		before := pod.Status.ContainerStatuses[0].ContainerID
		eventually(t, patience, "another process of "+pod.Name, func(ctx context.Context) error {
			if err := kube.Get(ctx, client.ObjectKeyFromObject(&pod), &pod); err != nil {
				return err
			}
			if now := pod.Status.ContainerStatuses[0]; now.ContainerID == before || !now.Ready {
				return fmt.Errorf("its container is %+v", now.State)
			}
			return nil
		})
	}
}

// remove deletes pods without a grace period.
func (c *disaster) remove(t *testing.T, pods ...corev1.Pod) {
	t.Helper()
	began := time.Now()
	var processes []int
	for _, pod := range pods {
		process, err := processOf(pod)
		if err != nil {
			t.Fatal(err)
		}
		processes = append(processes, process)
		if err := kube.Delete(t.Context(), &pod, client.GracePeriodSeconds(0)); err != nil && !apierrors.IsNotFound(err) {
			t.Fatal(err)
		}
	}
	for _, process := range processes {
		c.awaitEnd(t, process)
	}
	c.deaths = append(c.deaths, chaos.Death{From: began, To: time.Now()})
}

// awaitEnd waits until a process is gone.
func (c *disaster) awaitEnd(t *testing.T, process int) {
	t.Helper()
	eventually(t, patience, fmt.Sprintf("process %d to end", process), func(context.Context) error {
		if err := syscall.Kill(process, 0); err == nil {
			return errors.New("it runs")
		}
		return nil
	})
}
