// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package diagnose says what WeChat would make of an answer, and what a person must do about it.
package diagnose

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

// URLCheck judges the outcome of a URL check (the Sender's URLCheck, or Send of a NewURLCheck) as WeChat would. It returns nil when
// WeChat would accept the URL: 200 within 5 seconds, and the echostr as the body, byte for byte.
//
// Two things it cannot know: whether the console holds the same token, and whether WeChat's servers, which call from the
// internet, reach the same server.
func URLCheck(answer caller.Answer, err error) *Refusal {
	if refusal := diagnoseExchange(answer, err); refusal != nil {
		return refusal
	}
	return diagnoseEcho(answer)
}

// diagnoseExchange judges what holds for a URL check and for a message alike.
func diagnoseExchange(answer caller.Answer, err error) *Refusal {
	switch {
	case err != nil:
		return diagnoseError(answer, err)
	case diagnoseReport(answer) != nil:
		return diagnoseReport(answer)
	case answer.Elapsed > caller.Timeout:
		return tooLate(answer)
	default:
		return diagnoseStatus(answer)
	}
}

// diagnoseReport is nil where the sidecar reports nothing, or nothing that is wrong.
func diagnoseReport(answer caller.Answer) *Refusal {
	report, _ := answer.Report()
	cause, remedy := report.Explain()
	if cause == "" {
		return nil
	}
	return &Refusal{CodeApp, cause, remedy}
}

// URL says why the console, or WeChat's servers, would not take the URL; nil when they would. WeCom calls any port.
func URL(s *caller.Sender) *Refusal {
	target, err := caller.ParseURL(s.URL)
	if err != nil {
		return diagnoseError(caller.Answer{}, err)
	}
	number := caller.Port(target)
	want := map[string]string{"http": "80", "https": "443"}[target.Scheme]
	_, err = strconv.ParseUint(number, 10, 16)
	switch {
	case err != nil || number == "0":
		return &Refusal{CodeURL, "the URL has port " + number + ", which does not exist", "correct the port, or leave it out"}
	case number != want && !s.WeCom:
		return &Refusal{CodePort, "the URL has port " + number + ", and WeChat calls http on port 80 and https on port 443 only",
			"publish the URL on port " + want + " and leave the port out; " +
				"to try a server that listens elsewhere, keep the URL as WeChat will have it and dial the server's own address"}
	case target.User != nil:
		return &Refusal{CodeURL, "the URL has a user name in it", "remove what stands before the @: WeChat sends no password"}
	case target.Fragment != "":
		return &Refusal{CodeURL, "the URL has a fragment", "remove the # and what follows it: it is never sent to a server"}
	case strings.IndexFunc(target.Host, func(r rune) bool { return r > 0x7e }) >= 0:
		return &Refusal{CodeURL, "the host is not ASCII", "write it in its ASCII form, which begins with xn--"}
	}
	return nil
}

func tooLate(answer caller.Answer) *Refusal {
	return &Refusal{CodeTimeout,
		fmt.Sprintf("the answer took %v, and WeChat hangs up after %v", answer.Elapsed.Round(time.Millisecond), caller.Timeout),
		"answer at once and do slow work afterwards; look for a proxy in front of the server that is slow to connect to it"}
}

func diagnoseStatus(answer caller.Answer) *Refusal {
	status := strings.TrimSpace(fmt.Sprintf("%d %s", answer.Status, http.StatusText(answer.Status)))
	switch {
	case answer.Status == http.StatusOK:
		return nil
	case answer.Status/100 == 3:
		return redirect(answer, status)
	case answer.Status == http.StatusUnauthorized:
		return &Refusal{CodeUnauthorized, "the server answered " + status + ", it wants a login",
			"take the path out of whatever asks for a login (a proxy, the ingress's auth annotations): WeChat proves itself by its signature only"}
	case answer.Status == http.StatusForbidden:
		return forbidden(answer, status)
	case answer.Status == http.StatusNotFound:
		return &Refusal{CodeNotFound, "the server answered " + status,
			"compare host and path with the endpoint's, letter by letter, and look whether the ingress has a rule for them; a route that was just made can take a minute"}
	case answer.Status >= 500:
		return &Refusal{CodeServerError, "the server answered " + status,
			"look whether the pods that should answer are ready, and into the log of the proxy in front of them; " +
				"of a message that it has verified, a sidecar says what its app did with it, and this answer says nothing"}
	default:
		return &Refusal{CodeStatus, "the server answered " + status + ", and WeChat takes 200 only",
			"answer 200; 400 can mean that http was sent to a port for https, 405 that another server has the path"}
	}
}

// redirect shows where the redirect leads without its query, which mostly repeats the signature.
func redirect(answer caller.Answer, status string) *Refusal {
	where := "without a Location"
	remedy := "serve the URL itself, and switch redirects off for its path"
	if location, err := url.Parse(answer.Header.Get("Location")); err == nil && answer.Header.Get("Location") != "" {
		location.RawQuery, location.Fragment, location.User = "", "", nil
		where = "to " + excerpt(answer, []byte(location.String()))
		switch {
		case location.Scheme == "https":
			remedy = "enter the https URL in the console, or switch the redirect to https off for this path (the ingress's ssl-redirect annotation)"
		case strings.HasSuffix(location.Path, "/"):
			remedy = "serve the path without the trailing slash too, or enter the URL with the slash in the console"
		}
	}
	return &Refusal{CodeRedirect, "the server answered " + status + " " + where + ", and WeChat follows no redirect", remedy}
}

// forbidden names the clock only where the server's own differs.
func forbidden(answer caller.Answer, status string) *Refusal {
	cause, compare := "the server answered "+status+", most likely because it has another token", "the token"
	if answer.Encrypted {
		cause, compare = "the server answered "+status+": it has another token or EncodingAESKey, or takes messages for others only", "the token, the EncodingAESKey and the receiver (appID, receiverIDs)"
	}
	remedy := "compare " + compare + " with what the server has, and with the console's; if they are equal, compare the server's clock with the real time, and look for a firewall that blocks the user agent Mozilla/4.0"
	date, err := http.ParseTime(answer.Header.Get("Date"))
	if off := date.Sub(answer.Sent).Round(time.Second); err == nil && off.Abs() > time.Minute {
		cause = fmt.Sprintf("the server answered %s, and its clock is %v away from the sender's, which makes a signature stale", status, off.Abs())
		remedy = "set the clock that is wrong, the server's or this computer's; if the signature is fresh all the same, compare the tokens"
	}
	return &Refusal{CodeForbidden, cause, remedy}
}

// diagnoseEcho compares the body with the echostr. The order is from what hides all else to what is most general.
func diagnoseEcho(answer caller.Answer) *Refusal {
	body, echostr := answer.Body, []byte(answer.Echostr)
	trimmed := bytes.TrimSpace(body)
	switch {
	case bytes.Equal(body, echostr) && !answer.Truncated:
		return nil
	case len(body) == 0:
		return &Refusal{CodeBodyEmpty, "the body is empty, and WeChat wants the echostr in it",
			"answer a GET with the value of its parameter echostr"}
	case compressed(answer):
		return &Refusal{CodeBodyCompressed, "the body is compressed (Content-Encoding " + excerpt(answer, []byte(answer.Header.Get("Content-Encoding"))) + "), which WeChat did not ask for",
			"switch compression off for this path"}
	case bytes.HasPrefix(body, []byte("\xef\xbb\xbf")):
		return &Refusal{CodeBodyBOM, "the body begins with a byte order mark",
			"save the app's source files as UTF-8 without BOM, and write nothing before the echostr"}
	case bytes.Equal(trimmed, echostr):
		return &Refusal{CodeBodyWhiteSpace, "the body has white space around the echostr: " + excerpt(answer, body),
			"write the echostr without a line end (print, not println), and nothing before it"}
	case isHTML(answer):
		return &Refusal{CodeBodyHTML, "the body is an HTML page: " + excerpt(answer, body),
			"look who answers this path: a front page, a login or a warning of a tunnel; answer as text/plain with the echostr alone"}
	case quoted(trimmed, echostr):
		return &Refusal{CodeBodyQuoted, "the body has quotation marks around the echostr: " + excerpt(answer, body),
			"write the echostr as text, not as JSON (frameworks encode a returned string)"}
	case first(trimmed) == '{' || first(trimmed) == '[':
		return &Refusal{CodeBodyJSON, "the body is JSON: " + excerpt(answer, body),
			"write the echostr alone as text, past the framework's wrapper for answers"}
	case bytes.Contains(body, echostr) && len(echostr) > 0:
		return &Refusal{CodeBodyExtra, "the body has more in it than the echostr: " + excerpt(answer, body),
			"write the echostr and nothing else: look for debug output and warnings"}
	case bytes.Equal(trimmed, []byte("success")):
		return &Refusal{CodeBodyDiffers, "the body is success, the answer to a message",
			"answer a GET with the value of its parameter echostr, and a POST with success"}
	default:
		return &Refusal{CodeBodyDiffers, "the body is not the echostr: " + excerpt(answer, body),
			"answer with the value of the parameter echostr, decoded once and as a string (it is too long for most number types); look whether another server has the path"}
	}
}

func compressed(answer caller.Answer) bool {
	encoding := strings.ToLower(answer.Header.Get("Content-Encoding"))
	return encoding != "" && encoding != "identity" || bytes.HasPrefix(answer.Body, []byte{0x1f, 0x8b})
}

func isHTML(answer caller.Answer) bool {
	start := bytes.ToLower(bytes.TrimSpace(answer.Body))
	if bytes.HasPrefix(start, []byte("<!doctype html")) || bytes.HasPrefix(start, []byte("<html")) {
		return true
	}
	return first(start) == '<' && strings.HasPrefix(strings.ToLower(answer.Header.Get("Content-Type")), "text/html")
}

func quoted(body, echostr []byte) bool {
	for _, mark := range []byte{'"', '\''} {
		if len(body) >= 2 && body[0] == mark && body[len(body)-1] == mark && bytes.Equal(body[1:len(body)-1], echostr) {
			return true
		}
	}
	return false
}

// first is the first byte, 0 when there is none.
func first(body []byte) byte {
	if len(body) == 0 {
		return 0
	}
	return body[0]
}

// maxExcerpt is what an excerpt quotes at most: a line of a terminal. Bytes.
const maxExcerpt = 80

// excerpt quotes the beginning of what a server sent, so that it can neither flood nor steer a terminal, nor show what it
// must not.
func excerpt(a caller.Answer, body []byte) string {
	body = []byte(a.Redact(string(body)))
	if len(body) <= maxExcerpt {
		return strconv.QuoteToGraphic(string(body))
	}
	return strconv.QuoteToGraphic(string(body[:maxExcerpt])) + fmt.Sprintf(" and %d bytes more", len(body)-maxExcerpt)
}
