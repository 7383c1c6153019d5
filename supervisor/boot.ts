import { unlink } from 'node:fs/promises';
import { asFault, Fault } from '../abi/errno.js';
import { Router } from '../bus/router.js';
import { ApprovalBus } from './approval-bus.js';
import { KernelAsk } from './ask-service.js';
import { BootAuditCheck } from './audit-check.js';
import { AuditTrail } from './audit-trail.js';
import { makeFace } from './boot-face.js';
import type { LifecycleServices } from './boot-lifecycle.js';
import { openServices } from './boot-services.js';
import { type BootLogger, BootSteps } from './boot-steps.js';
import { BusPort } from './bus-port.js';
import { syncBuiltins } from './capsule/builtins.js';
import { type Interrupted, undoInterrupted } from './capsule/record-change.js';
import { type CapsuleProblem, CapsuleStore } from './capsule/store.js';
import { makeCapsuleFace } from './capsule-face.js';
import { startTicks } from './clockwork.js';
import { type Config, loadConfig } from './config.js';
import { findUnknownNames } from './config-names.js';
import { ControlListener } from './control/listener.js';
import { makeControlHandlers } from './control/methods.js';
import { Delivery } from './delivery.js';
import { Dispatcher } from './dispatch.js';
import { KernelFiles } from './files-service.js';
import { Approvals } from './gate/approvals.js';
import { Gate, makeLayers } from './gate/gate.js';
import { makePathRule } from './gate/policy.js';
import { type Home, openHome, openPrincipalHome } from './home.js';
import { ignoreMissing } from './ignore-missing.js';
import { takeInstanceLock } from './instance-lock.js';
import { KERNEL_ACTOR, kernelEvent, makeProcessHooks } from './kernel-hooks.js';
import type { InboxRow } from './kernel-inbox.js';
import { CapsuleLifecycle, type LifecycleRunner } from './lifecycle/runner.js';
import { LogBook } from './log-book.js';
import { Management } from './management.js';
import { openPool, type Pool } from './pool/pool.js';
import { replacePrivateFile } from './private-files/replace.js';
import { findHostTools, type HostTools, probeJail } from './proc/host-tools.js';
import { ProcessTable } from './process-table.js';
import { SessionToken } from './session-token.js';
import { Sessions } from './sessions.js';
import { SettingsPort } from './settings-port.js';
import { openStore, type Store } from './storage/store.js';
import { UplinkPort } from './uplink-port.js';

export interface BootOptions {
  readonly home: string;
  readonly version: string;
  /** Directory with `<name>/Capsule.toml` and `<name>/<name>.wasm` of the capsules that ship with the system. */
  readonly builtins: string;
  readonly workerBundle: string;
  /** Where programs are looked for, as in PATH. */
  readonly searchPath: string;
  readonly logger: BootLogger;
  /** `lost`: the home is gone, or another one is in its place, whose files are not ours to touch. */
  readonly requestStop: (why: string, lost?: 'gone' | 'replaced') => void;
}

export interface Kernel {
  readonly problems: readonly CapsuleProblem[];
  /** Runs install and upgrade hooks. */
  readonly lifecycle: LifecycleRunner;
  readonly forget: LifecycleServices['forget'];
  /** What runs, for a program that has the kernel in its own process. */
  readonly processes: ProcessTable;
  stop(): Promise<void>;
}

const PRINCIPAL = 'default';

/** What the first half of boot opens: everything below the capsules. */
export interface Ground {
  readonly home: Home;
  readonly config: Config;
  readonly store: Store;
  readonly audit: AuditTrail;
  readonly pool: Pool;
  readonly logs: LogBook;
  readonly tools: HostTools;
  readonly jailMissing: Fault | null;
  readonly capsules: CapsuleStore;
  readonly builtins: Awaited<ReturnType<typeof syncBuiltins>>;
  readonly interrupted: Interrupted;
}

/** Starts everything in a fixed, logged order. A step that fails undoes the ones before it and says why. */
export async function bootKernel(options: BootOptions): Promise<Kernel> {
  const steps = new BootSteps(options.logger);
  try {
    return await bootSteps(options, steps);
  } catch (error) {
    await steps.walkBack();
    throw error;
  }
}

async function openGround(options: BootOptions, steps: BootSteps): Promise<Ground> {
  const home = await steps.run('home', () => openHome(options.home));
  await steps.run(
    'lock',
    () => takeInstanceLock(home.root, home.socket),
    (release) => release(),
  );
  // Of one that was killed: whoever waits for us must not take it for ours.
  await steps.run('old marker', () => unlink(home.ready).catch(ignoreMissing));
  const config = await steps.run('config', () => loadConfig(home.config));
  // Starting a process and asking the machine what it has take longest: they run beside the rest.
  const opening = steps.begin(
    'auditor',
    () => AuditTrail.open(home, options.logger),
    (trail) => trail.close(),
  );
  const probing = steps.begin('jail', async () => {
    const tools = await findHostTools(options.searchPath);
    return { tools, jailMissing: await probeJail(tools, options.workerBundle) };
  });
  const store = await steps.run(
    'store',
    () => openStore(home.state),
    (opened) => opened.close(),
  );
  const pool = await steps.run(
    'pool',
    () => openPool(),
    (opened) => opened.close(),
  );
  const { log } = await steps.run('principal', () => openPrincipalHome(home, PRINCIPAL));
  const logs = await steps.run(
    'logs',
    () => new LogBook(log),
    (book) => book.close(),
  );
  const capsules = new CapsuleStore({ home: home.root, worker: pool });
  const shipped = { store: capsules, directory: options.builtins, principal: PRINCIPAL };
  const interrupted = await steps.run('interrupted installs', () => undoInterrupted(capsules.place, PRINCIPAL));
  if (interrupted.undone.length > 0) options.logger.info(interrupted, 'installs that were cut off are undone');
  const builtins = await steps.run('builtins', () => syncBuiltins(shipped));
  const [audit, { tools, jailMissing }] = await Promise.all([opening, probing]);
  const missing = (['prlimit', 'setpriv', 'env'] as const).filter((name) => tools[name] === null);
  if (missing.length > 0)
    options.logger.error({ missing }, 'no capsule can start without these programs (util-linux, coreutils)');
  return {
    home,
    config,
    store,
    audit,
    pool,
    logs,
    tools,
    jailMissing,
    capsules,
    builtins,
    interrupted,
  };
}

async function bootSteps(options: BootOptions, steps: BootSteps): Promise<Kernel> {
  const ground = await openGround(options, steps);
  const { home, config, store, audit, logs, capsules, jailMissing } = ground;
  const { synced } = ground.builtins;
  const problems = [...ground.interrupted.problems, ...ground.builtins.problems];
  await audit
    .append(kernelEvent('supervisor.start', options.version, 'done', `pid ${process.pid}`))
    .catch((error: unknown) => {
      throw startFault(error);
    });
  steps.onWalkBack('stop entry', () =>
    audit.append(kernelEvent('supervisor.stop', options.version, 'done', 'orderly')),
  );

  const sessions = new Sessions(sessionStore(store));
  const files = await steps.run(
    'files',
    () => new KernelFiles(home, sessions, makePathRule(config.policy, 'cwd://')),
    (opened) => opened.close(),
  );
  const onFault = (fault: Fault) =>
    options.logger.error({ code: fault.code, reason: fault.message, stack: fault.stack }, 'internal');
  /** Whether people can be reached through a capsule other than this one. */
  const uplinkRuns = (except?: string) =>
    table
      .all()
      .some(({ name, spec, isRunning }) => isRunning && name !== except && spec.manifest.capabilities.uplink === true);
  const approvals = await steps.run(
    'approvals',
    () => {
      const records = { table: store.records('approvals'), write: <T>(work: () => T) => store.write(work) };
      const someoneListens = (id: string | null, capsule: string) =>
        id === null ? uplinkRuns(capsule) : sessions.someoneListens(id);
      return new Approvals({ store: records, someoneListens, onFault });
    },
    (made) => made.close(),
  );
  const modeOf = (session: string | null) =>
    (session === null ? null : sessions.find(session))?.mode ?? config.approval.mode;
  const gate = new Gate({ layers: makeLayers(config, approvals), approvals, modeOf, onInternal: onFault });

  const builtins = new Map(
    synced.filter(({ action }) => action !== 'kept').map(({ capsule }) => [capsule.name, capsule.hash ?? '']),
  );

  const lags = new Map<string, number>();
  const router = new Router({ onLag: (id, count) => void lags.set(id, (lags.get(id) ?? 0) + count) });
  const processOf = (endpoint: string) => table.get(endpoint) ?? lifecycle.processAt(endpoint);
  const delivery = new Delivery({
    processOf,
    publishKernel: (topic, data, actor, bytes) => bus.publishKernel(topic, data, actor, bytes),
    publishFor: (endpoint, topic, payload, actor) => bus.publishFor(endpoint, topic, payload, actor),
    log: (capsule, message) => logs.write(capsule, 'warn', message),
  });
  const startedAt = performance.now();
  const inbox: InboxRow[] = [];
  const bus: BusPort = new BusPort({ router, delivery, processOf, onFault, inbox: () => inbox });
  const people = new KernelAsk(approvals, sessions, config.approval.mode);
  const token = new SessionToken();
  const onRejected = (why: string) => options.logger.error({ reason: why }, 'client rejected');
  const services = await steps.run(
    'services',
    () =>
      openServices({
        home,
        config,
        store,
        tools: ground.tools,
        logs,
        sessions,
        files,
        bus,
        people,
        approvals,
        audit,
        uplinkRuns: () => uplinkRuns(),
        processOf,
        processes: () => table.all(),
        version: options.version,
        token,
        onRejected,
        onFault,
      }),
    (opened) => opened.close(),
  );
  for (const name of ground.interrupted.removed) {
    const drop = services.lifecycle.dropTraces(PRINCIPAL, name, false);
    await drop.catch((error: unknown) => void problems.push({ name, fault: asFault(error) }));
  }
  const dispatcher = new Dispatcher({ handlers: services.handlers, gate, audit, now: Date.now, onInternal: onFault });
  const hooks = makeProcessHooks({
    program: { tools: ground.tools, workerBundle: options.workerBundle },
    readModule: ({ hash }) => capsules.readVerified(hash),
    router,
    dispatcher,
    audit,
    logs,
    configure: ({ principal, manifest }) => services.lifecycle.configure(principal, manifest),
    capsuleStarted: (process) => services.lifecycle.capsuleStarted(process),
    release: (sourceId) => services.release(sourceId),
    publishKernel: (topic, payload, actor) => bus.publishKernel(topic, payload, actor),
  });
  const table: ProcessTable = new ProcessTable({
    forget: (name) => router.removeEndpoint(name),
    store: capsules,
    config,
    hooks,
    builtins,
    jailMissing,
    principal: PRINCIPAL,
    socketPath: home.uplinkSocket,
  });
  const lifecycle = new CapsuleLifecycle({
    specify: (principal, capsule) => table.specify(capsule, principal),
    hooks,
    record: ({ principal, capsule, kind }, outcome, version, why) =>
      audit.append(kernelEvent(`capsule.${kind}_hook`, `${capsule}@${version}`, outcome, why, { principal, capsule })),
  });
  steps.onWalkBack('lifecycle hooks', () => lifecycle.close());
  const found = await steps.run(
    'capsules',
    () => table.startAll(),
    () => table.stopAll(),
  );
  for (const { key, names } of await findUnknownNames(config, capsules, PRINCIPAL))
    options.logger.error({ key, names }, 'the configuration names capsules that are not installed');
  const all = [...problems, ...found];
  for (const { name, fault } of all) {
    logs.write(name, 'error', `does not start: ${fault.code}: ${fault.message}`);
    options.logger.error({ capsule: name, code: fault.code, reason: fault.message }, 'capsule does not start');
  }

  const capsuleFace = makeCapsuleFace({
    store: capsules,
    table,
    audit,
    principal: PRINCIPAL,
    shipped: [...synced.map(({ capsule }) => capsule.name), ...ground.builtins.problems.map(({ name }) => name)],
    lifecycle,
    kept: services.lifecycle,
    publishKernel: (topic, payload, actor) => bus.publishKernel(topic, payload, actor),
  });
  await steps.run(
    'timers',
    () => services.lifecycle.scheduler.start(),
    () => services.lifecycle.scheduler.stop(),
  );
  const check = new BootAuditCheck({
    home,
    pool: ground.pool,
    record: (make) => audit.record(make),
    logger: options.logger,
  });
  const approvalBus = new ApprovalBus({
    approvals,
    capsuleAt: (endpoint) => processOf(endpoint)?.name,
    publishKernel: (topic, payload, actor) => bus.publishKernel(topic, payload, actor),
    record: async (resource, by) => {
      await audit.append(kernelEvent('approval.answer', resource, 'accepted', by, { layer: 'operator' }));
    },
    log: (capsule, message) => logs.write(capsule, 'warn', message),
    onFault,
  });
  const management = new Management({
    processes: () => table.all(),
    version: options.version,
    startedAt,
    clients: () => listener.clientCount,
    publishKernel: (topic, payload, actor) => bus.publishKernel(topic, payload, actor),
  });
  inbox.push(services.lifecycle.inbox, approvalBus.inbox, management.inbox);
  await steps.run(
    'approvals of uplinks',
    () => approvalBus.start(),
    (release) => release(),
  );
  const uplinks = new UplinkPort(router, bus);
  const face = makeFace({
    options,
    steps,
    ground,
    table,
    hooks: lifecycle,
    sessions,
    approvals,
    files,
    uplinks,
    capsules: capsuleFace,
    check,
    questions: services.lifecycle.questions,
    settings: new SettingsPort(
      services.lifecycle.env,
      PRINCIPAL,
      async (name) => (await capsules.readInstalled(PRINCIPAL, name)).manifest,
    ),
    startedAt,
    clients: () => listener.clientCount,
  });
  const listener: ControlListener = new ControlListener({
    socketPath: home.socket,
    tokenPath: home.token,
    token,
    version: options.version,
    handlers: makeControlHandlers(face),
    onRejected,
    onLost: (how) => options.requestStop(`the home ${home.root} is ${how}`, how),
  });
  await steps.run(
    'listener',
    () => listener.open(),
    () => listener.close(),
  );
  await steps.run(
    'ticks',
    () => startTicks(bus, sessions, lags, () => listener.look()),
    (stop) => stop(),
  );
  bus.publishKernel('astrid.v1.capsules_loaded', { type: 'raw_json', status: 'ready' }, KERNEL_ACTOR);
  await steps.run(
    'ready',
    () => replacePrivateFile(home.ready, `${process.pid}\n`),
    () => unlink(home.ready).catch(ignoreMissing),
  );
  void check.run();
  const { forget } = services.lifecycle;
  return { problems: all, lifecycle, forget, processes: table, stop: () => steps.walkBack() };
}

function sessionStore(store: Store) {
  const table = store.records('sessions');
  return {
    put: (id: string, session: unknown) => store.write(() => table.put(id, session)),
    all: () => [...table.all()].map(([, session]) => session),
  };
}

/** A log that takes nothing because its disk is full: to whoever starts us, the disk is what is wrong. */
function startFault(error: unknown): unknown {
  const { cause } = asFault(error);
  if (!(cause instanceof Fault && cause.code === 'no_space')) return error;
  return new Fault('no_space', 'the audit log cannot be written: the disk of the home is full', { cause });
}
