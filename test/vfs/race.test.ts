import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { codeOf, diskTree, openSession } from './session-fixture.js';

/** Attempts per race, at least; each test also needs both states to have been met, or it has shown nothing. */
const TRIES = 1_000;

/** Swaps `name` and `name.other` of a directory as fast as it can, until its parent closes the pipe. */
const SWAPPER = `
  const fs = require('node:fs');
  const [dir, name] = process.argv.slice(1);
  process.chdir(dir);
  process.stdin.on('end', () => process.exit(0)).resume();
  const turn = () => {
    for (let at = 0; at < 200; at++) {
      try {
        fs.renameSync(name, name + '.spare');
        fs.renameSync(name + '.other', name);
        fs.renameSync(name + '.spare', name + '.other');
      } catch {
        // The other side made the directory while the name was free. What was put aside goes back, or no swap would succeed again.
        try { fs.rmSync(name, { recursive: true, force: true }); } catch {}
        try { fs.renameSync(name + '.spare', name); } catch {}
      }
    }
    setImmediate(turn);
  };
  process.stdout.write('ready');
  turn();
`;

async function startSwapping(t: Test, dir: string, name: string): Promise<void> {
  const child: ChildProcess = spawn(process.execPath, ['-e', SWAPPER, dir, name], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  t.teardown(async () => {
    child.stdin?.end();
    await exited;
  });
  if (child.stdout !== null) await once(child.stdout, 'data');
}

/**
 * Tries an action again and again until both wanted outcomes were met; returns what came out how often. The swapper may get no
 * processor for long, so only the test's own time-out bounds it.
 */
async function count(
  tries: number,
  wanted: readonly string[],
  action: (at: number) => Promise<string>,
): Promise<Record<string, number>> {
  const seen: Record<string, number> = {};
  for (let at = 0; at < tries || !wanted.every((outcome) => outcome in seen); at++) {
    const outcome = await action(at);
    seen[outcome] = (seen[outcome] ?? 0) + 1;
  }
  return seen;
}

async function contentOrCode(action: () => Promise<string>): Promise<string> {
  let content = '';
  const code = await codeOf(async () => {
    content = await action();
  });
  return code === 'ok' ? content : code;
}

test('a directory that is swapped with a link to the outside, while it is read, shows only what is inside', async (t) => {
  const { guest, workspace } = await openSession(t, { 'd/secret': 'inside', 'd.other': '-> ../outside' });
  await startSwapping(t, workspace, 'd');
  const seen = await count(2 * TRIES, ['inside', 'escapes_root'], () => contentOrCode(() => guest.read('d/secret')));
  t.notOk(seen['SECRET'], 'nothing outside was read');
  t.ok((seen['inside'] ?? 0) > 0 && (seen['escapes_root'] ?? 0) > 0, `both were met: ${JSON.stringify(seen)}`);
});

test('a file that is swapped with a link to the outside, while it is read, shows only what is inside', async (t) => {
  const { guest, workspace } = await openSession(t, { f: 'inside', 'f.other': '-> ../outside/secret' });
  await startSwapping(t, workspace, 'f');
  const seen = await count(TRIES, ['inside', 'escapes_root'], () => contentOrCode(() => guest.read('f')));
  t.notOk(seen['SECRET'], 'nothing outside was read');
  t.ok((seen['inside'] ?? 0) > 0 && (seen['escapes_root'] ?? 0) > 0, `both were met: ${JSON.stringify(seen)}`);
});

test('a home directory that is swapped with a link, while it is written, leaves the outside alone', async (t) => {
  const { guest, options, outside } = await openSession(t);
  mkdirSync(join(options.homeDir, 'd'));
  symlinkSync('../outside', join(options.homeDir, 'd.other'));
  await startSwapping(t, options.homeDir, 'd');
  const seen = await count(TRIES, ['ok', 'escapes_root'], (at) =>
    codeOf(at % 2 === 0 ? guest.write('home://d/secret', 'X') : guest.unlink('home://d/secret')),
  );
  t.ok((seen['ok'] ?? 0) > 0 && (seen['escapes_root'] ?? 0) > 0, `both were met: ${JSON.stringify(seen)}`);
  t.same(diskTree(outside), { secret: 'SECRET' });
});

test('a workspace directory that is swapped with a link, while changes are committed, leaves the outside alone', async (t) => {
  const { guest, workspace, outside, files } = await openSession(t, { 'd.other': '-> ../outside', 'd/': '' });
  const { commitOverlay } = await import('../../supervisor/vfs/commit.js');
  writeFileSync(join(workspace, 'd/secret'), 'inside');
  await guest.unlink('d/secret');
  await guest.write('d/new', 'x');
  await startSwapping(t, workspace, 'd');
  for (let at = 0; at < 100; at++) {
    await codeOf(guest.write('d/new', `${at}`));
    await codeOf(guest.unlink('d/secret'));
    await codeOf(commitOverlay(files.overlay));
  }
  t.same(diskTree(outside), { secret: 'SECRET' });
});
