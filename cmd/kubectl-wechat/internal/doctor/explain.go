// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/diagnose"
)

// words say what each code of package diagnose means, and what to do, without the particulars of one answer. Package text has them in
// Chinese; in English the refusal's own words, which have the particulars, take their place.
var words = map[diagnose.Code][2]string{
	diagnose.CodeURL:               {"WeChat cannot be given this URL", "write it like https://wx.example.com/weixin"},
	diagnose.CodePort:              {"the URL has a port that WeChat does not call", "publish the URL on port 80 or 443 and leave the port out"},
	diagnose.CodeDNS:               {"the host name cannot be looked up in DNS", "make an A record for it at the domain's DNS provider; until it is seen everywhere, dial the server's own address"},
	diagnose.CodeConnectionRefused: {"nothing listens on this port", "look whether DNS leads to the ingress controller or load balancer, and whether that listens on this port"},
	diagnose.CodeConnectTimeout:    {"no connection was made in time", "open the port in the firewall or security group for the internet, and look whether DNS leads to the right address"},
	diagnose.CodeUnreachable:       {"the address cannot be reached", "look whether DNS leads to the right address, and whether this computer has a network"},
	diagnose.CodeTLSNotSpoken:      {"the port does not speak TLS", "enter the URL with http://, or give the ingress a certificate"},
	diagnose.CodeTLSName:           {"the certificate is for another name", "give the ingress a certificate for the host"},
	diagnose.CodeTLSAuthority:      {"the certificate is not signed by a known authority", "use a certificate of a public authority, and serve it with its intermediate certificates"},
	diagnose.CodeTLSExpired:        {"the certificate is expired, or not valid yet", "renew it, and look whether the ingress serves the new one; if the dates are right, set this computer's clock"},
	diagnose.CodeTLS:               {"TLS fails", "look whether the server has a certificate of a public authority for this host, and offers TLS 1.2 or 1.3"},
	diagnose.CodeTimeout:           {"the answer comes too late", "answer at once and do slow work afterwards; look whether a proxy waits for a server that is not there"},
	diagnose.CodeConnectionCut:     {"the connection ended before the answer did", "look into the log of the server and of each proxy in front of it"},
	diagnose.CodeNotHTTP:           {"the answer is not HTTP", "look whether the port is that of a web server"},
	diagnose.CodeInterrupted:       {"interrupted before an answer came", "try again"},

	diagnose.CodeRedirect:     {"the server redirects, and WeChat follows no redirect", "enter the URL to which it redirects, or turn the redirect off for this path"},
	diagnose.CodeUnauthorized: {"the server wants a login", "take the path out of whatever asks for a login: WeChat proves itself by its signature only"},
	diagnose.CodeForbidden:    {"the server refuses, most likely because it has another token", "compare the token with the one of the console; look for an IP list, a firewall of the web, or a filter of user agents on the way"},
	diagnose.CodeNotFound:     {"nobody serves this host and path", "compare host and path with the endpoint's, letter by letter, and look whether the ingress has a rule for them"},
	diagnose.CodeServerError:  {"the server has an error", "look whether the pods that should answer are ready, and into the log of the proxy in front of them"},
	diagnose.CodeStatus:       {"the status is not 200, and WeChat takes no other", "answer 200"},

	diagnose.CodeBodyEmpty:      {"the body is empty", "answer the echostr"},
	diagnose.CodeBodyCompressed: {"the body is compressed", "turn compression off for this path"},
	diagnose.CodeBodyBOM:        {"the body begins with a byte order mark", "save the program's files without it"},
	diagnose.CodeBodyQuoted:     {"the echostr has quotation marks around it", "answer it as text, not as JSON"},
	diagnose.CodeBodyWhiteSpace: {"the echostr has white space around it", "answer the echostr and nothing else"},
	diagnose.CodeBodyJSON:       {"the body is JSON", "answer the echostr as text"},
	diagnose.CodeBodyHTML:       {"the body is a web page: another server answers", "look which server has this host and path, and route the path to the sidecar"},
	diagnose.CodeBodyExtra:      {"the body has more in it than the echostr", "answer the echostr and nothing else"},
	diagnose.CodeBodyDiffers:    {"the body is not the echostr", "look which server answers, and whether it has this token"},

	diagnose.CodeApp:        {"the message was verified, and the app did not do with it what it should", "see the app's log, and backend in the endpoint's spec"},
	diagnose.CodeReply:      {"the reply is neither empty, nor success, nor a passive reply", "answer with nothing, with success, or with a passive reply"},
	diagnose.CodeSealed:     {"the reply cannot be opened as WeChat opens it", "compare the EncodingAESKey and the AppID"},
	diagnose.CodeNotTaken:   {"the notification was not taken, and comes again", "see the app's log"},
	diagnose.CodeUnverified: {"a notification with a wrong signature was taken", "let the sidecar verify it: nothing may lead around it"},
}

// Explain says what a refusal means and what to do about it, in every language: in English by its own words.
func Explain(refusal *diagnose.Refusal) (cause, remedy text.Text) {
	known, ok := words[refusal.Code]
	if !ok {
		return text.Verbatim(refusal.Cause), text.Verbatim(refusal.Remedy)
	}
	return text.Translated(refusal.Cause, text.New("%s (%s)", text.New(known[0]), refusal.Cause)),
		text.Translated(refusal.Remedy, text.New(known[1]))
}
