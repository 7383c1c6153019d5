import { statSync } from 'node:fs';
import { mock } from 'node:test';
import { test } from 'tap';
import { LIMITS } from '../../abi/limits.js';
import { frame, header } from '../kit/uplink-client.js';
import { makeCaller, openBench } from '../uplink/kit.js';

test('a handshake with a wrong or malformed token, authentication failed, and no capsule sees the client', async (t) => {
  const { connect, token, streams, rejected } = await openBench(t);
  const flipped = (token.text.startsWith('0') ? '1' : '0') + token.text.slice(1);
  for (const shown of [flipped, '', 'x', token.text.slice(1), `${token.text}0`, '\0'.repeat(64)]) {
    const client = await connect();
    client.hello(shown);
    t.same(await client.nextJson(), {
      status: 'error',
      protocol_version: 1,
      server_version: '9.9.9',
      reason: 'authentication failed',
    });
    t.equal(await client.next(), null, 'and then it is closed');
  }
  t.equal(await streams.pollAccept(makeCaller('a')), null);
  t.same([...new Set(rejected)], ['authentication failed']);
  t.notMatch(rejected.join(), flipped, 'what was shown is not logged');
});

test('a handshake of another version, told both numbers before the token is looked at', async (t) => {
  const { connect } = await openBench(t);
  const client = await connect();
  client.hello('wrong', { protocol_version: 2 });
  t.match(await client.nextJson(), { status: 'error', reason: 'protocol version mismatch: client 2, server 1' });
});

test('a handshake that cannot be read or is too large, closed without an answer', async (t) => {
  const { connect, token, streams } = await openBench(t);
  const { text } = token;
  const bad = [
    frame('{'),
    frame('[]'),
    frame(''),
    frame({ protocol_version: 1, client_version: 'x' }),
    frame({ token: text, client_version: 'x' }),
    frame({ token: text, protocol_version: '1', client_version: 'x' }),
    frame({ token: text, protocol_version: 256, client_version: 'x' }),
    frame({ token: text, protocol_version: 1.5, client_version: 'x' }),
    frame({ token: text, protocol_version: 1 }),
    frame({ token: [text], protocol_version: 1, client_version: 'x' }),
    Buffer.concat([header(2), Buffer.from([0xff, 0xfe])]),
    frame({ token: text, protocol_version: 1, client_version: 'x'.repeat(LIMITS.uplinkHandshakeBytesMax) }),
    header(0xffff_ffff),
    header(LIMITS.uplinkHandshakeBytesMax + 1),
  ];
  for (const bytes of bad) {
    const client = await connect();
    client.socket.write(bytes);
    t.equal(await client.next(), null, bytes.toString('latin1', 0, 60));
  }
  t.equal(await streams.pollAccept(makeCaller('a')), null);
});

test('slow handshakes, more of them than are kept, do not delay the next client', async (t) => {
  const { connect, token, streams } = await openBench(t);
  // No clock runs: whoever is answered did not wait until the time of another was up.
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  const slow = [];
  for (let count = 0; count < LIMITS.uplinkHandshakesMax + 10; count++) {
    const client = await connect();
    client.socket.write(header(100).subarray(0, (count % 4) + 1));
    slow.push(client);
  }
  const good = await connect();
  good.hello(token.text);
  t.equal(await streams.accept(makeCaller('a')), 1);
  t.match(await good.nextJson(), { status: 'ok', protocol_version: 1, server_version: '9.9.9' });
  t.equal(await slow[0]?.next(), null, 'the oldest had to go');
});

test('a handshake that stops half-way, closed after five seconds', async (t) => {
  const { connect, token, rejected } = await openBench(t);
  const start = performance.now();
  const client = await connect();
  const hello = frame({ token: token.text, protocol_version: 1, client_version: 'x' });
  client.socket.write(hello.subarray(0, hello.length - 1));
  t.equal(await client.next(), null);
  const took = performance.now() - start;
  t.ok(took >= LIMITS.handshakeWaitMs - 50, `${took} ms`);
  t.same(rejected, ['no handshake in time']);
});

test('a half frame of another client, replayed, opens nothing', async (t) => {
  const { connect, token, streams } = await openBench(t);
  const hello = frame({ token: token.text, protocol_version: 1, client_version: 'x' });
  const first = await connect();
  first.socket.write(hello.subarray(0, 40));
  const second = await connect();
  second.socket.write(hello.subarray(40));
  t.equal(await second.next(), null, 'the rest of a frame is no frame');
  t.equal(await streams.pollAccept(makeCaller('a')), null);
});

test('the socket file is for its owner alone', async (t) => {
  const { socketPath } = await openBench(t);
  t.equal(statSync(socketPath).mode & 0o777, 0o600);
});

test('clients that nobody takes, the first ones wait and the next is told so', async (t) => {
  const { connect, token, streams } = await openBench(t);
  const waiting = [];
  for (let count = 0; count < LIMITS.uplinkClientsWaitingMax; count++) {
    const client = await connect();
    client.hello(token.text);
    waiting.push(client);
  }
  const last = await connect();
  last.hello(token.text);
  t.match(await last.nextJson(), { status: 'error', reason: 'too many clients are waiting' });
  t.equal(await streams.accept(makeCaller('a')), 1, 'the others are still there');
});
