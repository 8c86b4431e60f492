// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/diagnose"
)

const (
	// wecomWaits is how long WeCom waits for the answer to a URL check (developer.work.weixin.qq.com/document/path/90930).
	wecomWaits = time.Second
	// soon is how long before its end a certificate is worth a word: Let's Encrypt's are renewed a month before.
	soon = 14 * 24 * time.Hour
	// clocksMayDiffer is what the Date of an answer, in whole seconds, and a slow network explain.
	clocksMayDiffer = time.Minute
)

func here(cause Cause, level Level, said, remedy text.Text) Finding {
	return Finding{Cause: cause, Place: FromHere, Level: level, Text: said, Remedy: remedy}
}

// refusal is a finding of package diagnose.
func refusal(r *diagnose.Refusal) Finding {
	said, remedy := Explain(r)
	return here(Cause(r.Code), Refuses, said, remedy)
}

func decideHere(f Facts) []Finding {
	if f.Invalid != nil {
		return []Finding{refusal(f.Invalid)}
	}
	all := decideAddresses(f.Here)
	var kinds []string
	for _, call := range f.Here.Calls {
		found := decideCall(f, call)
		kinds = append(kinds, firstRefusal(found))
		for _, one := range found {
			if !slices.ContainsFunc(all, func(known Finding) bool { return known.Cause == one.Cause }) {
				all = append(all, one)
			}
		}
	}
	if at := slices.IndexFunc(kinds, func(kind string) bool { return kind != kinds[0] }); at > 0 {
		all = append(all, here(CauseAddressDiffers, Risk,
			text.New("the host's addresses do not answer alike: %s does not answer as %s does", f.Here.Calls[at].Address, f.Here.Calls[0].Address),
			text.New("take the address that does not serve out of DNS: WeChat may call any of them")))
	}
	return all
}

func firstRefusal(found []Finding) string {
	if first := Refused(found); first != nil {
		return string(first.Cause)
	}
	return ""
}

// decideAddresses judges what DNS says.
func decideAddresses(h Here) (all []Finding) {
	if h.Lookup != nil {
		return []Finding{refusal(diagnose.URLCheck(caller.Answer{}, h.Lookup))}
	}
	if len(h.Addresses) == 0 {
		return nil
	}
	if private := slices.IndexFunc(h.Addresses, Private); private >= 0 {
		all = append(all, here(CausePrivateAddress, Risk, text.New("from here, the host leads to the private address %s, which WeChat cannot reach", h.Addresses[private]),
			text.New("make a public A record that leads to the load balancer; if this computer only asks another DNS than the internet, look it up from outside")))
	}
	if !slices.ContainsFunc(h.Addresses, func(a netip.Addr) bool { return a.Unmap().Is4() }) {
		all = append(all, here(CauseIPv6Only, Risk, text.New("the host has no IPv4 address, and WeChat is not known to call IPv6"), text.New("add an A record")))
	}
	return all
}

// Private reports whether the internet cannot reach an address.
func Private(address netip.Addr) bool {
	address = address.Unmap()
	return address.IsPrivate() || address.IsLoopback() || address.IsLinkLocalUnicast() || address.IsUnspecified() || sharedByCarriers.Contains(address)
}

var sharedByCarriers = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598

// decideCall judges one URL check.
func decideCall(f Facts, call Call) (all []Finding) {
	why := diagnose.URLCheck(call.Answer, call.Err)
	if why != nil && excused(f, call, why.Code) {
		why = nil
	}
	chain := served(call)
	if why != nil {
		return append(all, particular(call, chain, why))
	}
	all = append(all, decideChain(f, chain)...)
	all = append(all, decideTime(f, call)...)
	if call.Signed && call.Answer.Header.Get("Content-Length") == "" {
		all = append(all, here(CauseFraming, Risk, text.New("the answer has no Content-Length: something between here and the sidecar writes it anew, in chunks or without its length"),
			text.New("turn the proxy's compression, buffering and rewriting off for this path")))
	}
	if ahead := aheadOf(call.Answer); ahead.Abs() > clocksMayDiffer {
		all = append(all, here(CauseClock, Risk, text.New("the server's clock and this computer's differ by %v", ahead.Abs()), mendClock()))
	}
	switch {
	case !f.Checked:
		all = append(all, here(CauseNotChecked, Unknown, text.New("WeChat does not check the URLs of this platform: only the way to the sidecar was looked at"), text.New("play a message: kubectl wechat send")))
	case !call.Signed:
		all = append(all, here(CauseNoToken, Unknown, text.New("the URL was called without the account's token, and refused that, as it should"), text.New("pass --token-file FILE, or mend the Secret")))
	}
	return all
}

func mendClock() text.Text {
	return text.New("set the clocks by NTP, the clocks of the cluster's nodes above all: a callback is refused when its timestamp is more than %v from the node's time", config.Freshness)
}

// excused are refusals that are as they should be: of a call without the token, or to a platform without a URL check.
func excused(f Facts, call Call, code diagnose.Code) bool {
	bare := len(call.Answer.Body) == 0 || f.Platform == v1alpha1.PlatformPay && string(call.Answer.Body) == wechat.PayRefusal
	switch code {
	case diagnose.CodeForbidden:
		return bare && (!call.Signed || !f.Checked)
	case diagnose.CodeNotFound, diagnose.CodeStatus:
		return bare && !f.Checked
	default:
		return false
	}
}

// particular names the cause behind a refusal, where the answer tells more than package diagnose asks for.
func particular(call Call, chain []*x509.Certificate, why *diagnose.Refusal) Finding {
	cause, remedy := Explain(why)
	answer := call.Answer
	switch {
	case blocked(answer):
		return here(CauseFiling, Refuses, text.New("the provider of the server blocks the domain, which has no ICP filing (备案) there"),
			text.New("file the domain (ICP备案) with the provider of this server, or use a domain that is filed"))
	case why.Code == diagnose.CodeTLSAuthority && len(chain) > 0 && selfSigned(chain[0]):
		return here(CauseSelfSigned, Refuses, cause, text.New("use a certificate of a public authority; this one signs itself, as the default certificate of an ingress controller does where a Secret is missing"))
	case why.Code == diagnose.CodeTLSAuthority && len(chain) > 0 && !selfSigned(chain[len(chain)-1]):
		return here(CauseChain, Refuses, text.New("the server does not send the certificate of %s, which signs its own: %s", readable(chain[len(chain)-1].Issuer.CommonName), cause),
			text.New("put the whole chain into the Secret (tls.crt): the server's certificate first, then the intermediate ones (fullchain.pem)"))
	case why.Code == diagnose.CodeTLSAuthority && len(chain) > 0:
		return here(CausePrivateRoot, Refuses, cause, text.New("use a certificate of a public authority: WeChat does not know %s", readable(chain[len(chain)-1].Subject.CommonName)))
	case why.Code == diagnose.CodeForbidden && aheadOf(answer).Abs() > config.Freshness:
		return here(CauseClock, Refuses, text.New("the call is refused, and the server's clock and this computer's differ by %v", aheadOf(answer).Abs()), mendClock())
	case otherServer(answer, why.Code):
		return here(CauseOtherServer, Refuses, text.New("another web server answers this host and path (%s): %s", nameOf(answer), cause),
			text.New("route exactly this host and path to the sidecar: look for a catch-all rule, a default backend or a web site that has the path, and compare both letter by letter"))
	}
	return here(Cause(why.Code), Refuses, cause, remedy)
}

// served are the certificates that the server sent: of a failed handshake its error has them.
func served(call Call) []*x509.Certificate {
	var failed *tls.CertificateVerificationError
	if errors.As(call.Err, &failed) {
		return failed.UnverifiedCertificates
	}
	return call.Chain
}

func selfSigned(c *x509.Certificate) bool { return bytes.Equal(c.RawIssuer, c.RawSubject) }

// decideChain judges certificates that this computer takes: it may know more than WeChat does.
func decideChain(f Facts, chain []*x509.Certificate) (all []Finding) {
	if len(chain) == 0 {
		return nil
	}
	if len(chain) == 1 && !selfSigned(chain[0]) {
		all = append(all, here(CauseChain, Risk, text.New("the server sends its own certificate alone, without the one of %s, which signs it; this computer has that, and WeChat may not", readable(chain[0].Issuer.CommonName)),
			text.New("put the whole chain into the Secret (tls.crt): the server's certificate first, then the intermediate ones (fullchain.pem)")))
	}
	if end := chain[0].NotAfter; end.Sub(f.Now) < soon {
		all = append(all, here(CauseExpiresSoon, Risk, text.New("the certificate ends at %s", end.UTC().Format(time.RFC3339)), text.New("renew it, and see why nothing does so by itself")))
	}
	return all
}

// decideTime compares the time of an answer that came in time with what WeChat waits.
func decideTime(f Facts, call Call) []Finding {
	took := call.Answer.Elapsed
	switch {
	case f.Platform == v1alpha1.PlatformWeCom && took > wecomWaits:
		return []Finding{here(CauseWeComLate, Risk, text.New("the answer took %v, and WeCom waits %v for it", took.Round(time.Millisecond), wecomWaits),
			text.New("look for a slow proxy or DNS in front of the sidecar; from far away, try it from nearer to WeChat's servers"))}
	case took > caller.Timeout/2:
		return []Finding{here(CauseSlow, Risk, text.New("the answer took %v, and WeChat hangs up after %v", took.Round(time.Millisecond), caller.Timeout),
			text.New("look for a slow proxy or DNS in front of the sidecar; from far away, try it from nearer to WeChat's servers"))}
	}
	return nil
}

// aheadOf is how far the server's clock is ahead of this computer's, by the Date of its answer; zero where it has none.
func aheadOf(answer caller.Answer) time.Duration {
	date, err := http.ParseTime(answer.Header.Get("Date"))
	if err != nil || answer.Sent.IsZero() {
		return 0
	}
	return date.Sub(answer.Sent).Round(time.Second)
}

// marksOfABlock are what the pages of providers have by which they block a domain.
var marksOfABlock = []string{"webblock", "beian", "备案", "icp"}

// blocked reports whether a provider in mainland China answers in place of the server, because the domain has no ICP filing.
func blocked(answer caller.Answer) bool {
	if answer.Status == http.StatusOK && !bytes.Contains(answer.Body, []byte("<")) || answer.Status == 0 {
		return false
	}
	page := strings.ToLower(answer.Header.Get("Location") + string(answer.Body[:min(len(answer.Body), 64<<10)]))
	found := 0
	for _, mark := range marksOfABlock {
		if strings.Contains(page, mark) {
			found++
		}
	}
	return found > 1 || strings.Contains(page, "webblock") || strings.Contains(answer.Header.Get("Server"), "Beaver") // Alibaba Cloud's
}

// otherServer reports whether what answered is no sidecar: a sidecar's refusals have no body.
func otherServer(answer caller.Answer, code diagnose.Code) bool {
	switch code {
	case diagnose.CodeBodyHTML:
		return true
	case diagnose.CodeNotFound, diagnose.CodeForbidden, diagnose.CodeStatus:
		return bytes.Contains(answer.Body, []byte("<")) || answer.Status == http.StatusMethodNotAllowed
	default:
		return false
	}
}

// nameOf is what a server calls itself.
func nameOf(answer caller.Answer) string {
	if name := answer.Header.Get("Server"); name != "" {
		return readable(answer.Redact(name))
	}
	return "?"
}

// readable bounds what somebody else wrote and leaves out what could steer a terminal.
func readable(written string) string {
	shown := strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return -1
	}, written)
	if runes := []rune(shown); len(runes) > 80 {
		shown = string(runes[:80]) + "…"
	}
	return shown
}
