import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import type { CheckFacts } from '../../abi/testing/check-contract.js';
import { checkCapsule } from './capsule-check.js';

/**
 * Looks at a manifest and a module with the kernel's own readers and writes the findings as one line of JSON. Started by
 * `astrid capsule check`, which makes the facts from the sources: --manifest FILE --wasm FILE --facts FILE
 */
const { values } = parseArgs({
  options: {
    manifest: { type: 'string', default: '' },
    wasm: { type: 'string', default: '' },
    facts: { type: 'string', default: '' },
  },
});
const [text, wasm, facts] = await Promise.all([
  readFile(values.manifest, 'utf8'),
  readFile(values.wasm),
  readFile(values.facts, 'utf8'),
]);
// Nothing for an empty file: a capsule whose manifest cannot even be built is checked without its module.
process.stdout.write(`${JSON.stringify(checkCapsule(text, wasm, JSON.parse(facts) as CheckFacts))}\n`);
