// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package acceptance

import (
	"slices"
	"strings"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
)

// An endpoint whose spec cannot be read as a whole was stored by an older CustomResourceDefinition, or by one of a newer operator. It is
// refused: its pods go on with their configuration, and its credentials go on being rotated and revoked, as far as the fields can be read
// that say how. A field with its zero value may be one that could not be read: an empty host does not mean every host.

// CheckReadable refuses a spec that could not be read, in words for its author.
func CheckReadable(endpoint *v1alpha1.WeChatEndpoint) *verdict.Problem {
	problems := endpoint.Spec.Unreadable
	if len(problems) == 0 && endpoint.Spec.Platform == "" {
		problems = []string{"spec is missing"}
	}
	if endpoint.Spec.Readable() {
		return nil
	}
	return verdict.Problemf(v1alpha1.ReasonSpecUnreadable,
		"%s; what was served before is served on: correct it with kubectl -n %s edit wxe %s", strings.Join(FirstFew(problems), "; "), endpoint.Namespace, endpoint.Name)
}

// maxProblems is how many fields a message names.
const maxProblems = 3

// FirstFew are the problems that a message names.
func FirstFew(problems []string) []string {
	if len(problems) <= maxProblems {
		return problems
	}
	return append(slices.Clone(problems[:maxProblems]), "and more")
}
