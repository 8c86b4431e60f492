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
	if used, stranger := u.all(); cmp.Diff(want, used) != "" || *stranger != (config.WrongReceiver{ID: "wx9", Last: noon.Add(time.Hour)}) {
		t.Errorf("the wrong receiver is %v, the uses are (-want +got):\n%s", stranger, cmp.Diff(want, used))
	}
	u.keep([]config.Pair{{Generation: 3}, {Generation: 2}})
	delete(want, 1)
	if used, stranger := u.all(); cmp.Diff(want, used) != "" || stranger != nil {
		t.Errorf("after a rotation, the wrong receiver is %v, the uses are (-want +got):\n%s", stranger, cmp.Diff(want, used))
	}
}
