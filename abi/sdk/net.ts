import { call, decodeDecimal, encodeBytes, encodeDecimal } from './call.js';
import { SystemError } from './system-error.js';

/**
 * The kernel's uplink socket, for capsules that serve front ends: `accept(bindUnix())`. Needs `net_bind`. The kernel does the
 * handshake and hands out only clients that have shown the token. Streams belong to this instance and end with it. A number that
 * cannot be a stream is `invalid_argument`. Since 0.2.0.
 *
 * There is one socket, `run/uplink.sock` (its path is the configuration `ASTRID_SOCKET_PATH`), so a listener is a token that says
 * "bound" and holds no bytes.
 */
export type Listener = Uint8Array;

export type NetRead =
  | { readonly status: 'data'; readonly body: Uint8Array }
  /** The other side is gone. */
  | { readonly status: 'closed' }
  /** Nothing within 50 ms. */
  | { readonly status: 'pending' };

/**
 * Opens the uplink socket unless it is open. The path is not chosen by the capsule and may be left out.
 * @throws SystemError `capability_missing`, `io_error`, `already_running`.
 */
export function bindUnix(path = ''): Listener {
  return call('astrid_net_bind_unix', encodeBytes(path));
}

/**
 * Waits for a client without limit and returns its stream.
 * @throws SystemError `quota_exceeded` with 8 streams open, `cancelled` when the capsule is unloaded.
 */
export function accept(listener: Listener): number {
  return decodeDecimal(call('astrid_net_accept', listener));
}

/** A client, or undefined: none came within 10 ms, or 8 streams are open. */
export function pollAccept(listener: Listener): number | undefined {
  const reply = call('astrid_net_poll_accept', listener);
  return reply.length === 0 ? undefined : decodeDecimal(reply);
}

/**
 * One frame of at most 10 MiB: waits 50 ms for it to begin, then 5 s and 1 ms per KiB for the rest.
 * @throws SystemError `bad_handle`; `too_large` and `timed_out` for a frame that cannot be had: the stream is then closed.
 */
export function read(stream: number): NetRead {
  const reply = call('astrid_net_read', encodeDecimal(stream, 'stream'));
  if (reply[0] === 0) return { status: 'data', body: reply.subarray(1) };
  if (reply[0] === 1) return { status: 'closed' };
  if (reply[0] === 2) return { status: 'pending' };
  throw new SystemError('bad_frame', 'astrid_net_read was answered without a status');
}

/**
 * Writes one frame of at most 10 MiB and waits until the system has it. A client that is gone, or that has not read for 30 s and is
 * let go, shows at the next read, not here.
 * @throws SystemError `bad_handle`, `too_large`, `cancelled`.
 */
export function write(stream: number, body: string | Uint8Array): void {
  call('astrid_net_write', encodeDecimal(stream, 'stream'), encodeBytes(body));
}

/** Closing twice is fine, and so is a number that never was a stream. */
export function close(stream: number): void {
  call('astrid_net_close_stream', encodeDecimal(stream, 'stream'));
}
