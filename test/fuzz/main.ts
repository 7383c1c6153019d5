import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { TARGETS } from './table.js';
import { SHARED, type ThreadOrder, type ThreadReport } from './target-thread.js';

const USAGE = `npm run fuzz [-- TARGET …] [-- --seconds N] [--seed N]\ntargets: ${[...TARGETS.keys()].join(', ')}\n`;
const SECONDS_DEFAULT = 60;
/** Without one execution for so long, an input hangs the code. */
const SILENCE_MS_MAX = 60_000;
const LOOK_MS = 1_000;

/** Runs targets one after the other. Returns the exit code: 1 with a finding, 2 for words that are not understood. */
export async function fuzz(args: readonly string[]): Promise<number> {
  const options = readOptions(args);
  if (options === null) {
    process.stderr.write(USAGE);
    return 2;
  }
  let findings = 0;
  for (const target of options.targets) findings += await fuzzTarget(target, options.seconds, options.seed);
  return findings === 0 ? 0 : 1;
}

function readOptions(args: readonly string[]): { targets: string[]; seconds: number; seed: number } | null {
  try {
    const { values, positionals } = parseArgs({
      args: args.filter((word) => word !== '--'),
      options: { seconds: { type: 'string' }, seed: { type: 'string' } },
      allowPositionals: true,
    });
    const seconds = Number(values.seconds ?? SECONDS_DEFAULT);
    const seed = Number(values.seed ?? Date.now() & 0x7fff_ffff);
    const targets = positionals.length === 0 ? [...TARGETS.keys()] : positionals;
    const understood = seconds >= 0 && Number.isInteger(seed) && targets.every((name) => TARGETS.has(name));
    return understood ? { targets, seconds, seed } : null;
  } catch {
    return null;
  }
}

async function fuzzTarget(target: string, seconds: number, seed: number): Promise<number> {
  const began = performance.now();
  const { executions, findings } = await runWatched(target, seconds, seed);
  for (const { seed: found, property, report } of findings) {
    process.stdout.write(
      `FOUND in ${target}: ${property}\nrepeat: npm run fuzz -- ${target} --seed ${found}\n${report}\n`,
    );
  }
  const took = Math.round((performance.now() - began) / 1000);
  const counted = executions.toLocaleString('en').padStart(12);
  process.stdout.write(
    `${target.padEnd(10)} ${counted} executions, ${findings.length} findings, ${took} s, seed ${seed}\n`,
  );
  return findings.length;
}

/** In a thread of its own, so that an input that hangs or exhausts it is a finding and not the end. */
function runWatched(target: string, seconds: number, seed: number): Promise<ThreadReport> {
  const shared = new SharedArrayBuffer(SHARED.words * Int32Array.BYTES_PER_ELEMENT);
  const words = new Int32Array(shared);
  const order: ThreadOrder = { target, seed, seconds, shared };
  const thread = new Worker(new URL('./target-thread.js', import.meta.url), { workerData: order });
  return new Promise((resolve) => {
    let last = 0;
    let heardAt = performance.now();
    const stop = (report: ThreadReport) => {
      clearInterval(watching);
      void thread.terminate().then(() => resolve(report));
    };
    const broken = (why: string) => {
      const property = TARGETS.get(target)?.[words[SHARED.property] as number]?.name ?? '';
      const executions = words[SHARED.executions] as number;
      stop({ executions, findings: [{ seed: words[SHARED.seed] as number, property, report: why }] });
    };
    const watching = setInterval(() => {
      const executions = Atomics.load(words, SHARED.executions);
      if (executions !== last) heardAt = performance.now();
      last = executions;
      if (performance.now() - heardAt > SILENCE_MS_MAX)
        broken(`an input hangs: nothing for ${SILENCE_MS_MAX / 1000} s`);
    }, LOOK_MS);
    thread.once('message', stop);
    thread.once('error', (error) => broken(`the thread died: ${String(error)}`));
  });
}
