// Plain JavaScript that needs no package: it runs on a fresh clone, before anything is installed or compiled.
//
//   node cli/setup.mjs build     builds what is stale
//   import { launch }            what cli/astrid does: install, build, run

import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const NODE_MIN = [20, 19];
const STAMP = 'dist/.stamp';
const STAMP_VERSION = 1;
const LOCK_WAIT_MS = 10 * 60_000;
const LOCK_LOOK_MS = 100;

/** Exit codes of abi/errno.ts, which cannot be imported before it is compiled. */
const EXIT_FAILED = 1;

class SetupError extends Error {}

/**
 * The build, in order. `inputs`: files and directories whose content decides whether the step is stale; a step is run
 * when one of them changed or when `output` is missing.
 */
const STEPS = [
  {
    name: 'TypeScript',
    inputs: ['abi', 'bus', 'worker', 'supervisor', 'cli', 'test', 'tsconfig.json', 'package-lock.json'],
    output: 'dist/cli/main.js',
    run: compileTypeScript,
  },
  {
    name: 'worker bundle',
    inputs: ['abi', 'bus', 'worker', 'package-lock.json'],
    output: 'dist/worker/worker.bundle.mjs',
    run: async (root) => (await import('./bundles.mjs')).bundleWorker(root),
  },
  {
    name: 'supervisor bundle',
    inputs: ['abi', 'bus', 'supervisor', 'package-lock.json'],
    output: 'dist/supervisor/main.bundle.mjs',
    run: async (root) => (await import('./bundles.mjs')).bundleSupervisor(root),
  },
  {
    name: 'capsules',
    inputs: ['abi', 'capsules', 'cli/build', 'package-lock.json'],
    output: 'dist/capsules',
    run: buildCapsules,
  },
];

const SOURCE_FILE = /\.(?:ts|mts|mjs|js|json|toml|wat|md)$/;
const SKIPPED_DIRECTORIES = new Set(['node_modules', 'dist', '.build', '.tap', '.git']);

// ---------------------------------------------------------------------------------------------- what is stale

/**
 * Reads the tree: a function from an input to its source files with size and time. Each directory is read once per
 * reader, however many steps it is an input of; this runs at every start.
 */
function makeTreeReader(root) {
  const known = new Map();
  const visit = (relative, found) => {
    for (const entry of readdirSync(join(root, relative), { withFileTypes: true })) {
      const path = `${relative}/${entry.name}`;
      if (entry.isDirectory()) {
        if (!SKIPPED_DIRECTORIES.has(entry.name)) visit(path, found);
      } else if (SOURCE_FILE.test(entry.name)) {
        add(path, statSync(join(root, path)), found);
      }
    }
  };
  const add = (path, { size, mtimeMs }, found) => found.push({ path, size, mtimeMs });
  return (input) => {
    const seen = known.get(input);
    if (seen !== undefined) return seen;
    const found = [];
    const stat = statSync(join(root, input), { throwIfNoEntry: false });
    if (stat?.isDirectory()) visit(input, found);
    else if (stat !== undefined) add(input, stat, found);
    known.set(input, found);
    return found;
  };
}

/** All source files of the inputs, once each and sorted, so that order never changes a hash. */
function listSources(readTree, inputs) {
  const byPath = new Map(inputs.flatMap(readTree).map((file) => [file.path, file]));
  return [...byPath.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Size and time of each file: cheap to take, and enough to see that nothing was touched. */
function takeFingerprint(files) {
  return files.map(({ path, size, mtimeMs }) => `${path}:${size}:${mtimeMs}`).join('\n');
}

/** Content of each file: what decides, since a checkout or a copy touches times without changing anything. */
function hashContent(root, paths) {
  // Loaded here and not above: most starts hash nothing, and loading it costs more than their whole check.
  const hash = process.getBuiltinModule('node:crypto').createHash('sha256');
  for (const path of paths) {
    const bytes = readFileSync(join(root, path));
    hash.update(`${path}\0${bytes.length}\0`).update(bytes);
  }
  return hash.digest('hex');
}

function readStamp(root) {
  try {
    const stamp = JSON.parse(readFileSync(join(root, STAMP), 'utf8'));
    if (stamp.version === STAMP_VERSION && typeof stamp.steps === 'object') return stamp;
  } catch {
    // None yet, or a damaged one: everything is stale then.
  }
  return { version: STAMP_VERSION, steps: {} };
}

/** Written aside and renamed: a crash leaves the old stamp, never half of one. */
function writeStamp(root, stamp) {
  const path = join(root, STAMP);
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, JSON.stringify(stamp));
  renameSync(temporary, path);
}

/** Null when the step is up to date, else what to stamp once it was run. Renews the cheap fingerprint on the way. */
function examineStep(root, step, stamp, readTree) {
  const files = listSources(readTree, step.inputs);
  const fingerprint = takeFingerprint(files);
  const known = stamp.steps[step.name];
  const hasOutput = existsSync(join(root, step.output));
  if (hasOutput && known?.fingerprint === fingerprint) return null;
  const content = hashContent(
    root,
    files.map(({ path }) => path),
  );
  if (hasOutput && known?.content === content) {
    known.fingerprint = fingerprint;
    stamp.touched = true;
    return null;
  }
  return { fingerprint, content };
}

/** A package as it is installed from a registry carries its build and no sources to compare it with. */
function isInstalledPackage(root) {
  return !existsSync(join(root, 'tsconfig.json')) && existsSync(join(root, 'dist/cli/main.js'));
}

function isBuilt(root) {
  if (isInstalledPackage(root)) return true;
  const stamp = readStamp(root);
  const readTree = makeTreeReader(root);
  const stale = STEPS.some((step) => examineStep(root, step, stamp, readTree) !== null);
  if (!stale && stamp.touched) {
    delete stamp.touched;
    writeStamp(root, stamp);
  }
  return !stale;
}

/** Packages are there and not older than the lock file; a lock file that was only touched is told by its content. */
function isInstalled(root) {
  if (isInstalledPackage(root)) return true;
  const lock = statSync(join(root, 'package-lock.json'), { throwIfNoEntry: false });
  if (lock === undefined) return existsSync(join(root, 'node_modules'));
  const installed = statSync(join(root, 'node_modules/.package-lock.json'), { throwIfNoEntry: false });
  if (installed === undefined) return false;
  return installed.mtimeMs >= lock.mtimeMs || readInstalledLock(root) === hashContent(root, ['package-lock.json']);
}

function readInstalledLock(root) {
  try {
    return readFileSync(join(root, 'node_modules/.astrid-lock'), 'utf8');
  } catch {
    return '';
  }
}

// ------------------------------------------------------------------------------------------------- one at a time

/** True while the process that wrote a lock file lives. EPERM: it lives and is somebody else's. */
function isAlive(pid) {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** Pids of other living processes that hold or want the lock; files of dead ones are removed on the way. */
function listOthers(directory, prefix) {
  const others = [];
  for (const name of readdirSync(directory)) {
    const pid = name.startsWith(prefix) ? Number(name.slice(prefix.length)) : Number.NaN;
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    if (isAlive(pid)) others.push(pid);
    else rmSync(join(directory, name), { force: true });
  }
  return others;
}

/**
 * Holds the build lock while `work` runs. Each contender makes a file named after its pid and then looks for others:
 * of two that come at once, at least one sees the other and steps back. A file of a dead process counts for nothing,
 * so a crash cannot leave a lock behind, and no contender ever removes the file of a living one.
 */
export async function withBuildLock(root, work, onWait) {
  const directory = join(root, 'dist');
  const prefix = '.lock.';
  const own = join(directory, prefix + process.pid);
  mkdirSync(directory, { recursive: true });
  const deadline = Date.now() + LOCK_WAIT_MS;
  for (let told = false; ; ) {
    if (listOthers(directory, prefix).length === 0) {
      // A file with our own pid is a dead namesake's.
      rmSync(own, { force: true });
      writeFileSync(own, '', { flag: 'wx' });
      if (listOthers(directory, prefix).length === 0) break;
      unlinkSync(own);
    }
    if (Date.now() > deadline) throw new SetupError(`another build holds ${directory} for too long`);
    if (!told) onWait?.();
    told = true;
    // Uneven, so that two which stepped back do not meet again.
    await new Promise((resolve) => setTimeout(resolve, LOCK_LOOK_MS * (0.5 + Math.random())));
  }
  try {
    return await work();
  } finally {
    unlinkSync(own);
  }
}

// ------------------------------------------------------------------------------------------------------ the steps

/** Runs a program with its output on our standard error: standard output belongs to the command. */
function runProgram(root, file, args) {
  const { spawn } = process.getBuiltinModule('node:child_process');
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { cwd: root, stdio: ['ignore', 2, 2] });
    child.once('error', (error) => reject(new SetupError(`${file} cannot be run: ${error.code ?? error.message}`)));
    child.once('exit', (code, signal) => {
      if (code === 0) resolve();
      else reject(new SetupError(`${[file, ...args].join(' ')} ended with ${signal ?? `exit code ${code}`}`));
    });
  });
}

/**
 * The locked versions, and the lock file left as it is. Not `npm ci`: that refuses to start when the lock file lacks
 * the optional packages of some other platform, which not every registry carries. Scripts stay off: no package of ours
 * needs one, and a script of a dependency would run as the user.
 */
async function installPackages(root) {
  await runProgram(root, 'npm', [
    'install',
    '--no-save',
    '--ignore-scripts',
    '--include=dev',
    '--no-audit',
    '--no-fund',
  ]);
  writeFileSync(join(root, 'node_modules/.astrid-lock'), hashContent(root, ['package-lock.json']));
}

async function compileTypeScript(root) {
  await runProgram(root, process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', root]);
}

async function buildCapsules(root, onProgress) {
  const { buildAll: buildCapsuleTree } = await import(pathToFileURL(join(root, 'dist/cli/build/build-all.js')).href);
  try {
    await buildCapsuleTree({
      directory: join(root, 'capsules'),
      outDir: join(root, 'dist/capsules'),
      sdkDir: join(root, 'abi/sdk'),
      onProgress,
    });
  } catch (error) {
    // A capsule that does not build is its author's to fix: the message says where, a stack of ours would not.
    throw new SetupError(error.message);
  }
}

/** `building: NAME … 5.1 s`. A terminal sees what is going on meanwhile; a log gets one whole line. */
async function report(what, work) {
  const started = Date.now();
  const terminal = process.stderr.isTTY === true;
  const show = (text) => process.stderr.write(`\r\x1b[K${what} … ${text}`);
  if (terminal) show('');
  try {
    await work(terminal ? show : () => {});
  } finally {
    const took = `${((Date.now() - started) / 1000).toFixed(1)} s\n`;
    if (terminal) show(took);
    else process.stderr.write(`${what} … ${took}`);
  }
}

/** Installs and builds whatever is stale. Quiet when nothing is. Throws SetupError with one clear line. */
export async function buildAll(root = ROOT) {
  if (isInstalled(root) && isBuilt(root)) return;
  const onWait = () => process.stderr.write('waiting for another build …\n');
  await withBuildLock(
    root,
    async () => {
      // Looked at again: whoever held the lock before may have done it all.
      if (!isInstalled(root)) await report('installing packages', () => installPackages(root));
      for (const step of STEPS) {
        const stamp = readStamp(root);
        const fresh = examineStep(root, step, stamp, makeTreeReader(root));
        if (fresh === null) continue;
        await report(`building: ${step.name}`, (onProgress) => step.run(root, onProgress));
        stamp.steps[step.name] = fresh;
        writeStamp(root, stamp);
      }
    },
    onWait,
  );
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > NODE_MIN[0] || (major === NODE_MIN[0] && minor >= NODE_MIN[1])) return;
  throw new SetupError(`Node ${NODE_MIN.join('.')} or newer is needed, this is ${process.versions.node}`);
}

function fail(error) {
  const text = error instanceof SetupError ? error.message : (error.stack ?? String(error));
  process.stderr.write(`astrid: ${text}\n`);
  process.exitCode = EXIT_FAILED;
}

/** Installs, builds, and runs the compiled program in this process. */
export async function launch(argv) {
  try {
    checkNode();
    await buildAll();
  } catch (error) {
    fail(error);
    return;
  }
  const { main } = await import(pathToFileURL(join(ROOT, 'dist/cli/main.js')).href);
  await main(argv);
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    checkNode();
    if (process.argv[2] !== 'build' || process.argv.length > 3) throw new SetupError('usage: node cli/setup.mjs build');
    await buildAll();
  } catch (error) {
    fail(error);
  }
}
