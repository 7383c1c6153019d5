import { appendFileSync, closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { LIMITS } from '../../abi/limits.js';
import { OwnLog } from '../../supervisor/own-log.js';

const MOST = LIMITS.ownLogLinesMax;

/** A log in a file, whose windows end when the test says so. */
function logIn(t: Test, flags = 'a+') {
  const directory = mkdtempSync(join(tmpdir(), 'astrid-'));
  const path = join(directory, 'supervisor.log');
  const fd = openSync(path, flags);
  t.teardown(() => {
    closeSync(fd);
    rmSync(directory, { recursive: true, force: true });
  });
  const ends: (() => void)[] = [];
  const log = new OwnLog(fd, { path, atWindowEnd: (call) => void ends.push(call) });
  return {
    path,
    log,
    lines: (of = path) => readFileSync(of, 'utf8').split('\n').slice(0, -1),
    endWindow: () => {
      for (const call of ends.splice(0)) call();
    },
  };
}

test('the own log, more lines than a window takes, drops the rest and says how many', (t) => {
  const { log, lines, endWindow } = logIn(t);
  for (let line = 0; line < MOST + 50; line++) log.write(`{"line":${line}}\n`);
  t.equal(lines().length, MOST);
  log.write('{"level":60,"msg":"uncaught"}\n');
  t.match(lines().at(-1), /uncaught/, 'what ends the supervisor is always said');
  endWindow();
  t.match(JSON.parse(lines().at(-1) ?? ''), { level: 40, dropped: 50, msg: 'lines dropped' });
  log.write('{"next":1}\n');
  t.equal(lines().at(-1), '{"next":1}');
  endWindow();
  endWindow();
  t.equal(lines().at(-1), '{"next":1}', 'nothing was dropped, so nothing is said');
  t.end();
});

test('the own log, a line without end, is dropped', (t) => {
  const { log, lines, endWindow } = logIn(t);
  log.write(`${'x'.repeat(LIMITS.ownLogLineCharsMax + 1)}\n`);
  endWindow();
  t.match(lines(), [/"dropped":1/]);
  t.end();
});

test('the own log, at its size, is kept aside once and goes on in the same file, whoever else holds it', (t) => {
  const { log, path, lines, endWindow } = logIn(t);
  appendFileSync(path, `${'o'.repeat(LIMITS.ownLogBytesMax)}\n`);
  log.write('{"first":1}\n');
  t.same(lines(), ['{"first":1}']);
  t.equal(statSync(`${path}.1`).size, LIMITS.ownLogBytesMax + 1);
  appendFileSync(path, `${'p'.repeat(LIMITS.ownLogBytesMax)}\n`);
  log.write('{"second":1}\n');
  t.notMatch(readFileSync(path, 'utf8').slice(-20), /second/, 'at most once in a window');
  endWindow();
  t.match(lines(), [/"dropped":1/]);
  t.end();
});

test('the own log, in a file that somebody else chose, goes on past the size at which ours is kept aside', (t) => {
  const { path, lines } = logIn(t);
  const elsewhere = openSync(`${path}.elsewhere`, 'a+');
  t.teardown(() => closeSync(elsewhere));
  const other = new OwnLog(elsewhere, { path, atWindowEnd: () => undefined });
  appendFileSync(`${path}.elsewhere`, `${'o'.repeat(LIMITS.ownLogBytesMax)}\n`);
  other.write('{"other":1}\n');
  t.equal(lines(`${path}.elsewhere`).at(-1), '{"other":1}');
  t.end();
});

test('the own log, why the supervisor ends, is written however full it is', (t) => {
  const { log, path } = logIn(t);
  for (const _ of ['kept aside', 'full again']) {
    appendFileSync(path, `${'o'.repeat(LIMITS.ownLogBytesMax)}\n`);
    log.write('{"level":30}\n');
  }
  log.write('{"level":60}\n');
  t.match(readFileSync(path, 'utf8').slice(-20), /"level":60/);
  t.end();
});

test('the own log, in a file that is not opened to append, goes on from its beginning when it is cut', (t) => {
  const { log, path, lines } = logIn(t, 'w+');
  log.write('{"first":1}\n');
  appendFileSync(path, `${'o'.repeat(LIMITS.ownLogBytesMax)}\n`);
  log.write('{"second":1}\n');
  log.write('{"third":1}\n');
  t.same(lines(), ['{"second":1}', '{"third":1}']);
  t.end();
});
