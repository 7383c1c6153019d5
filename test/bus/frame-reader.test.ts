import { test } from 'tap';
import { encodeFrame } from '../../bus/frame.js';
import { FrameReader } from '../../bus/frame-reader.js';
import { fc } from '../kit/property.js';

const BYTES_MAX = 1 << 20;

function header(length: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(length);
  return bytes;
}

/** Cuts `bytes` at pseudo-random places given by `sizes`, round and round. */
function cut(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] ?? 1;
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

function pushAll(reader: FrameReader, chunks: readonly Buffer[]): unknown[] {
  return chunks.flatMap((chunk) => reader.push(chunk));
}

test('frame reader, any values under any chunking, gives them back in order and holds nothing', async (t) => {
  const message = fc.tuple(fc.jsonValue({ maxDepth: 3 }), fc.uint8Array({ maxLength: 40_000 }), fc.boolean());
  const sizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 50_000 })), {
    minLength: 1,
  });
  fc.assert(
    fc.property(fc.array(message, { maxLength: 6 }), sizes, (messages, chunkSizes) => {
      const values = messages.map(([json, array, flag]) => [
        JSON.parse(JSON.stringify(json).replaceAll('-0', '0').replaceAll('__proto__', 'p')),
        Buffer.from(array),
        flag,
      ]);
      const reader = new FrameReader(BYTES_MAX);
      const stream = Buffer.concat(values.map((value) => encodeFrame(value)));
      t.strictSame(pushAll(reader, cut(stream, chunkSizes)), values);
      t.equal(reader.pendingBytes, 0);
    }),
    { numRuns: 100 },
  );
});

test('frame reader, two frames in one chunk and one frame in 1-byte chunks, gives three values', async (t) => {
  const reader = new FrameReader(BYTES_MAX);
  t.strictSame(reader.push(Buffer.concat([encodeFrame(1), encodeFrame(2)])), [1, 2]);
  t.strictSame(pushAll(reader, cut(encodeFrame({ n: 3 }), [1])), [{ n: 3 }]);
});

test('frame reader, a frame inside one chunk, hands out views of that chunk and not copies', async (t) => {
  const chunk = encodeFrame([Buffer.from('abc')]);
  const [value] = new FrameReader(BYTES_MAX).push(chunk) as [[Buffer]];
  t.equal(value[0].buffer, chunk.buffer);
});

test('frame reader, a large frame in 1-byte chunks, is complete only at its last byte', async (t) => {
  const frame = encodeFrame(Buffer.alloc(100_000, 5));
  const reader = new FrameReader(BYTES_MAX);
  const last = frame.length - 1;
  t.strictSame(pushAll(reader, cut(frame.subarray(0, last), [1])), []);
  t.equal(reader.pendingBytes, last);
  t.strictSame(reader.push(frame.subarray(last)), [Buffer.alloc(100_000, 5)]);
});

test('frame reader, half a frame, gives no value and tells the pending bytes', async (t) => {
  const reader = new FrameReader(BYTES_MAX);
  t.strictSame(reader.push(encodeFrame('hello').subarray(0, 7)), []);
  t.equal(reader.pendingBytes, 7);
});

test('frame reader, a declared length above the maximum, is refused from the header alone', async (t) => {
  for (const length of [BYTES_MAX + 1, 2 ** 31, 2 ** 32 - 1]) {
    t.throws(() => new FrameReader(BYTES_MAX).push(header(length)), { name: 'Fault', code: 'frame_too_large' });
    const reader = new FrameReader(BYTES_MAX);
    const bytes = header(length);
    reader.push(bytes.subarray(0, 3));
    t.throws(() => reader.push(bytes.subarray(3)), { code: 'frame_too_large' }, 'header in two chunks');
  }
});

test('frame reader, a frame of exactly the maximum, is read and one byte more is refused', async (t) => {
  const frame = encodeFrame(Buffer.alloc(1000));
  t.equal(new FrameReader(frame.length - 4).push(frame).length, 1);
  t.throws(() => new FrameReader(frame.length - 5).push(frame), { code: 'frame_too_large' });
});

test('frame reader, length 0, is refused', async (t) => {
  t.throws(() => new FrameReader(BYTES_MAX).push(header(0)), { name: 'Fault', code: 'bad_frame' });
});

test('frame reader, a large length and little data, takes memory for what came and not for what was declared', async (t) => {
  const before = process.memoryUsage();
  const readers = Array.from({ length: 500 }, () => {
    const reader = new FrameReader(12 << 20);
    reader.push(header(12 << 20));
    reader.push(Buffer.from('x'));
    return reader;
  });
  const after = process.memoryUsage();
  const grownBytes = after.external + after.arrayBuffers - before.external - before.arrayBuffers;
  t.ok(grownBytes < 64 << 20, `500 promises of 12 MiB took ${grownBytes} bytes`);
  t.equal(readers.length, 500);
});

test('frame reader, small pieces of a frame, are copied and not kept with the memory that they are views of', async (t) => {
  const frame = encodeFrame(Buffer.alloc(60, 7));
  const reader = new FrameReader(BYTES_MAX);
  reader.push(frame.subarray(0, 8));
  const pieces = cut(frame.subarray(8, -1), [1]).map((piece) => Buffer.from(piece));
  for (const piece of pieces) {
    reader.push(piece);
    piece.fill(0); // seen in the value only if the reader still holds the piece
  }
  t.strictSame(reader.push(frame.subarray(-1)), [Buffer.alloc(60, 7)]);
});

test('frame reader, after a fault, stays broken and forgets what it held', async (t) => {
  const reader = new FrameReader(BYTES_MAX);
  t.throws(() => reader.push(Buffer.concat([header(1), Buffer.from([0xc1])])), { code: 'bad_frame' });
  t.equal(reader.pendingBytes, 0);
  t.throws(() => reader.push(encodeFrame(1)), { code: 'bad_frame' });
});
