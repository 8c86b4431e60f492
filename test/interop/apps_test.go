// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	silenceper "github.com/silenceper/wechat/v2"
	"github.com/silenceper/wechat/v2/cache"
	oaconfig "github.com/silenceper/wechat/v2/officialaccount/config"
	"github.com/silenceper/wechat/v2/officialaccount/message"
	"github.com/sirupsen/logrus"
	"github.com/xen0n/go-workwx"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
)

// sdk is other people's code that is the app: it gets what WeChat sent, verifies and decrypts it once more, and answers.
type sdk struct {
	name     string
	start    func(*testing.T, account) string // returns its URL
	accounts []string
	silent   bool // it replies to nobody
}

var xmlAccounts = []string{"OfficialAccount Plaintext", "OfficialAccount Compatible", "OfficialAccount Encrypted"}

var sdks = []sdk{
	{name: "co-wechat", start: startNode("co-wechat"), accounts: append([]string{"MiniProgram Encrypted XML"}, xmlAccounts...)},
	{name: "wechat", start: startNode("wechat"), accounts: append([]string{"MiniProgram Encrypted XML"}, xmlAccounts...)},
	{name: "node-easywechat OfficialAccount", start: startNode("node-easywechat OfficialAccount"), accounts: xmlAccounts},
	{name: "node-easywechat MiniApp", start: startNode("node-easywechat MiniApp"), accounts: []string{"MiniProgram Encrypted XML"}},
	{name: "node-easywechat Work", start: startNode("node-easywechat Work"), accounts: []string{"WeCom app"}},
	{name: "silenceper/wechat", start: startSilenceper, accounts: append([]string{"MiniProgram Encrypted XML"}, xmlAccounts...)},
	{name: "go-workwx", start: startWorkwx, accounts: []string{"WeCom app", "WeCom suite data"}, silent: true},
}

// TestAsTheApp puts SDKs behind the sidecar, unmodified, in every mode that they know.
func TestAsTheApp(t *testing.T) {
	for _, s := range sdks {
		for _, name := range s.accounts {
			try(t, s.name, name, "as the app, payload Original", func(t *testing.T) { playFor(t, s, named(name)) })
		}
	}
}

func playFor(t *testing.T, s sdk, a account) {
	r := start(t, a, s.start(t, a), config.PayloadOriginal, config.Pair{Token: token, EncodingAESKey: aesKey})
	sender := senderOf(a, r.url)
	if refusal := wechattest.Diagnose(sender.URLCheck(t.Context())); refusal != nil {
		t.Errorf("the URL check: %v", refusal)
	}
	answer, err := sender.Post(t.Context(), []byte(a.text("hi")))
	if err != nil || answer.Status != http.StatusOK {
		t.Fatalf("the message is answered %d %q: %v", answer.Status, answer.Body, err)
	}
	reply := string(answer.Body)
	if s.silent {
		if reply != "" {
			t.Errorf("the reply is %q, not nothing", reply)
		}
		return
	}
	if a.encrypted() {
		opened, err := sender.OpenReply(answer.Body)
		if err != nil {
			t.Fatalf("the reply cannot be opened: %v: %s", err, reply)
		}
		reply = string(opened)
	}
	if fields := wechat.ReadFields([]byte(reply)); fields.ToUserName != userID || !strings.Contains(reply, "you said: hi") {
		t.Errorf("the reply is %s", reply)
	}
}

// senderOf plays WeChat for an account.
func senderOf(a account, url string) *wechattest.Sender {
	sender := &wechattest.Sender{URL: url, Token: token, ReceiverID: a.receiver(), WeCom: a.weCom(), Cleartext: a.mode == config.ModeCompatible}
	if a.encrypted() {
		sender.EncodingAESKey = aesKey
	}
	if a.json {
		sender.Form = wechat.FormJSON
	}
	return sender
}

// startNode starts app.mjs with one of its SDKs.
func startNode(name string) func(*testing.T, account) string {
	return func(t *testing.T, a account) string {
		t.Helper()
		command := exec.CommandContext(t.Context(), "node", "--no-deprecation", "app.mjs")
		stdin, err := command.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		stdout, err := command.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := command.Start(); err != nil {
			t.Fatalf("starting node (run test/interop/setup first): %v", err)
		}
		t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
		values := map[string]string{"sdk": name, "token": token, "id": a.receiver()}
		if a.encrypted() {
			values["key"] = aesKey
		}
		if err := json.NewEncoder(stdin).Encode(values); err != nil {
			t.Fatal(err)
		}
		port, err := bufio.NewReader(stdout).ReadString('\n')
		if _, number := strconv.Atoi(strings.TrimSpace(port)); err != nil || number != nil {
			t.Fatalf("the app did not start: %q, %v", port, err)
		}
		return "http://127.0.0.1:" + strings.TrimSpace(port)
	}
}

func startSilenceper(t *testing.T, a account) string {
	t.Helper()
	settings := &oaconfig.Config{AppID: a.receiver(), AppSecret: "unused", Token: token, Cache: cache.NewMemory()}
	if a.encrypted() {
		settings.EncodingAESKey = aesKey
	}
	logrus.SetOutput(io.Discard) // it logs every message
	official := silenceper.NewWechat().GetOfficialAccount(settings)
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		server := official.GetServer(r, w)
		server.SetMessageHandler(func(m *message.MixMessage) *message.Reply {
			return &message.Reply{MsgType: message.MsgTypeText, MsgData: message.NewText("you said: " + m.Content)}
		})
		err := server.Serve()
		if err == nil {
			err = server.Send()
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
}

// workwxMessages takes what go-workwx verified; that SDK answers nothing.
type workwxMessages struct{ t *testing.T }

func (h workwxMessages) OnIncomingMessage(m *workwx.RxMessage) error {
	if text, ok := m.Text(); !ok || text.GetContent() != "hi" || m.FromUserID != userID {
		h.t.Errorf("go-workwx reads %v", m)
		return fmt.Errorf("not the message that was sent")
	}
	return nil
}

func startWorkwx(t *testing.T, _ account) string {
	t.Helper()
	handler, err := workwx.NewHTTPHandler(token, aesKey, workwxMessages{t})
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, handler.ServeHTTP)
}

func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}
