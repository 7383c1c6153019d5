import { test } from 'tap';
import { asFault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { commandCovered, parseCommand, quoteCommand } from '../../supervisor/syscalls/command.js';
import type { CallContext } from '../../supervisor/syscalls/handler.js';
import { makeProcessHandlers, type ProcessService } from '../../supervisor/syscalls/process.js';
import { fc } from '../kit/property.js';

const handlers = makeProcessHandlers({ mayUseNetwork: () => false } as unknown as ProcessService);
const spawn = handlers.astrid_spawn_host;
const codeOf = (action: () => unknown) => {
  try {
    action();
    return 'ok';
  } catch (error) {
    return asFault(error).code;
  }
};
const contextOf = (entries: unknown, phase: CallContext['phase'] = 'normal') =>
  ({ capsule: 'tool', phase, manifest: { capabilities: { host_process: entries } } }) as unknown as CallContext;
const requestOf = (value: unknown) => spawn.decode([Buffer.from(JSON.stringify(value))]);

test('an entry of the manifest covers its own words and more arguments, and nothing else', (t) => {
  const table: [string[], string, string[], boolean][] = [
    [['git'], 'git', [], true],
    [['git'], 'git', ['push'], true],
    [['git'], 'git push', [], true],
    [['git'], 'gitk', [], false],
    [['git'], '/tmp/git', [], false],
    [['git status'], 'git', ['status'], true],
    [['git status'], 'git status', ['-s'], true],
    [['git status'], 'git', ['status', '; rm -rf /'], true],
    [['git status'], 'git', [], false],
    [['git status'], 'git', ['statusx'], false],
    [['git status'], 'git', ['status x'], false],
    [['git status'], 'git', ['', 'status'], false],
    [['git status'], 'git', ['-C', '/', 'status'], false],
    [['/usr/bin/make'], '/usr/bin/make', ['all'], true],
    [['/usr/bin/make'], 'make', ['all'], false],
    [['make'], '/usr/bin/make', ['all'], false],
    [['*'], 'ls', [], false],
    [[''], 'ls', [], false],
    [[' '], 'ls', [], false],
    [[], 'ls', [], false],
  ];
  for (const [entries, cmd, args, wanted] of table)
    t.equal(commandCovered(entries, parseCommand(cmd, args)), wanted, `${entries} / ${cmd} ${args}`);
  t.equal(spawn.covers?.(requestOf({ cmd: 'ls' }), contextOf('ls')), false, 'a text is no list');
  t.equal(spawn.covers?.(requestOf({ cmd: 'ls' }), contextOf([1, null, 'ls'])), true);
  t.end();
});

test('coverage is word by word, whatever the words hold', (t) => {
  const word = fc.stringMatching(/^[a-z;&|$ ]{1,4}$/);
  fc.assert(
    fc.property(
      fc.array(word, { minLength: 1, maxLength: 3 }),
      fc.array(word, { minLength: 1, maxLength: 4 }),
      (entry, argv) => {
        const words = entry.join(' ').split(' ').filter(Boolean);
        const naive = words.length > 0 && JSON.stringify(argv.slice(0, words.length)) === JSON.stringify(words);
        return commandCovered([entry.join(' ')], argv) === naive;
      },
    ),
  );
  t.end();
});

test('two different commands never read alike in the log', (t) => {
  const list = fc.array(fc.string({ maxLength: 4 }), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(list, list, (a, b) => JSON.stringify(a) === JSON.stringify(b) || quoteCommand(a) !== quoteCommand(b)),
  );
  t.equal(quoteCommand(['git', 'commit', '-m', 'a "b" $(c)']), 'git commit -m "a \\"b\\" $(c)"');
  t.end();
});

test('a program text with anything of a shell in it is refused, and so is a relative path', (t) => {
  for (const cmd of [
    'a;b',
    'a|b',
    'a&&b',
    '$(a)',
    '`a`',
    'a>b',
    'a "b"',
    "a 'b'",
    'a\nb',
    'a\\b',
    'a*',
    '',
    ' ',
    './a',
    '../a',
    'a/b',
    '/a/../b',
    '/a//b',
    '-x',
    '~/a',
    'a\0',
  ])
    t.equal(
      codeOf(() => parseCommand(cmd, [])),
      'invalid_argument',
      JSON.stringify(cmd),
    );
  t.same(parseCommand('git  status ', ['; x', '']), ['git', 'status', '; x', '']);
  t.end();
});

test('a request is decoded with escapes, and each malformed one names its field', (t) => {
  t.same(requestOf({ cmd: 'echo', args: ['a "quoted" \\ \n line'] }).argv, ['echo', 'a "quoted" \\ \n line']);
  const fields = (value: unknown) => {
    try {
      requestOf(value);
      return 'ok';
    } catch (error) {
      return `${asFault(error).code} ${asFault(error).field}`;
    }
  };
  t.equal(fields({ cmd: 'a' }), 'ok');
  for (const value of [null, 1, 'a', [], {}, { cmd: 1 }, { cmd: ['a'] }])
    t.equal(fields(value), 'invalid_argument cmd');
  for (const args of ['a', 1, [1], [null], {}, ['a\0b']]) t.equal(fields({ cmd: 'a', args }), 'invalid_argument args');
  t.equal(fields({ cmd: 'a', args: ['x'.repeat(LIMITS.processCommandBytesMax - 3)] }), 'ok', 'at the limit');
  t.equal(fields({ cmd: 'a', args: ['x'.repeat(LIMITS.processCommandBytesMax - 2)] }), 'too_large args', 'one past it');
  for (const text of ['', '{', '\xff'])
    t.equal(
      codeOf(() => spawn.decode([Buffer.from(text, 'latin1')])),
      'invalid_argument',
    );
  const { decode } = handlers.astrid_kill_process_host;
  for (const id of [-1, 1.5, '1', null, 2 ** 53])
    t.equal(
      codeOf(() => decode([Buffer.from(JSON.stringify({ id }))])),
      'invalid_argument',
    );
  t.same(decode([Buffer.from('{"id":7}')]), { id: 7 });
  t.end();
});

test('what a person is asked shows every word apart, the directory and the network', async (t) => {
  const lines = await spawn.preview?.(requestOf({ cmd: 'git', args: ['commit', '-m', 'a b'] }), contextOf(['git']));
  t.same(lines, [
    'run git commit -m "a b"',
    'program: git',
    'argument 1: "commit"',
    'argument 2: "-m"',
    'argument 3: "a b"',
    'working directory: cwd://',
    'network: no',
    'changes go to the overlay, not to the workspace',
  ]);
});

test('install and upgrade run no command', (t) => {
  for (const { run } of [spawn, handlers.astrid_spawn_background_host]) {
    for (const phase of ['install', 'upgrade'] as const)
      t.equal(
        codeOf(() => run(requestOf({ cmd: 'ls' }), contextOf(['ls'], phase))),
        'policy_denied',
      );
  }
  t.end();
});
