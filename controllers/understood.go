// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/refs"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// checkUnderstood refuses a spec that asks for something which the pods' image does not know. They would go on with their last
// files, but none could start anew. What the live files say already, they do know.
func (r *Reconciler) checkUnderstood(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint, input render.Input, live served) error {
	version := render.Version(input)
	if live.version == 0 || version <= live.version {
		return nil
	}
	pods, err := r.listPods(ctx, endpoint)
	if err != nil {
		return err
	}
	ready := readyPods(pods)
	understood := map[string]int{}
	for i, answer := range r.Probe.Ask(ctx, addressesOf(ready)) {
		if answer.Err == nil {
			understood[ready[i].Name] = max(answer.Status.Version, config.VersionFirst)
		}
	}
	for i := range pods {
		name := pods[i].Name
		if pods[i].DeletionTimestamp.IsZero() && understood[name] < version {
			return refs.Waitf(v1alpha1.ReasonSidecarOutdated,
				"what this spec asks for takes a sidecar that reads version %d of its configuration, and pod %s does not say that it does: what was served before is served on. Wait until the endpoint has got the installation's image (SidecarCurrent), or choose a newer sidecar.imageVersion",
				version, name)
		}
	}
	return nil
}
