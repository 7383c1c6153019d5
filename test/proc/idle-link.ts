import { PassThrough } from 'node:stream';
import type { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { type LinkHandlers, WorkerLink } from '../../supervisor/proc/worker-link.js';

/** What a worker is told to load when the module does not matter. */
export const SMALL_LOAD = {
  wasm: Buffer.alloc(8),
  generation: 3,
  memoryPages: 1,
  blockBytesMax: 1,
  config: {},
  handles: [],
  logLevel: 'info',
} as const;

/** Handlers that do nothing, but for those that the test brings. */
export function linkHandlers(handlers: Partial<LinkHandlers> & { onViolation?: (fault: Fault) => void }): LinkHandlers {
  const nothing = () => undefined;
  return { onCall: nothing, onLog: nothing, onReady: nothing, onViolation: nothing, ...handlers };
}

/** A link to a worker that is no process: the test itself speaks for it. */
export function openIdleLink(handlers: Partial<LinkHandlers> = {}) {
  const roomy = { highWaterMark: 2 * LIMITS.moduleBytesMax };
  const toSupervisor = new PassThrough(roomy);
  const toWorker = new PassThrough(roomy);
  const worker = {
    pid: 1,
    tier: 'jail',
    channel: { input: toSupervisor, output: toWorker },
    stderr: new PassThrough(),
    exited: new Promise<never>(() => undefined),
    kill: () => undefined,
  } as const;
  return { link: new WorkerLink(worker, linkHandlers(handlers)), toSupervisor };
}
