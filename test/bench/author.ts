import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildForDev } from '../../cli/author/dev-build.js';
import { createCapsule } from '../../cli/author/new-capsule.js';
import type { Project } from '../../cli/author/project.js';
import { buildCapsule } from '../../cli/build/build-capsule.js';
import { closeBundler } from '../../cli/build/bundle.js';
import { CapsuleStore } from '../../supervisor/capsule/store.js';
import { openHome } from '../../supervisor/home.js';
import { openPool } from '../../supervisor/pool/pool.js';
import { makeFakeIo } from '../kit/fake-io.js';
import { PACKAGE_ROOT } from '../kit/package-root.js';
import { startSupervisor } from '../kit/real-supervisor.js';
import { startCli } from '../kit/run-cli.js';
import { startWorker } from '../kit/worker-bench.js';
import { type Figure, figureOf, single } from './figures.js';

const BUILDS = 7;
const STARTS = 12;
const EDITS = 10;

/** What an author waits for: a build, a rebuild in `capsule dev`, and the start of the result from the store. */
export async function measureAuthor(): Promise<Figure[]> {
  const root = mkdtempSync(join(tmpdir(), 'astrid-bench-'));
  try {
    await createCapsule({ parent: root, name: 'bench', template: 'tool', packageRoot: PACKAGE_ROOT });
    const dir = join(root, 'bench');
    const sdkDir = join(PACKAGE_ROOT, 'abi/sdk');
    const toolchainDir = join(root, 'toolchain');
    const project: Project = {
      dir,
      shown: dir,
      packageRoot: PACKAGE_ROOT,
      sdkDir,
      outDir: join(root, 'out'),
      toolchainDir,
    };
    const build = () => buildCapsule({ entry: join(dir, 'main.ts'), sdkDir, cacheDir: toolchainDir });
    const { wasm } = await build();
    const built = await sample(BUILDS, build);
    await buildForDev(project);
    const rebuilt = await sample(BUILDS, () => buildForDev(project));
    const swapped = await measureSwaps(root);
    const started = await measureStarts(root, readFileSync(join(dir, 'Capsule.toml'), 'utf8'), wasm);
    return [
      figureOf('TypeScript capsule, whole build', 'ms', built, 'template of the author, warm toolchain'),
      figureOf('TypeScript capsule, rebuild in capsule dev', 'ms', rebuilt, 'bundle, load, no swap'),
      figureOf('TypeScript capsule, save to swapped', 'ms', swapped, 'capsule dev, in a system that runs; aim < 500'),
      single('TypeScript capsule, size', 'KiB', wasm.length / 1024),
      figureOf('TypeScript capsule, store to first answer, tier process', 'ms', started, 'hash, inspect, start, call'),
    ];
  } finally {
    await closeBundler();
    rmSync(root, { recursive: true });
  }
}

/** From the write of a source file until the changed capsule runs, as somebody in front of `capsule dev` sees it. */
async function measureSwaps(root: string): Promise<number[]> {
  const supervisor = await startSupervisor({ realBuiltins: true });
  const io = makeFakeIo({ cwd: root, env: { PATH: process.env['PATH'], XDG_CACHE_HOME: join(root, 'cache') } });
  const running = startCli(['capsule', 'dev', 'bench', '--accept'], supervisor.home, io);
  const main = join(root, 'bench/main.ts');
  const source = readFileSync(main, 'utf8');
  const samples: number[] = [];
  const ended = running.then((code) => {
    throw new Error(`capsule dev ended with ${code}: ${io.errText.text}`);
  });
  const until = (text: string) => Promise.race([io.outText.until(text), ended]);
  try {
    await until('swapped in');
    for (let edit = 0; edit < EDITS; edit++) {
      const start = performance.now();
      writeFileSync(main, `${source}\nconsole.log(${edit});\n`);
      await until(`says ${edit}\n`);
      samples.push(performance.now() - start);
    }
  } finally {
    io.interrupt();
    await ended.catch(() => undefined);
    await supervisor.end();
  }
  return samples;
}

async function sample(rounds: number, work: () => Promise<unknown>): Promise<number[]> {
  const samples: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const start = performance.now();
    await work();
    samples.push(performance.now() - start);
  }
  return samples;
}

async function measureStarts(root: string, manifestText: string, wasm: Uint8Array): Promise<number[]> {
  chmodSync(root, 0o700);
  const home = await openHome(join(root, 'home'));
  const pool = openPool();
  try {
    const store = new CapsuleStore({ home: home.root, worker: pool });
    await store.installCapsule({ principal: 'default', manifestText, wasm: Buffer.from(wasm), source: 'bench' });
    return await sample(STARTS, async () => {
      const loaded = await store.loadInstalled('default', 'bench');
      const worker = await startWorker({ wasm: loaded.wasm });
      await worker.invoke('astrid_hook_trigger', '{"name":"tool_describe","arguments":[]}');
      await worker.end();
    });
  } finally {
    await pool.close();
  }
}
