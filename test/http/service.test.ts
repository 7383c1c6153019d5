import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { test } from 'tap';
import { LIMITS } from '../../abi/limits.js';
import { allClosed, ask, bodyOf, caller, codeOf, granted, serve, serveRaw } from './kit.js';

const decoder = new TextDecoder();

test('a request, is sent as written and answered with status, headers and body', async (t) => {
  const server = await serve(t, async (request, response) => {
    const seen = { method: request.method, url: request.url, headers: request.headers, body: await bodyOf(request) };
    response.writeHead(418, { 'X-Upper': 'Value', 'set-cookie': ['a=1', 'b=2'], 'x-latin': 'caf\u00e9' });
    response.end(JSON.stringify(seen));
  });
  const url = `http://localhost:${server.port}/a%20b?q=1`;
  const { status, headers, body } = await granted(t, server).request(
    ask(url, { method: 'post', headers: { 'X-One': ' 1 ', accept: 'text/plain' }, body: 'é' }),
    caller(),
  );
  t.equal(status, 418, 'a status of error is a response');
  t.match(headers, { 'x-upper': 'Value', 'set-cookie': 'b=2' });
  t.notOk('x-latin' in headers, 'values outside visible ASCII are left out');
  const seen = JSON.parse(body);
  t.match(seen, { method: 'POST', url: '/a%20b?q=1', body: 'é' });
  t.match(seen.headers, {
    host: `localhost:${server.port}`,
    'x-one': '1',
    accept: 'text/plain',
    'content-length': '2',
    'accept-encoding': 'gzip, deflate, br',
  });
});

test('every method, with the body it may have, arrives', async (t) => {
  const server = await serve(t, async (request, response) => {
    response.setHeader('x-seen', `${request.method} ${await bodyOf(request)}`);
    response.end();
  });
  const service = granted(t, server);
  const url = `http://127.0.0.1:${server.port}/`;
  for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS']) {
    const { headers } = await service.request(ask(url, { method }), caller());
    t.equal(headers['x-seen']?.trim(), method);
  }
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
    const { headers } = await service.request(ask(url, { method, body: 'x' }), caller());
    t.equal(headers['x-seen'], `${method} x`);
  }
});

test('a small body that becomes too large, from a server that then says nothing, is refused at once', async (t) => {
  const bomb = gzipSync(Buffer.alloc(LIMITS.httpBodyBytesMax + 1));
  const server = await serve(t, (_request, response) => {
    response.writeHead(200, { 'content-encoding': 'gzip' });
    response.write(bomb);
  });
  // Its own time for the whole request is far away: nothing but the bound can end it.
  const service = granted(t, server, { times: { requestMs: 3_600_000, chunkMs: 3_600_000 } });
  t.equal(await codeOf(service.request(ask(`http://localhost:${server.port}/`), caller())), 'too_large');
});

test('an address that nobody opened, or this machine by its name, is refused before anybody is asked', async (t) => {
  const server = await serve(t, (_request, response) => response.end());
  const service = granted(t, server);
  const admit = (url: string) => () => service.admit(ask(url));
  for (const host of [
    'localhost:1',
    'a.localhost',
    '127.0.0.1:1',
    '[::1]',
    '10.0.0.1',
    '169.254.169.254',
    '[::ffff:7f00:1]',
  ])
    t.throws(admit(`http://${host}/`), { code: 'policy_denied', field: 'url' }, host);
  for (const url of [
    `http://localhost:${server.port}/`,
    `http://127.0.0.1:${server.port}/`,
    'https://example.org/',
    'http://1.1.1.1/',
  ])
    t.doesNotThrow(admit(url), url);
});

test('compressed bodies, are undone and no longer described', async (t) => {
  const text = 'hello '.repeat(1000);
  const forms: Record<string, [string, Buffer]> = {
    gzip: ['gzip', gzipSync(text)],
    xgzip: ['X-GZIP', gzipSync(text)],
    br: ['br', brotliCompressSync(text)],
    deflate: ['deflate', deflateSync(text)],
    raw: ['deflate', deflateRawSync(text)],
    none: ['identity', Buffer.from(text)],
  };
  const server = await serve(t, (request, response) => {
    const [encoding, bytes] = forms[request.url!.slice(1)]!;
    response.writeHead(200, { 'content-encoding': encoding, 'content-length': bytes.length });
    response.end(request.method === 'HEAD' ? undefined : bytes);
  });
  const service = granted(t, server);
  for (const form of Object.keys(forms)) {
    const { body, headers } = await service.request(ask(`http://localhost:${server.port}/${form}`), caller());
    t.equal(body, text, form);
    if (form !== 'none') t.notOk('content-encoding' in headers || 'content-length' in headers, form);
  }
  const head = await service.request(ask(`http://localhost:${server.port}/gzip`, { method: 'HEAD' }), caller());
  t.equal(head.body, '');
  t.equal(head.headers['content-encoding'], 'gzip', 'of a body that did not come');
});

test('redirects, are asked about one by one; a refusal is an error and a no hands the redirect back', async (t) => {
  const server = await serve(t, (request, response) => {
    if (request.url === '/end') response.end('end');
    else response.writeHead(302, { location: request.url === '/1' ? '/2' : '/end' }).end('moved');
  });
  const service = granted(t, server);
  const url = `http://localhost:${server.port}/1`;
  const asked: string[] = [];
  const mayFollow = (from: { target: { path: string } }, to: { target: { path: string } }) => {
    asked.push(`${from.target.path} ${to.target.path}`);
    return to.target.path !== '/end';
  };
  t.match(await service.request(ask(url), caller()), { status: 200, body: 'end' });
  const stopped = await service.request(ask(url), caller({ mayFollow }));
  t.match(stopped, { status: 302, headers: { location: '/end' }, body: 'moved' });
  t.same(asked, ['/1 /2', '/2 /end']);
  const refusing = caller({ mayFollow: () => Promise.reject(new TypeError('refused')) });
  await t.rejects(service.request(ask(url), refusing));
});

test('connections, are kept for the next request of the same instance only', async (t) => {
  const server = await serve(t, (_request, response) => response.end('x'));
  const service = granted(t, server);
  const url = `http://localhost:${server.port}/`;
  await service.request(ask(url), caller());
  await service.request(ask(url), caller());
  t.equal(server.hits(), 1);
  await service.request(ask(url), caller({ sourceId: 'two' }));
  t.equal(server.hits(), 2);
  service.release('one');
  service.release('two');
  await allClosed(server);
});

test('a kept connection that the server closed meanwhile, is replaced for requests that may be repeated', async (t) => {
  let connections = 0;
  const server = await serveRaw(t, (socket) => {
    const first = ++connections === 1;
    let requests = 0;
    socket.on('data', () => {
      if (first && ++requests === 2) socket.destroy();
      else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    });
  });
  const service = granted(t, server);
  const url = `http://localhost:${server.port}/`;
  t.match(await service.request(ask(url), caller()), { body: 'ok' });
  t.match(await service.request(ask(url), caller()), { body: 'ok' });
  t.equal(connections, 2);
});

test('a stream, is read as it comes, ends empty, and closes once and again', async (t) => {
  let sendRest: () => void = () => undefined;
  const server = await serve(t, (request, response) => {
    response.writeHead(200, { 'x-encoding': request.headers['accept-encoding'] });
    response.write('one');
    request.on('close', () => undefined);
    sendRest = () => response.end('two');
  });
  const service = granted(t, server);
  const { handle, status, headers } = await service.openStream(ask(`http://localhost:${server.port}/`), caller());
  t.same([handle, status, headers['x-encoding']], ['1', 200, 'identity']);
  const read = async () => decoder.decode(await service.readStream(1, caller()));
  t.equal(await read(), 'one', 'before the rest is sent');
  sendRest();
  t.same([await read(), await read(), await read()], ['two', '', '']);
  service.closeStream(1, caller());
  service.closeStream(1, caller());
  service.closeStream(99, caller());
  t.equal(await codeOf(service.readStream(1, caller())), 'bad_handle');
});

test('streams, are four at once, numbered for ever, and nobody else’s', async (t) => {
  const server = await serve(t, (_request, response) => response.write('x'));
  const service = granted(t, server);
  const open = () => service.openStream(ask(`http://localhost:${server.port}/`), caller());
  const handles = await Promise.all([open(), open(), open(), open()]);
  t.same(handles.map(({ handle }) => handle).sort(), ['1', '2', '3', '4']);
  await t.rejects(open(), { code: 'quota_exceeded', message: 'HTTP stream cap reached (4/4)' });
  t.equal(await codeOf(service.readStream(1, caller({ sourceId: 'two' }))), 'bad_handle');
  service.closeStream(2, caller({ sourceId: 'two' }));
  service.closeStream(2, caller());
  t.equal((await open()).handle, '5');
  service.release('one');
  t.equal(await codeOf(service.readStream(1, caller())), 'bad_handle');
  await allClosed(server);
});

test('a stream nobody reads, holds the sender back', async (t) => {
  const chunk = Buffer.alloc(64 * 1024);
  let sent = 0;
  let settled: () => void = () => undefined;
  const full = new Promise<void>((resolve) => {
    settled = resolve;
  });
  const server = await serve(t, (_request, response) => {
    const more = () => {
      while (!response.destroyed && sent < 256 * 1024 * 1024) {
        sent += chunk.length;
        if (!response.write(chunk)) break;
      }
      const before = sent;
      setTimeout(() => before === sent && settled(), 300);
    };
    response.on('drain', more);
    more();
  });
  const service = granted(t, server);
  await service.openStream(ask(`http://localhost:${server.port}/`), caller());
  await full;
  t.ok(sent < 64 * 1024 * 1024, `${sent} bytes left the server`);
  const read = await service.readStream(1, caller());
  t.ok(read.length > 0 && read.length <= 256 * 1024);
});

test('an instance that ends, ends what it waits for: a request with cancelled, a read with nothing', async (t) => {
  const server = await serve(t, (request, response) => {
    if (request.url === '/stream') response.write('x');
  });
  const service = granted(t, server);
  const ending = new AbortController();
  const mine = caller({ cancel: ending.signal });
  const base = `http://localhost:${server.port}`;
  await service.openStream(ask(`${base}/stream`), mine);
  await service.readStream(1, mine);
  const waiting = [
    codeOf(service.request(ask(`${base}/never`), mine)),
    codeOf(service.openStream(ask(`${base}/never`), mine)),
  ];
  const reading = service.readStream(1, mine);
  ending.abort();
  service.release('one');
  t.same(await Promise.all(waiting), ['cancelled', 'cancelled']);
  t.equal((await reading).length, 0);
  t.equal(await codeOf(async () => service.request(ask(base), mine)), 'cancelled', 'nothing begins afterwards');
  await allClosed(server);
});

test('a chunk that does not come, ends at the clock, and the stream with it', async (t) => {
  const server = await serve(t, (_request, response) => response.write('x'));
  const service = granted(t, server, { times: { chunkMs: 100 } });
  await service.openStream(ask(`http://localhost:${server.port}/`), caller());
  await service.readStream(1, caller());
  t.equal(await codeOf(service.readStream(1, caller())), 'timed_out');
  t.equal(await codeOf(service.readStream(1, caller())), 'timed_out', 'as before, not the rest');
  await allClosed(server);
});

test('a body that breaks off, is an error of the read that meets it', async (t) => {
  const breaks: (() => void)[] = [];
  const server = await serve(t, (_request, response) => {
    response.write('x');
    breaks.push(() => response.destroy());
  });
  const service = granted(t, server);
  await service.openStream(ask(`http://localhost:${server.port}/`), caller());
  await service.readStream(1, caller());
  for (const breakOff of breaks) breakOff();
  t.equal(await codeOf(service.readStream(1, caller())), 'io_error');
});

test('no server, is one error without an address', async (t) => {
  const server = await serve(t, () => undefined);
  const closed = { ...server, port: 1 };
  const service = granted(t, closed);
  await t.rejects(service.request(ask('http://localhost:1/'), caller()), {
    code: 'io_error',
    message: 'the connection was refused',
  });
  t.equal(await codeOf(service.openStream(ask('http://localhost:1/'), caller())), 'io_error');
  const nowhere = granted(t, closed, { resolve: async () => [] });
  await t.rejects(nowhere.request(ask('http://localhost:1/'), caller()), {
    code: 'io_error',
    message: 'the host name has no address',
  });
});
