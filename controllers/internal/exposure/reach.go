// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package exposure

import (
	"errors"
	"time"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/probe"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
)

// reachPatience is how long an ingress controller may take to act on a new route before it is called a failure.
const reachPatience = 10 * time.Second

// Reached says what came of playing WeChat through the route's address. It is an observation, on which nothing rests: the operator
// may stand where that address does not lead. ProgrammedFor is for how long the route has been programmed.
func Reached(endpoint *v1alpha1.WeChatEndpoint, route Route, err error, programmedFor time.Duration) verdict.Verdict {
	var notAllowed *probe.NotAllowedError
	switch {
	case err == nil:
		return verdict.True(v1alpha1.ReasonReachable, "the operator played WeChat through %s", route.Address)
	case errors.As(err, &notAllowed):
		return verdict.Unknown(v1alpha1.ReasonAddressNotAllowed, "%s %s publishes an address that the operator does not call: %v; %s",
			route.Kind, render.Name(endpoint), notAllowed, remedyFor(notAllowed))
	case programmedFor <= reachPatience:
		return verdict.Unknown(v1alpha1.ReasonProgressing, "the route is new, and %s does not lead to the pods yet: wait some seconds", route.Address)
	}
	return verdict.False(v1alpha1.ReasonNotReachable,
		"the URL check through %s is not answered as WeChat needs it (%v): see the ingress controller's log; if only the operator cannot get there, kubectl wechat verify tells",
		route.Address, err)
}

// NoAddress is said where the operator knows no address to try.
func NoAddress(endpoint *v1alpha1.WeChatEndpoint, route Route) verdict.Verdict {
	if endpoint.Spec.URL.Exposure == v1alpha1.ExposureNone {
		return verdict.Unknown(v1alpha1.ReasonNoAddress, "url.exposure is None, so that the operator knows no address: try the URL with kubectl wechat verify")
	}
	return verdict.Unknown(v1alpha1.ReasonNoAddress, "%s %s has no address in its status, which many controllers never report: try the URL with kubectl wechat verify",
		route.Kind, render.Name(endpoint))
}

// ReachAgain says when to try the address again: soon after it failed first, and then less and less often.
func ReachAgain(said verdict.Verdict, saidFor time.Duration) verdict.Again {
	if said.Reason != v1alpha1.ReasonNotReachable && said.Reason != v1alpha1.ReasonProgressing {
		return verdict.Never
	}
	return verdict.Growing(saidFor, verdict.Resync)
}

func remedyFor(notAllowed *probe.NotAllowedError) string {
	if notAllowed.Private {
		return "try the URL with kubectl wechat verify, or ask the platform team to add the network to loadBalancerNetworks"
	}
	return "ask the platform team what publishes it"
}
