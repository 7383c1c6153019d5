import { LIMITS } from '../../../abi/limits.js';
import {
  bytes,
  type CallProfile,
  casesOf,
  fault,
  fill,
  foreign,
  from,
  json,
  LANE,
  OK_EMPTY,
  okJson,
  okMatch,
  okText,
  padded,
  step,
  text,
  textParam,
} from '../case.js';

const badTopic = fault('invalid_argument', /[Tt]opic/);
const badPattern = fault('invalid_argument', /pattern/);
const badHandle = fault('bad_handle', /handle/);
const notDecimal = fault('invalid_argument', /decimal/);
const badRequest = fault('invalid_argument', /request/);
const missing = fault('capability_missing');
const subscribe = (pattern: string) => step('astrid_ipc_subscribe', text(pattern));
const publish = (topic: string, payload: unknown) => step('astrid_ipc_publish', text(topic), json(payload));
const noMessages = okText('{"messages":[],"dropped":0,"lagged":0}');
const eightDeep = 'a.a.a.a.a.a.a.a';

interface EnvelopeSeen {
  readonly messages: readonly { readonly topic: string; readonly payload: unknown; readonly principal: string }[];
  readonly dropped: number;
  readonly lagged: number;
}
const oneMessage = okJson('one message', (value) => {
  const { messages, dropped, lagged } = value as EnvelopeSeen;
  const [first] = messages;
  return (
    messages.length === 1 && first?.topic.startsWith('conform.v1.heard-') === true && dropped === 0 && lagged === 0
  );
});

/** The capsule hears what it published itself. */
const heardOne = [subscribe(`conform.v1.heard-${LANE}`), publish(`conform.v1.heard-${LANE}`, { n: 1 })];

/** A handle that is right comes from a subscription; what is no handle behaves the same in all three calls that take one. */
const handle = textParam(from(0), notDecimal, fill(LIMITS.handleBytesMax, '0'), badHandle);
const handleCases = (call: string, ...rest: ReturnType<typeof text>[]) =>
  casesOf(call, [
    { name: 'handle 0, which is never given', args: [text('0'), ...rest], want: badHandle },
    { name: 'a handle that was never given', args: [text('999999999'), ...rest], want: badHandle },
    {
      name: 'a handle that was given back',
      steps: [subscribe('conform.v1.x'), step('astrid_ipc_unsubscribe', from(0))],
      args: [from(0), ...rest],
      want: badHandle,
    },
    { name: 'a negative handle', args: [text('-1'), ...rest], want: notDecimal, kind: 'hostile' },
    { name: 'a handle with a fraction', args: [text('1.0'), ...rest], want: notDecimal, kind: 'hostile' },
    { name: 'a handle in hex', args: [text('0x1'), ...rest], want: notDecimal, kind: 'hostile' },
    {
      name: "another capsule's handle",
      before: [subscribe(`conform.v1.heard-${LANE}`)],
      args: [foreign(0), ...rest],
      role: 'bare',
      want: badHandle,
      kind: 'hostile',
    },
    {
      name: 'a capsule without capabilities has no handles',
      args: [text('1'), ...rest],
      role: 'bare',
      want: badHandle,
      kind: 'capability',
    },
  ]);

export const IPC: readonly CallProfile[] = [
  {
    call: 'astrid_ipc_publish',
    good: OK_EMPTY,
    params: [
      textParam(text('conform.v1.said'), badTopic, padded('conform.v1.', '', LIMITS.topicBytesMax), OK_EMPTY),
      {
        valid: json({ n: 1 }),
        empty: fault('invalid_argument', /JSON/),
        notUtf8: fault('invalid_argument'),
        edge: { arg: padded('"', '"', LIMITS.ipcPayloadBytesMax), want: OK_EMPTY },
      },
    ],
    cases: casesOf('astrid_ipc_publish', [
      { name: 'eight segments', args: [text(eightDeep), json(1)], want: OK_EMPTY, kind: 'limit' },
      { name: 'nine segments', args: [text(`${eightDeep}.a`), json(1)], want: badTopic, kind: 'limit' },
      { name: 'an empty segment', args: [text('conform..x'), json(1)], want: badTopic },
      { name: 'a dot at the end', args: [text('conform.v1.'), json(1)], want: badTopic },
      { name: 'a pattern instead of a topic', args: [text('conform.v1.*'), json(1)], want: badTopic, kind: 'hostile' },
      {
        name: 'a character that does not print',
        args: [text('conform.v1.\u202ex'), json(1)],
        want: badTopic,
        kind: 'hostile',
      },
      {
        name: 'not declared in the manifest',
        args: [text('other.v1.said'), json(1)],
        want: missing,
        kind: 'capability',
      },
      { name: 'deeper than declared', args: [text('conform.v1.a.b'), json(1)], want: missing, kind: 'capability' },
      {
        name: 'a wildcard in the middle of what is declared',
        args: [text('conform.v1.deep.here.end'), json(1)],
        want: OK_EMPTY,
      },
      {
        name: "the kernel's own topics",
        args: [text('astrid.v1.capsules_loaded'), json(1)],
        want: missing,
        kind: 'hostile',
      },
      {
        name: 'a capsule without the capability',
        args: [text('conform.v1.said'), json(1)],
        role: 'bare',
        want: missing,
        kind: 'capability',
      },
      { name: 'not JSON', args: [text('conform.v1.said'), text('{')], want: fault('invalid_argument', /JSON/) },
      {
        name: 'JSON nested too deep',
        args: [text('conform.v1.said'), fill(100_000, '[')],
        want: fault('invalid_argument'),
        kind: 'hostile',
      },
      {
        name: 'a byte order mark before the JSON',
        args: [text('conform.v1.said'), bytes(0xef, 0xbb, 0xbf, 0x31)],
        want: fault('invalid_argument', /JSON/),
        kind: 'hostile',
      },
      {
        name: 'more than 10 MiB in one second',
        // Two of them must come within one second, on any machine.
        steps: Array.from({ length: 5 }, () => ({
          call: 'astrid_ipc_publish',
          args: [text('conform.v1.flood'), padded('"', '"', LIMITS.ipcPayloadBytesMax)],
        })),
        anyStep: true,
        args: [text('conform.v1.flood'), json(1)],
        principal: 'flood',
        want: fault('rate_limited', /second/),
        kind: 'limit',
      },
    ]),
  },
  {
    call: 'astrid_ipc_subscribe',
    good: okMatch(/^[1-9]\d*$/),
    params: [
      textParam(
        text('conform.v1.*'),
        badPattern,
        padded('conform.v1.', '', LIMITS.topicBytesMax),
        okMatch(/^[1-9]\d*$/),
      ),
    ],
    cases: casesOf('astrid_ipc_subscribe', [
      { name: 'a wildcard before the end', args: [text('conform.*.x')], want: badPattern },
      { name: 'an empty segment', args: [text('conform..x')], want: badPattern },
      { name: 'eight segments', args: [text(eightDeep)], want: okMatch(/^[1-9]\d*$/), kind: 'limit' },
      { name: 'nine segments', args: [text(`${eightDeep}.a`)], want: badPattern, kind: 'limit' },
      { name: 'a bare *', args: [text('*')], want: okMatch(/^[1-9]\d*$/) },
      { name: 'narrower than declared', args: [text(`conform.v1.heard-${LANE}`)], want: okMatch(/^[1-9]\d*$/) },
      { name: 'wider than declared', args: [text('conform.*')], want: missing, kind: 'capability' },
      { name: 'deeper than declared', args: [text('conform.v1.a.b')], want: missing, kind: 'capability' },
      { name: 'deeper, with an entry of its own', args: [text('conform.v1.deep.here')], want: okMatch(/^[1-9]\d*$/) },
      {
        name: 'a capsule without the capability',
        args: [text(`conform.v1.heard-${LANE}`)],
        role: 'bare',
        want: missing,
        kind: 'capability',
      },
      {
        name: 'the 128th subscription is the last',
        steps: Array.from({ length: LIMITS.subscriptionsPerCapsuleMax - 1 }, () => subscribe('conform.v1.x')),
        args: [text('conform.v1.x')],
        want: okText('128'),
        kind: 'limit',
        fresh: true,
      },
      {
        name: 'the 129th is refused',
        steps: Array.from({ length: LIMITS.subscriptionsPerCapsuleMax }, () => subscribe('conform.v1.x')),
        args: [text('conform.v1.x')],
        want: fault('quota_exceeded', /128/),
        kind: 'limit',
        fresh: true,
      },
    ]),
  },
  {
    call: 'astrid_ipc_unsubscribe',
    setup: [subscribe('conform.v1.x')],
    good: OK_EMPTY,
    params: [handle],
    cases: handleCases('astrid_ipc_unsubscribe'),
  },
  {
    call: 'astrid_ipc_poll',
    setup: [subscribe('conform.v1.x')],
    good: oneMessage,
    meant: { steps: heardOne },
    params: [handle],
    cases: [
      ...handleCases('astrid_ipc_poll'),
      ...casesOf('astrid_ipc_poll', [
        { name: 'nothing was published', steps: [subscribe('conform.v1.x')], args: [from(0)], want: noMessages },
        {
          name: 'nothing from before the subscription',
          steps: [publish(`conform.v1.heard-${LANE}`, 1), subscribe(`conform.v1.heard-${LANE}`)],
          args: [from(1)],
          want: noMessages,
        },
      ]),
    ],
  },
  {
    call: 'astrid_ipc_recv',
    setup: [subscribe('conform.v1.x')],
    good: oneMessage,
    meant: { steps: heardOne },
    params: [handle, textParam(text('1'), notDecimal, fill(LIMITS.handleBytesMax, '0'), noMessages)],
    cases: [
      ...handleCases('astrid_ipc_recv', text('1')),
      ...casesOf('astrid_ipc_recv', [
        {
          name: 'a message that is there already, with a time-out past the longest',
          steps: heardOne,
          args: [from(0), text('999999999')],
          want: oneMessage,
        },
        {
          name: 'no message within the time-out',
          steps: [subscribe('conform.v1.x')],
          args: [from(0), text('1')],
          want: noMessages,
        },
        {
          name: 'while the capsule is stopped, no messages',
          steps: [subscribe('conform.v1.x')],
          args: [from(0), text('60000')],
          want: noMessages,
          unloadsAt: 'ipc_recv',
        },
        {
          name: 'a negative time-out',
          steps: [subscribe('conform.v1.x')],
          args: [from(0), text('-1')],
          want: notDecimal,
        },
      ]),
    ],
  },
  {
    call: 'astrid_trigger_hook',
    good: okText('[{"n":1}]'),
    meant: { args: [json({ hook: 'conform.v1.replied', payload: {} })] },
    params: [
      textParam(
        json({ hook: 'conform.v1.ask', payload: {} }),
        badRequest,
        padded('{"hook":"conform.v1.ask","payload":"', '"}', LIMITS.triggerBytesMax),
        okText('[]'),
      ),
    ],
    cases: casesOf('astrid_trigger_hook', [
      { name: 'nobody answers', args: [json({ hook: 'conform.v1.ask', payload: {} })], want: okText('[]') },
      { name: 'no hook named', args: [json({ payload: {} })], want: fault('invalid_argument', /hook/) },
      { name: 'a hook that is no text', args: [json({ hook: 7 })], want: fault('invalid_argument', /hook/) },
      { name: 'not an object', args: [json('conform.v1.ask')], want: fault('invalid_argument', /hook/) },
      {
        name: 'a hook with an empty segment',
        args: [json({ hook: 'conform..ask' })],
        want: fault('invalid_argument'),
        kind: 'hostile',
      },
      {
        name: 'a topic the manifest does not declare',
        args: [json({ hook: 'other.v1.act' })],
        want: missing,
        kind: 'capability',
      },
      {
        name: 'discovery needs no capability',
        args: [json({ hook: 'conform.v1.describe' })],
        role: 'bare',
        want: okText('[]'),
        kind: 'capability',
      },
      {
        name: 'a capsule without the capability',
        args: [json({ hook: 'conform.v1.ask' })],
        role: 'bare',
        want: missing,
        kind: 'capability',
      },
      { name: "the kernel's own topics", args: [json({ hook: 'astrid.v1.describe' })], want: missing, kind: 'hostile' },
    ]),
  },
];
