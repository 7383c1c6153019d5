import { cpus } from 'node:os';
import { jailMissing } from '../kit/worker-bench.js';
import { measureAuthor } from './author.js';
import { measureEachCall } from './each-call.js';
import { type Figure, formatTable } from './figures.js';
import { measureHostCalls, measurePingPong, measureProcessSend, measureRunInWorker } from './host-calls.js';
import { measureHttp } from './http.js';
import { measureAudit, measureBoot, measureRouter, measureStart } from './kernel.js';
import { measureSpawn } from './spawn.js';

type Group = () => Promise<Figure[]>;

const GROUPS: Readonly<Record<string, Group>> = {
  calls: async () => [
    measurePingPong(),
    await measureProcessSend(),
    await measureRunInWorker(),
    ...(await measureHostCalls('process')),
    ...((await jailMissing()) ? [] : await measureHostCalls('jail')),
  ],
  each: measureEachCall,
  router: async () => [measureRouter()],
  start: async () => [await measureStart('process'), ...((await jailMissing()) ? [] : [await measureStart('jail')])],
  audit: measureAudit,
  http: measureHttp,
  boot: measureBoot,
  spawn: async () => ((await jailMissing()) ? [] : measureSpawn()),
  author: measureAuthor,
};

/** The ratios that the aims are about, from the same run. */
function describeRatios(figures: readonly Figure[]): string[] {
  const of = (name: string) => figures.find((figure) => figure.name.startsWith(name))?.median;
  const floor = of('round trip, C');
  const send = of('round trip, child_process');
  return ['process', 'jail'].flatMap((tier) => {
    const call = of(`kv_get 256 B, tier ${tier}`);
    if (call === undefined || floor === undefined || send === undefined) return [];
    return [
      `kv_get in tier ${tier}: ${(call / floor).toFixed(2)} × the C round trip (aim ≤ 4), ${(call / send).toFixed(2)} × process.send (aim < 1)`,
    ];
  });
}

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
