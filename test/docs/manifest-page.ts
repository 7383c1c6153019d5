import { z } from 'zod';
import { EXPORT_ENTRY, IMPORT_ENTRY, SECTIONS, UNUSED_SECTIONS } from '../../supervisor/capsule/manifest-schema.js';
import { KEY_DEFAULTS, KEY_MEANINGS, SECTION_MEANINGS } from './manifest-meanings.js';

const HEAD = `# Capsule.toml

What a capsule is, what it runs and what it may do. This page is generated from the schema that the loader uses
(\`npm run docs\`); a test fails when it is out of date.

Unknown keys are an error with \`abi = 3\` in \`[package]\`, and a warning, shown at install, without it. Both manifest styles
are read and merged: \`[publish]\` and \`[subscribe]\` say the same as \`ipc_publish\`, \`ipc_subscribe\` and \`[[interceptor]]\`. To see
what came of a manifest, and which line each permission came from: \`astrid capsule inspect ./DIR\`.
`;

export interface KeyRow {
  readonly path: string;
  readonly required: boolean;
  readonly expected: string;
}

/** Every key of every section, read from the schema. */
export function listKeys(): { readonly section: string; readonly header: string; readonly keys: KeyRow[] }[] {
  return Object.entries(SECTIONS).map(([section, schema]) => {
    const holder = section === 'imports' ? IMPORT_ENTRY : section === 'exports' ? EXPORT_ENTRY : unwrap(schema);
    const isList = unwrapOptional(schema) instanceof z.ZodArray;
    const shape = holder instanceof z.ZodObject ? (holder.shape as Record<string, z.ZodType>) : {};
    const keys = Object.entries(shape).map(([key, value]) => ({
      path: `${section}.${key}`,
      required: !value.safeParse(undefined).success,
      expected: expectedBy(value),
    }));
    return { section, header: isList ? `[[${section}]]` : `[${section}]`, keys };
  });
}

/** The whole page. The same schema gives the same text. */
export function renderManifestPage(): string {
  const sections = listKeys().map(({ section, header, keys }) => {
    const rows = keys.map(({ path, required, expected }) => {
      const key = path.slice(section.length + 1);
      const missing = required ? 'required' : (KEY_DEFAULTS[path] ?? '');
      return `| \`${key}\` | ${cell(expected)} | ${missing} | ${cell(KEY_MEANINGS[path] ?? '')} |`;
    });
    const table = ['| key | expected | default | meaning |', '|---|---|---|---|', ...rows];
    return `\n## \`${header}\`\n\n${SECTION_MEANINGS[section] ?? ''}\n\n${table.join('\n')}\n`;
  });
  const unused = [...UNUSED_SECTIONS].map(([name, why]) => `| \`${name}\` | ${cell(why)} |`);
  const rest = `\n## Accepted and not used\n\n| section | what happens |\n|---|---|\n${unused.join('\n')}\n`;
  return `${HEAD}${sections.join('')}${rest}`;
}

/** What the loader would say it expected: the message for a value that fits nothing. */
function expectedBy(schema: z.ZodType): string {
  const refused = schema.safeParse(Symbol('nothing fits'));
  return refused.success ? 'anything' : (refused.error.issues[0]?.message ?? '');
}

function unwrapOptional(schema: unknown): unknown {
  return schema instanceof z.ZodOptional ? unwrapOptional(schema.unwrap()) : schema;
}

function unwrap(schema: unknown): unknown {
  const here = unwrapOptional(schema);
  if (here instanceof z.ZodArray) return unwrap(here.element);
  if (here instanceof z.ZodRecord) return unwrap(here.valueType);
  if (here instanceof z.ZodPipe) return unwrap(here.out);
  return here;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}
