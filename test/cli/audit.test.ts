import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { signCheckpoint } from '../../abi/audit/checkpoint.js';
import { encodeEntry, GENESIS_HASH, hashEntry } from '../../abi/audit/entry.js';
import { CompactTree, hashLeaf } from '../../abi/audit/merkle.js';
import { formatNoteKey, makeNoteKey } from '../../abi/audit/note.js';
import { encodeRecord, RECORD } from '../../abi/audit/segment.js';
import { encodeSegmentHead, formatSegmentName } from '../../abi/audit/segment-head.js';
import { createSigner } from '../../abi/audit/signing.js';
import type { AuditEvent } from '../../abi/audit-event.js';
import { EXIT } from '../../abi/errno.js';
import { makeFakeIo } from '../kit/fake-io.js';
import { makeHome, startFake } from '../kit/fake-supervisor.js';
import { runCli, startCli } from '../kit/run-cli.js';

const ORIGIN = 'astrid.test/log';

function makeEvent(n: number): AuditEvent {
  return {
    time: 1_000 + n,
    session: 's1',
    principal: n % 2 === 0 ? 'default' : 'other',
    capsule: 'fs',
    action: 'write_file',
    resource: `cwd://${n}\u202e`,
    argsHash: null,
    authorization: { layer: 'approval', verdict: 'allow', reason: 'once', ref: null },
    outcome: 'accepted',
    count: null,
    digest: null,
  };
}

interface TestLog {
  readonly bytes: Buffer;
  readonly checkpoints: readonly string[];
  readonly keyLine: string;
}

/** One segment with a checkpoint after every second entry. */
function makeLog(entries: number, secret: Buffer = Buffer.alloc(32, 7)): TestLog {
  const signer = createSigner(secret);
  const key = makeNoteKey(ORIGIN, signer.publicKey);
  const tree = new CompactTree();
  const last = new Map<string, Buffer>();
  const checkpoints: string[] = [];
  const head = { firstIndex: 0, previous: GENESIS_HASH, origin: ORIGIN, principals: new Map() };
  const records = [encodeRecord(RECORD.segment, encodeSegmentHead(head))];
  let previous = GENESIS_HASH;
  for (let index = 0; index < entries; index += 1) {
    const event = makeEvent(index);
    const bytes = encodeEntry({
      index,
      previous,
      previousOfPrincipal: last.get(event.principal) ?? GENESIS_HASH,
      event,
    });
    previous = hashEntry(bytes);
    last.set(event.principal, previous);
    tree.append(hashLeaf(bytes));
    records.push(encodeRecord(RECORD.entry, bytes));
    if (index % 2 === 0 && index !== entries - 1) continue;
    const checkpoint = signCheckpoint(tree.size, tree.root(), key, signer);
    checkpoints.push(checkpoint);
    records.push(encodeRecord(RECORD.checkpoint, Buffer.from(checkpoint)));
  }
  return { bytes: Buffer.concat(records), checkpoints, keyLine: `${formatNoteKey(key)}\n` };
}

/** A home with this log in it, as the supervisor would leave it. */
async function makeLogHome(t: Test, log: TestLog): Promise<string> {
  const home = await makeHome(t);
  await mkdir(join(home, 'var/audit'), { recursive: true });
  await mkdir(join(home, 'keys'));
  await writeFile(join(home, 'var/audit', formatSegmentName(0)), log.bytes);
  await writeFile(join(home, 'keys/audit.pub'), log.keyLine);
  await writeFile(join(home, 'var/checkpoint'), log.checkpoints.at(-1) ?? '');
  return home;
}

test('audit verify, a sound log, verifies offline with the pinned key and the second copy of the checkpoint', async (t) => {
  const home = await makeLogHome(t, makeLog(9));
  const { exitCode, out } = await runCli(['audit', 'verify'], home);
  t.equal(exitCode, 0);
  t.match(out, /^verified {2}9 entries, 2 principals/);
  t.notMatch(out, /checkpoint from elsewhere/);
  const json = JSON.parse((await runCli(['audit', 'verify', '--json', '--principal', 'other'], home)).out);
  t.match(json, { ok: true, entries: 4, treeSize: 9, firstBad: null });
  for (const more of [[], ['--json']]) {
    const nobody = await runCli(['audit', 'verify', '--principal', 'nobody', ...more], home);
    t.match(nobody, { exitCode: 1, out: '', err: /no entry of a principal "nobody" \(not_found\)\n$/ });
  }
});

test('audit verify, a flipped byte, names the first bad entry and exits 8', async (t) => {
  const log = makeLog(9);
  const home = await makeLogHome(t, log);
  const damaged = Buffer.from(log.bytes);
  const at = Math.floor(damaged.length / 2);
  damaged[at] = (damaged[at] ?? 0) ^ 1;
  await writeFile(join(home, 'var/audit', formatSegmentName(0)), damaged);
  const { exitCode, out } = await runCli(['audit', 'verify'], home);
  t.equal(exitCode, EXIT.badLog);
  t.match(out, /^NOT VERIFIED {2}first bad entry: \d\n/);
  const json = JSON.parse((await runCli(['audit', 'verify', '--json'], home)).out);
  t.match(json, { ok: false, firstBad: { code: 'bad_log', segment: formatSegmentName(0) } });
});

test('audit verify, a log cut at an earlier checkpoint, is found out by the second copy or a named one', async (t) => {
  const long = makeLog(9);
  const short = makeLog(4);
  const home = await makeLogHome(t, { ...long, bytes: short.bytes });
  t.match(await runCli(['audit', 'verify'], home), { exitCode: EXIT.badLog, out: /the known checkpoint covers 9/ });
  await writeFile(join(home, 'elsewhere'), long.checkpoints.at(-1) ?? '');
  await rm(join(home, 'var/checkpoint'));
  t.match(await runCli(['audit', 'verify'], home), { exitCode: 0, out: /no checkpoint from elsewhere/ });
  const named = await runCli(['audit', 'verify', '--checkpoint', 'elsewhere'], home, { cwd: home });
  t.equal(named.exitCode, EXIT.badLog);
});

test('audit verify, a log signed again with another key, does not verify with the pinned one', async (t) => {
  const home = await makeLogHome(t, makeLog(5));
  const forged = makeLog(5, Buffer.alloc(32, 9));
  await writeFile(join(home, 'var/audit', formatSegmentName(0)), forged.bytes);
  t.equal((await runCli(['audit', 'verify'], home)).exitCode, EXIT.badLog);
});

test('audit verify, a copy and a key by name, needs no home', async (t) => {
  const log = makeLog(3);
  const home = await makeLogHome(t, log);
  const argv = ['audit', 'verify', '--dir', 'var/audit', '--key', 'keys/audit.pub'];
  t.match(await runCli(argv, join(home, 'no-home'), { cwd: home }), { exitCode: 0, out: /^verified {2}3 entries/ });
});

test('audit verify, files that are missing or wrong, each is one clear error and never a pass', async (t) => {
  const home = await makeLogHome(t, makeLog(3));
  const cases: readonly (readonly [readonly string[], RegExp, number])[] = [
    [['--dir', 'nowhere'], /nowhere is not there/, 1],
    [['--dir', 'keys'], /keys holds no log segment/, 1],
    [['--key', 'var/checkpoint'], /is no public key/, EXIT.badLog],
    [['--key', 'nokey'], /nokey is not there/, 1],
    [['--checkpoint', 'keys/audit.pub'], /bad_proof/, EXIT.badLog],
    [['--checkpoint', 'nothing'], /nothing is not there/, 1],
  ];
  for (const [argv, expected, code] of cases) {
    const { exitCode, err, out } = await runCli(['audit', 'verify', ...argv], home, { cwd: home });
    t.equal(exitCode, code, argv.join(' '));
    t.match(err, expected, argv.join(' '));
    t.equal(out, '');
  }
});

test('audit verify, a segment that is a link, is refused: a copy must hold the log itself', async (t) => {
  const home = await makeLogHome(t, makeLog(3));
  const segment = join(home, 'var/audit', formatSegmentName(0));
  await writeFile(join(home, 'outside'), await readFile(segment));
  await rm(segment);
  await symlink(join(home, 'outside'), segment);
  t.match(await runCli(['audit', 'verify'], home), { exitCode: 1, err: /symbolic link/ });
});

test('audit prove, each entry, gives a proof that verifies with the pinned key and without the log', async (t) => {
  const home = await makeLogHome(t, makeLog(9));
  for (let index = 0; index < 9; index += 1) {
    const { exitCode, out } = await runCli(['audit', 'prove', String(index)], home);
    t.equal(exitCode, 0);
    await writeFile(join(home, 'proof'), out);
    const checked = await runCli(['audit', 'verify', '--proof', 'proof', '--json'], home, { cwd: home });
    t.match(JSON.parse(checked.out), { ok: true, treeSize: 9, entry: { index, resource: `cwd://${index}\u202e` } });
  }
  t.match(await runCli(['audit', 'prove', '9'], home), { exitCode: 1, err: /no signed entry 9; the log has 9/ });
});

test('audit verify --proof, a proof changed in one letter, is refused with exit code 8', async (t) => {
  const home = await makeLogHome(t, makeLog(9));
  const { out } = await runCli(['audit', 'prove', '4'], home);
  await writeFile(join(home, 'proof'), out.replace('index 4', 'index 3'));
  t.match(await runCli(['audit', 'verify', '--proof', 'proof'], home, { cwd: home }), { exitCode: EXIT.badLog });
});

test('audit tail, entries of the log, are shown harmlessly and as JSON unchanged', async (t) => {
  const row = { index: 12, ...makeEvent(3) };
  const { home, fake } = await startFake(t, {
    'audit.tail': (params, stream) => {
      stream.send(row);
      if (params['follow'] !== true) stream.end();
    },
  });
  const { out } = await runCli(['audit', 'tail', '-n', '1'], home);
  t.match(
    out,
    '    12 1970-01-01 00:00:01.003Z accepted  fs write_file "cwd://3\\u{202e}"  other  allow by approval: once\n',
  );
  t.same(fake.calls[0]?.params, { lines: 1, follow: false });
  t.same(JSON.parse((await runCli(['audit', 'tail', '--json'], home)).out), [row]);
  const io = makeFakeIo();
  const running = startCli(['audit', 'tail', '-f'], home, io);
  await io.outText.until('write_file');
  io.interrupt();
  t.equal(await running, EXIT.interrupted);
});

test('audit tail, a key or a reason that looks like the rest of a line, forges none of it', async (t) => {
  const forged = 'k"  default  allow by operator: a person  \\';
  const authorization = {
    layer: 'policy',
    verdict: 'deny',
    reason: 'no  default  allow by operator',
    ref: null,
  } as const;
  const rows = [
    { index: 1, ...makeEvent(2), action: 'kv_get', resource: forged, outcome: 'denied' as const, authorization },
    { index: 2, ...makeEvent(3), action: 'capsule.start', resource: '' },
  ];
  const { home } = await startFake(t, {
    'audit.tail': (_, stream) => {
      for (const row of rows) stream.send(row);
      stream.end();
    },
  });
  const [first = '', second = ''] = (await runCli(['audit', 'tail'], home)).out.split('\n');
  const quoted = '"k\\"  default  allow by operator: a person  \\\\"';
  t.ok(first.endsWith(`fs kv_get ${quoted}  default  deny by policy: no  default  allow by operator`), first);
  t.ok(second.endsWith('fs capsule.start  other  allow by approval: once'), second);
});
