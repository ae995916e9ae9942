/** Dark on screens that ask for it. Every text has the contrast of WCAG AA, and nothing is wider than a phone. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --paper: #f3eee1; --sheet: #fffbf1; --ink: #17231e; --soft: #4e5c54; --line: #cfc7b2; --green: #0d4739;
  --mono: ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace;
  --sans: "Avenir Next", Avenir, "Segoe UI", "Helvetica Neue", Cantarell, "DejaVu Sans", sans-serif;
}
@media (prefers-color-scheme: dark) {
  :root { --paper: #0d1613; --sheet: #15221d; --ink: #eee8d8; --soft: #a5b0a5; --line: #34453d; --green: #7fcbaa; }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.55 var(--sans); overflow-wrap: anywhere; }
header, main { max-width: 52rem; margin: 0 auto; padding: 1rem; }
h1, h2, h3, h4 { line-height: 1.2; margin: 1.5rem 0 .5rem; }
h4 { font-size: 1rem; }
p, figure, dl, ul { margin: .5rem 0; }
a { color: var(--green); }
:focus-visible { outline: 3px solid var(--green); outline-offset: 2px; }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; padding: 0; list-style: none; }
nav a { display: inline-block; padding: .35rem 0; }
article { background: var(--sheet); border: 1px solid var(--line); border-radius: .5rem; padding: 0 1rem 1rem; margin: 1rem 0; }
article h3 { margin-top: 1rem; }
code, pre, .status { font-family: var(--mono); font-size: .9em; }
.route b { color: var(--green); font-family: var(--mono); }
pre { background: var(--paper); border: 1px solid var(--line); border-radius: .35rem; padding: .75rem; margin: .25rem 0 0; white-space: pre-wrap; }
figcaption, .quiet { color: var(--soft); font-size: .9rem; }
.fields > div, .refusals { border-top: 1px solid var(--line); padding: .4rem 0; }
.refusals, .refusals ul { margin: 0; }
dd { margin: 0 0 0 1rem; }
.refusals ul { padding: 0; list-style: none; }
.status { font-weight: 700; color: var(--green); }
details { border-top: 1px solid var(--line); padding: .4rem 0; }
summary { cursor: pointer; padding: .25rem 0; }
`;
