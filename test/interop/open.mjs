// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Opens a sealed reply with Tencent's own library, @wecom/crypto, and prints the message in it.
//
// It reads {"token", "encodingAESKey", "receiverID", "reply"} as JSON from standard input, and fails if the reply's
// signature does not hold or if it is for another receiver. The end-to-end tests call it.

import {readFileSync} from 'node:fs';
import crypto from '@wecom/crypto';

const {token, encodingAESKey, receiverID, reply} = JSON.parse(readFileSync(0, 'utf8'));
const sealed = parseEnvelope(reply);
if (crypto.getSignature(token, sealed.timestamp, sealed.nonce, sealed.encrypt) !== sealed.msgsignature) {
  throw new Error('the MsgSignature of the reply does not hold');
}
const {message, id} = crypto.decrypt(encodingAESKey, sealed.encrypt);
if (id !== receiverID) {
  throw new Error(`the reply is for ${JSON.stringify(id)}, not for ${JSON.stringify(receiverID)}`);
}
process.stdout.write(message);

// parseEnvelope reads a reply in XML, or in JSON with either spelling of the names.
function parseEnvelope(text) {
  if (text.trimStart().startsWith('{')) {
    return Object.fromEntries(Object.entries(JSON.parse(text)).map(([name, value]) => [name.toLowerCase(), String(value)]));
  }
  const fields = text.matchAll(/<(Encrypt|MsgSignature|TimeStamp|Nonce)>(?:<!\[CDATA\[(.*?)\]\]>|(.*?))<\/\1>/gs);
  return Object.fromEntries([...fields].map(([, name, quoted, bare]) => [name.toLowerCase(), quoted ?? bare]));
}
