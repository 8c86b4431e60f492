// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// What the pods have counted: figures, a chart of what comes while the page is open, and how long answers take.

import { h } from "/preact.js";
import htm from "/htm.js";
import { Card, Icon } from "/parts.js";

const html = htm.bind(h);
const deadline = 5; // seconds that WeChat waits

const sum = (counts) => Object.values(counts || {}).reduce((a, b) => a + b, 0);

export function Callbacks({ view }) {
  const { t, format, state } = view;
  const traffic = state.traffic;
  if (!traffic) {
    return html`<${Card} id="traffic" title=${t("traffic")}>${state.trafficError
      ? html`<p class="banner warn"><${Icon} name="unknown" /><span>${state.trafficError}</span></p>` : html`<p class="hint" aria-busy="true">${t("loading")}</p>`}<//>`;
  }
  const verified = sum(traffic.total.outcomes);
  const refused = sum(traffic.total.refused);
  const answered = (traffic.total.answers || []).at(-1)?.count || 0;
  const tiles = [
    [t("verified"), format.number(verified), ""],
    [t("refused"), format.number(refused), ""],
    [t("late"), format.number(traffic.late), traffic.late > 0 ? "bad" : ""],
    [t("p99"), answered ? format.duration(traffic.p99) : "–", traffic.p99 > deadline / 2 ? "bad" : ""],
  ];
  return html`<${Card} id="traffic" title=${t("traffic")} note=${traffic.pods ? t("trafficNote", traffic.pods) : t("trafficNone")}>
    ${traffic.unread.map((why) => html`<p class="banner warn" key=${why}><${Icon} name="unknown" /><span>${why}</span></p>`)}
    ${traffic.pods === 0 ? null : html`
      <dl class="tiles">${tiles.map(([name, value, tone]) => html`<div key=${name}><dt>${name}</dt><dd class=${tone}>${value}</dd></div>`)}
        <div class="last"><dt>${t("lastMessage")}</dt><dd>${traffic.seen ? format.time(traffic.seen) : t("never")}</dd></div></dl>
      <${Rates} view=${view} traffic=${traffic} />
      <${Latency} view=${view} answers=${traffic.total.answers || []} />
      <${Table} view=${view} title=${t("outcomes")} counts=${traffic.total.outcomes} words="outcome." />
      <${Table} view=${view} title=${t("reasons")} counts=${traffic.total.refused} words="reason." remedies="remedy." />`}
  <//>`;
}

const shown = 60; // points: five minutes

// Rates are bars for what came between two samples, refused ones above verified ones.
function Rates({ view, traffic }) {
  const { t, format } = view;
  const points = traffic.points.slice(-shown);
  const seconds = traffic.points.reduce((all, p) => all + p.seconds, 0);
  const note = t("sinceOpenNote", format.number(sum(traffic.open.outcomes)), format.number(sum(traffic.open.refused)), format.span(seconds));
  const most = Math.max(1, ...points.map((p) => p.verified + p.refused));
  const width = 600, height = 72, step = width / shown;
  return html`<figure class="chart">
    <figcaption><b>${t("sinceOpen")}</b><span class="note">${points.length ? note : t("collecting")}</span></figcaption>
    <svg viewBox=${`0 0 ${width} ${height}`} preserveAspectRatio="none" role="img" aria-label=${points.length ? note : t("collecting")}>
      <line class="axis" x1="0" x2=${width} y1=${height - 0.5} y2=${height - 0.5} />
      ${points.map((p, i) => {
        const x = width - (points.length - i) * step;
        const up = ((height - 4) * p.verified) / most;
        const more = ((height - 4) * p.refused) / most;
        return html`<g key=${p.at}>
          <rect class="quiet" x=${x + 1} y=${height - 2} width=${step - 2} height="2" />
          ${p.verified ? html`<rect class="verified" x=${x + 1} y=${height - up} width=${step - 2} height=${up} />` : null}
          ${p.refused ? html`<rect class="refused" x=${x + 1} y=${height - up - more} width=${step - 2} height=${more} />` : null}
        </g>`;
      })}
    </svg>
    <p class="legend" aria-hidden="true"><span class="verified">${t("verified")}</span><span class="refused">${t("refused")}</span></p>
  </figure>`;
}

// Latency are bars for the buckets of the histogram, with WeChat's deadline between those that it waits for and the others.
function Latency({ view, answers }) {
  const { t, format } = view;
  const all = answers.at(-1)?.count || 0;
  const bars = answers.map((b, i) => ({ seconds: b.seconds, count: b.count - (i ? answers[i - 1].count : 0) }));
  const most = Math.max(1, ...bars.map((b) => b.count));
  return html`<figure class="latency">
    <figcaption><b>${t("latency")}</b><span class="note">${all ? t("latencyNote", format.number(all)) : t("latencyNone")}</span></figcaption>
    ${all ? html`<ol>${bars.map((b) => {
      const name = b.seconds ? format.duration(b.seconds) : t("beyond");
      const over = b.seconds === 0 || b.seconds > deadline;
      return html`<li key=${b.seconds} class=${(over ? "over" : "") + (b.seconds === deadline ? " deadline" : "")} title=${b.seconds ? t("within", name, format.number(b.count)) : t("beyond") + ": " + format.number(b.count)}>
        <span class="sr">${b.seconds ? t("within", name, format.number(b.count)) : t("beyond") + ": " + format.number(b.count)}</span>
        <svg viewBox="0 0 10 48" preserveAspectRatio="none" aria-hidden="true"><rect x="0" width="10" y=${48 - Math.max(b.count ? 2 : 0.75, (46 * b.count) / most)} height="48" /></svg>
        <span class="tick" aria-hidden="true">${name}</span>
        ${b.seconds === deadline ? html`<span class="mark" aria-hidden="true">${t("deadline")}</span>` : null}
      </li>`;
    })}</ol>` : null}
  </figure>`;
}

// Table are counts by their words, the largest first.
function Table({ view, title, counts, words, remedies }) {
  const { t, known, format } = view;
  const rows = Object.entries(counts || {}).filter(([, count]) => count > 0).sort((a, b) => b[1] - a[1]);
  if (rows.length === 0) return null;
  return html`<table class="counts"><caption>${title}</caption><tbody>${rows.map(([name, count]) => html`<tr key=${name}>
    <td class="count">${format.number(count)}</td>
    <th scope="row">${known(words + name) ? t(words + name) : name}<span class="reason">${name}</span>${remedies && known(remedies + name) ? html`<span class="message">${t(remedies + name)}</span>` : null}</th>
  </tr>`)}</tbody></table>`;
}
