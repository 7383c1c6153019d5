import { test } from 'tap';
import type { BusMessage } from '../../bus/message.js';
import { SubscriptionQueue } from '../../bus/queue.js';
import { fc } from '../kit/property.js';

const KIB = 1024;
const one = () => 1;
let seq = 0;
function messageOf(principal: string, payloadBytes = 100): BusMessage {
  seq += 1;
  return {
    topic: 't',
    payload: { type: 'custom', data: null },
    payloadBytes,
    heapBytes: payloadBytes * 2,
    sourceId: 's',
    timestamp: '2026-01-01T00:00:00.000Z',
    seq,
    actor: { principal, attribution: 'verified', session: null },
  };
}

function drainAll(queue: SubscriptionQueue): BusMessage[] {
  return queue.drain(Number.POSITIVE_INFINITY, one).messages;
}

function principalsOf(messages: readonly BusMessage[]): string {
  return messages.map((message) => message.actor.principal).join('');
}

test('queue, within its budget, gives messages back in the order of the bus', async (t) => {
  const queue = new SubscriptionQueue();
  const sent = ['a', 'b', 'a', 'c', 'b', 'a'].map((principal) => messageOf(principal));
  for (const message of sent) t.equal(queue.push(message, false), 0);
  t.equal(queue.length, 6);
  t.strictSame(drainAll(queue), sent);
  t.equal(queue.length, 0);
  t.equal(queue.bytes, 0);
});

test('queue, over its budget, evicts the oldest and counts them', async (t) => {
  const queue = new SubscriptionQueue({ bytesMax: 10 * KIB });
  const sent = Array.from({ length: 30 }, () => messageOf('a', 743));
  const evicted = sent.reduce((sum, message) => sum + queue.push(message, false), 0);
  const kept = drainAll(queue);
  t.equal(evicted + kept.length, 30);
  t.strictSame(kept, sent.slice(-10));
});

test('queue, empty messages without end, stays bounded', async (t) => {
  const queue = new SubscriptionQueue({ bytesMax: 64 * KIB });
  for (let i = 0; i < 20_000; i++) queue.push(messageOf('a', 0), false);
  t.ok(queue.length < 260, `${queue.length} messages are held`);
  t.ok(queue.bytes <= 64 * KIB);
});

test('queue, flooded by one principal, evicts nothing of another', async (t) => {
  const queue = new SubscriptionQueue({ bytesMax: 100 * KIB });
  const victims = Array.from({ length: 20 }, () => messageOf('v', KIB));
  for (const message of victims) queue.push(message, false);
  for (let i = 0; i < 10_000; i++) queue.push(messageOf('f', KIB), false);
  for (let i = 0; i < 100; i++) queue.push(messageOf('f', 5 * KIB * KIB), true);
  const kept = drainAll(queue);
  t.strictSame(
    kept.filter((message) => message.actor.principal === 'v'),
    victims,
  );
});

test('queue, several principals over budget, evicts from the one that holds the most', async (t) => {
  const queue = new SubscriptionQueue({ bytesMax: 30 * KIB });
  for (let i = 0; i < 6; i++) queue.push(messageOf('a', KIB), false);
  for (let i = 0; i < 14; i++) queue.push(messageOf('b', KIB), false);
  for (let i = 0; i < 6; i++) queue.push(messageOf('c', KIB), false);
  t.equal(principalsOf(drainAll(queue)), 'aaaaaabbbbbbbbbbbcccccc');
});

test('queue, reliable messages under a flood of the same principal, are evicted last', async (t) => {
  const queue = new SubscriptionQueue({ bytesMax: 50 * KIB });
  const last = messageOf('a', KIB);
  queue.push(last, true);
  for (let i = 0; i < 5_000; i++) queue.push(messageOf('a', KIB), false);
  const second = messageOf('a', KIB);
  queue.push(second, true);
  for (let i = 0; i < 5_000; i++) queue.push(messageOf('a', KIB), false);
  const kept = drainAll(queue);
  t.equal(kept[0], last, 'and keep their place in the order');
  t.ok(kept.includes(second));
  t.ok(kept.length > 30);
});

test('queue, nothing but reliable messages over budget, evicts the oldest of the largest holder', async (t) => {
  const queue = new SubscriptionQueue({ bytesMax: 20 * KIB });
  const small = messageOf('v', 100);
  queue.push(small, true);
  const sent = Array.from({ length: 40 }, () => messageOf('a', KIB));
  for (const message of sent) queue.push(message, true);
  const kept = drainAll(queue);
  t.equal(kept[0], small);
  t.strictSame(kept.slice(1), sent.slice(-(kept.length - 1)));
});

test('queue, unreliable messages of another principal above its share, go before reliable ones of the largest', async (t) => {
  const queue = new SubscriptionQueue({ bytesMax: 30 * KIB });
  const reliable = Array.from({ length: 15 }, () => messageOf('r', KIB));
  for (const message of reliable) queue.push(message, true);
  queue.push(messageOf('x', 100), false);
  for (let i = 0; i < 20; i++) queue.push(messageOf('u', KIB), false);
  const kept = drainAll(queue);
  t.strictSame(
    kept.filter((message) => message.actor.principal === 'r'),
    reliable,
  );
});

test('queue, a message larger than the whole budget, is still delivered beside those of others', async (t) => {
  const queue = new SubscriptionQueue({ bytesMax: 100 * KIB });
  const small = messageOf('v', 100);
  const huge = messageOf('a', 5 * KIB * KIB);
  queue.push(small, false);
  t.equal(queue.push(huge, false), 0);
  t.strictSame(drainAll(queue), [small, huge]);
});

test('queue, drained in parts under a flood, serves each principal its share', async (t) => {
  const queue = new SubscriptionQueue({ bytesMax: 1000 * KIB, quantumBytes: 4 * KIB });
  for (let i = 0; i < 200; i++) queue.push(messageOf('f', KIB), false);
  for (let i = 0; i < 10; i++) queue.push(messageOf('v', KIB), false);
  const first = queue.drain(12, one).messages;
  const shares = principalsOf(first);
  t.equal(first.length, 12);
  t.ok(shares.split('v').length - 1 >= 3, `${shares}: the small one is served in the first part`);
  const second = principalsOf(queue.drain(12, one).messages);
  t.ok(second.split('v').length - 1 >= 3, `${second}: and in the next`);
});

test('queue, drained one by one, comes to everybody although the first never runs empty', async (t) => {
  const queue = new SubscriptionQueue({ bytesMax: 1000 * KIB, quantumBytes: 4 * KIB });
  for (const principal of ['f', 'v', 'w']) {
    for (let i = 0; i < 50; i++) queue.push(messageOf(principal, KIB), false);
  }
  const served = Array.from({ length: 18 }, () => principalsOf(queue.drain(1, one).messages)).join('');
  t.match(served, /^f+v+w+f/, 'in turns');
});

test('queue, principals with large and small messages, get the same bytes and not the same count', async (t) => {
  const queue = new SubscriptionQueue({ bytesMax: 10_000 * KIB, quantumBytes: 4 * KIB });
  for (let i = 0; i < 100; i++) queue.push(messageOf('l', 8 * KIB), false);
  for (let i = 0; i < 1_000; i++) queue.push(messageOf('s', KIB), false);
  const taken = queue.drain(200 * KIB, (message) => message.payloadBytes).messages;
  const bytesOf = (name: string) =>
    taken.reduce((sum, message) => sum + (message.actor.principal === name ? message.payloadBytes : 0), 0);
  const ratio = bytesOf('l') / bytesOf('s');
  t.ok(ratio > 0.7 && ratio < 1.7, `bytes of large to bytes of small: ${ratio}`);
});

test('queue, the envelope is full, keeps the rest and gives it next time', async (t) => {
  const queue = new SubscriptionQueue();
  const sent = Array.from({ length: 5 }, () => messageOf('a'));
  for (const message of sent) queue.push(message, false);
  t.strictSame(queue.drain(2, one), { messages: sent.slice(0, 2), dropped: 0 });
  t.strictSame(queue.drain(2, one), { messages: sent.slice(2, 4), dropped: 0 });
  t.strictSame(queue.drain(2, one), { messages: sent.slice(4), dropped: 0 });
  t.strictSame(queue.drain(2, one), { messages: [], dropped: 0 });
});

test('queue, a message that fits no envelope, is given up alone and counted', async (t) => {
  const queue = new SubscriptionQueue();
  const [before, huge, after] = [messageOf('a', 10), messageOf('a', 900), messageOf('a', 20)];
  for (const message of [before, huge, after]) queue.push(message, false);
  const size = (message: BusMessage) => message.payloadBytes;
  t.strictSame(queue.drain(100, size), { messages: [before], dropped: 0 }, 'never beside one that fits');
  t.strictSame(queue.drain(100, size), { messages: [], dropped: 1 });
  t.strictSame(queue.drain(100, size), { messages: [after], dropped: 0 });
});

test('queue, any pushes and drains, loses only what it counts and never reorders a principal', async (t) => {
  const push = fc.record({
    principal: fc.constantFrom('a', 'b', 'c'),
    bytes: fc.integer({ min: 0, max: 3 * KIB }),
    reliable: fc.boolean(),
  });
  const step = fc.oneof({ weight: 5, arbitrary: push }, { weight: 1, arbitrary: fc.integer({ min: 1, max: 20 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
      const held = { bytes: 5 };
      const queue = new SubscriptionQueue({ bytesMax: 16 * KIB, quantumBytes: KIB, held });
      let pushed = 0;
      let evicted = 0;
      const out: BusMessage[] = [];
      for (const action of steps) {
        if (typeof action === 'number') out.push(...queue.drain(action, one).messages);
        else {
          pushed += 1;
          evicted += queue.push(messageOf(action.principal, action.bytes), action.reliable);
          if (queue.bytes > 16 * KIB) return false;
          if (held.bytes !== queue.heldBytes + 5) return false;
        }
      }
      const waiting = queue.length;
      out.push(...drainAll(queue));
      const isOrdered = ['a', 'b', 'c'].every((principal) => {
        const numbers = out.filter((message) => message.actor.principal === principal).map((message) => message.seq);
        return numbers.every((number, i) => i === 0 || number > (numbers[i - 1] as number));
      });
      const isEmpty = queue.bytes === 0 && queue.length === 0 && queue.heldBytes === 0 && held.bytes === 5;
      return pushed === evicted + out.length && waiting >= 0 && isEmpty && isOrdered;
    }),
    { numRuns: 300 },
  );
  t.pass('every case');
});
