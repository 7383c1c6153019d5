import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import type { RunningInvocation } from './capsule-spec.js';
import type { ExitStatus, WorkerProcess } from './spawn.js';
import type { WorkerLink } from './worker-link.js';

const STDERR_LINE_CHARS_MAX = 2000;

/**
 * One process of a capsule, from its start to its end. Everything that is under way holds on to its instance: what comes late,
 * from a process that is gone, must not touch the next one.
 */
export interface Instance {
  readonly worker: WorkerProcess;
  readonly link: WorkerLink;
  running: RunningInvocation | null;
  /** Why it is being ended, once somebody decided so. */
  endReason: Fault | null;
  /** The process has exited. */
  gone: boolean;
  /** A run loop that returned zero. */
  clean: boolean;
  /** Resolves, with the reason, when it is gone. */
  readonly ended: Promise<Fault>;
  readonly settleEnded: (why: Fault) => void;
  /** Resolves when a guest that is told to end has come back with what it waited for, or waits again. */
  readonly heard: Promise<void>;
  readonly settleHeard: () => void;
}

export function makeInstance(worker: WorkerProcess, link: WorkerLink): Instance {
  let settleEnded: (why: Fault) => void = () => undefined;
  const ended = new Promise<Fault>((resolve) => {
    settleEnded = resolve;
  });
  let settleHeard: () => void = () => undefined;
  const heard = new Promise<void>((resolve) => {
    settleHeard = resolve;
  });
  const life = { running: null, endReason: null, gone: false, clean: false };
  return { worker, link, ...life, ended, settleEnded, heard, settleHeard };
}

/**
 * Ends the wait of a guest that waits: its call answers what ABI reference 1.7 says for that, and the guest may act on it, for a
 * moment, before its process ends.
 */
export async function endWait(instance: Instance): Promise<void> {
  instance.running?.cancel.abort();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, LIMITS.unloadGraceMs);
  });
  await Promise.race([instance.heard, instance.ended, late]);
  clearTimeout(timer);
}

export function stopping(): Fault {
  return new Fault('cancelled', 'the capsule is being stopped');
}

/** Cancels what is parked and signals the process; SIGTERM is followed by SIGKILL after a grace. */
export function endInstance(instance: Instance, reason: Fault, signal: 'SIGTERM' | 'SIGKILL'): void {
  if (instance.gone) return;
  instance.endReason ??= reason;
  instance.running?.cancel.abort();
  instance.worker.kill(signal);
  if (signal === 'SIGKILL') return;
  const timer = setTimeout(() => instance.worker.kill('SIGKILL'), LIMITS.killGraceMs);
  void instance.worker.exited.then(() => clearTimeout(timer));
}

/** What the worker's own program says on stderr; guests have no way there. */
export function collectLines(worker: WorkerProcess, onLine: (line: string) => void): void {
  worker.stderr.setEncoding('utf8');
  worker.stderr.on('data', (chunk: string) => {
    for (const line of chunk.split('\n')) if (line.trim() !== '') onLine(line.slice(0, STDERR_LINE_CHARS_MAX));
  });
}

export function describeExit({ code, signal }: ExitStatus): string {
  return signal === null
    ? `the process ended with exit code ${code ?? 'unknown'}`
    : `the process was ended by ${signal}`;
}
