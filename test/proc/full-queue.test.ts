import { setImmediate } from 'node:timers/promises';
import { test } from 'tap';
import { LIMITS } from '../../abi/limits.js';
import { type Step, step, text } from '../conformance/case.js';
import { openBench } from '../conformance/kernel-bench.js';
import { encodeScript } from '../conformance/script-guest.js';

test('a capsule that is stuck, takes as many invocations as may wait and refuses the next at once; its neighbour answers', async (t) => {
  const bench = await openBench(['process'], { lanes: [3] });
  t.teardown(() => bench.end());
  const stuck = bench.processOf('full-process-3');
  const ask = (process: typeof stuck, one: Step) =>
    process.submit({
      exportName: 'astrid_hook_trigger',
      input: encodeScript([one], { generation: 3, lane: 'process3', port: 0 }),
      actor: { principal: 'default', attribution: 'verified', session: null },
      message: null,
      label: 'test',
      wallMs: null,
    });
  const waiting = [ask(stuck, step('astrid_net_accept', text('')))];
  while (!stuck.toRow().waitsOn.startsWith('net_accept')) await setImmediate();
  const say = step('astrid_log', text('info'), text('hello'));
  for (let count = 0; count < LIMITS.invocationQueueMax; count++) waiting.push(ask(stuck, say));
  t.match(await ask(stuck, say), { kind: 'failed', fault: { code: 'rate_limited', message: /^256 invocations/ } });
  t.match(await ask(bench.processOf('peer-process-3'), say), { kind: 'done', error: '' });
  await stuck.restart();
  const codes = (await Promise.all(waiting)).map((one) => (one.kind === 'failed' ? one.fault.code : one.kind));
  t.equal(codes.length, LIMITS.invocationQueueMax + 1, 'everybody is answered');
  t.notOk(codes.slice(1).includes('done'), 'and none of those that waited was run in the process that is gone');
  t.match(await ask(stuck, say), { kind: 'done', error: '' });
});
