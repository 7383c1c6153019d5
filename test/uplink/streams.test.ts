import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'tap';
import { LIMITS } from '../../abi/limits.js';
import { SessionToken } from '../../supervisor/session-token.js';
import { UplinkListener } from '../../supervisor/uplink/listener.js';
import { frame, UplinkClient } from '../kit/uplink-client.js';
import { makeCaller, openBench, readOn } from '../uplink/kit.js';

test('a header split over several reads, pending in between, and no byte is lost', async (t) => {
  const { streams, join: enter } = await openBench(t);
  const caller = makeCaller('a');
  const { client, handle } = await enter(caller);
  const bytes = frame('whole');
  for (const at of [0, 1, 2]) {
    client.socket.write(bytes.subarray(at, at + 1));
    t.same([...(await streams.read(handle, caller))], [2]);
  }
  client.socket.write(bytes.subarray(3));
  t.equal((await readOn(streams, handle, caller)).toString('latin1'), '\0whole');
});

test('a frame sent right behind the handshake is the first that is read', async (t) => {
  const { streams, connect, token } = await openBench(t);
  const client = await connect();
  const hello = frame({ token: token.text.toUpperCase(), protocol_version: 1, client_version: '' });
  // The second one is larger than a handshake may be.
  client.socket.write(Buffer.concat([hello, frame('first'), frame('x'.repeat(9000)), frame('')]));
  const caller = makeCaller('a');
  const handle = await streams.accept(caller);
  t.equal((await readOn(streams, handle, caller)).toString('latin1'), '\0first');
  t.equal((await readOn(streams, handle, caller)).length, 9001);
  t.same([...(await readOn(streams, handle, caller))], [0], 'an empty frame is data without a body');
});

test('a client that sends, ends its side and listens, gets its answer', async (t) => {
  const { streams, connect, token } = await openBench(t);
  const client = await connect();
  client.hello(token.text);
  client.socket.end(frame('last words'));
  const caller = makeCaller('a');
  const handle = await streams.accept(caller);
  t.equal((await readOn(streams, handle, caller)).toString('latin1'), '\0last words');
  await streams.write(handle, Buffer.from('heard'), caller);
  t.same([...(await readOn(streams, handle, caller))], [1]);
  t.match(await client.nextJson(), { status: 'ok' });
  t.equal(await client.next(), 'heard');
});

test('a body that does not come, timed out after five seconds, and the stream is closed', async (t) => {
  const { streams, join: enter } = await openBench(t);
  const caller = makeCaller('a');
  const { client, handle } = await enter(caller);
  client.socket.write(frame('never whole').subarray(0, 6));
  const start = performance.now();
  await t.rejects(readOn(streams, handle, caller), { code: 'timed_out', message: 'Payload read timed out' });
  t.ok(performance.now() - start >= LIMITS.uplinkBodyWaitMs - 50);
  t.same([...(await streams.read(handle, caller))], [1]);
});

test('a client that is gone, what it sent is read, then closed; writes to it are swallowed and logged', async (t) => {
  const { streams, join: enter, logged } = await openBench(t);
  const caller = makeCaller('a');
  const { client, handle } = await enter(caller);
  client.socket.write(frame('bye'));
  client.socket.end();
  t.equal((await readOn(streams, handle, caller)).toString('latin1'), '\0bye');
  client.close();
  for (let count = 0; count < 100 && logged.length === 0; count++) {
    await streams.write(handle, Buffer.alloc(100_000), caller);
  }
  t.match(logged, [/^stream 1: the client was let go/]);
  t.same([...(await streams.read(handle, caller))], [1]);
});

test('eight streams at most: accept says so, poll_accept finds nobody, and a closed one makes room', async (t) => {
  const { streams, join: enter, connect, token, announced } = await openBench(t);
  const caller = makeCaller('a');
  for (let count = 1; count <= LIMITS.uplinkStreamsPerCapsuleMax; count++) t.equal((await enter(caller)).handle, count);
  const ninth = await connect();
  ninth.hello(token.text);
  await t.rejects(streams.accept(caller), { code: 'quota_exceeded', message: 'connection cap reached (8/8)' });
  t.equal(await streams.pollAccept(caller), null);
  streams.close(3, caller);
  streams.close(3, caller);
  t.equal(await streams.accept(caller), 9, 'handles are never used again');
  t.match(await ninth.nextJson(), { status: 'ok' }, 'only now the ninth is told ok');
  t.equal(announced.filter((line) => line.includes('stream_closed')).length, 1, 'the first close is announced');
});

test('accept waits for as long as nobody comes, and unloading ends it', async (t) => {
  const { streams } = await openBench(t);
  const caller = makeCaller('a');
  const accept = streams.accept(caller);
  setImmediate(() => caller.abort());
  await t.rejects(accept, { code: 'cancelled', message: 'capsule unloading' });
  t.equal(await streams.pollAccept(caller), null);
});

test('a write to a client that does not read, unloading ends it and lets the client go', async (t) => {
  const { streams, join: enter } = await openBench(t);
  const caller = makeCaller('a');
  const { client, handle } = await enter(caller);
  client.socket.pause();
  const write = streams.write(handle, Buffer.alloc(LIMITS.payloadBytesMax), caller);
  setImmediate(() => caller.abort());
  await t.rejects(write, { code: 'cancelled', message: 'capsule unloading' });
  t.same([...(await streams.read(handle, makeCaller('a')))], [1]);
});

test('a socket file that nobody listens on is replaced; one that answers is left alone', async (t) => {
  // Short enough for a socket, which a test's own directory is not.
  const directory = mkdtempSync(join(tmpdir(), 'astrid-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const options = { version: '1', token: new SessionToken(), onRejected: () => undefined };
  const stale = new UplinkListener({ ...options, socketPath: `${directory}/stale` });
  writeFileSync(`${directory}/stale`, '');
  await stale.open();
  (await UplinkClient.open(`${directory}/stale`)).close();
  await stale.close();
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(`${directory}/live`, () => resolve()));
  const second = new UplinkListener({ ...options, socketPath: `${directory}/live` });
  await t.rejects(second.open(), { code: 'already_running' });
  t.equal(other.listening, true);
  await second.close();
  await new Promise((resolve) => other.close(resolve));
});
