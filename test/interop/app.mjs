// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// An app that keeps its own SDK, unmodified: it verifies, decrypts, says back what it is told, and encrypts. It reads
// {"sdk", "token", "key", "id", "provider"} as JSON from the first line of standard input, serves on a port of its own choice on
// loopback, and prints the port.

import {createServer} from 'node:http';
import {createInterface} from 'node:readline';
import Koa from 'koa';
import coWechat from 'co-wechat';
import easywechat from 'node-easywechat';
import ServerRequest from 'node-easywechat/dist/Core/Http/ServerRequest.js';
import wechat from 'wechat';

const said = message => `you said: ${message.Content}`;

// listeners make what node's HTTP server calls, by the SDK. A key that is empty leaves the SDK in plaintext mode.
const listeners = {
  'co-wechat': ({token, key, id}) => {
    const app = new Koa();
    app.use(coWechat({token, appid: id, ...(key && {encodingAESKey: key})}).middleware(async message => said(message)));
    return app.callback();
  },

  wechat: ({token, key, id}) => {
    const middleware = wechat({token, appid: id, ...(key && {encodingAESKey: key})}, (request, response) => response.reply(said(request.weixin)));
    return (request, response) => {
      request.query = Object.fromEntries(new URL(request.url, 'http://app').searchParams); // as a framework does
      middleware(request, response, error => response.writeHead(500).end(String(error)));
    };
  },

  'node-easywechat OfficialAccount': ({token, key, id}) =>
    easyServe(() => new easywechat.OfficialAccount({app_id: id, secret: 'unused', token, ...(key && {aes_key: key})})),
  'node-easywechat MiniApp': ({token, key, id}) =>
    easyServe(() => new easywechat.MiniApp({app_id: id, secret: 'unused', token, ...(key && {aes_key: key})})),
  'node-easywechat Work': ({token, key, id}) => easyServe(() => new easywechat.Work({corp_id: id, secret: 'unused', token, aes_key: key})),
  'node-easywechat OpenWork': ({token, key, id, provider}) =>
    easyServe(() => {
      const account = {corp_id: provider, provider_secret: 'unused', suite_id: id, suite_secret: 'unused', token, aes_key: key};
      return new easywechat.OpenWork(account).setSuiteTicket(tickets());
    }, () => {}),
  'node-easywechat OpenPlatform': ({token, key, id}) =>
    easyServe(() => new easywechat.OpenPlatform({app_id: id, secret: 'unused', token, aes_key: key}).setVerifyTicket(tickets()), () => {}),
};

// tickets are kept in no file, and must be the one that was sent.
function tickets() {
  return {
    getTicket: async () => 'unused',
    setTicket: ticket => {
      if (ticket !== 'hi') throw new Error(`the ticket is ${ticket}`);
    },
  };
}

function easyServe(makeApp, say = said) {
  return async (request, response) => {
    try {
      const app = makeApp();
      app.setRequest(await ServerRequest.createFromIncomingMessage(request));
      const server = app.getServer();
      server.with(message => say(message));
      const answer = await server.serve();
      response.writeHead(answer.getStatusCode(), answer.getHeaders());
      response.end(answer.getBody().toString());
    } catch (error) {
      response.writeHead(500).end(String(error));
    }
  };
}

const {value: line} = await createInterface({input: process.stdin})[Symbol.asyncIterator]().next();
const config = JSON.parse(line);
const listener = listeners[config.sdk](config);
let calls = 0;
const server = createServer((request, response) => {
  if (request.url === '/.calls') return response.end(String(calls)); // for the test, beside the SDK
  calls++;
  return listener(request, response);
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
