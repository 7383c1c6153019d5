import type { Fault } from '../../abi/errno.js';
import type { AbiGeneration, CapsuleManifest, Tier } from '../../abi/manifest.js';
import type { SyscallRow } from '../../abi/syscalls/row.js';
import type { InterceptorHandle, LogLevel } from '../../abi/worker-protocol.js';
import type { ExportAdaptor } from '../export-adaptor.js';
import type { CapsuleProcess } from './capsule-process.js';
import type { Invocation } from './invocation.js';
import type { WorkerProcess } from './spawn.js';
import type { WallClock } from './wall-clock.js';

/** What a capsule process is made from. */
export interface CapsuleSpec {
  readonly manifest: CapsuleManifest;
  readonly hash: string;
  /** Which install of the name this is (`installOf`). */
  readonly install: string;
  readonly tier: Tier;
  readonly generation: AbiGeneration;
  /** The module exports `run`: it is called once and serves itself. */
  readonly hasRunLoop: boolean;
  /** Tools and commands served by exports of their own; null when there are none. */
  readonly adaptor?: ExportAdaptor | null;
  readonly principal: string;
  readonly config: Readonly<Record<string, string>>;
  /** The place on the bus of an instance beside the capsule's own (an install hook); absent: the capsule's name. */
  readonly endpoint?: string;
}

/** What the kernel does for a process, and what it is told. */
export interface ProcessHooks {
  spawn(tier: Tier): WorkerProcess;
  /** Reads the module and checks its hash, at each start. */
  readModule(spec: CapsuleSpec): Promise<Buffer>;
  /** Settings as they are now, at each start; the spec's own stand above them. Absent: there are none. */
  configure?(spec: CapsuleSpec): Promise<Readonly<Record<string, string>>>;
  /** A new instance is about to run: registers it on the bus and answers its automatic handles. */
  register(process: CapsuleProcess): readonly InterceptorHandle[];
  syscall(
    process: CapsuleProcess,
    call: SyscallRow,
    args: readonly Buffer[],
    reply: (result: Buffer | Fault) => void,
  ): void;
  log(capsule: string, level: LogLevel, message: string): void;
  started(process: CapsuleProcess, restart: boolean): void;
  ended(process: CapsuleProcess, why: Fault, post: readonly string[]): void;
}

/** The invocation that runs now. */
export interface RunningInvocation {
  readonly invocation: Invocation;
  /** Aborted when the capsule is being ended: parked calls answer `cancelled`. */
  readonly cancel: AbortController;
  readonly wall: WallClock | null;
}
