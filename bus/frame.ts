import { Fault } from '../abi/errno.js';
import { readValue } from './msgpack-reader.js';
import { measureValue, writeValue } from './msgpack-writer.js';

/** A frame is a 4-byte little-endian length and one MessagePack value of that many bytes (design section 2). */
export const FRAME_HEADER_BYTES = 4;

/**
 * The frame of `value`, in a buffer of exactly its size. What may be sent, and what becomes null, is told in
 * `msgpack-writer.ts`. Throws Fault `internal` for anything else, which is the sender's mistake.
 */
export function encodeFrame(value: unknown): Buffer {
  const bytes = measureValue(value);
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + bytes);
  frame.writeUInt32LE(bytes, 0);
  const end = writeValue(frame, FRAME_HEADER_BYTES, value);
  // A value that changed between the two passes, by a getter or a proxy, would send memory that nobody wrote.
  if (end !== frame.length) throw new Fault('internal', 'value changed while it was encoded');
  return frame;
}

/**
 * The value of a frame's payload (the bytes after the length). Throws Fault `bad_frame` for everything that
 * `msgpack-reader.ts` lists and never anything else. Byte strings in the result are views of `bytes`.
 */
export function decodePayload(bytes: Buffer): unknown {
  return readValue(bytes);
}
