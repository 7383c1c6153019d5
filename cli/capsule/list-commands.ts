import type {
  CapsuleRow,
  GcResult,
  InspectResult,
  RemoveResult,
  TreeRow,
  VerifyRow,
} from '../../abi/capsule-control.js';
import { EXIT } from '../../abi/errno.js';
import { type CommandRun, connectOrStart, withClient } from '../context.js';
import { isInteractive } from '../io.js';
import { KeyInput } from '../key-input.js';
import { readRecord, readRows } from '../results.js';
import { formatBytes, formatCount } from '../view/human.js';
import { type Column, printTable } from '../view/table.js';
import { paint, type StyleName, type Terminal } from '../view/terminal.js';
import { planCapsule } from './consent.js';
import { fetchCapsule } from './fetch.js';
import { describeImport, printInspection } from './plan-view.js';

const VERIFY_WAIT_MS = 120_000;
const HASH_CHARS = 16;

const STATE_STYLE: Partial<Record<CapsuleRow['state'], StyleName>> = {
  ready: 'green',
  running: 'green',
  failed: 'red',
  damaged: 'red',
  'waiting-for-import': 'yellow',
  backoff: 'yellow',
};

const COLUMNS: readonly Column<CapsuleRow>[] = [
  { title: 'CAPSULE', cell: (row) => row.name },
  { title: 'VERSION', cell: (row) => row.version },
  { title: 'STATE', cell: (row) => row.state, style: (row) => STATE_STYLE[row.state] ?? 'plain' },
  { title: 'TIER', cell: (row) => row.tier ?? '-' },
  { title: 'BLAKE3', cell: (row) => row.hash?.slice(0, HASH_CHARS) ?? '-' },
  { title: 'SOURCE', cell: (row) => row.source, shrinkTo: 16 },
  { title: 'PROBLEM', cell: (row) => row.problem, shrinkTo: 16 },
];

/** `astrid capsule list` */
export const runCapsuleList: CommandRun = (context) =>
  withClient(context, async (client) => {
    const rows = readRows<CapsuleRow>(await client.request('capsule.list', {}), 'capsule.list');
    if (context.json) context.io.out.json(rows);
    else printTable(context.io.out, COLUMNS, rows, 'no capsule is installed');
    return EXIT.ok;
  });

function printTree(terminal: Terminal, rows: readonly TreeRow[]): void {
  for (const row of rows) {
    terminal.line(
      paint('bold', `${row.name} ${row.version}`),
      paint(STATE_STYLE[row.state] ?? 'dim', `  ${row.state}`),
    );
    for (const { namespace, name, version } of row.exports) terminal.line(`  exports ${namespace}:${name} ${version}`);
    for (const fact of row.imports) terminal.line('  imports ', ...describeImport(fact));
  }
}

/** `astrid capsule tree`: who exports what to whom; what is not met stands out. */
export const runCapsuleTree: CommandRun = (context) =>
  withClient(context, async (client) => {
    const rows = readRows<TreeRow>(await client.request('capsule.tree', {}), 'capsule.tree');
    if (context.json) context.io.out.json(rows);
    else printTree(context.io.out, rows);
    return EXIT.ok;
  });

/** `astrid capsule verify [NAME]`: exit 1 when a record or a module is not what was installed. */
export const runCapsuleVerify: CommandRun = (context, args) =>
  withClient(context, async (client) => {
    const name = args.text('name');
    const params = name === undefined ? {} : { name };
    const answer = await client.request('capsule.verify', params, { waitMs: VERIFY_WAIT_MS });
    const rows = readRows<VerifyRow>(answer, 'capsule.verify');
    if (context.json) context.io.out.json(rows);
    else {
      for (const { name: capsule, ok, hash, code, message } of rows) {
        const said = ok ? (hash ?? 'no code') : `${code}: ${message}`;
        context.io.out.line(paint(ok ? 'green' : 'red', ok ? 'ok   ' : 'bad  '), `${capsule}  ${said}`);
      }
    }
    return rows.every(({ ok }) => ok) ? EXIT.ok : EXIT.failed;
  });

/** `astrid capsule remove NAME [--purge]` */
export const runCapsuleRemove: CommandRun = (context, args) =>
  withClient(context, async (client) => {
    const name = args.requiredText('name');
    const purge = args.flag('purge');
    const kept = purge ? 'nothing of it is left' : 'what it stored is kept';
    const answer = await client.request('capsule.remove', { name, purge }, { waitMs: VERIFY_WAIT_MS });
    const result = readRecord<RemoveResult>(answer, 'capsule.remove');
    if (context.json) context.io.out.json(result);
    else if (result.version === null)
      context.io.out.line(paint('green', 'removed'), ` what ${result.name} had stored; it was not installed`);
    else context.io.out.line(paint('green', 'removed'), ` ${result.name} ${result.version}; ${kept}`);
    return EXIT.ok;
  });

/** `astrid capsule gc`: shows what nothing refers to; removes it with --yes or when a person says so. */
export const runCapsuleGc: CommandRun = (context, args) =>
  withClient(context, async (client) => {
    const { io, json } = context;
    const collect = async (dryRun: boolean) =>
      readRecord<GcResult>(await client.request('capsule.gc', { dryRun }, { waitMs: VERIFY_WAIT_MS }), 'capsule.gc');
    let result = await collect(true);
    const total = result.blobs.reduce((sum, { bytes }) => sum + bytes, 0);
    const what = `${formatCount(result.blobs.length, 'module')}, ${formatBytes(total)}`;
    if (!json) {
      for (const { file, bytes } of result.blobs) io.out.line(`${file}  ${formatBytes(bytes)}`);
      io.out.line(`${what}; ${formatCount(result.keptBlobs, 'module')} in use`);
    }
    const agreed = args.flag('yes') || (!json && result.blobs.length > 0 && isInteractive(io) && (await ask(io, what)));
    if (agreed && result.blobs.length > 0) {
      result = await collect(false);
      if (!json) io.out.line(paint('green', 'removed'), ` ${formatCount(result.blobs.length, 'module')}`);
    } else if (!json && result.blobs.length > 0) io.out.line(paint('dim', 'nothing was removed; to remove: --yes'));
    if (json) io.out.json(result);
    return EXIT.ok;
  });

async function ask(io: Parameters<typeof isInteractive>[0], what: string): Promise<boolean> {
  const input = new KeyInput(io.stdin, io.editorOutput, io.keyQuietMs === undefined ? {} : { quietMs: io.keyQuietMs });
  try {
    const show = () => io.out.write(paint('bold', `remove ${what}? [y]es [n]o`), paint('dim', ' (default)'), ' > ');
    const choice = await input.readChoice('yn', show, new AbortController().signal);
    io.out.write('\n');
    return 'key' in choice && choice.key === 'y';
  } finally {
    input.close();
  }
}

/** A bare name is an installed capsule; anything with a slash, a dot or a colon is a source. */
function isInstalledName(target: string): boolean {
  return /^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$/.test(target);
}

/** `astrid capsule inspect NAME|SOURCE` */
export const runCapsuleInspect: CommandRun = async (context, args) => {
  const { io } = context;
  const target = args.requiredText('target');
  if (isInstalledName(target)) {
    return withClient(context, async (client) => {
      const answer = await client.request('capsule.inspect', { name: target }, { waitMs: VERIFY_WAIT_MS });
      const result = readRecord<InspectResult>(answer, 'capsule.inspect');
      if (context.json) io.out.json(result);
      else printInspection(io.out, result, result);
      return EXIT.ok;
    });
  }
  const fetched = await fetchCapsule(target, { cwd: io.cwd, env: io.env, insecureLocal: args.flag('insecure-local') });
  const client = await connectOrStart(context);
  try {
    const plan = await planCapsule(client, fetched, true);
    if (context.json) io.out.json(plan);
    else printInspection(io.out, plan, null);
    return EXIT.ok;
  } finally {
    client.close();
  }
};
