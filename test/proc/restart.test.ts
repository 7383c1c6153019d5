import { test } from 'tap';
import type { ProcessState } from '../../abi/control.js';
import { LIMITS } from '../../abi/limits.js';
import { parseLdd } from '../../supervisor/proc/host-tools.js';
import type { Invocation } from '../../supervisor/proc/invocation.js';
import { InvocationQueue } from '../../supervisor/proc/invocation-queue.js';
import { RestartPlan } from '../../supervisor/proc/restart.js';
import { permissionFlags } from '../../supervisor/proc/spawn.js';
import { nextState, TRANSITIONS } from '../../supervisor/proc/transitions.js';

test('backoff doubles, and after the intensity the capsule is given up aloud', (t) => {
  let now = 0;
  const plan = new RestartPlan(
    'on-failure',
    () => now,
    () => 0.5,
  );
  const waits: number[] = [];
  for (let count = 0; count < LIMITS.restartIntensity; count++) {
    const decision = plan.decide('failed');
    if (decision.kind !== 'restart') throw new Error(decision.kind);
    waits.push(decision.afterMs);
  }
  t.same(waits, [1000, 2000, 4000, 8000, 16_000]);
  t.match(plan.decide('failed'), { kind: 'give-up', why: /5 restarts within 60 s/ });
  now += LIMITS.restartWindowMs;
  t.match(plan.decide('failed'), { kind: 'restart', afterMs: 1000 }, 'a quiet window starts over');
  t.equal(plan.total, LIMITS.restartIntensity + 1);
  t.end();
});

test('jitter stays within a quarter and policies decide what comes back', (t) => {
  for (const random of [0, 0.999]) {
    const decision = new RestartPlan(
      'always',
      () => 0,
      () => random,
    ).decide('clean');
    if (decision.kind !== 'restart') throw new Error(decision.kind);
    t.ok(decision.afterMs >= 750 && decision.afterMs <= 1250);
  }
  t.same(
    new RestartPlan(
      'on-failure',
      () => 0,
      () => 0,
    ).decide('clean'),
    { kind: 'stay-down' },
  );
  t.same(
    new RestartPlan(
      'never',
      () => 0,
      () => 0,
    ).decide('failed'),
    { kind: 'stay-down' },
  );
  t.end();
});

test('the table of process life has no state without a way out and refuses what cannot happen', (t) => {
  for (const state of Object.keys(TRANSITIONS) as ProcessState[])
    t.ok(Object.keys(TRANSITIONS[state]).length > 0, state);
  t.equal(nextState('stopped', 'spawn'), 'starting');
  t.equal(nextState('running', 'exit'), 'backoff');
  t.equal(nextState('stopping', 'exit'), 'stopped');
  t.throws(() => nextState('stopped', 'invoke'), { code: 'internal' });
  t.throws(() => nextState('failed', 'done'), { code: 'internal' });
  t.end();
});

const invocationOf = (principal: string, label: string): Invocation => ({
  exportName: 'astrid_hook_trigger',
  input: Buffer.alloc(0),
  actor: { principal, attribution: 'verified', session: null },
  message: null,
  label,
  wallMs: null,
});

test('a flood of one principal does not keep another waiting, and order within a principal is kept', async (t) => {
  const queue = new InvocationQueue(6, 1000);
  for (let count = 0; count < 5; count++)
    queue.push({ invocation: invocationOf('flood', `f${count}`), settle: () => undefined });
  queue.push({ invocation: invocationOf('other', 'o0'), settle: () => undefined });
  t.equal(queue.isFull, true);
  const waiting = queue.waitForSpace(10_000);
  const order = Array.from({ length: 6 }, () => queue.shift()?.invocation.label);
  t.same(order, ['f0', 'o0', 'f1', 'f2', 'f3', 'f4']);
  t.equal(await waiting, true);
  t.equal(await queue.waitForSpace(1), false, 'time is up');
  t.equal(queue.shift(), undefined);
});

test('the permission model is asked for by the name this Node knows', (t) => {
  t.match(permissionFlags('/w.mjs', '20.19.0'), ['--experimental-permission', '--allow-fs-read=/w.mjs']);
  t.match(permissionFlags('/w.mjs', '22.12.0')[0], '--experimental-permission');
  t.match(permissionFlags('/w.mjs', '23.5.0')[0], '--permission');
  t.match(permissionFlags('/w.mjs', '26.0.0')[0], '--permission');
  t.end();
});

test('libraries are read from ldd, and lines that name no file are not', (t) => {
  const output =
    '\tlinux-vdso.so.1 (0x00007ff)\n\tlibm.so.6 => /lib/libm.so.6 (0x00007fa)\n\t/lib64/ld.so (0x00007fb)\n\tgone => not found\n';
  t.same(parseLdd(output), ['/lib/libm.so.6', '/lib64/ld.so']);
  t.end();
});
