// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

import { readFileSync } from "node:fs";
import { verify } from "../verify.mjs";

const { key, method, target, headers, body, now } = JSON.parse(readFileSync(0, "utf8"));
const genuine = verify(Buffer.from(key, "base64"), method, target, headers.flat(), Buffer.from(body, "base64"), now);
console.log(genuine); // a crash exits 1 too, but says nothing
process.exitCode = genuine ? 0 : 1;
