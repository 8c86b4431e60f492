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
	"sync/atomic"
	"testing"

	silenceper "github.com/silenceper/wechat/v2"
	"github.com/silenceper/wechat/v2/cache"
	oaconfig "github.com/silenceper/wechat/v2/officialaccount/config"
	"github.com/silenceper/wechat/v2/officialaccount/message"
	"github.com/sirupsen/logrus"
	"github.com/xen0n/go-workwx"

	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

// sdk is other people's code that is the app: it gets what WeChat sent, verifies and decrypts it once more, and answers.
type sdk struct {
	name     string
	start    func(*testing.T, account) sdkApp
	accounts []string
	silent   bool // it replies to nobody
}

// envelopes are the accounts whose messages are in the XML that an SDK for Official Accounts reads.
var envelopes = []string{
	"OfficialAccount Plaintext XML", "OfficialAccount Compatible XML", "OfficialAccount Encrypted XML",
	"MiniProgram Plaintext XML", "MiniProgram Compatible XML", "MiniProgram Encrypted XML", "OpenPlatform Encrypted authorizer",
}

var sdks = []sdk{
	{name: "co-wechat", start: startNode("co-wechat"), accounts: envelopes},
	{name: "wechat", start: startNode("wechat"), accounts: envelopes},
	{name: "node-easywechat OfficialAccount", start: startNode("node-easywechat OfficialAccount"), accounts: envelopes[:3]},
	{name: "node-easywechat MiniApp", start: startNode("node-easywechat MiniApp"), accounts: envelopes[4:6]}, // no plaintext; see TestDeviations,
	{name: "node-easywechat Work", start: startNode("node-easywechat Work"), accounts: []string{"WeCom Encrypted app"}},
	{name: "node-easywechat OpenWork", start: startNode("node-easywechat OpenWork"), accounts: []string{"WeCom Encrypted suite commands"}},
	{name: "node-easywechat OpenPlatform", start: startNode("node-easywechat OpenPlatform"), accounts: []string{"OpenPlatform Encrypted tickets"}},
	{name: "silenceper/wechat", start: startSilenceper, accounts: envelopes},
	{name: "go-workwx", start: startWorkwx, accounts: []string{"WeCom Encrypted app", "WeCom Encrypted suite data"}, silent: true},
}

// TestAsTheApp puts SDKs behind the sidecar, unmodified, in every mode that they know. Tencent's own library is WeChat.
func TestAsTheApp(t *testing.T) {
	signer := newSigner(t)
	for _, s := range sdks {
		for _, name := range s.accounts {
			a := named(name)
			try(t, s.name, a, "as the app, Original", func(t *trial) { playForSDK(t, s, library{signer, "@wecom/crypto", a}) })
		}
	}
}

func playForSDK(t *trial, s sdk, l library) {
	behind := s.start(t.T, l.account)
	r := start(t.T, l.account, behind.url, config.PayloadOriginal, config.Pair{Token: token, EncodingAESKey: aesKey})
	reply := l.play(t, r, behind, l.account.text("hi"))
	switch {
	case l.account.ticket:
	case s.silent:
		if reply != "" {
			t.Errorf("the reply is %q, not nothing", reply)
		}
	case wechat.ReadFields([]byte(reply)).ToUserName != userID || !strings.Contains(reply, "you said: hi"):
		t.Errorf("the reply is %s", reply)
	}
}

// sdkApp is a server that holds an SDK. Beside it, and unknown to the SDK, it says how often that was called.
type sdkApp struct{ url string }

const callsPath = "/.calls"

func (s sdkApp) calls(t *testing.T) int {
	t.Helper()
	_, body := call(t, http.MethodGet, s.url+callsPath, nil, nil, "")
	calls, err := strconv.Atoi(body)
	if err != nil {
		t.Fatal(err)
	}
	return calls
}

// startNode starts app.mjs with one of its SDKs.
func startNode(name string) func(*testing.T, account) sdkApp {
	return func(t *testing.T, a account) sdkApp {
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
		values := map[string]string{"sdk": name, "token": token, "id": a.receiver(), "provider": providerID}
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
		return sdkApp{"http://127.0.0.1:" + strings.TrimSpace(port)}
	}
}

func startSilenceper(t *testing.T, a account) sdkApp {
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

func startWorkwx(t *testing.T, _ account) sdkApp {
	t.Helper()
	handler, err := workwx.NewHTTPHandler(token, aesKey, workwxMessages{t})
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, handler.ServeHTTP)
}

func serve(t *testing.T, handler http.HandlerFunc) sdkApp {
	t.Helper()
	var calls atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == callsPath {
			fmt.Fprint(w, calls.Load())
			return
		}
		calls.Add(1)
		handler(w, r)
	}))
	t.Cleanup(server.Close)
	return sdkApp{server.URL}
}
