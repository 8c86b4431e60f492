// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// The page: what it knows, what it asks for and when, and how it is laid out. Whatever comes from the cluster becomes text, never markup.

import { h, render } from "/preact.js";
import htm from "/htm.js";
import { call, follow, pathOf, takeToken } from "/api.js";
import { Detail, Icon, Sidebar } from "/parts.js";

const html = htm.bind(h);
const every = 5000; // milliseconds from one look to the next

const state = {
  lang: localStorage.getItem("lang") || "",
  scheme: localStorage.getItem("scheme") || "system",
  shownLang: "en",
  words: null,
  list: null,
  filter: "",
  ref: null, // what is looked at
  object: null,
  objectError: "",
  traffic: null,
  trafficError: "",
  form: { scenario: "", text: "" },
  trip: null,
  sending: false,
  tail: [], // newest first
  tailing: null, // what ends the tail
  fatal: 0, // 401 for a stale key, -1 for a server that is gone
  said: "", // for screen readers
};

// t is a word of the page in its language, with values in place of its verbs.
function t(name, ...values) {
  let next = 0;
  const word = (state.words && state.words[name]) || name;
  return word.replace(/%(?:\[(\d+)\])?[sd]/g, (_, place) => {
    if (place) next = place - 1;
    return String(values[next++] ?? "");
  });
}

// known reports whether there is a word of that name: a newer sidecar may count what this page has no word for.
function known(name) {
  return Boolean(state.words && state.words[name]);
}

const numbers = () => new Intl.NumberFormat(state.shownLang, { maximumFractionDigits: 1 });
const format = {
  number: (value) => numbers().format(value),
  time: (value) => new Date(value).toLocaleString(state.shownLang, { dateStyle: "medium", timeStyle: "short" }),
  clock: (value) => new Date(value).toLocaleTimeString(state.shownLang, { hour12: false }),
  day: (value) => new Date(value).toLocaleDateString(state.shownLang, { dateStyle: "medium" }),
  duration: (seconds) => (seconds < 1 ? numbers().format(Math.round(seconds * 1000)) + " ms" : numbers().format(seconds) + " s"),
  span: (seconds) => (seconds < 90 ? Math.round(seconds) + " s" : Math.round(seconds / 60) + " min"),
};

const view = { html, t, known, format, state, act: {} };

function same(a, b) {
  return Boolean(a && b && a.kind === b.kind && a.namespace === b.namespace && a.name === b.name);
}

function draw() {
  document.documentElement.lang = state.shownLang === "zh" ? "zh-CN" : "en";
  document.documentElement.dataset.scheme = state.scheme;
  document.title = state.ref ? state.ref.name + " · WeChatEndpoint" : t("title");
  render(html`<${App} />`, document.body);
}

function say(message) {
  state.said = message;
  draw();
}

// fail notes what makes the whole page useless, and reports whether it is that.
function fail(failure) {
  if (failure.status === 401) state.fatal = 401;
  else if (failure.status === 0) state.fatal = -1;
  else return false;
  return true;
}

async function loadWords() {
  const answer = await call("words", state.lang);
  state.words = answer.words;
  state.shownLang = answer.lang;
}

async function loadList() {
  const before = state.list;
  state.list = await call("objects", state.lang);
  for (const object of state.list.objects) {
    const earlier = before && before.objects.find((one) => same(one, object));
    if (earlier && earlier.ready !== object.ready) {
      state.said = t(object.ready === "True" ? "nowReady" : "nowNotReady", object.namespace + "/" + object.name);
    }
  }
}

async function loadObject() {
  const ref = state.ref;
  if (!ref) return;
  try {
    const object = await call("objects/" + pathOf(ref), state.lang);
    if (same(ref, state.ref)) Object.assign(state, { object, objectError: "" });
  } catch (failure) {
    if (fail(failure)) throw failure;
    if (same(ref, state.ref)) Object.assign(state, { object: null, objectError: failure.message });
  }
}

async function loadTraffic() {
  const ref = state.ref;
  if (!ref) return;
  try {
    const traffic = await call("traffic/" + pathOf(ref), state.lang);
    if (same(ref, state.ref)) Object.assign(state, { traffic, trafficError: "" });
  } catch (failure) {
    if (fail(failure)) throw failure;
    if (same(ref, state.ref)) state.trafficError = failure.message;
  }
}

let lines = 0; // of tails, for their keys
let timer = 0;
let looking = 0;

// look asks for all that is shown, and again after a while. A page that nobody sees asks for nothing, therefore the pods are left alone.
async function look() {
  clearTimeout(timer);
  const mine = ++looking;
  if (!document.hidden) {
    try {
      if (!state.words) await loadWords();
      await Promise.all([loadList().then(draw), loadObject().then(draw), loadTraffic().then(draw)]);
      state.fatal = 0;
    } catch (failure) {
      if (!fail(failure)) state.fatal = -1;
    }
    draw();
  }
  if (mine === looking && state.fatal !== 401) timer = setTimeout(look, every);
}

function route() {
  const found = /^#\/(WeChatEndpoint|WeChatGateway)\/([^/]+)\/([^/]+)$/.exec(location.hash);
  const ref = found ? { kind: found[1], namespace: decodeURIComponent(found[2]), name: decodeURIComponent(found[3]) } : null;
  if (!same(ref, state.ref)) {
    stopTail();
    state.tail = [];
    Object.assign(state, { ref, object: null, objectError: "", traffic: null, trafficError: "", trip: null, form: { scenario: "", text: "" } });
  }
}

const kept = 100; // lines of the tail

function stopTail() {
  if (state.tailing) state.tailing.abort();
  state.tailing = null;
}

view.act = {
  stopTail() {
    stopTail();
    draw();
  },
  async startTail() {
    if (state.tailing) return;
    const mine = new AbortController();
    Object.assign(state, { tailing: mine, tail: [] });
    draw();
    const take = (told) => {
      if (state.tailing !== mine) return;
      state.tail = [{ ...told, id: ++lines }, ...state.tail].slice(0, kept);
      draw();
    };
    try {
      await follow("tail/" + pathOf(state.ref), state.lang, mine.signal, take);
    } catch (failure) {
      if (!mine.signal.aborted) take({ at: Date.now(), note: failure.message, failed: true });
    }
    if (state.tailing === mine) state.tailing = null;
    draw();
  },
  filter(value) {
    state.filter = value;
    draw();
  },
  async language(lang) {
    localStorage.setItem("lang", lang);
    Object.assign(state, { lang, words: null, trip: null });
    await look();
  },
  scheme(scheme) {
    localStorage.setItem("scheme", scheme);
    state.scheme = scheme;
    draw();
  },
  form(change) {
    Object.assign(state.form, change);
    draw();
  },
  async copy(value) {
    await navigator.clipboard.writeText(value).catch(() => {});
    say(t("copied"));
  },
  async send() {
    if (state.sending) return;
    const ref = state.ref;
    Object.assign(state, { sending: true, trip: null });
    draw();
    let trip;
    try {
      const scenario = state.form.scenario || state.object.scenarios[0];
      trip = await call("send/" + pathOf(ref), state.lang, { scenario, text: state.form.text });
    } catch (failure) {
      fail(failure);
      trip = { error: failure.message };
    }
    state.sending = false;
    if (same(ref, state.ref)) state.trip = trip;
    say(trip.error || (trip.taken ? t("taken") : t("notTaken")));
  },
};

// App is the whole page.
function App() {
  if (state.fatal === 401) return html`<${Message} title=${t("errorTitle")} text=${state.words ? t("stale") : staleInBoth} />`;
  if (!state.words) return html`<main class="alone" aria-busy="true">${state.fatal ? html`<p>${goneInBoth}</p>` : null}</main>`;
  return html`
    <a class="skip" href="#main" onClick=${focusMain}>${t("skip")}</a>
    <header class="top">
      <a class="brand" href="#/"><img src="/icon.svg" alt="" width="22" height="22" />WeChatEndpoint</a>
      <span class="where">${state.list ? (state.list.namespace ? t("inNamespace", state.list.namespace) : t("allNamespaces")) : ""}</span>
      <div class="switches">
        <label><span class="sr">${t("language")}</span>
          <select class="quiet" id="language" value=${state.shownLang} onChange=${(e) => view.act.language(e.target.value)}>
            <option value="en" lang="en">English</option><option value="zh" lang="zh-CN">中文</option>
          </select></label>
        <label><span class="sr">${t("scheme")}</span>
          <select class="quiet" id="scheme" value=${state.scheme} onChange=${(e) => view.act.scheme(e.target.value)}>
            <option value="system">${t("schemeSystem")}</option><option value="light">${t("schemeLight")}</option><option value="dark">${t("schemeDark")}</option>
          </select></label>
      </div>
    </header>
    ${state.fatal === -1 ? html`<p class="banner bad" role="alert"><${Icon} name="failed" />${t("gone")}</p>` : null}
    <div class=${"body" + (state.ref ? " opened" : "")}>
      <${Sidebar} view=${view} />
      <main id="main" tabindex="-1"><${Detail} view=${view} /></main>
    </div>
    <div class="sr" role="status" aria-live="polite">${state.said}</div>`;
}

// These are said before there are words in any language.
const staleInBoth = "Open the URL that kubectl wechat dashboard prints: this page has no key, or the key of an earlier run. 请打开 kubectl wechat dashboard 显示的 URL：本页没有密钥，或密钥属于较早的一次运行。";
const goneInBoth = "The server of this page does not answer. 本页的服务没有应答。";

function Message({ title, text }) {
  return html`<main class="alone" role="alert"><h1>${state.words ? title : "WeChatEndpoint"}</h1><p>${text}</p></main>`;
}

function focusMain(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}

addEventListener("hashchange", async () => {
  takeToken();
  route();
  draw();
  scrollTo(0, 0);
  const heading = document.getElementById("heading");
  if (heading) heading.focus();
  await look();
});
document.addEventListener("visibilitychange", look);
addEventListener("keydown", (event) => {
  if (event.key === "/" && !/^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName)) {
    const filter = document.getElementById("filter");
    if (filter) {
      event.preventDefault();
      filter.focus();
    }
  }
});

takeToken();
route();
draw();
look();
