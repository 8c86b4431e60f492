// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package status

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

func TestTurnedConditions(t *testing.T) {
	type conditions = []metav1.Condition
	condition := func(name string, status metav1.ConditionStatus, reason string) metav1.Condition {
		return metav1.Condition{Type: name, Status: status, Reason: reason}
	}
	accepted := condition(v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted)
	refused := condition(v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonURLConflict)
	waiting := condition(v1alpha1.ConditionVerified, metav1.ConditionUnknown, v1alpha1.ReasonWaiting)
	starting := condition(v1alpha1.ConditionSidecarAvailable, metav1.ConditionFalse, v1alpha1.ReasonProgressing)
	available := condition(v1alpha1.ConditionSidecarAvailable, metav1.ConditionTrue, v1alpha1.ReasonSidecarAvailable)
	ready := condition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
	unobserved := condition(v1alpha1.ConditionReady, metav1.ConditionUnknown, v1alpha1.ReasonNotObserved)
	unready := condition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonProgressing)
	exposed := condition(v1alpha1.ConditionBackendExposed, metav1.ConditionTrue, v1alpha1.ReasonBackendExposed)
	stranger := condition(v1alpha1.ConditionWrongReceiver, metav1.ConditionTrue, v1alpha1.ReasonWrongReceiver)

	resolved := condition(v1alpha1.ConditionCredentialsResolved, metav1.ConditionTrue, v1alpha1.ReasonCredentialsResolved)
	begun := condition(v1alpha1.ConditionCredentialsResolved, metav1.ConditionTrue, v1alpha1.ReasonRotationStarting)
	pending := condition(v1alpha1.ConditionCredentialsResolved, metav1.ConditionTrue, v1alpha1.ReasonRotationPending)
	verified := condition(v1alpha1.ConditionVerified, metav1.ConditionTrue, v1alpha1.ReasonVerified)
	lost := condition(v1alpha1.ConditionReachable, metav1.ConditionFalse, v1alpha1.ReasonNotReachable)
	reached := condition(v1alpha1.ConditionReachable, metav1.ConditionTrue, v1alpha1.ReasonReachable)
	current := condition(v1alpha1.ConditionSidecarCurrent, metav1.ConditionTrue, v1alpha1.ReasonSidecarCurrent)
	queued := condition(v1alpha1.ConditionSidecarCurrent, metav1.ConditionFalse, v1alpha1.ReasonRolloutQueued)
	rolling := condition(v1alpha1.ConditionSidecarCurrent, metav1.ConditionFalse, v1alpha1.ReasonRollingOut)
	failed := condition(v1alpha1.ConditionSidecarCurrent, metav1.ConditionFalse, v1alpha1.ReasonRolloutFailed)

	for name, test := range map[string]struct{ before, after, want conditions }{
		"nothing turned": {conditions{accepted, ready}, conditions{accepted, ready}, nil},
		"of a new endpoint, what is as it should be":        {nil, conditions{accepted, starting, waiting, unready}, nil},
		"of one that nobody had looked at, the same":        {conditions{unobserved}, conditions{accepted, starting, waiting, unready}, nil},
		"of a new endpoint, what somebody must mend":        {nil, conditions{refused, waiting}, conditions{refused}},
		"of a new endpoint, a warning":                      {nil, conditions{accepted, exposed, starting}, conditions{exposed}},
		"another warning, of one that was well":             {conditions{accepted, ready}, conditions{accepted, ready, stranger}, conditions{stranger}},
		"of a new endpoint, that it is Ready":               {nil, conditions{accepted, available, ready}, conditions{ready}},
		"what was mended":                                   {conditions{refused}, conditions{accepted}, conditions{accepted}},
		"what broke":                                        {conditions{accepted}, conditions{refused}, conditions{refused}},
		"the pods came":                                     {conditions{starting, unready}, conditions{available, ready}, conditions{ready}},
		"the pods of an endpoint that was known go again":   {conditions{available, ready}, conditions{starting, unready}, nil},
		"a condition that an endpoint did not have earlier": {conditions{accepted}, conditions{accepted, available}, conditions{available}},
		"of an older operator's endpoint, pods as wanted":   {conditions{accepted}, conditions{accepted, current}, nil},
		"that an endpoint waits for a slot":                 {conditions{current}, conditions{queued}, nil},
		"that it has a slot now":                            {conditions{queued}, conditions{rolling}, conditions{rolling}},
		"that its slot has ended":                           {conditions{rolling}, conditions{current}, conditions{current}},
		"that its pods fail":                                {conditions{rolling}, conditions{failed}, conditions{failed}},
		"a new token, before every pod has it":              {conditions{resolved, available, ready}, conditions{begun, starting, unready}, nil},
		"a new token, once every pod has it":                {conditions{begun, starting, waiting, unready}, conditions{pending, available, verified, ready}, conditions{pending, ready}},
		"the URL is reached again":                          {conditions{lost}, conditions{reached}, conditions{reached}},
		"what is not known any more":                        {conditions{available}, conditions{waiting}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, Turned(test.before, test.after)); diff != "" {
				t.Errorf("other conditions turned than wanted (-want +got):\n%s", diff)
			}
		})
	}
	if !Warns(stranger) {
		t.Error("nobody is warned of a wrong receiver")
	}
	if !Warns(failed) || Warns(rolling) {
		t.Error("pods that fail are not worth a warning, or pods that are replaced are")
	}
}
