// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/diagnose"
	"github.com/wechatendpoint/wechatendpoint/test/demo/manifests"
	"github.com/wechatendpoint/wechatendpoint/test/story"
)

// changeToken changes the Secret and waits until the new token is served: by the same pods, and the old one no more.
func (d *demo) changeToken(ctx context.Context) (string, error) {
	before, err := d.sidecarPods(ctx)
	if err != nil {
		return "", err
	}
	if err := d.apply(ctx, manifests.Secret(manifests.SecondToken)); err != nil {
		return "", err
	}
	old := d.shop
	changedAt := time.Now()
	d.shop.Token = manifests.SecondToken
	if err := story.Until(ctx, func(ctx context.Context) error {
		if refusal := diagnose.URLCheck(d.shop.URLCheck(ctx)); refusal != nil {
			return errors.New(refusal.String())
		}
		return nil
	}); err != nil {
		return "", err
	}
	took := time.Since(changedAt).Round(100 * time.Millisecond)
	d.Show("A message that is signed with the old token, as one that was under way:")
	if _, err := old.Message(ctx); err != nil {
		return "", err
	}
	d.Show("A message that is signed with the new one:")
	if _, err := d.shop.Message(ctx); err != nil {
		return "", err
	}
	if err := d.revoke(ctx, &old); err != nil {
		return "", err
	}
	after, err := d.sidecarPods(ctx)
	if err == nil && after != before {
		err = fmt.Errorf("the pods were %s and are %s", before, after)
	}
	return fmt.Sprintf("served within %v, by the same process as before (%s)", took, after), err
}

// revoke refuses the earlier token at once, as after a leak.
func (d *demo) revoke(ctx context.Context, old *story.Account) error {
	d.Show("The old token leaked, and is revoked:")
	generation, err := d.kubectlShow(ctx, "get", "wxe", old.Name(), "-o", "jsonpath={.status.credentials.generation}")
	if err != nil {
		return err
	}
	patch := fmt.Sprintf(`{"spec":{"credentials":{"revokeBefore":%s}}}`, strings.TrimSpace(generation))
	if _, err := d.kubectlShow(ctx, "patch", "wxe", old.Name(), "--type", "merge", "-p", patch); err != nil {
		return err
	}
	if err := story.Until(ctx, func(ctx context.Context) error {
		answer, err := old.URLCheck(ctx)
		if err == nil && answer.Status != http.StatusForbidden {
			err = fmt.Errorf("the old token is answered with %d", answer.Status)
		}
		return err
	}); err != nil {
		return err
	}
	d.Show("A message that is signed with it:")
	message, err := old.NewText(story.OpenID, "signed with what leaked")
	if err != nil {
		return err
	}
	return old.Refused(ctx, message, wechat.ReasonBadSignature)
}

// sidecarPods names the pods of the first account, with how often each was restarted.
func (d *demo) sidecarPods(ctx context.Context) (string, error) {
	return d.podsWith(ctx, v1alpha1.LabelEndpoint+"="+d.shop.Name())
}

// podsWith names the pods with a label, with how often each was restarted.
func (d *demo) podsWith(ctx context.Context, label string) (string, error) {
	return d.kubectlRun(ctx, "get", "pods", "-l", label,
		"-o", `jsonpath={range .items[*]}{.metadata.name}{", restarts: "}{.status.containerStatuses[0].restartCount}{end}`)
}
