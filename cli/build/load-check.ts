import { Fault } from '../../abi/errno.js';
import { SCRIPT_ENTRY_POINTS, TEMPLATE_EXPORT } from './adaptor-layout.js';
import type { LoadReport } from './guest-script.js';
import { firstPlace, mapStack } from './stack-map.js';

const ENTRY_NAMES: ReadonlySet<string> = new Set(SCRIPT_ENTRY_POINTS);

export interface LoadedScript {
  /** Extism exports that the script asks for, in the order of `SCRIPT_ENTRY_POINTS`. */
  readonly exports: readonly string[];
  /** Actions that the script answers to; null when it does not say. */
  readonly actions: readonly string[] | null;
  /** What the script printed while it was loaded. */
  readonly printed: readonly string[];
}

export interface TemplateExports {
  readonly memory: WebAssembly.Memory;
  readonly _initialize: () => void;
  readonly [name: string]: unknown;
}

/** Who sees the instance before anything in it runs, and when the script is loaded and it was not asked anything yet. */
export interface LoadWatcher {
  readonly onMade?: (exports: TemplateExports) => void;
  readonly onLoaded?: (exports: TemplateExports) => void;
}

/**
 * Loads the linked module once in this process, as pre-initialisation will, to learn what the script asks for and what is
 * wrong with it. Throws Fault `invalid_argument` with the author's file, line and column when the script throws, never
 * ends, or sets no dispatcher or no exports.
 */
export function checkLoading(
  module: Uint8Array | WebAssembly.Module,
  sourceMap: string,
  watcher: LoadWatcher = {},
): LoadedScript {
  const compiled = module instanceof WebAssembly.Module ? module : new WebAssembly.Module(Buffer.from(module));
  const { exports } = new WebAssembly.Instance(compiled, makeRefusingImports(compiled));
  const report = readReport(exports as unknown as TemplateExports, watcher);
  if (report.error !== null) {
    const place = firstPlace(report.error, sourceMap);
    const field = place === null ? 'entry' : `${place.file}:${place.line}:${place.column}`;
    const hint = /^InternalError: interrupted/.test(report.error) ? ' (it runs without end, or for far too long)' : '';
    throw new Fault(
      'invalid_argument',
      `${field}: the capsule fails while it is loaded${hint}: ${mapStack(report.error, sourceMap)}`,
      { field },
    );
  }
  if (report.dispatcher !== 'function') {
    throw new Fault('invalid_argument', 'entry: the script sets no __astrid_dispatch: does it call defineCapsule?', {
      field: '__astrid_dispatch',
    });
  }
  return { exports: requireExports(report.exports), actions: readActions(report.actions), printed: report.printed };
}

function readReport(exports: TemplateExports, { onMade, onLoaded }: LoadWatcher): LoadReport {
  const functionOf = (name: string) => exports[name] as () => number;
  onMade?.(exports);
  exports._initialize();
  functionOf(TEMPLATE_EXPORT.load)();
  onLoaded?.(exports);
  const at = functionOf(TEMPLATE_EXPORT.report)();
  if (at === 0) throw new Fault('invalid_argument', 'entry: the script left no memory for a word about itself');
  const bytes = Buffer.from(exports.memory.buffer, at, functionOf(TEMPLATE_EXPORT.reportBytes)());
  return JSON.parse(bytes.toString('utf8')) as LoadReport;
}

/** Nothing outside may be called while a module is built: what that gave would be the same in every instance. */
function makeRefusingImports(module: WebAssembly.Module): WebAssembly.Imports {
  const imports: Record<string, Record<string, () => never>> = {};
  for (const { module: from, name } of WebAssembly.Module.imports(module)) {
    imports[from] ??= {};
    imports[from][name] = () => {
      throw new Fault('internal', `${from} ${name} was called while the module was built`);
    };
  }
  return imports;
}

function readActions(value: unknown): string[] | null {
  return Array.isArray(value) && value.every((name) => typeof name === 'string') ? value : null;
}

function requireExports(value: unknown): string[] {
  const field = '__astrid_exports';
  if (!Array.isArray(value) || value.length === 0) {
    throw new Fault(
      'invalid_argument',
      `${field}: expected a list of at least one of ${SCRIPT_ENTRY_POINTS.join(', ')}`,
      {
        field,
      },
    );
  }
  for (const name of value) {
    if (typeof name !== 'string' || !ENTRY_NAMES.has(name)) {
      throw new Fault('invalid_argument', `${field}: ${String(name)} is none of ${SCRIPT_ENTRY_POINTS.join(', ')}`, {
        field,
      });
    }
  }
  return SCRIPT_ENTRY_POINTS.filter((name) => value.includes(name));
}
