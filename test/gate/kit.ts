import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Test } from 'tap';
import { CAPABILITY_NAMES, type CapabilityName } from '../../abi/capabilities.js';
import { Fault } from '../../abi/errno.js';
import type { CapsuleManifest } from '../../abi/manifest.js';
import { syscallByName } from '../../abi/table.js';
import type { ApprovalStore } from '../../supervisor/gate/approval-ledger.js';
import type { Question } from '../../supervisor/gate/approval-record.js';
import { Approvals, type ApprovalsOptions } from '../../supervisor/gate/approvals.js';
import type { Action, ActionKind } from '../../supervisor/gate/types.js';
import { openStore } from '../../supervisor/storage/store.js';

export const ALL_CAPABILITIES = Object.fromEntries(CAPABILITY_NAMES.map((name) => [name, ['*'] as readonly string[]]));

export function makeManifest(
  capabilities: Partial<Record<CapabilityName, readonly string[] | boolean>> = ALL_CAPABILITIES,
  more: Partial<CapsuleManifest> = {},
): CapsuleManifest {
  const none = Object.fromEntries(CAPABILITY_NAMES.map((name) => [name, [] as string[]]));
  return {
    abi: 3,
    name: 'fs',
    version: '1.0.0',
    description: null,
    astridVersion: null,
    component: null,
    imports: [],
    exports: [],
    publish: [],
    subscribe: [],
    interceptors: [],
    capabilities: { ...none, ...capabilities } as CapsuleManifest['capabilities'],
    env: [],
    cron: [],
    commands: [],
    uplinks: [],
    topics: [],
    restart: 'always',
    limits: { memoryPages: 1024, wallMs: 1000 },
    warnings: [],
    ...more,
  };
}

export function callNamed(name: string): ActionKind {
  const row = syscallByName(name);
  if (row === undefined) throw new Error(`no call ${name}`);
  return row;
}

export function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

export function makeAction(call: string | ActionKind, more: Partial<Action> = {}): Action {
  const kind = typeof call === 'string' ? callNamed(call) : call;
  return {
    call: kind,
    name: kind.name.replace('astrid_', ''),
    manifest: makeManifest(),
    capsule: 'fs',
    install: 'first',
    principal: 'ann',
    session: 's1',
    resource: 'cwd://notes.txt',
    covered: kind.capability === null ? null : true,
    argsHash: hashOf('hello'),
    argBytes: 5,
    detail: async () => ['write 5 bytes'],
    risk: 'medium',
    ...more,
  };
}

export function makeQuestion(more: Partial<Question> = {}): Question {
  return {
    origin: 'kernel',
    session: 's1',
    scope: undefined,
    principal: 'ann',
    capsule: 'fs',
    install: 'first',
    action: 'write_file',
    resource: 'cwd://notes.txt',
    argsHash: hashOf('hello'),
    risk: 'medium',
    why: 'a test asks',
    onceOnly: false,
    detail: async () => ['write 5 bytes'],
    ...more,
  };
}

/** A store in memory that can be told to refuse, and to hold its writes back. */
export class MemoryStore implements ApprovalStore {
  readonly rows = new Map<string, string>();
  refusal: Fault | null = null;
  held: (() => void)[] | null = null;
  readonly table = {
    all: () => [...this.rows].map(([key, value]) => [key, JSON.parse(value)] as const),
    get: (key: string): unknown => {
      const row = this.rows.get(key);
      return row === undefined ? undefined : JSON.parse(row);
    },
    put: (key: string, value: unknown) => {
      this.rows.set(key, JSON.stringify(value));
    },
    remove: (key: string) => {
      this.rows.delete(key);
    },
  };

  async write<T>(work: () => T): Promise<T> {
    await null;
    const { held } = this;
    if (held !== null) await new Promise<void>((resolve) => held.push(resolve));
    if (this.refusal !== null) throw this.refusal;
    return work();
  }

  release(): void {
    const held = this.held ?? [];
    this.held = null;
    for (const resolve of held) resolve();
  }
}

export interface Bench {
  readonly approvals: Approvals;
  readonly faults: Fault[];
  readonly clock: { now: number };
  /** Sessions with somebody there to answer. */
  readonly listening: Set<string>;
  /** Timers by their end; calling one lets it run out. */
  readonly timers: Set<() => void>;
}

export function makeApprovals(store: ApprovalStore, more: Partial<ApprovalsOptions> = {}): Bench {
  const faults: Fault[] = [];
  const clock = { now: 1_700_000_000_000 };
  const listening = new Set(['s1']);
  const timers = new Set<() => void>();
  const approvals = new Approvals({
    store,
    someoneListens: (session) => session !== null && listening.has(session),
    onFault: (fault) => faults.push(fault),
    now: () => clock.now,
    startTimer: (_ms, done) => {
      timers.add(done);
      return () => timers.delete(done);
    },
    ...more,
  });
  return { approvals, faults, clock, listening, timers };
}

/** Approvals over a real database, with what is needed to close and open it again. */
export function openDurable(t: Test): { open: () => Bench & { close: () => Promise<void> } } {
  const dir = join(t.testdir(), 'state');
  return {
    open: () => {
      const store = openStore(dir);
      const bench = makeApprovals({ table: store.records('approvals'), write: (work) => store.write(work) });
      let closing: Promise<void> | null = null;
      const close = () => {
        closing ??= store.close();
        return closing;
      };
      t.teardown(close);
      return { ...bench, close };
    },
  };
}

/** Lets everything that is due in this turn happen. */
export async function settleTurn(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
}

export async function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'ok',
    (thrown) => (thrown instanceof Fault ? thrown.code : String(thrown)),
  );
}

export function only<T>(items: readonly T[]): T {
  if (items.length !== 1) throw new Error(`expected one, got ${items.length}`);
  return items[0]!;
}
