import { gzipSync } from 'node:zlib';
import { test } from 'tap';
import { asFault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { gunzipOne } from '../../cli/capsule/gzip-reader.js';
import { openPackage } from '../../cli/capsule/package.js';

async function ruleOf(packed: Buffer): Promise<string> {
  try {
    await gunzipOne(packed);
  } catch (thrown) {
    return asFault(thrown).field ?? asFault(thrown).code;
  }
  return 'accepted';
}

const packed = gzipSync('some bytes');

test('gzip, one member, with and without optional fields, is unpacked', async (t) => {
  t.equal((await gunzipOne(packed)).toString(), 'some bytes');
  const named = Buffer.concat([
    Buffer.from([0x1f, 0x8b, 8, 8 | 16, 0, 0, 0, 0, 0, 3]),
    Buffer.from('a.tar\0why\0'),
    packed.subarray(10),
  ]);
  t.equal((await gunzipOne(named)).toString(), 'some bytes');
  t.equal((await gunzipOne(gzipSync(''))).length, 0);
});

test('gzip, a second member or anything behind the first, is refused', async (t) => {
  t.equal(await ruleOf(Buffer.concat([packed, packed])), 'archive.trailing');
  t.equal(await ruleOf(Buffer.concat([packed, Buffer.from('x')])), 'archive.trailing');
  t.equal(await ruleOf(Buffer.concat([packed, Buffer.alloc(512)])), 'archive.trailing');
});

test('gzip, a wrong checksum, size, magic, method or flag, is refused', async (t) => {
  for (const at of [0, 1, 2, packed.length - 8, packed.length - 1]) {
    const broken = Buffer.from(packed);
    broken[at] = (broken[at] ?? 0) ^ 1;
    t.equal(await ruleOf(broken), 'archive.gzip', `byte ${at}`);
  }
  const flagged = Buffer.from(packed);
  flagged[3] = 0x20;
  t.equal(await ruleOf(flagged), 'archive.gzip');
  t.equal(await ruleOf(Buffer.from('PK\x03\x04 a zip file')), 'archive.gzip');
});

test('gzip, any byte of the body flipped, is never accepted as something else', async (t) => {
  const text = Buffer.from('a text that is long enough to be deflated '.repeat(20));
  const whole = gzipSync(text);
  for (let at = 10; at < whole.length; at++) {
    const broken = Buffer.from(whole);
    broken[at] = (broken[at] ?? 0) ^ 0x10;
    const result = await gunzipOne(broken).then(
      (bytes) => bytes.equals(text),
      (thrown: unknown) => asFault(thrown).code === 'bad_archive',
    );
    if (!result) t.fail(`byte ${at}`);
  }
  t.pass();
});

test('gzip, a bomb, is stopped when it starts', async (t) => {
  const bomb = gzipSync(Buffer.alloc(256 * 1024 * 1024));
  const before = process.memoryUsage().arrayBuffers;
  t.equal(await ruleOf(bomb), 'archive.ratio');
  t.ok(process.memoryUsage().arrayBuffers - before < 64 * 1024 * 1024, 'nothing near its full size was held');
});

test('gzip, content at the ratio that is free, is accepted and more is not', async (t) => {
  t.equal(await ruleOf(gzipSync(Buffer.alloc(LIMITS.archiveRatioFreeBytes))), 'accepted');
  t.equal(await ruleOf(gzipSync(Buffer.alloc(8 * LIMITS.archiveRatioFreeBytes))), 'archive.ratio');
});

test('gzip, stored content past the size that is accepted, is refused', async (t) => {
  const large = gzipSync(Buffer.alloc(LIMITS.archiveUnpackedBytesMax + 1, 'x'), { level: 0 });
  t.equal(await ruleOf(large), 'archive.too_large');
  const fault = await openPackage(large).catch(asFault);
  t.match(fault, { code: 'too_large' }, 'already by its packed size');
});
