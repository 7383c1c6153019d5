import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { test } from 'tap';
import { Workshop } from '../author/author-kit.js';
import { PACKAGE_ROOT } from '../kit/package-root.js';

const README = readFileSync(join(PACKAGE_ROOT, 'README.md'), 'utf8');
const TSC = join(PACKAGE_ROOT, 'node_modules/typescript/bin/tsc');
const run = promisify(execFile);

/** The only block of the README in this language. */
function blockOf(language: string, having: string): string {
  const blocks = [...README.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\``, 'gm'))].map(([, text]) => text);
  const found = blocks.filter((text) => text?.includes(having) === true);
  if (found.length !== 1 || found[0] === undefined) throw new Error(`${found.length} blocks of ${language}`);
  return found[0];
}

const TEST = `
import { assert, boot, test } from 'astrid/testing';

test('it counts', async () => {
  const kernel = await boot({ files: { 'a.txt': 'one\\ntwo' } });
  assert.deepEqual(await kernel.callTool('count_lines', { file_path: 'a.txt' }), { content: '2', isError: false });
});
`;

/** What the sample was once: a tool without \`tool()\` is refused by its type. */
const PLAIN = `
import { type CapsuleDefinition } from 'astrid/sdk';
// @ts-expect-error
export const definition: CapsuleDefinition = { tools: [{ name: 'plain', description: '', handler: () => 1 }] };
`;

test('the capsule of the README, as it stands there, passes the compiler, and its tool runs', async (t) => {
  const shop = new Workshop(t);
  const dir = await shop.make('lines', 'tool', {
    'main.ts': blockOf('ts', 'defineCapsule'),
    'Capsule.toml': blockOf('toml', '[package]'),
    'main.test.ts': TEST,
    'plain.ts': PLAIN,
  });
  const compiled = await run(process.execPath, [TSC, '-p', dir]).catch((error: { stdout: string }) => error);
  t.equal(compiled.stdout, '', 'no word of the compiler');
  const tested = await shop.run('capsule', 'test', 'lines');
  t.match(tested, { exitCode: 0, out: /1 passed, 0 failed/ }, tested.out + tested.err);
});
