import { asFault, Fault } from '../../abi/errno.js';
import type { ControlClient } from '../client.js';
import { readRecord } from '../results.js';
import type { DevBuild } from './dev-build.js';

const INSTALL_WAIT_MS = 60_000;

interface Plan {
  readonly planHash: string;
  /** Why a person has to look, one reason a line. */
  readonly consent?: readonly string[];
}

/** The part of a client that swapping needs; the methods belong to the part of the protocol that installs capsules. */
type Requests = Pick<ControlClient, 'request'>;

function ask(client: Requests, method: string, params: object): Promise<unknown> {
  return client.request(method as never, params as never, { waitMs: INSTALL_WAIT_MS });
}

/** Says that a build has begun, so that a process for it boots meanwhile. Whether that is heard changes nothing but the wait. */
export function expectBuild(client: Requests, name: string): void {
  void ask(client, 'capsule.expect', { name }).catch(() => undefined);
}

/**
 * Puts a build in the place of the running capsule. Its values stay: they belong to the name. Other code under the version,
 * source and permissions that were agreed to is what a person asked for who started `capsule dev` on this directory; about
 * anything beyond that they are asked. Fault `approval_denied` when they do not agree; whatever the supervisor refuses it with.
 */
export async function swapIn(
  client: Requests,
  build: DevBuild,
  source: string,
  agrees: (reasons: readonly string[]) => boolean,
): Promise<void> {
  const offer = { manifest: build.manifestText, wasm: build.wasm, source };
  try {
    await ask(client, 'capsule.swap', offer);
    return;
  } catch (error) {
    if (asFault(error).code !== 'plan_changed') throw error;
  }
  const { planHash, consent = [] } = readRecord<Plan>(await ask(client, 'capsule.plan', offer), 'capsule.plan');
  if (consent.length > 0 && !agrees(consent)) {
    throw new Fault('approval_denied', `${build.name} asks for what nobody agreed to: ${consent.join('; ')}`, {
      field: 'accept',
    });
  }
  await ask(client, 'capsule.install', { ...offer, planHash });
}
