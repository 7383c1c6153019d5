import { isDeepStrictEqual } from 'node:util';
import { Packr } from 'msgpackr';
import { test } from 'tap';
import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { decodePayload, encodeFrame, FRAME_HEADER_BYTES } from '../../bus/frame.js';
import { fc } from '../kit/property.js';

const packr = new Packr({ useRecords: false, variableMapSize: true });

/** Any JSON value, with names that have tripped decoders, and byte strings anywhere. -0 and `__proto__` have tests of their own. */
const plainKey = fc
  .oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('constructor', 'toJSON', 'toString', 'hasOwnProperty', 'length', 'then', 'prototype', ''),
  )
  .filter((key) => key !== '__proto__');
const plainNumber = fc
  .oneof(fc.integer(), fc.maxSafeInteger(), fc.double({ noNaN: true, noDefaultInfinity: true }))
  .map((number) => number + 0 || 0);
const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
const { value: plainValue } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 6, withCrossShrink: true },
    fc.constantFrom(null, true, false),
    plainNumber,
    fc.string({ unit: 'binary', maxLength: 400 }),
    bytes,
    fc.array(tie('value'), { maxLength: 20 }),
    fc.dictionary(plainKey, tie('value'), { maxKeys: 20, noNullPrototype: true }),
  ),
}));

function decodeFrame(frame: Buffer): unknown {
  return decodePayload(frame.subarray(FRAME_HEADER_BYTES));
}

/** The Fault code of decoding `payload`, or what else happened. */
function faultOf(payload: Buffer): string {
  try {
    return `decoded ${JSON.stringify(decodePayload(payload))}`;
  } catch (thrown) {
    return thrown instanceof Fault ? thrown.code : `not a Fault: ${String(thrown)}`;
  }
}

function fromHex(text: string): Buffer {
  return Buffer.from(text.replaceAll(' ', ''), 'hex');
}

test('frame, any plain value with byte strings, comes back equal and its length tells its size', async (t) => {
  fc.assert(
    fc.property(plainValue, (value) => {
      const frame = encodeFrame(value);
      return (
        frame.readUInt32LE(0) === frame.length - FRAME_HEADER_BYTES && isDeepStrictEqual(decodeFrame(frame), value)
      );
    }),
    { numRuns: 300 },
  );
  t.pass('every value');
});

test('frame, any plain value, is read by msgpackr as it is by us, and the reverse', async (t) => {
  fc.assert(
    fc.property(plainValue, (value) => {
      // msgpackr drops a leading byte order mark of long strings and calls toJSON even when it is data.
      const text = JSON.stringify(value);
      fc.pre(!text.includes('\ufeff') && !text.includes('toJSON'));
      return (
        isDeepStrictEqual(packr.unpack(encodeFrame(value).subarray(FRAME_HEADER_BYTES)), value) &&
        isDeepStrictEqual(decodePayload(Buffer.from(packr.pack(value))), value)
      );
    }),
    { numRuns: 200 },
  );
  t.pass('every value');
});

test('frame, lengths and numbers at each boundary of the format, come back equal', async (t) => {
  for (const length of [0, 15, 16, 24, 25, 31, 32, 33, 255, 256, 65_535, 65_536]) {
    const map = Object.fromEntries(Array.from({ length }, (_, i) => [`k${i}`, i]));
    for (const value of ['x'.repeat(length), 'é'.repeat(length), Buffer.alloc(length, 7), Array(length).fill(1), map]) {
      t.ok(isDeepStrictEqual(decodeFrame(encodeFrame(value)), value), `${length} in a ${value.constructor.name}`);
    }
  }
  for (const power of [5, 7, 8, 15, 16, 31, 32, 52, 53]) {
    for (const number of [2 ** power - 1, 2 ** power - 2, -(2 ** power) + 1, -(2 ** (power - 1)), 2 ** power]) {
      t.equal(decodeFrame(encodeFrame(number)), number);
    }
  }
});

test('frame, a string that starts with a byte order mark, keeps it in values and keys of any length', async (t) => {
  const value = { [`\ufeff${'k'.repeat(80)}`]: `\ufeff${'v'.repeat(80)}`, ['k'.repeat(80)]: 1 };
  t.strictSame(decodeFrame(encodeFrame(value)), value);
});

test('encodeFrame, what JSON has no word for, does as JSON does', async (t) => {
  t.strictSame(decodeFrame(encodeFrame([Number.NaN, Infinity, -Infinity, undefined])), [null, null, null, null]);
  t.strictSame(decodeFrame(encodeFrame({ a: undefined, b: 1 })), { b: 1 });
  t.ok(Object.is(decodeFrame(encodeFrame(-0)), 0));
  t.equal(decodeFrame(encodeFrame('a\ud800b')), 'a\ufffdb', 'a lone surrogate, short');
  t.equal(decodeFrame(encodeFrame(`${'x'.repeat(60)}\udc00`)), `${'x'.repeat(60)}\ufffd`, 'a lone surrogate, long');
});

test('encodeFrame, what the other side would refuse or misread, throws a Fault at the sender', async (t) => {
  const cyclic: unknown[] = [];
  cyclic.push(cyclic);
  const bad = [1n, Symbol('s'), () => 1, new Date(0), new Map(), new Set(), /x/, new Error('e'), new Float64Array(1)];
  for (const value of [...bad, cyclic, JSON.parse('{"__proto__":1}')]) {
    t.throws(() => encodeFrame([value]), { name: 'Fault', code: 'internal' }, String(value?.constructor?.name));
  }
});

test('decodePayload, nesting up to 64 is read, and deeper nesting of any shape is a Fault', async (t) => {
  const nest = (depth: number) => Buffer.concat([Buffer.alloc(depth, 0x91), Buffer.from([0xc0])]);
  t.ok(decodePayload(nest(LIMITS.frameDepthMax)));
  t.equal(faultOf(nest(LIMITS.frameDepthMax + 1)), 'bad_frame');
  for (const depth of [1e4, 1e5, 1e6, 1e7]) t.equal(faultOf(nest(depth)), 'bad_frame', `${depth} arrays`);
  t.equal(faultOf(Buffer.alloc(1e6, fromHex('81 a1 61'))), 'bad_frame', 'maps');
  t.equal(faultOf(Buffer.alloc(1e6, fromHex('dd 00 00 00 01'))), 'bad_frame', 'array32');
});

test('decodePayload, each malformed or forbidden input, is a Fault', async (t) => {
  const cases: Record<string, string> = {
    'nothing at all': '',
    'the unused code': 'c1',
    'a record definition of msgpackr': 'd4 72 40 91 a1 61 01',
    'a two-byte record definition': 'd5 72 40 00 91 a1 61 01',
    'a pointer of msgpackr': 'd6 70 00 00 00 01',
    'a bundle of strings': 'd6 62 00 00 00 00',
    'a structured clone id': 'd6 69 00 00 00 01 90',
    'a set': 'd4 73 00 91 01',
    'an error': 'd4 65 00 93 a1 45 a1 6d c0',
    'a regular expression': 'd4 78 00 92 a1 61 a1 67',
    'undefined as an extension': 'd4 00 00',
    'timestamp 32': 'd6 ff 00 00 00 00',
    'timestamp 64': 'd7 ff 00 00 00 00 00 00 00 00',
    'timestamp 96': 'c7 0c ff 00 00 00 00 00 00 00 00 00 00 00 00',
    'a big integer extension': 'c7 01 42 01',
    'ext 8': 'c7 01 05 00',
    'ext 16': 'c8 00 01 05 00',
    'ext 32': 'c9 00 00 00 01 05 00',
    'fixext 16': `d8 05 ${'00'.repeat(16)}`,
    'trailing bytes': '01 01',
    'trailing bytes behind a map': '80 c0',
    'a string that ends early': 'a5 61',
    'str 8 without a length': 'd9',
    'str 32 of 4 GiB': 'db ff ff ff ff 61',
    'bin 8 that ends early': 'c4 05 61',
    'bin 32 of 4 GiB': 'c6 ff ff ff ff 61',
    'array 32 of 2^32-1': 'dd ff ff ff ff c0',
    'array 16 that ends early': 'dc 00 05 c0',
    'map 32 of 2^32-1': 'df ff ff ff ff',
    'map 32 of 2^31': 'df 80 00 00 00',
    'a map without its value': '81 a1 61',
    'uint 32 that ends early': 'ce 00 00',
    'a double that ends early': 'cb 00 00 00 00',
    'a number as key': '81 01 02',
    'nil as key': '81 c0 02',
    'bytes as key': '81 c4 01 61 02',
    'an array as key': '81 91 01 02',
    'a repeated key': '82 a1 61 01 a1 61 02',
    'a repeated key in another form': '82 a1 61 01 d9 01 61 02',
    'a repeated empty key': '82 a0 01 a0 02',
    'a repeated key whose first value is nil': '82 a1 61 c0 a1 61 02',
    'a repeated name of Object.prototype': '82 a8 746f537472696e67 01 a8 746f537472696e67 01',
    'the key __proto__': '81 a9 5f5f70726f746f5f5f 80',
    'the key __proto__ in long form': '81 d9 09 5f5f70726f746f5f5f 80',
    'UTF-8, overlong': 'a2 c0 80',
    'UTF-8, surrogate': 'a3 ed a0 80',
    'UTF-8, beyond Unicode': 'a4 f4 90 80 80',
    'UTF-8, truncated': 'a1 c3',
    'UTF-8, invalid in a key': '81 a1 ff 01',
    'UTF-8, invalid in a long string': `d9 64 ${'61'.repeat(99)} ff`,
    'NaN, 64 bits': 'cb 7f f8 00 00 00 00 00 00',
    'NaN, 32 bits': 'ca 7f c0 00 00',
    infinity: 'cb 7f f0 00 00 00 00 00 00',
    'minus infinity, 32 bits': 'ca ff 80 00 00',
    'uint 64 beyond 2^53': 'cf 00 20 00 00 00 00 00 00',
    'uint 64, largest': 'cf ff ff ff ff ff ff ff ff',
    'int 64 below -2^53': 'd3 ff df ff ff ff ff ff ff',
  };
  for (const [name, hex] of Object.entries(cases)) t.equal(faultOf(fromHex(hex)), 'bad_frame', name);
});

test('decodePayload, 64-bit integers that a number can hold, are read as numbers', async (t) => {
  t.equal(decodePayload(fromHex('cf 00 1f ff ff ff ff ff ff')), Number.MAX_SAFE_INTEGER);
  t.equal(decodePayload(fromHex('d3 ff e0 00 00 00 00 00 01')), Number.MIN_SAFE_INTEGER);
  t.equal(decodePayload(fromHex('d3 00 00 00 00 00 00 00 05')), 5);
  t.equal(decodePayload(fromHex('ca 3f 80 00 00')), 1);
});

test('decodePayload, more values or members than a frame may have, is a Fault before memory is taken for them', async (t) => {
  const values = Buffer.alloc(LIMITS.frameValuesMax + 6, 0xc0);
  values[0] = 0xdd;
  values.writeUInt32BE(LIMITS.frameValuesMax + 1, 1);
  t.equal(faultOf(values), 'bad_frame');
  const members = Buffer.alloc(5 + 2 * (LIMITS.frameMembersMax + 1), 0xa0);
  members[0] = 0xdf;
  members.writeUInt32BE(LIMITS.frameMembersMax + 1, 1);
  t.match(
    t.throws(() => decodePayload(members)),
    { code: 'bad_frame', message: /map members/ },
  );
});

test('decodePayload, a count that the bytes behind it cannot hold, is refused at the header', async (t) => {
  for (const hex of ['dd 00 1f ff ff c0', 'df 00 00 ff ff c0', '9f c0', '8f c0']) {
    const message = /a count that the remaining bytes cannot hold/;
    t.throws(() => decodePayload(fromHex(hex)), { code: 'bad_frame', message }, hex);
  }
});

test('decodePayload, a key seen before and the same letters in Latin-1, refuses the second as invalid UTF-8', async (t) => {
  // Thousands of pairs, so that some meet in one slot of the key cache.
  for (let first = 0x61; first <= 0x7a; first++) {
    for (let second = 0x21; second <= 0x7e; second++) {
      const key = String.fromCharCode(first, second, 0xe9);
      const valid = Buffer.concat([fromHex('81 a4'), Buffer.from(key, 'utf8'), fromHex('01')]);
      const invalid = Buffer.concat([fromHex('81 a3'), Buffer.from(key, 'latin1'), fromHex('01')]);
      decodePayload(valid);
      if (faultOf(invalid) !== 'bad_frame') t.fail(`${key} was read from Latin-1`);
    }
  }
  t.pass('all pairs');
});

test('decodePayload, names of Object.prototype as keys, are plain own members', async (t) => {
  const value = decodePayload(fromHex('82 ab 636f6e7374727563746f72 01 a8 746f537472696e67 02'));
  t.strictSame(Object.entries(value as object), [
    ['constructor', 1],
    ['toString', 2],
  ]);
  t.equal(({} as Record<string, unknown>)['constructor'], Object, 'nothing leaked into the prototype');
});

test('decodePayload, random bytes and damaged frames, give a value or a Fault and nothing else', async (t) => {
  const outcome = (payload: Buffer) => !faultOf(payload).startsWith('not a Fault');
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (array) => outcome(Buffer.from(array))),
    { numRuns: 3000 },
  );
  fc.assert(
    fc.property(plainValue, fc.nat(), fc.nat(255), fc.nat(), (value, at, byte, cut) => {
      const payload = Buffer.from(encodeFrame(value).subarray(FRAME_HEADER_BYTES));
      payload[at % payload.length] = byte;
      return outcome(payload) && outcome(payload.subarray(0, cut % (payload.length + 1)));
    }),
    { numRuns: 500 },
  );
  t.pass('no other exception');
});

test('decodePayload, after a refused input, reads the next one as if nothing had happened', async (t) => {
  t.equal(faultOf(fromHex('82 a1 61 01 a1 61 02')), 'bad_frame');
  t.equal(faultOf(Buffer.alloc(1000, 0x91)), 'bad_frame');
  t.strictSame(decodePayload(fromHex('81 a1 61 01')), { a: 1 });
});

test('encodeFrame, a value that shrinks while it is encoded, throws instead of sending memory nobody wrote', async (t) => {
  let reads = 0;
  const shifty = {
    get text() {
      reads += 1;
      return reads < 2 ? 'x'.repeat(1000) : 'x';
    },
  };
  t.throws(() => encodeFrame(shifty), { code: 'internal' });
});
