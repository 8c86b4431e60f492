// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

const help = `kubectl wechat plays WeChat's server against a callback URL, and opens what WeChat has sent.

Usage:
  kubectl wechat verify (NAME | --url URL)   do the URL check of WeChat's console, and say why it would fail
  kubectl wechat send (NAME | --url URL)     send a signed message, as WeChat does to that platform, and judge the reply
  kubectl wechat open NAME --request FILE    decrypt a captured callback, and explain each step
  kubectl wechat rotate NAME                 make a new token and key, and say when to enter them in the console
  kubectl wechat version                     print the versions of the plugin, the operator and the sidecars

kubectl wechat COMMAND --help tells more of each.
`

const verifyHelp = `Do the URL check (服务器配置) of WeChat's console, and say whether WeChat would accept the URL.

The check is made from this computer. It cannot show whether the console holds the same token, and whether
WeChat's servers reach the URL from the internet: submitting the form in the console does. OpenPlatform and Pay
have no such check: see kubectl wechat send. It does not count as WeChat's use of new credentials: try it before
you press Save.

Usage:
  kubectl wechat verify NAME [flags]         the URL and the token of a WeChatEndpoint
  kubectl wechat verify --url URL --token-file FILE [flags]

Examples:
  # Would WeChat accept the URL of the endpoint shop?
  kubectl wechat verify shop -n production

  # The same before its host name is in DNS, by the address of the ingress controller.
  kubectl wechat verify shop -n production --address 203.0.113.7:443

  # Any URL, with a token from standard input.
  pass wechat/token | kubectl wechat verify --url https://wx.example.com/weixin --token-file -

Flags:
` + secretFlags + callFlags + clusterFlags + callStatus

const sendHelp = `Send what WeChat sends to an account of that platform, signed and encrypted as it does, and judge the reply.

Each message is sent once; WeChat would send it up to three times. The app takes it for a real one, and does with
it whatever it does with messages: a ticket is a wrong one, until WeChat sends the next. The sidecar does not count
it as WeChat's use of new credentials: try it before you press Save. It tells what became of the message (and tells
WeChat nothing): an app that is away, slow or answers what WeChat would not take is named.

Usage:
  kubectl wechat send NAME [--scenario SCENARIO] [flags]
  kubectl wechat send --url URL --platform PLATFORM --token-file FILE [flags]

Scenarios, the default first:
  OfficialAccount, MiniProgram   text
  Shop                           order: the event of a new order
  WeCom                          text, bot (a text to an AI bot), suite-ticket
  OpenPlatform                   ticket, authorized, updateauthorized, unauthorized, text,
                                 release-check: what 全网发布检测 sends to the URL that holds $APPID$
  Pay                            payment, signtest: WeChat Pay's own probe, a wrong signature that must be refused

A payment is signed with an RSA key. WeChat Pay's own is nowhere but at WeChat Pay: make one with openssl genrsa
2048, and put its public half into the Secret of an endpoint for tests.

Examples:
  # What does the app behind the endpoint shop answer to 你好?
  kubectl wechat send shop -n production --text 你好

  # Would a third-party platform pass the release check?
  kubectl wechat send platform --scenario release-check

  # Does the endpoint of payments refuse a forged signature?
  kubectl wechat send pay --scenario signtest

Flags of send:
  --scenario SCENARIO     what to play
  --text TEXT             what the user writes (default "` + defaultText + `")
  --from OPENID           the user's openid (default "` + defaultFrom + `")
  --json                  a Mini Program whose console says JSON (数据格式)
  --pay-private-key FILE  the RSA key that signs a payment, in PEM
  --serial SERIAL         without an endpoint: the serial by which the server knows that key

Flags:
` + secretFlags + callFlags + clusterFlags + callStatus

const openHelp = `Open a callback that was captured in a log, a dump or a proxy's record, and explain each step: what was found,
what is wrong, what to do. The steps go to standard error, the message to standard output. Nothing is sent.

How old the callback is, is told and not refused. Without the query or the headers, a message is opened all the
same, but nothing shows who sent it. No token and no key is printed; the message is, which may be private.

Usage:
  kubectl wechat open NAME --request FILE [flags]
  kubectl wechat open NAME --body FILE [--query QUERY] [flags]
  kubectl wechat open --platform PLATFORM --token-file FILE --encoding-aes-key-file FILE --request FILE [flags]

Examples:
  # What did WeChat send here? The file holds the request line, the headers, an empty line and the body.
  kubectl wechat open shop -n production --request captured.http

  # A body from standard input, with the line of the access log that belongs to it.
  kubectl wechat open shop --body - --query '/weixin?signature=…&timestamp=…&nonce=…&encrypt_type=aes&msg_signature=…'

Flags of open:
  --request FILE       a whole HTTP request, or - for standard input
  --body FILE          a body alone, or - for standard input
  --query QUERY        a query, a URL, or a line of an access log

Flags:
` + secretFlags + clusterFlags + `
Exit status:
  0  every step passed
  1  a step failed
  2  nothing is known: wrong arguments, no such endpoint, no token or key
`

const rotateHelp = `Put a new token, and where messages are encrypted a new EncodingAESKey, into the Secret of an endpoint. When every
sidecar accepts them beside the earlier ones, say what to enter in the console. Nothing is lost until Save is
pressed, however long that takes, nor afterwards: the earlier values end credentials.overlap after WeChat was
first seen using the new ones. Where the sidecars would not get new values, as while spec.paused is true, nothing
is changed. The sidecars are the endpoint's own pods, or those of the WeChatGateway that it is on.

Usage:
  kubectl wechat rotate NAME [flags]

Examples:
  # A new token, because somebody left.
  kubectl wechat rotate shop -n production

  # The token stood in a log: refuse it as soon as the console has another one.
  kubectl wechat rotate shop -n production --compromised

Flags of rotate:
  --compromised        after Save, refuse the earlier values at once (spec.credentials.revokeBefore)
  --yes                with --compromised, do not ask whether Save was pressed
  --overwrite          change the Secret although an ExternalSecret, Argo CD, Flux or helm writes it
  --show               print the new values, in place of the commands that print them
  --timeout DURATION   how long to wait for the sidecars, each time (default 1m0s)

Flags:
` + clusterFlags + `
Exit status:
  0  the new values are served, and with --compromised every sidecar refuses the earlier ones
  1  the earlier values are still accepted, or may be, although they should not
  2  nothing is known: wrong arguments, no such endpoint, the sidecars do not serve the new values yet
`

const versionHelp = `Print the version of this plugin, and those of the operator and the sidecars of a cluster, by the images of their pods.
What you may not see is left out.

Usage:
  kubectl wechat version [flags]

Examples:
  # Which endpoints' pods have an older sidecar?
  kubectl wechat version --all-namespaces

Flags of version:
  --client              only the plugin's own; no cluster is asked
  -A, --all-namespaces  the sidecars of all namespaces, in place of one

Flags:
` + clusterFlags + `
Exit status:
  0  it is printed
  2  the cluster cannot be asked
`

const secretFlags = `  --platform PLATFORM  without an endpoint: OfficialAccount (default), MiniProgram, Shop, WeCom, OpenPlatform or Pay
  --receiver-id ID     whom messages are encrypted for: AppID, CorpID or suite's id; for Pay the merchant id
                       (default: the first of the endpoint's receiverIDs, or its appID)
  --token-file FILE    read the token from FILE, or from standard input if FILE is -, in place of the Secret that
                       the endpoint names (which needs the right to get it); one newline at its end is left out
  --encoding-aes-key-file FILE, --api-v3-key-file FILE
                       likewise the EncodingAESKey, and the APIv3 key of Pay
`

const callFlags = `  --url URL            call this URL in place of the endpoint's
  --path-id ID         what stands in the URL in place of $APPID$ or $CORPID$
  --address HOST:PORT  connect to this address, without looking the URL's host up in DNS
  --timeout DURATION   how long to wait for the answer (default 5s, as WeChat does; send waits 20s for a slow app)
`

const clusterFlags = `  -n, --namespace NS   the endpoint's namespace (default: that of the kubeconfig's context)
  --kubeconfig FILE    the kubeconfig (default: $KUBECONFIG, or ~/.kube/config)
  --context NAME       the kubeconfig's context
`

const callStatus = `
Exit status:
  0  WeChat would accept the answer
  1  WeChat would refuse it
  2  nothing is known: wrong arguments, no such endpoint, no token, interrupted
`
