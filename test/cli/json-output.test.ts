import { test } from 'tap';
import type { ControlMethod } from '../../abi/control.js';
import { COMMAND_TABLE, type CommandRow } from '../../cli/command-table.js';
import { type FakeScript, type FakeStream, makeApproval, makeHome, startFake } from '../kit/fake-supervisor.js';
import { runCli } from '../kit/run-cli.js';

/** What a capsule, a file or a log may be called: erases the line, colours, turns the reading order, fakes a row. */
const HOSTILE = 'x\u001b[2K\u009b31m\u202ey\u200b\u007f\r\n\u0007\u001b]8;;z\u001b\\\u2028';
const ROW = { name: HOSTILE, version: HOSTILE, ok: true, createdAt: 1 };
const ROWS = [ROW, { ...ROW, createdAt: 0 }];
const APPROVAL = makeApproval({ resource: HOSTILE, why: HOSTILE, detail: [HOSTILE] });

interface JsonCase {
  readonly line: string;
  readonly method: ControlMethod;
  /** What the supervisor answers, or the events of its stream. */
  readonly answer: unknown;
  /** What is printed, if it is not that answer. */
  readonly prints?: unknown;
  readonly streams?: true;
  /** One value per line, for it does not end by itself. */
  readonly follows?: true;
  readonly more?: FakeScript;
}

const CASES: readonly JsonCase[] = [
  { line: 'ps', method: 'ps', answer: ROWS },
  { line: 'sessions', method: 'session.list', answer: ROWS },
  { line: 'status', method: 'status', answer: ROW },
  { line: 'kill x', method: 'kill', answer: { capsule: HOSTILE } },
  { line: 'restart x', method: 'restart', answer: { capsule: HOSTILE } },
  { line: 'diff --session s1', method: 'overlay.diff', answer: ROWS },
  { line: 'commit --session s1', method: 'overlay.commit', answer: { committed: [HOSTILE], conflicts: [] } },
  { line: 'rollback --session s1', method: 'overlay.rollback', answer: { rolledBack: [HOSTILE] } },
  { line: 'approvals', method: 'approvals.list', answer: [APPROVAL] },
  { line: 'approvals list', method: 'approvals.list', answer: [APPROVAL] },
  ...(['allow', 'deny'] as const).map((verb) => ({
    line: `approvals ${verb} a1`,
    method: 'approvals.answer' as const,
    answer: null,
    prints: { ...APPROVAL, decision: verb === 'allow' ? 'once' : 'deny' },
    more: { 'approvals.list': () => [APPROVAL] },
  })),
  { line: 'logs', method: 'logs', answer: ROWS, streams: true },
  { line: 'logs -f', method: 'logs', answer: ROWS, streams: true, follows: true },
  { line: 'audit tail', method: 'audit.tail', answer: ROWS, streams: true },
  { line: 'audit tail -f', method: 'audit.tail', answer: ROWS, streams: true, follows: true },
  { line: 'capsule', method: 'capsule.list', answer: ROWS },
  { line: 'capsule list', method: 'capsule.list', answer: ROWS },
  { line: 'capsule tree', method: 'capsule.tree', answer: ROWS },
  { line: 'capsule verify', method: 'capsule.verify', answer: ROWS },
  { line: 'capsule inspect x', method: 'capsule.inspect', answer: ROW },
  { line: 'capsule gc', method: 'capsule.gc', answer: { dryRun: true, blobs: [{ file: HOSTILE, bytes: 1 }] } },
  { line: 'capsule gc --yes', method: 'capsule.gc', answer: { dryRun: false, blobs: [{ file: HOSTILE, bytes: 1 }] } },
  { line: 'capsule remove x', method: 'capsule.remove', answer: ROW },
  { line: 'capsule config x', method: 'capsule.config', answer: ROWS },
  {
    line: 'capsule secret x KEY --remove',
    method: 'capsule.secret',
    answer: { done: true },
    prints: { capsule: 'x', key: 'KEY', set: false },
    more: { 'capsule.config': () => [] },
  },
];

/** Commands that need more than an answer of the supervisor: each has its own tests. */
const ELSEWHERE = [
  ...['$0', 'chat', 'build', 'doctor', 'start', 'stop', 'audit verify', 'audit prove'],
  ...['new', 'dev', 'test', 'check', 'build', 'pack', 'install', 'update'].map((name) => `capsule ${name}`),
];

function scriptOf({ method, answer, streams, more }: JsonCase): FakeScript {
  const send = (_params: unknown, stream: FakeStream) => {
    for (const event of answer as readonly unknown[]) stream.send(event);
    stream.end();
  };
  return { ...more, [method]: streams === true ? send : () => answer };
}

/** Names of the commands that do something, as they are typed. */
function namesOf(rows: readonly CommandRow[], prefix = ''): string[] {
  return rows.flatMap(({ syntax, children }) => {
    const name = `${prefix}${(typeof syntax === 'string' ? syntax : syntax[0]!).replace(/ .*/, '')}`;
    return children === undefined ? [name] : namesOf(children, `${name} `);
  });
}

test('every command with --json, whatever a capsule calls things, prints JSON and nothing that steers a terminal', async (t) => {
  for (const one of CASES) {
    const { home, fake } = await startFake(t, scriptOf(one));
    const printed = await runCli([...one.line.split(' '), '--json'], home, { tty: true, color: true });
    t.equal(printed.exitCode, 0, `${one.line}: ${printed.err}`);
    t.equal(printed.err, '', one.line);
    t.ok(printed.out.endsWith('\n'), one.line);
    const lines = printed.out.slice(0, -1).split('\n');
    const values: unknown[] = lines.map((line) => JSON.parse(line));
    t.same(one.follows === true ? values : values[0], one.prints ?? one.answer, one.line);
    t.equal(values.length, one.follows === true ? ROWS.length : 1, `${one.line}: one value per line`);
    t.notMatch(
      lines.join(''),
      /[\p{Cc}\p{Bidi_Control}\p{Default_Ignorable_Code_Point}\p{Surrogate}\u2028\u2029]/u,
      one.line,
    );
    await fake.stop();
  }
});

test('a command with --json that fails, prints nothing where the JSON would be', async (t) => {
  const home = await makeHome(t);
  for (const { line } of CASES) {
    const { exitCode, out, err } = await runCli([...line.split(' '), '--json'], home, { tty: true, color: false });
    t.equal(exitCode, 3, line);
    t.equal(out, '', line);
    t.match(err, /\(not_running\)\n$/, line);
  }
});

test('no command is left out of these tests', (t) => {
  const tried = namesOf(COMMAND_TABLE).filter((name) => CASES.some(({ line }) => `${line} `.startsWith(`${name} `)));
  t.same([...tried, ...ELSEWHERE].sort(), namesOf(COMMAND_TABLE).sort());
  t.end();
});
