import type { CapsuleRow, InspectResult, TreeRow, VerifyRow } from '../../abi/capsule-control.js';
import { asFault, Fault } from '../../abi/errno.js';
import type { CapsuleManifest } from '../../abi/manifest.js';
import { describeCapsule } from '../capsule/facts.js';
import { BUILTIN_SOURCE } from '../capsule/meta.js';
import { orderCapsules } from '../capsule/order.js';
import { describeImports } from '../capsule/providers.js';
import type { CapsuleProblem, CapsuleStore, InstalledCapsule } from '../capsule/store.js';
import type { Installer } from './installer.js';
import type { CapsuleRunner } from './runner.js';

export interface CatalogParts {
  readonly store: CapsuleStore;
  readonly runner: CapsuleRunner;
  readonly installer: Installer;
  readonly principal: string;
}

interface Standing {
  readonly state: CapsuleRow['state'];
  readonly problem: string;
}

/** What is installed, how it hangs together, and whether it is still what was installed. */
export class CapsuleCatalog {
  readonly #parts: CatalogParts;

  constructor(parts: CatalogParts) {
    this.#parts = parts;
  }

  async list(): Promise<CapsuleRow[]> {
    const { capsules, problems } = await this.#read();
    const standings = this.#standings(capsules);
    const rows = capsules.map((capsule) => this.#toRow(capsule, standings.get(capsule.name)!));
    return [...rows, ...problems.map(damagedRow)].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async tree(): Promise<TreeRow[]> {
    const { capsules } = await this.#read();
    const standings = this.#standings(capsules);
    const manifests = capsules.map(({ manifest }) => manifest);
    return capsules.map(({ name, manifest }) => ({
      name,
      version: manifest.version,
      state: standings.get(name)!.state,
      exports: manifest.exports,
      imports: describeImports(manifest, manifests),
    }));
  }

  /** Reads every record and every module again and compares them with their hashes. @throws Fault `not_found` */
  async verify(name: string | undefined): Promise<VerifyRow[]> {
    const { capsules, problems } = await this.#read();
    const bad = problems.map(({ name: damaged, fault }) => badRow(damaged, null, fault));
    const rows: VerifyRow[] = [...bad];
    for (const capsule of capsules) {
      if (name === undefined || capsule.name === name) rows.push(await this.#verifyOne(capsule));
    }
    const wanted = rows.filter((row) => name === undefined || row.name === name);
    if (name !== undefined && wanted.length === 0) throw notInstalled(name);
    return wanted.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** @throws Fault `not_found`, `bad_hash`, `bad_manifest` */
  async inspect(name: string): Promise<InspectResult> {
    const { store, principal, installer } = this.#parts;
    const { capsules } = await this.#read();
    const capsule = capsules.find((one) => one.name === name);
    const { meta, ...examined } = await store.examineInstalled(principal, name).catch((thrown: unknown) => {
      throw asFault(thrown).code === 'not_found' && capsule === undefined ? notInstalled(name) : thrown;
    });
    const facts = describeCapsule(examined, {
      source: meta.source ?? 'unknown',
      tier: installer.tierOf(name, examined.code?.hash ?? null),
      installed: capsules.map(({ manifest }) => manifest),
    });
    const standing = this.#standings(capsules).get(name) ?? { state: 'damaged', problem: '' };
    const { installed_at, updated_at } = meta;
    const builtin = meta.source === BUILTIN_SOURCE;
    return { ...facts, ...standing, builtin, installedAt: installed_at, updatedAt: updated_at };
  }

  async #verifyOne({ name, hash, meta }: InstalledCapsule): Promise<VerifyRow> {
    try {
      if (hash !== null) await this.#parts.store.readVerified(hash);
      if (meta.manifest_hash === undefined) {
        throw new Fault('bad_hash', `${name}: meta.json has no manifest_hash, so a changed manifest goes unseen`);
      }
      return { name, ok: true, hash, code: null, message: null };
    } catch (thrown) {
      return badRow(name, hash, asFault(thrown));
    }
  }

  #read(): Promise<{ capsules: InstalledCapsule[]; problems: CapsuleProblem[] }> {
    return this.#parts.store.listInstalled(this.#parts.principal);
  }

  #standings(capsules: readonly InstalledCapsule[]): Map<string, Standing> {
    const startable = capsules.filter(({ hash }) => hash !== null).map(({ manifest }): CapsuleManifest => manifest);
    const waits = new Map(orderCapsules(startable).problems.map((fault) => [fault.field ?? '', fault.message]));
    return new Map(capsules.map(({ name, hash }) => [name, this.#standingOf(name, hash, waits.get(name) ?? null)]));
  }

  #standingOf(name: string, hash: string | null, waits: string | null): Standing {
    const { runner } = this.#parts;
    if (hash === null) return { state: 'no-code', problem: '' };
    if (runner.isDisabled(name)) return { state: 'disabled', problem: 'capsules.disabled in etc/config.toml' };
    const state = runner.stateOf(name);
    if (state !== null) return { state, problem: '' };
    if (waits !== null) return { state: 'waiting-for-import', problem: waits };
    return {
      state: 'stopped',
      problem: this.#parts.installer.tierOf(name, hash).tier === null ? 'no tier for it' : '',
    };
  }

  #toRow({ name, manifest, meta, hash }: InstalledCapsule, standing: Standing): CapsuleRow {
    return {
      name,
      version: manifest.version,
      source: meta.source ?? 'unknown',
      hash,
      builtin: meta.source === BUILTIN_SOURCE,
      tier: this.#parts.installer.tierOf(name, hash).tier,
      ...standing,
      installedAt: meta.installed_at,
      updatedAt: meta.updated_at,
    };
  }
}

function notInstalled(name: string): Fault {
  return new Fault('not_found', `no capsule ${name} is installed; see: astrid capsule list`, { field: 'name' });
}

function badRow(name: string, hash: string | null, { code, message }: Fault): VerifyRow {
  return { name, ok: false, hash, code, message };
}

function damagedRow({ name, fault }: CapsuleProblem): CapsuleRow {
  const empty = { version: '?', source: '?', hash: null, builtin: false, tier: null, installedAt: '', updatedAt: '' };
  return { name, ...empty, state: 'damaged', problem: `${fault.code}: ${fault.message}` };
}
