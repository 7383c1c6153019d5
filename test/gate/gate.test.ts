import { test } from 'tap';
import type { ApprovalMode } from '../../abi/control.js';
import { Fault } from '../../abi/errno.js';
import { parseConfig } from '../../supervisor/config.js';
import { Gate, makeLayers } from '../../supervisor/gate/gate.js';
import { type Action, allow, deny, type Layer, PASS, type Verdict } from '../../supervisor/gate/types.js';
import { type Bench, hashOf, MemoryStore, makeAction, makeApprovals, makeManifest, settleTurn } from './kit.js';

interface GateBench extends Bench {
  readonly gate: Gate;
  readonly store: MemoryStore;
  readonly mode: { now: ApprovalMode };
  readonly internal: Fault[];
}

function makeGate(toml = '', layers?: readonly Layer[]): GateBench {
  const store = new MemoryStore();
  const bench = makeApprovals(store);
  const mode = { now: 'guided' as ApprovalMode };
  const internal: Fault[] = [];
  const gate = new Gate({
    layers: layers ?? makeLayers(parseConfig(toml), bench.approvals),
    approvals: bench.approvals,
    modeOf: () => mode.now,
    onInternal: (fault) => internal.push(fault),
  });
  return { ...bench, gate, store, mode, internal };
}

const layer = (name: Layer['name'], verdict: () => Verdict): Layer => ({ name, judge: verdict });

async function answerNext(bench: GateBench, decision: 'once' | 'session' | 'deny'): Promise<string> {
  await settleTurn();
  const [row] = bench.approvals.list();
  await bench.approvals.answer(row!.id, decision, 'cli');
  return row!.id;
}

test('a read in guided mode, is decided at once by the manifest, without a new object', (t) => {
  const { gate } = makeGate();
  const first = gate.decideSync(makeAction('astrid_read_file'));
  t.match(first, {
    verdict: 'allow',
    fault: null,
    approvalId: null,
    authorization: { layer: 'manifest', verdict: 'allow', ref: null },
  });
  t.equal(gate.decideSync(makeAction('astrid_fs_stat', { resource: 'home://x' })), first);
  t.ok(Object.isFrozen(first) && Object.isFrozen(first?.authorization));
  t.end();
});

test('a write in guided mode, waits for a person and is allowed by the answer', async (t) => {
  const bench = makeGate();
  const action = makeAction('astrid_write_file');
  t.equal(bench.gate.decideSync(action), null);
  const deciding = bench.gate.decide(action);
  const id = await answerNext(bench, 'once');
  t.match(await deciding, {
    verdict: 'allow',
    approvalId: id,
    authorization: { layer: 'approval', ref: id, reason: /once by cli/ },
  });
});

test('an answer for the session, makes the next identical action synchronous and no other', async (t) => {
  const bench = makeGate();
  const deciding = bench.gate.decide(makeAction('astrid_write_file'));
  const id = await answerNext(bench, 'session');
  t.equal((await deciding).verdict, 'allow');
  const again = makeAction('astrid_write_file', { argsHash: hashOf('more') });
  t.match(bench.gate.decideSync(again), {
    verdict: 'allow',
    approvalId: id,
    authorization: { layer: 'approval', ref: id },
  });
  t.equal(bench.gate.decideSync(makeAction('astrid_write_file', { resource: 'cwd://other' })), null);
  t.equal(bench.gate.decideSync(makeAction('astrid_fs_unlink')), null);
  t.equal(bench.gate.decideSync(makeAction('astrid_write_file', { session: 's2' })), null);
  bench.mode.now = 'safe';
  t.equal(bench.gate.decideSync(again), null, 'mode safe forgets');
});

test('each end of a question, has its code and names the approval', async (t) => {
  const bench = makeGate();
  const denied = bench.gate.decide(makeAction('astrid_write_file'));
  const id = await answerNext(bench, 'deny');
  t.match(await denied, {
    verdict: 'deny',
    approvalId: id,
    fault: { code: 'approval_denied' },
    authorization: { ref: id, reason: /denied by cli/ },
  });

  const late = bench.gate.decide(makeAction('astrid_write_file'));
  await settleTurn();
  for (const runOut of bench.timers) runOut();
  t.match(await late, { verdict: 'deny', fault: { code: 'approval_queued' } });

  const kill = new AbortController();
  const killed = bench.gate.decide(makeAction('astrid_write_file', { resource: 'cwd://b', cancel: kill.signal }));
  await settleTurn();
  kill.abort();
  t.match(await killed, { verdict: 'deny', fault: { code: 'cancelled' } });

  bench.listening.clear();
  const nobody = await bench.gate.decide(makeAction('astrid_write_file', { session: null }));
  t.match(nobody, { verdict: 'deny', fault: { code: 'approval_queued' } });
  await bench.approvals.answer(nobody.approvalId!, 'once', 'cli');
  const retry = makeAction('astrid_write_file', { session: null });
  t.match(await bench.gate.decide(retry), { verdict: 'allow', approvalId: nobody.approvalId });
  t.match(await bench.gate.decide(retry), { verdict: 'deny', fault: { code: 'approval_queued' } }, 'once');
  t.notMatch((await bench.gate.decide(retry)).fault?.message, nobody.approvalId!, 'the id is not for the guest');
});

test('a deny of any layer, in any place and mode, is not lifted by an allow or an answer of another', async (t) => {
  const yes = allow('approval', 'sure');
  const no = deny('policy', new Fault('policy_denied', 'no'));
  const ask: Verdict = { kind: 'ask', onceOnly: false, why: 'a test asks' };
  const orders: [string, Verdict[], string][] = [
    ['deny first', [no, yes], 'deny'],
    ['deny last', [yes, no], 'deny'],
    ['deny after ask', [yes, ask, no], 'deny'],
    ['allow after ask', [ask, yes], 'asks'],
    ['all pass', [PASS, PASS], 'deny'],
    ['no layers', [], 'deny'],
    ['pass and allow', [PASS, yes, PASS], 'allow'],
  ];
  for (const [what, verdicts, expected] of orders) {
    const { gate } = makeGate(
      '',
      verdicts.map((verdict) => layer('system', () => verdict)),
    );
    t.equal(gate.decideSync(makeAction('astrid_write_file'))?.verdict ?? 'asks', expected, what);
  }
});

test('the operator policy, in every mode and after every answer, blocks', async (t) => {
  const bench = makeGate('[policy]\ndeny_paths = ["cwd://secret/**"]');
  for (const mode of ['safe', 'guided', 'autonomous', 'yolo'] as const) {
    bench.mode.now = mode;
    const decision = await bench.gate.decide(makeAction('astrid_write_file', { resource: 'cwd://secret/x' }));
    t.match(decision, { verdict: 'deny', fault: { code: 'policy_denied' }, authorization: { layer: 'policy' } }, mode);
    const missing = await bench.gate.decide(makeAction('astrid_write_file', { manifest: makeManifest({}) }));
    t.match(missing, { verdict: 'deny', fault: { code: 'capability_missing' } }, `${mode} adds no capability`);
  }
  t.same(bench.approvals.list(), [], 'nobody was even asked');
});

test('a layer that throws, gives nonsense or meets an unknown mode, denies, and the guest learns no more', async (t) => {
  const yes = layer('manifest', () => allow('manifest', 'sure'));
  const broken: [string, Layer][] = [
    [
      'throws',
      layer('budget', () => {
        throw new TypeError('secret path /etc/x');
      }),
    ],
    ['undefined', layer('budget', () => undefined as unknown as Verdict)],
    ['nonsense', layer('budget', () => ({ kind: 'maybe' }) as unknown as Verdict)],
  ];
  for (const [what, bad] of broken) {
    const { gate, internal } = makeGate('', [yes, bad]);
    for (const decision of [
      gate.decideSync(makeAction('astrid_read_file')),
      await gate.decide(makeAction('astrid_read_file')),
    ]) {
      t.match(decision, { verdict: 'deny', fault: { code: 'internal' }, authorization: { layer: 'budget' } }, what);
      t.notMatch(decision?.fault?.message, '/etc/x');
    }
    t.equal(internal.length, 2, 'the operator is told');
  }
  const odd = makeGate();
  odd.mode.now = 'reckless' as ApprovalMode;
  t.match(odd.gate.decideSync(makeAction('astrid_read_file')), { verdict: 'deny' });
  const noMode = new Gate({
    layers: [yes],
    approvals: odd.approvals,
    modeOf: () => {
      throw new Error('no session');
    },
    onInternal: () => undefined,
  });
  t.match(noMode.decideSync(makeAction('astrid_read_file')), { verdict: 'deny' });
});

test('a disk that refuses, while a grant is used up or a question is written, denies', async (t) => {
  const bench = makeGate();
  bench.listening.clear();
  const action = makeAction('astrid_write_file');
  const { approvalId } = await bench.gate.decide(action);
  await bench.approvals.answer(approvalId!, 'once', 'cli');
  bench.store.refusal = new Fault('no_space', 'no space left');
  t.match(await bench.gate.decide(action), { verdict: 'deny', fault: { code: 'no_space' } });
  t.match(await bench.gate.decide(makeAction('astrid_fs_unlink')), { verdict: 'deny', fault: { code: 'no_space' } });
  bench.store.refusal = null;
  t.match(await bench.gate.decide(action), { verdict: 'allow' }, 'the grant was not lost either');
});

test('an action whose preview fails or whose arguments have no hash, is denied', async (t) => {
  const { gate } = makeGate();
  const actions: Partial<Action>[] = [
    { detail: () => Promise.reject(new Error('boom')) },
    {
      detail: () => {
        throw new Error('boom');
      },
    },
    { argsHash: '' },
    { argsHash: 'x'.repeat(64) },
  ];
  for (const more of actions)
    t.match(await gate.decide(makeAction('astrid_write_file', more)), { verdict: 'deny', fault: { code: 'internal' } });
});

test('an allowance that comes while rules change, does not outlive them', async (t) => {
  let blocked = false;
  const policy = layer('policy', () => (blocked ? deny('policy', new Fault('policy_denied', 'now blocked')) : PASS));
  const bench = makeGate('', [
    layer('manifest', () => allow('manifest', 'sure')),
    policy,
    layer('approval', () => ({ kind: 'ask', onceOnly: false, why: 'a test asks' })),
  ]);
  const deciding = bench.gate.decide(makeAction('astrid_write_file'));
  await settleTurn();
  blocked = true;
  await answerNext(bench, 'once');
  t.match(await deciding, { verdict: 'deny', fault: { code: 'policy_denied' } });
});

test('mode yolo and autonomous, decide changes in the overlay at once, and say why', (t) => {
  const { gate, mode } = makeGate();
  mode.now = 'autonomous';
  t.match(gate.decideSync(makeAction('astrid_write_file')), {
    verdict: 'allow',
    authorization: { layer: 'approval', reason: /autonomous/ },
  });
  t.equal(gate.decideSync(makeAction('astrid_write_file', { resource: 'home://x' })), null);
  mode.now = 'yolo';
  t.match(gate.decideSync(makeAction('astrid_write_file', { resource: 'home://x' })), {
    verdict: 'allow',
    authorization: { reason: /yolo/ },
  });
  t.end();
});
