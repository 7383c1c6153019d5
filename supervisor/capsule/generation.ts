import { Fault } from '../../abi/errno.js';
import type { AbiGeneration } from '../../abi/manifest.js';
import type { ModuleReport } from './inspect.js';

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
  if (report.entryPoints.includes('astrid_tool_call')) {
    return { generation: 1, why: 'the module exports astrid_tool_call, as SDKs up to 0.4 do' };
  }
  return { generation: 2, why: 'no sign of generation 1 or 3' };
}

function refuse(manifestAbi: AbiGeneration, module: string): never {
  throw new Fault('bad_manifest', `package.abi: the manifest says abi = ${manifestAbi}, but ${module}`, {
    field: 'package.abi',
  });
}
