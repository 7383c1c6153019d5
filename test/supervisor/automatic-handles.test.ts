import { test } from 'tap';
import { LIMITS } from '../../abi/limits.js';
import { startSupervisor } from '../kit/real-supervisor.js';
import { faultOf, installOffer, makeOffer } from '../store/kit.js';

const MOST = String(LIMITS.autoSubscriptionsMax);

const interceptors = (count: number) =>
  Array.from({ length: count }, (_, index) => `[[interceptor]]\nevent = "a.v1.e${index}"\naction = "go"\n`).join('');

test('a run loop, its interceptors: as many as there are automatic handles become subscriptions, one more is refused', async (t) => {
  const supervisor = await startSupervisor();
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  const wait = `(call $astrid_ipc_recv (call $block (i32.const 64) (i32.const ${MOST.length})) (call $block (i32.const 48) (i32.const 5)))`;
  const loop = {
    name: 'loop',
    calls: { astrid_ipc_recv: { params: 2, result: true }, astrid_signal_ready: { params: 0, result: true } },
    // The last of the automatic handles: a wait on one that is not there would end the loop.
    data: { 48: '60000', 64: MOST },
    exports: { run: `(drop (call $astrid_signal_ready)) (drop ${wait}) (unreachable)` },
  };
  const most = await makeOffer({ ...loop, manifest: interceptors(LIMITS.autoSubscriptionsMax) });
  t.match(await installOffer(client, most), { waits: null });
  const over = await makeOffer({ ...loop, version: '1.1.0', manifest: interceptors(LIMITS.autoSubscriptionsMax + 1) });
  t.match(await faultOf(installOffer(client, over)), {
    code: 'bad_manifest',
    field: 'interceptor',
    message: `interceptor: a run loop has at most ${LIMITS.autoSubscriptionsMax}, this one ${LIMITS.autoSubscriptionsMax + 1}`,
  });
  t.match(
    await client.request('ps', {}),
    [{ capsule: 'loop', version: '1.0.0', state: /^(running|waiting)$/ }],
    'the old one stays',
  );
  const plain = await makeOffer({ name: 'plain', manifest: interceptors(LIMITS.autoSubscriptionsMax + 1) });
  t.match(await installOffer(client, plain), { waits: null }, 'without a run loop there are no automatic handles');
});
