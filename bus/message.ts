/** How sure the kernel is of a principal (design section 4). */
export type Attribution = 'verified' | 'claimed' | 'system';

/** Source of kernel messages: the nil UUID (ABI reference 5.8). */
export const NIL_UUID = '00000000-0000-0000-0000-000000000000';

/** Who a message acts for. Stamped by the kernel; a capsule never chooses it. */
export interface Actor {
  readonly principal: string;
  readonly attribution: Attribution;
  /** Conversation the message belongs to, or null. Kernel-side only: guests do not see it. */
  readonly session: string | null;
}

/** A message on the bus. `payload` is a decoded JSON value (ABI reference 4.2 and 4.3). */
export interface BusMessage {
  readonly topic: string;
  readonly payload: unknown;
  /** Bytes the payload counts for against queues and rate windows. */
  readonly payloadBytes: number;
  /** About what it holds of the kernel's memory while it waits; a short text can become a large value. */
  readonly heapBytes: number;
  readonly sourceId: string;
  /** RFC 3339 with `Z`. */
  readonly timestamp: string;
  /** Bus-wide, from 1. */
  readonly seq: number;
  readonly actor: Actor;
}
