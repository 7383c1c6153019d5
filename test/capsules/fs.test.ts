import { test } from 'tap';
import { closeGuestBundler } from '../kit/guest-bundle.js';
import type { GuestKernelOptions } from '../kit/guest-capsule.js';
import { GuestKernel } from '../kit/guest-kernel.js';

interface Result {
  readonly content: string;
  readonly is_error: boolean;
}

type Run = (tool: string, args: unknown) => Result;

async function boot(options: GuestKernelOptions = {}): Promise<{ kernel: GuestKernel; run: Run }> {
  const kernel = await GuestKernel.boot(['fs'], options);
  let count = 0;
  const run: Run = (tool, args) => {
    const call_id = `c${++count}`;
    const request = { type: 'tool_execute_request', call_id, tool_name: tool, arguments: args };
    kernel.publish(null, `tool.v1.execute.${tool}`, request, 's1');
    kernel.run();
    const answer = kernel.views<{ call_id: string; result: Result }>(`tool.v1.execute.${tool}.result`).at(-1);
    if (answer?.call_id !== call_id) throw new Error(`${tool} gave no result`);
    return answer.result;
  };
  return { kernel, run };
}

const ok = (content: string): Result => ({ content, is_error: false });

test('read_file, whole, by lines and past the end', async (t) => {
  const { kernel, run } = await boot();
  kernel.files.write('cwd://a.txt', 'one\ntwo\nthree\n');
  t.match(run('read_file', { file_path: 'a.txt' }), ok('one\ntwo\nthree\n'));
  t.match(run('read_file', { file_path: 'a.txt', start_line: 2 }), ok('two\nthree'));
  t.match(run('read_file', { file_path: 'a.txt', end_line: 1 }), ok('one'));
  t.match(run('read_file', { file_path: 'a.txt', start_line: 2, end_line: 2 }), ok('two'));
  t.match(run('read_file', { file_path: 'a.txt', start_line: 3, end_line: 99 }), ok('three'));
  t.match(run('read_file', { file_path: 'a.txt', start_line: 4 }), {
    content: 'invalid_argument: a.txt has 3 lines, start_line is 4',
    is_error: true,
  });
  t.match(run('read_file', { file_path: 'a.txt', start_line: 3, end_line: 2 }), { is_error: true });
  t.match(run('read_file', { file_path: 'none' }), { content: /^not_found: /, is_error: true });
  t.match(run('read_file', { file_path: '' }), { content: /^is_a_directory: /, is_error: true });
});

test('read_file, large and binary files, bounded and refused', async (t) => {
  const { kernel, run } = await boot();
  kernel.files.write('cwd://big', 'x'.repeat(300_000));
  const { content } = run('read_file', { file_path: 'big' });
  t.match(content, /\n\[37856 more characters are not shown; ask for lines with start_line\]$/);
  t.ok(content.length < 263_000);
  kernel.files.write('cwd://bin', Buffer.from([1, 0, 2]));
  kernel.files.write('cwd://latin', Buffer.from([0x66, 0xfc, 0x72]));
  for (const file of ['bin', 'latin']) {
    t.match(run('read_file', { file_path: file }), {
      content: `not_supported: ${file} is not a text file (3 bytes)`,
      is_error: true,
    });
  }
});

test('paths, every way to write the same one, and the ways out of the workspace', async (t) => {
  const { kernel, run } = await boot();
  kernel.files.write('cwd://d/a.txt', 'workspace');
  kernel.files.write('home://a.txt', 'home');
  for (const path of ['d/a.txt', './d/a.txt', '/d/a.txt', 'cwd://d/a.txt', 'cwd:///d/a.txt', '././d/a.txt']) {
    t.match(run('read_file', { file_path: path }), ok('workspace'), path);
  }
  t.match(run('read_file', { file_path: 'home://a.txt' }), ok('home'));
  for (const path of ['../x', 'd/../../x', 'cwd://../x', '/../x']) {
    t.match(run('read_file', { file_path: path }), { content: /^escapes_root: /, is_error: true }, path);
  }
  for (const path of ['file:///etc/passwd', 'http://x/', 'tmp://x', 'HTTP://x']) {
    const { content, is_error } = run('read_file', { file_path: path });
    t.ok(is_error && /^(invalid_argument|not_found): /.test(content), `${path}: ${content}`);
  }
  t.match(run('write_file', { file_path: 'home://b', content: 'x' }), {
    content: /^capability_missing: /,
    is_error: true,
  });
});

test('write_file, new, replaced and appended', async (t) => {
  const { kernel, run } = await boot();
  t.match(run('write_file', { file_path: 'd/n.txt', content: 'grüß' }), ok('Wrote 4 characters to d/n.txt (new file)'));
  t.match(
    run('write_file', { file_path: 'd/n.txt', content: 'a' }),
    ok('Wrote 1 character to d/n.txt (replaced 6 bytes)'),
  );
  t.match(
    run('write_file', { file_path: 'd/n.txt', content: 'b', append: true }),
    ok('Appended 1 character to d/n.txt'),
  );
  t.equal(kernel.files.read('cwd://d/n.txt').toString(), 'ab');
  t.match(
    run('write_file', { file_path: 'new', content: 'b', append: true }),
    ok('Wrote 1 character to new (new file)'),
  );
  t.match(run('write_file', { file_path: 'd', content: 'x' }), { content: /^is_a_directory: /, is_error: true });
  kernel.files.write('cwd://bin', Buffer.from([0xff, 0xfe]));
  t.match(
    run('write_file', { file_path: 'bin', content: 'x', append: true }),
    { is_error: true },
    'never written back with losses',
  );
  t.same(kernel.files.read('cwd://bin'), Buffer.from([0xff, 0xfe]));
});

test('replace_in_file, once, not at all, too often, and text that looks like a pattern', async (t) => {
  const { kernel, run } = await boot();
  const replace = (old_string: string, new_string: string, more = {}): Result =>
    run('replace_in_file', { file_path: 'a', old_string, new_string, ...more });
  kernel.files.write('cwd://a', 'x.y x.y $1');
  t.match(replace('z', 'q'), { content: 'not_found: old_string does not occur in a', is_error: true });
  t.match(replace('x.y', 'q'), { content: /^invalid_argument: old_string occurs 2 times in a/, is_error: true });
  t.match(replace('', 'q'), { content: /^invalid_argument: old_string: /, is_error: true });
  t.match(replace('$1', '$& $$'), ok('Replaced 1 occurrence in a'));
  t.equal(kernel.files.read('cwd://a').toString(), 'x.y x.y $& $$');
  t.match(replace('x.y', 'z', { replace_all: true }), ok('Replaced 2 occurrences in a'));
  t.equal(kernel.files.read('cwd://a').toString(), 'z z $& $$');
});

test('list_directory, sorted, marked and bounded', async (t) => {
  const { kernel, run } = await boot();
  t.match(run('list_directory', {}), ok('. is empty'));
  kernel.files.mkdir('cwd://z');
  kernel.files.write('cwd://b', 'xx');
  kernel.files.write('cwd://a\nb', '');
  t.match(run('list_directory', { dir_path: '.' }), ok('"a\\nb"  0 bytes\nb  2 bytes\nz/'), 'one entry stays one line');
  t.match(run('list_directory', { dir_path: 'b' }), { content: /^not_a_directory: /, is_error: true });
  for (let i = 0; i < 1005; i++) kernel.files.write(`cwd://many/${String(i).padStart(4, '0')}`, '');
  const lines = run('list_directory', { dir_path: 'many' }).content.split('\n');
  t.equal(lines.length, 1001);
  t.equal(lines.at(-1), '[5 more entries are not shown]');
});

test('grep_search, plain text, numbered lines, and what it leaves out', async (t) => {
  const { kernel, run } = await boot();
  kernel.files.write('cwd://src/a.ts', 'const a = 1;\r\nlet b = (x+)+$;\n');
  kernel.files.write('cwd://src/deep/b.ts', 'CONST b;');
  kernel.files.write('cwd://.git/config', 'const');
  kernel.files.write('cwd://node_modules/x.js', 'const');
  kernel.files.write('cwd://bin', Buffer.from('const\0'));
  kernel.files.write('cwd://large', 'const'.padEnd(1024 * 1024 + 1));
  t.match(run('grep_search', { pattern: 'const' }), {
    content: 'src/a.ts:1: const a = 1;\n[1 entries were left out: too large, too deep, or not readable]',
  });
  t.match(
    run('grep_search', { pattern: 'const', ignore_case: true, dir_path: 'src' }),
    ok('src/a.ts:1: const a = 1;\nsrc/deep/b.ts:1: CONST b;'),
  );
  t.match(
    run('grep_search', { pattern: '(x+)+$', dir_path: 'src' }),
    ok('src/a.ts:2: let b = (x+)+$;'),
    'no pattern language',
  );
  t.match(run('grep_search', { pattern: 'const', dir_path: 'src/a.ts' }), ok('src/a.ts:1: const a = 1;'), 'one file');
  t.match(run('grep_search', { pattern: 'nowhere', dir_path: 'src' }), ok('No line contains "nowhere".'));
  t.match(run('grep_search', { pattern: 'a\nb' }), { is_error: true });
  t.match(run('grep_search', { pattern: '' }), { is_error: true });
  t.match(run('grep_search', { pattern: 'x', dir_path: 'no' }), { content: /^not_found: /, is_error: true });
});

test('grep_search, more hits than it shows and very long lines, cut with a note', async (t) => {
  const { kernel, run } = await boot();
  kernel.files.write('cwd://a', `hit ${'x'.repeat(5000)}\n`.repeat(150));
  kernel.files.write('cwd://b', 'hit\n'.repeat(150));
  const lines = run('grep_search', { pattern: 'hit' }).content.split('\n');
  t.equal(lines.length, 201);
  t.match(lines.at(-1), /the search ended after 200 hits/);
  t.ok(lines.every((line) => line.length < 220));
});

test('create, delete and move, and where each of them stops', async (t) => {
  const { kernel, run } = await boot();
  t.match(run('create_directory', { dir_path: 'd/e' }), ok('Made the directory d/e'));
  t.match(run('create_directory', { dir_path: 'd/e' }), ok('Made the directory d/e'));
  kernel.files.write('cwd://d/a', Buffer.from([0xff, 0]));
  t.match(run('move_file', { source_path: 'd/a', destination_path: 'f/b' }), ok('Moved d/a to f/b'));
  t.same(kernel.files.read('cwd://f/b'), Buffer.from([0xff, 0]), 'bytes as they were');
  t.notOk(kernel.files.exists('cwd://d/a'));
  kernel.files.write('cwd://c', 'c');
  t.match(run('move_file', { source_path: 'c', destination_path: 'f/b' }), {
    content: 'already_exists: f/b exists',
    is_error: true,
  });
  t.match(run('move_file', { source_path: 'd', destination_path: 'g' }), {
    content: /^is_a_directory: /,
    is_error: true,
  });
  t.match(run('move_file', { source_path: 'none', destination_path: 'g' }), {
    content: /^not_found: /,
    is_error: true,
  });
  t.match(run('delete_file', { file_path: 'd' }), { content: /^not_empty: /, is_error: true });
  t.match(run('delete_file', { file_path: 'c' }), ok('Deleted c'));
  t.match(run('delete_file', { file_path: 'c' }), { content: /^not_found: /, is_error: true });
});

test('a change that is not allowed, the code comes first, for every tool that changes something', async (t) => {
  const changes: [string, unknown][] = [
    ['write_file', { file_path: 'a', content: 'x' }],
    ['replace_in_file', { file_path: 'a', old_string: 'a', new_string: 'b' }],
    ['create_directory', { dir_path: 'd' }],
    ['delete_file', { file_path: 'a' }],
    ['move_file', { source_path: 'a', destination_path: 'b' }],
  ];
  for (const code of ['approval_denied', 'approval_queued', 'policy_denied', 'capability_missing'] as const) {
    const { kernel, run } = await boot({ gate: () => code });
    kernel.files.write('cwd://a', 'a');
    for (const [tool, args] of changes) {
      const { content, is_error } = run(tool, args);
      t.ok(is_error && content.startsWith(`${code}: `), `${tool}: ${content}`);
    }
    t.same([...kernel.files.entries.keys()], ['cwd://a'], 'nothing changed');
  }
});

test('wrong arguments, an error that names them, for every tool', async (t) => {
  const { kernel, run } = await boot();
  for (const { action } of kernel.capsule('fs').manifest.interceptors) {
    if (!action.startsWith('tool_execute_')) continue;
    const tool = action.slice('tool_execute_'.length);
    for (const args of [null, 'text', [], 7, { file_path: 1 }, { nonsense: true }]) {
      const { content, is_error } = run(tool, args);
      t.ok(is_error && content.startsWith('invalid_argument: '), `${tool}(${JSON.stringify(args)}): ${content}`);
    }
  }
});

test('end', async () => closeGuestBundler());
