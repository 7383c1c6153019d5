import { fuzzArchive } from './archive.js';

/** `node dist/test/fuzz/archive-main.js [RUNS]`: the long run. Ends with an error and the input at the first finding. */
const runs = Number(process.argv[2] ?? 1_000_000);
const began = performance.now();
for (const line of await fuzzArchive(runs)) process.stdout.write(`${line}\n`);
process.stdout.write(`${runs} runs in ${Math.round((performance.now() - began) / 1000)} s\n`);
