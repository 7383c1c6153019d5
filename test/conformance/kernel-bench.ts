import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AbiGeneration, Tier } from '../../abi/manifest.js';
import type { Actor } from '../../bus/message.js';
import { ControlClient } from '../../cli/client.js';
import { openHome } from '../../cli/home.js';
import { bootKernel, type Kernel } from '../../supervisor/boot.js';
import type { CapsuleProcess } from '../../supervisor/proc/capsule-process.js';
import type { InvocationOutcome } from '../../supervisor/proc/invocation.js';
import { assemble, guestText } from '../kit/guest-wat.js';
import { type InstalledGuest, installGuests, writeBuiltins } from '../kit/real-supervisor.js';
import { WORKER_BUNDLE } from '../kit/worker-bench.js';
import {
  BARE_ID,
  type ConformanceCase,
  casesOf,
  type GuestRole,
  LOOP_CALL,
  OK_ANY,
  PEER_ID,
  PERSON,
  type Step,
  step,
  text,
} from './case.js';
import { judge, payloadOf } from './judge.js';
import { MANIFESTS, sparseFiles, workspaceFiles } from './manifests.js';
import { answerQuestions, sendVisitors, startWebServer } from './outside-world.js';
import { decodeResults, encodeScript, makeScriptGuest } from './script-guest.js';

export const GENERATIONS: readonly AbiGeneration[] = [1, 2, 3];
const ROLES: readonly GuestRole[] = ['full', 'bare', 'peer', 'loop'];
const INVOCATION_MS_MAX = 20_000;
/** More streams than one instance of a guest takes in the whole suite. */
const STREAMS_ISSUED_MAX = 128;
const HEARD = {
  topic: 'conform.v1.heard',
  payload: { type: 'custom', data: null },
  payloadBytes: 4,
  heapBytes: 8,
  sourceId: '7f0c2a34-5b1e-4c38-9a1f-1d2e3f405162',
  timestamp: '2026-01-02T03:04:05.678Z',
  seq: 1,
} as const;

/** One tier and one generation: three guests, a session and a workspace of its own. */
export interface Lane {
  readonly tier: Tier;
  readonly generation: AbiGeneration;
  readonly session: string;
  /** What is wrong, or null. */
  run(one: ConformanceCase): Promise<string | null>;
  /** Runs steps in the guest `full` and answers what each came to, without status bytes. */
  send(...steps: Step[]): Promise<Buffer[]>;
}

export interface KernelBench {
  readonly home: string;
  /** Of the web server that guests may reach. */
  readonly port: number;
  readonly kernel: Kernel;
  readonly client: ControlClient;
  readonly lanes: readonly Lane[];
  readonly log: readonly string[];
  processOf(name: string): CapsuleProcess;
  end(): Promise<void>;
}

/** A whole kernel in this process, with workers, jails, auditor and store as in any other. */
export async function openBench(
  tiers: readonly Tier[],
  more: { readonly guests?: Readonly<Record<string, InstalledGuest>>; readonly lanes?: readonly AbiGeneration[] } = {},
): Promise<KernelBench> {
  const umask = process.umask(0o077);
  const root = mkdtempSync(join(tmpdir(), 'astrid-conform-'));
  const home = join(root, 'home');
  const builtins = join(root, 'builtins');
  for (const path of [home, join(home, 'etc'), builtins]) mkdirSync(path, { mode: 0o700 });
  const generations = more.lanes ?? GENERATIONS;
  const log: string[] = [];
  const web = await startWebServer();
  // Actions outside of a session, too, ask nobody: what is tested here is the calls.
  writeFileSync(
    join(home, 'etc/config.toml'),
    `[approval]\nmode = "yolo"\n\n[net]\nlocal = ["127.0.0.1:${web.port}"]\n`,
    { mode: 0o600 },
  );
  const guests = await makeGuests(tiers, generations);
  guests.process['replier'] = await makeReplier();
  // The other guests run in the last tier of the list.
  Object.assign(guests[tiers.at(-1)!], more.guests);
  writeBuiltins(builtins, guests.process);
  await installGuests(home, guests.jail);
  const logger = {
    info: () => undefined,
    error: (fields: object, message: string) => void log.push(`${message} ${JSON.stringify(fields)}`),
  };
  const kernel = await bootKernel({
    home,
    version: '0.0.0',
    builtins,
    workerBundle: WORKER_BUNDLE,
    searchPath: process.env['PATH'] ?? '/usr/bin:/bin',
    logger,
    requestStop: () => undefined,
  });
  const opened = await openHome(home);
  const client = await ControlClient.connect(opened);
  await opened.close();
  const person = await answerQuestions(client);
  const processOf = (name: string) => kernel.processes.find(name);
  const lanes: Lane[] = [];
  for (const tier of tiers) {
    for (const generation of generations)
      lanes.push(await openLane({ root, home, port: web.port, client, processOf }, tier, generation));
  }
  return {
    home,
    port: web.port,
    kernel,
    client,
    lanes,
    log,
    processOf,
    end: async () => {
      person.close();
      client.close();
      await kernel.stop();
      await web.close();
      process.umask(umask);
      // A path of 4,096 bytes lies in there, which is more than Node removes.
      spawnSync('rm', ['-rf', root]);
    },
  };
}

function guestName(role: GuestRole, tier: Tier, generation: AbiGeneration): string {
  return `${role}-${tier}-${generation}`;
}

async function makeGuests(tiers: readonly Tier[], generations: readonly AbiGeneration[]) {
  const made: Record<Tier, Record<string, InstalledGuest>> = { process: {}, jail: {} };
  for (const generation of generations) {
    const wasm = await makeScriptGuest(generation);
    for (const tier of tiers) {
      for (const role of ROLES) {
        const name = guestName(role, tier, generation);
        const module = role === 'loop' ? await makeScriptGuest(generation, `tmp://${name}`) : Buffer.from(wasm);
        made[tier][name] = { manifest: MANIFESTS[role](name), wasm: module };
      }
    }
  }
  return made;
}

/** Somebody who answers one hook. */
async function makeReplier(): Promise<InstalledGuest> {
  const answer = '(call $answer (call $block (i32.const 16) (i32.const 8))) (i32.const 0)';
  const wasm = await assemble(
    guestText({ data: { 16: '\\00{\\22n\\22:1}' }, exports: { astrid_hook_trigger: answer } }),
  );
  const manifest = MANIFESTS.bare('replier');
  return { manifest: `${manifest}\n[[interceptor]]\nevent = "conform.v1.replied"\naction = "reply"\n`, wasm };
}

function userIdOf(created: Buffer | undefined): string {
  return String((JSON.parse(String(created)) as { readonly user_id: unknown }).user_id);
}

/** Stops it once it waits for that, and starts it again. A guest that never waits comes to its own end. */
async function stopWaiting(process: CapsuleProcess, what: string, outcome: Promise<InvocationOutcome>): Promise<void> {
  let over = false;
  void outcome.then(() => {
    over = true;
  });
  while (!process.toRow().waitsOn.startsWith(what) && !over) await new Promise((resolve) => setImmediate(resolve));
  await process.restart();
}

interface Around {
  readonly root: string;
  readonly home: string;
  readonly port: number;
  readonly client: ControlClient;
  readonly processOf: (name: string) => CapsuleProcess;
}

async function openLane(around: Around, tier: Tier, generation: AbiGeneration): Promise<Lane> {
  const { root, home, port, client, processOf } = around;
  const lane = `${tier}${generation}`;
  const workspace = join(root, `work-${lane}`);
  mkdirSync(workspace, { mode: 0o700 });
  for (const [path, content] of Object.entries(workspaceFiles)) {
    mkdirSync(join(workspace, path, '..'), { recursive: true });
    writeFileSync(join(workspace, path), content);
  }
  for (const [path, size] of Object.entries(sparseFiles)) {
    writeFileSync(join(workspace, path), '');
    truncateSync(join(workspace, path), size);
  }
  const openSession = async (mode: 'yolo' | 'guided') =>
    (await client.request('session.open', { workspace, interactive: false, mode })) as { id: string };
  const { id } = await openSession('yolo');
  const { id: guardedId } = await openSession('guided');
  // Somebody looks at its questions and never answers one. The stream ends with the client.
  await client.stream('approvals.follow', { session: guardedId });
  const guest = (role: GuestRole) => processOf(guestName(role, tier, generation));
  const invoke = (role: GuestRole, input: Buffer, one: ConformanceCase): Promise<InvocationOutcome> => {
    const actor: Actor = {
      principal: one.principal,
      attribution: 'verified',
      session: one.sessionless || one.principal !== 'default' ? null : one.guarded ? guardedId : id,
    };
    const message = one.heard ? { ...HEARD, actor } : null;
    return guest(role).submit({
      exportName: one.entry,
      input,
      actor,
      message,
      label: one.call,
      wallMs: INVOCATION_MS_MAX,
    });
  };
  /** Guests of which a case has used something up: started anew before the next one. */
  const used = new Set<GuestRole>();
  const run = async (one: ConformanceCase): Promise<string | null> => {
    if (one.fresh || used.has(one.role)) await guest(one.role).restart();
    used.delete(one.role);
    const visitors = await sendVisitors(home, one.visitors);
    const verdict = one.role === 'loop' ? judgeLoop(one) : await runOnce(one);
    visitors.close();
    if (one.visitors > 0) await closeStreams(one);
    if (one.fresh) used.add(one.role);
    return verdict;
  };
  const runOnce = async (one: ConformanceCase): Promise<string | null> => {
    const foreign: Buffer[] = [];
    const names: Record<string, string> = { [PEER_ID]: guest('peer').sourceId, [BARE_ID]: guest('bare').sourceId };
    if (one.before.length > 0) {
      const outcome = await invoke('peer', encodeScript(one.before, { generation, lane, port, names }), one);
      if (outcome.kind === 'failed') return `the other guest failed: ${outcome.fault.message}`;
      const results = decodeResults(outcome.output);
      foreign.push(...one.before.map((step, index) => payloadOf(step, generation, results[index])));
      if (one.before[0]?.call === 'astrid_identity_create_user') names[PERSON] = userIdOf(foreign[0]);
    }
    const outcome = invoke(one.role, encodeScript(one.steps, { generation, lane, port, foreign, names }), one);
    if (one.unloadsAt !== null) await stopWaiting(guest(one.role), one.unloadsAt, outcome);
    return judge(one, generation, await outcome);
  };
  const judgeLoop = (one: ConformanceCase): string | null => {
    const [only] = one.steps;
    if (one.steps.length !== 1 || only?.call !== LOOP_CALL) throw new Error(`a run loop here only calls ${LOOP_CALL}`);
    const output = readFileSync(join(home, 'home/default/.local/tmp', guestName('loop', tier, generation)));
    return judge(one, generation, { kind: 'done', returnCode: 0, output, error: '' });
  };
  /** Clients are gone, but their streams count until they are closed. A handle that never was may be closed, too. */
  const closeStreams = async (one: ConformanceCase): Promise<void> => {
    const steps = Array.from({ length: STREAMS_ISSUED_MAX }, (_, n) =>
      step('astrid_net_close_stream', text(`${n + 1}`)),
    );
    const roles: GuestRole[] = one.before.length > 0 ? [one.role, 'peer'] : [one.role];
    for (const role of roles) {
      await invoke(role, encodeScript(steps, { generation, lane, port }), { ...one, entry: 'astrid_hook_trigger' });
    }
  };
  const send = async (...steps: Step[]): Promise<Buffer[]> => {
    const one = casesOf('astrid_log', [{ name: 'sent', steps, want: OK_ANY }])[0]!;
    const outcome = await invoke('full', encodeScript(steps, { generation, lane, port }), one);
    if (outcome.kind === 'failed') throw outcome.fault;
    const results = decodeResults(outcome.output);
    return steps.map((step, index) => payloadOf(step, generation, results[index]));
  };
  return { tier, generation, session: id, run, send };
}
