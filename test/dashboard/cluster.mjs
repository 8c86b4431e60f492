// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Walks through the dashboard of one endpoint on a cluster. SETTINGS has url and reader, the URLs that two runs of the plugin print, the second one for a
// caller who may read endpoints alone; namespace and name of the endpoint, which is ready; callback, the URL that WeChat calls, with the address that it is
// reached by; and token, what must be in no answer.

import assert from "node:assert/strict";
import { get } from "node:http";
import test from "node:test";
import { answers, asked, complaints, open, settings, visit } from "./browser.mjs";

const place = `WeChatEndpoint/${settings.namespace}/${settings.name}`;
const page = await visit(settings.url);

// figure reads the number on a tile.
const figure = async (name) => Number((await page.locator(".tiles div", { hasText: name }).locator("dd").innerText()).replaceAll(",", ""));

// forged is the status of a callback that nobody has signed.
const forged = () => new Promise((done, failed) => {
  const { address, host, path } = settings.callback;
  const query = `signature=${"0".repeat(40)}&timestamp=${Math.floor(Date.now() / 1000)}&nonce=forged&echostr=forged`;
  get(`http://${address}${path}?${query}`, { headers: { Host: host } }, (answer) => { answer.resume(); done(answer.statusCode); }).on("error", failed);
});

test("a ready endpoint stands in the list", async () => {
  await page.locator(".row").first().waitFor();
  assert.deepEqual(await page.locator(".row b").allInnerTexts(), [settings.name]);
  assert.match(await page.locator(".row").innerText(), /, Ready,/);
});

test("nothing on its checklist has failed, and both pods are ready", async () => {
  await open(page, place);
  assert.deepEqual(await page.locator(".checks > li.failed").allInnerTexts(), []);
  assert.equal(await page.locator(".pods li").count(), 2);
  assert.equal(await page.locator(".pods .icon.ok").count(), 2);
});

test("a test message goes through the ingress controller to the app and back, and is counted and listed", async () => {
  await page.locator(".tiles").waitFor();
  const [verified, refused] = [await figure("Verified"), await figure("Refused")];
  await page.getByRole("button", { name: "Listen" }).click();
  await page.locator(".tail li", { hasText: "listening to pod" }).nth(1).waitFor();

  await page.getByLabel("Text").fill("hello");
  await page.getByRole("button", { name: "Send" }).click();
  await page.locator(".trip").waitFor();
  assert.match(await page.locator(".trip").innerText(), /WeChat would take it[\s\S]*you said: hello/);
  await page.locator(".tail li", { hasText: "the app's reply went to WeChat" }).first().waitFor();

  assert.equal(await forged(), 403);
  await page.locator(".tail li.failed", { hasText: "signed with another token or key" }).first().waitFor();
  await page.waitForFunction(([v, r]) => {
    const [now, more] = [...document.querySelectorAll(".tiles dd")].map((e) => Number(e.innerText.replaceAll(",", "")));
    return now > v && more > r;
  }, [verified, refused]);
  await page.getByRole("button", { name: "Stop" }).click();
});

test("what RBAC denies is said, and the rest is shown", async () => {
  const reader = await visit(settings.reader);
  await reader.locator(".row b", { hasText: settings.name }).waitFor();
  assert.match(await reader.locator("nav").innerText(), /you may not list wechatgateways in namespace/);
  await open(reader, place);
  await reader.locator("section[aria-labelledby=traffic] .banner", { hasText: "you may not list pods" }).waitFor();
  await reader.getByRole("button", { name: "Send" }).click();
  await reader.locator("section[aria-labelledby=test] .banner", { hasText: "reading the token from Secret" }).waitFor();
  await reader.getByRole("button", { name: "Listen" }).click();
  await reader.locator(".tail .failed", { hasText: `you may not get Secret ${settings.namespace}/${settings.name}-gateway-key` }).waitFor();
});

test("no request left this computer, no answer had the account's token, and the browser had nothing to complain of", async () => {
  await page.close();
  assert.equal((await Promise.all(answers)).filter((body) => body.includes(settings.token)).length, 0);
  const known = [settings.url, settings.reader].map((url) => new URL(url).origin);
  assert.deepEqual(asked.filter((url) => !known.includes(new URL(url).origin) && !url.startsWith("data:")), []);
  assert.deepEqual(complaints.filter((text) => !/status of 502/.test(text)), []); // of what the reader may not
});
