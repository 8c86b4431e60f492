// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"fmt"
	"strings"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
)

// consolePage is where a kind of account is set up: pages moved, and not everybody's at once.
type consolePage struct {
	now, before string
	save        string // the button
}

// consolePages are the pages by their Chinese names, as docs/spec has them. Menus have no English names.
var consolePages = map[v1alpha1.Platform]consolePage{
	v1alpha1.PlatformOfficialAccount: {"developers.weixin.qq.com/platform → 我的业务 → 公众号 / 服务号 → 基础信息 → 域名与消息推送配置", "mp.weixin.qq.com → 设置与开发 → 基本配置 → 服务器配置", "提交"},
	v1alpha1.PlatformMiniProgram:     {"developers.weixin.qq.com/platform → 我的业务 → 小程序 / 小游戏 → 消息与事件推送", "mp.weixin.qq.com → 管理 → 开发管理 → 消息推送配置", "提交"},
	v1alpha1.PlatformShop:            {"developers.weixin.qq.com/platform → 我的业务 → 微信小店 → 消息与事件推送", "channels.weixin.qq.com/shop → 服务市场 → 自研 → 消息推送", "提交"},
	v1alpha1.PlatformWeCom:           {"work.weixin.qq.com → 管理后台 → 应用管理 → 应用 → 接收消息 → 设置API接收 (智能机器人: API 模式; 第三方应用: 回调配置)", "", "保存"},
	v1alpha1.PlatformOpenPlatform:    {"developers.weixin.qq.com/platform → 我的业务 → 第三方平台", "open.weixin.qq.com → 管理中心 → 第三方平台 → 开发配置 → 开发资料", "保存"},
	v1alpha1.PlatformPay:             {"pay.weixin.qq.com → 账户中心 → API安全", "", ""},
}

// modeNames are the names of the modes in the console.
var modeNames = map[v1alpha1.MessageMode]string{
	v1alpha1.MessageModePlaintext: "明文模式", v1alpha1.MessageModeCompatible: "兼容模式", v1alpha1.MessageModeEncrypted: "安全模式",
}

// console says what to enter on which page, in which order. Tokens and keys are shown to who asks for them at a terminal: a file or a
// log would keep them.
func (p Plugin) console(ctx context.Context, o options) (int, error) {
	if o.show && !p.onTerminal(p.Stdout) {
		return 0, text.Errorf("--reveal shows tokens and keys on a terminal only, and standard output is none: leave it out for the commands that print them")
	}
	reader, endpoint, err := p.endpoint(ctx, o)
	if err != nil {
		return 0, err
	}
	r, page, spec := p.report(p.Stdout), consolePages[endpoint.Spec.Platform], endpoint.Spec
	r.endpoint(target{endpoint: endpoint})
	r.line("page", "%s", page.now)
	if page.before != "" {
		r.line("before", "%s", page.before)
	}
	if spec.Platform == v1alpha1.PlatformPay {
		r.line("enter", "%s: %s", "notify_url", urlOrWhy(endpoint))
		return r.ok("no console asks for the URL: the app passes it as notify_url with each order; the APIv3 key and the public key go from that page into Secret %s", spec.Credentials.SecretName), nil
	}
	r.line("compare", "%s: %s", map[bool]string{true: "企业ID", false: "AppID"}[spec.Platform == v1alpha1.PlatformWeCom], spec.AppID)
	r.line("enter", "%s: %s", urlField(endpoint), urlOrWhy(endpoint))
	if err := p.consoleSecrets(ctx, r, o, &vault{plugin: p, reader: reader, endpoint: endpoint}); err != nil {
		return 0, err
	}
	if name := modeNames[spec.MessageMode]; name != "" && spec.Platform != v1alpha1.PlatformWeCom {
		r.line("choose", "%s: %s", "消息加解密方式", name)
	}
	for _, file := range spec.DomainFiles {
		r.line("served", "%s", "/"+file.Name)
	}
	if why := firstHindrance(endpoint); why != "" {
		return r.refused(text.New("do not press %s yet: ", page.save), &refusal{cause: text.New("the endpoint is not ready: %s", printable(why)),
			remedy: text.New("kubectl wechat doctor %s -n %s", endpoint.Name, endpoint.Namespace)}), nil
	}
	return r.ok("enter them in this order, then press %s: WeChat checks the URL at once", page.save), nil
}

// urlField is the name of the field for the URL.
func urlField(endpoint *v1alpha1.WeChatEndpoint) string {
	switch {
	case endpoint.Spec.Platform != v1alpha1.PlatformOpenPlatform:
		return "URL"
	case strings.Contains(endpoint.Spec.URL.Path+endpoint.Spec.URL.Query, "$"):
		return "消息与事件接收URL"
	}
	return "授权事件接收URL"
}

func urlOrWhy(endpoint *v1alpha1.WeChatEndpoint) text.Text {
	if url := endpointURL(endpoint); url != "" {
		return text.Verbatim(url)
	}
	return text.New("not known yet: the endpoint has no host")
}

// consoleSecrets says the token and the key, or how to read them.
func (p Plugin) consoleSecrets(ctx context.Context, r report, o options, keys *vault) error {
	account := accountOf(o, keys.endpoint)
	fields := []struct{ label, key string }{{"Token", v1alpha1.KeyToken}}
	if account.encrypted() {
		fields = append(fields, struct{ label, key string }{"EncodingAESKey", v1alpha1.KeyEncodingAESKey})
	}
	if !o.show {
		for _, field := range fields {
			r.line("enter", "%s: what this prints: kubectl -n %s get secret %s -o jsonpath='{.data.%s}' | base64 -d", field.label, keys.endpoint.Namespace,
				keys.endpoint.Spec.Credentials.SecretName, field.key)
		}
		return nil
	}
	pair, err := keys.pair(ctx, o, account)
	if err != nil {
		return err
	}
	for _, field := range fields {
		fmt.Fprintf(p.Stdout, "%s %s: %s\n", text.Pad(p.say("enter"), 9), field.label, map[string]string{v1alpha1.KeyToken: pair.Token, v1alpha1.KeyEncodingAESKey: pair.EncodingAESKey}[field.key])
	}
	return nil
}

// firstHindrance is why the URL check of the console would fail by the word of the operator; empty where it says nothing.
func firstHindrance(endpoint *v1alpha1.WeChatEndpoint) string {
	if unobserved(endpoint) {
		return v1alpha1.ReasonNotObserved
	}
	for _, name := range []string{v1alpha1.ConditionAccepted, v1alpha1.ConditionCredentialsResolved, v1alpha1.ConditionSidecarAvailable, v1alpha1.ConditionRouteProgrammed, v1alpha1.ConditionVerified} {
		if why := hindrance(endpoint, name); why != "" {
			return why
		}
	}
	return ""
}
