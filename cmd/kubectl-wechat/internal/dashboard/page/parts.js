// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// The parts of the page.

import { h } from "/preact.js";
import htm from "/htm.js";
import { Callbacks } from "/charts.js";

const html = htm.bind(h);

const shapes = {
  ok: "M3.5 8.5l3 3 6-7",
  failed: "M4.5 4.5l7 7m0-7l-7 7",
  unknown: "M8 4v4.5M8 11.5v.5",
  copy: "M5.5 5.5v-2h7v7h-2m-7-5h7v7h-7z",
  back: "M9.5 3.5L5 8l4.5 4.5",
};

export function Icon({ name }) {
  return html`<svg class=${"icon " + name} viewBox="0 0 16 16" width="16" height="16" aria-hidden="true"><path d=${shapes[name]} /></svg>`;
}

// mark is the name of the icon and colour for a condition, or for the readiness of an object.
function mark(status, holds) {
  if (holds) return "ok";
  return status === "Unknown" ? "unknown" : "failed";
}

export function Sidebar({ view }) {
  const { t, state, act } = view;
  const all = state.list ? state.list.objects : [];
  const wanted = state.filter.trim().toLowerCase();
  const found = all.filter((o) => [o.name, o.namespace, o.platform || "", o.url || ""].some((field) => field.toLowerCase().includes(wanted)));
  const groups = [
    ["WeChatEndpoint", t("endpoints")],
    ["WeChatGateway", t("gateways")],
  ];
  return html`<nav class="side" aria-label=${t("objects")}>
    <div class="find">
      <label class="sr" for="filter">${t("filter")}</label>
      <input id="filter" type="search" autocomplete="off" spellcheck="false" placeholder=${t("filter")} value=${state.filter}
        onInput=${(e) => act.filter(e.target.value)} onKeyDown=${(e) => e.key === "Escape" && act.filter("")} />
    </div>
    ${state.list ? state.list.unread.map((why) => html`<p class="banner warn" key=${why}><${Icon} name="unknown" /><span>${why}</span></p>`) : html`<p class="hint">${t("loading")}</p>`}
    ${groups.map(([kind, title]) => {
      const objects = found.filter((o) => o.kind === kind);
      if (objects.length === 0) return null;
      const ready = objects.filter((o) => o.ready === "True").length;
      return html`<section key=${kind} aria-labelledby=${"group-" + kind}>
        <h2 class="group" id=${"group-" + kind}>${title}<span>${t("countReady", ready, objects.length)}</span></h2>
        <ul>${objects.map((o) => html`<${Row} key=${o.namespace + "/" + o.name} view=${view} object=${o} />`)}</ul>
      </section>`;
    })}
    ${state.list && all.length === 0 && state.list.unread.length === 0 ? html`<p class="hint">${t("nothing")}</p>` : null}
    ${all.length > 0 && found.length === 0 ? html`<p class="hint">${t("noMatch")}</p>` : null}
    <p class="hint local">${t("local")}</p>
  </nav>`;
}

function Row({ view, object }) {
  const { t, state } = view;
  const here = state.ref && state.ref.kind === object.kind && state.ref.namespace === object.namespace && state.ref.name === object.name;
  const status = mark(object.ready, object.ready === "True");
  return html`<li>
    <a class="row" href=${"#/" + [object.kind, object.namespace, object.name].map(encodeURIComponent).join("/")} aria-current=${here ? "page" : null}>
      <${Icon} name=${status} />
      <span class="name"><b>${object.name}</b><span class="sr">, ${readiness(view, object)}, </span><span class="of">${object.namespace}</span></span>
      <span class="what">${object.platform || (object.endpoints === undefined ? "" : t("servesCount", object.endpoints))}${object.paused ? " · " + t("paused") : ""}</span>
      ${object.ready !== "True" && object.next ? html`<span class="next">${object.next}</span>` : null}
    </a>
  </li>`;
}

function readiness({ t }, object) {
  return t({ True: "ready", False: "notReady" }[object.ready] || "unknown");
}

export function Detail({ view }) {
  const { t, state } = view;
  if (!state.ref) return html`<div class="empty"><h1 id="heading" tabindex="-1">${t("title")}</h1><p>${t("choose")}</p></div>`;
  const summary = state.object && state.object.summary;
  return html`<a class="back" href="#/"><${Icon} name="back" />${t("back")}</a>
    <header class="title">
      <h1 id="heading" tabindex="-1">${state.ref.name}<span class="of">${state.ref.namespace}</span></h1>
      ${summary ? html`<span class=${"pill " + mark(summary.ready, summary.ready === "True")}>${readiness(view, summary)}${summary.paused ? " · " + t("paused") : ""}</span>` : null}
    </header>
    ${state.objectError ? html`<p class="banner bad" role="alert"><${Icon} name="failed" /><span>${state.objectError}</span></p>` : null}
    ${summary ? html`<${Known} view=${view} summary=${summary} />` : state.objectError ? null : html`<p class="hint" aria-busy="true">${t("loading")}</p>`}`;
}

// Known is what there is to see of an object once it is read.
function Known({ view, summary }) {
  const { t, state } = view;
  return html`
    <${Facts} view=${view} />
    ${summary.ready !== "True" && summary.next ? html`<section class="todo" aria-labelledby="todo"><h2 id="todo">${t("next")}</h2><p>${summary.next}</p></section>` : null}
    ${summary.observedGeneration < summary.generation
      ? html`<p class="banner warn"><${Icon} name="unknown" /><span>${t("behind", summary.observedGeneration, summary.generation)}</span></p>` : null}
    <div class="columns">
      <div class="column">
        <${Checklist} view=${view} />
        <${Test} view=${view} />
        <${Credentials} view=${view} />
      </div>
      <div class="column">
        <${Callbacks} view=${view} />
        <${Tail} view=${view} />
        <${Console} view=${view} />
        <${Pods} view=${view} />
      </div>
    </div>
    <footer class="foot"><span>${t("commandTitle")}</span><code>${state.object.command}</code><${Copy} view=${view} value=${state.object.command} of=${t("commandTitle")} /></footer>`;
}

function Facts({ view }) {
  const { t, format } = view;
  const s = view.state.object.summary;
  const facts = [
    [t("platform"), s.platform],
    [t("mode"), s.messageMode],
    [t("backend"), s.backend],
    [t("servedBy"), s.kind === "WeChatEndpoint" ? (s.gateway ? t("gatewayPods", s.gateway) : t("ownPods")) : ""],
    [t("serves"), s.endpoints === undefined ? "" : t("servesCount", s.endpoints)],
    [t("noRoom"), (s.left || []).join(", ")],
    [t("certificate"), s.certificateNotAfter && format.day(s.certificateNotAfter)],
  ];
  return html`<dl class="facts">
    ${s.url ? html`<div class="wide"><dt>${t("url")}</dt><dd><code>${s.url}</code><${Copy} view=${view} value=${s.url} of=${t("url")} /></dd></div>` : null}
    ${facts.filter(([, value]) => value).map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}
  </dl>`;
}

function Copy({ view, value, of }) {
  return html`<button type="button" class="copy" title=${view.t("copy")} aria-label=${view.t("copyOf", of)} onClick=${() => view.act.copy(value)}><${Icon} name="copy" /></button>`;
}

// Card is a part with a heading.
export function Card({ id, title, note, children }) {
  return html`<section class="card" aria-labelledby=${id}><header><h2 id=${id}>${title}</h2>${note ? html`<span class="note">${note}</span>` : null}</header>${children}</section>`;
}

function Checklist({ view }) {
  const { t, known } = view;
  const conditions = (view.state.object.summary.conditions || []).filter((c) => c.type !== "Ready");
  const said = { ok: t("stateOK"), failed: t("stateFailed"), unknown: t("stateUnknown") };
  return html`<${Card} id="checklist" title=${t("checklist")} note=${t("checklistDone", conditions.filter((c) => c.holds).length, conditions.length)}>
    <ol class="checks">${conditions.map((c) => {
      const status = mark(c.status, c.holds);
      return html`<li key=${c.type} class=${status}>
        <${Icon} name=${status} />
        <div>
          <p class="head"><b>${known("condition." + c.type) ? t("condition." + c.type) : c.type}</b><span class="sr">: ${said[status]}</span><span class="reason">${c.reason}</span></p>
          ${c.message && !c.holds ? html`<p class="message">${c.message}</p>` : null}
          ${c.outdated ? html`<p class="message">${t("outdated")}</p>` : null}
          ${c.do && c.reason !== "Waiting" ? html`<p class="do">${c.do}</p>` : null}
        </div>
      </li>`;
    })}</ol>
  <//>`;
}

function Console({ view }) {
  const { t } = view;
  const console = view.state.object.console;
  const { summary } = view.state.object;
  if (!console) return null;
  const reveal = "kubectl wechat console " + summary.name + " -n " + summary.namespace + " --reveal";
  return html`<${Card} id="console" title=${t("console")}>
    <p class=${"verdict " + (console.ready ? "ok" : "unknown")}><${Icon} name=${console.ready ? "ok" : "unknown"} /><span>${console.verdict}${console.do ? html`<code class="block">${console.do}</code>` : null}</span></p>
    <ol class="steps">${console.steps.map((step, i) => html`<li key=${i} class=${step.command ? "secret" : ""}>
      <span class="action">${step.action}</span>
      <span class="field" lang="zh-CN">${step.field || ""}</span>
      ${step.command
        ? html`<span class="value"><span class="note">${t("secretStands", step.where)}</span><span class="line"><code>${step.command}</code><${Copy} view=${view} value=${step.command} of=${step.field} /></span></span>`
        : html`<span class="value line"><span class=${step.field ? "mono" : ""} lang="zh-CN">${step.value}</span>${step.field ? html`<${Copy} view=${view} value=${step.value} of=${step.field} />` : null}</span>`}
    </li>`)}</ol>
    ${console.steps.some((step) => step.command) ? html`<p class="note">${t("reveal", "")}<code>${reveal}</code></p>` : null}
  <//>`;
}

function Credentials({ view }) {
  const { t, format } = view;
  if (view.state.object.summary.kind !== "WeChatEndpoint") return null;
  const all = view.state.object.credentials;
  return html`<${Card} id="credentials" title=${t("credentials")}>
    ${all.length === 0 ? html`<p class="hint">${t("credentialsNone")}</p>` : null}
    <ol class="timeline">${all.map((g) => html`<li key=${g.number} class=${g.lost ? "lost" : g.newest ? "newest" : ""}>
      <p class="head"><b>${t("generation", g.number)}</b>${g.newest ? html`<span class="tag">${t("newest")}</span>` : null}</p>
      ${g.lost ? html`<p class="do">${t("lost")}</p>` : html`
        <p>${g.since ? t("acceptedSince", format.time(g.since)) : t("acceptedFirst")}${g.until ? ", " + t("acceptedUntil", format.time(g.until)) : ""}</p>
        ${g.firstUsed ? html`<p>${t("firstUsed", format.time(g.firstUsed))}</p>` : null}
        <p>${g.lastUsed ? t("lastUsed", format.time(g.lastUsed)) : g.firstUsed ? "" : t("unused")}</p>`}
    </li>`)}</ol>
  <//>`;
}

function Test({ view }) {
  const { t, state, act } = view;
  const { scenarios, summary } = state.object;
  if (summary.kind !== "WeChatEndpoint") return null;
  if (scenarios.length === 0) return html`<${Card} id="test" title=${t("test")}><p class="hint">${t("testNone")}</p><//>`;
  const scenario = state.form.scenario || scenarios[0];
  const writes = scenario === "text" || scenario === "bot";
  return html`<${Card} id="test" title=${t("test")}>
    <p class="note">${t("testNote")}</p>
    <form class="send" onSubmit=${(e) => { e.preventDefault(); act.send(); }}>
      ${scenarios.length > 1 ? html`<label>${t("scenario")}<select value=${scenario} onChange=${(e) => act.form({ scenario: e.target.value })}>
        ${scenarios.map((name) => html`<option key=${name} value=${name}>${t("scenario." + name)}</option>`)}</select></label>` : null}
      ${writes ? html`<label class="grow">${t("text")}<input type="text" maxlength="600" value=${state.form.text} placeholder=${t("textDefault")} onInput=${(e) => act.form({ text: e.target.value })} /></label>` : null}
      <button type="submit" class="primary" aria-disabled=${state.sending}>${state.sending ? t("sending") : t("send")}</button>
    </form>
    ${state.trip ? html`<${Trip} view=${view} trip=${state.trip} />` : null}
  <//>`;
}

function Trip({ view, trip }) {
  const { t, format } = view;
  if (trip.error) return html`<p class="banner bad"><${Icon} name="failed" /><span>${trip.error}</span></p>`;
  const app = Math.min(trip.appMilliseconds || 0, trip.milliseconds);
  const facts = [[t("to"), trip.address], [t("answered"), trip.answer], [t("appSays"), trip.app], [t("reply"), trip.reply]];
  return html`<div class=${"trip " + (trip.taken ? "ok" : "failed")}>
    <p class="verdict"><${Icon} name=${trip.taken ? "ok" : "failed"} /><b>${trip.taken ? t("taken") : t("notTaken")}</b></p>
    ${trip.taken ? null : html`<p>${trip.verdict}</p>`}
    ${trip.do ? html`<p class="do">${trip.do}</p>` : null}
    <div class="took">
      <span>${t("total")} <b>${format.duration(trip.milliseconds / 1000)}</b></span>
      ${trip.appMilliseconds ? html`<span>${t("appTook")} <b>${format.duration(app / 1000)}</b></span>` : null}
      <meter class="bar" min="0" max="5000" low="2500" high="4500" optimum="0" value=${Math.min(trip.milliseconds, 5000)} aria-label=${t("total")}></meter>
    </div>
    <dl class="facts">${facts.filter(([, value]) => value).map(([name, value]) => html`<div key=${name} class="wide"><dt>${name}</dt><dd class="reply">${value}</dd></div>`)}</dl>
  </div>`;
}

function Tail({ view }) {
  const { t, known, format, state, act } = view;
  const { summary } = state.object;
  if (summary.kind !== "WeChatEndpoint") return null;
  const what = (line) => (line.outcome ? ["outcome.", line.outcome] : ["reason.", line.reason || ""]);
  return html`<${Card} id="tail" title=${t("tail")} note=${state.tailing ? t("tailOn") : ""}>
    <div class="send"><p class="note grow">${t("tailNote")}</p>
      <button type="button" class="secondary" onClick=${state.tailing ? act.stopTail : act.startTail}>${state.tailing ? t("tailStop") : t("tailStart")}</button></div>
    <ol class="tail" role="log" aria-label=${t("tail")} tabindex=${state.tail.length ? 0 : null}>${state.tail.map((line) => {
      if (line.note) return html`<li key=${line.id} class=${line.failed ? "failed" : "told"}><time>${format.clock(line.at)}</time><span>${line.note}</span></li>`;
      const [prefix, name] = what(line);
      const tags = [line.repeat && t("repeat"), line.played && t("played")].filter(Boolean);
      return html`<li key=${line.id} class=${line.reason ? "failed" : ""}>
        <time>${format.clock(line.at)}</time>
        <span><b>${[line.type, line.event].filter(Boolean).join(" · ") || (line.reason ? t("refused") : "–")}</b> ${known(prefix + name) ? t(prefix + name) : name}${tags.map((tag) => html` <span class="tag">${tag}</span>`)}</span>
        <span class="took">${line.status} · ${format.duration(line.milliseconds / 1000)}</span>
      </li>`;
    })}</ol>
    <p class="note">${t("tailMore")} <code>${"kubectl wechat listen " + summary.name + " -n " + summary.namespace}</code></p>
  <//>`;
}

function Pods({ view }) {
  const { t } = view;
  const s = view.state.object.summary;
  return html`<${Card} id="pods" title=${t("pods")}>
    ${s.podsUnknown ? html`<p class="banner warn"><${Icon} name="unknown" /><span>${s.podsUnknown}</span></p>` : null}
    ${!s.podsUnknown && !(s.pods || []).length ? html`<p class="hint">${t("podsNone")}</p>` : null}
    <ul class="pods">${(s.pods || []).map((pod) => html`<li key=${pod.name}>
      <${Icon} name=${pod.ready ? "ok" : "failed"} />
      <div><p class="head"><span class="mono">${pod.name}</span><span class="sr">: ${pod.ready ? t("podReady") : t("podNotReady")}</span>${pod.restarts ? html`<span class="tag">${t("restarts", pod.restarts)}</span>` : null}</p>
      <p class="note">${[pod.node, pod.image].filter(Boolean).join(" · ")}</p>
      ${pod.problem ? html`<p class="message">${pod.problem}</p>` : null}</div>
    </li>`)}</ul>
  <//>`;
}
