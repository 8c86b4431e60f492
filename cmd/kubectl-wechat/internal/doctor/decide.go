// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
)

// Cause names a finding for programs. The codes of package diagnose and the reasons of conditions are causes, too.
type Cause string

// Causes that are found from here, beside the codes of package diagnose.
const (
	CausePrivateAddress Cause = "private_address"  // DNS leads to an address that the internet cannot reach
	CauseIPv6Only       Cause = "ipv6_only"        // the host has no IPv4 address
	CauseAddressDiffers Cause = "address_differs"  // one of the host's addresses does not answer as the others do
	CauseChain          Cause = "tls_chain"        // the intermediate certificates are missing
	CauseSelfSigned     Cause = "tls_self_signed"  // the certificate signs itself
	CausePrivateRoot    Cause = "tls_private_root" // an authority of somebody's own signs it
	CauseExpiresSoon    Cause = "tls_expires_soon" // the certificate ends within two weeks
	CauseFiling         Cause = "icp_filing"       // the provider blocks a domain without ICP filing (备案)
	CauseOtherServer    Cause = "other_server"     // another web server has the host or path
	CauseWeComLate      Cause = "wecom_late"       // later than the second that WeCom waits
	CauseSlow           Cause = "slow"             // more than half of what WeChat waits
	CauseFraming        Cause = "framing"          // the answer has no Content-Length
	CauseClock          Cause = "clock"            // the clocks of this computer and the server differ
	CauseNoToken        Cause = "no_token"         // the URL was called without the token
	CauseNotChecked     Cause = "not_checked"      // the platform has no URL check
)

// Causes that are found in the cluster, beside the reasons of conditions.
const (
	CauseOutdated       Cause = "outdated"         // the operator has not seen the newest spec
	CauseSecret         Cause = "secret"           // the Secret is missing
	CauseSecretLabel    Cause = "secret_label"     // the Secret lacks the label
	CauseSecretValue    Cause = "secret_value"     // a value in it is missing or malformed
	CausePod            Cause = "pod"              // a pod does not serve
	CauseIPList         Cause = "ip_list"          // the Ingress lets only some addresses through
	CauseIngressAuth    Cause = "ingress_auth"     // the Ingress asks for a login
	CauseIngressMoves   Cause = "ingress_redirect" // the Ingress redirects
	CauseIngressOther   Cause = "ingress_other"    // another Ingress has the same host and path
	CauseTLSSecret      Cause = "tls_secret"       // the Secret with the certificate is missing or cannot be read as one
	CauseTLSSecretName  Cause = "tls_secret_name"  // its certificate is for another name
	CauseTLSSecretEnded Cause = "tls_secret_ended" // its certificate is expired
	CauseAudit          Cause = "audit"            // nothing is refused for now
	CauseUnseen         Cause = "unseen"           // something could not be looked at
)

// Causes that only WeChat sees.
const (
	CauseConsoleToken Cause = "console_token" // the console holds another token or key
	CauseConsoleMode  Cause = "console_mode"  // the console has another mode
	CauseConsoleURL   Cause = "console_url"   // the console has another URL, or another account
	CauseInternet     Cause = "internet"      // the internet does not reach what this computer reaches
)

// Level is how much a finding weighs.
type Level string

// The levels.
const (
	Refuses Level = "refuses" // WeChat refuses, or nobody serves
	Risk    Level = "risk"    // WeChat could refuse
	Unknown Level = "unknown" // it could not be looked at
	Ask     Level = "ask"     // only WeChat sees it: compare
)

// Place is where a finding was made.
type Place string

// The places.
const (
	FromHere    Place = "here"
	FromCluster Place = "cluster"
	FromWeChat  Place = "wechat"
)

// Finding is one cause, with what it means and what to do.
type Finding struct {
	Cause        Cause
	Place        Place
	Level        Level
	Text, Remedy text.Text
}

// Decide says what facts mean, from the first step that can fail to the last: from here, in the cluster, and at WeChat.
func Decide(f Facts) []Finding {
	var all []Finding
	all = append(all, decideHere(f)...)
	if f.Cluster != nil {
		all = append(all, decideCluster(f)...)
	}
	return append(all, decideWeChat(f)...)
}

// Refused is the first finding for which WeChat refuses; nil where there is none.
func Refused(findings []Finding) *Finding {
	for i := range findings {
		if findings[i].Level == Refuses {
			return &findings[i]
		}
	}
	return nil
}
