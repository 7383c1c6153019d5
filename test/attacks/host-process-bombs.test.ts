import { test } from 'tap';
import { LIMITS } from '../../abi/limits.js';
import { callerOf, changesOf, findProcess, makeBench, request, uniqueSleep, until } from '../host-process/kit.js';
import { jailMissing } from '../kit/worker-bench.js';

const skip = await jailMissing();

test('a fork bomb in a command is bounded and dies with it', { skip }, async (t) => {
  const bench = await makeBench(t);
  const word = uniqueSleep();
  const { stdout, stderr } = await bench.sh(
    `(n=0; while [ $n -lt 2000 ]; do sleep ${word} & n=$((n+1)); echo $n; done); echo ended`,
  );
  const made = stdout.split('\n').filter((line) => /^\d+$/.test(line)).length;
  t.ok(made > 10 && made <= LIMITS.processTasksMax, `${made} processes`);
  t.match(stderr, /fork/i);
  await until('all are gone', () => findProcess(word).length === 0);
});

test('a grandchild that detached itself dies with the command', { skip }, async (t) => {
  const bench = await makeBench(t);
  const word = uniqueSleep();
  const { exitCode } = await bench.sh(
    `setsid nohup sleep ${word} >/dev/null 2>&1 & (setsid sh -c "(sleep ${word} &) ; exec sleep ${word}" >/dev/null 2>&1 &) ; sleep 0.2; exit 0`,
  );
  t.equal(exitCode, 0);
  t.same(findProcess(word), [], 'nothing is left when the result is there');
});

test('a background command and all its survivors die when the instance ends', { skip }, async (t) => {
  const bench = await makeBench(t);
  const word = uniqueSleep();
  await bench.start('sh', '-c', `trap "" TERM INT HUP; setsid nohup sleep ${word} & sleep ${word}; sleep ${word}`);
  await until('they run', () => findProcess(`${word}`).filter((pid) => pid > 0).length >= 2);
  bench.processes.release('one');
  await until('all are gone', () => findProcess(word).length === 0);
});

test('a command that the instance was waiting for, unloaded, is killed and answers -1', { skip }, async (t) => {
  const bench = await makeBench(t);
  const controller = new AbortController();
  const word = uniqueSleep();
  const running = bench.processes.run(request('sleep', word), callerOf({ cancel: controller.signal }));
  await until('it runs', () => findProcess(word).length > 0);
  controller.abort();
  bench.processes.release('one');
  t.same(await running, { stdout: '', stderr: 'process cancelled', exitCode: -1 });
  t.same(findProcess(word), []);
});

test('a flood of output is cut, with a word about it, and memory stays bounded', { skip }, async (t) => {
  const bench = await makeBench(t);
  const { stdout, exitCode } = await bench.sh('echo begin; head -c 20000000 /dev/zero | tr "\\0" x; echo end');
  t.equal(exitCode, 0);
  t.match(stdout, /^begin\n/);
  t.match(stdout, /end\n$/);
  t.match(stdout, /\[astrid: \d+ bytes of output are left out here\]/);
  t.ok(stdout.length < LIMITS.processCaptureBytesMax + 200);
  const word = uniqueSleep();
  const id = await bench.start('sh', '-c', `yes | head -c 3000000; exec sleep ${word}`);
  await until('all is written', () => findProcess(`sleep\0${word}`).length > 0);
  const output = await bench.processes.kill(id, callerOf());
  t.equal(output.stdout.length, LIMITS.processRingBytesMax);
});

test('bytes that are no UTF-8 come as replacement characters', { skip }, async (t) => {
  const bench = await makeBench(t);
  t.equal((await bench.run('printf', '\\377a')).stdout, '\ufffda');
});

test('what fills /tmp or shared memory meets its bound, and nothing of it is kept', { skip }, async (t) => {
  const bench = await makeBench(t);
  const { stderr } = await bench.sh(
    'head -c 400000000 /dev/zero > /tmp/filler; head -c 400000000 /dev/zero > /dev/shm/filler',
  );
  t.match(stderr, /No space left/);
  t.equal((await bench.sh('ls /tmp /dev/shm | grep filler')).stdout, '');
  t.same(await changesOf(bench), {});
});

test('the ninth background command is refused, and an id of another instance is not found', { skip }, async (t) => {
  const bench = await makeBench(t);
  const ids: number[] = [];
  for (let count = 0; count < LIMITS.processesPerInstanceMax; count++) ids.push(await bench.start('sleep', '60'));
  t.same(new Set(ids).size, LIMITS.processesPerInstanceMax);
  await t.rejects(bench.start('sleep', '60'), { code: 'quota_exceeded' });
  t.throws(() => bench.processes.read(ids[0] ?? 0, callerOf({ sourceId: 'two' })), { code: 'bad_handle' });
  await t.rejects(bench.processes.kill(ids[0] ?? 0, callerOf({ sourceId: 'two' })), { code: 'bad_handle' });
  t.equal((await bench.processes.kill(ids[0] ?? 0, callerOf())).exitCode, -1);
  t.throws(() => bench.processes.read(ids[0] ?? 0, callerOf()), { code: 'bad_handle' });
  const next = await bench.start('sleep', '60');
  t.ok(next > Math.max(...ids), 'ids are never used again');
});

test('a tree too deep for any path, locked and crowded, is refused and leaves nothing behind', { skip }, async (t) => {
  const bench = await makeBench(t);
  const name = 'd'.repeat(20);
  const script = `i=0; while [ $i -lt 150 ]; do mkdir ${name}; cd ${name}; echo x > f; i=$((i+1)); done; chmod 000 . ; exit 0`;
  t.equal(await bench.fate('sh', '-c', script), 'quota_exceeded');
  t.same(await changesOf(bench), {});
});
