import type { EnvValueRow } from '../../abi/control.js';
import { EXIT, Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { type CommandContext, type CommandRun, withClient } from '../context.js';
import { readPairs } from '../elicit-prompt.js';
import { isInteractive } from '../io.js';
import { KeyInput } from '../key-input.js';
import { readRecord, readRows } from '../results.js';
import { type Column, printTable } from '../view/table.js';
import { paint } from '../view/terminal.js';

/** `astrid capsule config NAME [--set KEY=VALUE] [--unset KEY]`: the settings, after the changes if there are any. */
export const runCapsuleConfig: CommandRun = (context, args) =>
  withClient(context, async (client) => {
    const capsule = args.requiredText('name');
    const set = Object.fromEntries(readPairs(args, 'set'));
    const unset = [...args.texts('unset')];
    const rows = readRows<EnvValueRow>(
      await client.request('capsule.config', { capsule, set, unset }),
      'capsule.config',
    );
    if (context.json) context.io.out.json(rows);
    else printSettings(context, capsule, rows, Object.keys(set).length + unset.length > 0);
    return EXIT.ok;
  });

function printSettings({ io }: CommandContext, capsule: string, rows: readonly EnvValueRow[], changed: boolean): void {
  const columns: readonly Column<EnvValueRow>[] = [
    { title: 'KEY', cell: (row) => row.name },
    { title: 'TYPE', cell: (row) => (row.choices.length > 1 ? 'choice' : row.type) },
    { title: 'VALUE', cell: shownValue, shrinkTo: 16 },
    { title: 'FROM', cell: (row) => (row.source === 'value' ? 'set' : row.source) },
    { title: 'ABOUT', cell: (row) => row.description ?? '', shrinkTo: 16 },
  ];
  printTable(io.out, columns, rows, `${capsule} has no settings`);
  if (changed) io.out.line(paint('dim', `${capsule} sees this after: astrid restart ${capsule}`));
}

function shownValue(row: EnvValueRow): string {
  if (row.type === 'secret') return row.source === 'value' ? 'set' : 'not set';
  if (row.value === null) return row.choices.length > 1 ? `one of ${row.choices.join(', ')}` : '';
  return row.value;
}

/** `astrid capsule secret NAME KEY [--remove]`: the value comes from standard input or a hidden prompt, never from the line. */
export const runCapsuleSecret: CommandRun = async (context, args) => {
  const capsule = args.requiredText('name');
  const key = args.requiredText('key');
  return withClient(context, async (client) => {
    // Asked before the value is: nobody types or pipes a secret for a capsule that is not there.
    await client.request('capsule.config', { capsule });
    const value = args.flag('remove') ? null : await readSecret(context, key);
    const params = { capsule, key, ...(value === null ? {} : { value }) };
    const result = readRecord<{ readonly done: boolean }>(
      await client.request('capsule.secret', params),
      'capsule.secret',
    );
    if (context.json) context.io.out.json({ capsule, key, set: value !== null });
    else if (value !== null) context.io.out.line(`${key} of ${capsule} is set`);
    else context.io.out.line(result.done ? `${key} of ${capsule} is removed` : `${key} of ${capsule} was not set`);
    return EXIT.ok;
  });
};

async function readSecret({ io }: CommandContext, key: string): Promise<string> {
  if (!isInteractive(io)) return readPiped(io.stdin, key);
  const input = new KeyInput(io.stdin, io.editorOutput, io.keyQuietMs === undefined ? {} : { quietMs: io.keyQuietMs });
  try {
    const show = () => io.err.write(paint('bold', key), paint('dim', ' (hidden) '), '> ');
    const got = await input.readField(true, show, new AbortController().signal);
    io.err.write('\n');
    if ('text' in got) return got.text;
    throw new Fault('cancelled', `${key} was not given`);
  } finally {
    input.close();
  }
}

/** All of standard input, without the newline at its end. */
async function readPiped(stdin: AsyncIterable<Buffer | string>, key: string): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stdin) {
    const buffer = Buffer.from(chunk);
    bytes += buffer.length;
    if (bytes > LIMITS.secretBytesMax + 2)
      throw new Fault('too_large', `${key}: a secret has at most ${LIMITS.secretBytesMax} bytes`, { field: key });
    chunks.push(buffer);
  }
  const text = Buffer.concat(chunks)
    .toString('utf8')
    .replace(/\r?\n$/, '');
  if (text === '')
    throw new Fault('invalid_argument', `${key}: nothing on standard input; pipe the secret into the command`, {
      field: key,
    });
  return text;
}
