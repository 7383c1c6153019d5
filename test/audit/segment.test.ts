import { test } from 'tap';
import { encodeRecord, findCheckpoints, RECORD, SegmentReader, type SegmentRecord } from '../../abi/audit/segment.js';
import {
  decodeSegmentHead,
  encodeSegmentHead,
  formatSegmentName,
  parseSegmentName,
  type SegmentHead,
} from '../../abi/audit/segment-head.js';
import { fc } from '../kit/property.js';
import { cutInto } from './log-fixture.js';

const records = fc.array(
  fc.record({
    type: fc.constantFrom(RECORD.segment, RECORD.entry, RECORD.checkpoint),
    payload: fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes)),
  }),
  { maxLength: 12 },
);

function read(bytes: Buffer, chunkBytes: number): { found: SegmentRecord[]; reader: SegmentReader } {
  const reader = new SegmentReader();
  const found: SegmentRecord[] = [];
  for (const chunk of cutInto(bytes, chunkBytes)) found.push(...reader.push(chunk));
  return { found, reader };
}

test('records, written and read in chunks of any size, are the same, with their offsets', (t) => {
  fc.assert(
    fc.property(records, fc.integer({ min: 1, max: 700 }), (rows, chunkBytes) => {
      const encoded = rows.map((row) => encodeRecord(row.type, row.payload));
      const { found, reader } = read(Buffer.concat(encoded), chunkBytes);
      let offset = 0;
      return (
        reader.fault === null &&
        reader.pendingBytes === 0 &&
        found.length === rows.length &&
        found.every((record, at) => {
          const same =
            record.offset === offset && record.type === rows[at]?.type && record.payload.equals(rows[at].payload);
          offset += (encoded[at] as Buffer).length;
          return same;
        })
      );
    }),
    { numRuns: 200 },
  );
  t.end();
});

test('a segment cut at any byte gives its whole records and the rest as pending, never a fault', (t) => {
  const bytes = Buffer.concat([
    encodeRecord(RECORD.entry, Buffer.alloc(50, 1)),
    encodeRecord(RECORD.checkpoint, Buffer.alloc(20, 2)),
  ]);
  for (let length = 0; length <= bytes.length; length += 1) {
    const { found, reader } = read(bytes.subarray(0, length), 7);
    const whole = length >= bytes.length ? 2 : length >= 62 ? 1 : 0;
    t.equal(found.length, whole);
    t.equal(reader.fault, null);
    t.equal(reader.pendingBytes, length - reader.offset);
  }
  t.end();
});

test('a segment with any bit changed stops at that record, after those before it', (t) => {
  const one = encodeRecord(RECORD.entry, Buffer.alloc(40, 1));
  const bytes = Buffer.concat([one, one, one]);
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const changed = Buffer.from(bytes);
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    const { found, reader } = read(changed, 64);
    const expected = Math.floor((bit >> 3) / one.length);
    if (found.length !== expected || reader.fault?.code !== 'bad_log' || reader.offset !== expected * one.length) {
      t.fail(`bit ${bit}`);
    }
  }
  t.pass('all');
  t.end();
});

test('a header that claims more than its type may have is refused before any memory is taken', (t) => {
  t.throws(() => encodeRecord(RECORD.entry, Buffer.alloc(16 * 1024 + 1)), { code: 'too_large' });
  t.throws(() => encodeRecord(RECORD.checkpoint, Buffer.alloc(5000)), { code: 'too_large' });
  const large = encodeRecord(RECORD.segment, Buffer.alloc(20_000));
  const { fault } = read(large, 100).reader;
  t.equal(fault, null);
  t.end();
});

test('a reader that has met a fault takes nothing more', (t) => {
  const reader = new SegmentReader();
  reader.push(Buffer.alloc(12));
  t.equal(reader.fault?.field, 'header');
  t.strictSame(reader.push(encodeRecord(RECORD.entry, Buffer.alloc(3))), []);
  t.end();
});

test('checkpoints behind damage are found, also right behind bytes that look like one', (t) => {
  const checkpoint = encodeRecord(RECORD.checkpoint, Buffer.from('text'));
  const noise = Buffer.from([3, 3, 3, 9, 3, 0, 0, 0, 0, 0, 0, 0, 0]);
  const found = [...findCheckpoints(Buffer.concat([noise, checkpoint, noise, checkpoint, noise]))];
  t.strictSame(
    found.map((record) => record.payload.toString()),
    ['text', 'text'],
  );
  t.end();
});

const head: SegmentHead = {
  firstIndex: 2 ** 40,
  previous: Buffer.alloc(32, 1),
  origin: 'astrid.local/test',
  principals: new Map([
    ['agent', Buffer.alloc(32, 2)],
    ['default', Buffer.alloc(32, 3)],
  ]),
};

test('a segment head, written and read, is the same, whatever order the principals came in', (t) => {
  t.strictSame(decodeSegmentHead(encodeSegmentHead(head)), head);
  const turned = { ...head, principals: new Map([...head.principals].reverse()) };
  t.ok(encodeSegmentHead(turned).equals(encodeSegmentHead(head)));
  t.end();
});

test('a segment head, cut, extended or with unsorted principals, is refused by name', (t) => {
  const bytes = encodeSegmentHead(head);
  for (let length = 0; length < bytes.length; length += 1) {
    t.throws(() => decodeSegmentHead(bytes.subarray(0, length)), { code: 'bad_log' });
  }
  t.throws(() => decodeSegmentHead(Buffer.concat([bytes, Buffer.of(0)])), { code: 'bad_log', field: 'length' });
  const twice = Buffer.from(bytes);
  Buffer.from('zgent').copy(twice, twice.indexOf('agent'));
  t.throws(() => decodeSegmentHead(twice), { code: 'bad_log', field: 'principals' });
  const many = Buffer.from(bytes);
  many.writeUInt32LE(4_000_000_000, 41 + head.origin.length);
  t.throws(() => decodeSegmentHead(many), { code: 'bad_log', field: 'principals' });
  t.end();
});

test('segment names sort like their indices, and nothing else is one', (t) => {
  t.ok(formatSegmentName(9) < formatSegmentName(10));
  t.equal(parseSegmentName(formatSegmentName(123456)), 123456);
  for (const name of ['segment-1.log', 'segment-000000000000001.log.bak', 'tree.hashes', 'lock.1']) {
    t.equal(parseSegmentName(name), null);
  }
  t.end();
});
