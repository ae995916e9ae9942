import { type Html, html } from '../shared/html.ts';
import { ms } from './milliseconds.ts';
import { STAGES, type Stage } from './outcome.ts';
import { charts } from './page-series.ts';
import { STYLE } from './page-style.ts';
import type { Percentiles, Report } from './report.ts';
import { percent } from './thresholds.ts';
import { clock, count } from './words.ts';

const STEPS: Readonly<Record<Stage, string>> = {
  mint: 'Token minted',
  socket: 'Socket open',
  offer: 'Offer there',
  connected: 'Media connected',
  first_packet: 'First packet back',
  end: 'End confirmed',
};
const PERCENTS = ['p50', 'p90', 'p95', 'p99', 'max'] as const;

/** No script runs and nothing is fetched, whatever has got into the page. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/** A report as one HTML page that needs nothing else: no script, no font, no network. */
export function htmlPage(report: Report): string {
  const { command, startedAt, failures, interrupted } = report;
  const passed = failures.length === 0;
  const verdict = passed ? (interrupted ? 'Interrupted' : 'Passed') : 'Failed';
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${verdict}: callgate ${command}, ${startedAt}</title>
<link rel="icon" href="data:,">
<style>${STYLE}</style>
</head>
<body class="${passed ? 'passed' : 'failed'}">
<header class="mast">${GATE}
<h1>callgate</h1><p class="motto">${command === 'load' ? 'Load test' : 'Replay of recorded sessions'}</p><p class="state">${verdict}</p>
</header>
<main>
${summary(report)}
${ticket(report)}
${report.series.length > 0 && charts(report.series)}
${steps(report)}
<div class="wide facts">
${packets(report)}
${tally('Ends', 'What the server said last.', report.endReasons, 'green')}
${tally('Errors', 'Why sessions failed.', report.errors, 'red')}
${oneCall(report)}
${returns(report)}
</div>
</main>
</body>
</html>
`.text;
}

const GATE = html`<svg class="gate" viewBox="0 0 64 40" aria-hidden="true"><path class="gate-ground" d="M2 38.5h60"/><g class="gate-arm"><path class="gate-edge" d="M10.5 17h53"/><path class="gate-pole" d="M12 17h50"/><path class="gate-stripes" d="M19 17h43"/></g><path class="gate-post" d="M7 38V11h10v27z"/><circle class="gate-lamp" cx="12" cy="7" r="3.5"/></svg>`;

function summary({ sessions, seconds, startedAt, urls, options, failures, interrupted }: Report): Html {
  const outcome = sessions.failed === 0 ? 'none failed' : `${count(sessions.failed)} failed`;
  return html`<section class="summary">
<h2>${count(sessions.arrived)} sessions, ${outcome}</h2>
${interrupted && html`<p class="note">Interrupted after ${count(sessions.arrived)} of ${count(sessions.planned)} sessions.</p>`}
${failures.length > 0 && html`<ul class="failures">${failures.map((failure) => html`<li>${failure}</li>`)}</ul>`}
<dl>
<dt>Began</dt><dd><time>${startedAt.replace('T', ' ').replace(/(\.\d+)?Z$/, ' UTC')}</time></dd>
<dt>Took</dt><dd>${clock(seconds)}</dd>
<dt>Against</dt><dd>${urls.map((url) => html`<code>${url}</code> `)}</dd>
<dt>Asked for</dt><dd>${options.map((option) => html`<code>${option}</code> `)}</dd>
</dl>
</section>`;
}

function ticket({ sessions }: Report): Html {
  const stops = ['planned', 'arrived', 'offered', 'connected', 'ended'] as const;
  return html`<section class="ticket" aria-label="Sessions">
<div class="ticket-body"><h2>Sessions</h2>
<ol>${stops.map((stop) => html`<li><span>${stop}</span><i style="--share:${share(sessions[stop], sessions.planned)}"></i><b>${count(sessions[stop])}</b></li>`)}</ol></div>
<div class="ticket-stub"><span>failed</span><b>${count(sessions.failed)}</b></div>
</section>`;
}

function steps({ timings, lateness }: Report): Html {
  const reached = STAGES.filter((stage) => timings[stage].count > 0);
  const longest = Math.max(...reached.map((stage) => timings[stage].max), 10);
  return html`<section class="wide"><h2>How long each step took</h2>
<p class="quiet">Milliseconds from the scheduled arrival, so that a wait shows; the end counts from the scheduled end. <span class="strip">The strip runs from p50 to the longest, on a logarithmic scale up to ${ms(longest)} ms; its thick part ends at p95.</span></p>
<div class="scroll"><table>
<thead><tr><th scope="col">step</th><th scope="col" class="count">sessions</th>${PERCENTS.map((p) => html`<th scope="col">${p}</th>`)}<th class="strip"><span class="unseen">spread</span></th></tr></thead>
<tbody>${STAGES.map((stage) => step(STEPS[stage], timings[stage], longest))}
${lateness.count > 0 && step('Tester was late', lateness, longest, 'tester')}</tbody>
</table></div></section>`;
}

function step(name: string, percentiles: Percentiles, longest: number, kind = ''): Html {
  if (percentiles.count === 0) {
    return html`<tr class="none"><th scope="row">${name}</th><td class="count">0</td>${PERCENTS.map(() => html`<td>–</td>`)}<td class="strip"></td></tr>`;
  }
  const x = (value: number): string => share(Math.log10(1 + value), Math.log10(1 + longest));
  return html`<tr class="${kind}"><th scope="row">${name}</th><td class="count">${count(percentiles.count)}</td>${PERCENTS.map((p) => html`<td>${ms(percentiles[p])}</td>`)}<td class="strip"><i style="--p50:${x(percentiles.p50)};--p95:${x(percentiles.p95)};--max:${x(percentiles.max)}"></i></td></tr>`;
}

function packets({ packets: { sent, received, lost } }: Report): Html | undefined {
  if (sent + received === 0) return undefined;
  const loss = percent(lost, received + lost) ?? 0;
  return html`<section><h2>Packets</h2><p class="quiet">RTP, as the clients counted it.</p>
<dl class="figures"><dt>sent</dt><dd>${count(sent)}</dd><dt>received</dt><dd>${count(received)}</dd>
<dt>lost</dt><dd class="${lost > 0 ? 'bad' : ''}">${count(lost)} <small>${loss.toFixed(2)}%</small></dd></dl></section>`;
}

function tally(
  title: string,
  note: string,
  counts: Readonly<Record<string, number>>,
  colour: string,
): Html | undefined {
  const sorted = Object.entries(counts).sort(([, a], [, b]) => b - a);
  const most = sorted[0]?.[1] ?? 0;
  if (most === 0) return undefined;
  return html`<section><h2>${title}</h2><p class="quiet">${note}</p>
<ol class="tally ${colour}">${sorted.map(([name, n]) => html`<li><code>${name}</code><b>${count(n)}</b><i style="--share:${share(n, most)}"></i></li>`)}</ol></section>`;
}

/** What was tried against the promise that a token makes one call. */
function oneCall({ race, reuse, churn }: Report): Html | undefined {
  if (!race && !reuse && !churn) return undefined;
  const races = (race?.severalWinners ?? 0) + (race?.noWinner ?? 0) + (race?.notHeld ?? 0);
  const kept = races + (reuse?.taken ?? 0) + (reuse?.notPresented ?? 0) === 0;
  return html`<section><h2>One token, one call</h2>
${(race || reuse) && html`<p class="stamp ${kept ? 'kept' : 'broken'}">${kept ? 'Kept' : 'Broken'}</p>`}
<dl class="figures">
${race && html`<dt>clients for each token</dt><dd>${count(race.contenders)}</dd><dt>one winner</dt><dd>${count(race.oneWinner)}</dd>${bad('no winner', race.noWinner)}${bad('several winners', race.severalWinners)}${bad('not held', race.notHeld)}`}
${reuse && html`<dt>presented again</dt><dd>${count(reuse.presented)}</dd>${bad('taken again', reuse.taken)}${bad('not presented again', reuse.notPresented)}`}
${churn && html`<dt>sockets killed</dt><dd>${count(churn.killed)}</dd><dt>sessions resumed</dt><dd>${count(churn.resumed)}</dd>`}
</dl></section>`;
}

/** What became of sessions whose client, worker or process was lost. */
function returns({ returns }: Report): Html | undefined {
  if (!returns) return undefined;
  const { losses, attached, adopted, gone, rehomed, back, live } = returns;
  const lost = Object.values(gone).reduce((sum, n) => sum + n, 0);
  return html`<section><h2>Returns</h2><p class="quiet">Clients that lost their socket, and sessions that moved.</p><dl class="figures">
<dt>sockets lost</dt><dd>${count(losses)}</dd><dt>attached again</dt><dd>${count(attached)}</dd><dt>adopted by another process</dt><dd>${count(adopted)}</dd>${bad('gone', lost)}
<dt>fresh connections</dt><dd>${count(rehomed)}</dd><dt>resumed, p95</dt><dd>${ms(back.p95)} ms</dd><dt>live again, p95</dt><dd>${ms(live.p95)} ms</dd>
</dl></section>`;
}

const bad = (name: string, n: number): Html => html`<dt>${name}</dt><dd class="${n > 0 ? 'bad' : ''}">${count(n)}</dd>`;

/** A share as the style sheet takes it, from 0 to 1. */
const share = (part: number, whole: number): string => (whole > 0 ? Math.min(part / whole, 1) : 0).toFixed(4);
