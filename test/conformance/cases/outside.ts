import { LIMITS } from '../../../abi/limits.js';
import {
  type CallProfile,
  casesOf,
  fault,
  fill,
  json,
  OK_EMPTY,
  okJson,
  okWhere,
  type ParamProfile,
  padded,
  text,
  type Want,
} from '../case.js';

const missing = fault('capability_missing');
const bad = fault('invalid_argument');
const badHandle = fault('bad_handle');
/** Nothing listens on the discard port of loopback, and without an operator's grant no connection is tried. */
const LOCAL = 'http://127.0.0.1:9/';

const request = (value: object, edge: Want): ParamProfile => ({
  valid: json(value),
  empty: bad,
  notUtf8: bad,
  edge: { arg: padded(`${JSON.stringify(value).slice(0, -1)},"unknown":"`, '"}', LIMITS.payloadBytesMax), want: edge },
});
const localRefused = fault('policy_denied');

const httpCases = (call: string) =>
  casesOf(call, [
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

const handle: ParamProfile = {
  valid: text('7'),
  empty: bad,
  notUtf8: bad,
  edge: { arg: fill(LIMITS.streamHandleBytesMax, '0'), want: badHandle },
};
/** A close of what is not open is fine (ABI reference 2.5 and 2.6). */
const closing: ParamProfile = { ...handle, edge: { arg: fill(LIMITS.streamHandleBytesMax, '0'), want: OK_EMPTY } };
const anyListener = (want: Want): ParamProfile => ({
  valid: text('1'),
  empty: want,
  notUtf8: want,
  edge: { arg: fill(LIMITS.streamHandleBytesMax), want },
});
const noClient = okWhere('empty', (got) => got.length === 0);

const echo = { cmd: 'echo', args: ['hi'] };
const echoed = okJson('stdout hi', (value) => (value as { stdout: string }).stdout === 'hi\n');
const commandCases = (call: string) =>
  casesOf(call, [
    {
      name: 'a command that the manifest does not list',
      args: [json({ cmd: 'ls' })],
      want: missing,
      kind: 'capability',
    },
    { name: 'a command that only starts like one', args: [json({ cmd: 'echoes' })], want: missing, kind: 'hostile' },
    { name: 'a capsule without the capability', args: [json(echo)], role: 'bare', want: missing, kind: 'capability' },
    { name: 'no command', args: [json({})], want: bad },
    { name: 'arguments that are no list', args: [json({ cmd: 'echo', args: 'hi' })], want: bad },
    { name: 'a NUL in an argument', args: [json({ cmd: 'echo', args: ['a\0b'] })], want: bad, kind: 'hostile' },
  ]);
const processId: ParamProfile = { valid: json({ id: 99 }), empty: bad, notUtf8: bad, edge: null };
const idCases = (call: string) =>
  casesOf(call, [
    { name: 'an id that is no number', args: [json({ id: 'x' })], want: bad },
    { name: 'a negative id', args: [json({ id: -1 })], want: bad, kind: 'hostile' },
    {
      name: 'a capsule without the capability',
      args: [json({ id: 1 })],
      role: 'bare',
      want: missing,
      kind: 'capability',
    },
  ]);

/** Calls that reach outside of the kernel: requests, sockets, commands. */
export const OUTSIDE: readonly CallProfile[] = [
  {
    call: 'astrid_http_request',
    good: localRefused,
    params: [request({ url: LOCAL }, localRefused)],
    cases: httpCases('astrid_http_request'),
  },
  {
    call: 'astrid_http_stream_start',
    good: localRefused,
    params: [request({ url: LOCAL }, localRefused)],
    cases: httpCases('astrid_http_stream_start'),
  },
  { call: 'astrid_http_stream_read', good: badHandle, params: [handle], cases: [] },
  { call: 'astrid_http_stream_close', good: OK_EMPTY, params: [closing], cases: [] },
  {
    call: 'astrid_net_bind_unix',
    good: okWhere('a listener or nothing', () => true),
    params: [
      {
        valid: text('/any'),
        empty: okWhere('', () => true),
        notUtf8: okWhere('', () => true),
        edge: { arg: fill(LIMITS.pathBytesMax), want: okWhere('', () => true) },
      },
    ],
    cases: casesOf('astrid_net_bind_unix', [
      {
        name: 'a capsule without the capability',
        args: [text('/any')],
        role: 'bare',
        want: missing,
        kind: 'capability',
      },
    ]),
  },
  {
    call: 'astrid_net_accept',
    blocks: true,
    good: noClient,
    params: [anyListener(noClient)],
    cases: casesOf('astrid_net_accept', [
      { name: 'a capsule without the capability', args: [text('1')], role: 'bare', want: missing, kind: 'capability' },
    ]),
  },
  {
    call: 'astrid_net_poll_accept',
    good: noClient,
    params: [anyListener(noClient)],
    cases: casesOf('astrid_net_poll_accept', [
      { name: 'a capsule without the capability', args: [text('1')], role: 'bare', want: missing, kind: 'capability' },
    ]),
  },
  { call: 'astrid_net_read', good: badHandle, params: [handle], cases: [] },
  {
    call: 'astrid_net_write',
    good: badHandle,
    params: [
      handle,
      {
        valid: text('body'),
        empty: badHandle,
        notUtf8: badHandle,
        edge: { arg: fill(LIMITS.payloadBytesMax), want: badHandle },
      },
    ],
    cases: [],
  },
  { call: 'astrid_net_close_stream', good: OK_EMPTY, params: [closing], cases: [] },
  {
    call: 'astrid_spawn_host',
    good: echoed,
    params: [request(echo, echoed)],
    cases: commandCases('astrid_spawn_host'),
  },
  {
    call: 'astrid_spawn_background_host',
    good: okJson('an id', (value) => Number.isInteger((value as { id: number }).id)),
    params: [{ ...request(echo, OK_EMPTY), edge: null }],
    cases: commandCases('astrid_spawn_background_host'),
  },
  {
    call: 'astrid_read_process_logs_host',
    good: badHandle,
    params: [processId],
    cases: idCases('astrid_read_process_logs_host'),
  },
  {
    call: 'astrid_kill_process_host',
    good: badHandle,
    params: [processId],
    cases: idCases('astrid_kill_process_host'),
  },
];
