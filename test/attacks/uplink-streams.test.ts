import { test } from 'tap';
import { LIMITS } from '../../abi/limits.js';
import { frame, header } from '../kit/uplink-client.js';
import { makeCaller, openBench, readOn } from '../uplink/kit.js';

test('a frame header of 4 GiB, too large, the client is gone and nothing was set aside for it', async (t) => {
  const { streams, join } = await openBench(t);
  const caller = makeCaller('a');
  const { client, handle } = await join(caller);
  const before = process.memoryUsage().arrayBuffers;
  client.socket.write(header(0xffff_ffff));
  await t.rejects(readOn(streams, handle, caller), { code: 'too_large', message: 'Payload too large (max 10MB)' });
  t.ok(process.memoryUsage().arrayBuffers - before < 1024 * 1024);
  t.same([...(await streams.read(handle, caller))], [1], 'then closed');
  t.equal(await client.next(), null);
});

test('a frame at the limit is read, one byte more is refused', async (t) => {
  const { streams, join } = await openBench(t);
  const caller = makeCaller('a');
  const { client, handle } = await join(caller);
  client.socket.write(Buffer.concat([header(LIMITS.payloadBytesMax), Buffer.alloc(LIMITS.payloadBytesMax, 7)]));
  t.equal((await readOn(streams, handle, caller)).length, LIMITS.payloadBytesMax + 1);
  client.socket.write(header(LIMITS.payloadBytesMax + 1));
  await t.rejects(readOn(streams, handle, caller), { code: 'too_large' });
});

test('a client that floods while nobody reads fills its own buffers and not ours', async (t) => {
  const { streams, join } = await openBench(t);
  const caller = makeCaller('a');
  const { client, handle } = await join(caller);
  const chunk = frame('x'.repeat(1000));
  const before = process.memoryUsage().arrayBuffers;
  const sent = await new Promise<number>((resolve) => {
    let count = 0;
    const push = () => {
      // Once the system takes no more, our own side of this test would only queue.
      while (client.socket.write(chunk)) count++;
      const timer = setTimeout(() => resolve(count), 300);
      client.socket.once('drain', () => {
        clearTimeout(timer);
        push();
      });
    };
    push();
  });
  t.ok(process.memoryUsage().arrayBuffers - before < 8 * 1024 * 1024, `${sent} frames were taken by the system`);
  for (let count = 0; count < sent; count++) {
    const reply = await readOn(streams, handle, caller);
    if (reply.length !== 1001 || reply[0] !== 0) return t.fail(`frame ${count} is damaged`);
  }
  t.pass('and all of them arrive');
});

test('a client that never reads, a write waits with one frame in memory, and unloading frees it', async (t) => {
  const { streams, join } = await openBench(t);
  const caller = makeCaller('a');
  const { client, handle } = await join(caller);
  client.socket.pause();
  const before = process.memoryUsage().arrayBuffers;
  const write = streams.write(handle, Buffer.alloc(LIMITS.payloadBytesMax), caller);
  setImmediate(() => caller.abort());
  await t.rejects(write, { code: 'cancelled', message: 'capsule unloading' });
  t.ok(process.memoryUsage().arrayBuffers - before < 2 * LIMITS.payloadBytesMax + 1024 * 1024);
});

test('handles of another instance are unknown, whatever number is tried', async (t) => {
  const { streams, join } = await openBench(t);
  const [owner, thief] = [makeCaller('a'), makeCaller('b')];
  const { client, handle } = await join(owner);
  client.send('secret');
  for (const guess of [handle, 0, 2, 999_999_999_999_999]) {
    await t.rejects(streams.read(guess, thief), { code: 'bad_handle' });
    await t.rejects(streams.write(guess, Buffer.from('x'), thief), { code: 'bad_handle' });
    streams.close(guess, thief);
  }
  t.equal((await readOn(streams, handle, owner)).toString('utf8', 1), 'secret', 'and its owner still has it');
});

test('an instance that ended, its clients are closed and a handle is worth nothing to the next one', async (t) => {
  const { streams, join, announced } = await openBench(t);
  const { client, handle } = await join(makeCaller('old'));
  streams.release('old');
  streams.release('old');
  t.equal(await client.next(), null);
  await t.rejects(streams.read(handle, makeCaller('old')), { code: 'bad_handle' });
  t.same(announced, [
    'old client.v1.connected {"type":"connect"}',
    'old client.v1.disconnect {"type":"disconnect","reason":"capsule_ended"}',
  ]);
});

test('an instance that ends while it accepts keeps no client', async (t) => {
  const { streams, connect, token, announced } = await openBench(t);
  const dying = makeCaller('dying');
  const accept = streams.accept(dying);
  const client = await connect();
  // The moment after which the client is on its way to the one that accepts.
  client.hello(token.text);
  dying.abort();
  streams.release('dying');
  await t.rejects(accept, { code: 'cancelled', message: 'capsule unloading' });
  t.equal(await streams.accept(makeCaller('next')), 1, 'the next instance gets it');
  t.match(announced, ['next client.v1.connected {"type":"connect"}']);
});
