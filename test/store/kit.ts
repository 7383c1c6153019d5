import type { CapsulePlan, InstallResult } from '../../abi/capsule-control.js';
import { Fault } from '../../abi/errno.js';
import type { ControlClient } from '../../cli/client.js';
import { type GuestOptions, makeGuest } from '../kit/guests.js';
import type { InstalledGuest } from '../kit/real-supervisor.js';

/** For requests that start or end processes, or compile: longer than a person would wait, for a machine that is busy. */
export const WAIT = { waitMs: 120_000 };

export interface Offered {
  readonly manifest: string;
  readonly wasm: Uint8Array | null;
  readonly source: string;
  readonly allowDowngrade?: boolean;
}

/** A guest as an offer: version and further manifest lines can be set. */
export async function makeOffer(
  options: GuestOptions & { readonly version?: string; readonly source?: string },
): Promise<Offered> {
  const { version = '1.0.0', source = 'dir:/somewhere', ...rest } = options;
  return offerOf(await makeGuest(rest), version, source);
}

export function offerOf({ manifest, wasm }: InstalledGuest, version = '1.0.0', source = 'dir:/somewhere'): Offered {
  return { manifest: manifest.replace('version = "1.0.0"', `version = "${version}"`), wasm, source };
}

export async function planOf(client: ControlClient, offer: Offered): Promise<CapsulePlan> {
  return (await client.request('capsule.plan', offer, WAIT)) as CapsulePlan;
}

/** Plans and installs what was planned. */
export async function installOffer(client: ControlClient, offer: Offered): Promise<InstallResult> {
  const { planHash } = await planOf(client, offer);
  return (await client.request('capsule.install', { ...offer, planHash }, WAIT)) as InstallResult;
}

export async function faultOf(work: Promise<unknown>): Promise<Fault> {
  const thrown = await work.then(
    () => new Error('expected a Fault'),
    (error: unknown) => error,
  );
  if (thrown instanceof Fault) return thrown;
  throw thrown;
}
