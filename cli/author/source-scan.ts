import { readFile } from 'node:fs/promises';
import { relative } from 'node:path';
import { transform } from 'esbuild';

/** A text that stands in the source as an argument of an SDK function. */
export interface Mention {
  readonly text: string;
  /** Relative to the capsule. */
  readonly file: string;
  /** From 1; 0 when it cannot be told. */
  readonly line: number;
}

/** Every mention of one kind. `open`: there are calls, too, whose argument is only known when they run. */
export interface Mentions {
  readonly known: readonly Mention[];
  readonly open: boolean;
}

export type Scan = Readonly<Record<keyof typeof SCANNED, Mentions>>;

/** SDK functions whose first argument has to stand in the manifest. */
const SCANNED = {
  publishes: { module: 'astrid/sdk/ipc', name: 'publish' },
  subscribes: { module: 'astrid/sdk/ipc', name: 'subscribe' },
  env: { module: 'astrid/sdk/env', name: 'get' },
} as const;

/** What can be told from the sources alone: literals, and constants of the same file that hold one. */
export async function scanSources(dir: string, files: readonly string[]): Promise<Scan> {
  const known: Record<string, Mention[]> = { publishes: [], subscribes: [], env: [] };
  const open: Record<string, boolean> = { publishes: false, subscribes: false, env: false };
  for (const file of files) {
    const original = await readFile(file, 'utf8');
    // Without comments and with one kind of spacing; what is left is what runs.
    const options = { loader: 'ts', minifyWhitespace: true, legalComments: 'none', logLevel: 'silent' } as const;
    const { code } = await transform(original, { ...options, format: 'esm' });
    for (const [kind, { module, name }] of Object.entries(SCANNED)) {
      for (const text of findArguments(code, module, name)) {
        if (text === null) open[kind] = true;
        else known[kind]?.push({ text, file: relative(dir, file), line: lineOf(original, text) });
      }
    }
  }
  const kinds = Object.keys(SCANNED) as (keyof typeof SCANNED)[];
  return Object.fromEntries(
    kinds.map((kind) => [kind, { known: known[kind] ?? [], open: open[kind] ?? false }]),
  ) as unknown as Scan;
}

/** First arguments of the calls of an imported function; null for each that is not a plain text. */
export function findArguments(code: string, module: string, name: string): (string | null)[] {
  return localNames(code, module, name).flatMap((local) => {
    const call = new RegExp(
      `(?<![\\w$.])${local.replaceAll(/[$.]/g, '\\$&')}\\((?:(?:"([^"\\\\]*)"|\`([^\`$\\\\]*)\`|([A-Za-z_$][\\w$]*))(?=[,)])|)`,
      'g',
    );
    return [...code.matchAll(call)].map(([, quoted, ticked, constant]) => {
      if (quoted !== undefined || ticked !== undefined) return quoted ?? ticked ?? null;
      return constant === undefined ? null : constantText(code, constant);
    });
  });
}

/** What the function is called by in this file: `ipc.publish`, `publish`, or whatever it was renamed to. */
function localNames(code: string, module: string, name: string): string[] {
  const from = `from"${module.replaceAll('/', '\\/')}"`;
  const spaces = [...code.matchAll(new RegExp(`import\\*as ([\\w$]+) ?${from}`, 'g'))].map(
    (match) => `${match[1]}.${name}`,
  );
  const named = [...code.matchAll(new RegExp(`import ?\\{([^}]*)\\} ?${from}`, 'g'))].flatMap((match) =>
    (match[1] ?? '').split(',').flatMap((part) => {
      const [original, local = original] = part.trim().split(' as ');
      return original === name && local !== undefined ? [local] : [];
    }),
  );
  return [...spaces, ...named];
}

function constantText(code: string, name: string): string | null {
  const found = new RegExp(`(?:const |[,;{}])${name.replaceAll('$', '\\$')}=(?:"([^"\\\\]*)"|\`([^\`$\\\\]*)\`)`).exec(
    code,
  );
  return found?.[1] ?? found?.[2] ?? null;
}

function lineOf(text: string, mention: string): number {
  const at = ["'", '"', '`'].map((quote) => text.indexOf(quote + mention + quote)).find((index) => index >= 0);
  return at === undefined ? 0 : text.slice(0, at).split('\n').length;
}
