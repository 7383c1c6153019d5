import { once } from 'node:events';
import { createConnection, createServer } from 'node:net';
import { type Duplex, duplexPair, PassThrough } from 'node:stream';
import { test } from 'tap';
import { Fault } from '../../abi/errno.js';
import { FrameConnection } from '../../bus/connection.js';
import { encodeFrame } from '../../bus/frame.js';

const OPTIONS = { frameBytesMax: 1 << 20 };

function closed(connection: FrameConnection): Promise<Fault | null> {
  return new Promise((resolve) => connection.onClose(resolve));
}

function received(connection: FrameConnection, count: number): Promise<unknown[]> {
  const values: unknown[] = [];
  return new Promise((resolve) => {
    connection.onFrame((value) => {
      values.push(value);
      if (values.length === count) resolve(values);
    });
  });
}

function pair(): [FrameConnection, FrameConnection] {
  const [a, b] = duplexPair();
  return [new FrameConnection(a, OPTIONS), new FrameConnection(b, OPTIONS)];
}

function rawPair(): [Duplex, FrameConnection] {
  const [a, b] = duplexPair();
  return [a, new FrameConnection(b, OPTIONS)];
}

test('connection, values sent one by one and many at once, arrive in order', async (t) => {
  const [a, b] = pair();
  const values = received(b, 5);
  a.send(1);
  a.sendMany([{ n: 2 }, [3]]);
  a.sendMany([]);
  a.send(Buffer.from('4'));
  a.send(null);
  t.strictSame(await values, [1, { n: 2 }, [3], Buffer.from('4'), null]);
  a.destroy();
  b.destroy();
});

test('connection, closed by us, flushes what was sent and both sides hear a clean end', async (t) => {
  const [a, b] = pair();
  const values = received(b, 2);
  const ends = Promise.all([closed(a), closed(b)]);
  a.send('first');
  a.send('last');
  a.close();
  a.close();
  t.equal(a.send('too late'), false);
  t.strictSame(await values, ['first', 'last']);
  t.strictSame(await ends, [null, null]);
});

test('connection over a socket, the peer closes, we hear a clean end after its last value', async (t) => {
  const server = createServer((socket) => {
    const connection = new FrameConnection(socket, OPTIONS);
    connection.onFrame((value) => {
      connection.send(['echo', value]);
      connection.close();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const client = new FrameConnection(createConnection(port, '127.0.0.1'), OPTIONS);
  const values = received(client, 1);
  client.send(Buffer.alloc(300_000, 1));
  t.strictSame(await values, [['echo', Buffer.alloc(300_000, 1)]]);
  t.equal(await closed(client), null);
});

test('connection, the peer ends inside a frame, we hear bad_frame', async (t) => {
  const [raw, connection] = rawPair();
  connection.onFrame(() => t.fail('no value can come'));
  raw.write(encodeFrame('hello').subarray(0, 6));
  raw.end();
  t.match(await closed(connection), { code: 'bad_frame' });
});

test('connection, malformed or oversized frames from the peer, end it with the fault and nothing is thrown', async (t) => {
  const inputs: [Buffer, string][] = [
    [Buffer.from([0, 0, 0, 0]), 'bad_frame'],
    [Buffer.from([0xff, 0xff, 0xff, 0xff]), 'frame_too_large'],
    [Buffer.from([1, 0, 0, 0, 0xc1]), 'bad_frame'],
  ];
  for (const [bytes, code] of inputs) {
    const [raw, connection] = rawPair();
    connection.onFrame(() => t.fail('no value can come'));
    raw.write(bytes);
    t.match(await closed(connection), { code });
    t.equal(connection.send(1), false);
  }
});

test('connection, a value larger than a frame, is refused at the sender and the connection goes on', async (t) => {
  const [a, b] = pair();
  const values = received(b, 1);
  t.throws(() => a.send(Buffer.alloc(2 << 20)), { code: 'frame_too_large' });
  t.throws(() => a.sendMany([1, Buffer.alloc(2 << 20)]), { code: 'frame_too_large' }, 'and nothing of the batch goes');
  a.send('still here');
  t.strictSame(await values, ['still here']);
  a.destroy();
  b.destroy();
});

test('connection, a handler that throws, ends that connection and nothing else', async (t) => {
  const [a, b] = pair();
  b.onFrame(() => {
    throw new Fault('invalid_argument', 'handler refused');
  });
  const end = closed(b);
  a.send(1);
  t.match(await end, { code: 'invalid_argument' });
  const [c, d] = pair();
  d.onFrame(() => {
    throw new TypeError('a bug');
  });
  c.send(1);
  t.match(await closed(d), { code: 'internal' });
  a.destroy();
  c.destroy();
});

test('connection, destroyed by a handler, hands over no later value of the same chunk', async (t) => {
  const [raw, connection] = rawPair();
  const seen: unknown[] = [];
  connection.onFrame((value) => {
    seen.push(value);
    connection.destroy(new Fault('bad_token', 'wrong token'));
  });
  raw.write(Buffer.concat([encodeFrame(1), encodeFrame(2)]));
  t.match(await closed(connection), { code: 'bad_token' });
  t.strictSame(seen, [1]);
});

test('connection, the stream fails, onClose hears connection_closed without the system text', async (t) => {
  const client = new FrameConnection(createConnection('/nonexistent/astrid-test.sock'), OPTIONS);
  const fault = await closed(client);
  t.match(fault, { code: 'connection_closed', message: 'connection failed (ENOENT)' });
});

test('connection, more sent than the peer reads, says so and drained() resolves when it has read', async (t) => {
  const [a, b] = pair();
  let ok = true;
  let sent = 0;
  while (ok) {
    ok = a.send(Buffer.alloc(10_000));
    sent += 1;
  }
  const drained = a.drained();
  const values = received(b, sent);
  await drained;
  t.equal((await values).length, sent);
  await a.drained();
  a.destroy();
  b.destroy();
});

test('connection, ended while someone awaits drained(), answers the waiter', async (t) => {
  const [a, b] = pair();
  while (a.send(Buffer.alloc(10_000))) {}
  const drained = a.drained();
  a.destroy();
  await drained;
  await a.drained();
  b.destroy();
  t.pass('both resolved');
});

test('connection, onClose registered after the end, is still told once', async (t) => {
  const [a, b] = pair();
  a.destroy(new Fault('timed_out', 'too slow'));
  t.match(await closed(a), { code: 'timed_out' });
  b.destroy();
});

test('connection, a second handler, is refused', async (t) => {
  const [a, b] = pair();
  a.onFrame(() => {});
  a.onClose(() => {});
  t.throws(() => a.onFrame(() => {}), { code: 'internal' });
  t.throws(() => a.onClose(() => {}), { code: 'internal' });
  a.destroy();
  b.destroy();
});

test('connection with a stream each way, the one we write to ends first, still hears the last frame of the other', async (t) => {
  const [input, output] = [new PassThrough(), new PassThrough()];
  const connection = new FrameConnection({ input, output }, OPTIONS);
  const values = received(connection, 1);
  const end = closed(connection);
  const outputClosed = once(output, 'close');
  output.destroy();
  await outputClosed;
  input.end(encodeFrame('last'));
  t.strictSame(await values, ['last']);
  t.equal(await end, null);
});

test('connection with a stream each way, a write that fails ends it, and its end takes both', async (t) => {
  const [input, output] = [new PassThrough(), new PassThrough()];
  const connection = new FrameConnection({ input, output }, OPTIONS);
  connection.onFrame(() => undefined);
  const end = closed(connection);
  output.destroy(Object.assign(new Error('write'), { code: 'EPIPE' }));
  t.match(await end, { code: 'connection_closed', message: /EPIPE/ });
  t.ok(input.destroyed && output.destroyed);
});
