// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnose

// Code names a cause of refusal. Codes are stable: they may be labels of metrics.
type Code string

// What is wrong before an answer comes.
const (
	CodeURL               Code = "url"                // WeChat cannot be given this URL
	CodePort              Code = "port"               // the URL has a port that WeChat does not call
	CodeDNS               Code = "dns"                // the host name has no address
	CodeConnectionRefused Code = "connection_refused" // nothing listens
	CodeConnectTimeout    Code = "connect_timeout"    // the connection was not made in time
	CodeUnreachable       Code = "unreachable"        // no route, or another failure to connect
	CodeTLSNotSpoken      Code = "tls_not_spoken"     // https to a port that does not speak TLS
	CodeTLSName           Code = "tls_name"           // the certificate is for another name
	CodeTLSAuthority      Code = "tls_authority"      // the certificate is not signed by a known authority
	CodeTLSExpired        Code = "tls_expired"        // the certificate is expired, or not valid yet
	CodeTLS               Code = "tls"                // another failure of TLS
	CodeTimeout           Code = "timeout"            // the answer came after 5 seconds, or never
	CodeConnectionCut     Code = "connection_cut"     // the connection ended before the answer did
	CodeNotHTTP           Code = "not_http"           // the answer is not HTTP
	CodeInterrupted       Code = "interrupted"        // the caller gave up; nothing is known
)

// What is wrong with the status of an answer.
const (
	CodeRedirect     Code = "redirect"
	CodeUnauthorized Code = "unauthorized"
	CodeForbidden    Code = "forbidden"
	CodeNotFound     Code = "not_found"
	CodeServerError  Code = "server_error"
	CodeStatus       Code = "status" // any other but 200
)

// What is wrong with the body of an answer to a URL check.
const (
	CodeBodyEmpty      Code = "body_empty"
	CodeBodyCompressed Code = "body_compressed"
	CodeBodyBOM        Code = "body_bom"
	CodeBodyQuoted     Code = "body_quoted"
	CodeBodyWhiteSpace Code = "body_white_space"
	CodeBodyJSON       Code = "body_json"
	CodeBodyHTML       Code = "body_html"
	CodeBodyExtra      Code = "body_extra"   // the echostr with something around it
	CodeBodyDiffers    Code = "body_differs" // anything else
)

// CodeApp says that the message was verified, and that the app behind the sidecar did not do with it what it should.
const CodeApp Code = "app"

// CodeReply says that the body of an answer to a message is neither empty, nor success, nor a passive reply.
const CodeReply Code = "reply"

// Refusal says why WeChat would refuse an answer.
type Refusal struct {
	// Code names the cause for machines.
	Code Code
	// Cause is what is wrong, as a clause without a full stop. It may quote the answer: bounded, without control
	// characters, and without the token, the signature and the query of a redirect.
	Cause string
	// Remedy is what to do about it, likewise.
	Remedy string
}

// String is the cause and the remedy in one line.
func (r *Refusal) String() string { return r.Cause + ": " + r.Remedy }
