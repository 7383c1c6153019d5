import { spawn } from 'node:child_process';
import type { Duplex } from 'node:stream';
import { Fault } from '../../abi/errno.js';
import { requireDescriptors, streamOf } from '../child-streams.js';
import { PROGRAMS } from '../programs.js';

/** A running auditor, as the client needs it. */
export interface AuditorProcess {
  readonly pid: number;
  /** The other end of its fd 3. */
  readonly channel: Duplex;
  /** SIGKILL. */
  kill(): void;
  /** Resolves when it has ended; never rejects. */
  readonly exited: Promise<{ readonly code: number | null; readonly signal: string | null }>;
}

export interface SpawnAuditorOptions {
  readonly logDir: string;
  /** 32 bytes, 0600; made by the auditor at its first start. */
  readonly keyPath: string;
  /** The pinned public key; made with it. */
  readonly pubPath: string;
  /** The log's name in its checkpoints, such as `astrid.local/<random id of the home>`; fixed at the first start. */
  readonly origin: string;
}

/** Starts the auditor, with an empty environment. Throws Fault `io_error` if there is no process to be had. */
export function spawnAuditor(options: SpawnAuditorOptions): AuditorProcess {
  const args = ['--log-dir', options.logDir, '--key', options.keyPath, '--pub', options.pubPath];
  requireDescriptors(1);
  const child = spawn(process.execPath, [PROGRAMS.auditor, ...args, '--origin', options.origin], {
    stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
    env: {},
  });
  const exited = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }));
    child.once('error', () => resolve({ code: null, signal: null }));
  });
  const channel = streamOf(child, 3);
  if (child.pid === undefined || channel === null) {
    throw new Fault('io_error', 'the auditor process cannot be started');
  }
  return { pid: child.pid, channel, kill: () => void child.kill('SIGKILL'), exited };
}
