// `npm run fuzz [-- TARGET …] [-- --seconds N] [--seed N]`: builds, then looks for inputs that break a promise.
import { buildAll } from '../../cli/setup.mjs';

await buildAll();
const { fuzz } = await import('../../dist/test/fuzz/main.js');
process.exitCode = await fuzz(process.argv.slice(2));
