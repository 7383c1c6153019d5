import { type Test, test } from 'tap';
import { ApprovalBus } from '../../supervisor/approval-bus.js';
import { Management } from '../../supervisor/management.js';
import { MemoryStore, makeApprovals, makeQuestion } from '../gate/kit.js';

const ANSWER = 'astrid.v1.approval.response.';

interface Said {
  readonly topic: string;
  readonly payload: Record<string, unknown>;
}

const message = (topic: string, payload: unknown, principal = 'ann') =>
  ({ topic, payload, actor: { principal, attribution: 'system', session: null } }) as never;

/** The hook of an upgrade runs beside its capsule, at an endpoint of its own. */
const ENDPOINTS = new Map([
  ['telegram', 'telegram'],
  ['fs', 'fs'],
  ['fs/upgrade', 'fs'],
]);

function openBus(t: Test) {
  const { approvals } = makeApprovals(new MemoryStore(), { someoneListens: () => true });
  t.teardown(() => approvals.close());
  const said: Said[] = [];
  const recorded: string[] = [];
  const dropped: string[] = [];
  const bus = new ApprovalBus({
    approvals,
    capsuleAt: (endpoint) => ENDPOINTS.get(endpoint),
    publishKernel: (topic, payload) => void said.push({ topic, payload: payload as Said['payload'] }),
    record: async (resource, by) => void recorded.push(`${resource} by ${by}`),
    log: (capsule, why) => void dropped.push(`${capsule}: ${why}`),
    onFault: (fault) => t.fail(fault.message),
  });
  t.teardown(bus.start());
  const asked = async () => {
    while (said.length === 0) await new Promise(setImmediate);
    return String(said[0]?.payload['request_id']);
  };
  const answer = (from: string | null, id: string, decision: unknown, principal?: string) =>
    bus.inbox.receive(
      from,
      message(`${ANSWER}${id}`, { type: 'approval_response', request_id: id, decision }, principal),
    );
  return { approvals, said, recorded, dropped, asked, answer };
}

test('a question of no session, with people behind an uplink, is offered on the bus and answered from there', async (t) => {
  const { approvals, recorded, said, asked, answer } = openBus(t);
  const outcome = approvals.ask(makeQuestion({ session: null }), 60_000);
  const id = await asked();
  t.match(said[0], {
    topic: 'astrid.v1.approval',
    payload: { type: 'approval_required', action: 'write_file', resource: 'cwd://notes.txt', risk_level: 'medium' },
  });
  answer('telegram', id, 'approve');
  t.match(await outcome, { kind: 'once', by: 'uplink telegram' });
  t.same(recorded, [`${id} once by uplink telegram`]);
});

test('an answer over the bus, from the asking capsule or its hook, another principal, nobody or in other words, counts for nothing', async (t) => {
  const { approvals, recorded, dropped, asked, answer } = openBus(t);
  const outcome = approvals.ask(makeQuestion({ session: null }), 60_000);
  const id = await asked();
  answer('fs', id, 'approve');
  answer('fs/upgrade', id, 'approve');
  answer('gone/upgrade', id, 'approve');
  answer('telegram', id, 'approve', 'bob');
  answer(null, id, 'approve');
  answer('telegram', id, 'constructor');
  answer('telegram', id, { approve: true });
  answer('telegram', 'made-up', 'approve');
  t.same(recorded, []);
  t.equal(dropped.length, 4);
  answer('telegram', id, 'deny');
  t.match(await outcome, { kind: 'denied' });
});

test('a question of a session, answered over the bus, stays open: who sits in front of it answers', async (t) => {
  const { approvals, said, recorded, answer } = openBus(t);
  const outcome = approvals.ask(makeQuestion({ session: 's1' }), 60_000);
  while (approvals.list().length === 0) await new Promise(setImmediate);
  const id = approvals.list()[0]!.id;
  answer('telegram', id, 'approve');
  t.same([said, recorded], [[], []]);
  await approvals.answer(id, 'deny', 'cli');
  t.match(await outcome, { kind: 'denied' });
});

test('what an uplink asks the kernel, is answered beside its suffix; what is for operators is refused', (t) => {
  const said: Said[] = [];
  const process = {
    name: 'fs',
    isReady: true,
    spec: {
      manifest: {
        commands: [{ name: 'tidy', description: null, file: null }],
        interceptors: [{ event: 'tool.v1.execute.read_file' }],
      },
    },
  };
  const management = new Management({
    processes: () => [process as never],
    version: '9.9.9',
    startedAt: 0,
    clients: () => 2,
    publishKernel: (topic, payload) => void said.push({ topic, payload: payload as Said['payload'] }),
  });
  const ask = (suffix: string, payload: unknown) => {
    said.length = 0;
    management.inbox.receive('cli', message(`astrid.v1.request.${suffix}`, payload));
    return said[0];
  };
  const request = (method: string) => ({ type: 'raw_json', method });
  t.match(ask('list', request('ListCapsules')), {
    topic: 'astrid.v1.response.list',
    payload: { type: 'raw_json', status: 'Success', data: ['fs'] },
  });
  t.match(ask('x', request('GetCommands'))?.payload, {
    status: 'Commands',
    data: [{ name: 'tidy', description: '', provider_capsule: 'fs' }],
  });
  t.match(ask('x', request('GetCapsuleMetadata'))?.payload, {
    status: 'CapsuleMetadata',
    data: [{ name: 'fs', interceptor_events: ['tool.v1.execute.read_file'] }],
  });
  t.match(ask('x', request('GetStatus'))?.payload, {
    status: 'Status',
    data: { version: '9.9.9', ephemeral: false, connected_clients: 2, loaded_capsules: ['fs'] },
  });
  t.match(ask('x', request('Shutdown'))?.payload, { status: 'Error', data: /astrid stop/ });
  t.match(ask('x', request('toString'))?.payload, { status: 'Error', data: 'unknown method' });
  for (const none of [{ type: 'custom', data: request('GetStatus') }, { type: 'raw_json', method: 7 }, null, 'x'])
    t.equal(ask('x', none), undefined);
  t.end();
});
