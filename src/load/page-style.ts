import { Html } from '../shared/html.ts';

/** The look of the product's own page: bottle green, paper, signal red. Dark on screens that ask for it, never on paper. */
export const STYLE = new Html(`
:root {
  --paper: #f3eee1; --sheet: #fffbf1; --ink: #17231e; --soft: #57635b; --line: #cfc7b2; --grid: #e4dcc8;
  --green: #0d4739; --red: #b93418; --brass: #a8741a; --ticket: #0d4739; --on-ticket: #f7f2e5; --on-state: #f7f2e5;
  --mono: ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace;
  --sans: "Avenir Next", Avenir, "Segoe UI", "Helvetica Neue", Cantarell, "DejaVu Sans", sans-serif;
  --narrow: "Avenir Next Condensed", "Arial Narrow", "Roboto Condensed", "Liberation Sans Narrow", "DejaVu Sans Condensed", var(--sans);
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --paper: #0d1613; --sheet: #15221d; --ink: #eee8d8; --soft: #a5b0a5; --line: #34453d; --grid: #26352f;
    --green: #7fcbaa; --red: #ff8362; --brass: #e3b862; --ticket: #1c5443; --on-ticket: #f6efdd; --on-state: #08201a;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.5 var(--sans); print-color-adjust: exact; -webkit-print-color-adjust: exact; }
h1, h2, h3, p, ol, ul, dl, dd, figure { margin: 0; padding: 0; }
ol, ul { list-style: none; }
h2 { font: 700 1.35rem/1.2 var(--narrow); letter-spacing: -0.01em; text-wrap: balance; }
h3 { font: 700 1.05rem/1.3 var(--narrow); }
code, .figures dd, td, .headline, .plot, time { font-family: var(--mono); font-variant-numeric: tabular-nums; }
.quiet { color: var(--soft); font-size: .9rem; max-width: 80ch; }

.mast { display: grid; grid-template-columns: auto auto 1fr auto; align-items: end; gap: 0 .9rem; max-width: 76rem; margin: 0 auto; padding: 1.9rem 1.25rem 1rem; }
.mast h1 { font: 800 2rem/1 var(--narrow); letter-spacing: -.03em; }
.motto { color: var(--soft); }
.state { grid-column: -2; justify-self: end; padding: .3rem .9rem; border-radius: 2rem; background: var(--verdict); color: var(--on-state); font: 600 .9rem/1.3 var(--mono); }
.passed { --verdict: var(--green); }
.failed { --verdict: var(--red); }
.gate { width: 4rem; overflow: visible; }
.gate-ground { stroke: var(--ink); stroke-width: 3; }
.gate-post { fill: var(--green); }
.gate-lamp { fill: var(--verdict); }
.gate-edge { stroke: var(--ink); stroke-width: 9; }
.gate-pole { stroke: #fffbf1; stroke-width: 6; }
.gate-stripes { stroke: #c83a1c; stroke-width: 6; stroke-dasharray: 7 7; }
.passed .gate-arm { transform: rotate(-48deg); transform-origin: 12px 17px; }

main { display: grid; grid-template-columns: repeat(6, minmax(0, 1fr)); gap: 2.2rem 1.5rem; max-width: 76rem; margin: 0 auto; padding: 0 1.25rem 3rem; }
main > * { grid-column: span 2; min-width: 0; }
main > .wide { grid-column: 1 / -1; }

main > .summary { grid-column: span 4; display: grid; align-content: start; gap: 1.1rem; padding: clamp(1rem, 3vw, 2rem); background: var(--sheet); border: 1.5px solid var(--line); border-top: 6px solid var(--verdict); }
.summary h2 { font: 700 clamp(1.7rem, 4.5vw, 2.8rem)/1.1 var(--narrow); letter-spacing: -.03em; }
.summary dl { display: grid; grid-template-columns: auto minmax(0, 1fr); gap: .35rem 1.2rem; }
.summary dt { color: var(--soft); }
.summary dd { overflow-wrap: anywhere; }
.summary code { display: inline-block; max-width: 100%; margin: 0 .25rem .25rem 0; padding: .05rem .5rem; border: 1px solid var(--line); background: var(--paper); font-size: .85rem; overflow-wrap: anywhere; }
.failures li { margin-top: .4rem; padding: .5rem .9rem; border-left: 5px solid var(--red); background: var(--paper); font-weight: 600; overflow-wrap: anywhere; }
.note { color: var(--brass); font-weight: 600; }

.ticket { display: grid; align-content: start; }
.ticket-body, .ticket-stub { --notch: .6rem; padding: 1.1rem 1.3rem; background: var(--ticket); color: var(--on-ticket); mask-composite: intersect; }
.ticket-body { padding-bottom: 1.4rem; mask-image: radial-gradient(circle at 0 100%, #0000 var(--notch), #000 calc(var(--notch) + .5px)), radial-gradient(circle at 100% 100%, #0000 var(--notch), #000 calc(var(--notch) + .5px)); }
.ticket-stub { position: relative; display: flex; justify-content: space-between; align-items: baseline; padding-top: 1.2rem; mask-image: radial-gradient(circle at 0 0, #0000 var(--notch), #000 calc(var(--notch) + .5px)), radial-gradient(circle at 100% 0, #0000 var(--notch), #000 calc(var(--notch) + .5px)); }
.ticket-stub::before { content: ""; position: absolute; inset: 0 1rem auto; border-top: 2px dashed currentColor; opacity: .6; }
.ticket-stub b { font: 700 1.8rem/1 var(--mono); }
.ticket ol { display: grid; gap: .75rem; margin-top: 1rem; }
.ticket li { display: grid; grid-template-columns: 1fr auto; gap: .2rem; align-items: baseline; }
.ticket li b { font: 600 1.1rem/1.2 var(--mono); }
.ticket li i { grid-area: 2 / 1 / auto / -1; height: .35rem; background: linear-gradient(currentColor 0 0) 0 / calc(var(--share) * 100%) 100% no-repeat, color-mix(in srgb, currentColor 22%, transparent); }

.charts { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 1.5rem; margin-top: .8rem; }
.chart { position: relative; min-width: 0; padding: 1rem 1.1rem 2.1rem; background: var(--sheet); border: 1.5px solid var(--line); break-inside: avoid; }
.chart:first-child:nth-last-child(odd) { grid-column: 1 / -1; }
.chart figcaption { display: flex; flex-wrap: wrap; gap: 0 1rem; align-items: baseline; }
.headline { margin-left: auto; font-size: .9rem; }
.legend { display: flex; gap: .8rem; color: var(--soft); font-size: .8rem; }
.legend li::before { content: ""; display: inline-block; width: .7rem; height: .7rem; margin-right: .35rem; background: var(--colour); }
.green { --colour: var(--green); }
.brass { --colour: var(--brass); }
.red { --colour: var(--red); }
.plot { position: relative; height: 11rem; margin: .9rem 0 0 3.7rem; font-size: .72rem; }
.chart:first-child:nth-last-child(odd) .plot { height: 14rem; }
.plot svg { display: block; width: 100%; height: 100%; overflow: visible; }
.plot path { vector-effect: non-scaling-stroke; }
.grid { stroke: var(--grid); }
.fill { fill: var(--colour); }
.wash { fill: var(--colour); opacity: .16; }
.line { fill: none; stroke: var(--colour); stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.y { position: absolute; right: calc(100% + .5rem); line-height: 1; transform: translateY(50%); color: var(--soft); white-space: nowrap; }
.x { position: absolute; top: calc(100% + .45rem); line-height: 1; color: var(--soft); }
.columns { position: absolute; inset: 0; display: flex; }
.columns i { flex: 1; }
.columns i:hover { background: color-mix(in srgb, var(--ink) 12%, transparent); }
.columns b { position: absolute; display: none; right: 0; bottom: calc(100% + .15rem); padding: .25rem .6rem; background: var(--ink); color: var(--sheet); font-size: .78rem; font-style: normal; font-weight: 600; white-space: nowrap; }
.columns i:hover b { display: block; }

.scroll { overflow-x: auto; margin-top: .8rem; }
table { width: 100%; border-collapse: collapse; background: var(--sheet); border: 1.5px solid var(--line); }
th, td { padding: .5rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
thead th { color: var(--soft); font-size: .85rem; font-weight: 600; }
th:first-child { text-align: left; }
tbody th { font-weight: 600; }
.none th, .none td, .tester th, .tester td, .count { color: var(--soft); }
.strip { width: 32%; }
.strip i { display: block; height: .8rem; background:
  linear-gradient(var(--green) 0 0) calc(var(--p50) / (1 - (var(--p95) - var(--p50)) + .0001) * 100%) 50% / calc((var(--p95) - var(--p50)) * 100% + 3px) 100% no-repeat,
  linear-gradient(var(--brass) 0 0) calc(var(--p50) / (1 - (var(--max) - var(--p50)) + .0001) * 100%) 50% / calc((var(--max) - var(--p50)) * 100% + 3px) 3px no-repeat; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }

.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 15rem), 1fr)); gap: 2.2rem 1.5rem; }
.figures { display: grid; grid-template-columns: minmax(0, 1fr) auto; margin-top: .7rem; }
.figures dt, .figures dd { padding: .35rem 0; border-bottom: 1px solid var(--line); }
.figures dd { padding-left: 1rem; text-align: right; font-weight: 600; }
.figures small { font-weight: 400; }
.bad { color: var(--red); }
.tally { display: grid; gap: .6rem; margin-top: .8rem; }
.tally li { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: .15rem 1rem; }
.tally code { overflow-wrap: anywhere; }
.tally b { font-family: var(--mono); }
.tally i { grid-column: 1 / -1; height: .5rem; width: max(2px, calc(var(--share) * 100%)); background: var(--colour); }
.stamp { display: inline-block; margin: .8rem 0 .3rem; padding: .1rem .8rem; border: 4px double; font: 800 1.3rem/1.3 var(--narrow); transform: rotate(-2deg); }
.kept { color: var(--green); }
.broken { color: var(--red); }

@media screen and (max-width: 56rem) {
  main > .summary, main > .ticket { grid-column: 1 / -1; }
  .charts { grid-template-columns: minmax(0, 1fr); }
}
@media (max-width: 34rem) {
  .mast { grid-template-columns: auto 1fr auto; gap: .5rem .8rem; }
  .motto { display: none; }
  .chart { padding-inline: .8rem; }
  .count, .strip { display: none; }
  table { font-size: .85rem; }
  th, td { padding: .5rem .35rem; }
  tbody th { white-space: normal; }
}
@media print {
  body { background: #fff; font-size: 10pt; }
  .mast, main { padding-inline: 0; }
  main { gap: 1.2rem; }
  section { break-inside: avoid; }
  .wide { break-inside: auto; }
}
`);
