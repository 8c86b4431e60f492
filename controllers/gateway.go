// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/wechatendpoint/wechatendpoint/controllers/internal/plan"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/pods"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/rollout"
)

// ReconcileGateway brings one gateway nearer to what its spec asks for, and its endpoints' entries to its pods: look, decide, do, judge, store.
func (r *Reconciler) ReconcileGateway(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	seen, err := r.world().LookGateway(ctx, request.NamespacedName, time.Now())
	if seen == nil {
		r.state.Forget(rollout.Key{Kind: render.KindGateway, NamespacedName: request.NamespacedName})
		return ctrl.Result{}, err
	}
	hands := r.hands()
	if err != nil {
		return ctrl.Result{}, errors.Join(err, hands.StoreGateway(ctx, seen.Gateway, plan.UnjudgedGateway(seen).Status))
	}
	decided := plan.DecideGateway(&r.Options, seen)
	if !seen.Gateway.DeletionTimestamp.IsZero() && len(seen.Endpoints) == 0 {
		return ctrl.Result{}, hands.LetGo(ctx, seen, &decided)
	}
	done := hands.DoGateway(ctx, seen, &decided)
	if done.Behind > 0 {
		return ctrl.Result{RequeueAfter: done.Behind}, nil
	}
	if apierrors.HasStatusCause(done.Err, corev1.NamespaceTerminatingCause) {
		return ctrl.Result{}, nil // the gateway goes with its namespace
	}
	judgement := decided.After(&r.Options, seen, done)
	trial := judgement.Trial()
	results := make([][]error, len(trial.Subjects))
	for i, subject := range trial.Subjects {
		results[i] = r.Probe.Play(ctx, pods.Addresses(trial.Pods), render.NumberHTTP, subject)
	}
	report := judgement.Judge(results)
	if err := errors.Join(done.Err, done.Late, hands.StoreGateway(ctx, seen.Gateway, report.Status)); err != nil {
		return ctrl.Result{}, err
	}
	return schedule(report.Again), nil
}
