import { LIMITS } from '../../abi/limits.js';
import { bundleCapsule } from '../build/bundle.js';
import type { CapsuleSource } from '../build/capsule-source.js';
import { isBelow } from '../build/confine.js';
import { makeSegment } from '../build/data-segment.js';
import { linkCapsule, planCalls } from '../build/link.js';
import { checkLoading } from '../build/load-check.js';
import { SCRIPT_STACK_BYTES, scriptMemoryBytes } from '../build/script-limits.js';
import { loadTemplate } from '../build/template.js';
import { loadInProbe } from './probe.js';
import type { Project } from './project.js';
import type { Image } from './quick-initialize.js';

/** What a script says of itself when it is loaded, without the slow half of a build. */
export interface Look {
  /** Null when the script does not say. */
  readonly actions: readonly string[] | null;
  /** The author's own files in it, absolute; not the SDK's, not those of packages. */
  readonly sources: readonly string[];
  readonly sourceMap: string;
  /** The module before pre-initialisation: it loads its script at the first call. */
  readonly linked: Uint8Array;
  /** How an instance stood when the script was loaded, for `applyImage`. */
  readonly image: Image | null;
  readonly exports: readonly string[];
  readonly printed: readonly string[];
}

/** Bundles, links and loads a capsule's script once. Throws what a build throws. */
export async function lookAtScript(project: Project, source: CapsuleSource, withImage = false): Promise<Look> {
  const { sdkDir, toolchainDir } = project;
  const [template, bundle] = await Promise.all([
    loadTemplate(toolchainDir),
    bundleCapsule({ entry: source.entry, sdkDir, minify: false }),
  ]);
  const calls = planCalls(bundle.calls);
  const memoryBytes = Math.min(source.memoryLimitBytes, scriptMemoryBytes(LIMITS.memoryPagesDefault));
  const limits = { memoryBytes, stackBytes: SCRIPT_STACK_BYTES };
  const segment = makeSegment(calls, bundle, limits);
  const linked = linkCapsule(template, calls, segment);
  const { loaded, image } = withImage
    ? loadInProbe(linked, segment, bundle.sourceMap)
    : { loaded: checkLoading(linked, bundle.sourceMap), image: null };
  const { actions, exports, printed } = loaded;
  const sources = bundle.inputs.filter(
    (file) => isBelow([source.dir], file) && !file.includes('/node_modules/') && !isBelow([sdkDir], file),
  );
  return { actions, sources, sourceMap: bundle.sourceMap, linked, image, exports, printed };
}
