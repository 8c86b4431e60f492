// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	managers "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// player does what the controllers of a cluster do: for each Deployment it makes a ReplicaSet and pods. Without kubelets it does also what
// they and the sidecars do, and answers on the pods' addresses.
type player struct {
	client.Client // cached
	bare          client.Client
	kubelets      *kubelets // that run real sidecars
	next          atomic.Uint32
	pods          sync.Map // address → the key of the pod's credentials
	stop          func()
}

// play begins to play. Every pod has an address of 127.0.0.0/8. All of them lead here, unless there are kubelets.
func (b *bench) play(ctx context.Context, with *kubelets) (*player, error) {
	settings := rest.CopyConfig(b.config)
	settings.UserAgent = "bench-player"
	manager, err := ctrl.NewManager(settings, ctrl.Options{
		Scheme: b.client.Scheme(), Metrics: metricsserver.Options{BindAddress: "0"},
		Controller: managers.Controller{SkipNameValidation: new(true)}, // each column plays anew
		Cache: cache.Options{ByObject: map[client.Object]cache.ByObject{
			&corev1.Secret{}:     {Label: selectorOf(ours)},
			&appsv1.Deployment{}: {Label: selectorOf(ours)},
			&corev1.Pod{}:        {Label: selectorOf(ours)},
		}},
	})
	if err != nil {
		return nil, err
	}
	p := &player{Client: manager.GetClient(), bare: b.client, kubelets: with}
	err = ctrl.NewControllerManagedBy(manager).For(&appsv1.Deployment{}).WithOptions(controller.Options{MaxConcurrentReconciles: 8}).Complete(p)
	if err != nil {
		return nil, err
	}
	var servers []*http.Server
	if with == nil {
		servers, err = p.answer(ctx)
	} else {
		err = with.watch(ctx, manager)
	}
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); _ = manager.Start(ctx) }()
	p.stop = func() {
		cancel()
		<-ended
		for _, server := range servers {
			_ = server.Close()
		}
	}
	return p, nil
}

// answer begins to answer on the pods' addresses.
func (p *player) answer(ctx context.Context) (servers []*http.Server, err error) {
	for port, handler := range map[string]http.HandlerFunc{"8080": echo, "8081": p.status} {
		listener, err := listen(ctx, port)
		if err != nil {
			return nil, err
		}
		server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Second}
		servers = append(servers, server)
		go func() { _ = server.Serve(onlyLoopback{listener}) }()
	}
	return servers, nil
}

// listen listens on a port of every address, as one does on which nobody else listens.
func listen(ctx context.Context, port string) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:"+port)
	if err == nil {
		_ = listener.Close()
		listener, err = new(net.ListenConfig).Listen(ctx, "tcp4", "0.0.0.0:"+port)
	}
	if err != nil {
		return nil, fmt.Errorf("listening where the sidecars would: %w", err)
	}
	return listener, nil
}

// onlyLoopback takes no connection from outside of this machine.
type onlyLoopback struct{ net.Listener }

func (l onlyLoopback) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if conn.LocalAddr().(*net.TCPAddr).IP.IsLoopback() {
			return conn, nil
		}
		_ = conn.Close()
	}
}

// Reconcile makes the pods of a Deployment.
func (p *player) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var deployment appsv1.Deployment
	if err := p.Get(ctx, request.NamespacedName, &deployment); err != nil || deployment.Status.ObservedGeneration == deployment.Generation {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	set := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: deployment.Namespace, Name: deployment.Name + "-1", Labels: deployment.Spec.Template.Labels,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(&deployment, appsv1.SchemeGroupVersion.WithKind("Deployment"))},
		},
		Spec: appsv1.ReplicaSetSpec{Selector: deployment.Spec.Selector, Template: deployment.Spec.Template},
	}
	if err := p.bare.Create(ctx, set); err != nil {
		return ctrl.Result{}, client.IgnoreAlreadyExists(err)
	}
	replicas := *deployment.Spec.Replicas
	for n := range replicas {
		if err := p.makePod(ctx, set, n); err != nil {
			return ctrl.Result{}, err
		}
	}
	deployment.Status = appsv1.DeploymentStatus{
		ObservedGeneration: deployment.Generation, Replicas: replicas, UpdatedReplicas: replicas, ReadyReplicas: replicas, AvailableReplicas: replicas,
	}
	return ctrl.Result{}, p.bare.Status().Update(ctx, &deployment)
}

func (p *player) makePod(ctx context.Context, set *appsv1.ReplicaSet, n int32) error {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: set.Namespace, Name: fmt.Sprintf("%s-%d", set.Name, n), Labels: set.Spec.Template.Labels,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))},
		},
		Spec: set.Spec.Template.Spec,
	}
	pod.Spec.ServiceAccountName = "" // none is made here
	number := p.next.Add(1)
	address := net.IPv4(127, 1+byte(number>>16), byte(number>>8), byte(number)).String()
	p.pods.Store(address, client.ObjectKey{Namespace: set.Namespace, Name: set.Spec.Template.Spec.ServiceAccountName})
	if err := p.bare.Create(ctx, pod); err != nil {
		return err
	}
	if p.kubelets != nil {
		if err := p.kubelets.run(ctx, pod, address); err != nil {
			return err
		}
	}
	pod.Status = corev1.PodStatus{
		PodIP: address, PodIPs: []corev1.PodIP{{IP: address}}, Phase: corev1.PodRunning,
		Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
	}
	return p.bare.Status().Update(ctx, pod)
}

// status says that the pod serves what is in its credentials by now.
func (p *player) status(w http.ResponseWriter, r *http.Request) {
	address, _, _ := net.SplitHostPort(r.Context().Value(http.LocalAddrContextKey).(net.Addr).String())
	key, known := p.pods.Load(address)
	var secret corev1.Secret
	if !known || p.Get(r.Context(), key.(client.ObjectKey), &secret) != nil {
		http.NotFound(w, r)
		return
	}
	generation, err := config.ReadGeneration(secret.Data[config.File])
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = fmt.Fprintf(w, `{"generation":%q,"ready":true}`, generation)
}

// echo answers a URL check. Whether it is signed is the sidecar's business, and no part of this measurement.
func echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	_, _ = io.WriteString(w, r.URL.Query().Get("echostr"))
}
