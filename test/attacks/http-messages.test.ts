import { once } from 'node:events';
import type { Socket } from 'node:net';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { test } from 'tap';
import { LIMITS } from '../../abi/limits.js';
import { allClosed, ask, caller, codeOf, granted, serve, serveRaw } from '../http/kit.js';

const MIB = 1024 * 1024;

test('headers that smuggle a second request or speak for the kernel, are refused by name', async (t) => {
  for (const headers of [
    { Host: 'internal' },
    { 'Content-Length': '0' },
    { 'transfer-encoding': 'chunked' },
    { Connection: 'upgrade' },
    { Upgrade: 'websocket' },
    { Expect: '100-continue' },
    { TE: 'trailers' },
    { Trailer: 'x' },
    { 'Keep-Alive': 'timeout=1000' },
    { 'Proxy-Authorization': 'Basic x' },
    { 'x\r\ny': '1' },
    { 'x y': '1' },
    { 'x:': '1' },
    { '': '1' },
    { x: 'a\r\nhost: internal' },
    { x: 'a\nb' },
    { x: 'a\0b' },
    { x: 'a\u010ab' },
    { x: 'a\u560a\u560db' },
    { x: 1 },
    { a: '1', A: '2' },
    [],
    'x: 1',
  ]) {
    t.equal(await codeOf(() => ask('http://example.com/', { headers })), 'invalid_argument', JSON.stringify(headers));
  }
  const many = Object.fromEntries(Array.from({ length: LIMITS.httpHeadersMax + 1 }, (_, i) => [`x-${i}`, '']));
  t.equal(await codeOf(() => ask('http://example.com/', { headers: many })), 'too_large');
  const long = { x: 'a'.repeat(LIMITS.httpHeaderBytesMax) };
  t.equal(await codeOf(() => ask('http://example.com/', { headers: long })), 'too_large');
});

test('no refusal, holds what was refused', (t) => {
  try {
    ask('http://example.com/?token=SECRET', { headers: { authorization: 'SECRET\n' } });
    t.fail('accepted');
  } catch (error) {
    t.notMatch(String(error), /SECRET/);
  }
  t.end();
});

test('a method or path with a line end, does not reach the wire', async (t) => {
  t.equal(await codeOf(() => ask('http://example.com/', { method: 'GET / HTTP/1.1\r\nX:' })), 'invalid_argument');
  t.equal(await codeOf(() => ask('http://example.com/', { method: 'CONNECT' })), 'invalid_argument');
  t.equal(await codeOf(() => ask('http://example.com/', { method: 'TRACE' })), 'invalid_argument');
  const { target } = ask('http://example.com/a b\r\nX: 1/\u0000?q=\r\n1');
  t.match(target.path, /^[\x21-\x7e]+$/);
});

/** Each more than a decoder takes at once (16 KiB): while the server says nothing, that alone tells a pipeline of the decoder's end. */
const BOMBS = {
  gzip: () => gzipSync(Buffer.alloc(64 * MIB)),
  br: () => brotliCompressSync(Buffer.alloc(64 * MIB), { params: { [constants.BROTLI_PARAM_QUALITY]: 0 } }),
};

test('a compressed bomb, ends as too_large without the memory, before the body ends', async (t) => {
  for (const encoding of ['gzip', 'br'] as const) {
    const bomb = BOMBS[encoding]();
    t.ok(bomb.length < MIB && bomb.length > 2 * 16 * 1024, 'small on the wire');
    // Never ended: whoever looks at the bound only when all is there does not get that far.
    const server = await serve(t, (_request, response) =>
      response.writeHead(200, { 'content-encoding': encoding }).write(bomb),
    );
    const service = granted(t, server);
    // Not the memory of the process: what the allocator keeps is its own affair. Of buffers it is no more than what was made.
    const before = process.memoryUsage().arrayBuffers;
    t.equal(await codeOf(service.request(ask(`http://localhost:${server.port}/`), caller())), 'too_large', encoding);
    t.ok(process.memoryUsage().arrayBuffers - before < 48 * MIB, 'not the memory of the body');
    await allClosed(server);
  }
});

test('a chain of encodings, is not undone', async (t) => {
  const body = gzipSync(gzipSync(Buffer.alloc(MIB)));
  const server = await serve(t, (_request, response) =>
    response.writeHead(200, { 'content-encoding': 'gzip, gzip' }).end(body),
  );
  const service = granted(t, server);
  t.equal(await codeOf(service.request(ask(`http://localhost:${server.port}/`), caller())), 'not_supported');
});

test('an endless body, ends at the bound', async (t) => {
  const chunk = Buffer.alloc(64 * 1024, 'x');
  const server = await serve(t, (_request, response) => {
    const more = () => {
      while (!response.destroyed && response.write(chunk));
    };
    response.on('drain', more);
    more();
  });
  const service = granted(t, server);
  t.equal(await codeOf(service.request(ask(`http://localhost:${server.port}/`), caller())), 'too_large');
  await allClosed(server);
});

/** Writes one byte at each turn of a fast timer, for ever. */
function drip(socket: Socket, text: string): void {
  const timer = setInterval(() => socket.write(text), 5);
  socket.once('close', () => clearInterval(timer));
}

test('a server that never ends its headers, ends at the clock or at the bound', async (t) => {
  const slow = await serveRaw(t, (socket) => {
    socket.write('HTTP/1.1 200 OK\r\n');
    drip(socket, 'x');
  });
  const patient = granted(t, slow, { times: { requestMs: 150, chunkMs: 150 } });
  t.equal(await codeOf(patient.request(ask(`http://localhost:${slow.port}/`), caller())), 'timed_out');
  t.equal(await codeOf(patient.openStream(ask(`http://localhost:${slow.port}/`), caller())), 'timed_out');
  await allClosed(slow);
  const fast = await serveRaw(t, (socket) => {
    socket.write('HTTP/1.1 200 OK\r\n');
    const more = () => {
      while (!socket.destroyed && socket.write('x-a: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n'.repeat(100)));
    };
    socket.on('drain', more);
    more();
  });
  t.equal(await codeOf(granted(t, fast).request(ask(`http://localhost:${fast.port}/`), caller())), 'too_large');
  await allClosed(fast);
});

test('a body that drips, or informational answers without end, end at the total clock', async (t) => {
  const heads = ['HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n', ''];
  const drips = ['x', 'HTTP/1.1 100 Continue\r\n\r\n'];
  for (const [at, head] of heads.entries()) {
    const server = await serveRaw(t, (socket) => {
      socket.write(head);
      drip(socket, drips[at]!);
    });
    const service = granted(t, server, { times: { requestMs: 150 } });
    t.match(await codeOf(service.request(ask(`http://localhost:${server.port}/`), caller())), /timed_out|io_error/);
    await allClosed(server);
  }
});

test('a server that takes the connection and says nothing to TLS, ends at the connect clock', async (t) => {
  const server = await serveRaw(t, () => undefined);
  const service = granted(t, server, { times: { connectMs: 100 } });
  t.equal(await codeOf(service.request(ask(`https://localhost:${server.port}/`), caller())), 'timed_out');
  await allClosed(server);
});

test('a resolver that never answers, ends at the connect clock', async (t) => {
  const server = await serveRaw(t, () => undefined);
  const service = granted(t, server, { times: { connectMs: 50 }, resolve: () => new Promise(() => undefined) });
  t.equal(await codeOf(service.request(ask(`http://localhost:${server.port}/`), caller())), 'timed_out');
});

test('an answer that is not HTTP, ambiguous, cut or an upgrade, is an error', async (t) => {
  for (const answer of [
    'SSH-2.0-OpenSSH\r\n',
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef',
    'HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nabc',
    'HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc',
    '',
  ]) {
    const server = await serveRaw(t, (socket) => socket.end(answer));
    const service = granted(t, server);
    t.equal(await codeOf(service.request(ask(`http://localhost:${server.port}/`), caller())), 'io_error', answer);
    await allClosed(server);
  }
});

test('what a server sends behind its answer, does not become the answer to the next request', async (t) => {
  let requests = 0;
  const server = await serveRaw(t, (socket) => {
    socket.on('data', () => {
      requests += 1;
      const extra = requests === 1 ? 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil' : '';
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood${extra}`);
    });
  });
  const service = granted(t, server);
  const url = `http://localhost:${server.port}/`;
  await codeOf(service.request(ask(url), caller()));
  const second = await service.request(ask(url), caller());
  t.equal(second.body, 'good');
});

test('a body that is not UTF-8, is refused with the way out', async (t) => {
  const server = await serve(t, (_request, response) => response.end(Buffer.from([0xff, 0xfe, 0x00])));
  t.equal(await codeOf(granted(t, server).request(ask(`http://localhost:${server.port}/`), caller())), 'not_supported');
});

test('a self-signed certificate, is refused whatever the environment says', async (t) => {
  const { createServer } = await import('node:https');
  const { key, cert } = await import('../http/certificate.js');
  const server = createServer({ key, cert }, (_request, response) => response.end('inside'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const before = process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
  process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
  t.teardown(() => {
    if (before === undefined) delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
    else process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = before;
  });
  const { port } = server.address() as { port: number };
  const service = granted(t, { port, hits: () => 0, open: () => 0 });
  await t.rejects(service.request(ask(`https://localhost:${port}/`), caller()), {
    code: 'io_error',
    message: 'the certificate of the host is not valid',
  });
});
