// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package urlcheck_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/wechatendpoint/wechatendpoint/cmd/operator/internal/urlcheck"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
)

func TestRun(t *testing.T) {
	var late atomic.Int32
	for name, test := range map[string]struct {
		serve http.HandlerFunc
		token string // in place of the right one
		err   string // part of it; empty for none
		says  string
	}{
		"a right endpoint passes": {serve: wechattest.Correct, says: "ok: a forged one is refused"},
		"one that is not there yet is waited for": {serve: func(w http.ResponseWriter, r *http.Request) {
			if late.Add(1) == 1 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			wechattest.Correct(w, r)
		}, says: "not yet: "},
		"one with another token does not": {serve: wechattest.Correct, token: "AnotherOne1", err: "kubectl -n platform describe wechatendpoint shop"},
		"one that echoes what nobody signed fails": {serve: func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(r.URL.Query().Get("echostr")))
		}, err: "a forged URL check is answered with 200"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sender := wechattest.Serve(t, test.serve)
			file := filepath.Join(t.TempDir(), "token")
			if test.token == "" {
				test.token = sender.Token
			}
			if err := os.WriteFile(file, []byte(test.token), 0o600); err != nil {
				t.Fatal(err)
			}
			var said strings.Builder
			err := urlcheck.Run(t.Context(), []string{
				"--url=http://wx.example.com/weixin", "--address=" + sender.Address, "--token-file=" + file, "--endpoint=platform/shop", "--within=1500ms",
			}, &said)
			if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("it says %v, want %q in it", err, test.err)
			}
			if !strings.Contains(said.String(), test.says) {
				t.Errorf("it writes %q, want %q in it", said.String(), test.says)
			}
			if all := said.String() + "\n"; strings.Contains(all, test.token) {
				t.Errorf("it tells the token: %s", all)
			}
		})
	}
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		err  string
	}{
		"no URL":            {[]string{"--token-file=a"}, "--url and --token-file are required"},
		"no file":           {[]string{"--url=http://a"}, "--url and --token-file are required"},
		"a file that is no": {[]string{"--url=http://a", "--token-file=" + filepath.Join(t.TempDir(), "none")}, "reading the token"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := urlcheck.Run(t.Context(), test.args, &strings.Builder{}); err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("it says %v, want %q in it", err, test.err)
			}
		})
	}
}
