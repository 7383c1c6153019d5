import { createHash } from 'node:crypto';
import semver from 'semver';
import type { CapsuleFacts, CapsulePlan } from '../../abi/capsule-control.js';
import { Fault } from '../../abi/errno.js';
import type { CapsuleManifest } from '../../abi/manifest.js';
import { joinBounded } from '../../abi/wasm/printable.js';
import { orderCapsules } from '../capsule/order.js';
import { comparePermissions } from './permission-changes.js';

export interface PlanInput {
  readonly facts: CapsuleFacts;
  /** What is installed under this name now, as it was examined; null for none. */
  readonly before: CapsuleFacts | null;
  readonly manifest: CapsuleManifest;
  /** Manifests of all installed capsules, the present one of this name included. */
  readonly installed: readonly CapsuleManifest[];
  /** Names of capsules that ship with the system. */
  readonly reserved: ReadonlySet<string>;
  /** How many keys stand in the store under this name although nothing is installed under it. */
  readonly takesOver: number;
  readonly allowDowngrade: boolean;
}

/** What an install would do, and the hash that consent is bound to. */
export function makePlan(input: PlanInput): CapsulePlan {
  const { facts, before } = input;
  const kind = before === null ? 'install' : compareVersions(before.version, facts.version);
  const changes = before === null ? [] : comparePermissions(before, facts);
  const plan: Omit<CapsulePlan, 'planHash'> = {
    ...facts,
    kind,
    previous: before === null ? null : { version: before.version, hash: before.hash, source: before.source },
    changes,
    consent: listReasons(input, kind, changes),
    refusal: findRefusal(input, kind),
    startsToo: listWaiting(input),
  };
  return { ...plan, planHash: createHash('sha256').update(JSON.stringify(plan)).digest('hex') };
}

function compareVersions(before: string, after: string): CapsulePlan['kind'] {
  const order = semver.compare(after, before);
  if (order === 0) return 'reinstall';
  return order > 0 ? 'upgrade' : 'downgrade';
}

function listReasons(
  { facts, before, takesOver }: PlanInput,
  kind: CapsulePlan['kind'],
  changes: CapsulePlan['changes'],
): string[] {
  const reasons: string[] = [];
  if (before === null) {
    reasons.push('it is not installed yet');
    // Whoever takes a name gets what is stored under it: another author's capsule must not do so unseen.
    if (takesOver > 0)
      reasons.push(`it takes over ${countValues(takesOver)} that a removed capsule of this name stored`);
    return reasons;
  }
  const gained = changes.filter(({ change }) => change === 'added').map(({ what, entry }) => `${what} ${entry}`.trim());
  const count = `${gained.length} ${gained.length === 1 ? 'permission' : 'permissions'}`;
  if (gained.length > 0) reasons.push(`it gets ${count} that it did not have: ${gained.join(', ')}`);
  if (facts.source !== before.source) reasons.push('it comes from another source than before');
  if (kind === 'downgrade') reasons.push('it is older than what is installed');
  if (kind === 'reinstall' && (facts.hash !== before.hash || facts.manifestHash !== before.manifestHash)) {
    reasons.push('it has the version that is installed, and is not the same');
  }
  return reasons;
}

export function countValues(count: number): string {
  return `${count} ${count === 1 ? 'value' : 'values'}`;
}

function findRefusal(input: PlanInput, kind: CapsulePlan['kind']): CapsulePlan['refusal'] {
  const { facts, before, reserved, allowDowngrade } = input;
  if (reserved.has(facts.name)) {
    const message = `${facts.name} is the name of a capsule of the system; give yours another name`;
    return { code: 'already_exists', message };
  }
  if (kind === 'downgrade' && !allowDowngrade) {
    const message = `${facts.name} ${before?.version} is installed, ${facts.version} is older; to go back: --allow-downgrade`;
    return { code: 'already_exists', message };
  }
  const after = [...without(input.installed, facts.name), input.manifest];
  const left = listLeft(input.installed, after);
  if (left.length === 0) return null;
  const own = orderCapsules(after).problems.find(({ field }) => field === facts.name);
  if (own !== undefined) {
    const message = `the installed ${facts.name} runs and this one could not: ${own.message}`;
    return { code: own.code, message };
  }
  const message = `${joinBounded(left)} would lose what it imports from ${facts.name}`;
  return { code: 'in_use', message };
}

/** Capsules that can start with `before` installed and cannot with `after`. */
export function listLeft(before: readonly CapsuleManifest[], after: readonly CapsuleManifest[]): string[] {
  const can = new Set(orderCapsules(after).order);
  const there = new Set(after.map(({ name }) => name));
  return orderCapsules(before).order.filter((name) => there.has(name) && !can.has(name));
}

export function without(manifests: readonly CapsuleManifest[], name: string): CapsuleManifest[] {
  return manifests.filter((one) => one.name !== name);
}

function listWaiting({ facts, installed, manifest }: PlanInput): string[] {
  const can = new Set(orderCapsules(installed).order);
  const after = orderCapsules([...without(installed, facts.name), manifest]).order;
  return after.filter((name) => name !== facts.name && !can.has(name));
}

/** Other code in the place of what is installed, and nothing else. @throws Fault `plan_changed` */
export function requireSameWork({ name, kind, previous, source, changes }: CapsulePlan): void {
  const isSame = kind === 'reinstall' && previous?.source === source;
  if (isSame && !changes.some(({ change }) => change === 'added')) return;
  const message = `${name}: this is more than another build of what is installed; look at its plan`;
  throw new Fault('plan_changed', message, { field: 'manifest' });
}

/** @throws Fault `plan_changed` */
export function requirePlan(plan: CapsulePlan, planHash: string): void {
  if (plan.planHash === planHash) return;
  throw new Fault('plan_changed', `${plan.name}: this is not what was shown; look at the plan again`, {
    field: 'planHash',
  });
}
