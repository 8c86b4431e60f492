// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// relist is how often a kubelet looks at what runs. After it has seen to a pod, it sees to it again only when it has looked since.
const relist = time.Second

// memory is a file system in memory, as kubelets have it for volumes with Secrets, or "" for the usual one.
func memory() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return ""
}

// kubelets run the pods that are made: each is a real sidecar, on an address of its own, that reads a real folder. When a pod's annotation
// changes, its folder is written anew from the Secrets of the pod's volume.
type kubelets struct {
	client.Client // cached
	sidecar       string
	folder        string
	began         time.Time
	mu            sync.Mutex
	pods          map[client.ObjectKey]*runningPod
}

// runningPod is a pod and its process. Who writes its volume holds it locked.
type runningPod struct {
	*running
	address string
	mu      sync.Mutex
	volume  volume
	woken   string    // by this value of the annotation
	seen    time.Time // by its kubelet
}

func (b *bench) newKubelets() (*kubelets, error) {
	folder, err := os.MkdirTemp(memory(), "bench-kubelets-")
	return &kubelets{sidecar: b.settings.sidecar, folder: folder, began: time.Now(), pods: map[client.ObjectKey]*runningPod{}}, err
}

// watch begins to watch the pods, whose ports must be free.
func (k *kubelets) watch(ctx context.Context, manager ctrl.Manager) error {
	for _, port := range []string{"8080", "8081"} {
		listener, err := listen(ctx, port)
		if err != nil {
			return err
		}
		_ = listener.Close()
	}
	k.Client = manager.GetClient()
	return ctrl.NewControllerManagedBy(manager).For(&corev1.Pod{}).WithOptions(controller.Options{MaxConcurrentReconciles: 8}).Complete(k)
}

// Reconcile sees to a pod whose annotation has changed.
func (k *kubelets) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	k.mu.Lock()
	pod := k.pods[request.NamespacedName]
	k.mu.Unlock()
	var live corev1.Pod
	if err := k.Get(ctx, request.NamespacedName, &live); err != nil || pod == nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	pod.mu.Lock()
	defer pod.mu.Unlock()
	woken := live.Annotations[v1alpha1.AnnotationGeneration]
	if woken == pod.woken {
		return ctrl.Result{}, nil
	}
	if wait := time.Until(k.nextRelist(pod.seen)); wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, nil
	}
	pod.woken = woken
	defer func() { pod.seen = time.Now() }()
	return ctrl.Result{}, k.project(ctx, &live, &pod.volume)
}

// nextRelist is when kubelets look at what runs after then.
func (k *kubelets) nextRelist(then time.Time) time.Time {
	return k.began.Add(then.Sub(k.began).Truncate(relist) + relist)
}

// run starts a pod, and waits until it is ready.
func (k *kubelets) run(ctx context.Context, pod *corev1.Pod, address string) error {
	name := pod.Namespace + "." + pod.Name
	started := &runningPod{address: address, volume: volume{dir: filepath.Join(k.folder, name)}, seen: time.Now()}
	if err := k.project(ctx, pod, &started.volume); err != nil {
		return err
	}
	limit := pod.Spec.Containers[0].Resources.Limits.Memory().Value()
	process, err := startSidecar(ctx, k.sidecar, started.volume.dir, address, limit, filepath.Join(k.folder, name+".log"))
	if err != nil {
		return err
	}
	started.running = process
	k.mu.Lock()
	k.pods[client.ObjectKeyFromObject(pod)] = started
	k.mu.Unlock()
	return awaitSidecar(ctx, process, address)
}

// project writes what the pod's volume has by what the cache knows now.
func (k *kubelets) project(ctx context.Context, pod *corev1.Pod, into *volume) error {
	files := map[string][]byte{}
	for _, source := range pod.Spec.Volumes[0].Projected.Sources {
		var secret corev1.Secret
		err := k.Get(ctx, client.ObjectKey{Namespace: pod.Namespace, Name: source.Secret.Name}, &secret)
		if apierrors.IsNotFound(err) && source.Secret.Optional != nil && *source.Secret.Optional {
			continue
		}
		if err != nil {
			return err
		}
		maps.Copy(files, secret.Data)
	}
	return into.write(files)
}

// of are the pods of a gateway.
func (k *kubelets) of(namespace string) []*runningPod {
	k.mu.Lock()
	defer k.mu.Unlock()
	var found []*runningPod
	for name, pod := range k.pods {
		if name.Namespace == namespace {
			found = append(found, pod)
		}
	}
	return found
}

// stop ends every pod.
func (k *kubelets) stop() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	var failed error
	for _, pod := range k.pods {
		failed = errors.Join(failed, pod.stop())
	}
	return errors.Join(failed, os.RemoveAll(k.folder))
}

// peak is the most resident memory of any of the pods. MiB.
func (k *kubelets) peak() (float64, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var most float64
	for name, pod := range k.pods {
		one, err := pod.peak()
		if err != nil {
			return 0, fmt.Errorf("pod %s: %w", name, err)
		}
		most = max(most, one)
	}
	return most, nil
}

// startSidecar starts a sidecar that listens on the ports that pods have.
func startSidecar(ctx context.Context, binary, folder, address string, memory int64, log string) (*running, error) {
	return begin(exec.CommandContext(context.WithoutCancel(ctx), binary, "--config-dir="+folder, "--memory="+strconv.FormatInt(memory, 10),
		"--listen="+net.JoinHostPort(address, "8080"), "--ops-listen="+net.JoinHostPort(address, "8081"), "--drain-delay=0", "--grace=1s"), log)
}

// awaitSidecar waits until a sidecar says that it is ready.
func awaitSidecar(ctx context.Context, process *running, address string) error {
	return await(ctx, "the sidecar at "+address, func() (bool, error) {
		response, err := ask(ctx, address, "/readyz")
		if err != nil {
			return false, process.alive() // it does not listen yet
		}
		defer response.Body.Close()
		return response.StatusCode == http.StatusOK, nil
	})
}

// ask asks a sidecar on its second port.
func ask(ctx context.Context, address, path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(address, "8081")+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	return asking.Do(request)
}

// asking keeps a few connections to each sidecar, which lets in some.
var asking = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{MaxConnsPerHost: 4, MaxIdleConnsPerHost: 4}}

// volume is a projected volume as a kubelet makes it: each file is a link into another folder, and one rename swaps them all.
type volume struct {
	dir     string
	version int
	files   map[string][]byte
}

// write gives the volume these files, and no others.
func (v *volume) write(files map[string][]byte) error {
	if v.version > 0 && maps.EqualFunc(v.files, files, slices.Equal) {
		return nil
	}
	before := filepath.Join(v.dir, v.data())
	v.version++
	now := filepath.Join(v.dir, v.data())
	if err := os.MkdirAll(now, 0o700); err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(now, name), content, 0o600); err != nil {
			return err
		}
	}
	next := filepath.Join(v.dir, "..data_tmp")
	if err := os.Symlink(v.data(), next); err != nil {
		return err
	}
	if err := os.Rename(next, filepath.Join(v.dir, "..data")); err != nil {
		return err
	}
	for name := range files {
		if _, there := v.files[name]; !there {
			if err := os.Symlink(filepath.Join("..data", name), filepath.Join(v.dir, name)); err != nil {
				return err
			}
		}
	}
	for name := range v.files {
		if _, there := files[name]; !there {
			if err := os.Remove(filepath.Join(v.dir, name)); err != nil {
				return err
			}
		}
	}
	v.files = files
	if v.version == 1 {
		return nil
	}
	return os.RemoveAll(before)
}

func (v *volume) data() string { return fmt.Sprintf("..version_%d", v.version) }
