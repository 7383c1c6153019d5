// `npm run bench [-- name …]`: builds, measures side by side in one run, prints the table of the README.
import { buildAll } from '../../cli/setup.mjs';

await buildAll();
const { runBench } = await import('../../dist/test/bench/main.js');
await runBench(process.argv.slice(2));
