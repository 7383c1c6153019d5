import { readFile } from 'node:fs/promises';
import { inspectModule } from '../../abi/wasm/inspect.js';
import { detectGeneration } from '../capsule/generation.js';
import { parseManifest } from '../capsule/manifest-loader.js';
import type { Subject } from './machine.js';

/** The capsule as a start from the store would take it: the same parser, the same inspection. Throws their Faults. */
export async function readSubject(
  files: { readonly manifest: string; readonly wasm: string },
  where: Pick<Subject, 'tier' | 'tools' | 'workerBundle'>,
): Promise<Subject> {
  const manifest = parseManifest(await readFile(files.manifest, 'utf8'));
  const wasm = await readFile(files.wasm);
  const report = inspectModule(wasm);
  const { generation } = detectGeneration(report, manifest.abi);
  return { manifest, wasm, generation, hasRunLoop: report.entryPoints.includes('run'), ...where };
}
