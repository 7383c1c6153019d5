import { test } from 'tap';
import { judgeAddress } from '../../supervisor/http/address.js';
import { verifyPeer } from '../../supervisor/http/connect.js';
import { allClosed, ask, caller, codeOf, granted, makeService, serve } from '../http/kit.js';

/** Loopback in every spelling that a URL parser, a resolver or a network stack takes for it. */
const LOOPBACK_HOSTS = [
  '127.0.0.1',
  '127.1',
  '127.0.1',
  '0x7f.1',
  '0x7f000001',
  '2130706433',
  '0177.0.0.1',
  '017700000001',
  '127.0.0.1.',
  '１２７.0.0.1',
  '127。0。0。1',
  '%31%32%37.0.0.1',
  '0',
  '0.0.0.0',
  '[::]',
  '[::1]',
  '[0:0:0:0:0:0:0:1]',
  '[::ffff:127.0.0.1]',
  '[::ffff:7f00:1]',
  '[::7f00:1]',
  '[::127.0.0.1]',
  '[64:ff9b::7f00:1]',
  '[64:ff9b:1::7f00:1]',
  '[2002:7f00:1::]',
  '[2002:7f00:1::1]',
  '[2001:0:7f00:1::]',
  '[2001:0:808:808::80ff:fffe]',
  '[::ffff:0:7f00:1]',
];

test('loopback in any spelling, without a grant, is refused before a connection', async (t) => {
  const server = await serve(t, (_request, response) => response.end('inside'));
  const service = makeService(t);
  for (const host of LOOPBACK_HOSTS) {
    t.equal(await codeOf(service.request(ask(`http://${host}:${server.port}/`), caller())), 'policy_denied', host);
  }
  t.equal(server.hits(), 0);
});

test('a grant for one spelling, does not open another', async (t) => {
  const server = await serve(t, (_request, response) => response.end('inside'));
  const service = makeService(t, { local: [`localhost:${server.port}`] });
  t.equal(await codeOf(service.request(ask(`http://localhost:${server.port}/`), caller())), 'accepted');
  const hits = server.hits();
  for (const host of ['[::ffff:127.0.0.1]', '127.0.0.1', 'sub.localhost', '[::7f00:1]']) {
    t.equal(await codeOf(service.request(ask(`http://${host}:${server.port}/`), caller())), 'policy_denied', host);
  }
  t.equal(await codeOf(service.request(ask(`http://localhost:${server.port + 1}/`), caller())), 'policy_denied');
  t.equal(server.hits(), hits);
});

test('a zone, and text that is no address, is no URL or refused', async (t) => {
  for (const host of ['[fe80::1%25eth0]', '[fe80::1%eth0]', '[::1', '127.0.0.1.5', '0x1ffffffff']) {
    t.equal(await codeOf(() => ask(`http://${host}/`)), 'invalid_argument', host);
  }
  for (const address of ['fe80::1%1', '2606:4700::1%eth0', '127.1', '0x7f.1', '', 'example.com', '1.1.1.1 ']) {
    t.equal(judgeAddress(address), 'forbidden', address);
  }
});

test('metadata services and other special addresses, with any grant, stay closed', async (t) => {
  const service = makeService(t, { local: ['metadata.example:80'], resolve: async () => ['169.254.169.254'] });
  t.equal(await codeOf(service.request(ask('http://metadata.example/'), caller())), 'policy_denied');
  for (const host of [
    '169.254.169.254',
    '[::ffff:a9fe:a9fe]',
    '[64:ff9b::a9fe:a9fe]',
    '[fe80::1]',
    '[fec0::1]',
    '168.63.129.16',
    '[::ffff:a83f:8110]',
  ]) {
    t.equal(await codeOf(service.request(ask(`http://${host}/`), caller())), 'policy_denied', host);
  }
  for (const host of [
    '224.0.0.1',
    '255.255.255.255',
    '240.0.0.1',
    '100.64.0.1',
    '[4000::1]',
    '[ff02::1]',
    '[100::1]',
  ]) {
    t.equal(await codeOf(service.request(ask(`http://${host}/`), caller())), 'policy_denied', host);
  }
});

test('a name with one private answer among public ones, is refused', async (t) => {
  const server = await serve(t, (_request, response) => response.end('inside'));
  for (const answers of [
    ['127.0.0.1', '2606:4700::1'],
    ['2606:4700::1', '10.0.0.1'],
    ['2606:4700::1', '64:ff9b::7f00:1'],
    ['2606:4700::1', 'fe80::1%2'],
    ['2606:4700::1', 'garbage'],
  ]) {
    const service = makeService(t, { resolve: async () => answers });
    const url = `http://mixed.example:${server.port}/`;
    t.equal(await codeOf(service.request(ask(url), caller())), 'policy_denied', answers.join(' '));
  }
  t.equal(server.hits(), 0);
});

test('a name that answers public first and private later, is asked once for each connection and never followed inside', async (t) => {
  const server = await serve(t, (_request, response) => response.end('inside'));
  const answers = [['2001:4860:ffff:ffff::1'], ['127.0.0.1'], ['127.0.0.1']];
  let asked = 0;
  const service = makeService(t, { resolve: async () => answers[asked++]!, times: { connectMs: 300 } });
  const url = `http://rebind.example:${server.port}/`;
  t.match(await codeOf(service.request(ask(url), caller())), /io_error|timed_out/, 'goes to the checked address alone');
  t.equal(asked, 1, 'the connection does not resolve again');
  t.equal(await codeOf(service.request(ask(url), caller())), 'policy_denied');
  t.equal(asked, 2);
  t.equal(server.hits(), 0);
});

test('a socket that is connected elsewhere than was checked, or to this machine itself, is refused', (t) => {
  const peer = (remoteAddress: string | undefined, localAddress: string) => ({ remoteAddress, localAddress }) as never;
  const checked = ['2606:4700::1', '1.1.1.1'];
  t.doesNotThrow(() => verifyPeer(peer('1.1.1.1', '10.0.0.2'), checked, false));
  t.doesNotThrow(() => verifyPeer(peer('::ffff:1.1.1.1', '::ffff:10.0.0.2'), checked, false), 'a mapped spelling');
  t.doesNotThrow(() => verifyPeer(peer('127.0.0.1', '127.0.0.1'), ['127.0.0.1'], true), 'by grant');
  for (const [remote, local] of [
    ['8.8.8.8', '10.0.0.2'],
    ['127.0.0.1', '127.0.0.1'],
    [undefined, '10.0.0.2'],
    ['1.1.1.1', '1.1.1.1'],
  ] as const) {
    t.throws(() => verifyPeer(peer(remote, local), checked, false), { code: 'policy_denied' }, String(remote));
  }
  t.throws(() => verifyPeer(peer('127.0.0.1', '127.0.0.1'), ['127.0.0.1'], false), { code: 'policy_denied' });
  t.end();
});

test('a redirect to a local address, by whatever server, is refused', async (t) => {
  const inside = await serve(t, (_request, response) => response.end('inside'));
  for (const location of [
    'http://169.254.169.254/latest/meta-data/',
    `http://[::ffff:127.0.0.1]:${inside.port}/`,
    `http://2130706433:${inside.port}/`,
    `//0x7f.1:${inside.port}/`,
  ]) {
    const outside = await serve(t, (_request, response) => response.writeHead(302, { location }).end());
    const service = granted(t, outside);
    const url = `http://localhost:${outside.port}/`;
    t.equal(await codeOf(service.request(ask(url), caller())), 'policy_denied', location);
    t.equal(await codeOf(service.openStream(ask(url), caller())), 'policy_denied', location);
    await allClosed(outside);
  }
  t.equal(inside.hits(), 0);
});

test('a granted place, reached by a redirect from another, stays closed even with a connection to it open', async (t) => {
  let hits = 0;
  const inside = await serve(t, (_request, response) => {
    hits += 1;
    response.end('inside');
  });
  const outside = await serve(t, (_request, response) =>
    response.writeHead(307, { location: `http://localhost:${inside.port}/api/delete` }).end(),
  );
  const service = makeService(t, { local: [`localhost:${inside.port}`, `localhost:${outside.port}`] });
  t.equal(await codeOf(service.request(ask(`http://localhost:${inside.port}/`), caller())), 'accepted');
  t.equal(await codeOf(service.request(ask(`http://localhost:${outside.port}/`), caller())), 'policy_denied');
  t.equal(hits, 1);
});

test('a redirect to another scheme, to userinfo, or in a circle, ends in an error', async (t) => {
  for (const [location, code] of [
    ['file:///etc/passwd', 'invalid_argument'],
    ['ftp://example.com/', 'invalid_argument'],
    ['data:text/plain,x', 'invalid_argument'],
    ['http://user:pass@example.com/', 'invalid_argument'],
    ['/again', 'io_error'],
  ] as const) {
    const server = await serve(t, (_request, response) => response.writeHead(302, { location }).end());
    const service = granted(t, server);
    t.equal(await codeOf(service.request(ask(`http://127.0.0.1:${server.port}/`), caller())), code, location);
    t.ok(server.hits() <= 11);
  }
});

test('proxy variables of the environment, are not read', async (t) => {
  const proxy = await serve(t, (_request, response) => response.end('proxy'));
  const server = await serve(t, (_request, response) => response.end('server'));
  for (const name of [
    'HTTP_PROXY',
    'http_proxy',
    'ALL_PROXY',
    'ASTRID_ALLOW_LOCAL_IPS',
    'ASTRID_TEST_ALLOW_LOCAL_IP',
  ]) {
    const before = process.env[name];
    process.env[name] = `http://127.0.0.1:${proxy.port}`;
    t.teardown(() => {
      if (before === undefined) delete process.env[name];
      else process.env[name] = before;
    });
  }
  const service = granted(t, server);
  t.match(await service.request(ask(`http://localhost:${server.port}/`), caller()), { body: 'server' });
  t.equal(proxy.hits(), 0);
  t.equal(await codeOf(service.request(ask(`http://localhost:${proxy.port}/`), caller())), 'policy_denied');
});
