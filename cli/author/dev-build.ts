import { readFile } from 'node:fs/promises';
import { type CapsuleSource, readCapsuleSource } from '../build/capsule-source.js';
import { linkScript } from './look.js';
import { loadInProbe } from './probe.js';
import { buildProject, type Project } from './project.js';
import { applyImage } from './quick-initialize.js';

export interface DevBuild {
  readonly name: string;
  readonly manifestText: string;
  readonly wasm: Uint8Array;
  /** For stack traces in the log; empty when there is none. */
  readonly sourceMap: string;
  readonly printed: readonly string[];
}

/** Builds what can be swapped in now. Throws what a build throws. */
export async function buildForDev(project: Project): Promise<DevBuild> {
  const source = await readCapsuleSource(project.dir);
  const { name, manifestText } = source;
  if (!isScript(source)) {
    const { wasmFile } = await buildProject(project);
    const sourceMap = await readFile(`${wasmFile}.map`, 'utf8').catch(() => '');
    return { name, manifestText, wasm: await readFile(wasmFile), sourceMap, printed: [] };
  }
  const { linked, segment, sourceMap } = await linkScript(project, source);
  const { loaded, image } = loadInProbe(linked, segment, sourceMap);
  const { exports, printed } = loaded;
  return { name, manifestText, wasm: applyImage(linked, image, exports), sourceMap, printed };
}

/** A capsule that runs in QuickJS; everything else is built as it is built for others. */
export function isScript({ kind }: CapsuleSource): boolean {
  return kind === 'typescript';
}
