// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package verify checks the gateway signature of a request. It is made to be copied: it needs the standard library only.
package verify

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	signatureHeader = "x-wechat-gateway-signature"
	keySize         = 32  // bytes; HMAC itself would take an empty key, and anybody could sign with that
	maxAge          = 300 // seconds, into the past and into the future
)

var signaturePattern = regexp.MustCompile(`^t=([0-9]{1,12}),v1=([0-9a-f]{64})$`)

// Verify reports whether the sidecar that holds the key signed this request within the last minutes. Target is
// http.Request.RequestURI, and body is whole and as it came.
func Verify(key []byte, method, target string, header http.Header, body []byte, now time.Time) bool {
	signed := map[string]string{}
	for name, values := range header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-wechat-") {
			if _, doubled := signed[name]; doubled || len(values) != 1 {
				return false
			}
			signed[name] = values[0]
		}
	}
	parts := signaturePattern.FindStringSubmatch(signed[signatureHeader])
	if len(key) != keySize || parts == nil {
		return false
	}
	if seconds, err := strconv.ParseInt(parts[1], 10, 64); err != nil || max(now.Unix()-seconds, seconds-now.Unix()) > maxAge {
		return false
	}
	var lines []string
	for name, value := range signed {
		if name != signatureHeader {
			lines = append(lines, name+":"+value+"\n")
		}
	}
	slices.Sort(lines)
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "v1\n%s\n%s\n%s\n%s%x\n", parts[1], method, target, strings.Join(lines, ""), sha256.Sum256(body))
	return hmac.Equal([]byte(parts[2]), []byte(hex.EncodeToString(mac.Sum(nil))))
}
