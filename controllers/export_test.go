// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"reflect"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/controllers/internal/kept"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/probe"
)

// Unshared are pods of endpoints alone: nobody asks them for many entries.
type Unshared struct{}

// AskShared implements Prober.
func (Unshared) AskShared(_ context.Context, addresses []string) []probe.Process {
	return make([]probe.Process, len(addresses))
}

// KeepIn leaves of an object what the cache keeps of it, for clients that play the cache.
func KeepIn(object client.Object) {
	reflect.ValueOf(object).Elem().Set(reflect.ValueOf(kept.Keep(object)).Elem())
}
