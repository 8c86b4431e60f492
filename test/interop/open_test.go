// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// TestOpenScript holds that open.mjs, by which the end-to-end tests judge replies, opens a good one and no other.
func TestOpenScript(t *testing.T) {
	const reply = "<xml><Content>好</Content></xml>"
	for name, form := range map[string]wechat.Form{"XML": wechat.FormXML, "JSON": wechat.FormJSON, "lower-case JSON": wechat.FormJSONLower} {
		t.Run(name, func(t *testing.T) {
			s := newStamp()
			encrypt := sealWith(t, reply, corpID, goodPadding)
			sealed := string(wechat.ReplyEnvelope(form, token, s.timestamp, s.nonce, encrypt))
			if message, err := openScript(t, corpID, sealed); err != nil || message != reply {
				t.Errorf("it opens %q: %v", message, err)
			}
			for what, wrong := range map[string]struct{ receiver, sealed string }{
				"another Encrypt":   {corpID, strings.Replace(sealed, encrypt, changed(encrypt), 1)},
				"another nonce":     {corpID, strings.Replace(sealed, s.nonce, changed(s.nonce), 1)},
				"another signature": {corpID, string(wechat.ReplyEnvelope(form, "another-token", s.timestamp, s.nonce, encrypt))},
				"another receiver":  {suiteID, sealed},
				"no receiver":       {"", sealed},
				"no envelope":       {corpID, "success"},
			} {
				if message, err := openScript(t, wrong.receiver, wrong.sealed); err == nil || message != "" {
					t.Errorf("%s: it opens %q: %v", what, message, err)
				}
			}
		})
	}
}

func openScript(t *testing.T, receiver, reply string) (string, error) {
	t.Helper()
	question, err := json.Marshal(map[string]string{"token": token, "encodingAESKey": aesKey, "receiverID": receiver, "reply": reply})
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "node", "open.mjs")
	command.Stdin = strings.NewReader(string(question))
	message, err := command.Output()
	return string(message), err
}
