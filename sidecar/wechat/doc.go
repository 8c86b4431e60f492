// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package wechat is the protocol by which WeChat's servers call a developer's URL: signatures, parameters and replies.
//
// A callback is an HTTP request to the URL that was entered in a WeChat console. When the form is submitted, WeChat sends
// the URL check: a GET with signature, timestamp, nonce and echostr, to be answered with echostr and nothing else. After
// that each message is a POST with signature, timestamp and nonce in the query and the message as XML in the body, to be
// answered within five seconds with an empty body, the word success, or a passive reply in XML. Anything else, and the
// user of the account reads that the service is out of order.
//
// The signature is the SHA-1 of the sorted token, timestamp and nonce. It proves that whoever made it knows the token, and
// nothing about the body: see Verify.
//
// Where messages are encrypted, the body is an envelope whose Encrypt holds the message, its length, sixteen random bytes
// and the id of the receiver, in AES-256-CBC with the EncodingAESKey; msg_signature covers that text too, and so the
// message. Key.Open and Key.Seal are that layer, ParseEnvelope and ReplyEnvelope what is around it. WeCom encrypts the
// echostr as well. WeChat Pay signs its notifications with RSA over the raw body, and encrypts their resource: VerifyPay
// and PayNotification.
//
// The package is a leaf: it reads no clock, logs nothing and knows no HTTP server. It follows Tencent's documentation of
// message push (developers.weixin.qq.com/doc/offiaccount/Getting_Started/message-push.html).
package wechat
