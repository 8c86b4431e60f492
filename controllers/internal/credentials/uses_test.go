// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

func TestWhenToLookAgainAtARotation(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) *metav1.Time { return &metav1.Time{Time: now.Add(d)} }
	type pairs = []v1alpha1.AcceptedCredentials
	for name, test := range map[string]struct {
		accepted pairs
		want     verdict.Again
	}{
		"one pair never turns":                              {pairs{{Generation: 1, FirstUsed: at(0)}}, verdict.Never},
		"a rotation that nobody uses is looked at again":    {pairs{{Generation: 2}, {Generation: 1}}, verdict.In(verdict.Unwatched)},
		"so is one of which only the older pair is used":    {pairs{{Generation: 2}, {Generation: 1, FirstUsed: at(-time.Hour)}}, verdict.In(verdict.Unwatched)},
		"a use gives an end at once":                        {pairs{{Generation: 2, FirstUsed: at(0)}, {Generation: 1}}, verdict.Now()},
		"also that of a pair in the middle":                 {pairs{{Generation: 3}, {Generation: 2, FirstUsed: at(0)}, {Generation: 1}}, verdict.Now()},
		"an end is awaited, and a second more":              {pairs{{Generation: 2, FirstUsed: at(0)}, {Generation: 1, Until: at(time.Hour)}}, verdict.In(time.Hour + time.Second)},
		"a past one is not awaited":                         {pairs{{Generation: 2, FirstUsed: at(0)}, {Generation: 1, Until: at(-time.Hour)}}, verdict.In(time.Second)},
		"the sooner of two, where one waits for a use":      {pairs{{Generation: 3}, {Generation: 2, FirstUsed: at(0)}, {Generation: 1, Until: at(time.Hour)}}, verdict.In(verdict.Unwatched)},
		"the sooner of two, where one ends within a moment": {pairs{{Generation: 3}, {Generation: 2, FirstUsed: at(0)}, {Generation: 1, Until: at(time.Second)}}, verdict.In(2 * time.Second)},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Again(test.accepted, now); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestAPodsWordIsBounded(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	at := func(text string) time.Time {
		parsed, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	for name, test := range map[string]struct{ first, last, wantFirst, wantLast string }{
		"what a sidecar says":            {"2026-11-20T11:59:58.7Z", "2026-11-20T11:59:59Z", "2026-11-20T11:59:58Z", "2026-11-20T11:59:58Z"},
		"a last in a later hour":         {"2026-11-20T10:59:58.7Z", "2026-11-20T11:59:59Z", "2026-11-20T10:59:58Z", "2026-11-20T11:00:00Z"},
		"a clock that is ahead":          {"2026-11-20T13:30:00Z", "2026-11-20T14:30:00Z", "2026-11-20T12:00:00Z", "2026-11-20T12:00:00Z"},
		"the end of all years":           {"9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59-23:59", "", ""},
		"the beginning":                  {"0000-01-01T00:00:00+23:59", "2026-11-20T11:00:00Z", "", ""},
		"no time at all":                 {"0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "", ""},
		"a last that no status can hold": {"2026-11-20T11:00:00Z", "9999-12-31T23:59:59-23:59", "", ""},
		"the last year that it can hold": {"8999-12-31T23:59:59Z", "8999-12-31T23:59:59Z", "2026-11-20T12:00:00Z", "2026-11-20T12:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			accepted := []v1alpha1.AcceptedCredentials{{Generation: 2}}
			NoteUses(accepted, map[int64]config.Use{2: {First: at(test.first), Last: at(test.last)}, 1: {First: now, Last: now}, -1: {}}, now)
			told := func(at *metav1.Time) string {
				if at == nil {
					return ""
				}
				return at.UTC().Format(time.RFC3339)
			}
			if len(accepted) != 1 || told(accepted[0].FirstUsed) != test.wantFirst || told(accepted[0].LastUsed) != test.wantLast {
				t.Errorf("the status says %s and %s, want %q and %q", told(accepted[0].FirstUsed), told(accepted[0].LastUsed), test.wantFirst, test.wantLast)
			}
		})
	}
}

// TestWhatTheUserDoesNext: as long as one pod does not know the new values, pressing Save would lose messages.
func TestWhatTheUserDoesNext(t *testing.T) {
	at := &metav1.Time{Time: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)}
	type pairs = []v1alpha1.AcceptedCredentials
	for name, test := range map[string]struct {
		accepted pairs
		serve    bool
		reason   string
		message  string // the end of it
	}{
		"nothing, with one pair":             {pairs{{Generation: 1}}, false, v1alpha1.ReasonCredentialsResolved, "holds well-formed values"},
		"wait, until every pod serves them":  {pairs{{Generation: 2}, {Generation: 1}}, false, v1alpha1.ReasonRotationStarting, "wait, and do not press Save (提交) in the console before"},
		"press Save":                         {pairs{{Generation: 2}, {Generation: 1}}, true, v1alpha1.ReasonRotationPending, "press Save (提交) now"},
		"nothing more, WeChat uses them":     {pairs{{Generation: 2, FirstUsed: at}, {Generation: 1}}, true, v1alpha1.ReasonRotationEnding, "the earlier ones are about to end"},
		"nothing more, and the end is known": {pairs{{Generation: 2, FirstUsed: at}, {Generation: 1, Until: at}}, false, v1alpha1.ReasonRotationEnding, "accepted until 2026-11-20T12:00:00Z"},
	} {
		if got := Words("wechat", v1alpha1.CredentialsStatus{Accepted: test.accepted}, test.serve); got.Reason != test.reason || !strings.HasSuffix(got.Message, test.message) {
			t.Errorf("%s: said is %+v", name, got)
		}
	}
}

// TestSinceWhenNewerValuesWait for the console: from when they stand beside earlier ones, until WeChat uses them.
func TestSinceWhenNewerValuesWait(t *testing.T) {
	at := func(hour int) *metav1.Time {
		return &metav1.Time{Time: time.Date(2026, 11, 20, hour, 0, 0, 0, time.UTC)}
	}
	type pairs = []v1alpha1.AcceptedCredentials
	for name, test := range map[string]struct {
		before pairs
		now    []int64 // the generations that are accepted
		want   *metav1.Time
	}{
		"the first values wait for nothing":         {nil, []int64{1}, nil},
		"newer ones wait since now":                 {pairs{{Generation: 1, FirstUsed: at(9)}}, []int64{2, 1}, at(12)},
		"and go on waiting":                         {pairs{{Generation: 2, Since: at(10)}, {Generation: 1}}, []int64{2, 1}, at(10)},
		"of an older operator's, since now":         {pairs{{Generation: 2}, {Generation: 1}}, []int64{2, 1}, at(12)},
		"others in their place wait anew":           {pairs{{Generation: 2, Since: at(10)}, {Generation: 1}}, []int64{3, 2, 1}, at(12)},
		"what WeChat uses does not wait":            {pairs{{Generation: 2, Since: at(10), FirstUsed: at(11)}, {Generation: 1}}, []int64{2, 1}, nil},
		"nor do values whose earlier ones are gone": {pairs{{Generation: 2, Since: at(10)}, {Generation: 1}}, []int64{2}, nil},
	} {
		var accepted []config.Pair
		for _, generation := range test.now {
			accepted = append(accepted, config.Pair{Generation: generation})
		}
		got := PendingSince(Show(v1alpha1.CredentialsStatus{Accepted: test.before}, accepted, at(12).Add(time.Millisecond)))
		if !got.Equal(test.want) {
			t.Errorf("%s: since %v, want %v", name, got, test.want)
		}
	}
}

// TestWhatIsLost: earlier values that were accepted, that WeChat may still use, and that are not in what the pods are given.
func TestWhatIsLost(t *testing.T) {
	at := func(hour int) *metav1.Time {
		return &metav1.Time{Time: time.Date(2026, 11, 20, hour, 0, 0, 0, time.UTC)}
	}
	now := at(12).Time
	type pairs = []v1alpha1.AcceptedCredentials
	live := func(generations ...int64) (all []config.Pair) {
		for _, generation := range generations {
			all = append(all, config.Pair{Generation: generation})
		}
		return all
	}
	for name, test := range map[string]struct {
		before, after pairs
		known         []int64
		live          []config.Pair
		revokeBefore  int64
		want          []int64
	}{
		"nothing, where nothing changed":             {pairs{{Generation: 2}, {Generation: 1}}, pairs{{Generation: 2}, {Generation: 1}}, nil, live(2, 1), 0, nil},
		"the earlier ones, where nothing is there":   {pairs{{Generation: 2}, {Generation: 1}}, pairs{{Generation: 3}}, nil, nil, 0, []int64{1}},
		"one of two, where one was taken out":        {pairs{{Generation: 3}, {Generation: 2}, {Generation: 1}}, pairs{{Generation: 3}, {Generation: 2}}, nil, live(3, 2), 0, []int64{1}},
		"nothing that was revoked":                   {pairs{{Generation: 2}, {Generation: 1}}, pairs{{Generation: 3}}, nil, nil, 2, nil},
		"nothing that has ended":                     {pairs{{Generation: 2}, {Generation: 1, Until: at(11)}}, pairs{{Generation: 3}}, nil, nil, 0, nil},
		"what was about to end":                      {pairs{{Generation: 2}, {Generation: 1, Until: at(13)}}, pairs{{Generation: 3}}, nil, nil, 0, []int64{1}},
		"nothing, once WeChat uses the newest":       {pairs{{Generation: 2}, {Generation: 1}}, pairs{{Generation: 3, FirstUsed: at(12)}}, []int64{1}, nil, 0, nil},
		"still, as long as it does not":              {pairs{{Generation: 3}}, pairs{{Generation: 3}}, []int64{1}, live(3), 0, []int64{1}},
		"nothing of an endpoint with one generation": {pairs{{Generation: 1}}, pairs{{Generation: 2}}, nil, nil, 0, nil},
		"what was dropped because it was too many":   {pairs{{Generation: 2}, {Generation: 1}}, pairs{{Generation: 2}}, nil, live(2, 1), 0, nil},
	} {
		got := Lost(v1alpha1.CredentialsStatus{Accepted: test.before, Lost: test.known}, v1alpha1.CredentialsStatus{Accepted: test.after}, test.live, test.revokeBefore, now)
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: lost are %v, want %v", name, got, test.want)
		}
	}
	if words := Words("wechat", v1alpha1.CredentialsStatus{Accepted: pairs{{Generation: 3}}, Lost: []int64{1}}, true); words.Reason != v1alpha1.ReasonCredentialsLost || words.IsTrue() {
		t.Errorf("said is %+v", words)
	}
}
