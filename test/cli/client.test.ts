import { writeFileSync } from 'node:fs';
import { chmod, mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { CONTROL_PROTOCOL } from '../../abi/control.js';
import { asFault, Fault } from '../../abi/errno.js';
import { ControlClient, readWireFault } from '../../cli/client.js';
import { EventStream } from '../../cli/event-stream.js';
import { openHome, openOrMakeHome, resolveHome } from '../../cli/home.js';
import { type FakeScript, FakeSupervisor, makeHome, startFake } from '../kit/fake-supervisor.js';

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'no fault',
    (error: unknown) => asFault(error).code,
  );
}

test('connecting, nobody listens, is not_running whether home, token or socket is missing', async (t) => {
  const home = await makeHome(t);
  t.equal(await codeOf(openHome(join(home, 'none'))), 'not_running');
  const held = await openHome(home);
  t.teardown(() => held.close());
  t.equal(await codeOf(ControlClient.connect(held)), 'not_running', 'no token');
  const fake = await FakeSupervisor.start(home);
  await fake.stop('crash');
  t.equal(await codeOf(ControlClient.connect(held)), 'not_running', 'a token of a dead supervisor');
});

test('connecting, a token that the supervisor does not know, is bad_token', async (t) => {
  const { home } = await startFake(t);
  await writeFile(join(home, 'run/system.token'), 'f'.repeat(64));
  const held = await openHome(home);
  t.teardown(() => held.close());
  t.equal(await codeOf(ControlClient.connect(held)), 'bad_token');
});

test('connecting, a token that is replaced by a starting supervisor in between, is read again', async (t) => {
  const home = await makeHome(t);
  const tokenPath = join(home, 'run/system.token');
  const fake: FakeSupervisor = await FakeSupervisor.start(
    home,
    {},
    {
      welcome: (hello) => {
        if (hello['token'] === fake.token)
          return { t: 'welcome', protocol: CONTROL_PROTOCOL, version: '9.9.9', pid: 0 };
        // The old token was read before this supervisor wrote its own.
        writeFileSync(tokenPath, fake.token);
        return { t: 'refused', error: { code: 'bad_token', message: 'authentication failed' } };
      },
    },
  );
  t.teardown(() => fake.stop());
  await writeFile(tokenPath, 'f'.repeat(64));
  const held = await openHome(home);
  t.teardown(() => held.close());
  const client = await ControlClient.connect(held);
  t.equal(client.version, '9.9.9');
  client.close();
});

test('connecting, a token file that is no token or a link, is bad_token and nothing is sent', async (t) => {
  const { home, fake } = await startFake(t);
  const held = await openHome(home);
  t.teardown(() => held.close());
  await writeFile(join(home, 'run/system.token'), 'short');
  t.equal(await codeOf(ControlClient.connect(held)), 'bad_token');
  await writeFile(join(home, 'elsewhere'), fake.token);
  await rm(join(home, 'run/system.token'));
  await symlink(join(home, 'elsewhere'), join(home, 'run/system.token'));
  t.equal(await codeOf(ControlClient.connect(held)), 'bad_token');
});

test('connecting, a supervisor of another protocol, is bad_protocol', async (t) => {
  for (const welcome of [
    { t: 'welcome', protocol: CONTROL_PROTOCOL + 1, version: '2', pid: 1 },
    { t: 'something' },
    'no map',
    { t: 'refused', error: { code: 'bad_protocol', message: 'this supervisor speaks 2' } },
  ]) {
    const { home } = await startFake(t, {}, { welcome: () => welcome });
    const held = await openHome(home);
    t.equal(await codeOf(ControlClient.connect(held)), 'bad_protocol', JSON.stringify(welcome));
    await held.close();
  }
});

test('connecting, a supervisor that accepts and says nothing, times out', async (t) => {
  const home = await makeHome(t);
  await mkdir(join(home, 'run'));
  await writeFile(join(home, 'run/system.token'), 'a'.repeat(64));
  const sockets: Socket[] = [];
  const server = createServer((socket) => void sockets.push(socket));
  await new Promise<void>((resolve) => server.listen(join(home, 'run/system.sock'), resolve));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const held = await openHome(home);
  t.teardown(() => held.close());
  t.equal(await codeOf(ControlClient.connect(held, 50)), 'timed_out');
});

test('a home, open to others or no directory, is bad_home', async (t) => {
  const home = await makeHome(t);
  await chmod(home, 0o750);
  t.equal(await codeOf(openHome(home)), 'bad_home');
  await chmod(home, 0o700);
  await writeFile(join(home, 'file'), '');
  t.equal(await codeOf(openHome(join(home, 'file'))), 'bad_home');
  t.equal(await codeOf(openHome(home, (process.getuid?.() ?? 0) + 1)), 'bad_home', 'of another user');
});

test('a home, swapped for another after it was opened, is still the one that was checked', async (t) => {
  const { home, fake } = await startFake(t);
  const held = await openHome(home);
  t.teardown(() => held.close());
  const moved = `${home}.moved`;
  await rename(home, moved);
  t.teardown(() => rm(moved, { recursive: true, force: true }));
  await mkdir(join(home, 'run'), { recursive: true });
  await writeFile(join(home, 'run/system.token'), 'e'.repeat(64));
  const client = await ControlClient.connect(held);
  t.equal(client.version, '9.9.9');
  client.close();
  t.ok(fake);
});

test('a home, made by us, is private', async (t) => {
  const home = await makeHome(t);
  const made = await openOrMakeHome(join(home, 'a/b'));
  t.equal(made.path, join(home, 'a/b'));
  await made.close();
});

test('the path of the home, flag before variable before default, and a relative variable is refused', async (t) => {
  t.equal(resolveHome('x', { ASTRID_HOME: '/y' }, '/cwd'), '/cwd/x');
  t.equal(resolveHome(undefined, { ASTRID_HOME: '/y' }, '/cwd'), '/y');
  t.match(resolveHome(undefined, {}, '/cwd'), /\/\.astrid$/);
  t.throws(() => resolveHome(undefined, { ASTRID_HOME: 'y' }, '/cwd'), { code: 'bad_home' });
});

async function connected(t: Test, script: FakeScript = {}): Promise<{ client: ControlClient; fake: FakeSupervisor }> {
  const { home, fake } = await startFake(t, script);
  const held = await openHome(home);
  const client = await ControlClient.connect(held);
  t.teardown(async () => {
    client.close();
    await held.close();
  });
  return { client, fake };
}

test('a request, answered with an error, rejects with that code', async (t) => {
  const { client } = await connected(t, {
    kill: () => {
      throw new Fault('not_found', 'no capsule x');
    },
  });
  await t.rejects(client.request('kill', { target: 'x' }), { code: 'not_found', message: 'no capsule x' });
  t.same(await client.request('ps', {}), []);
});

test('a request, never answered, times out and the connection stays usable', async (t) => {
  const { client } = await connected(t, { kill: () => new Promise(() => {}) });
  await t.rejects(client.request('kill', { target: 'x' }, { waitMs: 20 }), { code: 'timed_out' });
  t.same(await client.request('ps', {}), []);
});

test('a request, too large for a frame, rejects and the connection stays usable', async (t) => {
  const { client } = await connected(t);
  const payload = 'x'.repeat(51 * 1024 * 1024);
  await t.rejects(client.request('bus.publish', { session: 's1', topic: 'user.v1.prompt', payload }), {
    code: 'frame_too_large',
  });
  t.same(await client.request('ps', {}), []);
});

test('closing the connection, requests and streams under way, all end once with connection_closed', async (t) => {
  const { client, fake } = await connected(t, { kill: () => new Promise(() => {}), logs: () => undefined });
  const stream = await client.stream('logs', { follow: true });
  const waiting = codeOf(client.request('kill', { target: 'x' }));
  await fake.waitCall('kill');
  const reading = codeOf(drain(stream));
  fake.dropClients();
  t.same(await Promise.all([waiting, reading]), ['connection_closed', 'connection_closed']);
  t.equal((await client.closed).code, 'connection_closed');
  await t.rejects(client.request('ps', {}), { code: 'connection_closed' });
});

async function drain(stream: AsyncIterable<unknown>): Promise<unknown[]> {
  const events: unknown[] = [];
  for await (const event of stream) events.push(event);
  return events;
}

test('a stream, events before and after its answer, come in order until its end', async (t) => {
  const { client } = await connected(t, {
    logs: (_params, stream) => {
      for (const n of [1, 2, 3]) stream.send(n);
      setImmediate(() => {
        stream.send(4);
        stream.end();
      });
    },
  });
  t.same(await drain(await client.stream('logs', {})), [1, 2, 3, 4]);
});

test('a stream, left by its reader, is cancelled at the supervisor', async (t) => {
  let cancelled: Promise<void> = Promise.reject(new Error('not opened'));
  cancelled.catch(() => {});
  const { client } = await connected(t, {
    logs: (_params, stream) => {
      cancelled = stream.cancelled;
      stream.send(1);
    },
  });
  for await (const event of await client.stream('logs', { follow: true })) {
    t.equal(event, 1);
    break;
  }
  await cancelled;
  t.pass('the supervisor was told');
});

test('a stream, ended with an error, hands out what came before and then throws it', async (t) => {
  const { client } = await connected(t, {
    logs: (_params, stream) => {
      stream.send(1);
      stream.end(new Fault('rate_limited', 'too slow'));
    },
  });
  const seen: unknown[] = [];
  const reading = async () => {
    for await (const event of await client.stream('logs', {})) seen.push(event);
  };
  await t.rejects(reading(), { code: 'rate_limited' });
  t.same(seen, [1]);
});

test('an error of a frame, of any shape, becomes a Fault of the closed list', async (t) => {
  t.match(readWireFault({ code: 'denied_by_newer', message: 'x' }), { code: 'internal', message: 'x' });
  t.match(readWireFault({ code: 'not_found', message: 'x', field: 'id' }), { code: 'not_found', field: 'id' });
  t.match(readWireFault('what'), { code: 'internal' });
});

test('a stream, a reader that never reads, is ended with a fault instead of growing without bound', async (t) => {
  const stream = new EventStream();
  let told = 0;
  stream.onCancel(() => {
    told += 1;
  });
  for (let i = 0; i < 70_000; i += 1) stream.push(i);
  const seen: unknown[] = [];
  const reading = async () => {
    for await (const event of stream) seen.push(event);
  };
  await t.rejects(reading(), { code: 'rate_limited' });
  t.equal(seen.length, 65_536);
  t.equal(told, 1, 'the supervisor was told once');
});
