import { LIMITS } from '../../../abi/limits.js';
import {
  type Arg,
  type CallProfile,
  casesOf,
  fault,
  fill,
  foreign,
  from,
  OK_EMPTY,
  okMatch,
  okText,
  okWhere,
  type ParamProfile,
  step,
  text,
  textParam,
  VISITOR_SAYS,
  type Want,
} from '../case.js';

const missing = fault('capability_missing');
const bad = fault('invalid_argument');
const badHandle = fault('bad_handle');
const handle: ParamProfile = textParam(text('7'), bad, fill(LIMITS.streamHandleBytesMax, '0'), badHandle);
/** A close of what is not open is fine (ABI reference 2.5 and 2.6). */
const closing: ParamProfile = { ...handle, edge: { arg: fill(LIMITS.streamHandleBytesMax, '0'), want: OK_EMPTY } };
const anyListener = (want: Want): ParamProfile => ({
  valid: text('1'),
  empty: want,
  notUtf8: want,
  edge: { arg: fill(LIMITS.streamHandleBytesMax), want },
});
const accept = step('astrid_net_accept', text(''));
const noClient = okWhere('empty', (got) => got.length === 0);

const foreignCases = (call: string, rest: readonly Arg[], want: Want) =>
  casesOf(call, [
    {
      name: "another capsule's stream",
      before: [accept],
      args: [foreign(0), ...rest],
      role: 'bare',
      want,
      kind: 'hostile',
      visitors: 1,
    },
  ]);

/** The uplink socket and the clients that come there. */
export const NET: readonly CallProfile[] = [
  {
    call: 'astrid_net_bind_unix',
    good: OK_EMPTY,
    params: [textParam(text('/any'), OK_EMPTY, fill(LIMITS.pathBytesMax), OK_EMPTY)],
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
      { name: 'a client with the token', args: [text('any')], want: okMatch(/^[1-9]\d*$/), visitors: 1 },
      {
        name: 'while the capsule is stopped',
        args: [text('')],
        want: fault('cancelled', /^capsule unloading$/),
        unloadsAt: 'net_accept',
      },
      {
        name: 'the ninth stream',
        steps: Array.from({ length: LIMITS.uplinkStreamsPerCapsuleMax }, () => accept),
        args: [text('')],
        want: fault('quota_exceeded', /8\/8/),
        kind: 'limit',
        visitors: LIMITS.uplinkStreamsPerCapsuleMax,
        fresh: true,
      },
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
  {
    call: 'astrid_net_read',
    good: badHandle,
    params: [handle],
    cases: [
      ...foreignCases('astrid_net_read', [], badHandle),
      ...casesOf('astrid_net_read', [
        {
          name: 'what a client said',
          steps: [accept],
          args: [from(0)],
          want: okText(`\0${VISITOR_SAYS}`),
          visitors: 1,
        },
        {
          name: 'nothing more was said',
          steps: [accept, step('astrid_net_read', from(0))],
          args: [from(0)],
          want: okText('\u0002'),
          visitors: 1,
        },
      ]),
    ],
  },
  {
    call: 'astrid_net_write',
    good: badHandle,
    params: [handle, textParam(text('body'), badHandle, fill(LIMITS.payloadBytesMax), badHandle)],
    cases: [
      ...foreignCases('astrid_net_write', [text('x')], badHandle),
      ...casesOf('astrid_net_write', [
        { name: 'a client hears it', steps: [accept], args: [from(0), text('hello')], want: OK_EMPTY, visitors: 1 },
      ]),
    ],
  },
  {
    call: 'astrid_net_close_stream',
    good: OK_EMPTY,
    params: [closing],
    cases: [
      ...foreignCases('astrid_net_close_stream', [], OK_EMPTY),
      ...casesOf('astrid_net_close_stream', [
        { name: 'an open stream', steps: [accept], args: [from(0)], want: OK_EMPTY, visitors: 1 },
      ]),
    ],
  },
];
