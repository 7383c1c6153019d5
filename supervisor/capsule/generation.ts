import { OLDEST_EXPORT } from '../../abi/entry-points.js';
import { Fault } from '../../abi/errno.js';
import type { AbiGeneration } from '../../abi/manifest.js';
import type { ModuleReport } from '../../abi/wasm/inspect.js';

export interface GenerationVerdict {
  readonly generation: AbiGeneration;
  /** What it was told from, for `astrid inspect` and the install screen. */
  readonly why: string;
}

/**
 * Tells which of the three ABI generations a module speaks: the type of its imports first, then the manifest, then
 * the hints of ABI reference 6.6. Guessing wrong would make every result unreadable to the guest, so a manifest that
 * contradicts the module is an error and not a preference.
 * @throws Fault `bad_manifest`, field `package.abi`
 */
export function detectGeneration(report: ModuleReport, manifestAbi: AbiGeneration | null): GenerationVerdict {
  if (report.voidForm === 'i64') {
    if (manifestAbi !== null && manifestAbi !== 3) {
      refuse(manifestAbi, 'the module imports void calls with an i64 result, which only generation 3 does');
    }
    return { generation: 3, why: 'the module imports void calls with an i64 result' };
  }
  if (report.voidForm === 'void' && manifestAbi === 3) {
    refuse(manifestAbi, 'the module imports void calls without a result, which generation 3 never does');
  }
  if (manifestAbi !== null) return { generation: manifestAbi, why: `the manifest says abi = ${manifestAbi}` };
  if (report.entryPoints.includes(OLDEST_EXPORT)) {
    return { generation: 1, why: `the module exports ${OLDEST_EXPORT}, as SDKs up to 0.4 do` };
  }
  if (report.voidForm === 'none') {
    return { generation: 2, why: 'nothing in the module tells; abi in [package] settles it' };
  }
  return {
    generation: 2,
    why: 'void calls without a result, no export of SDKs up to 0.4; state abi = 1 for SDK 0.5.0 to 0.5.2',
  };
}

function refuse(manifestAbi: AbiGeneration, module: string): never {
  throw new Fault('bad_manifest', `package.abi: the manifest says abi = ${manifestAbi}, but ${module}`, {
    field: 'package.abi',
  });
}
