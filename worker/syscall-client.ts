import { Fault, isFaultCode } from '../abi/errno.js';
import { FROM_WORKER, TO_WORKER } from '../abi/worker-protocol.js';
import type { Channel } from './channel.js';
import { isClockFrame, setGuestClock } from './guest-clock.js';

/** What a host call came to: the bytes of the ABI reference, or an error with a code of the closed list. */
export type SyscallResult =
  | { readonly ok: true; readonly value: Buffer }
  | { readonly ok: false; readonly fault: Fault };

/** Sends a host call and blocks until its reply. */
export class SyscallClient {
  readonly #channel: Channel;
  #callId = 0;

  constructor(channel: Channel) {
    this.#channel = channel;
  }

  call(number: number, args: readonly Buffer[]): SyscallResult {
    const id = ++this.#callId;
    this.#channel.write([FROM_WORKER.call, id, number, ...args]);
    let frame = this.#channel.read();
    for (; isClockFrame(frame); frame = this.#channel.read()) setGuestClock(frame);
    return decodeReply(frame, id);
  }

  sendLog(level: string, message: string): void {
    this.#channel.write([FROM_WORKER.log, level, message]);
  }

  sendReady(): void {
    this.#channel.write([FROM_WORKER.ready]);
  }
}

function decodeReply(frame: unknown, id: number): SyscallResult {
  if (!Array.isArray(frame) || frame[0] !== TO_WORKER.reply || frame[1] !== id) {
    throw new Fault('bad_frame', `expected the reply to call ${id}`);
  }
  if (frame[2] === 0 && Buffer.isBuffer(frame[3])) return { ok: true, value: frame[3] };
  if (isFaultCode(frame[3]) && typeof frame[4] === 'string') return { ok: false, fault: new Fault(frame[3], frame[4]) };
  throw new Fault('bad_frame', `the reply to call ${id} has neither a value nor an error`);
}
