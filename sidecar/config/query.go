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

// Bounds of a URL's own query.
const (
	MaxQuerySize  = 512 // bytes
	maxParameters = 16
)

var (
	// queryPattern is what stands in a query as it is, and escapes.
	queryPattern = regexp.MustCompile(`^([A-Za-z0-9._~:/?@!'()*,+=&-]|%[0-9A-Fa-f]{2}|\$APPID\$|\$CORPID\$)*$`)
	// parametersOfWeChat are those that callbacks bear besides the URL's own.
	parametersOfWeChat = []string{"signature", "msg_signature", "timestamp", "nonce", "echostr"}
	// parametersOfPush are others, which WeCom and Pay do not know.
	parametersOfPush = []string{"encrypt_type", "openid"}
)

// Parameters returns the parameters of Query, decoded. Its error says which of them cannot be, and why.
func (c Config) Parameters() ([]Parameter, error) {
	if c.Query == "" {
		return nil, nil
	}
	if len(c.Query) > MaxQuerySize || c.Query[0] == '?' || !queryPattern.MatchString(c.Query) {
		return nil, fmt.Errorf("query must be like id=5&kind=a, at most %d bytes, without the question mark; write other characters as escapes (%%20)", MaxQuerySize)
	}
	var all []Parameter
	seen := map[string]bool{}
	for pair := range strings.SplitSeq(c.Query, "&") {
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, nameErr := url.QueryUnescape(rawName)
		value, valueErr := url.QueryUnescape(rawValue)
		switch {
		case nameErr != nil || valueErr != nil || name == "" || strings.Contains(name, "$"):
			return nil, fmt.Errorf("query has a parameter without a name, or with a placeholder or a broken escape in it")
		case seen[name]:
			return nil, fmt.Errorf("query has the parameter %s twice", name)
		case c.addedByWeChat(name):
			return nil, fmt.Errorf("query has the parameter %s, which WeChat adds by itself: leave it out here, what the console has of it does no harm", name)
		case len(all) == maxParameters:
			return nil, fmt.Errorf("query has more than %d parameters", maxParameters)
		}
		seen[name] = true
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
