//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/test/chaos"
)

// The load beside a fault: for each account and each model of WeChat's further tries, one message after so long, and a forged one beside
// every second. Before a fault and after it, the load goes on for a while.
const (
	chaosInterval = 100 * time.Millisecond
	chaosForge    = 2
	chaosBefore   = 2 * time.Second
	chaosAfter    = 3 * time.Second
	chaosSettled  = 6 * time.Second // before a fault: what the one before left in the pods' DNS is gone
)

// TestChaos accounts for each message that is sent while something fails. Alone it plays a few faults; CHAOS=long, which `make chaos` sets, plays
// all, with an account in plaintext besides.
func TestChaos(t *testing.T) {
	long := os.Getenv("CHAOS") == "long"
	if !kube.local {
		t.Skip("only the processes of the local cluster can be reached")
	}
	if !long {
		t.Parallel()
	}
	c := newDisaster(t, long)
	for _, f := range faults {
		if f.short || long {
			t.Run(f.name, func(t *testing.T) { c.play(t, f) })
		}
	}
}

// fault is one story.
type fault struct {
	name   string
	strike func(*testing.T, *disaster)
	expect chaos.Expectation
	// short says that it is played by every run of the end-to-end tests.
	short bool
	// renews says that sidecars end: their counters begin anew and tell nothing.
	renews bool
	// shared says that it is about accounts that share a gateway.
	shared bool
}

// disaster is a stage with an app that notes messages, and accounts to which they are sent.
type disaster struct {
	*stage
	accounts, shared []*victim
	deaths           []chaos.Death // in the fault that is played
}

// victim is an account to which messages are sent.
type victim struct {
	*stage
	onGateway    bool
	acknowledges bool // at the deadline, in the app's place
	plaintext    bool
}

// keeperName is the pod that keeps the ledger. Nothing happens to it.
const keeperName = "keeper"

// newDisaster makes the stage. The first account acknowledges messages in the app's place, in encrypted mode; the second one lets WeChat's
// retries wait for the app, in plaintext.
func newDisaster(t *testing.T, long bool) *disaster {
	t.Helper()
	c := &disaster{stage: newEmptyStage(t, "chaos", "restricted")}
	c.deployLedger(t, keeperName, 1)
	c.deployLedger(t, appName, 2, "--keeper=http://"+keeperName+":8080")
	secret := c.secret()
	secret.Data[v1alpha1.KeyEncodingAESKey] = []byte(sampleKey)
	c.create(t, secret)
	c.accounts = append(c.accounts, c.victim(t, "acknowledge", v1alpha1.MessageModeEncrypted, v1alpha1.OnDeadlineAcknowledge, ""))
	if long {
		c.accounts = append(c.accounts, c.victim(t, "await", v1alpha1.MessageModePlaintext, v1alpha1.OnDeadlineAwaitRetry, ""))
		c.newGateway(t, "front")
		c.shared = append(c.shared, c.victim(t, "shared", v1alpha1.MessageModeEncrypted, v1alpha1.OnDeadlineAcknowledge, "front"))
	}
	for _, v := range slices.Concat(c.accounts, c.shared) {
		v.awaitReady(t)
		v.awaitPublished(t)
	}
	return c
}

// deployLedger applies test/apps/ledger as the demo's app is applied.
func (s *stage) deployLedger(t *testing.T, name string, replicas int32, arguments ...string) {
	t.Helper()
	deployment, service := s.app(t, name)
	deployment.Spec.Replicas = &replicas
	container := &deployment.Spec.Template.Spec.Containers[0]
	container.Image, container.Args = kube.imagePrefix+"/ledger-app:"+kube.imageTag, arguments
	s.create(t, deployment, service)
	s.awaitPods(t, client.MatchingLabels{"app": name}, int(replicas))
}

// victim makes an account, with two pods of its own or on a gateway.
func (s *stage) victim(t *testing.T, name string, mode v1alpha1.MessageMode, onDeadline v1alpha1.OnDeadline, gateway string) *victim {
	t.Helper()
	own := *s
	own.name, own.path, own.gateway = name, "/"+name, gateway
	endpoint := own.endpoint(withReplicas(2), func(spec *v1alpha1.WeChatEndpointSpec) {
		spec.MessageMode, spec.Backend.OnDeadline, spec.Backend.Path = mode, onDeadline, "/weixin"
		if gateway != "" {
			spec.Gateway, spec.Sidecar = &v1alpha1.GatewayReference{Name: gateway}, v1alpha1.Sidecar{}
		}
	})
	if mode == v1alpha1.MessageModeEncrypted {
		own.plays = func() caller.Sender {
			return caller.Sender{EncodingAESKey: sampleKey, ReceiverID: endpoint.Spec.AppID}
		}
	}
	own.create(t, endpoint)
	return &victim{stage: &own, onGateway: gateway != "", acknowledges: onDeadline == v1alpha1.OnDeadlineAcknowledge, plaintext: mode == v1alpha1.MessageModePlaintext}
}

// labels select the pods that serve the account.
func (v *victim) labels() client.MatchingLabels {
	if v.onGateway {
		return client.MatchingLabels{v1alpha1.LabelGateway: v.gateway}
	}
	return client.MatchingLabels{v1alpha1.LabelEndpoint: v.name}
}

// awaitPods waits until there are so many pods, all ready and none on its way out, and returns them.
func (s *stage) awaitPods(t *testing.T, labels client.MatchingLabels, want int) []corev1.Pod {
	t.Helper()
	var pods []corev1.Pod
	eventually(t, patience, fmt.Sprintf("%d pods with %v", want, labels), func(ctx context.Context) (err error) {
		if pods, err = s.pods(ctx, labels); err == nil && len(pods) != want {
			err = fmt.Errorf("there are %d", len(pods))
		}
		for _, pod := range pods {
			ready := slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
				return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
			})
			if !ready || !pod.DeletionTimestamp.IsZero() {
				err = fmt.Errorf("%s is not ready, or on its way out", pod.Name)
			}
		}
		return err
	})
	return pods
}

// awaitWhole waits until nothing is missing.
func (c *disaster) awaitWhole(t *testing.T) {
	t.Helper()
	c.awaitPods(t, client.MatchingLabels{"app": appName}, 2)
	for _, v := range slices.Concat(c.accounts, c.shared) {
		c.awaitPods(t, v.labels(), 2)
		v.awaitReady(t)
	}
}

// play sends messages to the accounts while the fault strikes, and judges what became of them.
func (c *disaster) play(t *testing.T, f fault) {
	c.awaitWhole(t)
	time.Sleep(chaosSettled)
	c.deaths = nil
	victims := c.accounts
	if f.shared {
		victims = c.shared
	}
	before := map[string]int{}
	for _, v := range victims {
		before[v.name] = v.lateFailures(t)
	}
	stop := c.loads(t, f, victims)
	time.Sleep(chaosBefore)
	f.strike(t, c)
	c.awaitWhole(t)
	time.Sleep(chaosAfter)
	sent := stop()
	for _, v := range victims {
		v.awaitQuiet(t)
	}
	seen := c.ledger(t)
	for _, v := range victims {
		expect := f.expect
		expect.Late, expect.Unbound = expect.Late && v.acknowledges, expect.Unbound && v.plaintext
		var accounts []chaos.Account
		for _, model := range models {
			name := loadName(f, model, v)
			account := chaos.MakeAccount(name, name, sent[name], seen, c.deaths)
			t.Log(account)
			accounts = append(accounts, account)
			for _, complaint := range expect.Judge(account) {
				t.Error(complaint)
			}
		}
		if f.renews {
			continue
		}
		for _, complaint := range chaos.CompareLate(f.name+"/"+v.name, v.lateFailures(t)-before[v.name], accounts...) {
			t.Error(complaint)
		}
	}
}

var models = []chaos.Model{chaos.Prompt, chaos.Patient}

// loadName tells a load from all others of the run.
func loadName(f fault, model chaos.Model, v *victim) string {
	return f.name + "/" + model.Name + "/" + v.name
}

// loads sends messages to the accounts in both models, until the function that it returns is called. That function waits for the last try.
func (c *disaster) loads(t *testing.T, f fault, victims []*victim) (stop func() map[string]chaos.Sent) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	var group sync.WaitGroup
	sent := map[string]chaos.Sent{}
	for _, v := range victims {
		for _, model := range models {
			load := chaos.Load{Name: loadName(f, model, v), Model: model, Sender: v.sender(), Every: chaosInterval, Forge: chaosForge}
			group.Go(func() {
				all := load.Run(ctx)
				mu.Lock()
				defer mu.Unlock()
				sent[load.Name] = all
			})
		}
	}
	t.Cleanup(func() { cancel(); group.Wait() })
	return func() map[string]chaos.Sent {
		cancel()
		group.Wait()
		return sent
	}
}

// ledger is what the app saw, asked by way of the API server.
func (c *disaster) ledger(t *testing.T) chaos.Seen {
	t.Helper()
	var seen chaos.Seen
	answer, err := kube.typed.CoreV1().Services(c.namespace).ProxyGet("http", keeperName, "8080", "/seen", nil).DoRaw(t.Context())
	if err == nil {
		err = json.Unmarshal(answer, &seen)
	}
	if err != nil {
		t.Fatalf("asking the keeper: %v", err)
	}
	return seen
}

// metrics asks each of the pods that serve the account.
func (v *victim) metrics(ctx context.Context) (pages []string, err error) {
	pods, err := v.pods(ctx, v.labels())
	for _, pod := range pods {
		page, problem := kube.typed.CoreV1().Pods(v.namespace).ProxyGet("http", pod.Name, "8081", "/metrics", nil).DoRaw(ctx)
		if problem != nil {
			return nil, problem
		}
		pages = append(pages, string(page))
	}
	return pages, err
}

// lateFailures is how many calls failed after WeChat had been told success, as the account's pods count them.
func (v *victim) lateFailures(t *testing.T) int {
	t.Helper()
	pages, err := v.metrics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return sumOf(pages, `wechat_sidecar_backend_late_failures_total{wechat_endpoint="`+v.namespace+"/"+v.name+`"}`)
}

// awaitQuiet waits until the account's pods call the app no more: a call goes on for up to a minute after WeChat was answered.
func (v *victim) awaitQuiet(t *testing.T) {
	t.Helper()
	eventually(t, patience, "the calls to the app to end", func(ctx context.Context) error {
		pages, err := v.metrics(ctx)
		if going := sumOf(pages, "wechat_sidecar_in_flight"); err == nil && going > 0 {
			err = fmt.Errorf("%d go on", going)
		}
		return err
	})
}

// sumOf is the sum of a series over the pages of several pods.
func sumOf(pages []string, series string) (sum int) {
	line := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (\S+)$`)
	for _, page := range pages {
		if found := line.FindStringSubmatch(page); found != nil {
			value, _ := strconv.ParseFloat(found[1], 64)
			sum += int(value)
		}
	}
	return sum
}

// processOf is the process of the one container of a pod, as this machine numbers it.
func processOf(pod corev1.Pod) (int, error) {
	if len(pod.Status.ContainerStatuses) != 1 {
		return 0, fmt.Errorf("%s has %d containers that run", pod.Name, len(pod.Status.ContainerStatuses))
	}
	_, container, _ := strings.Cut(pod.Status.ContainerStatuses[0].ContainerID, "://")
	if container == "" {
		return 0, fmt.Errorf("the container of %s does not run", pod.Name)
	}
	folders, err := os.ReadDir("/proc")
	if err != nil {
		return 0, err
	}
	for _, folder := range folders {
		number, err := strconv.Atoi(folder.Name())
		if err != nil {
			continue
		}
		if groups, err := os.ReadFile("/proc/" + folder.Name() + "/cgroup"); err == nil && strings.Contains(string(groups), container) {
			return number, nil
		}
	}
	return 0, fmt.Errorf("no process is in the container %s of %s", container, pod.Name)
}
