import { test } from 'tap';
import { GuestBlocks } from '../../worker/guest-blocks.js';
import { GUEST_MEMORY_WASM, GUEST_MEMORY_WAT } from '../../worker/guest-memory.js';
import { assemble } from '../kit/guest-wat.js';
import { fc } from '../kit/property.js';

const LIMIT = 1024 * 1024;

test('the assembled guest memory is what its text says', async (t) => {
  t.equal((await assemble(GUEST_MEMORY_WAT)).toString('base64'), GUEST_MEMORY_WASM);
});

test('blocks keep their bytes apart, whatever is allocated and freed in between', (t) => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('store' as const), bytes: fc.uint8Array({ minLength: 0, maxLength: 5000 }) }),
    fc.record({ kind: fc.constant('free' as const), which: fc.nat(30) }),
    fc.record({ kind: fc.constant('bogus' as const), offset: fc.integer() }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const blocks = new GuestBlocks(LIMIT, () => 0);
      const live: { offset: number; bytes: Uint8Array }[] = [];
      for (const one of steps) {
        if (one.kind === 'store') {
          const offset = blocks.store(one.bytes);
          if (one.bytes.length > 0) live.push({ offset, bytes: one.bytes });
        } else if (one.kind === 'free') {
          const [gone] = live.splice(one.which % Math.max(1, live.length), 1);
          if (gone !== undefined) {
            blocks.free(gone.offset);
            blocks.free(gone.offset);
          }
        } else if (!live.some(({ offset }) => offset === one.offset)) {
          blocks.free(one.offset);
          if (blocks.length(one.offset) !== 0) return false;
        }
      }
      return live.every(({ offset, bytes }) => blocks.read(offset).equals(bytes)) && blocks.liveCount === live.length;
    }),
    { numRuns: 200 },
  );
  t.pass();
  t.end();
});

test('a freed block is used again and never answers under its old offset', (t) => {
  const blocks = new GuestBlocks(LIMIT, () => 0);
  const first = blocks.store(Buffer.from('first'));
  blocks.free(first);
  for (let round = 0; round < 10_000; round++) blocks.free(blocks.store(Buffer.alloc(3000)));
  const second = blocks.store(Buffer.from('other'));
  t.not(second, first);
  t.equal(blocks.length(first), 0);
  t.equal(blocks.read(second).toString(), 'other');
  t.ok(blocks.committedBytes <= 2 * 65_536, 'ten thousand blocks took the space of one');
  t.end();
});

test('memory and blocks share one limit', (t) => {
  let guest = 0;
  const blocks = new GuestBlocks(LIMIT, () => guest);
  blocks.store(Buffer.alloc(200_000));
  guest = LIMIT - 100_000;
  t.throws(() => blocks.alloc(300_000), { code: 'out_of_memory' });
  t.throws(() => blocks.alloc(LIMIT + 1), { code: 'out_of_memory' });
  t.throws(() => blocks.alloc(-1), { code: 'out_of_memory' });
  t.throws(() => blocks.alloc(Number.NaN), { code: 'out_of_memory' });
  t.end();
});
