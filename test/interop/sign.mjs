// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Plays WeChat's server with other people's libraries. It reads one request a line as JSON from standard input, and writes
// one answer a line:
//
//   {"sdk", "token", "key", "id", "op": "sign", "timestamp", "nonce", "text"}  → {"signature"}
//   {…,                           "op": "seal", "text"}                        → {"encrypt"}
//   {…,                           "op": "open", "text"}                        → {"message", "id"}
//
// What a library throws becomes {"error"}.

import {createInterface} from 'node:readline';
import wecom from '@wecom/crypto';
import WechatCrypto from 'wechat-crypto';
import WechatEncrypt from 'wechat-encrypt';

const libraries = {
  '@wecom/crypto': ({token, key, id}) => ({
    sign: (timestamp, nonce, text) => wecom.getSignature(token, timestamp, nonce, text),
    seal: text => wecom.encrypt(key, text, id),
    open: text => wecom.decrypt(key, text),
  }),
  'wechat-crypto': ({token, key, id}) => {
    const crypt = new WechatCrypto(token, key, id);
    return {
      sign: (timestamp, nonce, text) => crypt.getSignature(timestamp, nonce, text),
      seal: text => crypt.encrypt(text),
      open: text => crypt.decrypt(text),
    };
  },
  'wechat-encrypt': ({token, key, id}) => {
    const crypt = new WechatEncrypt({appId: id, encodingAESKey: key, token});
    return {
      sign: (timestamp, nonce, encrypt) => crypt.genSign({timestamp, nonce, encrypt}),
      seal: text => crypt.encode(text),
      open: text => ({message: crypt.decode(text), id}), // it tells no id
    };
  },
};

function answer(request) {
  const library = libraries[request.sdk](request);
  switch (request.op) {
    case 'sign':
      return {signature: library.sign(request.timestamp, request.nonce, request.text)};
    case 'seal':
      return {encrypt: library.seal(request.text)};
    case 'open': {
      const {message, id} = library.open(request.text);
      return {message, id};
    }
  }
  throw new Error(`no operation ${request.op}`);
}

for await (const line of createInterface({input: process.stdin})) {
  let result;
  try {
    result = answer(JSON.parse(line));
  } catch (error) {
    result = {error: String(error.message)};
  }
  process.stdout.write(JSON.stringify(result) + '\n');
}
