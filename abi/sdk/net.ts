import { call, decodeDecimal, encodeBytes, encodeDecimal } from './call.js';
import { SystemError } from './system-error.js';

/**
 * The kernel's uplink socket, for capsules that serve front ends. Needs `net_bind`. The kernel checks the peer and does
 * the token handshake before a stream is handed out.
 * Not served by version 0.1: a capsule that uses this does not load there.
 */
export type Listener = Uint8Array;

export type NetRead =
  | { readonly status: 'data'; readonly body: Uint8Array }
  /** The other side is gone. */
  | { readonly status: 'closed' }
  /** Nothing within 50 ms. */
  | { readonly status: 'pending' };

/** The path is not chosen by the capsule: the kernel has one uplink socket and binds it at boot. */
export function bindUnix(path = ''): Listener {
  return call('astrid_net_bind_unix', encodeBytes(path));
}

/** Waits for a client without limit; at most 8 open streams. Throws `cancelled` when the capsule is unloaded. */
export function accept(listener: Listener): number {
  return decodeDecimal(call('astrid_net_accept', listener));
}

/** A client, or undefined when none came within 10 ms. */
export function pollAccept(listener: Listener): number | undefined {
  const reply = call('astrid_net_poll_accept', listener);
  return reply.length === 0 ? undefined : decodeDecimal(reply);
}

/** One frame of at most 10 MiB. */
export function read(stream: number): NetRead {
  const reply = call('astrid_net_read', encodeDecimal(stream, 'stream'));
  if (reply[0] === 0) return { status: 'data', body: reply.subarray(1) };
  if (reply[0] === 1) return { status: 'closed' };
  if (reply[0] === 2) return { status: 'pending' };
  throw new SystemError('bad_frame', 'astrid_net_read was answered without a status');
}

/** Writes one frame of at most 10 MiB. A client that is gone shows at the next read, not here. */
export function write(stream: number, body: string | Uint8Array): void {
  call('astrid_net_write', encodeDecimal(stream, 'stream'), encodeBytes(body));
}

/** Closing twice is fine. */
export function close(stream: number): void {
  call('astrid_net_close_stream', encodeDecimal(stream, 'stream'));
}
