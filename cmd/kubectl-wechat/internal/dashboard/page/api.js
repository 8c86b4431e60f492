// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// The API of the server that serves this page. Nobody else is ever asked.

const key = "wechat-dashboard-token";

// takeToken takes the token out of the URL's fragment, where it could be read in the address bar and in the history, and keeps it for this tab.
export function takeToken() {
  const found = /^#token=([A-Z0-9]+)$/.exec(location.hash);
  if (found) {
    sessionStorage.setItem(key, found[1]);
    history.replaceState(null, "", location.pathname);
  }
}

// Failure is an answer that is none. Its status is 0 where the server is gone.
export class Failure extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// call asks the API. The switch says the language; where none is chosen, the browser says its own.
export async function call(path, lang, body) {
  const headers = { "X-Dashboard-Token": sessionStorage.getItem(key) || "" };
  if (lang) headers["Accept-Language"] = lang;
  const options = { headers, cache: "no-store", credentials: "omit", redirect: "error", referrerPolicy: "no-referrer" };
  if (body) Object.assign(options, { method: "POST", body: JSON.stringify(body) });
  let response;
  try {
    response = await fetch("/api/" + path, options);
  } catch {
    throw new Failure(0, "");
  }
  if (response.status === 401) throw new Failure(401, "");
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Failure(response.status, answer.error || String(response.status));
  return answer;
}

// follow hands over the lines of an answer that does not end, until the signal says so.
export async function follow(path, lang, signal, take) {
  const headers = { "X-Dashboard-Token": sessionStorage.getItem(key) || "" };
  if (lang) headers["Accept-Language"] = lang;
  const response = await fetch("/api/" + path, { headers, signal, cache: "no-store", credentials: "omit", redirect: "error", referrerPolicy: "no-referrer" });
  if (!response.ok) throw new Failure(response.status, (await response.json().catch(() => ({}))).error || String(response.status));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) if (line) take(JSON.parse(line));
  }
}

// pathOf is the part of a path that names an object.
export function pathOf(ref) {
  return [ref.kind, ref.namespace, ref.name].map(encodeURIComponent).join("/");
}
