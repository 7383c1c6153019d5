import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'tap';
import { CONTROL_PROTOCOL } from '../../abi/control.js';
import { Fault } from '../../abi/errno.js';
import { encodeFrame } from '../../bus/frame.js';
import { Router } from '../../bus/router.js';
import type { BusPort } from '../../supervisor/bus-port.js';
import type { KernelFace } from '../../supervisor/control/kernel-face.js';
import { ControlListener } from '../../supervisor/control/listener.js';
import { makeControlHandlers } from '../../supervisor/control/methods.js';
import { LogBook } from '../../supervisor/log-book.js';
import { SessionToken } from '../../supervisor/session-token.js';
import { UplinkPort } from '../../supervisor/uplink-port.js';

test('log lines of one burst, all of them are in the file', async (t) => {
  const directory = t.testdir({});
  const book = new LogBook(directory);
  book.write('talker', 'info', 'first');
  book.write('talker', 'info', 'second');
  book.write('talker', 'info', 'third');
  await delay(100);
  await book.close();
  const [file] = readdirSync(join(directory, 'talker'));
  const text = readFileSync(join(directory, 'talker', file ?? ''), 'utf8');
  t.match(text, /first[\s\S]*second[\s\S]*third/);
});

test('a log line that steers a terminal, breaks lines or turns their order, stands in the file written out', async (t) => {
  const directory = t.testdir({});
  const book = new LogBook(directory);
  const hostile = 'a\u001b[2Kb\u009b2Kc\u0085d\u202ee\u2066f\u200bg\u2028h\ufeffi\nj\tk\r\u007f';
  book.write('talker', 'info', `${hostile} Grüße 你好 ⚠\ufe0f`);
  await book.close();
  const [file] = readdirSync(join(directory, 'talker'));
  const text = readFileSync(join(directory, 'talker', file ?? ''), 'utf8');
  t.notMatch(text, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/);
  const shown =
    '[talker] a\\u{1b}[2Kb\\u{9b}2Kc\\u{85}d\\u{202e}e\\u{2066}f\\u{200b}g\\u{2028}h\\u{feff}i\\nj\\tk\\u{d}\\u{7f} Grüße 你好 ⚠\ufe0f\n';
  t.ok(text.endsWith(shown), text);
  t.equal(text.split('\n').length, 2, 'one line');
});

test('a log directory that cannot be made, no rejection is left unhandled', async (t) => {
  const directory = t.testdir({ talker: 'a file where a directory should be' });
  const unhandled: unknown[] = [];
  const onUnhandled = (reason: unknown) => unhandled.push(reason);
  process.on('unhandledRejection', onUnhandled);
  t.teardown(() => process.off('unhandledRejection', onUnhandled));
  const book = new LogBook(directory);
  book.write('talker', 'info', 'hello');
  await delay(100);
  await book.close();
  t.same(unhandled, []);
});

test('a stream with a pattern that is refused leaves no endpoint behind', async (t) => {
  const router = new Router();
  const uplinks = new UplinkPort(router, {} as BusPort);
  const before = router.snapshot().length;
  t.throws(() =>
    uplinks.subscribe(
      'test',
      's',
      ['a..b'],
      () => undefined,
      () => undefined,
    ),
  );
  t.equal(router.snapshot().length, before);
});

test('a session whose opening cannot be logged is not opened, nor is its mode changed', async (t) => {
  const workspace = t.testdir({});
  let opened = 0;
  const kernel = {
    defaultMode: 'guided',
    recordOperator: () => Promise.reject(new Fault('audit_unavailable', 'down')),
    sessions: {
      get: () => ({ id: 's', principal: 'default' }),
      list: () => [{ id: 's' }],
      addListener: () => () => undefined,
      open: async () => {
        opened++;
        return {
          session: { id: 's', principal: 'default' },
          row: { id: 's', principal: 'default', workspace, mode: 'yolo', createdAt: 0, resumed: true },
        };
      },
    },
  } as unknown as KernelFace;
  const sink = { send: () => undefined, end: () => undefined, onCancel: () => undefined };
  const open = makeControlHandlers(kernel)['session.open'];
  await t.rejects(
    async () =>
      open(
        { id: 's', workspace, mode: 'yolo', interactive: false },
        { client: 'test', onClose: () => undefined },
        sink,
      ),
    { code: 'audit_unavailable' },
  );
  t.equal(opened, 0);
});

test('a client that does not read, the listener closes all the same', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'astrid-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const socketPath = join(directory, 's');
  const tokenPath = join(directory, 't');
  const big = 'x'.repeat(1 << 20);
  const handlers = { status: () => big } as never;
  const token = new SessionToken();
  const listener = new ControlListener({
    socketPath,
    tokenPath,
    token,
    version: '0',
    handlers,
    onRejected: () => undefined,
    onLost: () => undefined,
  });
  await listener.open();
  const socket = connect(socketPath);
  t.teardown(() => socket.destroy());
  await once(socket, 'connect');
  socket.pause();
  socket.write(
    encodeFrame({ t: 'hello', token: readFileSync(tokenPath, 'utf8'), protocol: CONTROL_PROTOCOL, client: 'test' }),
  );
  for (let id = 1; id <= 8; id++) socket.write(encodeFrame({ t: 'req', id, method: 'status', params: {} }));
  while (listener.clientCount === 0) await delay(10);
  await delay(200);
  const closed = await Promise.race([listener.close().then(() => 'closed'), delay(5000, 'still open')]);
  t.equal(closed, 'closed');
});

test('the topics of the kernel, declared by a capsule, are refused when it publishes on them', (t) => {
  const router = new Router();
  const actor = { principal: 'default', attribution: 'verified', session: 's' } as const;
  router.addEndpoint({ id: 'spoofer', sourceId: 'x', publish: ['astrid.v1.*', 'astrid.v1.*.*'], subscribe: [] });
  for (const topic of ['astrid.v1.delivery.failed', 'astrid.v1.watchdog.tick', 'astrid.v1.capsules_loaded']) {
    t.throws(() => router.publish('spoofer', topic, { type: 'custom', data: {} }, 20, actor), {
      code: 'capability_missing',
    });
  }
  t.end();
});
