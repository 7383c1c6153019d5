import { parse } from 'smol-toml';
import type { CapsuleFacts, OriginFact } from '../../abi/capsule-control.js';

type Table = Readonly<Record<string, unknown>>;

/** Sections that only one of the two manifest styles has (ABI reference 6.1, 6.4). */
const CLASSIC = '[capabilities]';

/**
 * Which place in Capsule.toml each line of the merged manifest came from: two styles may say the same, or one half each.
 * `text` has been parsed by `parseManifest` before.
 */
export function explainOrigins(text: string): { style: CapsuleFacts['style']; origins: OriginFact[] } {
  const document: Table = parse(text);
  const found = new Map<string, { what: OriginFact['what']; entry: string; from: string[] }>();
  const note = (what: OriginFact['what'], entry: string, from: string) => {
    const key = JSON.stringify([what, entry]);
    const there = found.get(key);
    if (there === undefined) found.set(key, { what, entry, from: [from] });
    else if (!there.from.includes(from)) there.from.push(from);
  };
  const capabilities = asTable(document['capabilities']);
  for (const entry of texts(capabilities['ipc_publish'])) note('publish', entry, `${CLASSIC} ipc_publish`);
  for (const entry of texts(capabilities['ipc_subscribe'])) note('subscribe', entry, `${CLASSIC} ipc_subscribe`);
  for (const entry of Object.keys(asTable(document['publish']))) note('publish', entry, '[publish]');
  for (const [entry, value] of Object.entries(asTable(document['subscribe']))) {
    note('subscribe', entry, '[subscribe]');
    const { handler } = asTable(value) as { handler?: unknown };
    if (typeof handler === 'string') note('interceptor', `${entry} -> ${handler}`, '[subscribe] handler');
  }
  for (const row of tables(document['interceptor'])) {
    note('interceptor', `${String(row['event'])} -> ${String(row['action'])}`, '[[interceptor]]');
  }
  noteCapabilities(document, note);
  noteLinks(document, note);
  return { style: styleOf(document), origins: [...found.values()] };
}

type Note = (what: OriginFact['what'], entry: string, from: string) => void;

function noteCapabilities(document: Table, note: Note): void {
  const places: readonly (readonly [Table, string])[] = [
    [asTable(document['capabilities']), CLASSIC],
    [asTable(tables(document['component'])[0]?.['capabilities']), '[[component]] capabilities'],
  ];
  for (const [table, from] of places) {
    for (const [name, value] of Object.entries(table)) {
      if (name === 'ipc_publish' || name === 'ipc_subscribe') continue;
      if (value === true) note('capability', name, from);
      for (const entry of texts(value)) note('capability', `${name} ${entry}`, from);
    }
  }
}

function noteLinks(document: Table, note: Note): void {
  for (const [section, what] of [
    ['imports', 'import'],
    ['exports', 'export'],
  ] as const) {
    for (const [key, value] of Object.entries(asTable(document[section]))) {
      if (key.includes(':')) note(what, key, `[${section}] "namespace:interface"`);
      else for (const name of Object.keys(asTable(value))) note(what, `${key}:${name}`, `[${section}.namespace]`);
    }
  }
}

function styleOf(document: Table): CapsuleFacts['style'] {
  const capabilities = asTable(document['capabilities']);
  const classic = ['ipc_publish', 'ipc_subscribe'].some((key) => capabilities[key] !== undefined);
  const isClassic = classic || document['interceptor'] !== undefined;
  const isNewer = document['publish'] !== undefined || document['subscribe'] !== undefined;
  if (isClassic && isNewer) return 'both';
  if (isClassic) return 'classic';
  return isNewer ? 'newer' : 'neither';
}

function asTable(value: unknown): Table {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Table) : {};
}

function tables(value: unknown): Table[] {
  return Array.isArray(value) ? value.map(asTable) : [];
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [];
}
