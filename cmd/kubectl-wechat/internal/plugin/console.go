// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"fmt"
	"strings"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
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

// consoleStep is one thing to do at the console: what, with which field of it, and what belongs there.
type consoleStep struct {
	label, field string
	value        text.Text
	// key is where the value stands in the Secret; empty for what is no secret.
	key string
}

// consoleSteps are what to do there, in its order.
func consoleSteps(endpoint *v1alpha1.WeChatEndpoint) []consoleStep {
	page, spec := consolePages[endpoint.Spec.Platform], endpoint.Spec
	steps := []consoleStep{{label: "page", value: text.Verbatim(page.now)}}
	if page.before != "" {
		steps = append(steps, consoleStep{label: "before", value: text.Verbatim(page.before)})
	}
	if spec.Platform == v1alpha1.PlatformPay {
		return append(steps, consoleStep{label: "enter", field: "notify_url", value: urlOrWhy(endpoint)})
	}
	steps = append(steps,
		consoleStep{label: "compare", field: map[bool]string{true: "企业ID", false: "AppID"}[spec.Platform == v1alpha1.PlatformWeCom], value: text.Verbatim(spec.AppID)},
		consoleStep{label: "enter", field: urlField(endpoint), value: urlOrWhy(endpoint)},
		consoleStep{label: "enter", field: "Token", key: v1alpha1.KeyToken})
	if accountOf(options{}, endpoint).encrypted() {
		steps = append(steps, consoleStep{label: "enter", field: "EncodingAESKey", key: v1alpha1.KeyEncodingAESKey})
	}
	if name := modeNames[spec.MessageMode]; name != "" && spec.Platform != v1alpha1.PlatformWeCom {
		steps = append(steps, consoleStep{label: "choose", field: "消息加解密方式", value: text.Verbatim(name)})
	}
	for _, file := range spec.DomainFiles {
		steps = append(steps, consoleStep{label: "served", value: text.Verbatim("/" + file.Name)})
	}
	return steps
}

// secretCommand is the command that prints a value of the endpoint's Secret.
func secretCommand(endpoint *v1alpha1.WeChatEndpoint, key string) string {
	return fmt.Sprintf("kubectl -n %s get secret %s -o jsonpath='{.data.%s}' | base64 -d", endpoint.Namespace, endpoint.Spec.Credentials.SecretName, key)
}

// consoleVerdict says what to do when all is entered, or why it is too early.
func consoleVerdict(endpoint *v1alpha1.WeChatEndpoint) (ready text.Text, tooEarly text.Text, why *refusal) {
	page := consolePages[endpoint.Spec.Platform]
	if endpoint.Spec.Platform == v1alpha1.PlatformPay {
		return text.New("no console asks for the URL: the app passes it as notify_url with each order; the APIv3 key and the public key go from that page into Secret %s",
			endpoint.Spec.Credentials.SecretName), text.Text{}, nil
	}
	if hindrance := firstHindrance(endpoint); hindrance != "" {
		return text.Text{}, text.New("do not press %s yet: ", page.save), &refusal{cause: text.New("the endpoint is not ready: %s", printable(hindrance)),
			remedy: text.New("kubectl wechat doctor %s -n %s", endpoint.Name, endpoint.Namespace)}
	}
	return text.New("enter them in this order, then press %s: WeChat checks the URL at once", page.save), text.Text{}, nil
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
	r := p.report(p.Stdout)
	r.endpoint(target{endpoint: endpoint})
	var pair config.Pair
	if o.show && endpoint.Spec.Platform != v1alpha1.PlatformPay {
		keys := vault{plugin: p, reader: reader, endpoint: endpoint}
		if pair, err = keys.pair(ctx, o, accountOf(o, endpoint)); err != nil {
			return 0, err
		}
	}
	for _, step := range consoleSteps(endpoint) {
		r.consoleStep(step, endpoint, o.show, pair)
	}
	ready, tooEarly, why := consoleVerdict(endpoint)
	if why != nil {
		return r.refused(tooEarly, why), nil
	}
	return r.ok("%s", ready), nil
}

// consoleStep shows a step; the value of a secret if that is asked for, and otherwise the command that prints it.
func (r report) consoleStep(step consoleStep, endpoint *v1alpha1.WeChatEndpoint, show bool, pair config.Pair) {
	switch {
	case step.key != "" && show:
		fmt.Fprintf(r.out, "%s %s: %s\n", text.Pad(r.plugin.say(step.label), 9), step.field, map[string]string{v1alpha1.KeyToken: pair.Token, v1alpha1.KeyEncodingAESKey: pair.EncodingAESKey}[step.key])
	case step.key != "":
		r.line(step.label, "%s: what this prints: %s", step.field, secretCommand(endpoint, step.key))
	case step.field != "":
		r.line(step.label, "%s: %s", step.field, step.value)
	default:
		r.line(step.label, "%s", step.value)
	}
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
