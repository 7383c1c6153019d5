import { execFileSync, spawn } from 'node:child_process';
import { readdirSync, readlinkSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { takeLock } from '../../supervisor/auditor/lock.js';

const MODULE = new URL('../../supervisor/auditor/lock.js', import.meta.url).href;

/** A process that takes the lock, says so, and holds it until its stdin ends. */
function contender(directory: string) {
  const script = `import(${JSON.stringify(MODULE)}).then(({ takeLock }) => {
    try { takeLock(${JSON.stringify(directory)}); console.log('taken'); } catch (error) { console.log(error.code); process.exit(); }
    process.stdin.resume(); process.stdin.on('end', () => process.exit());
  })`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['pipe', 'pipe', 'inherit'] });
  const said = new Promise<string>((resolve) =>
    child.stdout.once('data', (text: Buffer) => resolve(text.toString().trim())),
  );
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  return { child, said, ended };
}

test('many start at once on one directory, exactly one gets the lock, and again after it is killed', async (t) => {
  const directory = t.testdir();
  for (let round = 0; round < 2; round += 1) {
    const all = Array.from({ length: 6 }, () => contender(directory));
    const said = await Promise.all(all.map((one) => one.said));
    t.strictSame(said.toSorted(), [...Array(5).fill('already_running'), 'taken']);
    for (const { child } of all) child.kill('SIGKILL');
    await Promise.all(all.map((one) => one.ended));
  }
  t.equal(readdirSync(directory).length, 1, 'old locks are cleared away');
});

test('a lock whose pid runs but began at another time is stale', (t) => {
  const directory = t.testdir();
  symlinkSync(`${process.ppid}:some-boot.12345`, join(directory, 'lock.7'));
  takeLock(directory);
  t.strictSame(readdirSync(directory), ['lock.8']);
  t.match(readlinkSync(join(directory, 'lock.8')), new RegExp(`^${process.pid}:`));
  t.end();
});

test('a lock of a pid that does not exist is stale, one of a living process is not', (t) => {
  const directory = t.testdir();
  const gone = Number(execFileSync(process.execPath, ['-p', 'process.pid']).toString());
  symlinkSync(`${gone}:boot.1`, join(directory, 'lock.1'));
  takeLock(directory);
  t.throws(() => takeLock(directory), { code: 'already_running' });
  t.end();
});

test('a lock with unreadable text is stale', (t) => {
  const directory = t.testdir({ 'lock.3': 'a file, not a link' });
  takeLock(directory);
  t.strictSame(readdirSync(directory), ['lock.4']);
  t.end();
});
