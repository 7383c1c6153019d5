import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Test, test } from 'tap';
import { LIMITS } from '../../abi/limits.js';
import { KernelFiles } from '../../supervisor/files-service.js';
import { type Home, openHome } from '../../supervisor/home.js';
import { Sessions } from '../../supervisor/sessions.js';
import { parseGuestPath } from '../../supervisor/vfs/path.js';
import { codeOf } from '../vfs/session-fixture.js';

interface Bench {
  readonly home: Home;
  readonly workspace: string;
  readonly files: KernelFiles;
  open(session: string, principal?: string): Promise<void>;
  write(session: string | null, path: string, text: string, principal?: string): Promise<void>;
  read(session: string, path: string): Promise<string>;
}

async function makeBench(t: Test): Promise<Bench> {
  const root = mkdtempSync(join(tmpdir(), 'astrid-vfs-'));
  const workspace = join(root, 'work');
  mkdirSync(workspace);
  const home = await openHome(join(root, 'home'));
  const sessions = new Sessions({ put: async () => undefined, all: () => [] });
  const files = new KernelFiles(home, sessions);
  t.teardown(async () => {
    await files.close();
    const left = openBelow(root);
    rmSync(root, { recursive: true, force: true });
    if (left !== 0) throw new Error(`${left} descriptors are left open`);
  });
  const at = async (session: string | null, text: string, principal: string) => {
    const path = parseGuestPath(text);
    return { path, mount: await files.mountFor(path, { principal, attribution: 'verified', session }) };
  };
  return {
    home,
    workspace,
    files,
    open: async (id, principal = 'ann') => {
      await sessions.open({ id, workspace, mode: undefined, defaultMode: 'guided', principal, now: 1 });
    },
    write: async (session, text, content, principal = 'ann') => {
      const { path, mount } = await at(session, text, principal);
      await mount.writeFile(path.segments, Buffer.from(content));
    },
    read: async (session, text) => {
      const { path, mount } = await at(session, text, 'ann');
      return (await mount.readFile(path.segments)).toString();
    },
  };
}

/** Descriptors of this process that lead into a directory. */
function openBelow(dir: string): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(dir);
    } catch {
      return false; // the descriptor that listed the directory is gone again
    }
  }).length;
}

/** A file that says it is as large as the whole quota, and takes no disk. */
function plantHuge(path: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, '');
  truncateSync(path, LIMITS.storageBytesPerPrincipalMax);
}

test('what sessions hold from earlier starts, counts against the quota of their principal', async (t) => {
  const bench = await makeBench(t);
  for (const id of ['s-old', 's-new']) await bench.open(id);
  await bench.open('s-bob', 'bob');
  plantHuge(join(bench.home.overlays, 's-old/upper/dir/huge'));
  t.equal(await codeOf(bench.write('s-new', 'a', 'x')), 'quota_exceeded', 'in another session');
  t.equal(await codeOf(bench.write(null, 'home://a', 'x')), 'quota_exceeded', 'in the home');
  t.equal(await codeOf(bench.write('s-bob', 'a', 'x', 'bob')), 'ok', 'another principal has its own');
  await bench.files.rollback('s-old', undefined);
  t.equal(await codeOf(bench.write('s-new', 'a', 'x')), 'ok', 'what is rolled back is given back');
});

test('what a command left behind when the supervisor was killed, counts until its session has it', async (t) => {
  const bench = await makeBench(t);
  for (const id of ['s-old', 's-new']) await bench.open(id);
  const layer = join(bench.home.overlays, 's-old/commands/0123456789abcdef');
  mkdirSync(join(layer, 'upper'), { recursive: true });
  const bytes = 3 * 1024 * 1024;
  writeFileSync(join(layer, 'upper/made'), Buffer.alloc(bytes, 1));
  writeFileSync(join(layer, 'since'), '');
  const room = LIMITS.storageBytesPerPrincipalMax - bytes;
  plantHuge(join(bench.home.overlays, 's-new/upper/huge'));
  truncateSync(join(bench.home.overlays, 's-new/upper/huge'), room - 16 * 1024);
  t.equal(await codeOf(bench.write('s-new', 'a', 'x'.repeat(64 * 1024))), 'quota_exceeded');
  t.equal((await bench.read('s-old', 'made')).length, bytes, 'it still fits when its session is opened');
  t.equal(await codeOf(bench.write('s-new', 'a', 'x'.repeat(64 * 1024))), 'quota_exceeded');
  await bench.files.rollback('s-old', undefined);
  t.equal(await codeOf(bench.write('s-new', 'a', 'x'.repeat(64 * 1024))), 'ok');
});

test('many sessions, opened one after the other, hold a bounded number of descriptors and keep their files', async (t) => {
  const bench = await makeBench(t);
  const count = LIMITS.sessionFilesOpenMax + 2;
  let most = 0;
  for (let at = 0; at < count; at++) {
    await bench.open(`s-${at}`);
    await bench.write(`s-${at}`, 'mine', `of ${at}`);
    if (at === 0) most = openBelow(bench.home.overlays) * LIMITS.sessionFilesOpenMax;
  }
  t.ok(openBelow(bench.home.overlays) <= most, `${openBelow(bench.home.overlays)} of at most ${most}`);
  for (const at of [0, 1, count - 1]) t.equal(await bench.read(`s-${at}`, 'mine'), `of ${at}`);
  t.same(
    (await bench.files.diff('s-0', undefined)).map(({ path }) => path),
    ['mine'],
  );
  t.same((await bench.files.commit('s-0', ['mine'])).committed, ['mine']);
});

test('many principals, each with files of its own, hold a bounded number of descriptors', async (t) => {
  const bench = await makeBench(t);
  let most = 0;
  for (let at = 0; at < LIMITS.principalFilesOpenMax + 2; at++) {
    await bench.write(null, 'home://mine', 'x', `p-${at}`);
    if (at === 0) most = openBelow(bench.home.principals) * LIMITS.principalFilesOpenMax;
  }
  t.ok(openBelow(bench.home.principals) <= most, `${openBelow(bench.home.principals)} of at most ${most}`);
});

test('a session with a command, however many others are opened, stays open until the command is over', async (t) => {
  const bench = await makeBench(t);
  await bench.open('s-busy');
  const place = await bench.files.openCommandPlace({ principal: 'ann', attribution: 'verified', session: 's-busy' });
  await place.layer.markStart();
  writeFileSync(join(place.layer.dir, 'upper/made'), 'by the command');
  for (let at = 0; at <= LIMITS.sessionFilesOpenMax; at++) {
    await bench.open(`s-${at}`);
    await bench.write(`s-${at}`, 'mine', 'x');
  }
  await place.layer.adopt(null);
  await place.layer.remove();
  t.equal(await bench.read('s-busy', 'made'), 'by the command');
  const before = openBelow(join(bench.home.overlays, 's-busy'));
  for (let at = 0; at <= LIMITS.sessionFilesOpenMax; at++) await bench.read(`s-${at}`, 'mine');
  t.equal(openBelow(join(bench.home.overlays, 's-busy')), 0, `closed with the rest after it, ${before} before`);
});
