import { isDeepStrictEqual } from 'node:util';
import { test } from 'tap';
import { decodeEntry, encodeEntry, GENESIS_HASH, hashEntry } from '../../abi/audit/entry.js';
import { decodeEvent, digestEvent, EVENT_BYTES_MAX, encodeEvent, fitEvent } from '../../abi/audit/event.js';
import type { AuditEvent } from '../../abi/audit-event.js';
import { Fault } from '../../abi/errno.js';
import { fc } from '../kit/property.js';
import { anyEvent, makeEvent } from './log-fixture.js';

const hash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes));
const anyEntry = fc.record(
  { index: fc.integer({ min: 0, max: 2 ** 48 - 1 }), previous: hash, previousOfPrincipal: hash, event: anyEvent },
  { noNullPrototype: true },
);

test('an event, encoded and decoded, is the same event', (t) => {
  fc.assert(
    fc.property(anyEvent, (event) => isDeepStrictEqual(decodeEvent(encodeEvent(event), 0), event)),
    { numRuns: 300 },
  );
  t.end();
});

test('an entry, encoded and decoded, is the same entry', (t) => {
  fc.assert(
    fc.property(anyEntry, fc.boolean(), (entry, same) => {
      const linked = same ? { ...entry, previousOfPrincipal: entry.previous } : entry;
      return isDeepStrictEqual(decodeEntry(encodeEntry(linked)), linked);
    }),
    { numRuns: 300 },
  );
  t.end();
});

test('two events that differ, encoded, differ', (t) => {
  const pair = fc.tuple(anyEvent, anyEvent).filter(([a, b]) => JSON.stringify(a) !== JSON.stringify(b));
  fc.assert(fc.property(pair, ([a, b]) => !encodeEvent(a).equals(encodeEvent(b))));
  t.end();
});

test('fields that could flow into each other, encoded, differ', (t) => {
  const pairs: [Partial<AuditEvent>, Partial<AuditEvent>][] = [
    [{ session: null }, { session: '' }],
    [{ capsule: null }, { capsule: '' }],
    [
      { session: 'ab', principal: 'c' },
      { session: 'a', principal: 'bc' },
    ],
    [
      { action: 'ab', resource: 'c' },
      { action: 'a', resource: 'bc' },
    ],
  ];
  for (const [a, b] of pairs) t.notOk(encodeEvent(makeEvent(1, a)).equals(encodeEvent(makeEvent(1, b))));
  t.end();
});

test('every changed byte of an entry, decoded, is refused or is another entry', (t) => {
  const bytes = encodeEntry({
    index: 7,
    previous: hashEntry(GENESIS_HASH),
    previousOfPrincipal: GENESIS_HASH,
    event: makeEvent(1),
  });
  for (let at = 0; at < bytes.length; at += 1) {
    for (const bit of [1, 128]) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ bit;
      try {
        // What is accepted must be exactly what its bytes say: there is no second spelling.
        t.ok(encodeEntry(decodeEntry(changed)).equals(changed), `byte ${at}`);
      } catch (thrown) {
        t.equal((thrown as Fault).code, 'bad_log', `byte ${at}`);
      }
    }
  }
  t.end();
});

test('arbitrary bytes, decoded, give a Fault that names a field, or their own canonical form', (t) => {
  const head = encodeEntry({
    index: 1,
    previous: GENESIS_HASH,
    previousOfPrincipal: GENESIS_HASH,
    event: makeEvent(1),
  });
  const noise = fc
    .uint8Array({ maxLength: 300 })
    .map((bytes) => Buffer.concat([head.subarray(0, 60), Buffer.from(bytes)]));
  fc.assert(
    fc.property(noise, (bytes) => {
      try {
        return encodeEntry(decodeEntry(bytes)).equals(bytes);
      } catch (thrown) {
        return thrown instanceof Fault && thrown.code === 'bad_log' && thrown.field !== undefined;
      }
    }),
    { numRuns: 500 },
  );
  t.end();
});

test('an entry, cut short or with a byte more, is refused', (t) => {
  const bytes = encodeEntry({
    index: 1,
    previous: GENESIS_HASH,
    previousOfPrincipal: GENESIS_HASH,
    event: makeEvent(1),
  });
  for (let length = 0; length < bytes.length; length += 1) {
    t.throws(() => decodeEntry(bytes.subarray(0, length)), { code: 'bad_log' });
  }
  t.throws(() => decodeEntry(Buffer.concat([bytes, Buffer.of(0)])), { code: 'bad_log', field: 'length' });
  t.end();
});

test('equal links in their long form are refused, since they have a short one', (t) => {
  const event = encodeEvent(makeEvent(1));
  const long = Buffer.concat([Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]), GENESIS_HASH, GENESIS_HASH, event]);
  t.throws(() => decodeEntry(long), { code: 'bad_log', field: 'links' });
  t.end();
});

test('a text that is not UTF-8 by itself is refused, although its bytes and the next together are', (t) => {
  const bytes = encodeEvent(makeEvent(1, { action: 'aé', resource: 'x' }));
  const border = bytes.indexOf('é');
  // Moves the border between action and resource into the middle of the character.
  bytes.writeUInt16LE(bytes.readUInt16LE(15) - 1, 15);
  bytes.writeUInt16LE(bytes.readUInt16LE(17) + 1, 17);
  t.ok(border > 0);
  t.throws(() => decodeEvent(bytes, 0), { code: 'bad_log', field: 'action' });
  t.end();
});

test('a null text with a length is refused, since it would be a second spelling', (t) => {
  const bytes = encodeEvent(makeEvent(1, { session: null }));
  bytes.writeUInt16LE(5, 9);
  t.throws(() => decodeEvent(bytes, 0), { code: 'bad_log', field: 'session' });
  t.end();
});

const BAD: readonly [string, unknown][] = [
  ['time', -1],
  ['time', 1.5],
  ['time', Number.NaN],
  ['time', 2 ** 48],
  ['session', 'x'.repeat(129)],
  ['principal', ''],
  ['principal', null],
  ['principal', 'lone \ud800 surrogate'],
  ['capsule', 7],
  ['action', ''],
  ['resource', 'x'.repeat(1025)],
  ['argsHash', 'AB'.repeat(32)],
  ['argsHash', 'ab'],
  ['outcome', 'maybe'],
  ['count', 3],
  ['digest', 'ab'.repeat(32)],
];

for (const [field, value] of BAD) {
  test(`an event whose ${field} is ${JSON.stringify(value)?.slice(0, 30)}, encoded, is refused by name`, (t) => {
    const event = makeEvent(1, { [field]: value } as Partial<AuditEvent>);
    t.throws(() => encodeEvent(event), { code: 'invalid_argument', field });
    t.end();
  });
}

test('a summary without count or digest is refused by name', (t) => {
  t.throws(() => encodeEvent(makeEvent(1, { outcome: 'summary', count: 2 })), {
    code: 'invalid_argument',
    field: 'digest',
  });
  t.throws(() => encodeEvent(makeEvent(1, { outcome: 'summary', digest: 'ab'.repeat(32) })), {
    code: 'invalid_argument',
    field: 'count',
  });
  t.throws(() => encodeEvent(makeEvent(1, { outcome: 'summary', digest: 'ab'.repeat(32), count: 0 })), {
    code: 'invalid_argument',
    field: 'count',
  });
  t.end();
});

test('the largest event, encoded, fits the bound', (t) => {
  const wide = (length: number) => '\uffff'.repeat(length);
  const event = makeEvent(1, {
    session: wide(128),
    principal: wide(256),
    capsule: wide(256),
    action: wide(128),
    resource: wide(1024),
    authorization: { layer: 'system', verdict: 'deny', reason: wide(1024), ref: wide(256) },
    outcome: 'summary',
    count: 1,
    digest: 'cd'.repeat(32),
  });
  t.equal(encodeEvent(event).length, EVENT_BYTES_MAX);
  t.strictSame(decodeEvent(encodeEvent(event), 0), event);
  t.end();
});

test('a long resource, fitted, is shorter, encodable, and still bound to the whole text', (t) => {
  const long = (last: string) => fitEvent(makeEvent(1, { resource: `cwd://${'d/'.repeat(2000)}${last}` }));
  t.ok(long('a').resource.length <= 1024);
  t.not(long('a').resource, long('b').resource);
  t.ok(encodeEvent(long('a')));
  const split = fitEvent(makeEvent(1, { resource: '😀'.repeat(700) }));
  t.ok(encodeEvent(split), 'a cut inside a surrogate pair');
  t.ok(encodeEvent(fitEvent(makeEvent(1, { resource: 'x\udc00y' }))), 'a lone surrogate');
  const short = makeEvent(1);
  t.equal(fitEvent(short), short, 'what fits is left alone');
  t.end();
});

test('the hash of an entry is BLAKE3, by its known values', (t) => {
  const hex = (text: string) => hashEntry(Buffer.from(text)).toString('hex');
  t.equal(hex(''), 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262');
  t.equal(hex('abc'), '6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85');
  t.end();
});

test('the digest of an event is the SHA-256 of its canonical bytes', async (t) => {
  const { createHash } = await import('node:crypto');
  const event = makeEvent(5);
  t.equal(digestEvent(event), createHash('sha256').update(encodeEvent(event)).digest('hex'));
});
