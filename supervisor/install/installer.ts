import type { CapsuleFacts, CapsulePlan, GcResult, InstallResult, RemoveResult } from '../../abi/capsule-control.js';
import { asFault, Fault, isFaultCode } from '../../abi/errno.js';
import type { CapsuleManifest } from '../../abi/manifest.js';
import { joinBounded } from '../../abi/wasm/printable.js';
import { findUnusedBlobs, removeBlobs } from '../capsule/blob-use.js';
import { describeCapsule } from '../capsule/facts.js';
import { BUILTIN_SOURCE, MANIFEST_FILE } from '../capsule/meta.js';
import { orderCapsules } from '../capsule/order.js';
import { RecordChange, removeRecord } from '../capsule/record-change.js';
import type { CapsuleStore, InstalledCapsule } from '../capsule/store.js';
import type { LifecycleRunner } from '../lifecycle/runner.js';
import { countValues, listLeft, makePlan, requirePlan, requireSameWork, without } from './plan.js';
import type { CapsuleRunner, InstallAudit } from './runner.js';

/** A capsule as an uplink offers it. Nothing in it is believed: it is examined here, at the plan and at the install. */
export interface Offer {
  readonly manifest: string;
  readonly wasm: Uint8Array | null;
  readonly source: string;
  readonly allowDowngrade: boolean;
}

export interface InstallerParts {
  readonly store: CapsuleStore;
  readonly runner: CapsuleRunner;
  readonly principal: string;
  /** Names of capsules that ship with the system. */
  readonly reserved: ReadonlySet<string>;
  readonly audit: InstallAudit;
  readonly lifecycle: LifecycleRunner;
  readonly kept: KeptData;
  /** The set of installed capsules is another one now. */
  readonly onChanged: () => void;
}

/** What the kernel keeps for a capsule, whether it is installed or was. */
export interface KeptData {
  /** Drops timers, secrets, settings and what people allowed; its store, too, if `purge`. */
  forget(principal: string, capsule: string, purge: boolean): Promise<void>;
  /** As `forget`, without the settings: they are the operator's and not the work of a hook. */
  dropTraces(principal: string, capsule: string, purge: boolean): Promise<void>;
  /** Only the timers: what calls a capsule of this name with a payload of before. */
  dropTimers(capsule: string): Promise<void>;
  /** How many keys its store has, for everybody it acted for. */
  countStored(capsule: string): Promise<number>;
}

interface Prepared {
  readonly plan: CapsulePlan;
  readonly isInstalled: boolean;
}

/** Installs, upgrades and removes capsules while everything else runs. One change at a time. */
export class Installer {
  readonly #parts: InstallerParts;
  #last: Promise<unknown> = Promise.resolve();

  constructor(parts: InstallerParts) {
    this.#parts = parts;
  }

  /** What an install of this would do. Changes nothing. @throws Fault of `CapsuleStore.examine` */
  async plan(offer: Offer): Promise<CapsulePlan> {
    return (await this.#prepare(offer)).plan;
  }

  /**
   * Installs or upgrades, if the plan made now is the one that was consented to. The version that was there keeps running
   * until the new one is ready, and is put back if it does not become so.
   * @throws Fault `plan_changed`; the refusal of the plan; what the install hook or the start failed with
   */
  install(offer: Offer & { readonly planHash: string }, client: string): Promise<InstallResult> {
    return this.#apply(offer, client, (plan) => requirePlan(plan, offer.planHash));
  }

  /** As `install`, of another build of what is installed: for that alone nobody has to be shown a plan. */
  swap(offer: Offer, client: string): Promise<InstallResult> {
    return this.#apply(offer, client, requireSameWork);
  }

  /** @param requireConsent throws for a plan that nobody agreed to */
  #apply(offer: Offer, client: string, requireConsent: (plan: CapsulePlan) => void): Promise<InstallResult> {
    return this.#alone(async () => {
      const { plan, isInstalled } = await this.#prepare(offer);
      requireConsent(plan);
      refuse(plan);
      const { name, version, hash, kind } = plan;
      const action = isInstalled ? 'capsule.upgrade' : 'capsule.install';
      const resource = `${name}@${version}`;
      const { audit } = this.#parts;
      const from = withoutQuery(plan.source);
      await audit.accepted(
        action,
        resource,
        `module ${hash ?? 'none'}, plan ${plan.planHash}, by ${client}, from ${from}`,
      );
      let waits: string | null;
      const { runner } = this.#parts;
      try {
        if (plan.tier.tier !== null) runner.expectStart(plan.tier.tier);
        waits = await this.#change(offer, plan);
      } catch (thrown) {
        audit.settled(action, resource, asFault(thrown));
        throw thrown;
      } finally {
        runner.expectNoStart();
      }
      audit.settled(action, resource, null);
      const startedToo = await runner.startWaiting();
      this.#parts.onChanged();
      return { name, version, kind, hash, waits, startedToo };
    });
  }

  /**
   * With `purge` also for a name that is not installed: what a removed capsule left under it goes, and the next one takes over nothing.
   * @throws Fault `not_found`; `in_use` while others depend on it; `not_supported` for a capsule of the system
   */
  remove(name: string, purge: boolean, client: string): Promise<RemoveResult> {
    return this.#alone(async () => {
      const { store, principal, runner, audit, kept } = this.#parts;
      const { capsules, problems } = await store.listInstalled(principal);
      const capsule = capsules.find((one) => one.name === name);
      if (capsule === undefined && !problems.some((one) => one.name === name)) {
        return this.#purgeLeft(name, purge, client);
      }
      this.#requireOwn(name, capsule);
      const manifests = capsules.map(({ manifest }) => manifest);
      const left = listLeft(manifests, without(manifests, name));
      if (left.length > 0) {
        throw new Fault('in_use', `${joinBounded(left)} imports what ${name} exports; remove that first`, {
          field: 'name',
        });
      }
      const version = capsule?.manifest.version ?? '?';
      await audit.accepted(
        'capsule.remove',
        `${name}@${version}`,
        `module ${capsule?.hash ?? 'unknown'}, by ${client}`,
      );
      // The record goes last: whenever this is cut off, what is left belongs to a capsule that is still installed, and not to the
      // next one that takes the name.
      await runner.remove(name);
      await kept.forget(principal, name, purge);
      await removeRecord(store.place, principal, name);
      audit.settled('capsule.remove', `${name}@${version}`, null);
      this.#parts.onChanged();
      return { name, version };
    });
  }

  /** What a capsule that is gone left in its store. @throws Fault `not_found` when there is nothing, or `purge` was not said */
  async #purgeLeft(name: string, purge: boolean, client: string): Promise<RemoveResult> {
    const { principal, audit, kept } = this.#parts;
    this.#requireOwn(name, undefined);
    const count = await kept.countStored(name);
    if (count === 0 || !purge) {
      const left = `one that was removed stored ${countValues(count)}; to drop: astrid capsule remove ${name} --purge`;
      const more = count === 0 ? 'see: astrid capsule list' : left;
      throw new Fault('not_found', `no capsule ${name} is installed; ${more}`, { field: 'name' });
    }
    const resource = `${name}@?`;
    await audit.accepted('capsule.remove', resource, `not installed; drops ${countValues(count)}, by ${client}`);
    await kept.forget(principal, name, true);
    audit.settled('capsule.remove', resource, null);
    return { name, version: null };
  }

  /** Modules that nothing refers to; removed unless `dryRun`. */
  collectGarbage(dryRun: boolean, client: string): Promise<GcResult> {
    return this.#alone(async () => {
      const { store, runner, audit } = this.#parts;
      const { unused, kept } = await findUnusedBlobs(store.place, runner.hashesInUse());
      if (!dryRun && unused.length > 0) {
        await audit.accepted('capsule.gc', `${unused.length} modules`, `by ${client}`);
        await removeBlobs(store.place, unused);
        audit.settled('capsule.gc', `${unused.length} modules`, null);
      }
      return { dryRun, blobs: unused.map(({ file, bytes }) => ({ file, bytes })), keptBlobs: kept };
    });
  }

  async #prepare(offer: Offer): Promise<Prepared> {
    const { store, principal, reserved, kept } = this.#parts;
    if (offer.source === BUILTIN_SOURCE) {
      throw new Fault('invalid_argument', `source: "${BUILTIN_SOURCE}" is kept for capsules of the system`, {
        field: 'source',
      });
    }
    const examined = await store.examine({ manifestText: offer.manifest, wasm: offer.wasm });
    const { capsules } = await store.listInstalled(principal);
    const installed = capsules.map(({ manifest }) => manifest);
    const others = without(installed, examined.manifest.name);
    const present = capsules.find(({ name }) => name === examined.manifest.name);
    const facts = describeCapsule(examined, {
      source: offer.source,
      tier: this.tierOf(examined.manifest.name, examined.code?.hash ?? null),
      // A capsule may import what it exports itself.
      installed: [...others, examined.manifest],
    });
    const before = present === undefined ? null : await this.#describePresent(present, installed);
    const plan = makePlan({
      facts,
      before,
      manifest: examined.manifest,
      installed,
      reserved,
      takesOver: before === null ? await kept.countStored(facts.name) : 0,
      allowDowngrade: offer.allowDowngrade,
    });
    return { plan, isInstalled: before !== null };
  }

  /** From its record alone: what it may do is all in the manifest. */
  async #describePresent(present: InstalledCapsule, installed: readonly CapsuleManifest[]): Promise<CapsuleFacts> {
    const { store, principal } = this.#parts;
    const { name, manifest, meta, hash } = present;
    const manifestText = await store.place.insideCapsule(principal, name, false, async (at) =>
      (await at.readFile(MANIFEST_FILE, Number.MAX_SAFE_INTEGER)).toString('utf8'),
    );
    const examined = { manifest, manifestText, manifestHash: meta.manifest_hash ?? '', code: null };
    const source = meta.source ?? 'unknown';
    return { ...describeCapsule(examined, { source, tier: this.tierOf(name, hash), installed }), hash };
  }

  tierOf(name: string, hash: string | null): CapsuleFacts['tier'] {
    if (hash === null) return { tier: null, why: 'there is no code to run' };
    try {
      const tier = this.#parts.runner.tierOf(name, hash);
      const why =
        tier === 'jail' ? 'everything that did not ship with the system' : 'the weaker tier is accepted for it';
      return { tier, why };
    } catch (thrown) {
      return { tier: null, why: asFault(thrown).message };
    }
  }

  /** Writes the record, runs the hook, starts. Whatever fails, what stood there before stands there again. */
  async #change(offer: Offer, plan: CapsulePlan): Promise<string | null> {
    const { store, principal, runner, kept } = this.#parts;
    const storedBefore = await kept.countStored(plan.name);
    const change = await RecordChange.begin(store.place, principal, plan.name);
    let started = false;
    try {
      // A removal drops them; an older version did so for one person only, and this one would be called with what is left.
      if (change.isFirst) await kept.dropTimers(plan.name);
      await store.installCapsule({
        principal,
        manifestText: offer.manifest,
        wasm: offer.wasm,
        source: offer.source,
      });
      await this.#runHook(plan);
      const waits = await this.#findWait(plan.name);
      if (waits === null) await runner.replace(plan.name);
      started = waits === null;
      await change.keep();
      return waits;
    } catch (thrown) {
      if (started && plan.previous === null) await runner.remove(plan.name);
      try {
        // Before the record goes, for the reason that holds in `remove`.
        if (change.isFirst) await kept.dropTraces(principal, plan.name, storedBefore === 0);
      } finally {
        await change.undo();
      }
      if (started && plan.previous !== null) await runner.replace(plan.name);
      throw thrown;
    }
  }

  async #runHook({ name, hooks, kind, previous }: CapsulePlan): Promise<void> {
    const { lifecycle, principal } = this.#parts;
    const hook = previous === null ? 'install' : 'upgrade';
    if (kind === 'reinstall' || !hooks.includes(hook)) return;
    const earlier = previous === null ? {} : { previousVersion: previous.version };
    const outcome = await lifecycle.runLifecycle({ principal, capsule: name, kind: hook, ...earlier });
    if (outcome.kind === 'failed') throw outcome.fault;
  }

  /** Why it cannot be started now although it is installed, or null. */
  async #findWait(name: string): Promise<string | null> {
    const { store, principal, runner } = this.#parts;
    const { capsules } = await store.listInstalled(principal);
    if (capsules.find((one) => one.name === name)?.hash === null) return 'it has no code to run';
    if (runner.isDisabled(name)) return 'it is disabled in etc/config.toml (capsules.disabled)';
    const { problems } = orderCapsules(capsules.map(({ manifest }) => manifest));
    return problems.find(({ field }) => field === name)?.message ?? null;
  }

  /** Capsules of the system stay: whoever replaced one by hand may still take that back. */
  #requireOwn(name: string, capsule: InstalledCapsule | undefined): void {
    if (!this.#parts.reserved.has(name)) return;
    if (capsule !== undefined && capsule.meta.source !== BUILTIN_SOURCE) return;
    const instead = `to keep it from running, name it in capsules.disabled in etc/config.toml`;
    throw new Fault('not_supported', `${name} comes with the system and cannot be removed; ${instead}`, {
      field: 'name',
    });
  }

  #alone<T>(work: () => Promise<T>): Promise<T> {
    const run = this.#last.then(work, work);
    this.#last = run.catch(() => undefined);
    return run;
  }
}

function refuse({ refusal, name }: CapsulePlan): void {
  if (refusal === null) return;
  const code = isFaultCode(refusal.code) ? refusal.code : 'internal';
  throw new Fault(code, refusal.message, { field: name });
}

/** A query may hold a key; the log keeps nothing that could. */
function withoutQuery(source: string): string {
  return source.replace(/\?[^#]*/, '?…');
}
