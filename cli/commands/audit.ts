import { join, resolve } from 'node:path';
import { decodeEntry } from '../../abi/audit/entry.js';
import { parseProof, verifyInclusion } from '../../abi/audit/proof.js';
import type { LoggedEvent } from '../../abi/audit/protocol.js';
import { listSegments, type NamedFile } from '../../abi/audit/segment-files.js';
import { type VerifyReport, verifyLog } from '../../abi/audit/verify.js';
import type { AuditEvent } from '../../abi/audit-event.js';
import { EXIT, Fault } from '../../abi/errno.js';
import { readPinnedKey, readSmallFile } from '../audit-files.js';
import { proveEntry } from '../audit-prover.js';
import { type CommandArguments, type CommandContext, type CommandRun, withClient } from '../context.js';
import { openHome } from '../home.js';
import { readRecord } from '../results.js';
import { printStream } from '../stream-output.js';
import { formatCount, formatTime } from '../view/human.js';
import { paint, type StyleName, type Terminal } from '../view/terminal.js';

const OUTCOME_STYLE: Record<AuditEvent['outcome'], StyleName> = {
  accepted: 'plain',
  done: 'green',
  failed: 'red',
  denied: 'red',
  summary: 'dim',
};

const INDEX_MAX = 2 ** 48 - 1;

/** Text that a capsule may have chosen: where it ends is seen, so it cannot go on as the rest of the line. */
function quote(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}

/** The reason comes last, for part of it may be a capsule's words, too. */
function printEntry(terminal: Terminal, row: LoggedEvent): void {
  const { layer, verdict, reason } = row.authorization;
  const count = row.count === null ? '' : ` x${row.count}`;
  terminal.line(
    paint('dim', `${String(row.index).padStart(6)} ${formatTime(row.time)} `),
    paint(OUTCOME_STYLE[row.outcome] ?? 'plain', `${row.outcome}${count}`.padEnd(9)),
    paint('cyan', ` ${row.capsule ?? '-'} `),
    paint('bold', row.action),
    row.resource === '' ? '' : ` ${quote(row.resource)}`,
    paint('dim', `  ${row.principal}  ${verdict} by ${layer}${reason === '' ? '' : `: ${reason}`}`),
  );
}

/** `astrid audit tail [-f] [-n N]` */
export const runAuditTail: CommandRun = async (context, args) => {
  const follow = args.flag('follow');
  const lines = args.integer('lines', 0, 10_000);
  return withClient(context, async (client) => {
    const stream = await client.stream('audit.tail', { follow, ...(lines === undefined ? {} : { lines }) });
    return printStream(context, stream, follow, (event) =>
      printEntry(context.io.out, readRecord<LoggedEvent>(event, 'audit.tail')),
    );
  });
};

interface AuditFiles {
  readonly directory: NamedFile;
  readonly key: NamedFile;
  /** A checkpoint from another place: the one named, else the supervisor's own copy when it is this home's log. */
  readonly known: (NamedFile & { readonly named: boolean }) | null;
}

/** Files that were not named are those of the home, reached through the checked directory. */
async function withAuditFiles<T>(
  context: CommandContext,
  args: CommandArguments,
  use: (files: AuditFiles) => Promise<T>,
): Promise<T> {
  const named = (option: string): NamedFile | null => {
    const value = args.text(option);
    return value === undefined ? null : { path: resolve(context.io.cwd, value), label: value };
  };
  const [directory, key, checkpoint] = [named('dir'), named('key'), named('checkpoint')];
  const home = directory === null || key === null ? await openHome(context.homePath) : null;
  const own = (name: string): NamedFile => ({ path: home?.at(name) ?? name, label: join(context.homePath, name) });
  const ownKnown = directory === null ? { ...own('var/checkpoint'), named: false } : null;
  try {
    return await use({
      directory: directory ?? own('var/audit'),
      key: key ?? own('keys/audit.pub'),
      known: checkpoint === null ? ownKnown : { ...checkpoint, named: true },
    });
  } finally {
    await home?.close();
  }
}

/** The supervisor's copy may not be there yet; one that was named must be. */
async function readKnown(known: AuditFiles['known']): Promise<string | null> {
  if (known === null) return null;
  try {
    return await readSmallFile(known);
  } catch (error) {
    const absent = error instanceof Fault && error.code === 'not_found';
    if (absent && !known.named) return null;
    throw error;
  }
}

function printReport(terminal: Terminal, report: VerifyReport, known: boolean): void {
  const { firstBad, unsigned, treeSize, entries, principals } = report;
  if (firstBad !== null) {
    terminal.line(paint('red', 'NOT VERIFIED'), `  first bad entry: ${firstBad.index}`);
    terminal.line(`  ${firstBad.message}`);
    terminal.line(
      paint('dim', `  ${firstBad.segment}, byte ${firstBad.offset}; ${treeSize} entries before are proven`),
    );
    return;
  }
  // What lies behind the last checkpoint was read, too, and is told below.
  const signed = formatCount(treeSize, 'entry', 'entries');
  const counted = `${entries < treeSize ? `${entries} of ` : ''}${signed}, ${formatCount(principals, 'principal')}`;
  terminal.line(paint('green', 'verified'), `  ${counted}, signed by the pinned key`);
  if (!known)
    terminal.line(paint('yellow', '  no checkpoint from elsewhere: a log that was cut at a checkpoint looks the same'));
  if (unsigned.entries + unsigned.bytes > 0) {
    const rest = `${unsigned.entries} entries, ${unsigned.bytes} bytes`;
    terminal.line(paint('dim', `  behind the last checkpoint: ${rest}, never acknowledged`));
  }
}

/** `astrid audit verify`: offline, over the files alone. */
export const runAuditVerify: CommandRun = async (context, args) => {
  const proof = args.text('proof');
  if (proof !== undefined) return verifyProofFile(context, args, proof);
  return withAuditFiles(context, args, async (files) => {
    const key = await readPinnedKey(files.key);
    const known = await readKnown(files.known);
    const segments = await listSegments(files.directory);
    // An empty directory verifies trivially; whoever asks to verify a log expects one.
    if (segments.length === 0 && known === null) {
      throw new Fault('not_found', `${files.directory.label} holds no log segment`, { field: 'dir' });
    }
    const principal = args.text('principal');
    const report = await verifyLog(segments, {
      key,
      ...(known === null ? {} : { known }),
      ...(principal === undefined ? {} : { principal }),
    });
    const ok = report.firstBad === null;
    // Nothing was checked: whoever misspells a name must not read that it is verified.
    if (ok && principal !== undefined && report.entries === 0)
      throw new Fault('not_found', `the log has no entry of a principal ${JSON.stringify(principal)}`, {
        field: 'principal',
      });
    if (context.json) context.io.out.json({ ok, ...report });
    else printReport(context.io.out, report, known !== null);
    return ok ? EXIT.ok : EXIT.badLog;
  });
};

/** One entry and its proof, from a file that `audit prove` wrote: needs the pinned key and nothing of the log. */
async function verifyProofFile(context: CommandContext, args: CommandArguments, path: string): Promise<number> {
  return withAuditFiles(context, args, async (files) => {
    const key = await readPinnedKey(files.key);
    const proof = parseProof(await readSmallFile({ path: resolve(context.io.cwd, path), label: path }));
    const checkpoint = verifyInclusion(proof.entry, proof, proof.checkpoint, key);
    const { event } = decodeEntry(proof.entry);
    const row: LoggedEvent = { index: proof.index, ...event };
    if (context.json) {
      context.io.out.json({ ok: true, treeSize: checkpoint.size, entry: row });
      return EXIT.ok;
    }
    context.io.out.line(paint('green', 'proven'), `  entry ${proof.index} is in the log of ${checkpoint.size} entries`);
    printEntry(context.io.out, row);
    return EXIT.ok;
  });
}

/** `astrid audit prove INDEX`: a C2SP proof file on standard output. */
export const runAuditProve: CommandRun = (context, args) =>
  withAuditFiles(context, args, async (files) => {
    const index = args.integer('index', 0, INDEX_MAX, '<index>');
    if (index === undefined) throw new Fault('invalid_argument', 'index must be given', { field: 'index' });
    const key = await readPinnedKey(files.key);
    const proof = await proveEntry(await listSegments(files.directory), index, key);
    if (context.json) context.io.out.json({ index, proof });
    else context.io.out.write(proof);
    return EXIT.ok;
  });
