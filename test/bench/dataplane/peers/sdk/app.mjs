// No proxy: an app with co-wechat, an SDK that verifies and decrypts by itself. Its packages are those of test/interop.

import {createServer} from 'node:http';
import {createRequire} from 'node:module';

const [packages, token, encodingAESKey, appid] = process.argv.slice(2);
const require = createRequire(packages + '/');
const Koa = require('koa'), wechat = require('co-wechat');

const listener = options => {
  const app = new Koa(), verify = wechat(options).middleware(async () => '');
  app.use(async context => {
    await verify(context);
    if (context.body === '') context.body = 'success';
  });
  return app.callback();
};

const plaintext = listener({token, appid}), encrypted = listener({token, appid, encodingAESKey});
const server = createServer({keepAliveTimeout: 60_000}, (request, response) => (request.url.startsWith('/decrypt') ? encrypted : plaintext)(request, response));
server.listen(7080, '127.78.0.1', 4096);
