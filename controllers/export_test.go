// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"reflect"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/controllers/internal/kept"
)

// KeepIn leaves of an object what the cache keeps of it, for clients that play the cache.
func KeepIn(object client.Object) {
	reflect.ValueOf(object).Elem().Set(reflect.ValueOf(kept.Keep(object)).Elem())
}
