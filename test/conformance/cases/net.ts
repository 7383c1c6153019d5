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
/** The stream of the client that `accept` took. */
const handle: ParamProfile = textParam(from(0), bad, fill(LIMITS.streamHandleBytesMax, '0'), badHandle);
/** A close of what is not open is fine (ABI reference 2.5 and 2.6). */
const closing: ParamProfile = { ...handle, edge: { arg: fill(LIMITS.streamHandleBytesMax, '0'), want: OK_EMPTY } };
const anyListener = (want: Want): ParamProfile => ({
  valid: text('1'),
  empty: want,
  notUtf8: want,
  edge: { arg: fill(LIMITS.streamHandleBytesMax), want },
});
const accept = step('astrid_net_accept', text(''));
/** A client comes and is taken first. */
const taken: Pick<CallProfile, 'setup' | 'visitors'> = { setup: [accept], visitors: 1 };
const noClient = okWhere('empty', (got) => got.length === 0);
const aStream = okMatch(/^[1-9]\d*$/);
const MOST = LIMITS.uplinkStreamsPerCapsuleMax;
const accepts = (count: number) => Array.from({ length: count }, () => accept);

/** The last stream that a capsule may hold, and one more. */
const capCases = (call: string, past: Want) =>
  casesOf(call, [
    {
      name: 'the eighth stream is the last',
      steps: accepts(MOST - 1),
      args: [text('')],
      want: okText(String(MOST)),
      kind: 'limit',
      visitors: MOST,
      fresh: true,
    },
    {
      name: 'the ninth stream, though a client waits',
      steps: accepts(MOST),
      args: [text('')],
      want: past,
      kind: 'limit',
      visitors: MOST + 1,
      fresh: true,
    },
  ]);

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
    visitors: 1,
    good: aStream,
    params: [anyListener(aStream)],
    cases: [
      ...capCases('astrid_net_accept', fault('quota_exceeded', /8\/8/)),
      ...casesOf('astrid_net_accept', [
        {
          name: 'while the capsule is stopped',
          args: [text('')],
          want: fault('cancelled', /^capsule unloading$/),
          unloadsAt: 'net_accept',
        },
        {
          name: 'a capsule without the capability',
          args: [text('1')],
          role: 'bare',
          want: missing,
          kind: 'capability',
        },
      ]),
    ],
  },
  {
    call: 'astrid_net_poll_accept',
    // Two knock: by the time that the first was handed out, the kernel has heard the second, and a poll finds it.
    setup: [accept],
    visitors: 2,
    good: aStream,
    params: [anyListener(aStream)],
    cases: [
      ...capCases('astrid_net_poll_accept', noClient),
      ...casesOf('astrid_net_poll_accept', [
        { name: 'nobody knocked', steps: [accept], args: [text('1')], want: noClient, visitors: 1 },
        {
          name: 'a capsule without the capability',
          args: [text('1')],
          role: 'bare',
          want: missing,
          kind: 'capability',
        },
      ]),
    ],
  },
  {
    call: 'astrid_net_read',
    ...taken,
    good: okText(`\0${VISITOR_SAYS}`),
    params: [handle],
    cases: [
      ...foreignCases('astrid_net_read', [], badHandle),
      ...casesOf('astrid_net_read', [
        { name: 'a stream that never was', args: [text('7')], want: badHandle },
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
    ...taken,
    good: OK_EMPTY,
    params: [handle, textParam(text('body'), OK_EMPTY, fill(LIMITS.payloadBytesMax), OK_EMPTY)],
    cases: [
      ...foreignCases('astrid_net_write', [text('x')], badHandle),
      ...casesOf('astrid_net_write', [
        { name: 'a stream that never was', args: [text('7'), text('x')], want: badHandle },
      ]),
    ],
  },
  {
    call: 'astrid_net_close_stream',
    ...taken,
    good: OK_EMPTY,
    params: [closing],
    cases: [
      ...foreignCases('astrid_net_close_stream', [], OK_EMPTY),
      ...casesOf('astrid_net_close_stream', [{ name: 'a stream that never was', args: [text('7')], want: OK_EMPTY }]),
    ],
  },
];
