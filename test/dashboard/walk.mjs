// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

import { chromium } from "playwright-core";
const settings = JSON.parse(process.env.SETTINGS);
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
for (const [width, height] of [[1440, 900], [390, 844]]) {
  for (const [locale, scheme] of [["en-US", "light"], ["zh-CN", "dark"], ["en-US", "dark"], ["zh-CN", "light"]]) {
    const context = await browser.newContext({ viewport: { width, height }, locale, colorScheme: scheme, timezoneId: "Asia/Shanghai" });
    const page = await context.newPage();
    page.on("console", (m) => console.log(m.type(), m.text()));
    page.on("pageerror", (e) => console.log("ERR", e.message));
    await page.goto(settings.url);
    const name = `${width}-${locale.slice(0, 2)}-${scheme}`;
    await page.waitForSelector(".row");
    await page.screenshot({ path: `${settings.shots}/${name}-list.png` });
    for (const who of ["official", "mini-program", "quoted", "merchant"]) {
      await page.evaluate((n) => { location.hash = "#/WeChatEndpoint/" + (n === "merchant" ? "payments" : "shop") + "/" + n; }, who);
      await page.waitForSelector("#checklist");
      await page.waitForTimeout(who === "official" ? 16000 : 400);
      if (who === "official") { await page.click(".primary"); await page.waitForSelector(".trip"); }
      if (who === "official" || locale === "en-US" && scheme === "light") await page.screenshot({ path: `${settings.shots}/${name}-${who}.png`, fullPage: true });
    }
    await context.close();
  }
}
await browser.close();
