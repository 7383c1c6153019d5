import { LIMITS } from '../../../abi/limits.js';
import {
  type CallProfile,
  casesOf,
  fault,
  fill,
  json,
  NOTHING,
  OK_EMPTY,
  ONCE,
  okText,
  REFUSED_KEY,
  requestParam,
  SILENT_KEY,
  step,
  text,
  textParam,
} from '../case.js';

const missing = fault('capability_missing');
const badRequest = fault('invalid_argument');
const elicit = { type: 'text', key: 'name', description: 'Your name' };

const TEXT_MOST = LIMITS.elicitTextCharsMax;
const choice = (count: number, chars: number) => ({
  type: 'select',
  options: ['Ada', ...Array.from({ length: count - 1 }, () => 'o'.repeat(chars))],
});
/** What a question may hold at most, and one more of it. */
const elicitEdges = [
  ['a key', (more: number) => ({ key: 'k'.repeat(LIMITS.keyBytesMax + more) })],
  ['a description', (more: number) => ({ description: 'd'.repeat(TEXT_MOST + more) })],
  ['a default', (more: number) => ({ default: 'd'.repeat(TEXT_MOST + more) })],
  ['options', (more: number) => choice(LIMITS.elicitOptionsMax + more, 1)],
  ['an option', (more: number) => choice(2, TEXT_MOST + more)],
] as const;
const elicitEdgeCases = elicitEdges.flatMap(([name, make]) =>
  casesOf(
    'astrid_elicit',
    [
      { name: `${name}, the most`, args: [json({ ...elicit, ...make(0) })], want: okText('{"value":"Ada"}') },
      { name: `${name}, one more`, args: [json({ ...elicit, ...make(1) })], want: fault('too_large') },
    ].map((one) => ({ ...one, entry: 'astrid_install', kind: 'limit' })),
  ),
);
const nightly = [text('0 3 * * *'), json(1)];
const scheduleMany = (count: number) =>
  Array.from({ length: count }, (_, n) => step('astrid_cron_schedule', text(`${ONCE}-${n}`), ...nightly));
const MOST_TIMERS = LIMITS.cronTimersPerCapsuleMax;
/** Timers of a principal: whoever made many has made all changes of a minute. */
const timerEdgeCases = casesOf('astrid_cron_schedule', [
  {
    name: 'the 32nd timer is the last',
    principal: 'timed-32',
    steps: scheduleMany(MOST_TIMERS - 1),
    args: [text('last'), ...nightly],
    want: OK_EMPTY,
    kind: 'limit',
  },
  {
    name: 'the 33rd timer',
    principal: 'timed-33',
    steps: scheduleMany(MOST_TIMERS),
    args: [text('more'), ...nightly],
    want: fault('quota_exceeded'),
    kind: 'limit',
  },
  {
    name: 'the 60th change in a minute is the last',
    principal: 'changed-60',
    steps: Array.from({ length: LIMITS.cronChangesPerMinuteMax - 1 }, () => step('astrid_cron_cancel', text('absent'))),
    args: [text('last'), ...nightly],
    want: OK_EMPTY,
    kind: 'limit',
  },
  {
    name: 'the 61st change in a minute',
    principal: 'changed-61',
    steps: Array.from({ length: LIMITS.cronChangesPerMinuteMax }, () => step('astrid_cron_cancel', text('absent'))),
    args: [text('more'), ...nightly],
    want: fault('rate_limited'),
    kind: 'limit',
  },
]);

/** Questions at install, secrets and timers. */
export const LIFECYCLE: readonly CallProfile[] = [
  {
    call: 'astrid_elicit',
    entry: 'astrid_install',
    good: okText('{"value":"Ada"}'),
    params: [requestParam(elicit, okText('{"value":"Ada"}'))],
    cases: casesOf('astrid_elicit', [
      {
        name: 'during an upgrade',
        args: [json(elicit)],
        entry: 'astrid_upgrade',
        want: okText('{"value":"Ada"}'),
      },
      {
        name: 'a list',
        args: [json({ ...elicit, type: 'array' })],
        entry: 'astrid_install',
        want: okText('{"values":["one","two"]}'),
      },
      {
        name: 'a choice',
        args: [json({ ...elicit, type: 'select', options: ['red', 'green'] })],
        entry: 'astrid_install',
        want: okText('{"value":"red"}'),
      },
      {
        name: 'a secret, whose value is never shown',
        args: [json({ ...elicit, type: 'secret', key: 'token' })],
        entry: 'astrid_install',
        want: okText('{"ok":true}'),
      },
      {
        name: 'while the capsule is stopped',
        args: [json({ ...elicit, key: SILENT_KEY })],
        entry: 'astrid_install',
        want: fault('cancelled'),
        unloadsAt: 'an answer',
      },
      {
        name: 'the person does not want to',
        args: [json({ ...elicit, key: REFUSED_KEY })],
        entry: 'astrid_install',
        want: fault('cancelled'),
      },
      { name: 'outside of install and upgrade', args: [json(elicit)], want: fault('not_supported') },
      {
        name: 'an unknown type',
        args: [json({ ...elicit, type: 'number' })],
        entry: 'astrid_install',
        want: badRequest,
      },
      { name: 'no key', args: [json({ type: 'text' })], entry: 'astrid_install', want: badRequest },
      {
        name: 'a selection without options',
        args: [json({ ...elicit, type: 'select' })],
        entry: 'astrid_upgrade',
        want: badRequest,
      },
      {
        name: 'a secret whose key has a colon',
        args: [json({ ...elicit, type: 'secret', key: 'a:b' })],
        entry: 'astrid_install',
        want: badRequest,
        kind: 'hostile',
      },
    ]).concat(elicitEdgeCases),
  },
  {
    call: 'astrid_has_secret',
    good: okText('{"exists":true}'),
    meant: {
      steps: [step('astrid_elicit', json({ ...elicit, type: 'secret', key: 'given' }))],
      args: [json({ key: 'given' })],
      entry: 'astrid_install',
    },
    params: [requestParam({ key: 'absent' }, okText('{"exists":false}'), LIMITS.keyBytesMax)],
    cases: casesOf('astrid_has_secret', [
      { name: 'one that nobody gave', args: [json({ key: 'absent' })], want: okText('{"exists":false}') },
      {
        name: "another capsule's",
        before: [step('astrid_elicit', json({ ...elicit, type: 'secret', key: 'theirs' }))],
        args: [json({ key: 'theirs' })],
        entry: 'astrid_install',
        want: okText('{"exists":false}'),
        kind: 'hostile',
      },
      { name: 'no key', args: [json({})], want: badRequest },
      { name: 'an empty key', args: [json({ key: '' })], want: badRequest },
      { name: 'a key with a colon', args: [json({ key: 'a:b' })], want: badRequest, kind: 'hostile' },
      {
        name: 'any capsule may ask',
        args: [json({ key: 'token' })],
        role: 'bare',
        want: okText('{"exists":false}'),
        kind: 'capability',
      },
    ]),
  },
  {
    call: 'astrid_cron_schedule',
    good: OK_EMPTY,
    params: [
      textParam(text('nightly'), badRequest, fill(LIMITS.cronNameBytesMax), OK_EMPTY),
      textParam(text('0 3 * * *'), badRequest, fill(LIMITS.cronScheduleBytesMax, '*'), badRequest),
      textParam(json({ n: 1 }), OK_EMPTY, fill(LIMITS.cronPayloadBytesMax), OK_EMPTY),
    ],
    cases: casesOf('astrid_cron_schedule', [
      { name: 'no such schedule', args: [text('x'), text('when it rains'), json(1)], want: badRequest },
      {
        name: 'the same name again replaces it',
        steps: [step('astrid_cron_schedule', text('twice'), text('0 3 * * *'), json(1))],
        args: [text('twice'), text('0 4 * * *'), NOTHING],
        want: OK_EMPTY,
      },
      {
        name: 'a capsule without the capability',
        args: [text('x'), text('0 3 * * *'), json(1)],
        role: 'bare',
        want: missing,
        kind: 'capability',
      },
    ]).concat(timerEdgeCases),
  },
  {
    call: 'astrid_cron_cancel',
    good: OK_EMPTY,
    meant: { steps: [step('astrid_cron_schedule', text('nightly'), text('0 3 * * *'), json(1))] },
    params: [textParam(text('nightly'), badRequest, fill(LIMITS.cronNameBytesMax), OK_EMPTY)],
    cases: casesOf('astrid_cron_cancel', [
      { name: 'what is not there', args: [text('absent')], want: OK_EMPTY },
      { name: 'a capsule without the capability', args: [text('x')], role: 'bare', want: missing, kind: 'capability' },
    ]),
  },
];
