import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Test, test } from 'tap';
import { asFault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { isPublicAddress, lookupPublic, requirePublicHost } from '../../cli/capsule/address-guard.js';
import { download } from '../../cli/capsule/url-source.js';

async function serve(t: Test, listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const local = { insecureLocal: true };
const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => 'fetched',
    (thrown: unknown) => asFault(thrown).code,
  );

test('a download, from this machine and over a redirect on it, arrives whole', async (t) => {
  const base = await serve(t, (request, response) => {
    if (request.url === '/a') response.writeHead(302, { location: '/b' }).end();
    else response.end('bytes');
  });
  t.equal((await download(new URL('/a', base), local)).toString(), 'bytes');
});

test('a redirect, to a place that is not public or not https, is not followed', async (t) => {
  const targets = [
    'http://example.org/x',
    'http://10.0.0.1/x',
    'https://10.0.0.1/x',
    'https://169.254.169.254/latest',
    'https://192.168.1.1/',
    'https://0/',
    'https://2130706433/',
    'https://[::ffff:7f00:1]/',
    'https://[64:ff9b::a9fe:a9fe]/',
    'https://[2002:7f00:1::]/',
    'https://[2001:0:7f00:1::]/',
    'https://[fe80::1]/',
    'https://[fd00::1]/',
    'https://user:pass@example.org/',
    'file:///etc/passwd',
    'gopher://example.org/',
    'javascript:1',
  ];
  const base = await serve(t, (request, response) => {
    response.writeHead(302, { location: targets[Number(request.url?.slice(1))] ?? '' }).end();
  });
  for (const [index, target] of targets.entries()) {
    t.equal(await codeOf(download(new URL(`/${index}`, base), local)), 'policy_denied', target);
  }
});

test('a redirect, in a circle, ends', async (t) => {
  let asked = 0;
  const base = await serve(t, (_request, response) => {
    asked += 1;
    response.writeHead(302, { location: '/again' }).end();
  });
  t.equal(await codeOf(download(new URL('/', base), local)), 'io_error');
  t.equal(asked, LIMITS.fetchRedirectsMax + 1);
});

test('a download, longer than accepted, is cut off', async (t) => {
  const piece = Buffer.alloc(1024 * 1024);
  const base = await serve(t, (_request, response) => {
    const more = () => {
      while (response.write(piece));
      response.once('drain', more);
    };
    more();
  });
  t.equal(await codeOf(download(new URL('/', base), local)), 'too_large');
});

test('a download, an error or nobody there, is said by its code', async (t) => {
  const base = await serve(t, (request, response) => {
    response.statusCode = request.url === '/gone' ? 404 : 500;
    response.end();
  });
  t.equal(await codeOf(download(new URL('/gone', base), local)), 'not_found');
  t.equal(await codeOf(download(new URL('/broken', base), local)), 'io_error');
  t.equal(await codeOf(download(new URL('http://127.0.0.1:1/'), local)), 'io_error');
});

test('addresses, what is public and what only looks so', async (t) => {
  for (const address of ['1.1.1.1', '2606:4700::1111']) t.ok(isPublicAddress(address), address);
  const inner = [
    '127.0.0.1',
    '0.0.0.0',
    '100.64.0.1',
    '::1',
    '::',
    '::ffff:1.1.1.1',
    '::127.0.0.1',
    'fe80::1%eth0',
    'x',
    '224.0.0.1',
  ];
  for (const address of inner.filter((one) => one !== '::ffff:1.1.1.1')) t.notOk(isPublicAddress(address), address);
  t.throws(() => requirePublicHost('localhost'), { code: 'policy_denied' });
  t.throws(() => requirePublicHost('x.localhost'), { code: 'policy_denied' });
});

test('a name, whose address is on this machine, is refused where the socket would connect', async (t) => {
  const error = await new Promise<Error | null>((resolve) =>
    lookupPublic('localhost', {}, (failure) => resolve(failure)),
  );
  t.match(error, { code: 'policy_denied' });
});
