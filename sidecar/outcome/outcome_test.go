// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// TestEveryReportIsReadAsItWasWritten, and says what to do where something is to be done.
func TestEveryReportIsReadAsItWasWritten(t *testing.T) {
	causes := slices.Collect(maps.Keys(ofCall))
	causes = slices.AppendSeq(causes, maps.Keys(ofAnswer))
	for _, fault := range wechat.ReplyFaults {
		causes = append(causes, Cause(fault))
	}
	reports := []Report{
		{Outcome: Answered, Took: 12 * time.Millisecond}, {Outcome: URLCheck}, {Outcome: Probe}, {Outcome: Discarded},
		{Outcome: Acknowledged, Took: 6 * time.Second}, {Outcome: TimedOut}, {Outcome: Overloaded},
	}
	for _, cause := range causes {
		reports = append(reports, Report{Outcome: BadReply, Failure: Failure{Cause: cause, Number: 404}}, Report{Outcome: Unavailable, Failure: Failure{Cause: cause}, Took: time.Second})
	}
	for _, report := range reports {
		if got, ok := Parse(report.String()); !ok || got != report {
			t.Errorf("%q is read as %+v, %v", report, got, ok)
		}
		good := slices.Contains([]Outcome{Answered, URLCheck, Probe, Discarded}, report.Outcome)
		if cause, remedy := report.Explain(); (cause == "") != good || (remedy == "") != good || strings.Contains(cause, "#") || strings.HasSuffix(cause, ": ") {
			t.Errorf("%q is explained by %q, %q", report, cause, remedy)
		}
	}
}

func TestEachStatusHasItsRemedy(t *testing.T) {
	for status, want := range map[int64]string{
		204: "see the app's log",
		301: "the path that answers by itself",
		302: "the path that answers by itself",
		404: "the path of the app that takes POST",
		405: "the path of the app that takes POST",
		500: "see the app's log",
	} {
		cause, remedy := Report{Outcome: BadReply, Failure: Failure{Status, status}}.Explain()
		if !strings.Contains(cause, "status "+strconv.FormatInt(status, 10)+",") || !strings.Contains(remedy, want) {
			t.Errorf("%d is explained by %q, %q, want %q", status, cause, remedy, want)
		}
	}
}

// TestParseTakesNothingElse: the header comes from a server that may be anybody's.
func TestParseTakesNothingElse(t *testing.T) {
	for _, value := range []string{
		"", "ok", "Answered", "answered; cause=secret", "answered; secret=1", "answered; number=a", "answered; number=99999999999", "bad_reply; cause", "answered, answered",
	} {
		if report, ok := Parse(value); ok {
			t.Errorf("%q is read as %+v", value, report)
		}
	}
}
