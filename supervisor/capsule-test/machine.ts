import { mkdir } from 'node:fs/promises';
import type { ApprovalRow } from '../../abi/control.js';
import { asFault, type Fault } from '../../abi/errno.js';
import type { AbiGeneration, CapsuleManifest, Tier } from '../../abi/manifest.js';
import type { Asked, AuditLine, Decision, LogLine } from '../../abi/testing/testing-contract.js';
import { TO_WORKER } from '../../abi/worker-protocol.js';
import { encodeFrame } from '../../bus/frame.js';
import type { Actor } from '../../bus/message.js';
import { KernelAsk } from '../ask-service.js';
import { openServices } from '../boot-services.js';
import { BusPort } from '../bus-port.js';
import { parseManifest } from '../capsule/manifest-loader.js';
import { parseConfig } from '../config.js';
import { Delivery } from '../delivery.js';
import { type AuditPort, Dispatcher } from '../dispatch.js';
import { KernelFiles } from '../files-service.js';
import { Approvals } from '../gate/approvals.js';
import { Gate, makeLayers } from '../gate/gate.js';
import { openHome, openPrincipalHome } from '../home.js';
import { makeProcessHooks } from '../kernel-hooks.js';
import { LogBook } from '../log-book.js';
import type { CapsuleProcess } from '../proc/capsule-process.js';
import type { ProcessHooks } from '../proc/capsule-spec.js';
import type { HostTools } from '../proc/host-tools.js';
import type { WorkerProcess } from '../proc/spawn.js';
import { SessionToken } from '../session-token.js';
import { Sessions } from '../sessions.js';
import { KvStore } from '../storage/kv.js';
import { openStore } from '../storage/store.js';
import { MessageRecord, ObservedRouter } from './message-record.js';
import { Pending, ScriptedPeer, TestedProcess } from './test-processes.js';

export const PRINCIPAL = 'default';
export const SESSION = 'test';
export const SESSION_ACTOR: Actor = { principal: PRINCIPAL, attribution: 'claimed', session: SESSION };
/** No capsule can be called this. */
export const PEER = 'test:peer';

/** The capsule under test, read and inspected once for all kernels of a test file. */
export interface Subject {
  readonly manifest: CapsuleManifest;
  readonly wasm: Buffer;
  readonly generation: AbiGeneration;
  readonly hasRunLoop: boolean;
  readonly tier: Tier;
  readonly tools: HostTools;
  readonly workerBundle: string;
}

export interface MachineOptions {
  /** An absolute path of a directory to make, which holds everything. */
  readonly root: string;
  readonly config: Readonly<Record<string, string>>;
  readonly approve: (question: Asked) => Decision;
}

/** The supervisor's own services around one capsule; only the auditor's process and the control socket are left out. */
export type Machine = Awaited<ReturnType<typeof openMachine>>;

/** Makes the home, the workspace and the services. The capsule is not started. */
export async function openMachine(subject: Subject, options: MachineOptions) {
  const { manifest } = subject;
  const workspace = `${options.root}/work`;
  const home = await openHome(`${options.root}/home`);
  await mkdir(workspace, { mode: 0o700 });
  const { log } = await openPrincipalHome(home, PRINCIPAL);
  const config = parseConfig('');
  const store = openStore(home.state);
  const logs = new LogBook(log);
  const table = store.records('sessions');
  const sessions = new Sessions({
    put: (id, session) => store.write(() => table.put(id, session)),
    all: () => [...table.all()].map(([, session]) => session),
  });
  const mode = config.approval.mode;
  await sessions.open({ id: SESSION, workspace, mode, defaultMode: mode, principal: PRINCIPAL, now: Date.now() });
  sessions.addListener(SESSION);
  const files = new KernelFiles(home, sessions);
  const failures: string[] = [];
  const onFault = (fault: Fault) => void failures.push(`${fault.code}: ${fault.message}\n${fault.stack ?? ''}`);
  const approvals = new Approvals({
    store: { table: store.records('approvals'), write: <T>(work: () => T) => store.write(work) },
    someoneListens: (id) => id !== null && sessions.someoneListens(id),
    onFault,
  });
  const asked: Asked[] = [];
  const unfollow = approvals.follow(null, (row) => answerFor(approvals, row, asked, options.approve, onFault));
  const gate = new Gate({ layers: makeLayers(config, approvals), approvals, modeOf: () => mode, onInternal: onFault });

  const record = new MessageRecord();
  const router = new ObservedRouter(record, manifest.name);
  const pending = new Pending();
  const processOf = (name: string): CapsuleProcess | undefined =>
    name === manifest.name ? tested : name === PEER ? peer : undefined;
  const delivery = new Delivery({
    processOf,
    publishKernel: (topic, data, actor, bytes) => bus.publishKernel(topic, data, actor, bytes),
    publishFor: (endpoint, topic, payload, actor) => bus.publishFor(endpoint, topic, payload, actor),
    log: (_capsule, message) => void failures.push(message),
  });
  const bus: BusPort = new BusPort({
    router,
    delivery,
    processOf,
    onFault,
    inbox: () => [services.lifecycle.inbox],
  });
  const people = new KernelAsk(approvals, sessions, mode);
  const { tools } = subject;
  const audit: AuditLine[] = [];
  const services = openServices({
    ...{ home, config, store, tools, logs, sessions, files, bus, people, approvals, processOf, onFault },
    audit: recordAudit(audit),
    uplinkRuns: () => false,
    processes: () => [tested],
    version: manifest.version,
    token: new SessionToken(),
    onRejected: (why) => void failures.push(why),
  });
  const dispatcher = new Dispatcher({
    handlers: services.handlers,
    gate,
    audit: recordAudit(audit),
    now: Date.now,
    onInternal: onFault,
  });
  const lines: LogLine[] = [];
  const clock = new GuestClock();
  const base = makeProcessHooks({
    program: { tools, workerBundle: subject.workerBundle },
    readModule: () => Promise.resolve(subject.wasm),
    router,
    dispatcher,
    audit: recordAudit([]),
    logs,
    release: (sourceId) => services.release(sourceId),
    configure: () => Promise.resolve({ ...spec.config }),
    capsuleStarted: (process) => services.lifecycle.capsuleStarted(process),
    publishKernel: (topic, payload, actor) => bus.publishKernel(topic, payload, actor),
  });
  const hooks: ProcessHooks = {
    ...base,
    spawn: (tier) => clock.follow(base.spawn(tier)),
    log: (capsule, level, message) => {
      lines.push({ level, message });
      base.log(capsule, level, message);
    },
    started: (process, restart) => {
      clock.send();
      base.started(process, restart);
    },
    ended: (process, why, calls) => {
      if (why.code !== 'cancelled') failures.push(`the capsule ended: ${why.code}: ${why.message}`);
      base.ended(process, why, calls);
    },
  };
  const spec = {
    // A restart after a second of waiting is nothing to test against: a capsule that ended stays ended here.
    manifest: { ...manifest, restart: 'never' } as CapsuleManifest,
    hash: '',
    install: '',
    tier: subject.tier,
    generation: subject.generation,
    hasRunLoop: subject.hasRunLoop,
    principal: PRINCIPAL,
    config: { ...defaultsOf(manifest), ...options.config },
  };
  const tested = new TestedProcess(spec, hooks, pending);
  const peerManifest = parseManifest('[package]\nname = "peer"\nversion = "0.0.0"\n');
  const peer = new ScriptedPeer({ ...spec, manifest: peerManifest, hasRunLoop: false }, hooks);
  router.addEndpoint({ id: PEER, sourceId: peer.sourceId, publish: [], subscribe: [] });

  const close = async (): Promise<void> => {
    unfollow();
    await tested.stop();
    await services.close();
    approvals.close();
    await files.close();
    await logs.close();
    await store.close();
  };
  const kv = new KvStore(store);
  return {
    ...{ manifest, workspace, tested, peer, router, delivery, record, pending, files, kv, clock },
    ...{ lines, audit, asked, failures, close },
  };
}

function answerFor(
  approvals: Approvals,
  row: ApprovalRow,
  asked: Asked[],
  approve: (question: Asked) => Decision,
  onFault: (fault: Fault) => void,
): void {
  if (row.state !== 'pending') return;
  const question: Asked = { action: row.action, resource: row.resource, detail: row.detail };
  asked.push(question);
  // After this turn: the question is shown before the call that asked it has begun to wait.
  setImmediate(() => {
    approvals.answer(row.id, approve(question), 'the test').catch((error: unknown) => onFault(asFault(error)));
  });
}

/** The log of a real system without its process: what a test wants to know is which entries there would be. */
function recordAudit(lines: AuditLine[]): AuditPort {
  return {
    append: async (event) => {
      lines.push({ action: event.action, resource: event.resource, outcome: event.outcome });
    },
    record: (make) => {
      const { action, resource, outcome } = make();
      lines.push({ action, resource, outcome });
    },
  };
}

function defaultsOf(manifest: CapsuleManifest): Record<string, string> {
  const textOf = (value: string | readonly string[] | null) =>
    value === null ? '' : typeof value === 'string' ? value : JSON.stringify(value);
  return Object.fromEntries(manifest.env.map((row) => [row.name, textOf(row.default)]));
}

/** How far the guest's clock is ahead, told to whatever process runs the guest now. */
class GuestClock {
  aheadMs = 0;
  #worker: WorkerProcess | null = null;

  follow(worker: WorkerProcess): WorkerProcess {
    this.#worker = worker;
    void worker.exited.then(() => {
      if (this.#worker === worker) this.#worker = null;
    });
    return worker;
  }

  /** In order with everything else on the channel: an invocation that is sent after this sees the new time. */
  send(): void {
    if (this.aheadMs > 0) this.#worker?.channel.output.write(encodeFrame([TO_WORKER.clock, this.aheadMs]));
  }
}
