import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '../../abi/errno.js';
import { TEMPLATE_EXPORT } from './adaptor-layout.js';
import { runTool, withTemporaryDirectory } from './tool-process.js';

/**
 * Runs a module's initialiser and returns the module with the memory and globals that it left. Throws Fault
 * `not_supported` on a platform for which the package has no program.
 */
export async function preInitialize(module: Uint8Array): Promise<Uint8Array> {
  const wizer = await findWizer();
  return withTemporaryDirectory(async (directory) => {
    await writeFile(join(directory, 'in.wasm'), module);
    await runTool('wizer', wizer, ['-f', TEMPLATE_EXPORT.initialize, 'in.wasm', '-o', 'out.wasm'], directory);
    return await readFile(join(directory, 'out.wasm'));
  });
}

/** Path of the program for this platform. `load` is the package's main module, which answers it or throws. */
export async function findWizer(load: () => Promise<{ default: unknown }> = loadPackage): Promise<string> {
  try {
    const { default: path } = await load();
    if (typeof path === 'string') return path;
  } catch (cause) {
    throw new Fault(
      'not_supported',
      `building a capsule needs wizer, and @bytecodealliance/wizer has no program for ${process.platform} ${process.arch} here: ` +
        'use a platform that it supports, or install with optional dependencies',
      { cause },
    );
  }
  throw new Fault('internal', '@bytecodealliance/wizer did not tell where its program is');
}

async function loadPackage(): Promise<{ default: unknown }> {
  // The package has no types; the name is a variable so that the compiler does not look for them.
  const name = '@bytecodealliance/wizer';
  return (await import(name)) as { default: unknown };
}
