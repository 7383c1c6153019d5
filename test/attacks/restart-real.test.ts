import { test } from 'tap';
import type { ProcessRow } from '../../abi/control.js';
import { childrenOf, startSupervisor } from '../kit/real-supervisor.js';
import { installOffer, makeOffer, planOf } from '../store/kit.js';

/** A run loop that spins after its wait was cancelled: its process ends only when the grace is over. */
const endsLate = (version: string) =>
  makeOffer({
    name: 'ghost',
    version,
    calls: { astrid_ipc_recv: { params: 2, result: true }, astrid_signal_ready: { params: 0, result: true } },
    data: { 64: '1', 65: '60000' },
    exports: {
      run: `(drop (call $astrid_signal_ready))
        (drop (call $astrid_ipc_recv (call $block (i32.const 64) (i32.const 1)) (call $block (i32.const 65) (i32.const 5))))
        (loop $spin (br $spin)) (i32.const 0)`,
    },
  });

test('a run loop that ends late, restarted and upgraded, then restarted and removed, at the same time: one version runs, then none', async (t) => {
  const supervisor = await startSupervisor();
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  const other = await supervisor.connect();
  t.teardown(() => other.close());
  const pid = supervisor.child.pid!;
  const before = childrenOf(pid).length;
  const rows = async () => (await client.request('ps', {})) as ProcessRow[];
  const until = async (state: string) => {
    for (let now = await rows(); now[0]?.state !== state; ) now = await rows();
  };
  const restart = () =>
    other.request('restart', { target: 'ghost' }, { waitMs: 30_000 }).then(
      () => 'done',
      (fault: unknown) => (fault as { code: string }).code,
    );
  const one = await endsLate('1.0.0');
  await installOffer(client, one);
  const two = await endsLate('2.0.0');
  const { planHash } = await planOf(client, two);
  await until('waiting');

  const upgraded = restart();
  await until('stopping');
  await client.request('capsule.install', { ...two, planHash }, { waitMs: 30_000 });
  t.equal(await upgraded, 'cancelled');
  await until('waiting');
  t.match(await rows(), [{ version: '2.0.0' }]);
  t.equal(childrenOf(pid).length, before + 1, 'one process for the one that is shown');

  const removed = restart();
  await until('stopping');
  await client.request('capsule.remove', { name: 'ghost', purge: true }, { waitMs: 30_000 });
  t.equal(await removed, 'cancelled');
  t.same(await rows(), []);
  t.equal(childrenOf(pid).length, before, 'and none for nothing');
});
