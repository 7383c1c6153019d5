import { cpus } from 'node:os';
import { jailMissing } from '../kit/worker-bench.js';
import { measureAuthor } from './author.js';
import { measureEachCall } from './each-call.js';
import { type Figure, formatTable } from './figures.js';
import { describeRatios, measureHostCalls } from './host-calls.js';
import { measureHttp } from './http.js';
import { measureAudit, measureBoot, measureRouter, measureStart } from './kernel.js';
import { measureSpawn } from './spawn.js';

type Group = () => Promise<Figure[]>;

const GROUPS: Readonly<Record<string, Group>> = {
  calls: measureHostCalls,
  each: measureEachCall,
  router: async () => [measureRouter()],
  start: async () => [await measureStart('process'), ...((await jailMissing()) ? [] : [await measureStart('jail')])],
  audit: measureAudit,
  http: measureHttp,
  boot: measureBoot,
  spawn: async () => ((await jailMissing()) ? [] : measureSpawn()),
  author: measureAuthor,
};

export async function runBench(wanted: readonly string[]): Promise<void> {
  const figures: Figure[] = [];
  for (const [name, measure] of Object.entries(GROUPS)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    process.stderr.write(`measuring ${name} …\n`);
    try {
      figures.push(...(await measure()));
    } catch (error) {
      // What the others took minutes to measure is not lost.
      process.exitCode = 1;
      console.error(`${name}:`, error);
    }
  }
  console.log(`${cpus().length} cores, ${cpus()[0]?.model ?? 'unknown processor'}, Node ${process.versions.node}\n`);
  console.log(formatTable(figures));
  for (const line of describeRatios(figures)) console.log(`\n${line}`);
}
