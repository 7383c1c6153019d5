import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { asFault } from '../../abi/errno.js';
import { type Assert, TEST_HOST_KEY, type TestHost, type TestKernel } from '../../abi/testing/testing-contract.js';
import { findHostTools, probeJail } from '../proc/host-tools.js';
import { readSubject } from './subject.js';
import { bootTestKernel } from './test-kernel.js';

/**
 * Runs one bundled test file of a capsule in this process, with `node:test`, and gives it kernels. Started by
 * `astrid capsule test`, which builds the capsule and the bundle and removes the scratch directory afterwards:
 *
 *   --manifest FILE --wasm FILE --test FILE --scratch DIR --search-path PATH
 */
const EXIT_UNREADABLE = 3;
const EXIT_INTERRUPTED = 130;
const WORKER_BUNDLE = fileURLToPath(new URL('../../worker/worker.bundle.mjs', import.meta.url));

process.umask(0o077);
const { values } = parseArgs({
  options: {
    manifest: { type: 'string', default: '' },
    wasm: { type: 'string', default: '' },
    test: { type: 'string', default: '' },
    scratch: { type: 'string', default: '' },
    'search-path': { type: 'string', default: '/usr/bin:/bin' },
  },
});

const kernels: TestKernel[] = [];
const closeAll = async (): Promise<void> => {
  await Promise.all(kernels.map((kernel) => kernel.close()));
};

async function makeHost(): Promise<TestHost> {
  const tools = await findHostTools(values['search-path']);
  const tier = (await probeJail(tools, WORKER_BUNDLE)) === null ? 'jail' : 'process';
  const subject = await readSubject(values, { tier, tools, workerBundle: WORKER_BUNDLE });
  let booted = 0;
  return {
    boot: async (options) => {
      const kernel = await bootTestKernel(subject, join(values.scratch, `k${++booted}`), options);
      kernels.push(kernel);
      return kernel;
    },
    test: test as TestHost['test'],
    assert: assert as unknown as Assert,
  };
}

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
  process.once(signal, () => void closeAll().finally(() => process.exit(EXIT_INTERRUPTED)));
}
try {
  Reflect.set(globalThis, Symbol.for(TEST_HOST_KEY), await makeHost());
} catch (error) {
  const { code, message } = asFault(error);
  process.stdout.write(`${message} (${code})\n`);
  process.exit(EXIT_UNREADABLE);
}
after(closeAll);
await import(pathToFileURL(values.test).href);
