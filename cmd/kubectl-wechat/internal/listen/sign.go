// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

const signatureHeader = "X-Wechat-Gateway-Signature"

// Sign puts the gateway signature into the head of a request to an app, as the sidecar does: an app that checks it takes the request for the sidecar's.
// Target is the path and query of the request line.
func Sign(gatewayKey []byte, method, target string, header http.Header, body []byte, at time.Time) {
	header.Del(signatureHeader)
	var lines []string
	for name, values := range header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-wechat-") {
			for _, value := range values {
				lines = append(lines, name+":"+value+"\n")
			}
		}
	}
	slices.Sort(lines)
	mac := hmac.New(sha256.New, gatewayKey)
	_, _ = fmt.Fprintf(mac, "v1\n%d\n%s\n%s\n%s%x\n", at.Unix(), method, target, strings.Join(lines, ""), sha256.Sum256(body))
	header.Set(signatureHeader, fmt.Sprintf("t=%d,v1=%s", at.Unix(), hex.EncodeToString(mac.Sum(nil))))
}
