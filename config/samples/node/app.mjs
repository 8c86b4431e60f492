// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// An app that keeps its SDK, as it was before the sidecar: co-wechat verifies, decrypts and seals. The folder is the Secret of the endpoint,
// mounted; the SDK must have the same values as the sidecar.

import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import Koa from 'koa';
import wechat from 'co-wechat';

const {WECHAT_APP_ID: appid, WECHAT_CREDENTIALS: folder = '/etc/wechat', PORT: port = '8080'} = process.env;
const read = key => readFileSync(join(folder, key), 'utf8');

const app = new Koa();
app.use(
  wechat({appid, token: read('token'), encodingAESKey: read('encodingAESKey')}).middleware(async message =>
    message.MsgType === 'text' ? `you said: ${message.Content}` : '',
  ),
);
app.listen(Number(port));
