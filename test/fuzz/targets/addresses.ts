import { isIP, isIPv4 } from 'node:net';
import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import type { FaultCode } from '../../../abi/errno.js';
import { bareHost, hostCovered } from '../../../supervisor/host-names.js';
import { judgeAddress } from '../../../supervisor/http/address.js';
import { isAllowed } from '../../../supervisor/http/connect.js';
import { normalGrant } from '../../../supervisor/http/local-grants.js';
import { decodeHttpRequest } from '../../../supervisor/http/request.js';
import { parseTarget } from '../../../supervisor/http/target.js';
import { answerOf, type FuzzTarget, property } from '../target.js';

const RUNS = 2000;
const REFUSALS: readonly FaultCode[] = ['invalid_argument', 'too_large'];

/** By arithmetic alone, without the library that the guard uses: what must never be public. */
const CLOSED_V4: readonly (readonly [string, number])[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
];
const toNumber = (text: string) => text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
const isClosedNumber = (value: number) =>
  CLOSED_V4.some(
    ([network, bits]) => Math.floor(value / 2 ** (32 - bits)) === Math.floor(toNumber(network) / 2 ** (32 - bits)),
  );

const v4 = fc.oneof(
  fc.nat(0xffffffff),
  fc
    .constantFrom(...CLOSED_V4)
    .chain(([network, bits]) => fc.nat(2 ** (32 - bits) - 1).map((low) => toNumber(network) + low)),
);
const dotted = (value: number) => [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.');
const pairs = (value: number) => `${(value >>> 16).toString(16)}:${(value & 0xffff).toString(16)}`;

/** Every way to write one IPv4 address, with the brackets of a URL where they belong. */
const spelled = v4.chain((value) => {
  const [a, b, c, d] = dotted(value).split('.').map(Number) as [number, number, number, number];
  const part = (n: number) =>
    fc.constantFrom(String(n), `0x${n.toString(16)}`, `0${n.toString(8)}`, `0X${n.toString(16).toUpperCase()}`);
  const dot = fc.constantFrom('.', '。', '．', '｡', '%2e', '%2E');
  const four = fc.tuple(part(a), dot, part(b), dot, part(c), dot, part(d)).map((parts) => parts.join(''));
  const three = fc.tuple(part(a), dot, part(b), dot, part(c * 256 + d)).map((parts) => parts.join(''));
  const two = fc.tuple(part(a), dot, part(b * 65_536 + c * 256 + d)).map((parts) => parts.join(''));
  const wide = fc.constant(
    dotted(value).replace(/[0-9]/g, (digit) => String.fromCharCode(digit.charCodeAt(0) + 0xfee0)),
  );
  const six = fc.constantFrom(
    `[::ffff:${dotted(value)}]`,
    `[::ffff:${pairs(value)}]`,
    `[0:0:0:0:0:FFFF:${dotted(value)}]`,
    `[::${pairs(value)}]`,
    `[64:ff9b::${pairs(value)}]`,
    `[64:ff9b::${dotted(value)}]`,
    `[2002:${pairs(value)}::1]`,
    `[2001:0:${pairs(value)}::fefe:fefe]`,
    `[2001:0:101:101::${pairs(~value >>> 0)}]`,
  );
  const tail = fc.constantFrom('', '.');
  const text = fc.oneof(four, three, two, part(value), wide).chain((host) => tail.map((dots) => host + dots));
  return fc.oneof(text, six).map((host) => ({ host, value }));
});

const junk = fc.oneof(
  fc.webUrl({ withFragments: true, withQueryParameters: true }),
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc
    .array(
      fc.constantFrom(
        'http://',
        'https:',
        '//',
        '@',
        ':',
        '[',
        ']',
        '%',
        '0x7f',
        '127.1',
        '::1',
        '\\',
        '。',
        '.',
        '/',
        '?',
        '#',
        '\t',
        'a',
      ),
      { maxLength: 12 },
    )
    .map((parts) => parts.join('')),
);

const entryAndHost = fc.tuple(junk, fc.oneof(fc.domain(), fc.ipV4()));
const hostAndPort = fc.tuple(junk, fc.integer({ min: -1, max: 70_000 }));
const requestLike = fc.oneof(
  fc.jsonValue(),
  fc.record({ url: junk, method: junk, headers: fc.dictionary(junk, junk), body: junk }),
);

export const ADDRESSES: FuzzTarget = [
  property('a closed IPv4 address, however spelled, is not public', RUNS, spelled, ({ host, value }) => {
    const target = answerOf(REFUSALS, () => parseTarget(`http://${host}/`));
    if (target === null) return true;
    const literal = bareHost(target.hostname);
    if (isIP(literal) === 0) return false;
    return !isClosedNumber(value) || !isAllowed(literal, false);
  }),
  property('what is public, is public by arithmetic, too', RUNS, fc.oneof(fc.ipV4(), fc.ipV6()), (address) => {
    if (judgeAddress(address) !== 'public') return true;
    if (isIPv4(address)) return !isClosedNumber(toNumber(address));
    const bytes = ipaddr.parse(address).toByteArray();
    const closed = (from: number) => isClosedNumber(toNumber(bytes.slice(from, from + 4).join('.')));
    const isEmbedding = bytes.slice(0, 10).every((byte) => byte === 0) || address.startsWith('64:ff9b:');
    if (isEmbedding) return !closed(12);
    if (bytes[0] === 0x20 && bytes[1] === 0x02) return !closed(2);
    return (bytes[0]! & 0xe0) === 0x20;
  }),
  property('a URL, is one target or a Fault, and its parts lead to the same place again', RUNS, junk, (text) => {
    const target = answerOf(REFUSALS, () => parseTarget(text));
    if (target === null) return true;
    const again = parseTarget(target.href);
    const isClean =
      /^\/[\x21-\x7e]*$/.test(target.path) && !/[@\s]/.test(target.origin) && !target.display.includes('#');
    return (
      isClean && again.origin === target.origin && again.path === target.path && again.hostname === target.hostname
    );
  }),
  property(
    'an entry of a manifest, covers no host but itself and what ends with it',
    RUNS,
    entryAndHost,
    ([entry, host]) => {
      const target = parseTarget(`http://${host}/`);
      if (entry === '*' || !hostCovered([entry], target.hostname)) return true;
      const normal = parseTarget(`http://${entry}/`).hostname;
      return target.hostname === normal || target.hostname.endsWith(`.${normal}`);
    },
  ),
  property('a grant, is one host and one port or nothing', RUNS, hostAndPort, ([host, port]) => {
    const grant = normalGrant(`${host}:${port}`);
    if (grant === null) return true;
    const target = parseTarget(`http://${grant}/`);
    return `${target.hostname}:${target.port}` === grant;
  }),
  property('a request of any JSON, is decoded or a Fault', RUNS, requestLike, (value) => {
    const request = answerOf(REFUSALS, () => decodeHttpRequest(value));
    return request === null || [...request.headers].every(([name, text]) => !/[\r\n\0]/.test(name + text));
  }),
];
