import type { AuditEvent } from '../abi/audit-event.js';
import type { Actor } from '../bus/message.js';
import type { LifecycleServices } from './boot-lifecycle.js';
import type { CapsuleStore } from './capsule/store.js';
import type { KernelFace } from './control/kernel-face.js';
import type { AuditPort } from './dispatch.js';
import { CapsuleCatalog } from './install/catalog.js';
import { Installer } from './install/installer.js';
import type { InstallAudit } from './install/runner.js';
import { KERNEL_ACTOR, kernelEvent } from './kernel-hooks.js';
import type { LifecycleRunner } from './lifecycle/runner.js';
import type { ProcessTable } from './process-table.js';

export interface CapsuleFaceParts {
  readonly store: CapsuleStore;
  readonly table: ProcessTable;
  readonly audit: AuditPort;
  readonly principal: string;
  /** Names of the capsules that came with the system, also of those that do not start. */
  readonly shipped: readonly string[];
  readonly lifecycle: LifecycleRunner;
  readonly kept: Pick<LifecycleServices, 'forget' | 'dropTraces' | 'dropTimers' | 'countStored'>;
  readonly publishKernel: (topic: string, payload: unknown, actor: Actor) => void;
}

/** Installing and showing capsules, over the store and the process table. */
export function makeCapsuleFace(parts: CapsuleFaceParts): KernelFace['capsules'] {
  const { store, table, principal } = parts;
  const installer = new Installer({
    store,
    runner: table,
    principal,
    reserved: new Set(parts.shipped),
    audit: makeInstallAudit(parts.audit),
    lifecycle: parts.lifecycle,
    kept: parts.kept,
    onChanged: () =>
      parts.publishKernel('astrid.v1.capsules_loaded', { type: 'raw_json', status: 'ready' }, KERNEL_ACTOR),
  });
  const catalog = new CapsuleCatalog({ store, runner: table, installer, principal });
  return {
    plan: (offer) => installer.plan(offer),
    install: (offer, client) => installer.install(offer, client),
    swap: (offer, client) => installer.swap(offer, client),
    remove: (name, purge, client) => installer.remove(name, purge, client),
    collectGarbage: (dryRun, client) => installer.collectGarbage(dryRun, client),
    list: () => catalog.list(),
    tree: () => catalog.tree(),
    verify: (name) => catalog.verify(name),
    inspect: (name) => catalog.inspect(name),
    expect: (name) => table.expectReplacement(name),
  };
}

function makeInstallAudit(audit: AuditPort): InstallAudit {
  const entry = (action: string, resource: string, outcome: AuditEvent['outcome'], reason: string) => {
    const [capsule = '', version] = resource.split('@');
    return kernelEvent(action, resource, outcome, reason, {
      layer: 'operator',
      capsule: version === undefined ? null : capsule,
    });
  };
  return {
    accepted: async (action, resource, reason) => {
      await audit.append(entry(action, resource, 'accepted', reason));
    },
    settled: (action, resource, fault) => {
      const event = entry(action, resource, fault === null ? 'done' : 'failed', fault?.code ?? 'done');
      try {
        audit.record(() => event);
      } catch {
        // It happened, and that it was about to is in the log: a log that fails now must not undo it or hide why it failed.
      }
    },
  };
}
