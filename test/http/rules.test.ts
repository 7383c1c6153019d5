import { test } from 'tap';
import { findBlock, hostCovered, normalBlock } from '../../supervisor/host-names.js';
import { judgeAddress, normalAddress } from '../../supervisor/http/address.js';
import { LocalGrants, normalGrant } from '../../supervisor/http/local-grants.js';
import { redirectOf } from '../../supervisor/http/redirect.js';
import { previewOf, resourceOf } from '../../supervisor/http/request.js';
import { parseTarget, staysAt } from '../../supervisor/http/target.js';
import { fc } from '../kit/property.js';
import { ask, codeOf } from './kit.js';

test('addresses, by kind', (t) => {
  const kinds = {
    public: ['1.1.1.1', '172.32.0.1', '2606:4700::1', '::ffff:1.1.1.1', '64:ff9b::101:101', '2002:101:101::1'],
    local: ['127.0.0.1', '127.255.0.1', '10.1.2.3', '172.16.0.1', '192.168.0.1', '::1', 'fd00::1', '::ffff:10.0.0.1'],
    forbidden: [
      '0.0.0.0',
      '::',
      '169.254.1.1',
      '100.64.0.1',
      '192.0.2.1',
      '198.18.0.1',
      '2002:a00:1::1',
      '2001:db8::1',
    ],
  };
  for (const [kind, addresses] of Object.entries(kinds)) {
    for (const address of addresses) t.equal(judgeAddress(address), kind, address);
  }
  t.equal(normalAddress('::FFFF:127.0.0.1'), '127.0.0.1');
  t.equal(normalAddress('0:0::0:1'), '::1');
  t.equal(normalAddress('localhost'), null);
  t.end();
});

const octets = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255));
const hex = (bytes: readonly number[]) => {
  const pairs = [bytes[0]! * 256 + bytes[1]!, bytes[2]! * 256 + bytes[3]!];
  return pairs.map((pair) => pair.toString(16)).join(':');
};

test('an address inside another, is never more open than by itself', (t) => {
  fc.assert(
    fc.property(octets, octets, (bytes, more) => {
      const plain = judgeAddress(bytes.join('.'));
      const turned = bytes.map((byte) => byte ^ 0xff);
      const wrapped = [
        `::${hex(bytes)}`,
        `64:ff9b::${hex(bytes)}`,
        `2002:${hex(bytes)}::${hex(more)}`,
        `2001:0:1.1.1.1:0:0:${hex(turned)}`.replace('1.1.1.1', '101:101'),
        `2001:0:${hex(bytes)}:0:0:fefe:fefe`,
      ];
      const mapped = judgeAddress(`::ffff:${bytes.join('.')}`);
      return mapped === plain && wrapped.every((one) => judgeAddress(one) !== 'public' || plain === 'public');
    }),
    { numRuns: 2000 },
  );
  t.end();
});

test('hosts and manifest entries, covered as the reference says', (t) => {
  const covered = (entry: string, host: string) => hostCovered([entry], parseTarget(`http://${host}/`).hostname);
  for (const [entry, host] of [
    ['*', 'anything.example'],
    ['example.com', 'example.com'],
    ['example.com', 'EXAMPLE.com.'],
    ['Example.COM.', 'api.example.com'],
    ['bücher.example', 'www.xn--bcher-kva.example'],
    ['xn--bcher-kva.example', 'bücher.example'],
    ['127.0.0.1', '2130706433'],
    ['[::1]', '[0:0::1]'],
  ] as const) {
    t.ok(covered(entry, host), `${entry} covers ${host}`);
  }
  for (const [entry, host] of [
    ['example.com', 'notexample.com'],
    ['example.com', 'example.com.evil.example'],
    ['example.com', 'com'],
    ['', 'example.com'],
    ['.', 'example.com'],
    ['.com', 'example.com'],
    ['*.example.com', 'api.example.com'],
    ['https://example.com', 'example.com'],
    ['example.com:443', 'example.com'],
    ['example.com/path', 'example.com'],
    ['user@example.com', 'example.com'],
    ['0.0.1', '127.0.0.1'],
    ['1', '1.1.1.1'],
    ['::1', '[::1]'],
  ] as const) {
    t.notOk(covered(entry, host), `${entry} does not cover ${host}`);
  }
  t.end();
});

test('what covers a host, is a domain above it by whole labels: a naive oracle agrees', (t) => {
  const label = fc.constantFrom('a', 'b', 'ab', 'xn--bcher-kva');
  const name = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => `${labels.join('.')}.example`);
  fc.assert(
    fc.property(name, name, (entry, host) => {
      const want = entry.split('.');
      const have = host.split('.');
      const oracle =
        have.length >= want.length && want.every((one, at) => one === have[have.length - want.length + at]);
      return hostCovered([entry], host) === oracle;
    }),
  );
  t.end();
});

test('blocks, hold for every spelling of a host, and a whole domain', (t) => {
  const found = (entry: string, host: string) =>
    findBlock([normalBlock(entry) ?? 'none'], parseTarget(`http://${host}/`).hostname);
  for (const [entry, host] of [
    ['*', 'anything.example'],
    ['*', '127.0.0.1'],
    ['example.com', 'example.com'],
    ['example.com', 'EXAMPLE.com.'],
    ['Example.COM.', 'api.example.com'],
    ['*.example.com', 'a.api.example.com.'],
    ['bücher.example', 'www.xn--bcher-kva.example'],
    ['*.xn--bcher-kva.example', 'www.BÜCHER.example'],
    ['example.com', 'ｅxample。com'],
    ['127.0.0.1', '2130706433'],
    ['0177.0.0.1', '127.1'],
    ['127.0.0.1', '[::ffff:7f00:1]'],
    ['[::ffff:127.0.0.1]', '127.0.0.1'],
    ['[2001:db8:0::1]', '[2001:DB8:0:0::1]'],
  ] as const) {
    t.ok(found(entry, host), `${entry} blocks ${host}`);
  }
  for (const [entry, host] of [
    ['example.com', 'notexample.com'],
    ['example.com', 'example.com.evil.example'],
    ['*.example.com', 'example.com'],
    ['*.example.com', 'notexample.com'],
    ['127.0.0.1', '127.0.0.2'],
    ['[::1]', '127.0.0.1'],
  ] as const) {
    t.equal(found(entry, host), null, `${entry} does not block ${host}`);
  }
  t.end();
});

test('grants, in one spelling, and only for what a grant can open', (t) => {
  t.equal(normalGrant('LocalHost.:11434'), 'localhost:11434');
  t.equal(normalGrant('[0:0::1]:80'), '[::1]:80');
  t.equal(normalGrant('2130706433:80'), '127.0.0.1:80');
  for (const bad of [
    'localhost',
    ':80',
    'localhost:',
    'localhost:0',
    'a/b:80',
    'http://a:80',
    '8.8.8.8:80',
    '。a:80',
    '::1:80',
  ]) {
    t.equal(normalGrant(bad), null, bad);
  }
  const grants = new LocalGrants(['localhost:80']);
  t.ok(grants.covers(parseTarget('http://LOCALHOST./x')), 'the port that the scheme implies');
  t.notOk(grants.covers(parseTarget('https://localhost/x')));
  t.end();
});

test('URLs, reduced to one form or refused with the field', async (t) => {
  t.match(parseTarget('HTTP://Example.COM.:080/a/../b?q=secret#frag'), {
    origin: 'http://example.com',
    hostname: 'example.com',
    port: 80,
    path: '/b?q=secret',
    display: 'http://example.com/b?…',
  });
  for (const url of [
    '',
    'example.com',
    'ftp://a/',
    'file:///x',
    'http://',
    'http://a:b@c/',
    'http://@a@b/',
    'http://a..b/',
  ]) {
    t.equal(await codeOf(() => ask(url)), 'invalid_argument', url);
  }
  t.equal(await codeOf(() => ask('http://a/'.padEnd(20_000, 'x'))), 'too_large');
});

test('a request, is what the gate and a person read without its secrets', (t) => {
  const request = ask('https://api.example:8443/v1/x?key=SECRET', {
    method: 'post',
    headers: { Authorization: 'SECRET' },
    body: 'SECRET é',
  });
  t.equal(resourceOf(request), 'POST https://api.example:8443/v1/x?…');
  t.same(previewOf(request), ['POST request with a body of 9 bytes', 'to https://api.example:8443', 'path /v1/x?…']);
  t.end();
});

test('malformed requests, name the field', (t) => {
  const cases: [object, string][] = [
    [{}, 'url'],
    [{ url: 1 }, 'url'],
    [{ url: 'http://a/', method: 'BREW' }, 'method'],
    [{ url: 'http://a/', method: 1 }, 'method'],
    [{ url: 'http://a/', headers: 'x' }, 'headers'],
    [{ url: 'http://a/', headers: { a: null } }, 'headers'],
    [{ url: 'http://a/', body: {} }, 'body'],
  ];
  for (const [value, field] of cases) {
    t.throws(() => ask('', value), { code: 'invalid_argument', field }, JSON.stringify(value));
  }
  t.same(ask('http://a/', { method: null, headers: null, body: null, unknown: 1 }).method, 'GET');
  t.end();
});

test('redirects, by the rules of fetch', (t) => {
  const headers = { authorization: 'a', cookie: 'b', 'x-api-key': 'c', accept: 'd', 'content-type': 'e' };
  const post = ask('https://a.example/x', { method: 'POST', headers, body: 'body' });
  const led = (status: number, location: string, from = post) => {
    const next = redirectOf(from, status, location);
    return next && `${next.method} ${next.target.href} ${next.body ?? '-'} ${[...next.headers.keys()].join(' ')}`;
  };
  t.equal(led(301, '/y'), 'GET https://a.example/y - authorization cookie x-api-key accept');
  t.equal(led(302, '/y'), 'GET https://a.example/y - authorization cookie x-api-key accept');
  t.equal(led(303, '/y'), 'GET https://a.example/y - authorization cookie x-api-key accept');
  t.equal(led(307, '/y'), 'POST https://a.example/y body authorization cookie x-api-key accept content-type');
  t.equal(led(308, '//b.example/y'), 'POST https://b.example/y body accept content-type', 'another origin');
  t.equal(led(307, 'http://a.example/x'), 'POST http://a.example/x body accept content-type', 'down to http');
  t.equal(led(303, '/y', ask('https://a.example/', { method: 'HEAD' })), 'HEAD https://a.example/y - ');
  t.equal(led(302, '/y', ask('https://a.example/', { method: 'PUT', body: 'b' })), 'PUT https://a.example/y b ');
  t.equal(redirectOf(post, 304, '/y'), null);
  t.equal(redirectOf(post, 302, undefined), null);
  t.end();
});

test('the same place, is the same origin or its step up to https', (t) => {
  const stays = (from: string, to: string) => staysAt(parseTarget(from), parseTarget(to));
  t.ok(stays('http://a.example/x', 'http://a.example/y'));
  t.ok(stays('http://a.example/x', 'https://a.example/x'));
  t.notOk(stays('https://a.example/', 'http://a.example/'));
  t.notOk(stays('http://a.example/', 'https://a.example:8443/'));
  t.notOk(stays('http://a.example/', 'https://www.a.example/'));
  t.end();
});
