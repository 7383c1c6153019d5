import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { test } from 'tap';
import type { ProcessRow } from '../../abi/control.js';
import { Capture } from '../kit/fake-io.js';
import { PACKAGE_ROOT } from '../kit/package-root.js';
import { missingScript } from '../kit/terminal-script.js';

const run = promisify(execFile);
/** Without the test library's loader, which cannot take a module without an extension; the library adds it to every environment. */
const PROGRAM = ['-u', 'NODE_OPTIONS', process.execPath, join(PACKAGE_ROOT, 'cli/astrid')];

test('the first conversation, as README tells it: chat on a terminal, approval, diff, commit, rollback, verify, stop', {
  skip: missingScript(),
}, async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'astrid-first-'));
  const workspace = join(root, 'work');
  mkdirSync(workspace);
  writeFileSync(join(workspace, 'a.txt'), 'a\n');
  const env = { ...process.env, ASTRID_HOME: join(root, 'home'), SHELL: '/bin/sh', NO_COLOR: '1' };
  const astrid = async (...args: string[]) => {
    const running = run('env', [...PROGRAM, ...args], { cwd: workspace, env });
    // What is piped in belongs to the request.
    running.child.stdin?.end();
    return (await running).stdout;
  };
  t.teardown(async () => {
    await astrid('stop').catch(() => '');
    rmSync(root, { recursive: true, force: true });
  });

  const line = `exec env ${PROGRAM.map((word) => `'${word}'`).join(' ')} chat`;
  const chat = spawn('script', ['-qec', line, '/dev/null'], { cwd: workspace, env });
  t.teardown(() => chat.kill());
  const screen = chat.stdout.pipe(new Capture({}));
  await screen.until('> ');
  chat.stdin.write('list the files here\r');
  t.match(await screen.until('a.txt'), /list_directory/);
  await screen.until('> ');
  chat.stdin.write('write "hello" to notes.txt\r');
  t.match(await screen.until('[d]eny'), /what {2}write_file cwd:\/\/notes\.txt[\s\S]*who {3}capsule fs[\s\S]*\+hello/);
  chat.stdin.write('o');
  await screen.until('Wrote');
  t.notOk(existsSync(join(workspace, 'notes.txt')), 'not in the workspace yet');
  await screen.until('> ');
  chat.stdin.write('\x04');
  t.same(await once(chat, 'close'), [0, null]);

  const listStates = async () => (JSON.parse(await astrid('ps', '--json')) as ProcessRow[]).map(({ state }) => state);
  let states = await listStates();
  // The system's own clock calls react every few seconds: whatever is in a call is asked about again when it is through.
  while (states.some((state) => state === 'running' || state === 'waiting')) states = await listStates();
  t.same(states, Array(5).fill('ready'));
  t.match(await astrid('diff'), /notes\.txt[\s\S]*\+hello/);
  await astrid('commit');
  t.equal(readFileSync(join(workspace, 'notes.txt'), 'utf8'), 'hello');

  t.match(await astrid('-p', 'write "other" to other.txt', '--yes'), /Wrote/);
  t.match(await astrid('diff'), /other\.txt/);
  await astrid('rollback');
  t.notMatch(await astrid('diff'), /other\.txt/);
  t.notOk(existsSync(join(workspace, 'other.txt')));
  await t.rejects(astrid('-p', 'write "asked" to asked.txt'), { code: 5 }, 'nobody is there to be asked');
  t.match(await astrid('approvals'), /asked\.txt/);

  t.match(await astrid('audit', 'verify'), /hold|verif|ok/i);
  await astrid('stop');
  await t.rejects(astrid('ps'), { code: 3 }, 'it is not there any more');
});
