// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wechatendpoint/wechatendpoint/api/decode"
	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// lastUsedPrecision is how exact lastUsed is in the status: a settled endpoint is not written anew for every message.
const lastUsedPrecision = time.Hour

// NoteUses adds what a pod says about the use of the accepted generations. A status holds whole seconds. A pod may say anything:
// a time in the future counts as now, and one that no status can hold is ignored.
func NoteUses(accepted []v1alpha1.AcceptedCredentials, uses map[int64]config.Use, now time.Time) {
	for i := range accepted {
		use, used := uses[accepted[i].Generation]
		if !used || !decode.Writable(use.First) || !decode.Writable(use.Last) {
			continue
		}
		use.First, use.Last = earlier(use.First, now), earlier(use.Last, now)
		if first := use.First.Truncate(time.Second); accepted[i].FirstUsed == nil || first.Before(accepted[i].FirstUsed.Time) {
			accepted[i].FirstUsed = &metav1.Time{Time: first}
		}
		last := later(use.Last.Truncate(lastUsedPrecision), accepted[i].FirstUsed.Time)
		if accepted[i].LastUsed == nil || last.After(accepted[i].LastUsed.Time) {
			accepted[i].LastUsed = &metav1.Time{Time: last}
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// Again says when to look again at a rotation, which no watch tells of: for a use while older values wait for the console, at once
// when their end has become known, and at that end.
func Again(accepted []v1alpha1.AcceptedCredentials, now time.Time) verdict.Again {
	again := verdict.Never
	newerUsed := false
	for i, a := range accepted {
		switch {
		case i == 0:
		case a.Until != nil:
			again = verdict.Soonest(again, verdict.In(max(a.Until.Sub(now), 0)+time.Second))
		case newerUsed:
			return verdict.Now()
		default:
			again = verdict.Soonest(again, verdict.In(verdict.Unwatched))
		}
		newerUsed = newerUsed || a.FirstUsed != nil
	}
	return again
}
