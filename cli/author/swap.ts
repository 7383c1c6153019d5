import { Fault } from '../../abi/errno.js';
import type { ControlClient } from '../client.js';
import { readRecord } from '../results.js';
import type { DevBuild } from './dev-build.js';

const INSTALL_WAIT_MS = 60_000;

interface Plan {
  readonly planHash: string;
  /** Why a person has to look, one reason a line. */
  readonly consent?: readonly string[];
  readonly kind?: string;
  readonly previous?: { readonly source: string } | null;
  readonly changes?: readonly { readonly change: string }[];
}

/**
 * Why a person has to agree. Other code under the version, source and permissions that were agreed to is what they asked for
 * when they started `capsule dev` on this directory; anything beyond that they are asked about.
 */
function listReasons({ consent = [], kind, previous, changes = [] }: Plan, source: string): readonly string[] {
  const isSameWork = kind === 'reinstall' && previous?.source === source;
  return isSameWork && !changes.some(({ change }) => change === 'added') ? [] : consent;
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
 * Puts a build in the place of the running capsule. Its values stay: they belong to the name. Fault `approval_denied` when
 * the manifest asks for more than was agreed to and `accepted` does not hold it; whatever the supervisor refuses it with.
 */
export async function swapIn(
  client: Requests,
  build: DevBuild,
  source: string,
  agrees: (reasons: readonly string[]) => boolean,
): Promise<void> {
  const offer = { manifest: build.manifestText, wasm: build.wasm, source };
  const plan = readRecord<Plan>(await ask(client, 'capsule.plan', offer), 'capsule.plan');
  const reasons = listReasons(plan, source);
  if (reasons.length > 0 && !agrees(reasons)) {
    throw new Fault('approval_denied', `${build.name} asks for what nobody agreed to: ${reasons.join('; ')}`, {
      field: 'accept',
    });
  }
  await ask(client, 'capsule.install', { ...offer, planHash: plan.planHash });
}
