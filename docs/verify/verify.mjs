// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

import { createHash, createHmac, timingSafeEqual } from "node:crypto";

const signatureHeader = "x-wechat-gateway-signature";
const keySize = 32; // bytes; HMAC itself would take an empty key, and anybody could sign with that
const maxAge = 300; // seconds, into the past and into the future

// verify tells whether the sidecar that holds the key (a Buffer) signed this request within the last minutes. Target is
// request.url (originalUrl in Express), rawHeaders is request.rawHeaders, and body is a Buffer, whole and as it came; now is
// in seconds.
export function verify(key, method, target, rawHeaders, body, now = Date.now() / 1000) {
  const signed = new Map();
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i].toLowerCase();
    if (!name.startsWith("x-wechat-")) continue;
    if (signed.has(name)) return false;
    signed.set(name, rawHeaders[i + 1]);
  }
  const parts = /^t=([0-9]{1,12}),v1=([0-9a-f]{64})$/.exec(signed.get(signatureHeader) ?? "");
  if (key.length !== keySize || !parts || !(Math.abs(Math.floor(now) - Number(parts[1])) <= maxAge)) return false;
  signed.delete(signatureHeader);
  const lines = [...signed].map(([name, value]) => `${name}:${value}\n`).sort();
  const digest = createHash("sha256").update(body).digest("hex");
  const mac = createHmac("sha256", key).update(`v1\n${parts[1]}\n${method}\n${target}\n${lines.join("")}${digest}\n`).digest();
  return timingSafeEqual(mac, Buffer.from(parts[2], "hex"));
}
