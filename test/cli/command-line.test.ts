import { existsSync } from 'node:fs';
import { test } from 'tap';
import { EXIT } from '../../abi/errno.js';
import { COMMAND_TABLE } from '../../cli/command-table.js';
import { resolveHome } from '../../cli/home.js';
import { EXIT_CODE_ROWS } from '../../cli/view/fault-view.js';
import { openHome as openSupervisorHome } from '../../supervisor/home.js';
import { makeHome } from '../kit/fake-supervisor.js';
import { runCli } from '../kit/run-cli.js';

test('wrong use, any kind, is one clear line on standard error and exit code 2', async (t) => {
  const home = await makeHome(t);
  const cases: readonly (readonly [string, RegExp])[] = [
    ['frobnicate', /unknown command or argument "frobnicate"/],
    ['ps extra', /unknown command or argument "extra"/],
    ['ps --frob', /unknown option --frob/],
    ['approvals frob', /unknown command or argument "frob"/],
    ['audit', /name one of: tail, verify, prove/],
    ['kill', /<target> is missing; see: astrid kill --help/],
    ['audit prove', /<index> is missing/],
    ['capsule new', /<name> is missing/],
    ['capsule install --yes', /<source> is missing/],
    ['capsule secret mail', /<key> is missing/],
    ['approvals allow', /<id> is missing/],
    ['build', /<dir> is missing/],
    ['logs -n', /-n needs a value|--lines needs a value/],
    ['diff --session', /--session needs a value/],
    ['diff --session=', /--session must not be empty/],
    ['-p hi --session=', /--session must not be empty/],
    ['-p hi --session=a/b', /--session must be a session id of 1 to 64 .* not "a\/b"/],
    ['ps --json=foo', /--json takes no value, not "foo"/],
    ['ps --color=foo', /--color takes no value/],
    ['-p hi --yes=maybe', /--yes takes no value, not "maybe"/],
    ['logs -f=on', /--follow takes no value, not "on"/],
    ['approvals allow x --session=s1', /--session takes no value/],
    ['capsule install x --secret-file a', /--secret-file: expected KEY=PATH/],
    ['', /name a command, or give a prompt/],
    ['chat --mode reckless', /--mode must be one of safe, guided, autonomous, yolo, not "reckless"/],
    ['-p hi --timeout soon', /--timeout must be a whole number/],
    ['-p hi -p ho', /--prompt may be given once/],
    ['audit prove minus', /<index> must be a whole number/],
  ];
  for (const [line, expected] of cases) {
    const { exitCode, out, err } = await runCli(line === '' ? [] : line.split(' '), home);
    t.equal(exitCode, EXIT.usage, line);
    t.match(err, expected, line);
    t.match(err, /^astrid: .* \(invalid_argument\)\n$/, line);
    t.equal(out, '', line);
    const json = await runCli(line === '' ? ['--json'] : [...line.split(' '), '--json'], home);
    t.equal(json.exitCode, EXIT.usage, `${line} --json`);
    // A prompt that was understood tells its errors as events.
    t.match(
      json.err === '' ? json.out : json.err,
      /\(invalid_argument\)\n$|"code":"invalid_argument"/,
      `${line} --json`,
    );
  }
});

test('--help, of the program, names every command, every exit code and examples', async (t) => {
  const { exitCode, out } = await runCli(['--help'], '/nowhere');
  t.equal(exitCode, 0);
  for (const row of COMMAND_TABLE) t.match(out, ` ${String(row.syntax).replace('$0', '').trim()}`);
  for (const { code, meaning } of EXIT_CODE_ROWS) t.match(out, `${code}  ${meaning}`);
  t.match(out, 'astrid audit verify');
  t.match(out, /NO_COLOR/);
});

test('the exit codes of the help, compared with the table, are all of them', async (t) => {
  t.same(EXIT_CODE_ROWS.map((row) => row.code).sort(), Object.values(EXIT).sort());
});

test('--help, of every command and subcommand, prints without running it', async (t) => {
  const lines = COMMAND_TABLE.flatMap((row) => {
    const name = String(row.syntax).split(' ')[0] ?? '';
    const children = (row.children ?? []).map((child) => [name, String(child.syntax).split(/[ ,]/)[0] ?? '']);
    return name === '$0' ? [] : [[name], ...children];
  });
  for (const words of lines) {
    const { exitCode, out, err } = await runCli([...words, '--help'], '/nowhere');
    t.equal(exitCode, 0, words.join(' '));
    t.match(out, `astrid ${words.join(' ')}`);
    t.equal(err, '');
  }
});

test('--version, prints the version alone', async (t) => {
  t.match(await runCli(['--version'], '/nowhere'), { exitCode: 0, out: '1.2.3\n' });
});

test('--home, relative to the working directory, and a home that others can read is refused', async (t) => {
  const home = await makeHome(t);
  const { chmod } = await import('node:fs/promises');
  await chmod(home, 0o755);
  t.match(await runCli(['ps'], home), { exitCode: 1, err: /open to other users \(mode 755\).*chmod 700/ });
});

test('a home below a place where nothing can be made, is refused at once', {
  skip: !existsSync('/proc/self'),
}, async (t) => {
  for (const home of ['/proc/no-such-place', '/proc/no-such-place/below']) {
    const { exitCode, err } = await runCli(['start'], home);
    t.equal(exitCode, 1, home);
    t.match(err, `${home} cannot be made (ENOENT) (bad_home)`, home);
    await t.rejects(openSupervisorHome(home), { code: 'bad_home' }, home);
  }
});

test('an empty --home, is wrong use and not the real home', async (t) => {
  const { exitCode, err } = await runCli(['ps'], '');
  t.equal(exitCode, EXIT.usage);
  t.match(err, '--home must not be empty');
});

test('an empty ASTRID_HOME, counts as none', async (t) => {
  t.equal(resolveHome(undefined, { ASTRID_HOME: '' }, '/'), resolveHome(undefined, {}, '/'));
});
