// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package kept

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/children"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/installation"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
)

// CacheOptions keep the cache small: of the children's kinds only what is labelled as such, of Secrets only the labelled ones, and of all
// objects only what is read. Of endpoints they know which gateway serves them by default. The Services that endpoints name, and the routes that lead to them, have no label of ours: all of
// them are in the cache. The installation's namespaces limit it to these; without any it is for the whole cluster.
func CacheOptions(options installation.Options) cache.Options {
	keep := func(object client.Object) client.Object {
		kept := Keep(object)
		if endpoint, is := kept.(*v1alpha1.WeChatEndpoint); is {
			options.Place(endpoint)
		}
		return kept
	}
	ours := cache.ByObject{Label: labels.SelectorFromSet(labels.Set{render.LabelManagedBy: render.ManagedBy})}
	labelled, err := labels.Parse(v1alpha1.LabelCredentials)
	if err != nil {
		panic(err) // a constant
	}
	objects := map[client.Object]cache.ByObject{&corev1.Pod{}: ours, &appsv1.ReplicaSet{}: ours}
	for _, kind := range children.Kinds {
		switch {
		case kind.Whole:
		case kind.Name == children.Secret:
			objects[kind.Empty()] = cache.ByObject{Label: labelled}
		default:
			objects[kind.Empty()] = ours
		}
	}
	return cache.Options{DefaultNamespaces: cachedNamespaces(options.Namespaces), ByObject: objects, DefaultTransform: transform(keep), NewInformer: newInformers(keep)}
}

// pageSize is how many objects are read at a time: each may have 1.5 MiB, and for a moment there are several copies of it.
const pageSize = 16

// newInformers makes informers that read a list page by page, one page of all kinds at a time, and keep of each object what is kept before they
// read the next page. Otherwise a list is read as a whole: 220 Secrets of 1 MiB would be more than the operator has. An API server of
// Kubernetes 1.34 and later streams the objects one by one instead.
func newInformers(keep func(client.Object) client.Object) func(toolscache.ListerWatcher, runtime.Object, time.Duration, toolscache.Indexers) toolscache.SharedIndexInformer {
	reading := make(chan struct{}, 1)
	return func(source toolscache.ListerWatcher, object runtime.Object, resync time.Duration, indexers toolscache.Indexers) toolscache.SharedIndexInformer {
		whole := toolscache.ToListerWatcherWithContext(source)
		return toolscache.NewSharedIndexInformer(&toolscache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, _ metav1.ListOptions) (runtime.Object, error) {
				return listKept(ctx, whole, reading, keep)
			},
			WatchFuncWithContext: whole.WatchWithContext,
		}, object, resync, indexers)
	}
}

// listKept lists what is there now, and returns what is kept of it.
func listKept(ctx context.Context, source toolscache.ListerWithContext, reading chan struct{}, keep func(client.Object) client.Object) (runtime.Object, error) {
	kept := &internalversion.List{}
	options := metav1.ListOptions{Limit: pageSize}
	for {
		page, err := keptPage(ctx, source, options, reading, keep, kept)
		if err != nil {
			return nil, err
		}
		if kept.ResourceVersion, options.Continue = page.GetResourceVersion(), page.GetContinue(); options.Continue == "" {
			return kept, nil
		}
	}
}

func keptPage(ctx context.Context, source toolscache.ListerWithContext, options metav1.ListOptions, reading chan struct{}, keep func(client.Object) client.Object, kept *internalversion.List) (metav1.ListInterface, error) {
	select {
	case reading <- struct{}{}:
		defer func() { <-reading }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	list, err := source.ListWithContext(ctx, options)
	if err != nil {
		return nil, err // the informer's reflector judges it
	}
	page, err := apimeta.ListAccessor(list)
	if err != nil {
		return nil, fmt.Errorf("reading a page: %w", err)
	}
	return page, apimeta.EachListItem(list, func(item runtime.Object) error {
		if object, ok := item.(client.Object); ok {
			item = keep(object)
		}
		kept.Items = append(kept.Items, item)
		return nil
	})
}

// cachedNamespaces are those for the cache; nil is every one.
func cachedNamespaces(namespaces []string) map[string]cache.Config {
	if len(namespaces) == 0 {
		return nil
	}
	configs := make(map[string]cache.Config, len(namespaces))
	for _, namespace := range namespaces {
		configs[namespace] = cache.Config{}
	}
	return configs
}
