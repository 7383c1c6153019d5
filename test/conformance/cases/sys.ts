import { LIMITS } from '../../../abi/limits.js';
import { type CallProfile, casesOf, fill, OK_EMPTY, okJson, okMatch, okText, text, textParam } from '../case.js';

const caller = (value: unknown) => {
  const { principal, source_id, timestamp, session_id } = value as Record<string, unknown>;
  const known = principal === 'default' && source_id === '7f0c2a34-5b1e-4c38-9a1f-1d2e3f405162';
  return known && timestamp === '2026-01-02T03:04:05.678+00:00' && typeof session_id === 'string';
};

export const SYS: readonly CallProfile[] = [
  {
    call: 'astrid_log',
    good: OK_EMPTY,
    params: [
      textParam(text('info'), OK_EMPTY, fill(LIMITS.logLevelBytesMax), OK_EMPTY),
      textParam(text('said'), OK_EMPTY, fill(LIMITS.logMessageBytesMax), OK_EMPTY),
    ],
    cases: casesOf('astrid_log', [
      { name: 'below the level, dropped', args: [text('trace'), text('quiet')], want: OK_EMPTY },
      { name: 'a level in capitals', args: [text('WARNING'), text('loud')], want: OK_EMPTY },
      { name: 'an unknown level counts as info', args: [text('shout'), text('loud')], want: OK_EMPTY },
      {
        name: 'a capsule without capabilities may log',
        args: [text('err'), text('x')],
        role: 'bare',
        want: OK_EMPTY,
        kind: 'capability',
      },
      {
        name: 'line breaks and control characters',
        args: [text('info'), text('a\nb\u001b[2J')],
        want: OK_EMPTY,
        kind: 'hostile',
      },
    ]),
  },
  {
    call: 'astrid_clock_ms',
    good: okMatch(/^\d{13}$/),
    params: [],
    cases: casesOf('astrid_clock_ms', [
      {
        name: 'a capsule without capabilities may ask',
        args: [],
        role: 'bare',
        want: okMatch(/^\d{13}$/),
        kind: 'capability',
      },
    ]),
  },
  {
    call: 'astrid_get_config',
    good: okText('hello "you"'),
    goodIn: { 1: okText('"hello \\"you\\""') },
    params: [textParam(text('GREETING'), OK_EMPTY, fill(LIMITS.keyBytesMax), OK_EMPTY)],
    cases: casesOf('astrid_get_config', [
      { name: 'an unknown key is empty', args: [text('NO_SUCH')], want: OK_EMPTY },
      { name: 'a key without a value is empty', args: [text('EMPTY')], want: OK_EMPTY, wantIn: { 1: okText('""') } },
      { name: 'an uplink is told its socket', args: [text('ASTRID_SOCKET_PATH')], want: okMatch(/uplink\.sock"?$/) },
      {
        name: 'another capsule is not',
        args: [text('ASTRID_SOCKET_PATH')],
        role: 'bare',
        want: OK_EMPTY,
        kind: 'capability',
      },
      { name: 'a name that every object has', args: [text('__proto__')], want: OK_EMPTY, kind: 'hostile' },
      { name: 'a method that every object has', args: [text('constructor')], want: OK_EMPTY, kind: 'hostile' },
    ]),
  },
  {
    call: 'astrid_get_caller',
    good: okJson('principal, source_id, timestamp, session_id', caller),
    meant: { heard: true },
    params: [],
    cases: casesOf('astrid_get_caller', [
      { name: 'triggered by no message', args: [], want: okText('{}') },
      {
        name: 'a capsule without capabilities may ask',
        args: [],
        role: 'bare',
        want: okText('{}'),
        kind: 'capability',
      },
    ]),
  },
  {
    call: 'astrid_signal_ready',
    good: OK_EMPTY,
    params: [],
    cases: casesOf('astrid_signal_ready', [
      {
        name: 'without a run loop, twice',
        steps: [{ call: 'astrid_signal_ready', args: [] }],
        args: [],
        want: OK_EMPTY,
      },
    ]),
  },
  {
    call: 'astrid_get_interceptor_handles',
    good: okText('[{"handle_id":1,"action":"hear","topic":"conform.v1.looped"}]'),
    meant: { role: 'loop' },
    params: [],
    cases: casesOf('astrid_get_interceptor_handles', [
      { name: 'without a run loop there are none', args: [], want: okText('[]') },
      {
        name: 'a capsule without capabilities may ask',
        args: [],
        role: 'bare',
        want: okText('[]'),
        kind: 'capability',
      },
    ]),
  },
];
