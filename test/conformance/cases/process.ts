import { LIMITS } from '../../../abi/limits.js';
import {
  type CallProfile,
  casesOf,
  fault,
  foreign,
  from,
  json,
  okJson,
  okMatch,
  okText,
  type ParamProfile,
  requestParam,
  step,
} from '../case.js';

const missing = fault('capability_missing');
const bad = fault('invalid_argument');
const badHandle = fault('bad_handle');
const echo = { cmd: 'echo', args: ['hi'] };
const echoed = okJson('stdout hi', (value) => (value as { stdout: string }).stdout === 'hi\n');
/** `echo` with two words, so that none is longer than the system takes, in so many bytes with the NUL after each. */
const echoOf = (total: number) => {
  const first = 'a'.repeat(65_536);
  return json({ cmd: 'echo', args: [first, 'b'.repeat(total - Buffer.byteLength(`echo.${first}..`))] });
};
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
    {
      name: 'a command one byte past 128 KiB',
      args: [echoOf(LIMITS.processCommandBytesMax + 1)],
      want: fault('too_large', /131073 bytes/),
      kind: 'limit',
    },
    { name: 'no command', args: [json({})], want: bad },
    { name: 'arguments that are no list', args: [json({ cmd: 'echo', args: 'hi' })], want: bad },
    { name: 'a NUL in an argument', args: [json({ cmd: 'echo', args: ['a\0b'] })], want: bad, kind: 'hostile' },
  ]);
const anId = okJson('an id', (value) => Number.isInteger((value as { id: number }).id));
const processId: ParamProfile = requestParam({ id: 99 }, badHandle, LIMITS.processRequestBytesMax);
const idCases = (call: string) =>
  casesOf(call, [
    { name: 'an id that is no number', args: [json({ id: 'x' })], want: bad },
    {
      name: "another capsule's process",
      before: [lasting],
      args: [foreign(0)],
      want: badHandle,
      kind: 'hostile',
      fresh: true,
    },
    { name: 'a negative id', args: [json({ id: -1 })], want: bad, kind: 'hostile' },
    {
      name: 'a capsule without the capability',
      args: [json({ id: 1 })],
      role: 'bare',
      want: missing,
      kind: 'capability',
    },
  ]);

const background = (line: string) => step('astrid_spawn_background_host', json({ cmd: 'sh', args: ['-c', line] }));
/** A process that lasts until it is killed, and says a line before. */
const lasting = background('echo up; exec sleep 600');

/** Commands of capsules. */
export const PROCESS: readonly CallProfile[] = [
  {
    call: 'astrid_spawn_host',
    good: echoed,
    params: [requestParam(echo, echoed)],
    cases: [
      ...commandCases('astrid_spawn_host'),
      ...casesOf('astrid_spawn_host', [
        {
          name: 'a command of 128 KiB',
          args: [echoOf(LIMITS.processCommandBytesMax)],
          want: okMatch(/^\{"stdout":"aaa/),
          kind: 'limit',
        },
        {
          name: 'output on both streams and an exit code',
          args: [json({ cmd: 'sh', args: ['-c', 'echo out; echo err >&2; exit 3'] })],
          want: okText('{"stdout":"out\\n","stderr":"err\\n","exit_code":3}'),
        },
        {
          name: 'while the capsule is stopped',
          args: [json({ cmd: 'sh', args: ['-c', 'sleep 600'] })],
          want: okText('{"stdout":"","stderr":"process cancelled","exit_code":-1}'),
          unloadsAt: 'spawn_host',
        },
        {
          name: 'ended by a signal',
          args: [json({ cmd: 'sh', args: ['-c', 'kill -9 $$'] })],
          want: okJson('exit code -1', (value) => (value as { exit_code: number }).exit_code === -1),
        },
        {
          name: 'it sees nothing of the system but the workspace',
          args: [json({ cmd: 'sh', args: ['-c', 'cat note.txt; env | grep -c ASTRID'] })],
          want: okJson('the note', (value) => (value as { stdout: string }).stdout === 'first line\n0\n'),
          kind: 'hostile',
        },
      ]),
    ],
  },
  {
    call: 'astrid_spawn_background_host',
    good: anId,
    meant: { fresh: true },
    params: [requestParam(echo, anId)],
    cases: [
      ...commandCases('astrid_spawn_background_host'),
      ...casesOf('astrid_spawn_background_host', [
        {
          name: 'a command of 128 KiB',
          args: [echoOf(LIMITS.processCommandBytesMax)],
          want: anId,
          kind: 'limit',
          fresh: true,
        },
        {
          name: 'the eighth process is the last',
          steps: Array.from({ length: LIMITS.processesPerInstanceMax - 1 }, () => lasting),
          args: [json(echo)],
          want: anId,
          kind: 'limit',
          fresh: true,
        },
        {
          name: 'the ninth process',
          steps: Array.from({ length: LIMITS.processesPerInstanceMax }, () => lasting),
          args: [json(echo)],
          want: fault('quota_exceeded'),
          kind: 'limit',
          fresh: true,
        },
      ]),
    ],
  },
  {
    call: 'astrid_read_process_logs_host',
    good: okJson('running', (value) => {
      const { running, exit_code } = value as { readonly running: boolean; readonly exit_code: null };
      return running && exit_code === null;
    }),
    meant: { steps: [lasting], args: [from(0)], fresh: true },
    params: [processId],
    cases: idCases('astrid_read_process_logs_host'),
  },
  {
    call: 'astrid_kill_process_host',
    good: okJson('killed', (value) => (value as { killed: boolean }).killed),
    meant: { steps: [lasting], args: [from(0)] },
    params: [processId],
    cases: [
      ...idCases('astrid_kill_process_host'),
      ...casesOf('astrid_kill_process_host', [
        {
          name: 'one that was killed',
          steps: [lasting, step('astrid_kill_process_host', from(0))],
          args: [from(0)],
          want: badHandle,
        },
      ]),
    ],
  },
];
