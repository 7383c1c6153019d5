import { parentPort, workerData } from 'node:worker_threads';
import { TARGETS } from './table.js';

/** What the watching thread can read although this one may never answer again. */
export const SHARED = { executions: 0, seed: 1, property: 2, words: 3 } as const;

export interface ThreadOrder {
  readonly target: string;
  readonly seed: number;
  readonly seconds: number;
  readonly shared: SharedArrayBuffer;
}

export interface ThreadReport {
  readonly executions: number;
  /** Seed of the round and the report of each finding. */
  readonly findings: readonly { readonly seed: number; readonly property: string; readonly report: string }[];
}

/** Rounds over all properties of a target until its time is over. The seed of a round repeats it as a first round. */
async function runTarget({ target, seed, seconds, shared }: ThreadOrder): Promise<ThreadReport> {
  const words = new Int32Array(shared);
  const findings: { seed: number; property: string; report: string }[] = [];
  const failed = new Set<string>();
  const properties = TARGETS.get(target) ?? [];
  const until = performance.now() + seconds * 1000;
  const beat = () => void Atomics.add(words, SHARED.executions, 1);
  let executions = 0;
  for (let round = seed; round === seed || performance.now() < until; round = (round + 1) & 0x7fff_ffff) {
    Atomics.store(words, SHARED.seed, round);
    for (const [index, { name, runs, check }] of properties.entries()) {
      if (failed.has(name) || (round !== seed && performance.now() >= until)) continue;
      Atomics.store(words, SHARED.property, index);
      const found = await check(round, runs, beat);
      executions += found.executions;
      if (found.report === null) continue;
      failed.add(name);
      findings.push({ seed: round, property: name, report: found.report });
    }
    if (failed.size === properties.length) break;
  }
  return { executions, findings };
}

if (parentPort !== null) parentPort.postMessage(await runTarget(workerData as ThreadOrder));
