import { test } from 'tap';
import { Fault } from '../../abi/errno.js';
import { checkPayloadDepth, PAYLOAD_SHAPE, parsePayload, parseWeighed, weighPayload } from '../../bus/payload-json.js';
import { fc } from '../kit/property.js';

const parse = (text: string) => parsePayload(Buffer.from(text));
const invalid = { name: 'Fault', code: 'invalid_argument', field: 'payload' };

test('payload JSON, any JSON text, is read as JSON.parse reads it', async (t) => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 8, stringUnit: 'binary' }), (text) => {
      if (text.includes('__proto__')) return true;
      return JSON.stringify(parse(text)) === JSON.stringify(JSON.parse(text));
    }),
    { numRuns: 500 },
  );
  t.strictSame(parsePayload(new Uint8Array(Buffer.from('{"a":[1,"x"]}'))), { a: [1, 'x'] });
});

test('payload JSON, any bytes, give a value or a Fault and nothing else', async (t) => {
  const piece = fc.constantFrom('{', '}', '[', ']', '"', '\\', ':', ',', '1', 'a', '\\u005f', '__proto__', ' ');
  const text = fc.array(piece, { maxLength: 60 }).map((pieces) => Buffer.from(pieces.join('')));
  const raw = fc.uint8Array({ maxLength: 100 }).map((array) => Buffer.from(array));
  fc.assert(
    fc.property(fc.oneof(text, raw), (bytes) => {
      try {
        parsePayload(bytes);
        return true;
      } catch (thrown) {
        return thrown instanceof Fault && thrown.code === 'invalid_argument';
      }
    }),
    { numRuns: 3000 },
  );
  t.pass('every case');
});

test('payload JSON, malformed, names the payload', async (t) => {
  for (const text of ['', ' ', '{', '{"a":}', "{'a':1}", 'nul', '1 2', '"a', '[1,]', '\ufeff1']) {
    t.throws(() => parse(text), { ...invalid, message: /JSON/ }, JSON.stringify(text));
  }
  t.throws(() => parsePayload(Buffer.from([0x22, 0xff, 0x22])), { ...invalid, message: /UTF-8/ });
});

test('payload JSON, nested to the limit, is read and deeper is refused without overflow', async (t) => {
  const nest = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
  t.ok(parse(nest(PAYLOAD_SHAPE.depthMax)));
  t.throws(() => parse(nest(PAYLOAD_SHAPE.depthMax + 1)), invalid);
  t.throws(() => parse(nest(2_000_000)), invalid);
  t.throws(() => parse('{"a":'.repeat(100_000)), invalid);
  t.ok(parse(JSON.stringify('['.repeat(1000))), 'brackets in a string do not count');
  t.ok(parse(`["${'\\"['.repeat(1000)}"]`), 'nor do those behind an escaped quote');
  t.throws(
    () => parse(`["${'x'.repeat(100)}\\\\",${nest(60)}]`),
    invalid,
    'a string that ends behind a backslash is over',
  );
});

test('payload JSON, more values or members than allowed, is refused before it is parsed', async (t) => {
  const members = Array.from({ length: PAYLOAD_SHAPE.membersMax + 1 }, (_, i) => `"${i}":0`).join(',');
  t.throws(() => parse(`{${members}}`), { code: 'too_large', field: 'payload', message: /members/ });
  t.throws(() => parse(`[${'0,'.repeat(PAYLOAD_SHAPE.valuesMax)}0,0]`), { code: 'too_large', message: /values/ });
  const empty = `[${'[[]],'.repeat(PAYLOAD_SHAPE.containersMax / 2)}0]`;
  t.throws(() => parse(empty), { code: 'too_large', message: /lists and objects/ });
  t.ok(parse(JSON.stringify({ s: ',:'.repeat(PAYLOAD_SHAPE.valuesMax) })), 'those in a string do not count');
});

test('payload JSON, a member named __proto__ in any spelling and depth, is refused', async (t) => {
  for (const text of ['{"__proto__":1}', '{"a":[{"\\u005f_proto\\u005F_":{}}]}', '{"\\u005F\\u005f\\u0070roto__":1}']) {
    t.throws(() => parse(text), { ...invalid, message: /__proto__/ }, text);
  }
  t.strictSame(parse('{"a":"__proto__"}'), { a: '__proto__' }, 'as a value it is text');
});

test('payload value, nested deeper than the limit, is refused', async (t) => {
  let value: unknown = 1;
  for (let i = 0; i < PAYLOAD_SHAPE.depthMax; i++) value = [value];
  checkPayloadDepth(value);
  t.throws(() => checkPayloadDepth({ a: value }), invalid);
});

test('payload JSON, what it weighs, is what it holds when parsed, however it came', async (t) => {
  const text = `[${'{},'.repeat(1000)}{"a":[1,"x"]}]`;
  const { value, heapBytes } = parseWeighed(Buffer.from(text));
  t.ok(heapBytes > 60_000, 'an empty object takes more than its two brackets');
  const ratio = weighPayload(value, text.length) / heapBytes;
  t.ok(ratio > 0.8 && ratio < 1.25, `${ratio}`);
});
