//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
)

// kind is a kind of account: the sample of its platform, what is changed of it, and whom the sender plays.
type kind struct {
	sample  string
	change  func(*v1alpha1.WeChatEndpointSpec)
	below   string // of the path, with a placeholder
	host    string // its own one, below that of the stage, of which it has all paths
	query   string // that the app is called with
	plays   caller.Sender
	message func(content string) []byte
	reply   string // what the app's reply holds before the content; empty where the platform has none
	answer  string // where the platform has none
	noCheck bool   // the platform has no URL check
}

// kinds are the platforms in their modes.
func kinds() map[string]kind {
	mode := func(mode v1alpha1.MessageMode) func(*v1alpha1.WeChatEndpointSpec) {
		return func(spec *v1alpha1.WeChatEndpointSpec) { spec.MessageMode = mode }
	}
	whole := func(url string) func(*v1alpha1.WeChatEndpointSpec) {
		return func(spec *v1alpha1.WeChatEndpointSpec) {
			spec.URL.Path, spec.URL.Query, _ = strings.Cut(url, "?")
			spec.DomainFiles = []v1alpha1.DomainFile{{Name: "MP_verify_abc.txt", Content: "abc"}}
		}
	}
	receivers := func(ids ...string) func(*v1alpha1.WeChatEndpointSpec) {
		return func(spec *v1alpha1.WeChatEndpointSpec) { spec.ReceiverIDs, spec.DomainFiles = ids, nil }
	}
	at := func(url string, sender caller.Sender) caller.Sender {
		sender.URL = url
		return sender
	}
	const appID, corpID, suiteID, said = "wx5823bf96d3bd56c7", "wwddddccc7775555aaa", "ww4asffe9xxx4c0f4c", "you said: "
	official := caller.Sender{EncodingAESKey: sampleKey, ReceiverID: appID}
	inJSON := caller.Sender{EncodingAESKey: sampleKey, ReceiverID: appID, Form: wechat.FormJSON}
	compatible, compatibleJSON := official, inJSON
	compatible.Cleartext, compatibleJSON.Cleartext = true, true
	weCom := func(receiver, path string) caller.Sender {
		return caller.Sender{URL: path, EncodingAESKey: sampleKey, ReceiverID: receiver, WeCom: true}
	}
	bot := caller.Sender{EncodingAESKey: sampleKey, Form: wechat.FormJSONLower, WeCom: true}
	return map[string]kind{
		"official-plaintext":   {sample: "officialaccount", message: textMessage, reply: said},
		"official-compatible":  {sample: "officialaccount", change: mode("Compatible"), plays: compatible, message: textMessage, reply: said},
		"official-encrypted":   {sample: "officialaccount", change: mode("Encrypted"), plays: official, message: textMessage, reply: said},
		"mini-plaintext":       {sample: "miniprogram", change: mode("Plaintext"), message: jsonMessage, reply: said},
		"mini-compatible-json": {sample: "miniprogram", change: mode("Compatible"), plays: compatibleJSON, message: jsonMessage, reply: said},
		"mini-encrypted-json":  {sample: "miniprogram", plays: inJSON, message: jsonMessage, reply: said},
		"mini-encrypted-xml":   {sample: "miniprogram", plays: official, message: textMessage, reply: said},
		"store":                {sample: "shop", plays: inJSON, message: jsonMessage, reply: said},
		"wecom-app":            {sample: "wecom", plays: weCom(corpID, ""), message: textMessage, reply: said},
		"wecom-bot":            {sample: "wecom", change: receivers(""), plays: bot, message: botMessage, reply: said},
		"wecom-suite-commands": {sample: "wecom", change: receivers(suiteID, corpID), plays: weCom(suiteID, ""), message: suiteTicket, answer: wechat.Success},
		"wecom-suite-data": {
			sample: "wecom", change: receivers("$CORPID$"), below: "/$CORPID$", plays: weCom("wwauthorizer", "/wwauthorizer"),
			message: textMessage, reply: said,
		},
		"official-root": {sample: "officialaccount", host: "root", change: whole("/"), plays: at("/", caller.Sender{}), message: textMessage, reply: said},
		"open-first-segment": {
			sample: "openplatform", host: "first", change: whole("/$APPID$/callback"), message: textMessage, reply: said, noCheck: true,
			plays: at("/wxauthorizer/callback", official),
		},
		"official-query": {
			sample: "officialaccount", host: "query", change: whole("/api.php?id=5&appid=/$APPID$"), plays: at("/api.php?id=5&appid=/wx1&encrypt_type=AES", caller.Sender{}),
			message: textMessage, reply: said, query: "id=5&appid=/wx1",
		},
		"open-tickets": {sample: "openplatform", plays: official, message: componentTicket, answer: wechat.Success, noCheck: true},
		"open-authorizer": {
			sample: "openplatform", below: "/$APPID$/callback", message: textMessage, reply: said, noCheck: true,
			plays: caller.Sender{URL: "/wxauthorizer/callback", EncodingAESKey: sampleKey, ReceiverID: appID},
		},
	}
}

// sampleKey is the EncodingAESKey of the samples.
const sampleKey = "Replace0With0Your0EncodingAESKey0abcdefghij"

func textMessage(content string) []byte {
	return caller.TextMessage(caller.DefaultAccount, openID, content, "6054768590064713728", time.Now())
}

func jsonMessage(content string) []byte {
	return caller.JSONTextMessage(caller.DefaultAccount, openID, content, 7_205_476_859_006_471_372, time.Now())
}

func botMessage(content string) []byte {
	return caller.BotTextMessage("bot", openID, content, "CAIQ16")
}

func componentTicket(content string) []byte {
	return caller.ComponentTicket("wx5823bf96d3bd56c7", content, time.Now())
}

func suiteTicket(content string) []byte {
	return caller.SuiteTicket("ww4asffe9xxx4c0f4c", content, time.Now())
}

// TestEveryKindOfAccount applies the samples, and what they become in other modes, and plays WeChat for each of them. They
// share a namespace, a host and an app.
func TestEveryKindOfAccount(t *testing.T) {
	t.Parallel()
	shared := newStage(t, "accounts")
	t.Run("of one host", func(t *testing.T) {
		for name, k := range kinds() {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := shared.apply(t, name, k, 1)
				s.playsAlong(t, k)
				seen := s.mine(t)
				if len(seen) != 1 || !strings.Contains(seen[0].Body, "sealed words") || strings.Contains(seen[0].Body, "Encrypt") || seen[0].Query != k.query {
					t.Errorf("of one message that came three times at once, the app saw %+v", seen)
				}
				s.refusesForgeries(t, k)
			})
		}
		t.Run("pay", func(t *testing.T) {
			t.Parallel()
			shared.playsPay(t)
		})
	})
}

// apply makes the Secret and the endpoint of a sample, waits until it is published, and returns a stage of that endpoint.
func (s *stage) apply(t *testing.T, name string, k kind, replicas int32) *stage {
	t.Helper()
	own, secret, endpoint := s.sample(t, k.sample, name)
	secret.StringData[v1alpha1.KeyEncodingAESKey] = sampleKey // the sample of an Official Account has none
	endpoint.Spec.URL.Path += k.below
	if s.gateway == "" {
		endpoint.Spec.Sidecar.Replicas = &replicas
	}
	if k.change != nil {
		k.change(&endpoint.Spec)
	}
	prefix := "/" + name
	if k.host != "" {
		own.host, prefix = k.host+"."+s.host, ""
		endpoint.Spec.URL.Host = own.host
	}
	s.create(t, secret, endpoint)
	own.plays = func() caller.Sender {
		sender := k.plays
		sender.URL = prefix + sender.URL
		return sender
	}
	own.awaitReady(t)
	own.hasDomainFiles(t, endpoint.Spec.DomainFiles)
	if k.noCheck {
		own.awaitRefusals(t)
	} else {
		own.awaitPublished(t)
	}
	return own
}

// sample reads the Secret and the endpoint of a sample, gives them another name, the host, the class and the app of the
// stage, and returns them with a stage of that endpoint.
func (s *stage) sample(t *testing.T, file, name string) (*stage, *corev1.Secret, *v1alpha1.WeChatEndpoint) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", "config", "samples", file+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	first, second, found := strings.Cut(string(content), "\n---\n")
	var secret corev1.Secret
	var endpoint v1alpha1.WeChatEndpoint
	if err := errors.Join(yaml.UnmarshalStrict([]byte(first), &secret), yaml.UnmarshalStrict([]byte(second), &endpoint)); err != nil || !found {
		t.Fatalf("the sample %s is not a Secret and an endpoint: %v", file, err)
	}
	one := int32(1)
	secret.Namespace, secret.Name = s.namespace, name
	endpoint.ObjectMeta = s.object(name)
	spec := &endpoint.Spec
	spec.Credentials.SecretName, spec.URL.Host, spec.URL.Path = name, s.host, "/"+name
	spec.URL.Ingress = &v1alpha1.IngressExposure{ClassName: kube.className}
	spec.Backend.Service.Name, spec.Backend.Path, spec.Sidecar.Replicas = appName, "/weixin/", &one
	if s.gateway != "" {
		spec.Gateway, spec.Sidecar = &v1alpha1.GatewayReference{Name: s.gateway}, v1alpha1.Sidecar{}
	}
	own := *s
	own.name, own.path, own.token = name, "/"+name, secret.StringData[v1alpha1.KeyToken]
	return &own, &secret, &endpoint
}

// hasDomainFiles wants the files of the endpoint on its host.
func (s *stage) hasDomainFiles(t *testing.T, files []v1alpha1.DomainFile) {
	t.Helper()
	for _, file := range files {
		eventually(t, patience, file.Name, func(ctx context.Context) error {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+kube.ingressAddress+"/"+file.Name, http.NoBody)
			if err != nil {
				return err
			}
			request.Host = s.host
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				return err
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err == nil && (response.StatusCode != http.StatusOK || string(body) != file.Content) {
				err = fmt.Errorf("answered with %d %q", response.StatusCode, body)
			}
			return err
		})
	}
}

// awaitRefusals waits until the sidecar answers, where nothing can be asked of it but to refuse.
func (s *stage) awaitRefusals(t *testing.T) {
	t.Helper()
	eventually(t, patience, "the sidecar to refuse a forgery", func(ctx context.Context) error {
		answer, err := s.sender().Post(ctx, textMessage("forged"), wechattest.WithToken("GuessedToken"))
		if err == nil && answer.Status != http.StatusForbidden {
			err = fmt.Errorf("it was answered with %d", answer.Status)
		}
		return err
	})
}

// playsAlong sends one message three times at once, and wants the right answer each time.
func (s *stage) playsAlong(t *testing.T, k kind) {
	t.Helper()
	request, err := s.sender().NewPost(k.message("sealed words"))
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			answer, err := s.sender().Send(t.Context(), request)
			if err != nil || answer.Status != http.StatusOK {
				t.Errorf("answered %d: %v", answer.Status, err)
				return
			}
			reply := string(answer.Body)
			if k.reply != "" && k.plays.EncodingAESKey != "" {
				reply = s.opened(t, answer.Body)
			}
			if k.reply == "" && reply != k.answer || !strings.Contains(reply, k.reply) || k.reply != "" && !strings.Contains(reply, "sealed words") {
				t.Errorf("the reply is %q", reply)
			}
		})
	}
	group.Wait()
}

// opened opens a sealed reply, here and with Tencent's own library, which must find the same.
func (s *stage) opened(t *testing.T, reply []byte) string {
	opened, err := s.sender().OpenReply(reply)
	if err != nil {
		t.Errorf("the sealed reply cannot be opened: %v", err)
	}
	account := s.plays()
	question, err := json.Marshal(map[string]string{
		"token": s.token, "encodingAESKey": account.EncodingAESKey, "receiverID": account.ReceiverID, "reply": string(reply),
	})
	if err != nil {
		t.Error(err)
	}
	var stderr bytes.Buffer
	command := exec.CommandContext(t.Context(), "node", filepath.Join("..", "interop", "open.mjs"))
	command.Stdin, command.Stderr = bytes.NewReader(question), &stderr
	found, err := command.Output()
	if err != nil || strings.TrimSuffix(string(found), "\n") != string(opened) {
		t.Errorf("%v: Tencent's library reads %q in the sealed reply, not %q\n%s", err, found, opened, stderr.String())
	}
	return string(opened)
}

// refusesForgeries sends what must not pass, and wants that the app sees none of it.
func (s *stage) refusesForgeries(t *testing.T, k kind) {
	t.Helper()
	before := len(s.mine(t))
	forged := map[string][]caller.Mutation{
		"a forged message":   {wechattest.WithToken("GuessedToken")},
		"a doubled nonce":    {wechattest.WithDuplicate("nonce", "1")},
		"a stale message":    {wechattest.WithTime(time.Now().Add(-26 * time.Hour))},
		"an unsigned one":    {wechattest.WithoutParameter("msg_signature"), wechattest.WithoutParameter("signature")},
		"one from to-morrow": {wechattest.WithTime(time.Now().Add(24 * time.Hour))},
	}
	senders := map[string]*caller.Sender{}
	if k.plays.EncodingAESKey != "" {
		forged["without msg_signature"] = []caller.Mutation{wechattest.WithoutParameter("msg_signature")}
		downgraded, foreign := *s.sender(), *s.sender()
		downgraded.EncodingAESKey, downgraded.WeCom = "", false
		foreign.ReceiverID = "wxforeign"
		senders["a downgraded message"], senders["one for another account"] = &downgraded, &foreign
	}
	check := func(what string, answer caller.Answer, err error) {
		if err != nil || answer.Status != http.StatusForbidden || len(answer.Body) > 0 {
			t.Errorf("%s was answered %d %q: %v", what, answer.Status, answer.Body, err)
		}
	}
	for what, mutations := range forged {
		answer, err := s.sender().Post(t.Context(), k.message(what), mutations...)
		check(what, answer, err)
	}
	for what, sender := range senders {
		answer, err := sender.Post(t.Context(), k.message(what))
		check(what, answer, err)
	}
	if seen := s.mine(t); len(seen) != before {
		t.Errorf("the app saw what must not pass: %+v", seen[before:])
	}
}

// mine are the messages that the app saw of this stage's endpoint.
func (s *stage) mine(t *testing.T) []entry {
	t.Helper()
	return slices.DeleteFunc(s.seen(t).Messages, func(e entry) bool { return e.Headers["X-Wechat-Endpoint"] != s.namespace+"/"+s.name })
}
