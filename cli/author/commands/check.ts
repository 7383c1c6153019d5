import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asFault, EXIT, Fault } from '../../../abi/errno.js';
import type { CheckFacts, CheckFinding } from '../../../abi/testing/check-contract.js';
import { closeBundler } from '../../build/bundle.js';
import { readCapsuleSource } from '../../build/capsule-source.js';
import type { CommandRun } from '../../context.js';
import type { Io } from '../../io.js';
import { paint } from '../../view/terminal.js';
import { runChildProgram } from '../child-program.js';
import { printBuildFault } from '../code-frame.js';
import { buildForDev, isScript } from '../dev-build.js';
import { lookAtScript } from '../look.js';
import { openProject, type Project } from '../project.js';
import { scanSources } from '../source-scan.js';

const PROGRAM = 'supervisor/capsule-test/check-main.js';
const NOTHING = { known: [], open: true } as const;
const SOURCELESS: CheckFacts = { actions: null, publishes: NOTHING, subscribes: NOTHING, env: NOTHING };

/** `astrid capsule check [DIR]`: exit 1 when there is an error, or with --strict any finding. */
export const runCapsuleCheck: CommandRun = async (context, args) => {
  const { io } = context;
  const project = await openProject(context, args);
  let findings: readonly CheckFinding[];
  try {
    findings = await check(io, project);
  } catch (error) {
    const fault = asFault(error);
    if (fault.code === 'internal') throw error;
    if (context.json) throw error;
    await printBuildFault(io.err, project.dir, fault);
    return EXIT.failed;
  } finally {
    await closeBundler();
  }
  if (context.json) io.out.json(findings);
  else print(io, findings);
  const bad = findings.some(({ level }) => level === 'error' || args.flag('strict'));
  return bad ? EXIT.failed : EXIT.ok;
};

async function check(io: Io, project: Project): Promise<readonly CheckFinding[]> {
  const { wasm } = await buildForDev(project);
  const facts = await readFacts(project);
  const scratch = await mkdtemp(join(tmpdir(), 'astrid-check-'));
  try {
    const factsFile = join(scratch, 'facts.json');
    const wasmFile = join(scratch, 'module.wasm');
    await writeFile(factsFile, JSON.stringify(facts));
    // Imports and exports are what is looked at, and those are the same however the module was initialised.
    await writeFile(wasmFile, wasm);
    const lines: string[] = [];
    const exitCode = await runChildProgram({
      program: PROGRAM,
      args: ['--manifest', join(project.dir, 'Capsule.toml'), '--wasm', wasmFile, '--facts', factsFile],
      env: { PATH: io.env['PATH'] },
      onLine: (line) => void lines.push(line),
    });
    if (exitCode !== 0) throw new Fault('internal', `the check failed:\n${lines.slice(-8).join('\n')}`);
    return JSON.parse(lines.at(-1) ?? '[]') as CheckFinding[];
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** What only the sources of a TypeScript capsule tell; of any other the module alone is held against the manifest. */
async function readFacts(project: Project): Promise<CheckFacts> {
  const source = await readCapsuleSource(project.dir);
  if (!isScript(source)) return SOURCELESS;
  const { actions, sources } = await lookAtScript(project, source);
  return { actions, ...(await scanSources(source.dir, sources)) };
}

function print(io: Io, findings: readonly CheckFinding[]): void {
  for (const { level, code, file, line, message } of findings) {
    const place = line === 0 ? file : `${file}:${line}`;
    io.out.line(
      `${place}: `,
      paint(level === 'error' ? 'red' : 'yellow', level),
      `: ${message} `,
      paint('dim', `(${code})`),
    );
  }
  const count = (level: string) => findings.filter((finding) => finding.level === level).length;
  const text =
    findings.length === 0
      ? 'nothing to say: manifest and code agree'
      : `${count('error')} errors, ${count('warning')} warnings`;
  io.out.line(paint(findings.length === 0 ? 'green' : 'plain', text));
}
