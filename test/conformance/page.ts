import { ENTRY_POINTS, type EntryPoint } from '../../abi/entry-points.js';
import { LIMITS } from '../../abi/limits.js';
import { GATE_CODES, type ParamRow, type SyscallRow } from '../../abi/syscalls/row.js';
import { SYSCALLS } from '../../abi/table.js';
import { WASI_PREVIEW1 } from '../../abi/wasm/wasi-preview1.js';
import { GuestTrap } from '../../worker/results.js';
import { makeWasiShim } from '../../worker/wasi-shim.js';
import { CALL_BOUNDS, formatBytes, formatLimit } from './bounds.js';
import { CASES } from './registry.js';

/** When each export is called, and what goes in and out. All take nothing and return an i32, zero for success. */
const EXPORTS: Readonly<Record<EntryPoint, readonly [when: string, input: string, output: string]>> = {
  astrid_hook_trigger: [
    'a message or hook that an interceptor of the manifest matches',
    'request',
    'interceptor result',
  ],
  run: ['once, right after load; a return is a failure', 'nothing', 'nothing'],
  astrid_install: ['the first install', 'nothing', 'ignored'],
  astrid_upgrade: ['another version was installed before', '`{"prev_version":"1.2.3"}`', 'ignored'],
  astrid_command_run: [
    'a slash command of the manifest',
    'request, arguments = JSON `{command, args, session_id}`',
    'JSON; text is shown',
  ],
  astrid_tool_call: [
    'a tool of the manifest (generation 1)',
    'request, name = tool, arguments = JSON of its arguments',
    'JSON',
  ],
  astrid_cron_trigger: [
    'a timer of `astrid_cron_schedule`',
    'request, name = timer, arguments = its payload',
    'ignored',
  ],
  astrid_export_schemas: ['by build tools of SDKs up to 0.4, never by the kernel', 'nothing', 'JSON'],
};

/** The reference page: everything in it comes from `abi/` and from the cases of the conformance suite. */
export function renderAbiPage(): string {
  return [
    '# Host calls',
    '',
    '<!-- Made by `npm run docs:abi` from abi/ and test/conformance/. A test fails when it is stale. -->',
    '',
    ...INTRODUCTION,
    '',
    ...table(
      ['#', 'call', 'parameters', 'returns', 'needs', 'path', 'log', 'errors', 'cases'],
      SYSCALLS.map(rowOfCall),
    ),
    '',
    ...FOOTNOTES,
    '',
    '## Bounds',
    '',
    'Beside the sizes of the arguments above. Who passes one is answered `too_large`, `quota_exceeded`, `rate_limited` or `timed_out`, as the',
    'errors of the call say; a wait that is asked for too long is as long as it may be.',
    '',
    ...table(['call', 'bound', 'at most'], SYSCALLS.flatMap(boundsOf)),
    '',
    '## Exports',
    '',
    'All are functions without parameters that return an `i32`: 0, or a failure whose text is the Extism error.',
    '',
    ...table(
      ['export', 'called for', 'input', 'output'],
      ENTRY_POINTS.map((name) => [`\`${name}\``, ...EXPORTS[name]]),
    ),
    '',
    'A *request* is `{"name": "action", "arguments": [104, 105]}`: the payload as a list of byte numbers. An *interceptor',
    'result* is empty or `null` (go on, payload unchanged), or starts with `0x00` (go on, the rest is the payload), `0x01`',
    '(stop, the rest is the payload) or `0x02` (deny, the rest says why); with any other first byte it is the payload itself.',
    '',
    '## WASI',
    '',
    ...describeWasi(),
    '',
  ].join('\n');
}

const INTRODUCTION = [
  'A capsule imports these functions from `extism:host/user`. Every parameter is an `i64`: the offset of an Extism block. An',
  'offset that is no live block reads as no bytes. Sizes are in bytes and say what may be sent, which is checked before anything is',
  'copied; where less is kept of it, that stands behind. One byte more than either is `too_large`. *Cases* counts what the',
  'conformance suite tries on that call in each tier and generation (`npm run conformance`). 0 to 48 are the calls of Astrid 0.5; the two',
  'timers, 49 and 50, are later names of upstream.',
  '',
  'Three generations are served, told from the module or by `abi` in `[package]`:',
  '',
  '| generation | result of a call | an error |',
  '|---|---|---|',
  '| 1 (SDK up to 0.4) | the bytes | ends the export |',
  '| 2 (SDK 0.5) | the bytes; with a status byte before them in the calls marked * | ends the export; in the calls marked *: `0x01` and text |',
  '| 3 (ours) | `0x00` and the bytes, from every call | `0x01` and `{"code", "message"}` |',
  '',
  'A capsule of SDK 0.5.0 to 0.5.2, which knows no status byte, states `abi = 1`. Configuration is quoted as JSON only for a',
  'module of generation 1 that has an export of SDKs up to 0.4.',
];

const FOOTNOTES = [
  '*path*: `supervisor` is a round trip to the kernel, `worker` is answered inside the capsule’s own process, `one-way` is sent',
  'and not waited for. *log*: `before` is written to the log and acknowledged before anything happens, `with` is written in',
  'order, `none` is not written. *Blocking* calls may wait for somebody and answer `cancelled` when the capsule is unloaded.',
  '*errors*: what the call itself may answer. Any call that goes to the supervisor may also answer, for the gate, the log or a',
  `mistake of ours: ${quoteAll(GATE_CODES, ', ')}.`,
];

const WASI_BADF = 8;
const WASI_NOSYS = 52;

/** What a worker's function answers about descriptor 1, which is there where any is; null when it ends the call instead. */
function askWasi(name: string): number | null {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const shim = makeWasiShim([name], { memory: () => memory, log: () => {}, now: () => 0 });
  const ask = shim[name] as (...args: readonly (number | bigint)[]) => number;
  const args = (WASI_PREVIEW1.get(name)?.params ?? []).map((type, at) => (type === 'i64' ? 0n : at === 0 ? 1 : 0));
  try {
    return ask(...args);
  } catch (error) {
    if (!(error instanceof GuestTrap)) throw error;
    return null;
  }
}

/** Told from the functions themselves: a list beside them would be a second one to keep. */
function describeWasi(): string[] {
  const answers = [...WASI_PREVIEW1.keys()].map((name) => ({ name, answer: askWasi(name) }));
  const namesOf = (fits: (answer: number | null) => boolean) =>
    quoteAll(
      answers.filter(({ answer }) => fits(answer)).map(({ name }) => name),
      ', ',
    );
  return [
    'A module may import every function of `wasi_snapshot_preview1`, because toolchains link more than they use; another name is refused',
    'at install. None of them grants anything. The worker answers these itself: clocks and random numbers work, what is written to',
    'descriptors 1 and 2 becomes lines of the log, arguments and environment are empty, `poll_oneoff` sleeps, `proc_exit` ends the call:',
    '',
    `${namesOf((answer) => answer !== WASI_BADF && answer !== WASI_NOSYS)}.`,
    '',
    `These answer that there is no such descriptor (\`badf\`): ${namesOf((answer) => answer === WASI_BADF)}.`,
    `All others answer that they do not exist (\`nosys\`).`,
  ];
}

function quoteAll(codes: readonly string[], between: string): string {
  return codes.map((code) => `\`${code}\``).join(between);
}

function rowOfCall(row: SyscallRow): string[] {
  const cases = CASES.get(row.name) ?? [];
  const served = row.since !== null;
  return [
    String(row.number),
    `\`${row.name}\`${row.hostResult ? ' *' : ''}`,
    row.params.map((param) => describeParam(param, KEPT_BYTES_MAX[row.name])).join('<br>') || 'none',
    row.returns,
    row.capability === null ? 'nothing' : `\`${row.capability}\``,
    `${row.path}${row.blocking ? ', blocking' : ''}`,
    row.audit,
    quoteAll(row.errors, ' ') || 'none',
    served ? String(cases.length) : 'not served yet',
  ];
}

function boundsOf({ name }: SyscallRow): string[][] {
  return (CALL_BOUNDS[name] ?? []).map(([what, limit], at) => [
    at === 0 ? `\`${name}\`` : '',
    what,
    formatLimit(limit),
  ]);
}

/** Where the service takes less than the row lets through, by call and parameter. */
const KEPT_BYTES_MAX: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  astrid_kv_set: { value: LIMITS.kvValueBytesMax },
};

function describeParam(
  { name, kind, bytesMax }: ParamRow,
  keptBytesMax: Readonly<Record<string, number>> = {},
): string {
  const kept = keptBytesMax[name];
  return `${name}: ${kind} ≤ ${formatBytes(bytesMax)}${kept === undefined ? '' : `, kept ≤ ${formatBytes(kept)}`}`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), `|${'---|'.repeat(head.length)}`, ...rows.map(line)];
}
