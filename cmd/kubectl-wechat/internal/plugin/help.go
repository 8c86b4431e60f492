// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

const help = `kubectl wechat plays WeChat's server against a callback URL.

Usage:
  kubectl wechat verify (NAME | --url URL)   do the URL check of WeChat's console, and say why it would fail
  kubectl wechat send (NAME | --url URL)     send a signed text message, and show the reply
  kubectl wechat version                     print the version

See kubectl wechat verify --help and kubectl wechat send --help.
`

const verifyHelp = `Do the URL check (服务器配置) of WeChat's console, and say whether WeChat would accept the URL.

The check is made from this computer. It cannot show whether the console holds the same token, and whether
WeChat's servers reach the URL from the internet: submitting the form in the console does.

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
`

const sendHelp = `Send a signed text message, as WeChat does when a user writes, and show the reply.

The message is sent once; WeChat would send it up to three times. The app cannot tell it from a real one, and
does with it whatever it does with messages.

Usage:
  kubectl wechat send NAME [--text TEXT] [--from OPENID] [flags]
  kubectl wechat send --url URL --token-file FILE [--text TEXT] [--from OPENID] [flags]

Examples:
  # What does the app behind the endpoint shop answer to 你好?
  kubectl wechat send shop -n production --text 你好

Flags of send:
  --text TEXT          what the user writes (default "` + defaultText + `")
  --from OPENID        the user's openid (default "` + defaultFrom + `")
`

const commonHelp = `
Flags:
  -n, --namespace NS   the endpoint's namespace (default: that of the kubeconfig's context)
  --kubeconfig FILE    the kubeconfig (default: $KUBECONFIG, or ~/.kube/config)
  --context NAME       the kubeconfig's context
  --url URL            call this URL in place of the endpoint's
  --token-file FILE    read the token from FILE, or from standard input if FILE is -, in place of the Secret that
                       the endpoint names (which needs the right to get it); one newline at its end is left out
  --address HOST:PORT  connect to this address, without looking the URL's host up in DNS
  --timeout DURATION   how long to wait for the answer (default 5s, as WeChat does)

Exit status:
  0  WeChat would accept the answer
  1  WeChat would refuse it
  2  nothing is known: wrong arguments, no such endpoint, no token, interrupted
`
