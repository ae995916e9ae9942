import { Html, html, type Piece } from '../shared/html.ts';
import type { Described, Document, Media, Parameter, Schema } from './document.ts';

/**
 * The document as a page for people, which needs no script. `up` leads from the page to the root of the API, whatever path
 * a proxy takes away.
 */
export function referencePage(document: Document, up: string): string {
  const { info, tags, paths, components } = document;
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, described]) => ({ method, path, described })),
  );
  const sections = tags.map(({ name, description }) => {
    const own = operations.filter(({ described }) => described.tags.includes(name));
    return { name, description, own };
  });
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>callgate API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="${up}docs/static/callgate.css">
</head>
<body>
<header>
<h1>${info.title} API</h1>
${text(info.description, up)}
<nav aria-label="Calls"><ul>${operations.map(link)}</ul></nav>
</header>
<main>
${sections.map(
  ({ name, description, own }) => html`<section><h2>${name}</h2>${text(description, up)}
${own.map((each) => operation(each, components.schemas, up))}</section>`,
)}
</main>
</body>
</html>
`.text;
}

interface Placed {
  method: string;
  path: string;
  described: Described;
}

const link = ({ described: { operationId, summary } }: Placed): Html =>
  html`<li><a href="#${operationId}">${summary}</a></li>`;

const operation = (
  { method, path, described }: Placed,
  schemas: Document['components']['schemas'],
  up: string,
): Html => {
  const { operationId, summary, description, parameters = [], requestBody, responses, security } = described;
  const body = requestBody?.content['application/json'];
  return html`<article id="${operationId}">
<h3>${summary}</h3>
<p class="route"><b>${method.toUpperCase()}</b> <code>${path}</code></p>
${text(description, up)}
${security.length === 0 && html`<p class="quiet">No key is needed.</p>`}
${samples(described)}
${
  parameters.length > 0 &&
  fields(
    'Parameters',
    parameters.map((parameter) => parameterRow(parameter, up)),
  )
}
${body && fields('Body', rows(resolve(body.schema, schemas), up))}
${body && examples(body)}
<h4>Answers</h4>
${Object.entries(responses).map(([status, answer]) => answerOf(status, answer, schemas, up))}
</article>
`;
};

const samples = (described: Described): Html =>
  html`${(described['x-codeSamples'] ?? []).map(
    ({ label, source }) => html`<figure><figcaption>${label}</figcaption>${code(source)}</figure>`,
  )}`;

const answerOf = (
  status: string,
  { description, content = {} }: Described['responses'][string],
  schemas: Document['components']['schemas'],
  up: string,
): Html => {
  const problem = content['application/problem+json'];
  if (problem) return html`<dl class="refusals"><dt class="status">${status}</dt><dd>${refusals(problem)}</dd></dl>`;
  const [media] = Object.values(content);
  const head = html`<span class="status">${status}</span> ${inline(description, up)}`;
  if (!media) return html`<p>${head}</p>`;
  return html`<details><summary>${head}</summary>
${fields('Body', rows(resolve(media.schema, schemas), up))}${examples(media)}</details>`;
};

const refusals = ({ examples = {} }: Media): Html =>
  html`<ul>${Object.entries(examples).map(([code, { summary }]) => html`<li><code>${code}</code> ${summary}</li>`)}</ul>`;

const examples = ({ examples = {} }: Media): Html =>
  html`${Object.values(examples).map(
    ({ summary, value }) =>
      html`<figure><figcaption>${summary}</figcaption>${code(JSON.stringify(value, null, 2))}</figure>`,
  )}`;

const code = (source: string): Html => html`<pre><code>${source}</code></pre>`;

const fields = (title: string, rows: readonly Html[]): Html => html`<h4>${title}</h4><dl class="fields">${rows}</dl>`;

const row = (name: string, notes: readonly (string | false)[], meaning: Piece): Html =>
  html`<div><dt><code>${name}</code> <span class="quiet">${notes.filter(Boolean).join(', ')}</span></dt><dd>${meaning}</dd></div>`;

const parameterRow = ({ name, in: place, required, schema, description }: Parameter, up: string): Html =>
  row(name, [`in the ${place}`, limits(schema), required === true && 'required'], inline(description ?? '', up));

/** The fields of an object, and those of the objects in it behind a dot. */
function rows(schema: Schema, up: string, prefix = ''): Html[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const required = schema.required?.includes(name) ?? false;
    const own = row(`${prefix}${name}`, [limits(field), required && 'required'], inline(field.description ?? '', up));
    const items = field.items as Schema | undefined;
    return [own, ...rows(field, up, `${prefix}${name}.`), ...(items ? rows(items, up, `${prefix}${name}[].`) : [])];
  });
}

/** What a value may be, in a few words. */
function limits(schema: Schema): string {
  const { type, enum: values, anyOf, minimum, maximum, minLength, maxLength, default: usual } = schema;
  if (Array.isArray(anyOf)) return anyOf.map(limits).join(' or ');
  const kind = Array.isArray(values) ? values.map((value) => JSON.stringify(value)).join(' | ') : String(type ?? 'any');
  const range = (from: unknown, to: unknown, unit: string) => {
    if (from === undefined && to === undefined) return '';
    return to === undefined ? ` from ${from}${unit}` : ` ${from ?? 0} to ${to}${unit}`;
  };
  const bounds = range(minimum, maximum, '') || range(minLength, maxLength, ' characters');
  return `${kind}${bounds}${usual === undefined ? '' : `, ${JSON.stringify(usual)} by default`}`;
}

const resolve = (schema: Schema, schemas: Document['components']['schemas']): Schema => {
  const named = schemas[schema.$ref?.split('/').at(-1) ?? ''] ?? schema;
  const items = named.properties?.data?.items as Schema | undefined;
  // A list says what its items are.
  return items?.$ref
    ? { ...named, properties: { ...named.properties, data: { type: 'array', items: resolve(items, schemas) } } }
    : named;
};

const text = (markdown: string, up: string): Html =>
  html`${markdown.split('\n\n').map((paragraph) => html`<p>${inline(paragraph, up)}</p>`)}`;

/** The Markdown that descriptions have: code and links. */
const inline = (markdown: string, up: string): Html =>
  new Html(
    html`${markdown}`.text
      .replaceAll(/`([^`]+)`/g, '<code>$1</code>')
      .replaceAll(/\[([^\]]+)\]\(\/([^)]*)\)/g, `<a href="${up}$2">$1</a>`),
  );
