//go:build integration

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/probe"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

const patience = time.Minute

// cluster is an API server with one operator running against it, shared by all tests; each uses a namespace of its own.
var cluster struct {
	config *rest.Config
	client client.Client
	pods   *pods
}

func TestMain(m *testing.M) {
	code, err := runSuite(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(code)
}

// suiteOptions are the choices of the suite's installation.
func suiteOptions() controllers.Options {
	return controllers.Options{
		SidecarImage: "example.com/sidecar:1", SidecarPullPolicy: "IfNotPresent", Concurrency: 2,
		AllowedIngressAnnotations: []string{"cert-manager.io/issuer"},
		OperatorNamespace:         "wechatendpoint-system", NetworkPolicy: everyRule,
		Tracing: config.Tracing{Endpoint: "http://otel-collector.observability.svc:4318"},
	}
}

func runSuite(m *testing.M) (int, error) {
	ctrl.SetLogger(zap.New(zap.WriteTo(os.Stderr), zap.Level(zapcore.ErrorLevel)))
	scheme, err := controllers.Scheme()
	if err != nil {
		return 0, err
	}
	environment := envtest.Environment{
		CRDDirectoryPaths:     []string{filepath.Join("..", "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
	}
	environment.ControlPlane.GetAPIServer().Configure().Set("service-cluster-ip-range", "10.0.0.0/16") // nothing is collected here
	config, err := environment.Start()
	if err != nil {
		return 0, fmt.Errorf("starting the API server: %w", err)
	}
	defer environment.Stop()
	if cluster.client, err = newClient(config); err != nil {
		return 0, fmt.Errorf("making a client: %w", err)
	}
	cluster.config = config
	options := suiteOptions()
	confined, err := confine(config, cluster.client, options)
	if err != nil {
		return 0, fmt.Errorf("confining the operator: %w", err)
	}
	manager, err := ctrl.NewManager(confined, ctrl.Options{
		Scheme: scheme, Cache: controllers.CacheOptions(options), Metrics: metricsserver.Options{BindAddress: "0"},
	})
	if err != nil {
		return 0, fmt.Errorf("making the manager: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cluster.pods = &pods{}
	reconciler := &controllers.Reconciler{
		Client: manager.GetClient(), Live: manager.GetAPIReader(),
		Events: manager.GetEventRecorder("wechatendpoint-operator"), Probe: cluster.pods,
		Options: options,
	}
	if err := reconciler.SetupWithManager(ctx, manager); err != nil {
		return 0, err
	}
	go func() {
		if err := manager.Start(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "manager:", err)
		}
	}()
	return m.Run(), nil
}

// pods answers for the sidecars, which do not run here: every pod says that it serves the generation in its Secret's file,
// which the test sets.
type pods struct {
	mu         sync.Mutex
	generation map[string]string               // by address
	used       map[string]map[int64]config.Use // likewise
	broken     map[string]error                // likewise
	reached    map[string]bool                 // which addresses were called, and whether by HTTPS
	shared     map[string]client.ObjectKey     // whose pods they are: of which gateways
	held       map[string]bool                 // which of these load nothing any more
	loaded     map[string]map[string]config.Status
}

// share lets the pod at the address be a gateway's, which loads whatever its shards hold as long as it is not held.
func (p *pods) share(address string, gateway client.ObjectKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shared == nil {
		p.shared, p.held, p.loaded = map[string]client.ObjectKey{}, map[string]bool{}, map[string]map[string]config.Status{}
	}
	p.shared[address] = gateway
}

func (p *pods) hold(address string, held bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held[address] = held
}

// AskShared implements controllers.Prober.
func (p *pods) AskShared(ctx context.Context, addresses []string) []probe.Process {
	p.mu.Lock()
	defer p.mu.Unlock()
	processes := make([]probe.Process, len(addresses))
	for i, address := range addresses {
		if !p.held[address] {
			p.loaded[address], processes[i].Err = shardsOf(ctx, p.shared[address])
		}
		processes[i].Status = config.ProcessStatus{Version: config.Understood, Ready: true, Entries: p.loaded[address]}
	}
	return processes
}

// shardsOf reads what a gateway gives its pods.
func shardsOf(ctx context.Context, gateway client.ObjectKey) (map[string]config.Status, error) {
	var secrets corev1.SecretList
	if err := cluster.client.List(ctx, &secrets, client.InNamespace(gateway.Namespace), client.MatchingLabels{v1alpha1.LabelGateway: gateway.Name}); err != nil {
		return nil, err
	}
	loaded := map[string]config.Status{}
	for _, shard := range secrets.Items {
		for key, document := range shard.Data {
			if name, is := strings.CutSuffix(key, config.DocumentSuffix); is {
				parsed, err := config.Parse(document)
				if err != nil {
					return nil, err
				}
				loaded[name] = config.Status{Generation: parsed.Generation, Ready: true, Version: config.Understood}
			}
		}
	}
	return loaded, nil
}

func (p *pods) serve(address, generation string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.generation == nil {
		p.generation = map[string]string{}
	}
	p.generation[address] = generation
}

// use lets a pod say since when WeChat uses a generation of the credentials.
func (p *pods) use(address string, generation int64, since time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.used == nil {
		p.used = map[string]map[int64]config.Use{}
	}
	p.used[address] = map[int64]config.Use{generation: {First: since, Last: since}}
}

// Ask implements controllers.Prober.
func (p *pods) Ask(_ context.Context, addresses []string) []probe.Result {
	p.mu.Lock()
	defer p.mu.Unlock()
	results := make([]probe.Result, len(addresses))
	for i, address := range addresses {
		results[i].Status = config.Status{Generation: p.generation[address], Ready: true, Used: p.used[address]}
	}
	return results
}

// Play implements controllers.Prober: a pod answers as WeChat needs it, unless it was told to be broken.
func (p *pods) Play(_ context.Context, addresses []string, _ int, _ probe.Subject) []error {
	p.mu.Lock()
	defer p.mu.Unlock()
	results := make([]error, len(addresses))
	for i, address := range addresses {
		results[i] = p.broken[address]
	}
	return results
}

// Reach implements controllers.Prober, in the same way by the published address.
func (p *pods) Reach(_ context.Context, address string, secure bool, _ probe.Subject) (time.Time, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reached == nil {
		p.reached = map[string]bool{}
	}
	p.reached[address] = secure
	return time.Time{}, p.broken[address]
}

func (p *pods) reachedByHTTPS(address string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reached[address]
}

// breakDown lets a pod answer otherwise; nil mends it.
func (p *pods) breakDown(address string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken == nil {
		p.broken = map[string]error{}
	}
	p.broken[address] = err
}

// newNamespace makes a namespace with the app's Service and the labelled Secret.
func newNamespace(t *testing.T) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	create(t, namespace)
	create(t, appService(namespace.Name))
	create(t, appSlice(namespace.Name))
	create(t, tokenSecret(namespace.Name, "a-fine-token"))
	return namespace.Name
}

// servedBy is an endpoint with one pod at the address, which serves what it is asked to.
func servedBy(t *testing.T, address string) *v1alpha1.WeChatEndpoint {
	t.Helper()
	namespace := newNamespace(t)
	endpoint := newEndpoint(namespace)
	endpoint.Spec.Sidecar.Replicas = new(int32(1))
	create(t, endpoint)
	served, _ := awaitFiles(t, namespace, "a-fine-token")
	cluster.pods.serve(address, served.Generation)
	playPod(t, namespace, address)
	awaitCondition(t, endpoint, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
	return endpoint
}

// onTheNewestAlone is for a test of what the operator decides, or of how much: no version of Kubernetes would judge it otherwise. What the API
// server judges (rules of the CRD, policies, who owns a field) is tried on the oldest too.
func onTheNewestAlone(t *testing.T) {
	t.Helper()
	if os.Getenv("OLDEST_KUBERNETES") != "" {
		t.Skip("tried on the newest Kubernetes alone")
	}
}

// atLength skips what takes long where time is short: `make integration` plays it, and `make test` does not.
func atLength(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes long: make integration")
	}
}

func create(t *testing.T, object client.Object) {
	t.Helper()
	if err := cluster.client.Create(t.Context(), object); err != nil {
		t.Fatalf("creating %T %s: %v", object, object.GetName(), err)
	}
}

// change reads the object, changes it and writes it back, as often as somebody else was faster.
func change[O client.Object](t *testing.T, object O, edit func(O)) {
	t.Helper()
	var err error
	eventually(t, func() string {
		if err = cluster.client.Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
			return err.Error()
		}
		edit(object)
		if err = cluster.client.Update(t.Context(), object); err != nil {
			return err.Error()
		}
		return ""
	})
}

// eventually waits until ask returns "", which otherwise says what is missing.
func eventually(t *testing.T, ask func() string) {
	t.Helper()
	missing := ""
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if missing = ask(); missing == "" {
			return
		}
	}
	t.Fatalf("after %v: %s", patience, missing)
}

// awaitCondition waits for a condition of the endpoint's newest generation and returns it.
func awaitCondition(t *testing.T, endpoint *v1alpha1.WeChatEndpoint, name string, status metav1.ConditionStatus, reason string) metav1.Condition {
	t.Helper()
	var condition *metav1.Condition
	eventually(t, func() string {
		if err := cluster.client.Get(t.Context(), client.ObjectKeyFromObject(endpoint), endpoint); err != nil {
			return err.Error()
		}
		condition = apimeta.FindStatusCondition(endpoint.Status.Conditions, name)
		if condition == nil || condition.Status != status || condition.Reason != reason || condition.ObservedGeneration != endpoint.Generation {
			return fmt.Sprintf("%s is not %s/%s but %+v", name, status, reason, condition)
		}
		return ""
	})
	return *condition
}
