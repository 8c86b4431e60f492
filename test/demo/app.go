// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
)

// diary is what the example app says of the messages that it got.
type diary struct {
	Count    int
	Messages []struct {
		Path, Body string
		Headers    map[string]string
	}
}

// appPath leads to the app by way of the API server: nothing else does from outside.
const appPath = "/api/v1/namespaces/" + namespace + "/services/shop-app:8080/proxy"

// seen asks the app.
func (d *demo) seen(ctx context.Context) (diary, error) {
	var got diary
	said, err := d.kubectlRun(ctx, "get", "--raw", appPath+"/seen")
	if err != nil {
		return got, err
	}
	if err := json.Unmarshal([]byte(said), &got); err != nil {
		return got, fmt.Errorf("reading what the app saw: %w", err)
	}
	return got, nil
}

func (d *demo) sawNothingSince(ctx context.Context, before diary) error {
	now, err := d.seen(ctx)
	switch {
	case err != nil:
		return err
	case now.Count != before.Count:
		return fmt.Errorf("the app saw %d messages, and before that %d", now.Count, before.Count)
	}
	d.show("Messages that the app has seen: %d, as before.", now.Count)
	return nil
}
