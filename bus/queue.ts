import { LIMITS } from '../abi/limits.js';
import type { BusMessage } from './message.js';

/**
 * What a queued message costs besides its payload and topic; without it, a million empty messages would cost nothing.
 */
const OVERHEAD_BYTES = 256;
/** Share of a round per principal. Light traffic fits in one round and so keeps the order of the bus. */
const QUANTUM_BYTES = 16 * 1024;

interface Entry {
  readonly message: BusMessage;
  readonly chargeBytes: number;
  readonly heldBytes: number;
  readonly reliable: boolean;
  previous: Entry | null;
  next: Entry | null;
  nextUnreliable: Entry | null;
}

/** The messages of one principal, oldest first, and threaded through them those that may be evicted. */
interface Lane {
  readonly principal: string;
  first: Entry | null;
  last: Entry | null;
  firstUnreliable: Entry | null;
  lastUnreliable: Entry | null;
  bytes: number;
  deficitBytes: number;
}

/** What the queues of one endpoint hold together, of the kernel's memory. */
export interface HeldMemory {
  bytes: number;
}

export interface QueueOptions {
  readonly bytesMax?: number;
  readonly quantumBytes?: number;
  /** Counted up and down with what this queue holds. */
  readonly held?: HeldMemory;
}

export interface Drained {
  readonly messages: BusMessage[];
  /** 1 when a message that could never fit was given up, else 0. */
  readonly dropped: number;
}

/**
 * The bounded queue of one subscription (design section 4).
 *
 * Full: a message is evicted from the principal that holds the most, the oldest first, so a flood pushes out its own
 * messages and nobody else's. Reliable messages (the last event of a turn, an answer someone waits for) go only when
 * no principal above its share has anything else.
 *
 * Draining: deficit round robin (Shreedhar and Varghese 1995). Each round takes up to one quantum from each principal;
 * within a round messages keep the order of the bus, and those of one principal keep it always.
 *
 * A message above half of the budget counts as half. Else one of the permitted 5 MiB could never enter a queue of 1
 * MiB, or would have to push out everybody; so at most two such messages are held. What they truly hold counts against the endpoint
 * that has the queue (`endpointHeldBytesMax`).
 */
export class SubscriptionQueue {
  readonly #bytesMax: number;
  readonly #quantumBytes: number;
  readonly #lanes = new Map<string, Lane>();
  readonly #held: HeldMemory;
  #bytes = 0;
  #heldBytes = 0;
  #length = 0;
  /** Principal whose turn an earlier drain left unfinished; its deficit for this round is already granted. */
  #resume: Lane | null = null;

  constructor(options: QueueOptions = {}) {
    this.#bytesMax = options.bytesMax ?? LIMITS.subscriptionQueueBytesMax;
    this.#quantumBytes = options.quantumBytes ?? QUANTUM_BYTES;
    this.#held = options.held ?? { bytes: 0 };
  }

  get length(): number {
    return this.#length;
  }

  /** Bytes that count against the budget. */
  get bytes(): number {
    return this.#bytes;
  }

  /** About what is held of the kernel's memory. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Adds a message and returns how many were evicted for it; it may be among them itself. */
  push(message: BusMessage, reliable: boolean): number {
    const costBytes = message.payloadBytes + message.topic.length + OVERHEAD_BYTES;
    const chargeBytes = Math.min(costBytes, Math.floor(this.#bytesMax / 2));
    const lane = this.#laneOf(message.actor.principal);
    const heldBytes = message.heapBytes + message.topic.length + OVERHEAD_BYTES;
    append(lane, { message, chargeBytes, heldBytes, reliable, previous: null, next: null, nextUnreliable: null });
    this.#bytes += chargeBytes;
    this.#hold(heldBytes);
    this.#length += 1;
    let evicted = 0;
    while (this.#bytes > this.#bytesMax) {
      this.evictOne();
      evicted += 1;
    }
    return evicted;
  }

  /** Gives up the message that a full queue gives up first. There must be one. */
  evictOne(): void {
    const victim = this.#chooseVictim();
    this.#take(victim, (victim.firstUnreliable ?? victim.first) as Entry);
  }

  clear(): void {
    this.#hold(-this.#heldBytes);
    this.#lanes.clear();
    this.#resume = null;
    this.#bytes = 0;
    this.#length = 0;
  }

  /**
   * Takes out what fits into `bytesMax`, by `sizeOf`. The rest stays, except one message that alone is too large:
   * it can never be delivered, so it is taken out and counted as dropped.
   */
  drain(bytesMax: number, sizeOf: (message: BusMessage) => number): Drained {
    const messages: BusMessage[] = [];
    let roomBytes = bytesMax;
    while (this.#length > 0) {
      const round: BusMessage[] = [];
      const isAlone = this.#lanes.size === 1;
      for (const lane of this.#roundOrder()) {
        if (this.#resume === null) lane.deficitBytes += this.#quantumBytes;
        this.#resume = null;
        for (let head = lane.first; head !== null; head = lane.first) {
          if (!isAlone && head.chargeBytes > lane.deficitBytes) break;
          const size = sizeOf(head.message);
          if (size > roomBytes) {
            appendInBusOrder(messages, round);
            return { messages, dropped: this.#stopAt(lane, head, messages.length === 0) };
          }
          roomBytes -= size;
          if (!isAlone) lane.deficitBytes -= head.chargeBytes;
          round.push(head.message);
          this.#take(lane, head);
        }
      }
      appendInBusOrder(messages, round);
    }
    return { messages, dropped: 0 };
  }

  /** The envelope is full at `head`: its principal goes on first next time, unless the message can never fit. */
  #stopAt(lane: Lane, head: Entry, canNeverFit: boolean): number {
    this.#resume = lane;
    if (!canNeverFit) return 0;
    this.#take(lane, head);
    return 1;
  }

  /** All principals once, the one whose turn was cut short first. A copy, since a lane that runs empty is removed. */
  #roundOrder(): Lane[] {
    const lanes = [...this.#lanes.values()];
    const at = this.#resume === null ? 0 : lanes.indexOf(this.#resume);
    return at <= 0 ? lanes : [...lanes.slice(at), ...lanes.slice(0, at)];
  }

  #laneOf(principal: string): Lane {
    let lane = this.#lanes.get(principal);
    if (lane === undefined) {
      lane = {
        principal,
        first: null,
        last: null,
        firstUnreliable: null,
        lastUnreliable: null,
        bytes: 0,
        deficitBytes: 0,
      };
      this.#lanes.set(principal, lane);
    }
    return lane;
  }

  /** Only principals above an equal share can be chosen; over budget, there is always one. */
  #chooseVictim(): Lane {
    const shareBytes = this.#bytesMax / this.#lanes.size;
    let largest: Lane | null = null;
    let largestUnreliable: Lane | null = null;
    for (const lane of this.#lanes.values()) {
      if (largest === null || lane.bytes > largest.bytes) largest = lane;
      if (lane.firstUnreliable === null || lane.bytes <= shareBytes) continue;
      if (largestUnreliable === null || lane.bytes > largestUnreliable.bytes) largestUnreliable = lane;
    }
    return (largestUnreliable ?? largest) as Lane;
  }

  #hold(bytes: number): void {
    this.#heldBytes += bytes;
    this.#held.bytes += bytes;
  }

  #take(lane: Lane, entry: Entry): void {
    unlink(lane, entry);
    this.#hold(-entry.heldBytes);
    this.#bytes -= entry.chargeBytes;
    this.#length -= 1;
    if (lane.first !== null) return;
    // An empty lane forgets its deficit, or it could save up turns while it has nothing to send.
    this.#lanes.delete(lane.principal);
    if (this.#resume === lane) this.#resume = null;
  }
}

function appendInBusOrder(messages: BusMessage[], round: BusMessage[]): void {
  for (const message of round.sort((a, b) => a.seq - b.seq)) messages.push(message);
}

function append(lane: Lane, entry: Entry): void {
  entry.previous = lane.last;
  if (lane.last === null) lane.first = entry;
  else lane.last.next = entry;
  lane.last = entry;
  lane.bytes += entry.chargeBytes;
  if (entry.reliable) return;
  if (lane.lastUnreliable === null) lane.firstUnreliable = entry;
  else lane.lastUnreliable.nextUnreliable = entry;
  lane.lastUnreliable = entry;
}

/**
 * An unreliable entry leaves only as the oldest of its kind, by eviction or by draining, so that list needs one
 * direction.
 */
function unlink(lane: Lane, entry: Entry): void {
  if (entry.previous === null) lane.first = entry.next;
  else entry.previous.next = entry.next;
  if (entry.next === null) lane.last = entry.previous;
  else entry.next.previous = entry.previous;
  lane.bytes -= entry.chargeBytes;
  if (entry.reliable) return;
  lane.firstUnreliable = entry.nextUnreliable;
  if (lane.firstUnreliable === null) lane.lastUnreliable = null;
}
