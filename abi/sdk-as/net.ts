import { astrid_net_accept, astrid_net_bind_unix, astrid_net_close_stream, astrid_net_poll_accept, astrid_net_read, astrid_net_write } from "./calls";
import { Arguments, Nothing, Result } from "./result";

// The kernel's uplink socket. Needs `net_bind`. Frames are at most 10 MiB, open streams at most 8.

/** The listener. The path is not the capsule's choice. */
export function bindUnix(path: string): Result<Uint8Array> {
  const a = new Arguments();
  return a.reply(astrid_net_bind_unix(a.text(path))).data();
}

/** Waits for a client without limit; the stream's handle as text. */
export function accept(listener: Uint8Array): Result<string> {
  const a = new Arguments();
  return a.reply(astrid_net_accept(a.bytes(listener))).text();
}

/** Empty text when nobody came within 10 ms. */
export function pollAccept(listener: Uint8Array): Result<string> {
  const a = new Arguments();
  return a.reply(astrid_net_poll_accept(a.bytes(listener))).text();
}

/** First byte: 0 and one frame, 1 when the other side is gone, 2 when nothing came within 50 ms. */
export function read(stream: string): Result<Uint8Array> {
  const a = new Arguments();
  return a.reply(astrid_net_read(a.text(stream))).data();
}

/** One frame. A client that is gone shows at the next read. */
export function write(stream: string, body: Uint8Array): Result<Nothing> {
  const a = new Arguments();
  return a.reply(astrid_net_write(a.text(stream), a.bytes(body))).nothing();
}

/** Closing twice is fine. */
export function close(stream: string): Result<Nothing> {
  const a = new Arguments();
  return a.reply(astrid_net_close_stream(a.text(stream))).nothing();
}
