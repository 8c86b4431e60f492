// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package exposition

// chinese has, by section of docs/metrics.md, the help of each metric in English and what docs/metrics.zh-CN.md says in its place. Prometheus
// shows the English help alone. Who changes it changes the text here too.
var chinese = map[string]map[string]string{
	"operator": {
		"When verification.enforcement InsecureAudit ends, or ended.":                                                                                                              "verification.enforcement 为 InsecureAudit 时，它将在或已在什么时候结束。",
		"Always 1: the operator's version, the commit and the version of Go that it was built from.":                                                                               "总是 1：operator 的版本、提交，以及构建所用的 Go 版本。",
		"When a certificate ends: url is the one that the published address showed last; pay is the one of WeChat Pay in the Secret that ends last, where no public key is there.": "证书的到期时间：url 是发布的地址最近一次出示的证书；pay 是 Secret 里最晚到期的微信支付平台证书，仅在没有微信支付公钥时。",
		"When WeChat was last seen using any of the accepted credentials, to the hour. It outlives the pods.":                                                                      "最近一次看到微信使用任一接受的凭据的时间，精确到小时。Pod 不在之后仍然保留。",
		"How many WeChatEndpoints the pods of a WeChatGateway are given.":                                                                                                          "交给一个 WeChatGateway 的 Pod 的 WeChatEndpoint 数量。",
		"How many WeChatEndpoints the pods of a WeChatGateway are not given, because there is no room for them; 256 are that many or more.":                                        "因为没有空间而没有交给 WeChatGateway 的 Pod 的 WeChatEndpoint 数量；256 表示有这么多或更多。",
		"How many pods of a WeChatGateway are ready.":                                                                                                                              "一个 WeChatGateway 有多少个 Pod 就绪。",
		"What a WeChatEndpoint is: always 1.":                                                                                                                                      "一个 WeChatEndpoint 是什么：总是 1。",
		"WeChatEndpoints and WeChatGateways with spec.paused: always 1. The others have no series.":                                                                                "设置了 spec.paused 的 WeChatEndpoint 和 WeChatGateway：总是 1。其他的没有序列。",
		"Since when newer credentials are accepted beside earlier ones, and WeChat was not seen using them: the console's form waits to be saved.":                                 "从什么时候起，新凭据与旧凭据同时接受，而还没有看到微信使用新凭据：等待在后台点“提交”。",
		"What each condition of a WeChatEndpoint or a WeChatGateway says now: always 1. What it does not say has no series.":                                                       "WeChatEndpoint 或 WeChatGateway 的每个条件现在的状态和原因：总是 1。其他状态和原因没有序列。",
		"WeChatEndpoints and WeChatGateways whose stored spec or status the operator cannot read as a whole: 1 for each, and at most 100 of each kind.":                            "operator 不能完整读取其 spec 或状态的 WeChatEndpoint 和 WeChatGateway：每个为 1，每种最多 100 个。",
	},
	"sidecar": {
		"Time from the head of a verified callback until its answer is ready, whatever that is. What is played does not count.": "从收到一个通过验证的回调的请求头，到应答准备好的时间，不论应答什么。模拟的请求不计。",
		"Time until the reply of an app, or until the deadline, for each app of an endpoint that has several.":                  "到某个应用回复或到截止时间为止的时间，endpoint 有多个应用时分别统计。",
		"Time until the app's reply, or until the deadline.":                                                                    "到应用回复或到截止时间为止的时间。",
		"Calls that failed after WeChat had been answered success in the app's place: their messages may be lost.":              "代应用对微信应答成功之后失败的调用：其消息可能丢失。",
		"Attempts to call the app after a first one that did not reach it.":                                                     "第一次没有到达应用之后，再次调用的次数。",
		"Signatures that are remembered with their first use.":                                                                  "记住了第一次使用的签名的数量。",
		"Signatures that were forgotten before they were stale, because memory is bounded.":                                     "因为内存有上限，在过期之前就忘掉的签名。",
		"Always 1: the sidecar's version, the commit and the version of Go that it was built from.":                             "总是 1：sidecar 的版本、提交，以及构建所用的 Go 版本。",
		"Verified callbacks, by what became of them.":                                                                           "通过验证的回调，按结果分。",
		"Documents on disk that cannot be served; the last good ones go on.":                                                    "磁盘上不能用来服务的文档数量；最后一份正确的继续使用。",
		"How often another pod was told which body came with a signature that covers none, by what came of it. It knows of no other one (agreed), or the message is refused, because it does (bound); a pod that is not reached does not know of it.":                  "告知另一个 Pod“某个不覆盖消息体的签名随哪个消息体而来”的次数，按结果分：对方没有别的记录（agreed），或对方记得另一个消息体，因此拒绝该消息（bound）；没有联系上的 Pod 则不知道。",
		"How often another pod was asked to take a callback, as the one that remembers its message for all pods, by what came of it. Its answer goes to WeChat (answered), it remembers nothing of what it may have had (not_held), or another pod takes the message.": "请求另一个 Pod（替所有 Pod 记住该消息的那个）接收回调的次数，按结果分：它的应答发给微信（answered），它可能有过但已不记得（not_held），或由别的 Pod 接收。",
		"Calls to the app that go on.":                                "正在进行的对应用的调用。",
		"When a callback of WeChat's was last verified, 0 for never.": "微信的回调最近一次通过验证的时间，0 表示从未。",
		"Verified messages, by the rule that decided what becomes of them: its index in spec.rules, from 0, or none where none matched.":                                  "通过验证的消息，按起决定作用的规则分：它在 spec.rules 里的序号，从 0 起；都不匹配时为 none。",
		"Lines that somebody who looks at messages with kubectl wechat listen did not get, because he reads too slowly. No callback waits for him.":                       "用 kubectl wechat listen 看消息的人因为读得太慢而没有收到的行数。没有回调会等他。",
		"Messages of users for whom somebody's computer answers (kubectl wechat listen --take-user), by what came of it. All but the answered ones went to the app then.": "由某人的电脑代为应答的用户的消息（kubectl wechat listen --take-user），按结果分。除了 answered，其余随后都交给了应用。",
		"How many look at messages with kubectl wechat listen now. /status says of which endpoints, and for how many users they answer.":                                  "现在有多少人在用 kubectl wechat listen 看消息。/status 说明是哪些 endpoint，以及替多少用户应答。",
		"Until when messages are kept for kubectl wechat replay; 0 where none are.":                                                                                       "为 kubectl wechat replay 留存消息到什么时候；没有留存时为 0。",
		"Other pods that this one knows to be ready.": "这个 Pod 知道的其他就绪的 Pod 的数量。",
		"Callbacks that did not pass, and whose nonce says that the operator or kubectl wechat plays them: nothing proves that, and they are refused like any other, but counted here alone.": "没有通过、其 nonce 表明由 operator 或 kubectl wechat 模拟的回调：没有什么能证明这一点，它们照样被拒绝，但只计在这里。",
		"Callbacks that did not pass, by the check that they failed. Those for no endpoint's URL have an empty one.":                                                                          "没有通过的回调，按没有通过的检查分。不属于任何 endpoint 的 URL 的，wechat_endpoint 为空。",
		"Messages that were known already and joined the delivery of the first.":                                                                                                              "已经收到过、并入第一次投递的消息。",
		"Replies that were forgotten before a repeat of their message would be stale, because memory is bounded.":                                                                             "因为内存有上限，在其消息的重发过期之前就忘掉的回复。",
		"Spans of messages that never got to the collector: it does not take them, or not fast enough.":                                                                                       "没有送到收集器的消息 span：它不接收，或接收得不够快。",
		"Spans of messages that the collector took.":                                                                                                                                          "收集器已接收的消息 span。",
		"What the pod's clock says, in seconds since 1970: timestamps are compared with it.":                                                                                                  "Pod 的时钟，自 1970 年起的秒数：时间戳与它比较。",
		"Verified messages whose kind cannot be read to the end: no rule for an event or an InfoType matches them, and WeChat is told that they were taken only if the app takes them.":       "通过验证、但无法完整识别种类的消息：针对事件或 InfoType 的规则都不匹配；只有应用收下了，才对微信应答成功。",
		"Messages that failed a check and went to the app all the same, because verification.enforcement is InsecureAudit.":                                                                   "没有通过检查、但因为 verification.enforcement 为 InsecureAudit 而仍发给应用的消息。",
	},
}
