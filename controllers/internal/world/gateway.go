// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package world

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/children"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/kept"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/snapshot"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// IndexGateway is the index of endpoints by the gateways that need their entries.
const IndexGateway = "spec.gateway.name"

// gatewayLook is one look at what a gateway depends on: what was read so far.
type gatewayLook struct {
	*World
	s     *snapshot.Gateway
	fleet render.Fleet
}

// LookGateway reads all that the gateway depends on. With an error, the snapshot has the gateway alone, or is nil.
func (w *World) LookGateway(ctx context.Context, name types.NamespacedName, now time.Time) (*snapshot.Gateway, error) {
	var gateway v1alpha1.WeChatGateway
	if err := w.Get(ctx, name, &gateway); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	bare := snapshot.Gateway{Gateway: &gateway, Fleet: snapshot.Fleet{
		Fleet: render.GatewayFleet(&gateway), Now: now, Paused: gateway.Spec.Paused, Readable: len(gateway.Spec.Unreadable) == 0,
	}}
	whole := bare
	l := &gatewayLook{World: w, s: &whole, fleet: bare.Fleet.Fleet}
	for _, read := range []func(context.Context) error{l.readEndpoints, l.readChildren, l.readSecrets, l.readPods} {
		if err := read(ctx); err != nil {
			return &bare, err
		}
	}
	return l.s, nil
}

// readEndpoints reads the endpoints that need the gateway. They are the cache's own, which are only read.
func (l *gatewayLook) readEndpoints(ctx context.Context) error {
	var all v1alpha1.WeChatEndpointList
	if err := l.List(ctx, &all, client.InNamespace(l.fleet.Namespace), client.MatchingFields{IndexGateway: l.fleet.Owner}, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("listing the endpoints of the gateway: %w", err)
	}
	for i := range all.Items {
		l.s.Endpoints = append(l.s.Endpoints, &all.Items[i])
	}
	slices.SortFunc(l.s.Endpoints, func(a, b *v1alpha1.WeChatEndpoint) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

// readChildren reads the objects that have a child's name, but for Secrets. A gateway publishes nothing.
func (l *gatewayLook) readChildren(ctx context.Context) error {
	for _, kind := range children.Kinds {
		if kind.Route || kind.Name == children.Secret {
			continue
		}
		for _, name := range kind.Names(l.fleet.Name) {
			if err := l.readChild(ctx, kind, name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *gatewayLook) readChild(ctx context.Context, kind children.Kind, name string) error {
	object := kind.Empty()
	err := l.Get(ctx, types.NamespacedName{Namespace: l.fleet.Namespace, Name: name}, object)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("reading %s %s: %w", kind.Name, name, err)
	}
	if err != nil {
		return nil
	}
	child := childOf(l.fleet, kind, kept.Keep(object))
	l.s.Children = append(l.s.Children, child)
	if deployment, is := object.(*appsv1.Deployment); is && child.Owned {
		l.s.Deployment = deployment
	}
	return nil
}

// readSecrets reads the gateway's shards, and the documents of its endpoints. What a shard has of an endpoint whose own Secret is gone, or
// broken, goes on.
func (l *gatewayLook) readSecrets(ctx context.Context) error {
	var all corev1.SecretList
	if err := l.List(ctx, &all, client.InNamespace(l.fleet.Namespace), client.MatchingLabels{v1alpha1.LabelCredentials: v1alpha1.CredentialsGenerated}, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("listing the Secrets of the gateway's endpoints: %w", err)
	}
	named := map[string]*corev1.Secret{}
	for i := range all.Items {
		named[all.Items[i].Name] = &all.Items[i]
	}
	l.s.Entries = map[string]snapshot.Document{}
	for _, endpoint := range l.s.Endpoints {
		secret := named[render.Name(endpoint)]
		if secret == nil || !children.Owns(render.OwnFleet(endpoint), secret) {
			continue
		}
		if _, leftOut := kept.Note(secret, kept.NoteData); leftOut {
			l.s.Large = append(l.s.Large, endpoint.Name)
		}
		if document, ok := documentOf(endpoint, secret.Data[config.File]); ok {
			l.s.Entries[endpoint.Name] = document
		}
	}
	for number := range render.Shards {
		shard := named[render.ShardName(l.fleet.Owner, number)]
		if shard == nil {
			continue
		}
		child := childOf(l.fleet, children.Named(children.Secret), shard)
		l.s.Children = append(l.s.Children, child)
		if !child.Owned {
			continue
		}
		l.s.Shards[number] = strings.Fields(string(shard.Data[render.ShardList(number)]))
		if err := l.keepMissing(ctx, number); err != nil {
			return err
		}
	}
	return nil
}

// keepMissing reads from a shard what its endpoints do not give any more. The cache does not keep that.
func (l *gatewayLook) keepMissing(ctx context.Context, number int) error {
	var missing []*v1alpha1.WeChatEndpoint
	for _, endpoint := range l.s.Endpoints {
		_, gives := l.s.Entries[endpoint.Name]
		served := endpoint.Status.Credentials.Generation > 0 // else it is made anew, and that was another one's
		if !gives && served && slices.Contains(l.s.Shards[number], endpoint.Name) {
			missing = append(missing, endpoint)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	var shard corev1.Secret
	name := types.NamespacedName{Namespace: l.fleet.Namespace, Name: render.ShardName(l.fleet.Owner, number)}
	if err := l.Live.Get(ctx, name, &shard); err != nil {
		return fmt.Errorf("reading Secret %s: %w", name.Name, err)
	}
	for _, endpoint := range missing {
		if document, ok := documentOf(endpoint, shard.Data[endpoint.Name+config.DocumentSuffix]); ok && children.Owns(l.fleet, &shard) {
			l.s.Entries[endpoint.Name] = document
		}
	}
	return nil
}

// documentOf returns a document, and whether it is the endpoint's: one that names another endpoint would stand in its way.
func documentOf(endpoint *v1alpha1.WeChatEndpoint, text []byte) (snapshot.Document, bool) {
	var head struct{ Endpoint, Generation string }
	if err := json.Unmarshal(text, &head); err != nil || !render.IsGeneration(head.Generation) || head.Endpoint != endpoint.Namespace+"/"+endpoint.Name {
		return snapshot.Document{}, false
	}
	return snapshot.Document{Generation: head.Generation, Text: text}, true
}

// readPods reads the gateway's pods, and asks those that are ready.
func (l *gatewayLook) readPods(ctx context.Context) (err error) {
	if l.s.Pods, err = l.podsOf(ctx, l.fleet, l.s.Deployment); err != nil {
		return err
	}
	ready := readyOf(l.s.Pods)
	for i, process := range l.AskShared(ctx, addressesOf(ready)) {
		ready[i].Answer, ready[i].Entries = process.Whole(), process.Status.Entries
	}
	return nil
}
