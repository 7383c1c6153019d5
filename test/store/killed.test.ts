import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { blake3 } from '@noble/hashes/blake3.js';
import { type Test, test } from 'tap';
import { Fault } from '../../abi/errno.js';
import { inspectModule } from '../../abi/wasm/inspect.js';
import { HeldDirectory } from '../../supervisor/capsule/held-directory.js';
import { undoInterrupted } from '../../supervisor/capsule/record-change.js';
import { CapsuleStore } from '../../supervisor/capsule/store.js';
import { CapsuleCatalog } from '../../supervisor/install/catalog.js';
import { Installer } from '../../supervisor/install/installer.js';
import type { CapsuleRunner } from '../../supervisor/install/runner.js';
import type { LifecycleOutcome } from '../../supervisor/lifecycle/runner.js';
import { makeOffer, type Offered } from './kit.js';

const STEPS_MAX = 40;
const WRITES = ['writeFileAtomic', 'rename', 'remove'] as const;
const TRIES = '(i32.const 0)';

/** The power of a supervisor: it goes before one step, and then nothing more of it happens. */
class Power {
  readonly taken: string[] = [];
  #left: number;

  constructor(steps = Number.POSITIVE_INFINITY) {
    this.#left = steps;
  }

  get isGone(): boolean {
    return this.#left < 0;
  }

  step(what: string): void {
    if (this.isGone || --this.#left < 0) throw new Error(`killed before ${what}`);
    this.taken.push(what);
  }
}

/** What every directory below a home asks before it writes; a test sets it for as long as it cuts. */
let power: Power | null = null;

for (const name of WRITES) {
  const real = HeldDirectory.prototype[name] as (...args: unknown[]) => Promise<void>;
  const watched = async function (this: HeldDirectory, ...args: unknown[]): Promise<void> {
    power?.step(`${name} ${String(args[0]).replace(/[0-9a-f]{16,}/, 'X')}`);
    return real.apply(this, args);
  };
  Object.assign(HeldDirectory.prototype, { [name]: watched });
}

const worker = {
  hashBlake3: async (bytes: Uint8Array) => ({
    hash: Buffer.from(blake3(bytes)).toString('hex'),
    bytes: Buffer.from(bytes),
  }),
  inspectModule: async (bytes: Uint8Array) => ({ report: inspectModule(bytes), bytes: Buffer.from(bytes) }),
};

/** The installer, store and catalog of one life of a supervisor, over real files; processes and hooks are steps only. */
function openLife(home: string, own: Power, hook: LifecycleOutcome = { kind: 'done' }) {
  const store = new CapsuleStore({ home, worker });
  const step = async (what: string) => own.step(what);
  const runner: CapsuleRunner = {
    tierOf: () => 'jail',
    stateOf: () => 'ready',
    isDisabled: () => false,
    hashesInUse: () => new Set(),
    expectStart: () => undefined,
    expectReplacement: () => undefined,
    expectNoStart: () => undefined,
    replace: () => step('start'),
    startWaiting: async () => [],
    remove: () => step('end the process'),
  };
  const installer = new Installer({
    store,
    runner,
    principal: 'default',
    reserved: new Set(),
    audit: { accepted: () => step('audit'), settled: () => undefined },
    lifecycle: {
      runLifecycle: async () => {
        own.step('hook');
        return hook;
      },
    },
    kept: {
      forget: () => step('forget'),
      dropTraces: () => step('drop traces'),
      dropTimers: () => step('drop timers'),
      countStored: async () => 0,
    },
    onChanged: () => undefined,
  });
  const catalog = new CapsuleCatalog({ store, runner, installer, principal: 'default' });
  return { store, installer, catalog };
}

type Life = ReturnType<typeof openLife>;

async function install({ installer }: Life, { manifest, wasm, source }: Offered): Promise<void> {
  const offer = { manifest, wasm: wasm === null ? null : Buffer.from(wasm), source, allowDowngrade: false };
  const { planHash } = await installer.plan(offer);
  const copy = { ...offer, wasm: wasm === null ? null : Buffer.from(wasm) };
  await installer.install({ ...copy, planHash }, 'test');
}

interface Scenario {
  /** What is installed before, if anything. */
  readonly before: Offered | null;
  readonly hook?: LifecycleOutcome;
  readonly change: (life: Life) => Promise<void>;
  /** Versions that may stand there after a cut, `none` for nothing; `done` is what stands there after the whole change. */
  readonly old: string;
  readonly done: string;
  /** From this step on the change is there to stay. */
  readonly keptBy: string | null;
}

async function standing({ store, catalog }: Life): Promise<string> {
  const { capsules, problems } = await store.listInstalled('default');
  const rows = await catalog.verify(undefined);
  const bad = rows.filter(({ ok }) => !ok).map(({ message }) => message);
  if (bad.length > 0 || problems.length > 0) return `damaged: ${bad.join('; ')}`;
  for (const { name } of capsules) await store.loadInstalled('default', name);
  return capsules.map(({ manifest }) => manifest.version).join() || 'none';
}

const RECORD = 'home/default/.local/capsules/demo';

/** A home of its own with the same content. */
function copyOf(home: string, root: string): string {
  const copy = mkdtempSync(join(root, 'home-'));
  cpSync(home, copy, { recursive: true });
  return copy;
}

/** Does the change with this much power, and tells what was done of it. */
async function doUntil(home: string, scenario: Scenario, cut: number): Promise<Power> {
  power = new Power(cut);
  await scenario.change(openLife(home, power, scenario.hook)).catch(() => undefined);
  return power;
}

/** Boots with this much power, then with all of it, and tells what is wrong with what stands there. */
async function bootAfter(home: string, cut: number, before: string, wanted: string) {
  power = new Power(cut);
  const first = power;
  await undoInterrupted(new CapsuleStore({ home, worker }).place, 'default');
  power = null;
  const life = openLife(home, new Power());
  await undoInterrupted(life.store.place, 'default');
  const found = await standing(life);
  const left = readdirSync(join(home, RECORD, '..')).filter((name) => name !== 'demo' || found === 'none');
  const undo = existsSync(join(home, RECORD, 'undo.json'));
  const same = found !== '1.0.0' || readFileSync(join(home, RECORD, 'meta.json'), 'utf8') === before;
  const isRight = found === wanted && left.length === 0 && !undo && same;
  return { first, wrong: isRight ? null : `${found} ${left.join()} ${undo ? 'undo.json' : ''}, not ${wanted}` };
}

/** Cuts a change off before each of its steps from `begin` on, and the boot that undoes it before each of its own. */
async function cutEverywhere(t: Test, scenario: Scenario, begin = 0): Promise<string[]> {
  const root = t.testdir();
  const base = mkdtempSync(join(root, 'home-'));
  mkdirSync(join(base, RECORD, '..'), { recursive: true, mode: 0o700 });
  if (scenario.before !== null) await install(openLife(base, new Power()), scenario.before);
  const before = scenario.before === null ? '' : readFileSync(join(base, RECORD, 'meta.json'), 'utf8');
  for (let cut = begin; cut < STEPS_MAX; cut++) {
    const killed = copyOf(base, root);
    const { taken, isGone } = await doUntil(killed, scenario, cut);
    const isKept = scenario.keptBy !== null && taken.includes(scenario.keptBy);
    for (let bootCut = 0; bootCut < STEPS_MAX; bootCut++) {
      const wanted = isKept ? scenario.done : scenario.old;
      const { first, wrong } = await bootAfter(copyOf(killed, root), bootCut, before, wanted);
      if (wrong !== null) t.fail(`killed after [${taken}], at the next boot after [${first.taken}]: ${wrong}`);
      if (!first.isGone) break;
    }
    if (!isGone) return taken;
  }
  throw new Error('the change never came to its end');
}

const HOOKS = { astrid_install: TRIES, astrid_upgrade: TRIES };
const old = () => makeOffer({ name: 'demo', version: '1.0.0', exports: HOOKS });
const next = () =>
  makeOffer({ name: 'demo', version: '2.0.0', exports: HOOKS, body: '(i32.const 0) (drop) (i32.const 0)' });
const CHANGE_STEPS = [
  'audit',
  'writeFileAtomic undo.json',
  'writeFileAtomic X.wasm',
  'writeFileAtomic Capsule.toml',
  'writeFileAtomic meta.json',
  'hook',
  'start',
  'remove undo.json',
];

/** Of a name that had none before. */
const FIRST_STEPS = CHANGE_STEPS.flatMap((step) =>
  step === 'writeFileAtomic undo.json' ? [step, 'drop timers'] : [step],
);
const AFTER_HOOK = CHANGE_STEPS.indexOf('hook') + 1;

test('a first install, killed before any of its steps, leaves nothing, or the whole capsule once it is kept', async (t) => {
  const offer = await next();
  const change = (life: Life) => install(life, offer);
  const scenario = { before: null, change, old: 'none', done: '2.0.0', keptBy: 'remove undo.json' };
  t.same(await cutEverywhere(t, scenario), FIRST_STEPS);
});

test('an upgrade, killed before any of its steps, leaves the whole old capsule, or the whole new one once it is kept', async (t) => {
  const offer = await next();
  const change = (life: Life) => install(life, offer);
  const scenario = { before: await old(), change, old: '1.0.0', done: '2.0.0', keptBy: 'remove undo.json' };
  t.same(await cutEverywhere(t, scenario), CHANGE_STEPS);
});

test('an install or upgrade whose hook fails, killed while it is undone, leaves what stood there before', async (t) => {
  const offer = await next();
  const hook = { kind: 'failed', fault: new Fault('crashed', 'the hook returned 7') } as const;
  const change = (life: Life) => install(life, offer);
  const upgrade = { before: await old(), hook, change, old: '1.0.0', done: '1.0.0', keptBy: null };
  t.same((await cutEverywhere(t, upgrade, AFTER_HOOK)).slice(AFTER_HOOK - 1), [
    'hook',
    'writeFileAtomic Capsule.toml',
    'writeFileAtomic meta.json',
    'remove undo.json',
  ]);
  const first = { before: null, hook, change, old: 'none', done: 'none', keptBy: null };
  t.same((await cutEverywhere(t, first, AFTER_HOOK + 1)).slice(AFTER_HOOK), [
    'hook',
    'drop traces',
    'rename demo',
    'remove .removed-X',
  ]);
});

test('a removal, killed before any of its steps, leaves the whole capsule, or nothing once its name is free', async (t) => {
  const change = async ({ installer }: Life) => void (await installer.remove('demo', false, 'test'));
  const scenario = { before: await old(), change, old: '1.0.0', done: 'none', keptBy: 'rename demo' };
  t.same(await cutEverywhere(t, scenario), ['audit', 'end the process', 'forget', 'rename demo', 'remove .removed-X']);
});
