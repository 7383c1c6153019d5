import { test } from 'tap';
import { URL as SdkUrl } from '../../abi/sdk/url.js';
import { URLSearchParams as SdkParams } from '../../abi/sdk/url-search-params.js';
import { fc } from '../kit/property.js';

/** Cases of the web platform tests (url/resources/urltestdata.json): input, base, href (null: failure). */
const WPT: readonly (readonly [input: string, base: string | null, href: string | null])[] = [
  ['http://example\t.\norg', 'http://example.org/foo/bar', 'http://example.org/'],
  ['http://user:pass@foo:21/bar;par?b#c', 'http://example.org/foo/bar', 'http://user:pass@foo:21/bar;par?b#c'],
  ['https://test:@test', null, 'https://test@test/'],
  ['https://:@test', null, 'https://test/'],
  ['non-special://test:@test/x', null, 'non-special://test@test/x'],
  ['http:foo.com', 'http://example.org/foo/bar', 'http://example.org/foo/foo.com'],
  ['\t   :foo.com   \n', 'http://example.org/foo/bar', 'http://example.org/foo/:foo.com'],
  [' foo.com  ', 'http://example.org/foo/bar', 'http://example.org/foo/foo.com'],
  ['http://f:0/c', null, 'http://f:0/c'],
  ['http://f:00000000000000000000080/c', null, 'http://f/c'],
  ['http://f:b/c', null, null],
  ['http://f: /c', null, null],
  ['http://f:65536/c', null, null],
  ['', 'http://example.org/foo/bar', 'http://example.org/foo/bar'],
  ['#', 'http://example.org/foo/bar', 'http://example.org/foo/bar#'],
  ['?', 'http://example.org/foo/bar', 'http://example.org/foo/bar?'],
  ['\\x', 'http://example.org/foo/bar', 'http://example.org/x'],
  ['//server/file', 'http://example.org/foo/bar', 'http://server/file'],
  ['http:/example.com/', 'http://example.org/foo/bar', 'http://example.org/example.com/'],
  ['ftp:/example.com/', 'http://example.org/foo/bar', 'ftp://example.com/'],
  ['madeupscheme:/example.com/', 'http://example.org/foo/bar', 'madeupscheme:/example.com/'],
  ['mailto:example.com', 'http://example.org/foo/bar', 'mailto:example.com'],
  ['/a/b/c', 'http://example.org/foo/bar', 'http://example.org/a/b/c'],
  ['http://example.com/foo/%2e%2', null, 'http://example.com/foo/%2e%2'],
  ['http://example.com/foo/%2e./%2e%2e/.%2e/%2e.bar', null, 'http://example.com/%2e.bar'],
  ['http://example.com////../..', null, 'http://example.com//'],
  ['http://example.com/foo/bar//../..', null, 'http://example.com/foo/'],
  ['http://example.com/foo\t%91', null, 'http://example.com/foo%91'],
  ['http://www.google.com/foo?bar=baz# \u00bb', null, 'http://www.google.com/foo?bar=baz#%20%C2%BB'],
  ['data:test# \u00bb', null, 'data:test#%20%C2%BB'],
  ['http://[::1]/x', null, 'http://[::1]/x'],
  ['http://[1:2::3:4:5]/', null, 'http://[1:2::3:4:5]/'],
  ['http://[::127.0.0.1]', null, 'http://[::7f00:1]/'],
  ['http://[0:0:0:0:0:0:13.1.68.3]', null, 'http://[::d01:4403]/'],
  ['http://[2001::1', null, null],
  ['http://[::1%eth0]', null, null],
  ['http://[::1.2.3.256]', null, null],
  ['http://0x7f.1/', null, 'http://127.0.0.1/'],
  ['http://192.0x00A80001', null, 'http://192.168.0.1/'],
  ['http://256.256.256.256', null, null],
  ['http://1.2.3.08', null, null],
  ['http://foo.0x4', null, null],
  ['http://4294967296', null, null],
  ['http://GOO%20goo%7C|', null, null],
  ['http://ex%41mple.com', null, 'http://example.com/'],
  ['http://%zz%66%a.com', null, null],
  ['http://a b/', null, null],
  ['http://user@/www.example.com', null, null],
  ['http:@/www.example.com', null, null],
  ['file:///C:/foo/../..', null, 'file:///C:/'],
  ['file:c:\\foo\\bar', 'file:///tmp/mock/path', 'file:///c:/foo/bar'],
  ['/C|/foo/bar', 'file:///tmp/mock/path', 'file:///C:/foo/bar'],
  ['file://localhost/test', 'file:///tmp/mock/path', 'file:///test'],
  ['..//../x', 'file:///a/b/c', 'file:///a/x'],
  ['i', 'mailto:x', null],
  ['#i', 'mailto:x', 'mailto:x#i'],
  ['../i', 'sc:/pa/pa', 'sc:/i'],
  ['sc://a\0b/', null, null],
  ['sc://ñ/x', null, 'sc://%C3%B1/x'],
  ['web+demo:/.//not-a-host/', null, 'web+demo:/.//not-a-host/'],
  ['a', null, null],
];

function hrefOf(make: () => { href: string }): string | null {
  try {
    return make().href;
  } catch {
    return null;
  }
}

test('URL, cases of the web platform tests, the address or the refusal that these say', (t) => {
  for (const [input, base, href] of WPT) {
    const got = hrefOf(() => new SdkUrl(input, base ?? undefined));
    t.equal(got, href, JSON.stringify([input, base]));
    t.equal(SdkUrl.canParse(input, base ?? undefined), href !== null);
  }
  t.end();
});

/**
 * Where the engine of this Node is behind the standard: a space at the end of an opaque path, `..` up to the root of a
 * scheme without special rules, and (left out of the bases) a base with an opaque path. The table above covers these.
 */
const BEHIND = /\s[\t ]*[?#]|^\s*(?!(?:https?|wss?|ftp|file):)[a-z][a-z0-9+.\t-]*:.*(?:\.|%2e)\t?(?:\.|%2e)/i;

/** Texts made of what a URL parser looks at; ASCII, because names in Unicode are refused here. `^` differs between engines. */
const piece = fc.constantFrom(
  ...['http:', 'https:', 'ws:', 'file:', 'sc:', 'HTTP:', '/', '//', '\\', '?', '#', '@', ':', ':80', ':443', ':99999'],
  ...['a', 'B.c', '1', '0x7f', '127.0.0.1', '[::1]', '[1::]', '..', '.', '%2e', '%41', '%', ' ', '\t'],
  ...['C:', 'c|', 'user', '&', '=', "'", '"', '<', '`', '{', '|', ';', '+', '\x7f'],
);
const text = fc.array(piece, { maxLength: 9 }).map((parts) => parts.join(''));
const base = fc.option(fc.constantFrom('http://h/a/b?q#f', 'file:///C:/x/y', 'file:///x/y', 'https://u:p@h:8/'));

test('URL, any text on any base, the same address and parts as in Node', (t) => {
  const parts = [
    'href',
    'origin',
    'protocol',
    'username',
    'password',
    'host',
    'port',
    'pathname',
    'search',
    'hash',
  ] as const;
  fc.assert(
    fc.property(text, base, (input, on) => {
      fc.pre(!BEHIND.test(input));
      const ours = SdkUrl.parse(input, on ?? undefined);
      const theirs = hrefOf(() => new URL(input, on ?? undefined)) === null ? null : new URL(input, on ?? undefined);
      if (ours === null || theirs === null) return ours === null && theirs === null;
      return parts.every((part) => ours[part] === theirs[part]);
    }),
    { numRuns: 20_000 },
  );
  t.end();
});

test('URL, a part that is set, as in Node', (t) => {
  const parts = ['search', 'hash', 'pathname', 'port', 'hostname', 'protocol', 'username', 'password'] as const;
  const value = fc.constantFrom(
    '',
    'x',
    '?a=b c',
    '#h"',
    '/p/../q',
    '443',
    '8080',
    'example.org',
    'http',
    'ws:',
    'u:p@',
    'a/b',
  );
  const start = fc.constantFrom('http://h/a?b#c', 'https://u:p@h:8/x', 'sc://h/p');
  fc.assert(
    fc.property(start, fc.constantFrom(...parts), value, (from, part, to) => {
      const ours = new SdkUrl(from);
      const theirs = new URL(from);
      ours[part] = to;
      theirs[part] = to;
      return ours.href === theirs.href;
    }),
    { numRuns: 2_000 },
  );
  t.end();
});

test('URLSearchParams, any query, read, written and changed as in Node, and shown by its URL', (t) => {
  const query = fc.string({
    unit: fc.constantFrom('a', 'b', '=', '&', '+', '%2', '%20', '%C3%A9', ' ', '?'),
    maxLength: 20,
  });
  fc.assert(
    fc.property(query, (input) => {
      const ours = new SdkParams(input);
      const theirs = new URLSearchParams(input);
      for (const params of [ours, theirs]) {
        params.append('n', 'ü &');
        params.set('a', '1');
        params.delete('b');
        params.sort();
      }
      return ours.toString() === theirs.toString() && JSON.stringify([...ours]) === JSON.stringify([...theirs]);
    }),
    { numRuns: 2_000 },
  );
  const url = new SdkUrl('http://h/?a=1');
  url.searchParams.append('b', 'x y');
  t.equal(url.href, 'http://h/?a=1&b=x+y');
  url.search = '?c=2';
  t.equal(url.searchParams.get('c'), '2');
  t.throws(() => new SdkUrl('http://bücher.example/'), { message: /not ASCII; give it in its xn-- form/ });
  t.end();
});
