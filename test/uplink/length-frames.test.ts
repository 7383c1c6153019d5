import { test } from 'tap';
import { encodeHeader, LengthFrames } from '../../supervisor/uplink/length-frames.js';
import { fc } from '../kit/property.js';

const BODY_BYTES_MAX = 1000;

function cut(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  let at = 0;
  for (let index = 0; at < bytes.length; index++) {
    const size = sizes[index % sizes.length] ?? 1;
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

test('frames, cut anywhere on their way, come out as they went in', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: BODY_BYTES_MAX }), { maxLength: 20 }),
      fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 10 }),
      fc.boolean(),
      (bodies, sizes, takeLate) => {
        const wire = Buffer.concat(bodies.flatMap((body) => [encodeHeader(body.length), body]));
        const frames = new LengthFrames(BODY_BYTES_MAX);
        const out: Buffer[] = [];
        const drain = () => {
          for (let body = frames.take(); body !== null; body = frames.take()) out.push(body);
        };
        for (const chunk of cut(wire, sizes)) {
          frames.push(chunk);
          if (!takeLate) drain();
        }
        drain();
        return (
          frames.pendingBytes === 0 &&
          out.length === bodies.length &&
          out.every((body, index) => body.equals(bodies[index]!))
        );
      },
    ),
    { numRuns: 500 },
  );
  t.end();
});

test('a header that states one byte more than allowed, no frame comes, however much follows', (t) => {
  const frames = new LengthFrames(BODY_BYTES_MAX);
  frames.push(encodeHeader(BODY_BYTES_MAX + 1));
  t.equal(frames.isOversize, true);
  t.equal(frames.hasFrame, false);
  frames.push(Buffer.alloc(BODY_BYTES_MAX + 1));
  t.throws(() => frames.take(), { code: 'too_large' });
  frames.clear();
  frames.push(encodeHeader(BODY_BYTES_MAX));
  frames.push(Buffer.alloc(BODY_BYTES_MAX));
  t.equal(frames.take()?.length, BODY_BYTES_MAX, 'the limit itself is allowed');
  t.end();
});

test('ten million bytes in one-byte writes, memory grows by about what came', (t) => {
  const frames = new LengthFrames(0xffff_ffff);
  const before = process.memoryUsage();
  frames.push(encodeHeader(10_000_000));
  const one = Buffer.from([7]);
  for (let count = 0; count < 10_000_000; count++) frames.push(one);
  const after = process.memoryUsage();
  t.ok(after.arrayBuffers - before.arrayBuffers < 64 * 1024 * 1024, 'one buffer, not ten million');
  t.equal(frames.take()?.length, 10_000_000);
  t.end();
});
