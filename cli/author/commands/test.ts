import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { asFault, EXIT, Fault } from '../../../abi/errno.js';
import { closeBundler } from '../../build/bundle.js';
import { mapStack } from '../../build/stack-map.js';
import type { CommandRun } from '../../context.js';
import type { Io } from '../../io.js';
import { paint, type StyleName } from '../../view/terminal.js';
import { runChildProgram } from '../child-program.js';
import { printBuildFault } from '../code-frame.js';
import { buildProject, openProject, type Project } from '../project.js';
import { bundleTest, listTestFiles } from '../test-bundle.js';

const PROGRAM = 'supervisor/capsule-test/main.js';
/** Lines of node's own summary: ours is one for all files. */
const COUNT = /^ℹ (tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) ([\d.]+)$/;
/** From here on node says everything about failed tests a second time. */
/** Node 20 tells what went wrong under each test and once more at the end; Node 26 only at the end. */
const AT_THE_END = '✖ failing tests:';
const RESULT = /^\s*[✖✔] /;
const PLACE = /^\s+at /;
/** Places in node and in this package are no help to an author. */
const INSIDE = /^\s+at .*(?:node:internal\/|\/(?:supervisor|abi)\/(?:capsule-test|testing|proc)\/)/;
const STYLES: readonly (readonly [RegExp, StyleName])[] = [
  [/^\s*✔/, 'green'],
  [/^\s*✖/, 'red'],
  [/^\s*(at |\[)/, 'dim'],
];

/** What one test file came to. */
export interface TestRow {
  readonly file: string;
  readonly passed: number;
  readonly failed: number;
  readonly exitCode: number;
}

interface Built {
  readonly wasmFile: string;
  readonly manifestFile: string;
  readonly sourceMap: string;
}

/** `astrid capsule test [DIR]` */
export const runCapsuleTest: CommandRun = async (context, args) => {
  const { io } = context;
  const project = await openProject(context, args);
  const files = await listTestFiles(project.dir, args.text('only'));
  if (files.length === 0) throw new Fault('not_found', `there is no *.test.ts in ${project.dir}`, { field: 'dir' });
  // Of its own and private: bundles, homes and workspaces of the kernels. Gone afterwards, whatever the child did.
  const scratch = await mkdtemp(join(tmpdir(), 'astrid-ct-'));
  try {
    const built = await build(project);
    const rows: TestRow[] = [];
    for (const file of files) rows.push(await runFile(io, project, built, scratch, file, context.json));
    return finish(io, rows, context.json);
  } catch (error) {
    await printBuildFault(io.err, project.dir, asFault(error));
    return EXIT.failed;
  } finally {
    await closeBundler();
    await rm(scratch, { recursive: true, force: true });
  }
};

async function build(project: Project): Promise<Built> {
  const { wasmFile } = await buildProject(project);
  const sourceMap = await readFile(`${wasmFile}.map`, 'utf8').catch(() => '');
  return { wasmFile, manifestFile: join(dirname(wasmFile), 'Capsule.toml'), sourceMap };
}

async function runFile(
  io: Io,
  project: Project,
  built: Built,
  scratch: string,
  file: string,
  quiet: boolean,
): Promise<TestRow> {
  const bundle = join(scratch, `${file.replaceAll(/[^A-Za-z0-9]/g, '-')}.mjs`);
  await bundleTest(project, file, bundle);
  const counts: Record<string, number> = {};
  let told = false;
  let repeated = false;
  let below = '';
  const onLine = (line: string) => {
    if (RESULT.test(line)) below = line;
    told ||= below.includes('✖') && PLACE.test(line);
    repeated ||= told && line === AT_THE_END;
    const count = COUNT.exec(line);
    if (count !== null) counts[count[1] ?? ''] = Number(count[2]);
    else if (!quiet && !repeated && !INSIDE.test(line)) printLine(io, mapStack(line, built.sourceMap));
  };
  if (!quiet) io.out.line(paint('bold', file));
  let release = () => {};
  const { PATH } = io.env;
  const exitCode = await runChildProgram({
    program: PROGRAM,
    nodeFlags: ['--enable-source-maps', '--no-warnings', '--test-reporter=spec'],
    args: [
      ...['--manifest', built.manifestFile, '--wasm', built.wasmFile, '--test', bundle, '--scratch', scratch],
      ...(PATH === undefined ? [] : ['--search-path', PATH]),
    ],
    env: { ...io.env, NODE_OPTIONS: undefined, NODE_TEST_CONTEXT: undefined, NO_COLOR: '1', FORCE_COLOR: undefined },
    onLine,
    onStart: (interrupt) => {
      release = io.onInterrupt(interrupt);
    },
  }).finally(() => release());
  // A file that ends before it could run a test has failed, whatever node counted.
  const failed = (counts['fail'] ?? 0) + (counts['cancelled'] ?? 0);
  return { file, passed: counts['pass'] ?? 0, failed: exitCode !== 0 && failed === 0 ? 1 : failed, exitCode };
}

function printLine(io: Io, line: string): void {
  if (line.trim() === '') return;
  const style = STYLES.find(([pattern]) => pattern.test(line))?.[1] ?? 'plain';
  io.out.line(paint(style, line));
}

function finish(io: Io, rows: readonly TestRow[], json: boolean): number {
  const failed = rows.reduce((sum, row) => sum + row.failed, 0);
  const passed = rows.reduce((sum, row) => sum + row.passed, 0);
  if (json) io.out.json(rows);
  else io.out.line(paint(failed === 0 ? 'green' : 'red', `${passed} passed, ${failed} failed`));
  return failed === 0 && rows.every((row) => row.exitCode === 0) ? EXIT.ok : EXIT.failed;
}
