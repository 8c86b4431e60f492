// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

func TestUses(t *testing.T) {
	noon := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	var u uses
	u.note(1, noon)
	u.note(1, noon.Add(time.Hour))
	u.note(2, noon.Add(2*time.Hour))
	u.note(0, noon.Add(3*time.Hour)) // it may have been either
	want := map[int64]config.Use{1: {First: noon, Last: noon.Add(time.Hour)}, 2: {First: noon.Add(2 * time.Hour), Last: noon.Add(2 * time.Hour)}}
	u.noteStranger("", noon)
	u.noteStranger("wx8", noon)
	u.noteStranger("wx9", noon.Add(time.Hour))
	u.noteUnreached("late", noon)
	told := func() (status config.Status) { u.tell(&status); return status }
	if diff := cmp.Diff(config.Status{
		Used: want, WrongReceiver: &config.WrongReceiver{ID: "wx9", Last: noon.Add(time.Hour)}, Unreached: &config.Unreached{Cause: "late", Last: noon},
	}, told()); diff != "" {
		t.Errorf("what is told (-want +got):\n%s", diff)
	}
	if u.noteReached(); told().Unreached != nil {
		t.Errorf("the app was reached since: %+v", told().Unreached)
	}
	u.noteUnreached("late", noon)
	u.keep([]config.Pair{{Generation: 3}, {Generation: 2}})
	delete(want, 1)
	if diff := cmp.Diff(config.Status{Used: want}, told()); diff != "" {
		t.Errorf("after a rotation (-want +got):\n%s", diff)
	}
}
