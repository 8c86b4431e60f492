// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
)

// notSaved is what is left to do when the console has not taken the new values.
var notSaved = &refusal{
	cause:  text.New("the console was not said to hold the new ones"),
	remedy: text.New("press Save, then set spec.credentials.revokeBefore to status.credentials.generation"),
}

// revoke ends the earlier values at once, when the console has the new ones.
func (p Plugin) revoke(ctx context.Context, cluster client.Client, o options, endpoints []v1alpha1.WeChatEndpoint) (int, error) {
	r := p.report(p.Stdout)
	if !o.yes {
		fmt.Fprint(p.Stdout, p.say("Press Save (提交) in the console now. Was it accepted? Then the earlier values are refused at once. [y/N] "))
		answer, _ := bufio.NewReader(p.Stdin).ReadString('\n') // no answer is no
		if strings.ToLower(strings.TrimSpace(answer)) != "y" {
			return r.refused(text.New("the earlier values are still accepted: "), notSaved), nil
		}
	}
	newest := generations(endpoints)
	for i := range endpoints {
		before := endpoints[i].DeepCopy()
		endpoints[i].Spec.Credentials.RevokeBefore = newest[i]
		if err := cluster.Patch(ctx, &endpoints[i], client.MergeFrom(before)); err != nil {
			return 0, text.Errorf("setting credentials.revokeBefore of %s: %w", endpoints[i].Name, err)
		}
	}
	waiting, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	for i := range endpoints {
		ended := func(status v1alpha1.CredentialsStatus) bool {
			return !slices.ContainsFunc(status.Accepted, func(a v1alpha1.AcceptedCredentials) bool { return a.Generation < newest[i] })
		}
		if err := await(waiting, cluster, &endpoints[i], ended); err != nil {
			return r.refused(text.New("what leaked may still be accepted: "), notRevoked(endpoints, i, err)), nil
		}
		r.line("revoked", "every sidecar of %s refuses every generation before %d", named(&endpoints[i]), newest[i])
	}
	return r.ok("what leaked is of no use any more"), nil
}

// notRevoked says what is left to do when an endpoint was told to refuse the earlier values, and is not known to. The ones
// after it may be no better.
func notRevoked(endpoints []v1alpha1.WeChatEndpoint, at int, why error) *refusal {
	left := strings.ReplaceAll(names(endpoints[at:]), ",", "")
	return &refusal{
		cause: text.New("not every sidecar of %s is known to refuse it (%v)", named(&endpoints[at]), why),
		remedy: text.New("mend that; credentials.revokeBefore is set, and the operator then needs nothing more. What leaked is of no use once kubectl -n %s get wxe %s -o yaml "+
			"shows no generation below revokeBefore in status.credentials.accepted, the newest generation in status.observedGeneration, and SidecarAvailable True", endpoints[at].Namespace, left),
	}
}
