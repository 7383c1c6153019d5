import { test } from 'tap';
import { Fault } from '../../abi/errno.js';
import { BootSteps } from '../../supervisor/boot-steps.js';
import { startSupervisor } from '../kit/real-supervisor.js';

function quiet() {
  const lines: string[] = [];
  const write = (fields: object) => void lines.push(JSON.stringify(fields));
  return { lines, steps: new BootSteps({ info: write, error: write }) };
}

test('steps are told in the order in which they begin, whichever ends first, and undone the other way round', async (t) => {
  const { lines, steps } = quiet();
  const undone: string[] = [];
  let finish: () => void = () => undefined;
  const slow = steps.begin(
    'slow',
    () => new Promise<void>((resolve) => (finish = resolve)),
    () => void undone.push('slow'),
  );
  await steps.run(
    'fast',
    () => 1,
    () => void undone.push('fast'),
  );
  t.same(
    steps.taken.map(({ step }) => step),
    ['fast'],
    'what is not done is not told as done',
  );
  finish();
  await slow;
  t.same(
    steps.taken.map(({ step }) => step),
    ['slow', 'fast'],
  );
  t.same(lines.slice(0, 2), ['{"begin":"slow"}', '{"begin":"fast"}']);
  await steps.walkBack();
  t.same(undone, ['fast', 'slow']);
});

test('a step that fails: those before it are undone, and an undo that fails stops no other', async (t) => {
  const { steps, lines } = quiet();
  const undone: string[] = [];
  await steps.run(
    'one',
    () => 1,
    () => void undone.push('one'),
  );
  await steps.run(
    'two',
    () => 2,
    () => {
      throw new Fault('io_error', 'cannot');
    },
  );
  const failing = steps.run(
    'three',
    () => {
      throw new Fault('bad_config', 'no');
    },
    () => void undone.push('three'),
  );
  await t.rejects(failing, { code: 'bad_config' });
  await steps.walkBack();
  t.same(undone, ['one']);
  t.ok(lines.some((line) => line.includes('"code":"io_error"')));
});

test('two boots of one home take the same steps in the same order', async (t) => {
  const supervisor = await startSupervisor({});
  t.teardown(supervisor.end);
  const begun = (log: readonly string[]) => log.flatMap((line) => /"begin":"([^"]+)"/.exec(line)?.[1] ?? []);
  const first = begun(supervisor.log);
  await supervisor.kill('SIGTERM');
  const second = await supervisor.again();
  t.teardown(second.end);
  t.same(begun(second.log), first);
  t.equal(first[0], 'home');
  t.ok(first.indexOf('lock') < first.indexOf('old marker') && first.indexOf('old marker') < first.indexOf('auditor'));
  t.ok(first.indexOf('auditor') < first.indexOf('listener'), 'nobody is heard before there is a log');
  t.equal(first.at(-1), 'ready');
});
