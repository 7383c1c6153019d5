import { LIMITS } from '../../abi/limits.js';
import { bundleCapsule } from '../build/bundle.js';
import type { CapsuleSource } from '../build/capsule-source.js';
import { isBelow } from '../build/confine.js';
import { makeSegment } from '../build/data-segment.js';
import { linkCapsule, planCalls } from '../build/link.js';
import { checkLoading } from '../build/load-check.js';
import { SCRIPT_STACK_BYTES, scriptMemoryBytes } from '../build/script-limits.js';
import { loadTemplate } from '../build/template.js';
import type { Project } from './project.js';

/** A capsule's script in its module, without the slow half of a build. */
export interface LinkedScript {
  /** The module before pre-initialisation: it loads its script at the first call. */
  readonly linked: Uint8Array;
  /** The script as it lies in the module. */
  readonly segment: Uint8Array;
  readonly sourceMap: string;
  /** The author's own files in it, absolute; not the SDK's, not those of packages. */
  readonly sources: readonly string[];
}

/** What a script says of itself when it is loaded. */
export interface Look {
  /** Null when the script does not say. */
  readonly actions: readonly string[] | null;
  /** As {@link LinkedScript} has them. */
  readonly sources: readonly string[];
}

/** Bundles and links a capsule's script. Throws what a build throws. */
export async function linkScript(project: Project, source: CapsuleSource): Promise<LinkedScript> {
  const { sdkDir, toolchainDir } = project;
  const [template, bundle] = await Promise.all([
    loadTemplate(toolchainDir),
    bundleCapsule({ entry: source.entry, sdkDir, minify: false }),
  ]);
  const calls = planCalls(bundle.calls);
  const memoryBytes = Math.min(source.memoryLimitBytes, scriptMemoryBytes(LIMITS.memoryPagesDefault));
  const segment = makeSegment(calls, bundle, { memoryBytes, stackBytes: SCRIPT_STACK_BYTES });
  const sources = bundle.inputs.filter(
    (file) => isBelow([source.dir], file) && !file.includes('/node_modules/') && !isBelow([sdkDir], file),
  );
  return { linked: linkCapsule(template, calls, segment), segment, sourceMap: bundle.sourceMap, sources };
}

/** Loads a capsule's script once. Throws what a build throws. */
export async function lookAtScript(project: Project, source: CapsuleSource): Promise<Look> {
  const { linked, sourceMap, sources } = await linkScript(project, source);
  return { actions: checkLoading(linked, sourceMap).actions, sources };
}
