import { Fault } from '../abi/errno.js';
import type { CapsuleManifest } from '../abi/manifest.js';
import type { Actor } from '../bus/message.js';
import type { CapsuleProcess } from './proc/capsule-process.js';
import type { RunningInvocation } from './proc/capsule-spec.js';
import type { CallContext } from './syscalls/handler.js';

const PHASES: Readonly<Record<string, CallContext['phase']>> = { astrid_install: 'install', astrid_upgrade: 'upgrade' };

/**
 * What a process's running invocation says about a host call of its. A class, because one is made for each call: an object
 * literal with a getter and a spread takes the engine's slow way, 5 µs.
 */
export class OpenCallContext implements CallContext {
  readonly capsule: string;
  readonly install: string;
  readonly endpoint: string;
  readonly manifest: CapsuleManifest;
  readonly sourceId: string;
  readonly phase: CallContext['phase'];
  readonly actor: Actor;
  readonly cancel: AbortSignal;
  readonly recheck: CallContext['recheck'];
  readonly follow: CallContext['follow'];
  readonly #process: CapsuleProcess;
  readonly #running: RunningInvocation;

  constructor(process: CapsuleProcess, recheck: CallContext['recheck'], follow: CallContext['follow']) {
    const { running } = process;
    if (running === null) throw new Fault('internal', 'a host call outside an invocation');
    this.capsule = process.name;
    this.install = process.spec.install;
    this.endpoint = process.endpoint;
    this.manifest = process.spec.manifest;
    this.sourceId = process.sourceId;
    this.phase = PHASES[running.invocation.exportName] ?? 'normal';
    this.actor = running.invocation.actor;
    this.cancel = running.cancel.signal;
    this.recheck = recheck;
    this.follow = follow;
    this.#process = process;
    this.#running = running;
  }

  get toolCallId(): string | null {
    const payload = this.#running.invocation.message?.payload;
    const id: unknown = typeof payload === 'object' && payload !== null ? Reflect.get(payload, 'call_id') : undefined;
    return typeof id === 'string' ? id : null;
  }

  /** The invocation has ended, with its process: nobody waits for this call any more. */
  get isOver(): boolean {
    return this.#running !== this.#process.running;
  }

  setWaiting(what: string): void {
    this.#process.setWaiting(this.#running, what);
  }

  pauseClock(): void {
    this.#running.wall?.pause();
  }

  resumeClock(): void {
    if (this.#running === this.#process.running) this.#running.wall?.resume();
  }
}
