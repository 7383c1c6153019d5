import { test } from 'tap';
import { decodeToAuditor, decodeToSupervisor } from '../../abi/audit/protocol.js';

const BYTES = Buffer.alloc(3);

test('every message of the protocol, decoded, is itself', (t) => {
  for (const message of [
    { t: 'open', checkpoint: null },
    { t: 'open', checkpoint: 'text' },
    { t: 'append', id: 1, epoch: 0, events: [BYTES] },
    { t: 'tail', id: 1, lines: 10_000 },
    { t: 'prove', id: 1, index: 0 },
    { t: 'consistency', id: 1, from: 2 ** 40 },
  ]) {
    t.strictSame(decodeToAuditor(message), message);
  }
  for (const message of [
    { t: 'opened', checkpoint: 'c', treeSize: 3, recovered: { bytes: 1, entries: 0 }, proof: [BYTES] },
    { t: 'refused', code: 'bad_log', message: '' },
    { t: 'ack', id: 1, firstIndex: 0, treeSize: 1, checkpoint: 'c' },
    { t: 'nack', id: 1, code: 'no_space', message: 'full' },
    { t: 'entries', id: 1, entries: [{}], last: true },
    { t: 'proof', id: 1, index: 0, entry: BYTES, hashes: [], checkpoint: 'c' },
    { t: 'consistent', id: 1, from: 0, hashes: [BYTES], checkpoint: 'c' },
  ]) {
    t.strictSame(decodeToSupervisor(message), message);
  }
  t.end();
});

const REFUSED: readonly [unknown, string][] = [
  [null, 't'],
  ['open', 't'],
  [{ t: 'toString' }, 't'],
  [{ t: 'ack', id: 1, firstIndex: 0, treeSize: 1, checkpoint: 'c' }, 't'],
  [{ t: 'open' }, 'checkpoint'],
  [{ t: 'open', checkpoint: 'x'.repeat(5000) }, 'checkpoint'],
  [{ t: 'open', checkpoint: null, more: 1 }, 'more'],
  [{ t: 'append', id: -1, epoch: 0, events: [BYTES] }, 'id'],
  [{ t: 'append', id: 1, epoch: 0.5, events: [BYTES] }, 'epoch'],
  [{ t: 'append', id: 1, epoch: 0, events: [] }, 'events'],
  [{ t: 'append', id: 1, epoch: 0, events: ['text'] }, 'events'],
  [{ t: 'append', id: 1, epoch: 0, events: Array(1025).fill(BYTES) }, 'events'],
  [{ t: 'tail', id: 1, lines: 10_001 }, 'lines'],
  [{ t: 'prove', id: 1, index: '0' }, 'index'],
  [Object.create({ t: 'open', checkpoint: null }), 'checkpoint'],
];

for (const [message, field] of REFUSED) {
  test(`${JSON.stringify(message)?.slice(0, 60)} to the auditor is refused, naming ${field}`, (t) => {
    t.throws(() => decodeToAuditor(message), { code: 'bad_protocol', field });
    t.end();
  });
}

test('an answer with a wrong code, or recovered numbers that are none, is refused by name', (t) => {
  t.throws(() => decodeToSupervisor({ t: 'nack', id: 1, code: 'oops', message: '' }), {
    code: 'bad_protocol',
    field: 'code',
  });
  const opened = { t: 'opened', checkpoint: 'c', treeSize: 3, recovered: { bytes: 1 }, proof: [] };
  t.throws(() => decodeToSupervisor(opened), { code: 'bad_protocol', field: 'recovered' });
  t.end();
});
