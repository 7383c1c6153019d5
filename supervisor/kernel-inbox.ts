import type { BusMessage } from '../bus/message.js';

/**
 * Topics that the kernel alone hears: uplinks speak there for the people behind them (ABI reference section 7). What is published
 * there passes the publisher's access list and is kept from every subscriber.
 */
export interface InboxRow {
  readonly prefix: string;
  /** `from`: the endpoint that published it, null for the kernel. Does not throw. */
  readonly receive: (from: string | null, message: BusMessage) => void;
}

/** The fields of a payload that an endpoint made: anything else has none. */
export function fieldsOf(payload: unknown): Readonly<Record<string, unknown>> {
  return typeof payload === 'object' && payload !== null ? (payload as Record<string, unknown>) : {};
}

export function findInbox(inbox: readonly InboxRow[], topic: string): InboxRow | undefined {
  return inbox.find(({ prefix }) => topic.startsWith(prefix));
}
