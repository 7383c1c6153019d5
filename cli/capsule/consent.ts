import type { CapsulePlan, InstallResult } from '../../abi/capsule-control.js';
import { Fault, type FaultCode, isFaultCode } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import type { ControlClient } from '../client.js';
import { type Io, isInteractive } from '../io.js';
import { KeyInput } from '../key-input.js';
import { readRecord } from '../results.js';
import { paint } from '../view/terminal.js';
import type { FetchedCapsule } from './fetch.js';
import { printPlan } from './plan-view.js';

/** A hook ends before that, and the starts come after it. */
const INSTALL_WAIT_MS = LIMITS.lifecycleWallMs + LIMITS.invocationWallMs;
const PLAN_WAIT_MS = 60_000;

export interface ConsentOptions {
  readonly io: Io;
  readonly json: boolean;
  /** Consents to exactly the plan that is shown. */
  readonly yes: boolean;
  readonly allowDowngrade: boolean;
  /** An upgrade that gets nothing it did not have needs no answer. */
  readonly quietWhenEqual: boolean;
  /** Runs the install while what the capsule's hooks ask is answered. */
  readonly answering: <T>(capsule: string, work: () => Promise<T>) => Promise<T>;
}

export interface InstallOutcome {
  readonly plan: CapsulePlan;
  readonly result: InstallResult;
}

export async function planCapsule(
  client: ControlClient,
  fetched: FetchedCapsule,
  allowDowngrade: boolean,
): Promise<CapsulePlan> {
  const { manifestText: manifest, wasm, source } = fetched;
  const offer = { manifest, wasm, source, allowDowngrade };
  return readRecord<CapsulePlan>(await client.request('capsule.plan', offer, { waitMs: PLAN_WAIT_MS }), 'capsule.plan');
}

/**
 * Shows everything, gets the answer, and installs what was shown: the supervisor makes the plan again, and the hash of
 * the one that was shown has to fit. @throws Fault the refusal of the plan; `approval_denied`
 */
export async function installWithConsent(
  client: ControlClient,
  fetched: FetchedCapsule,
  options: ConsentOptions,
): Promise<InstallOutcome> {
  const { io, json, allowDowngrade } = options;
  const plan = await planCapsule(client, fetched, allowDowngrade);
  const needsAnswer = !options.yes && !(options.quietWhenEqual && plan.consent.length === 0);
  // Shown also with --yes: what was consented to is in the scrollback. With --json it goes beside the result.
  if (!json || needsAnswer) printPlan(io.err, plan);
  if (plan.refusal !== null) throw new Fault(codeOf(plan.refusal.code), plan.refusal.message, { field: plan.name });
  if (needsAnswer) await askConsent(io, plan);
  const { manifestText: manifest, wasm, source } = fetched;
  const offer = { manifest, wasm, source, allowDowngrade, planHash: plan.planHash };
  const answer = await options.answering(plan.name, () =>
    client.request('capsule.install', offer, { waitMs: INSTALL_WAIT_MS }),
  );
  return { plan, result: readRecord<InstallResult>(answer, 'capsule.install') };
}

function codeOf(code: string): FaultCode {
  return isFaultCode(code) ? code : 'internal';
}

async function askConsent(io: Io, plan: CapsulePlan): Promise<void> {
  if (!isInteractive(io)) {
    const message = `nobody is here to consent to ${plan.name} ${plan.version}; --yes consents to exactly what is shown`;
    throw new Fault('approval_denied', message);
  }
  const input = new KeyInput(io.stdin, io.editorOutput, io.keyQuietMs === undefined ? {} : { quietMs: io.keyQuietMs });
  try {
    const show = () => io.err.write(paint('bold', `[y]es, ${plan.kind} it   [n]o`), paint('dim', ' (default)'), ' > ');
    const choice = await input.readChoice('yn', show, new AbortController().signal);
    const agreed = 'key' in choice && choice.key === 'y';
    io.err.write(paint(agreed ? 'green' : 'red', agreed ? 'yes' : 'no'), '\n');
    if (!agreed) throw new Fault('approval_denied', `${plan.name} was not installed`);
  } finally {
    input.close();
  }
}
