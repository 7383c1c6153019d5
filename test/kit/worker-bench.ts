import { join } from 'node:path';
import type { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import type { AbiGeneration, Tier } from '../../abi/manifest.js';
import type { LoadReport, LoadRequest } from '../../abi/worker-protocol.js';
import { findHostTools, type HostTools, probeJail } from '../../supervisor/proc/host-tools.js';
import type { InvocationOutcome } from '../../supervisor/proc/invocation.js';
import { spawnWorker, type WorkerProcess } from '../../supervisor/proc/spawn.js';
import { WorkerLink } from '../../supervisor/proc/worker-link.js';
import { PACKAGE_ROOT } from './package-root.js';

export const WORKER_BUNDLE = join(PACKAGE_ROOT, 'dist/worker/worker.bundle.mjs');

export const hostTools: Promise<HostTools> = findHostTools('/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin');

/** Why the jail can't be had here, or false: for tap's `skip`. */
export async function jailMissing(): Promise<string | false> {
  return (await probeJail(await hostTools, WORKER_BUNDLE))?.message ?? false;
}

export type Answers = (name: string, args: readonly Buffer[]) => Buffer | Fault;

export interface BenchedWorker {
  readonly process: WorkerProcess;
  readonly report: LoadReport;
  readonly logs: string[];
  readonly violations: Fault[];
  invoke(name: string, input?: string): Promise<InvocationOutcome>;
  end(): Promise<void>;
}

/** A real worker process with a module in it; the test plays the supervisor. */
export async function startWorker(options: {
  readonly wasm: Uint8Array;
  readonly tier?: Tier;
  readonly generation?: AbiGeneration;
  readonly answer?: Answers;
  readonly bundle?: string;
  readonly load?: Partial<LoadRequest>;
}): Promise<BenchedWorker> {
  const program = { tools: await hostTools, workerBundle: options.bundle ?? WORKER_BUNDLE };
  const process = spawnWorker(options.tier ?? 'process', program);
  const logs: string[] = [];
  const violations: Fault[] = [];
  process.stderr.setEncoding('utf8').on('data', (chunk: string) => logs.push(chunk));
  const link = new WorkerLink(process, {
    onCall: (call, args, reply) => reply(options.answer?.(call.name, args) ?? Buffer.alloc(0)),
    onLog: (level, message) => logs.push(`${level}: ${message}`),
    onReady: () => logs.push('ready'),
    onViolation: (fault) => violations.push(fault),
  });
  const end = async () => {
    process.kill('SIGKILL');
    await process.exited;
  };
  try {
    const report = await link.load({
      wasm: options.wasm,
      generation: options.generation ?? 3,
      memoryPages: LIMITS.memoryPagesDefault,
      blockBytesMax: LIMITS.hostBlockBytesMax,
      config: {},
      handles: [],
      logLevel: 'info',
      ...options.load,
    });
    const invoke = (name: string, input = '') => link.invoke(name, Buffer.from(input), null);
    return { process, report, logs, violations, invoke, end };
  } catch (error) {
    await end();
    throw error;
  }
}
