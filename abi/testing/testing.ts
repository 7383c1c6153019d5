/**
 * What the tests of a capsule import as `astrid/testing`. `astrid capsule test` builds the capsule and runs every
 * `*.test.ts` beside it: the capsule in a worker process as it runs when it is installed, the kernel around it in the
 * process of the test. Outside of that command `boot` says so and nothing else works.
 */
import {
  type Assert,
  type BootOptions,
  TEST_HOST_KEY,
  type TestFunction,
  type TestHost,
  type TestKernel,
} from './testing-contract.js';

export type {
  Asked,
  AuditLine,
  BootOptions,
  Decision,
  Json,
  LogLine,
  Message,
  Publication,
  TestClock,
  TestFiles,
  TestKernel,
  TestValues,
  ToolEntry,
  ToolOutcome,
  WaitOptions,
} from './testing-contract.js';

function host(): TestHost {
  const found: unknown = Reflect.get(globalThis, Symbol.for(TEST_HOST_KEY));
  if (found === undefined) throw new Error('this is a test of a capsule: run it with `astrid capsule test`');
  return found as TestHost;
}

/** A kernel with this capsule in it, started and ready. Each call has its own process, values and files. */
export function boot(options: BootOptions = {}): Promise<TestKernel> {
  return host().boot(options);
}

export const test: TestFunction = host().test;
export const assert: Assert = host().assert;
