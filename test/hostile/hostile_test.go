// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestFloodsAreWhatTheySay: what waits for an answer is a whole request for the path with a body within the size of a large one, and what is kept open with a body
// that stalls is none.
func TestFloodsAreWhatTheySay(t *testing.T) {
	names := map[string]bool{}
	for _, f := range Floods("/weixin") {
		t.Run(f.Name, func(t *testing.T) {
			if names[f.Name] || f.Connections < 1 {
				t.Errorf("its name is there twice, or it has no connections")
			}
			names[f.Name] = true
			request, err := http.ReadRequest(bufio.NewReader(strings.NewReader(f.Text)))
			if f.Way != Answered {
				if err == nil && request.ContentLength > 0 {
					if n, err := io.Copy(io.Discard, request.Body); err == nil {
						t.Errorf("its body of %d bytes is whole: it is answered", n)
					}
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(request.Body)
			if err != nil || request.Host != Host || request.Method == http.MethodPost && request.URL.Path != "/weixin" {
				t.Errorf("%s to %s%s, error %v", request.Method, request.Host, request.URL.Path, err)
			}
			if len(body) > Largest && !strings.Contains(f.Name, "1 MiB") {
				t.Errorf("its body has %d bytes: the sidecar refuses it unread", len(body))
			}
		})
	}
}
