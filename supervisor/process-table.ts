import type { ProcessRow, ProcessState } from '../abi/control.js';
import { asFault, Fault } from '../abi/errno.js';
import { LIMITS } from '../abi/limits.js';
import type { CapsuleManifest, Tier } from '../abi/manifest.js';
import { installOf } from './capsule/meta.js';
import { orderCapsules } from './capsule/order.js';
import type { CapsuleProblem, CapsuleStore, InstalledCapsule } from './capsule/store.js';
import type { Config } from './config.js';
import { ExportAdaptor } from './export-adaptor.js';
import { CapsuleProcess } from './proc/capsule-process.js';
import type { CapsuleSpec, ProcessHooks } from './proc/capsule-spec.js';
import { SpareWorker } from './proc/spare-worker.js';

export interface TableParts {
  readonly store: CapsuleStore;
  readonly config: Config;
  readonly hooks: ProcessHooks;
  /** Names and hashes of the capsules that ship with the system: only these may run in tier `process` unasked. */
  readonly builtins: ReadonlyMap<string, string>;
  /** Why the jail cannot be had, or null. */
  readonly jailMissing: Fault | null;
  readonly principal: string;
  readonly socketPath: string;
  /** The name is free again on the bus. */
  readonly forget: (name: string) => void;
}

/** Every capsule that should run, by name. */
export class ProcessTable {
  readonly #parts: TableParts;
  readonly #processes = new Map<string, CapsuleProcess>();
  readonly #spare: SpareWorker;
  readonly #hooks: ProcessHooks;
  /** Processes that load beside the one they are to replace. */
  readonly #beside = new Set<CapsuleProcess>();
  #isClosed = false;
  #sampler: NodeJS.Timeout | null = null;

  constructor(parts: TableParts) {
    this.#parts = parts;
    this.#spare = new SpareWorker(parts.hooks.spawn);
    this.#hooks = { ...parts.hooks, spawn: (tier) => this.#spare.take(tier) };
    this.#sampler = setInterval(() => this.#sample(), LIMITS.rssSampleMs);
    this.#sampler.unref();
  }

  get(name: string): CapsuleProcess | undefined {
    return this.#processes.get(name);
  }

  all(): CapsuleProcess[] {
    return [...this.#processes.values()];
  }

  rows(): ProcessRow[] {
    return this.all().map((process) => process.toRow());
  }

  /** A capsule by name, or by the pid that `ps` shows. */
  find(target: string): CapsuleProcess {
    const byName = this.#processes.get(target);
    if (byName !== undefined) return byName;
    const pid = /^\d+$/.test(target) ? Number(target) : null;
    const byPid = pid === null ? undefined : this.all().find((process) => process.toRow().pid === pid);
    if (byPid === undefined)
      throw new Fault('not_found', `no capsule or process ${target}; see: astrid ps`, { field: 'target' });
    return byPid;
  }

  /** Starts everything that is installed, providers before those who import them. Problems are told by name and stop no other. */
  async startAll(): Promise<CapsuleProblem[]> {
    return this.#startMissing();
  }

  /** @returns the names that were not running and are ready now */
  async startWaiting(): Promise<string[]> {
    const before = new Set(this.#processes.keys());
    await this.#startMissing();
    return this.all()
      .filter(({ name, isReady }) => isReady && !before.has(name))
      .map(({ name }) => name);
  }

  stateOf(name: string): ProcessState | null {
    return this.#processes.get(name)?.state ?? null;
  }

  isDisabled(name: string): boolean {
    return this.#parts.config.capsules.disabled.includes(name);
  }

  hashesInUse(): ReadonlySet<string> {
    return new Set(this.all().map(({ spec }) => spec.hash));
  }

  /**
   * Starts what the store holds under this name in place of what runs. A capsule that only answers is started beside the
   * old one and takes its place when it is ready; a run loop holds subscriptions and sockets under its name, so the old
   * one ends first and what it ran is started again if the new one does not become ready. Rejects with why it did not.
   */
  async replace(name: string): Promise<void> {
    const hooks = this.#hooks;
    const spec = await this.specify(name);
    const old = this.#processes.get(name);
    if (old?.isReady !== true || old.spec.hasRunLoop || spec.hasRunLoop) return this.#startInstead(spec, old);
    let isAdopted = false;
    const register: ProcessHooks['register'] = (process) => (isAdopted ? hooks.register(process) : []);
    const next = this.#make(spec, { ...hooks, register });
    this.#beside.add(next);
    try {
      await next.start();
    } catch (thrown) {
      await next.retire();
      throw thrown;
    } finally {
      this.#beside.delete(next);
    }
    isAdopted = true;
    this.#processes.set(name, next);
    hooks.register(next);
    await old.retire();
  }

  expectStart(tier: Tier): void {
    if (!this.#isClosed) this.#spare.prepare(tier);
  }

  expectReplacement(name: string): void {
    const tier = this.#processes.get(name)?.spec.tier;
    if (tier !== undefined) this.expectStart(tier);
  }

  expectNoStart(): void {
    this.#spare.drop();
  }

  /** Ends it for good and forgets it. */
  async remove(name: string): Promise<void> {
    const process = this.#processes.get(name);
    this.#processes.delete(name);
    await process?.retire();
    // Somebody may have installed another one of this name meanwhile.
    if (!this.#processes.has(name)) this.#parts.forget(name);
  }

  async #startInstead(spec: CapsuleSpec, old: CapsuleProcess | undefined): Promise<void> {
    // One that crashed and waits for its restart by policy would run again as well.
    const shouldRun = old?.isRunning === true || old?.state === 'backoff';
    await old?.retire();
    try {
      await this.#start(spec);
    } catch (thrown) {
      const { name } = spec.manifest;
      await this.remove(name);
      // How the old one fares is told by its own state: what is reported here is why the new one failed.
      if (old !== undefined && !this.#isClosed) await this.#putBack(old.spec, shouldRun).catch(() => undefined);
      throw thrown;
    }
  }

  /** A process of its own: whoever holds the one that was retired has nothing to start. */
  async #putBack(spec: CapsuleSpec, shouldRun: boolean): Promise<void> {
    if (shouldRun) return this.#start(spec);
    this.#processes.set(spec.manifest.name, this.#make(spec));
  }

  async #startMissing(): Promise<CapsuleProblem[]> {
    const { store, principal } = this.#parts;
    const { capsules, problems } = await store.listInstalled(principal);
    const wanted = capsules.filter(({ name, hash }) => hash !== null && !this.isDisabled(name));
    const { order, problems: unstartable } = orderCapsules(wanted.map(({ manifest }) => manifest));
    const byName = new Map(wanted.map((capsule) => [capsule.name, capsule]));
    const found = [...problems, ...unstartable.map((fault) => ({ name: fault.field ?? '?', fault }))];
    const started = new Map<string, Promise<void>>();
    for (const name of order.filter((one) => !this.#processes.has(one))) {
      const capsule = byName.get(name)!;
      // Only its providers come before a capsule; the others start side by side.
      const providers = providersOf(capsule, wanted).map((provider) => started.get(provider));
      const start = Promise.all([this.specify(capsule.name), ...providers]).then(([spec]) => this.#start(spec));
      started.set(
        name,
        start.catch((error: unknown) => void found.push({ name, fault: asFault(error) })),
      );
    }
    await Promise.all(started.values());
    return found;
  }

  async #start(spec: CapsuleSpec): Promise<void> {
    const process = this.#make(spec);
    this.#processes.set(process.name, process);
    await process.start();
  }

  /** An install under way, or a boot, may go on while the system stops: what it would start now nobody would end. */
  #make(spec: CapsuleSpec, hooks: ProcessHooks = this.#hooks): CapsuleProcess {
    if (this.#isClosed) throw new Fault('cancelled', 'the system is being stopped');
    return new CapsuleProcess(spec, hooks);
  }

  /** Ends everything, for good. */
  async stopAll(): Promise<void> {
    this.#isClosed = true;
    if (this.#sampler !== null) clearInterval(this.#sampler);
    this.#sampler = null;
    this.#spare.drop();
    await Promise.all([...this.all(), ...this.#beside].map((process) => process.retire()));
  }

  /** What a start of an installed capsule is made from, read and verified now. */
  async specify(name: string, principal: string = this.#parts.principal): Promise<CapsuleSpec> {
    const { store, socketPath } = this.#parts;
    const loaded = await store.loadInstalled(principal, name);
    const tier = this.tierOf(name, loaded.hash);
    return {
      manifest: loaded.manifest,
      hash: loaded.hash,
      install: installOf(loaded.meta),
      tier,
      generation: loaded.generation.generation,
      hasRunLoop: loaded.report.entryPoints.includes('run'),
      adaptor: ExportAdaptor.for(loaded.manifest, loaded.report.entryPoints),
      principal,
      config: uplinkConfig(loaded.manifest, socketPath),
    };
  }

  /** The jail for everything that did not ship with the system; a weaker tier only where the operator says so. */
  tierOf(name: string, hash: string): Tier {
    const { builtins, jailMissing, config } = this.#parts;
    if (builtins.get(name) === hash) return 'process';
    if (jailMissing === null) return 'jail';
    if (config.tiers.acceptWeaker.includes(name)) return 'process';
    throw jailMissing;
  }

  #sample(): void {
    const now = performance.now();
    for (const process of this.#processes.values()) process.checkLimits(now);
  }
}

/** Names of the capsules that export what this one imports. Which versions fit was settled when the order was made. */
function providersOf(capsule: InstalledCapsule, all: readonly InstalledCapsule[]): string[] {
  const wants = new Set(capsule.manifest.imports.map(({ namespace, name }) => `${namespace}:${name}`));
  const provides = ({ manifest }: InstalledCapsule) =>
    manifest.exports.some(({ namespace, name }) => wants.has(`${namespace}:${name}`));
  return all.filter((other) => other.name !== capsule.name && provides(other)).map(({ name }) => name);
}

/** Only who speaks for people is told where people knock. */
function uplinkConfig(manifest: CapsuleManifest, socketPath: string): Record<string, string> {
  const isUplink = manifest.capabilities.uplink === true || manifest.uplinks.length > 0;
  return isUplink ? { ASTRID_SOCKET_PATH: socketPath } : {};
}
