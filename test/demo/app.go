// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/wechatendpoint/wechatendpoint/test/story"
)

// appPath leads to the app by way of the API server: nothing else does from outside.
const appPath = "/api/v1/namespaces/" + namespace + "/services/shop-app:8080/proxy"

// seen asks the app.
func (d *demo) seen(ctx context.Context) (story.Diary, error) {
	var got story.Diary
	said, err := d.kubectlRun(ctx, "get", "--raw", appPath+"/seen")
	if err != nil {
		return got, err
	}
	if err := json.Unmarshal([]byte(said), &got); err != nil {
		return got, fmt.Errorf("reading what the app saw: %w", err)
	}
	return got, nil
}

// otherPath asks for a path that the app does serve, inside of the cluster.
func (d *demo) otherPath(ctx context.Context) (string, error) {
	if _, err := d.kubectlShow(ctx, "get", "--raw", appPath+"/healthz"); err != nil {
		return "", err
	}
	d.Show("Inside of the cluster, the app has this path. And from outside:")
	return d.shop.OtherPath(ctx, "/healthz")
}
