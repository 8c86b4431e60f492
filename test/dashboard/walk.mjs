// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Walks through the dashboard. SETTINGS has url and reader, the URLs that two runs of the plugin print, the second one for a caller who may read
// little; elsewhere, another site of this computer; hostile, what is in the cluster's texts;
// token, what must be in no answer.

import assert from "node:assert/strict";
import test from "node:test";
import { answers, asked, browser, complaints, open, settings, shot, visit, wide } from "./browser.mjs";

const origin = new URL(settings.url).origin;

const page = await visit(settings.url);

test("the list shows what there is, and the key is not in the address bar", async () => {
  await page.locator(".row").first().waitFor();
  assert.equal(await page.locator(".row").count(), 6);
  assert.ok(!page.url().includes("token"), page.url());
  assert.match(await page.locator("nav").innerText(), /mini-program[\s\S]*write it again/);
});

test("a keyboard finds and opens an endpoint", async () => {
  await page.keyboard.press("/");
  await page.keyboard.type("offic");
  assert.deepEqual(await page.locator(".row b").allInnerTexts(), ["official", "quoted"]);
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.locator("#checklist").waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), "heading");
  await page.locator("#filter").focus();
  await page.keyboard.press("Escape");
  assert.equal(await page.locator(".row").count(), 6);
  assert.equal(await page.locator(".row[aria-current=page] b").innerText(), "official");
});

test("an endpoint shows its checklist, credentials, and what to enter in the console without the token", async () => {
  assert.equal(await page.locator(".checks > li.ok").count(), 9);
  assert.equal(await page.locator(".timeline > li").count(), 2);
  const text = await page.locator("main").innerText();
  assert.match(text, /消息加解密方式\s+明文模式/);
  assert.match(text, /kubectl -n shop get secret official-wechat/);
  assert.match(text, /console official -n shop --reveal/);
});

test("a test message shows the whole round trip, and what the app says back is text", async () => {
  await page.getByLabel("Text").fill(settings.hostile);
  await page.keyboard.press("Enter");
  await page.locator(".trip").waitFor();
  const text = await page.locator(".trip").innerText();
  assert.match(text, /WeChat would take it[\s\S]*Round trip \d+/);
  assert.ok(text.includes("you said " + settings.hostile), text);
});

test("the pods' counters become figures, and points while the page is open", async () => {
  await page.locator(".tiles").waitFor();
  assert.match(await page.locator(".tiles").innerText(), /Verified\s+3,\d{3}[\s\S]*Refused\s+9\d/);
  assert.equal(await page.locator(".latency li").count(), 16);
  await page.locator("rect.verified").first().waitFor();
  const text = await page.locator(".counts").last().innerText();
  assert.match(text, /signed with another token or key/);
  assert.ok(!text.includes("malformed"), "another endpoint's callbacks are counted");
});

test("the live tail shows what becomes of callbacks, until it is stopped", async () => {
  await page.getByRole("button", { name: "Listen" }).click();
  await page.locator(".tail li", { hasText: "the app's reply went to WeChat" }).first().waitFor();
  assert.match(await page.locator(".tail").innerText(), /text[\s\S]*200 · 21 ms/);
  assert.match(await page.locator(".tail").innerText(), /signed with another token or key/);
  if (settings.shots) { // with a friendlier message, and a chart with points in it
    await page.getByLabel("Text").fill("你好");
    await page.getByRole("button", { name: "Send" }).click();
    await page.getByText("you said 你好").waitFor();
    await page.waitForTimeout(60000);
  }
  await shot(page, "dashboard-en-light");
  await page.getByRole("button", { name: "Stop" }).click();
  await page.getByRole("button", { name: "Listen" }).waitFor();
});

test("landmarks, labels and ids are what a screen reader takes", async () => {
  const found = await page.evaluate(() => ({
    landmarks: ["header", "nav", "main", "[role=status][aria-live=polite]", "a.skip"].filter((one) => !document.querySelector(one)),
    nameless: [...document.querySelectorAll("button, input, select, a, [role=img], meter")].filter((e) => !(e.ariaLabel || e.innerText || e.labels?.length)).map((e) => e.outerHTML),
    twice: [...document.querySelectorAll("[id]")].map((e) => e.id).filter((id, i, all) => all.indexOf(id) !== i),
    headings: document.querySelectorAll("h1").length,
  }));
  assert.deepEqual(found, { landmarks: [], nameless: [], twice: [], headings: 1 });
});

test("the switches change the language and the colours, and are kept", async () => {
  await page.getByLabel("Language").selectOption("zh");
  await page.getByText("检查清单").waitFor();
  assert.equal(await page.locator("html").getAttribute("lang"), "zh-CN");
  await page.getByLabel("配色").selectOption("dark");
  const dark = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  assert.equal(await dark(), "rgb(19, 20, 18)");
  await page.reload();
  await page.getByText("检查清单").waitFor();
  assert.equal(await dark(), "rgb(19, 20, 18)");
  await shot(page, "dashboard-zh-dark");
  await page.getByLabel("配色").selectOption("light");
  assert.equal(await dark(), "rgb(247, 247, 245)");
  await shot(page, "1440-zh-light");
  await page.getByLabel("语言").selectOption("en");
  await page.getByText("Checklist").waitFor();
  await page.getByLabel("Colours").selectOption("system");
  await page.emulateMedia({ colorScheme: "dark" });
  assert.equal(await dark(), "rgb(19, 20, 18)");
  await shot(page, "1440-en-dark");
  await page.emulateMedia({ colorScheme: "light" });
});

test("what the cluster says is text, never markup", async () => {
  await open(page, "WeChatEndpoint/shop/quoted");
  await page.locator(".pods .message").waitFor();
  for (const part of [".facts", ".checks", ".pods"]) {
    assert.ok((await page.locator(part).first().innerText()).includes(settings.hostile), part);
  }
  assert.equal(await page.locator("main img, main script, main [onerror], [href^=javascript]").count(), 0);
  assert.match(await page.title(), /^quoted/);
  if (settings.shots) {
    await open(page, "WeChatEndpoint/shop/mini-program");
    await page.getByText("SecretMalformed").waitFor();
    await shot(page, "dashboard-failing");
  }
});

test("a gateway is shown like an endpoint", async () => {
  await open(page, "WeChatGateway/shop/front");
  assert.match(await page.locator("main").innerText(), /endpoints: 1/);
  assert.equal(await page.locator("#console, #credentials, #test, #tail").count(), 0);
});

test("what the caller may not read is said, not shown empty", async () => {
  const reader = await visit(settings.reader);
  await reader.locator("nav .banner").waitFor();
  assert.match(await reader.locator("nav").innerText(), /you may not list wechatgateways in namespace shop/);
  await open(reader, "WeChatEndpoint/shop/official");
  await reader.locator("section[aria-labelledby=traffic] .banner").waitFor();
  assert.match(await reader.locator("section[aria-labelledby=traffic]").innerText(), /you may not list pods in namespace shop/);
  assert.match(await reader.locator("section[aria-labelledby=pods]").innerText(), /you may not list them/);
  await reader.getByRole("button", { name: "Send" }).click();
  await reader.locator("section[aria-labelledby=test] .banner").waitFor();
  assert.match(await reader.locator("section[aria-labelledby=test]").innerText(), /reading the token from Secret shop\/official-wechat/);
  await reader.getByRole("button", { name: "Listen" }).click();
  assert.match(await reader.locator(".tail .failed").innerText(), /you may not get Secret shop\/official-gateway-key/);
  await reader.context().close();
});

test("on a telephone nothing is wider than the screen, and the browser's language is taken", async () => {
  for (const [locale, colorScheme] of [["zh-CN", "light"], ["en-US", "dark"], ...(settings.shots ? [["zh-CN", "dark"], ["en-US", "light"]] : [])]) {
    const phone = await visit(settings.url, { viewport: { width: 390, height: 844 }, locale, colorScheme });
    await phone.locator(".row").first().waitFor();
    assert.equal(await phone.locator("html").getAttribute("lang"), locale === "zh-CN" ? "zh-CN" : "en");
    assert.deepEqual(await wide(phone), []);
    await shot(phone, `390-${locale.slice(0, 2)}-${colorScheme}-list`);
    for (const name of ["quoted", "official"]) {
      await open(phone, "WeChatEndpoint/shop/" + name);
      await phone.locator("section[aria-labelledby=traffic]:not(:has([aria-busy]))").waitFor();
      assert.deepEqual(await wide(phone), [], name);
      await shot(phone, name === "official" && locale === "zh-CN" && colorScheme === "light" ? "dashboard-narrow" : `390-${locale.slice(0, 2)}-${colorScheme}-${name}`);
    }
    await phone.locator("a.back").click();
    await phone.locator(".row").first().waitFor();
    await phone.context().close();
  }
});

test("without the key of this run, the page shows nothing", async () => {
  for (const url of [origin + "/", origin + "/#token=AAAAAAAAAAAAAAAAAAAAAAAAAA"]) {
    const stranger = await visit(url);
    await stranger.getByRole("alert").waitFor();
    assert.match(await stranger.locator("body").innerText(), /Open the URL that kubectl wechat dashboard prints/);
    assert.equal(await stranger.locator(".row").count(), 0);
    await stranger.context().close();
  }
});

test("another site reads nothing, changes nothing, and cannot frame the page", async () => {
  const context = await browser.newContext();
  const other = await context.newPage();
  await other.goto(settings.elsewhere);
  const key = new URL(settings.url).hash.slice("#token=".length); // even with it
  const results = await other.evaluate(async ([url, key]) => {
    const attempt = async (path, options) => fetch(url + path, options).then((answer) => answer.type + " " + answer.status, (error) => error.name);
    const frame = document.createElement("iframe");
    frame.src = url;
    await new Promise((done) => { frame.onload = done; document.body.append(frame); });
    return [
      await attempt("/api/objects", { headers: { "X-Dashboard-Token": key } }),
      await attempt("/api/send/WeChatEndpoint/shop/official", { method: "POST", headers: { "X-Dashboard-Token": key }, body: "{}" }),
      await attempt("/api/send/WeChatEndpoint/shop/official", { method: "POST", mode: "no-cors", body: "{}" }),
      await attempt("/", {}),
    ];
  }, [origin, key]);
  assert.deepEqual(results, ["TypeError", "TypeError", "TypeError", "TypeError"]);
  assert.deepEqual(await Promise.all(other.frames().slice(1).map((frame) => frame.locator(".brand, .alone").count().catch(() => 0))), [0]);
  await context.close();
});

test("no request left this computer, no answer had the account's token, and the browser had nothing to complain of", async () => {
  await page.close();
  assert.equal((await Promise.all(answers)).filter((body) => body.includes(settings.token)).length, 0);
  const away = asked.filter((url) => new URL(url).origin !== origin && new URL(url).origin !== new URL(settings.reader).origin && !url.startsWith("data:"));
  assert.deepEqual(away, []);
  assert.ok(asked.length > 50, `${asked.length} requests`);
  const expected = /status of (401|502|404)/; // the answers that the tests above ask for
  assert.deepEqual(complaints.filter((text) => !expected.test(text)), []);
});
