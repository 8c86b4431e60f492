// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package verdict has the words in which decisions answer: what is so, what stands against it, and when to look again.
package verdict

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// Verdict is what a condition says. The zero value says nothing: a warning without a cause is absent.
type Verdict struct {
	Status  metav1.ConditionStatus
	Reason  string // a constant of api/v1alpha1
	Message string // for kubectl describe
}

// True is for what is as it should be, and for warnings.
func True(reason, format string, arguments ...any) Verdict {
	return Verdict{metav1.ConditionTrue, reason, text(format, arguments)}
}

// False is for what somebody must mend.
func False(reason, format string, arguments ...any) Verdict {
	return Verdict{metav1.ConditionFalse, reason, text(format, arguments)}
}

// Unknown is for what cannot be known yet.
func Unknown(reason, format string, arguments ...any) Verdict {
	return Verdict{metav1.ConditionUnknown, reason, text(format, arguments)}
}

func text(format string, arguments []any) string {
	if len(arguments) == 0 {
		return format
	}
	return fmt.Sprintf(format, arguments...)
}

// IsTrue reports whether the condition holds.
func (v Verdict) IsTrue() bool { return v.Status == metav1.ConditionTrue }

// Problem is a state that trying again cannot mend: a person must change something, and a watch wakes the endpoint when they do.
// Nil is no problem.
type Problem struct {
	Reason  string // a constant of api/v1alpha1
	Message string // what is wrong and what to do about it, for kubectl describe
}

// Problemf makes a Problem.
func Problemf(reason, format string, arguments ...any) *Problem {
	return &Problem{Reason: reason, Message: text(format, arguments)}
}

// Waiting is a Problem for what cannot be judged before something else.
func Waiting(message string) *Problem {
	return &Problem{Reason: v1alpha1.ReasonWaiting, Message: message}
}

// Or returns the Problem as a Verdict, or otherwise where there is none.
func (p *Problem) Or(otherwise Verdict) Verdict {
	switch {
	case p == nil:
		return otherwise
	case p.Reason == v1alpha1.ReasonWaiting:
		return Verdict{metav1.ConditionUnknown, p.Reason, p.Message}
	}
	return Verdict{metav1.ConditionFalse, p.Reason, p.Message}
}

// And adds words to what is wrong. Nil stays nil.
func (p *Problem) And(words string) *Problem {
	if p == nil {
		return nil
	}
	return &Problem{p.Reason, p.Message + words}
}

// Is reports whether there is a Problem with the reason.
func (p *Problem) Is(reason string) bool { return p != nil && p.Reason == reason }

// First returns the first Problem that is one, or nil.
func First(problems ...*Problem) *Problem {
	for _, problem := range problems {
		if problem != nil {
			return problem
		}
	}
	return nil
}
