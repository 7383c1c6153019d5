import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { Unpackr } from 'msgpackr';
import { asFault } from '../../../abi/errno.js';
import { decodePayload, encodeFrame, FRAME_HEADER_BYTES } from '../../../bus/frame.js';
import { FrameReader } from '../../../bus/frame-reader.js';
import { answerOf, applyEdits, editsOf, type FuzzTarget, property } from '../target.js';

const BYTES_MAX = 1 << 16;
const foreign = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: 'number' });

const anyBytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((bytes) => Buffer.from(bytes));
const key = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom('constructor', 'toJSON', 'hasOwnProperty', 'length', 'then', '', 'id'),
);
const number = fc.oneof(fc.maxSafeInteger(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.integer());
const { value: plainValue } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    fc.constantFrom(null, true, false),
    number.map((one) => one + 0 || 0),
    fc.string({ unit: 'binary', maxLength: 60 }),
    anyBytes(80),
    fc.array(tie('value'), { maxLength: 18 }),
    fc.dictionary(
      key.filter((name) => name !== '__proto__'),
      tie('value'),
      { maxKeys: 18, noNullPrototype: true },
    ),
  ),
}));

/** Bytes that are MessagePack here and there: headers of every type, some with what they promise behind them. */
const piece = fc.oneof(
  fc.integer({ min: 0, max: 255 }).map((code) => Buffer.from([code])),
  fc
    .tuple(fc.integer({ min: 0xc4, max: 0xdf }), anyBytes(8))
    .map(([code, rest]) => Buffer.concat([Buffer.from([code]), rest])),
  plainValue.map((value) => encodeFrame(value).subarray(FRAME_HEADER_BYTES)),
  fc
    .constantFrom(
      'a95f5f70726f746f5f5f',
      '81a95f5f70726f746f5f5fc0',
      '82a161c0a161c3',
      'cb7ff8000000000000',
      'cf0020000000000001',
      'dfffffffff',
      'ddffffffff',
      'c6ffffffff',
      'dbffffffff',
    )
    .map((hex) => Buffer.from(hex, 'hex')),
);
const almost = fc.array(piece, { maxLength: 12 }).map((parts) => Buffer.concat(parts));
const nested = fc
  .tuple(fc.constantFrom(0x91, 0x81), fc.integer({ min: 1, max: 5000 }), almost)
  .map(([code, depth, tail]) =>
    Buffer.concat([
      Buffer.alloc(depth * (code === 0x91 ? 1 : 2), code === 0x91 ? Buffer.from([code]) : Buffer.from([code, 0xa0])),
      tail,
    ]),
  );
const payload = fc.oneof(
  { weight: 6, arbitrary: almost },
  { weight: 1, arbitrary: nested },
  { weight: 1, arbitrary: anyBytes(200) },
);

function frameOf(bytes: Buffer, length = bytes.length): Buffer {
  const header = Buffer.alloc(FRAME_HEADER_BYTES);
  header.writeUInt32LE(length >>> 0);
  return Buffer.concat([header, bytes]);
}

const stream = fc
  .tuple(
    fc.array(
      fc.oneof(
        { weight: 5, arbitrary: plainValue.map((value) => encodeFrame(value)) },
        { weight: 2, arbitrary: payload.map((bytes) => frameOf(bytes)) },
        {
          weight: 1,
          arbitrary: fc.tuple(payload, fc.nat(0xffff_ffff)).map(([bytes, length]) => frameOf(bytes, length)),
        },
      ),
      { maxLength: 5 },
    ),
    anyBytes(6),
  )
  .map(([frames, tail]) => Buffer.concat([...frames, tail]));
const sizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 7 }), fc.integer({ min: 1, max: 400 })), {
  minLength: 1,
  maxLength: 8,
});

/** What a reader makes of a stream that arrives in pieces of these sizes, round and round. */
function readAll(bytes: Buffer, chunkSizes: readonly number[]): { values: unknown[]; end: string } {
  const reader = new FrameReader(BYTES_MAX);
  const values: unknown[] = [];
  try {
    for (let at = 0, turn = 0; at < bytes.length; turn++) {
      const size = chunkSizes[turn % chunkSizes.length] ?? 1;
      values.push(...reader.push(Buffer.from(bytes.subarray(at, at + size))));
      at += size;
    }
    return { values, end: `${reader.pendingBytes} pending` };
  } catch (thrown) {
    return { values, end: asFault(thrown).code };
  }
}

const ENDINGS = /^(bad_frame|frame_too_large|\d+ pending)$/;

export const FRAMES: FuzzTarget = [
  property(
    'a stream in any pieces, means the same as in one, and ends in values or a Fault',
    2000,
    fc.tuple(stream, sizes),
    ([bytes, chunkSizes]) => {
      const whole = readAll(bytes, [Math.max(1, bytes.length)]);
      const cut = readAll(bytes, chunkSizes);
      // A chunk that breaks the protocol is not heard at all, so a broken stream tells its values in pieces only.
      const agrees =
        whole.end === cut.end && (!whole.end.endsWith('pending') || isDeepStrictEqual(whole.values, cut.values));
      return agrees && ENDINGS.test(whole.end);
    },
  ),
  property('a value, comes back equal', 1000, plainValue, (value) =>
    isDeepStrictEqual(decodePayload(encodeFrame(value).subarray(FRAME_HEADER_BYTES)), value),
  ),
  property(
    'any payload, is a value that msgpackr reads alike and that can be sent on, or a Fault',
    4000,
    payload,
    (bytes) => {
      const value = answerOf(['bad_frame'], () => decodePayload(bytes));
      if (value === null) return true;
      const again = decodePayload(encodeFrame(value).subarray(FRAME_HEADER_BYTES));
      return (
        isDeepStrictEqual(plain(foreign.unpack(bytes)), plain(value)) && isDeepStrictEqual(plain(again), plain(value))
      );
    },
  ),
  property(
    'a good payload with bytes changed, is a value or a Fault',
    2000,
    fc.tuple(plainValue, editsOf(anyBytes(6), 4)),
    ([value, edits]) => {
      answerOf(['bad_frame'], () => decodePayload(applyEdits(encodeFrame(value).subarray(FRAME_HEADER_BYTES), edits)));
      return true;
    },
  ),
];

/** Byte strings as such, whichever class they came in, and no -0, which is not sent. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString('hex') };
  if (typeof value === 'number') return value + 0 || 0;
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, plain(member)]));
}
