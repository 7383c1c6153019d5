import { Fault } from '../../abi/errno.js';
import { inspectModule } from '../../abi/wasm/inspect.js';

/** What imports of `env` are usually there for, and what to write instead. */
const ENV_ADVICE: ReadonlyMap<string, string> = new Map([
  ['Date.now', 'use now() of astrid/as/sys'],
  ['performance.now', 'use now() of astrid/as/sys'],
  ['trace', 'use log() of astrid/as/sys'],
  ['console.log', 'use log() of astrid/as/sys'],
  ['abort', 'compile with `astrid build`, or with --use abort='],
]);

/**
 * Looks at a module that was not built from TypeScript as an install will, and compiles it. Throws Fault `bad_module`,
 * `not_served`, `too_large`; each names everything of its kind.
 */
export async function checkModule(wasm: Uint8Array): Promise<void> {
  inspectModule(wasm, { envAdvice: ENV_ADVICE });
  await WebAssembly.compile(Buffer.from(wasm)).catch((cause: Error) => {
    throw new Fault('bad_module', `the module does not compile: ${cause.message}`, { cause });
  });
}
