import type { AuditEvent } from '../../abi/audit-event.js';
import { Fault } from '../../abi/errno.js';

/** One event on its way into the log. */
export interface Outgoing {
  readonly event: AuditEvent;
  /** Canonical bytes. */
  readonly bytes: Buffer;
  /** Who waits; null for a record, which is kept until it is in the log. */
  readonly waiter: { readonly resolve: (index: number) => void; readonly reject: (fault: Fault) => void } | null;
}

export interface SentFrame {
  readonly id: number;
  readonly items: readonly Outgoing[];
}

/** What an event takes besides its bytes: the object, its texts, a place in a queue. */
const ITEM_OVERHEAD_BYTES = 256;

/**
 * The one ordered stream to the auditor. An event is unsent, then sent, and leaves when it is in the log. When the auditor dies,
 * what was sent is doubtful: it may be in the log, or not. The next auditor's tree size tells, since the log has them in
 * this order and nobody else writes. Pure; the client does the sending.
 */
export class Outbox {
  #doubtful: Outgoing[] = [];
  #sent: SentFrame[] = [];
  #unsent: Outgoing[] = [];
  #bytes = 0;
  #nextId = 1;

  /** Memory held, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return this.#doubtful.length === 0 && this.#sent.length === 0 && this.#unsent.length === 0;
  }

  /** Events that are not known to be in the log. */
  get count(): number {
    const sent = this.#sent.reduce((sum, frame) => sum + frame.items.length, 0);
    return this.#doubtful.length + sent + this.#unsent.length;
  }

  get framesInFlight(): number {
    return this.#sent.length;
  }

  add(item: Outgoing): void {
    this.#unsent.push(item);
    this.#bytes += costOf(item);
  }

  /** Moves the next unsent events into a frame of at most so many events and bytes; null if there are none. */
  takeFrame(eventsMax: number, bytesMax: number): SentFrame | null {
    let count = 0;
    let bytes = 0;
    for (const item of this.#unsent) {
      bytes += item.bytes.length;
      if (count === eventsMax || (count > 0 && bytes > bytesMax)) break;
      count += 1;
    }
    if (count === 0) return null;
    const frame = { id: this.#nextId, items: this.#unsent.splice(0, count) };
    this.#nextId += 1;
    this.#sent.push(frame);
    return frame;
  }

  /** The oldest frame that was sent, if it has this id. */
  oldest(id: number): SentFrame | null {
    const frame = this.#sent[0];
    return frame?.id === id ? frame : null;
  }

  /** Takes the oldest frame that was sent out of the outbox. There must be one. */
  takeOldest(): SentFrame {
    const frame = this.#sent.shift();
    if (frame === undefined) throw new Fault('internal', 'no frame was sent');
    this.#release(frame.items);
    return frame;
  }

  /**
   * The auditor refused the oldest frame and everything behind it: none of it is in the log. Records are unsent again, in
   * order; whoever waits is answered with `fault` and not logged later, since the action is denied.
   */
  takeBack(fault: Fault): void {
    this.#unsent = [...this.#sent.flatMap((frame) => frame.items), ...this.#unsent];
    this.#sent = [];
    this.#dropWaiting(fault);
  }

  /** The auditor is gone. Whoever waits is answered with `fault`. */
  breakOff(fault: Fault): void {
    const sent = this.#sent.flatMap((frame) => frame.items);
    this.#sent = [];
    for (const { waiter } of sent) waiter?.reject(fault);
    this.#doubtful.push(...sent);
    this.#dropWaiting(fault);
  }

  /**
   * The log holds the first `count` of the doubtful events: they are returned and leave. Of the others the records are unsent
   * again. Null if there are not as many, so that somebody else must have written.
   */
  settleDoubt(count: number): readonly Outgoing[] | null {
    if (count > this.#doubtful.length) return null;
    const logged = this.#doubtful.slice(0, count);
    const lost = this.#doubtful.slice(count);
    this.#doubtful = [];
    this.#unsent = [...lost.filter((item) => item.waiter === null), ...this.#unsent];
    this.#release(logged);
    this.#release(lost.filter((item) => item.waiter !== null));
    return logged;
  }

  #dropWaiting(fault: Fault): void {
    const waiting = this.#unsent.filter((item) => item.waiter !== null);
    this.#unsent = this.#unsent.filter((item) => item.waiter === null);
    this.#release(waiting);
    for (const { waiter } of waiting) waiter?.reject(fault);
  }

  #release(items: readonly Outgoing[]): void {
    for (const item of items) this.#bytes -= costOf(item);
  }
}

function costOf(item: Outgoing): number {
  return item.bytes.length + ITEM_OVERHEAD_BYTES;
}
