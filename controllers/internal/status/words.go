// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package status

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
)

func acceptedWords(e *v1alpha1.WeChatEndpoint) verdict.Verdict {
	if e.Spec.Paused {
		return verdict.True(v1alpha1.ReasonPaused, "spec.paused is true, so nothing is changed: set it to false when the operator may work on")
	}
	return verdict.True(v1alpha1.ReasonAccepted, "the spec is coherent and allowed here%s", doubtAppID(e.Spec))
}

func backendWords(e *v1alpha1.WeChatEndpoint) verdict.Verdict {
	others := ""
	if slices.ContainsFunc(e.Spec.Rules, func(rule v1alpha1.Rule) bool { return rule.Backend != nil }) {
		others = ", and so have the Services of the rules"
	}
	service := e.Spec.Backend.Service
	return verdict.True(v1alpha1.ReasonBackendResolved, "Service %s has port %s%s", service.Name, service.Port.String(), others)
}

func sidecarAvailableWords(*v1alpha1.WeChatEndpoint) verdict.Verdict {
	return verdict.True(v1alpha1.ReasonSidecarAvailable, "every wanted pod serves this configuration and these credentials")
}

func verifiedWords(*v1alpha1.WeChatEndpoint) verdict.Verdict {
	return verdict.True(v1alpha1.ReasonVerified, "the operator played WeChat against every pod with the newest credentials, and each answered as WeChat needs it")
}

// ids are what the ids of each platform look like, in the console and in words.
var ids = map[v1alpha1.Platform]struct {
	pattern *regexp.Regexp
	words   string
}{
	v1alpha1.PlatformOfficialAccount: {appIDPattern, appIDWords},
	v1alpha1.PlatformMiniProgram:     {appIDPattern, appIDWords},
	v1alpha1.PlatformShop:            {appIDPattern, appIDWords},
	v1alpha1.PlatformOpenPlatform:    {appIDPattern, "an AppID of a third-party platform (wx, and 16 digits and letters from a to f)"},
	v1alpha1.PlatformWeCom:           {regexp.MustCompile(`^w[wx][0-9A-Za-z_-]{16}$`), "a CorpID (企业ID: ww or wx, and 16 letters and digits)"},
	v1alpha1.PlatformPay:             {regexp.MustCompile(`^[0-9]{8,10}$`), "a merchant id (商户号: 8 to 10 digits)"},
}

var appIDPattern = regexp.MustCompile(`^wx[0-9a-f]{16}$`)

const appIDWords = "an AppID (wx, and 16 digits and letters from a to f)"

// doubtAppID says that an id does not look like one of the platform's. It is no reason to refuse it: nobody documents what they look
// like. But with another account's id everything is well, and every encrypted message is refused.
func doubtAppID(spec v1alpha1.WeChatEndpointSpec) string {
	id, known := ids[spec.Platform]
	if !known || id.pattern.MatchString(spec.AppID) {
		return ""
	}
	return fmt.Sprintf("; but appID %s does not look like %s. Compare it with the console: encrypted messages for another id are refused", spec.AppID, id.words)
}

// maxMessage is the most that the API server takes of an event's note (NoteLengthLimit of events.k8s.io/v1); of a condition it takes
// more. Bytes.
const maxMessage = 1024

// Shortened leaves out the middle of a message that is too long, which quotes what somebody wrote: the beginning says what is
// wrong, and the end what to do. Without it one long value in the spec would keep the whole status from being stored. What is no text is
// replaced: it would be stored as another one, and differ from that for ever.
func Shortened(message string) string {
	message = strings.ToValidUTF8(message, "\uFFFD")
	if len(message) <= maxMessage {
		return message
	}
	const gap, end = " … ", 300
	return strings.ToValidUTF8(message[:maxMessage-end-len(gap)], "") + gap + strings.ToValidUTF8(message[len(message)-end:], "")
}

// Bounds of the CRD's status. A spec that keeps its own bounds keeps these: only one that was stored before may not. Characters.
const (
	MaxURL     = 1024
	MaxBackend = 128
)

// Cut shortens a text to so many characters.
func Cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return string([]rune(text)[:min(most, utf8.RuneCountInString(text))])
}
