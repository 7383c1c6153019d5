import { test } from 'tap';
import { LIMITS } from '../../abi/limits.js';
import { jailMissing } from '../kit/worker-bench.js';
import { callerOf, changesOf, findProcess, makeBench, request, uniqueSleep, until } from './kit.js';

const skip = await jailMissing();

test('a background command, read, gives new output once and its exit code once', { skip }, async (t) => {
  const bench = await makeBench(t);
  const id = await bench.start('sh', '-c', 'echo one; echo err >&2; echo x > made; exit 5');
  let stdout = '';
  let stderr = '';
  let last = bench.processes.read(id, callerOf());
  const gather = () => {
    last = bench.processes.read(id, callerOf());
    stdout += last.stdout;
    stderr += last.stderr;
    return !last.running;
  };
  stdout += last.stdout;
  stderr += last.stderr;
  await until('it ended', gather);
  t.same([stdout, stderr, last.exitCode], ['one\n', 'err\n', 5]);
  t.same(bench.processes.read(id, callerOf()), { stdout: '', stderr: '', exitCode: null, running: false });
  t.same(await changesOf(bench), { made: 'added' });
  t.same(await bench.processes.kill(id, callerOf()), { stdout: '', stderr: '', exitCode: null });
  t.match(bench.logs.join('; '), /info: background command 1 started.*; info: background command 1 killed/);
});

test('commands that ended and were reported make room for new ones', { skip }, async (t) => {
  const bench = await makeBench(t);
  for (let count = 0; count < LIMITS.processesPerInstanceMax; count++) {
    const id = await bench.start('true');
    await until('it ended', () => !bench.processes.read(id, callerOf()).running);
  }
  t.ok(await bench.start('true'));
});

test('a cancelled tool call interrupts its command and those of no call, and no others', { skip }, async (t) => {
  const bench = await makeBench(t);

  const [mineWord = '', noneWord = '', otherWord = ''] = Array.from({ length: 3 }, uniqueSleep);
  const run = (word: string, more: object) => bench.processes.run(request('sleep', word), callerOf(more));
  const mine = run(mineWord, { toolCallId: 'c1' });
  const none = run(noneWord, { toolCallId: null });
  const controller = new AbortController();
  const other = run(otherWord, { toolCallId: 'c2', cancel: controller.signal });
  await until('all run', () => [mineWord, noneWord, otherWord].every((word) => findProcess(word).length > 0));
  bench.processes.cancelCalls({ call_ids: ['c1'] }, 'another-session');
  bench.processes.cancelCalls({ call_ids: 'c1' }, 's-1');
  t.ok(findProcess(mineWord).length > 0, 'neither another session nor a malformed message cancels');
  bench.processes.cancelCalls({ call_ids: ['c1'] }, 's-1');
  const cancelled = { stdout: '', stderr: 'process cancelled', exitCode: -1 };
  t.same(await Promise.all([mine, none]), [cancelled, cancelled]);
  t.ok(findProcess(otherWord).length > 0);
  controller.abort();
  t.same(await other, cancelled);
});

test('a command that ignores the interruption is killed after the grace', { skip }, async (t) => {
  const bench = await makeBench(t);
  const word = uniqueSleep();
  const running = bench.processes.run(request('sh', '-c', `trap "" INT; sleep ${word}; sleep ${word}`), callerOf());
  await until('it runs', () => findProcess(`sleep\0${word}`).length > 0);
  bench.processes.cancelCalls({ call_ids: ['any'] }, 's-1');
  t.equal((await running).exitCode, -1);
  t.same(findProcess(word), []);
});

test('without bubblewrap a command is refused, with the way out', async (t) => {
  const bench = await makeBench(
    t,
    {},
    { tools: { bwrap: null, prlimit: '/usr/bin/prlimit', setpriv: '/usr/bin/setpriv' } },
  );
  await t.rejects(bench.run('true'), {
    code: 'tier_unavailable',
    message: /bubblewrap is not installed; `astrid doctor`/,
  });
  await t.rejects(bench.start('true'), { code: 'tier_unavailable' });
});

test('without a session there is no workspace for a command', { skip }, async (t) => {
  const bench = await makeBench(t);
  const actor = { principal: 'default', attribution: 'verified', session: null } as const;
  await t.rejects(bench.processes.run(request('true'), callerOf({ actor })), { code: 'not_found' });
  await t.rejects(bench.processes.start(request('true'), callerOf({ actor })), { code: 'not_found' });
});
