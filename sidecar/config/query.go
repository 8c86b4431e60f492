// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Parameter is one of the URL's own query, decoded.
type Parameter struct{ Name, Value string }

// MaxQuerySize bounds a URL's own query. Bytes.
const MaxQuerySize = 256

var (
	// queryPattern is that of the CustomResourceDefinition: names, and values with escapes and placeholders.
	queryPattern = regexp.MustCompile(`^` + parameterPattern + `(&` + parameterPattern + `){0,15}$`)
	// parametersOfWeChat are those that callbacks bear besides the URL's own.
	parametersOfWeChat = []string{"signature", "msg_signature", "timestamp", "nonce", "echostr"}
	// parametersOfPush are others, which WeCom and Pay do not know.
	parametersOfPush = []string{"encrypt_type", "openid"}
)

const parameterPattern = `[A-Za-z0-9._~-]+(=([A-Za-z0-9._~:/@!*(),+-]|%[0-9A-Fa-f]{2}|\$(APPID|CORPID)\$)*)?`

// Parameters returns the parameters of Query, decoded. Its error says which of them cannot be, and why.
func (c Config) Parameters() ([]Parameter, error) {
	if c.Query == "" {
		return nil, nil
	}
	if len(c.Query) > MaxQuerySize || !queryPattern.MatchString(c.Query) {
		return nil, fmt.Errorf("query must be like id=5&kind=a, at most %d bytes and 16 parameters, without the question mark; write other characters of values as escapes (%%20)", MaxQuerySize)
	}
	var all []Parameter
	for pair := range strings.SplitSeq(c.Query, "&") {
		name, rawValue, _ := strings.Cut(pair, "=")
		value, _ := url.QueryUnescape(rawValue) // the pattern lets no broken escape through
		if c.addedByWeChat(name) {
			return nil, fmt.Errorf("query has the parameter %s, which WeChat adds by itself: leave it out here", name)
		}
		all = append(all, Parameter{name, value})
	}
	return all, nil
}

// addedByWeChat reports whether WeChat adds a parameter of that name to every URL.
func (c Config) addedByWeChat(name string) bool {
	push := c.Platform != PlatformWeCom && c.Platform != PlatformPay
	return slices.Contains(parametersOfWeChat, name) || push && slices.Contains(parametersOfPush, name)
}

// CutPlaceholder cuts a text around its placeholder.
func CutPlaceholder(text string) (before, after string, found bool) {
	for _, placeholder := range []string{PlaceholderAppID, PlaceholderCorpID} {
		if before, after, found = strings.Cut(text, placeholder); found {
			return before, after, true
		}
	}
	return text, "", false
}
