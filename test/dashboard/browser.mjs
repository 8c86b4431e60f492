// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// What the walks through the dashboard share: a headless Chromium, and what they do with it. The variable CHROMIUM names the program; without, it is
// Debian's. The variable SETTINGS is JSON. Its shots is a folder for pictures, or empty.

import test from "node:test";
import { chromium } from "playwright-core";

export const settings = JSON.parse(process.env.SETTINGS);

export const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"] });
test.after(() => browser.close());

export const asked = []; // what the page asked for, from whoever
export const answers = []; // promises of what it was answered
export const complaints = []; // what the browser wrote into its console

export async function visit(url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, locale: "en-US", timezoneId: "Asia/Shanghai", ...options });
  context.setDefaultTimeout(15000);
  context.on("request", (request) => asked.push(request.url()));
  context.on("response", (response) => answers.push(response.text().catch(() => "")));
  const page = await context.newPage();
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.message));
  await page.goto(url);
  return page;
}

export async function open(page, path) {
  await page.evaluate((hash) => { location.hash = hash; }, "#/" + path);
  await page.locator("#checklist").waitFor();
}

// shot makes a picture of what is on the screen, from the top of the page.
export async function shot(page, name) {
  if (!settings.shots) return;
  await page.evaluate(() => scrollTo(0, 0));
  await page.screenshot({ path: `${settings.shots}/${name}.png` });
}

// wide are the elements that make the page wider than the screen.
export const wide = (page) => page.evaluate(() => document.scrollingElement.scrollWidth <= innerWidth ? [] :
  [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > innerWidth).map((e) => e.outerHTML.slice(0, 120)));
