import type { CapsuleSpec } from './capsule-spec.js';
import { encodeRequest } from './guest-request.js';
import type { Invocation } from './invocation.js';

/** What the kernel calls on its own around a capsule's life: nobody's message is behind it. */
const KERNEL = { attribution: 'system', session: null } as const;

/** The one call of a run loop. */
export function runInvocation({ principal }: CapsuleSpec): Invocation {
  const actor = { ...KERNEL, principal };
  return { exportName: 'run', input: Buffer.alloc(0), actor, message: null, label: 'run', wallMs: null };
}

/** Tells a capsule that its restart policy started it again. */
export function restartInvocation({ principal, manifest }: CapsuleSpec): Invocation {
  const input = encodeRequest('handle_lifecycle_restart', Buffer.alloc(0));
  const actor = { ...KERNEL, principal };
  const { wallMs } = manifest.limits;
  return { exportName: 'astrid_hook_trigger', input, actor, message: null, label: 'restart', wallMs };
}
