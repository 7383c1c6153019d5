import { LIMITS } from '../../../abi/limits.js';
import {
  type CallProfile,
  casesOf,
  fault,
  fill,
  foreign,
  json,
  OK_EMPTY,
  okJson,
  okMatch,
  okText,
  okWhere,
  type ParamProfile,
  PORT,
  padded,
  requestParam,
  step,
  text,
  textParam,
  type Want,
} from '../case.js';

const missing = fault('capability_missing');
const bad = fault('invalid_argument');
const badHandle = fault('bad_handle');
/** Nothing listens on the discard port of loopback, and without an operator's grant no connection is tried. */
const LOCAL = 'http://127.0.0.1:9/';
/** A server that answers, and that the operator opened. */
const GRANTED = `http://127.0.0.1:${PORT}`;

const localRefused = fault('policy_denied');
const answered = (status: number, body: string) =>
  okJson(`${status} ${body}`, (value) => {
    const reply = value as { readonly status: number; readonly body: string };
    return reply.status === status && reply.body === body;
  });

/** What a stream is told of when it is open; with `null` the handle may be any. */
const started = (expected: string | null) =>
  okJson(`handle ${expected ?? 'any'} and status 200`, (value) => {
    const { handle: issued, status } = value as { readonly handle: string; readonly status: number };
    return status === 200 && (expected === null ? /^[1-9]\d*$/.test(issued) : issued === expected);
  });

/** A URL of so many characters in all, and a server's answer to it. */
const urlOf = (chars: number) => padded(`{"url":"${GRANTED}/?`, '"}', chars + '{"url":""}'.length);
/** So many headers of so many bytes together, counted with `: ` and a line end each. */
const headersOf = (count: number, bytes: number) => {
  const names = Array.from({ length: count }, (_, n) => `x-${n}`);
  const empty = names.reduce((sum, name) => sum + name.length + 4, 0);
  const headers = Object.fromEntries(names.map((name, n) => [name, n === 0 ? 'a'.repeat(bytes - empty) : '']));
  return json({ url: `${GRANTED}/`, headers });
};
const MOST_HEADERS = LIMITS.httpHeadersMax;
const MOST_HEADER_BYTES = LIMITS.httpHeaderBytesMax;

/** What a request may be at most, and one more of each. */
const edgeCases = (call: string, good: Want) =>
  casesOf(
    call,
    [
      { name: 'a URL of 16 KiB', args: [urlOf(LIMITS.httpUrlCharsMax)], want: good },
      { name: 'a URL of one character more', args: [urlOf(LIMITS.httpUrlCharsMax + 1)], want: fault('too_large') },
      { name: '100 headers of 64 KiB', args: [headersOf(MOST_HEADERS, MOST_HEADER_BYTES)], want: good },
      { name: '101 headers', args: [headersOf(MOST_HEADERS + 1, 2000)], want: fault('too_large') },
      { name: 'headers of one byte more', args: [headersOf(1, MOST_HEADER_BYTES + 1)], want: fault('too_large') },
      { name: 'ten redirects', args: [json({ url: `${GRANTED}/hops/${LIMITS.httpRedirectsMax}` })], want: good },
      {
        name: 'eleven redirects',
        args: [json({ url: `${GRANTED}/hops/${LIMITS.httpRedirectsMax + 1}` })],
        want: fault('io_error', /redirected more than 10 times/),
      },
    ].map((one) => ({ ...one, kind: 'limit', fresh: one.want === good })),
  );

const httpCases = (call: string) =>
  casesOf(call, [
    {
      name: 'the same server under a name that the operator did not open',
      args: [json({ url: `http://localhost:${PORT}/` })],
      want: localRefused,
      kind: 'hostile',
    },
    {
      name: 'a redirect to a local address that is not open',
      args: [json({ url: `${GRANTED}/away` })],
      want: localRefused,
      kind: 'hostile',
    },
    {
      name: 'a name that leads to a local address',
      args: [json({ url: 'http://localhost:9/' })],
      want: localRefused,
      kind: 'hostile',
    },
    {
      name: 'a local address inside IPv6',
      args: [json({ url: 'http://[::ffff:127.0.0.1]/' })],
      want: missing,
      kind: 'hostile',
    },
    {
      name: 'a host the manifest does not list',
      args: [json({ url: 'http://example.org/' })],
      want: missing,
      kind: 'capability',
    },
    {
      name: 'a capsule without the capability',
      args: [json({ url: LOCAL })],
      role: 'bare',
      want: missing,
      kind: 'capability',
    },
    { name: 'no url', args: [json({})], want: bad },
    { name: 'a scheme that is not http', args: [json({ url: 'file:///etc/passwd' })], want: bad, kind: 'hostile' },
    { name: 'an unknown method', args: [json({ url: LOCAL, method: 'BREW' })], want: bad },
    {
      name: 'a line break in a header',
      args: [json({ url: LOCAL, headers: { a: 'b\r\nc: d' } })],
      want: bad,
      kind: 'hostile',
    },
  ]);

const handle: ParamProfile = textParam(text('7'), bad, fill(LIMITS.streamHandleBytesMax, '0'), badHandle);
/** A close of what is not open is fine (ABI reference 2.5 and 2.6). */
const closing: ParamProfile = { ...handle, edge: { arg: fill(LIMITS.streamHandleBytesMax, '0'), want: OK_EMPTY } };
const openStream = (path: string) => step('astrid_http_stream_start', json({ url: `${GRANTED}${path}` }));
const streamCases = (call: string, want: Want) =>
  casesOf(call, [
    {
      name: "another capsule's stream",
      before: [openStream('/')],
      args: [foreign(0, 'handle')],
      role: 'bare',
      want,
      kind: 'hostile',
    },
  ]);

export const HTTP: readonly CallProfile[] = [
  {
    call: 'astrid_http_request',
    good: answered(200, 'pong'),
    params: [requestParam({ url: `${GRANTED}/` }, answered(200, 'pong'))],
    cases: [
      ...httpCases('astrid_http_request'),
      ...edgeCases('astrid_http_request', answered(200, 'pong')),
      ...casesOf('astrid_http_request', [
        {
          name: 'method, header and body arrive',
          args: [json({ url: `${GRANTED}/echo`, method: 'post', headers: { 'x-said': 'hi' }, body: 'words' })],
          want: answered(200, 'POST hi words'),
        },
        {
          name: 'while the capsule is stopped',
          args: [json({ url: `${GRANTED}/silent` })],
          want: fault('cancelled'),
          unloadsAt: 'http 127.0.0.1',
        },
        {
          name: 'an error status is an answer',
          args: [json({ url: `${GRANTED}/missing` })],
          want: answered(404, 'no'),
        },
        { name: 'a redirect is followed', args: [json({ url: `${GRANTED}/redirect` })], want: answered(200, 'pong') },
        {
          name: 'a body of 10 MiB',
          args: [json({ url: `${GRANTED}/bytes/${LIMITS.httpBodyBytesMax}` })],
          want: okMatch(/^\{"status":200/),
          kind: 'limit',
        },
        {
          name: 'a body of one byte more',
          args: [json({ url: `${GRANTED}/bytes/${LIMITS.httpBodyBytesMax + 1}` })],
          want: fault('too_large'),
          kind: 'limit',
        },
        {
          name: 'a body of 10 MiB that is more than 32 MiB as JSON',
          args: [json({ url: `${GRANTED}/controls/${LIMITS.httpBodyBytesMax}` })],
          want: fault('too_large', /as JSON/),
          kind: 'limit',
        },
        { name: 'a body that is not UTF-8', args: [json({ url: `${GRANTED}/binary` })], want: fault('not_supported') },
      ]),
    ],
  },
  {
    call: 'astrid_http_stream_start',
    good: started('1'),
    meant: { fresh: true },
    params: [requestParam({ url: `${GRANTED}/` }, started(null))],
    cases: [
      ...httpCases('astrid_http_stream_start'),
      ...edgeCases('astrid_http_stream_start', started('1')),
      ...casesOf('astrid_http_stream_start', [
        {
          name: 'the fourth open stream is the last',
          steps: Array.from({ length: LIMITS.httpStreamsMax - 1 }, () => openStream('/')),
          args: [json({ url: `${GRANTED}/` })],
          want: started('4'),
          kind: 'limit',
          fresh: true,
        },
        {
          name: 'the fifth open stream',
          steps: Array.from({ length: LIMITS.httpStreamsMax }, () => openStream('/')),
          args: [json({ url: `${GRANTED}/` })],
          want: fault('quota_exceeded', /4\/4/),
          kind: 'limit',
          fresh: true,
        },
      ]),
    ],
  },
  {
    call: 'astrid_http_stream_read',
    good: okText('pong'),
    meant: { steps: [openStream('/')], args: [text('1')], fresh: true },
    params: [handle],
    cases: [
      ...streamCases('astrid_http_stream_read', badHandle),
      ...casesOf('astrid_http_stream_read', [
        {
          name: 'the end of the body is empty',
          steps: [openStream('/'), step('astrid_http_stream_read', text('1'))],
          args: [text('1')],
          want: OK_EMPTY,
          fresh: true,
        },
        {
          name: 'a long body comes in pieces of at most 256 KiB',
          steps: [openStream(`/bytes/${4 * LIMITS.httpChunkBytesMax}`)],
          args: [text('1')],
          want: okWhere('a piece', (piece, bytes) => /^a+$/.test(String(piece)) && bytes <= LIMITS.httpChunkBytesMax),
          kind: 'limit',
          fresh: true,
        },
        {
          name: 'while the capsule is stopped, nothing',
          steps: [openStream('/silent')],
          args: [text('1')],
          want: OK_EMPTY,
          fresh: true,
          unloadsAt: 'http stream',
        },
        {
          name: 'a stream that was closed',
          steps: [openStream('/'), step('astrid_http_stream_close', text('1'))],
          args: [text('1')],
          want: badHandle,
          fresh: true,
        },
      ]),
    ],
  },
  {
    call: 'astrid_http_stream_close',
    good: OK_EMPTY,
    meant: { steps: [openStream('/')], args: [text('1')], fresh: true },
    params: [closing],
    cases: streamCases('astrid_http_stream_close', OK_EMPTY),
  },
];
