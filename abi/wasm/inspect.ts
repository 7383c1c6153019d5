import { ENTRY_POINTS, type EntryPoint } from '../entry-points.js';
import { Fault } from '../errno.js';
import type { SyscallRow } from '../syscalls/row.js';
import { syscallByName } from '../table.js';
import { EXTISM_ENV, EXTISM_ENV_MODULE, EXTISM_USER_MODULE } from './extism-env.js';
import { requirePlainMemory } from './memory-rule.js';
import { readModule, signatureOf, type WasmModule } from './module-reader.js';
import type { WasmImport } from './module-sections.js';
import { joinBounded, quotePrintable } from './printable.js';
import { equalSignatures, type FunctionSignature, formatSignature } from './signature.js';
import { WASI_MODULE, WASI_PREVIEW1 } from './wasi-preview1.js';

/** What a module asks for and offers. Plain data: it crosses threads and is shown before an install. */
export interface ModuleReport {
  readonly bytes: number;
  /** Names imported from `extism:host/user`, sorted, each once; all of them are served. */
  readonly hostCalls: readonly string[];
  readonly envCalls: readonly string[];
  readonly wasiCalls: readonly string[];
  /** How calls that return nothing are imported: `i64` only by generation 3, `void` only by 1 and 2. */
  readonly voidForm: 'none' | 'void' | 'i64';
  readonly entryPoints: readonly EntryPoint[];
  /** A start function runs while the module is instantiated: the load deadline has to cover it. */
  readonly hasStart: boolean;
  readonly memory: { readonly minPages: number; readonly maxPages: number | null } | null;
  readonly customSections: readonly string[];
}

type Verdict = 'foreign' | 'not_served' | 'wrong_type' | 'fine';

interface CheckedImport {
  readonly row: WasmImport;
  readonly verdict: Verdict;
  /** What is wrong, for people; empty when fine. */
  readonly reason: string;
}

/** Modules with a fixed table of functions. `extism:host/user` is not here: its types depend on the generation. */
const FIXED_MODULES: ReadonlyMap<string, ReadonlyMap<string, FunctionSignature>> = new Map([
  [EXTISM_ENV_MODULE, EXTISM_ENV],
  [WASI_MODULE, WASI_PREVIEW1],
]);

export interface InspectRules {
  /** The host calls there are; by default those of the table. */
  readonly callNamed?: (name: string) => SyscallRow | undefined;
  /** What to write instead of an import of the module `env`, by its name: compilers add those. */
  readonly envAdvice?: ReadonlyMap<string, string>;
}

/**
 * Reads a module and decides whether this system can give what it asks for.
 * @throws Fault `bad_module` (malformed, foreign imports, wrong types, no entry point, memory that cannot be bounded),
 * `not_served` (a known host call that this version does not serve), `too_large`. Each lists everything of its kind.
 */
export function inspectModule(bytes: Uint8Array, rules: InspectRules = {}): ModuleReport {
  const module = readModule(bytes);
  const checked = module.imports.map((row) => checkImport(module, row, rules));
  refuseImports(checked);
  requirePlainMemory(module);
  const entryPoints = readEntryPoints(module);
  const memory = module.memories[0];
  return {
    bytes: bytes.length,
    hostCalls: namesFrom(module, EXTISM_USER_MODULE),
    envCalls: namesFrom(module, EXTISM_ENV_MODULE),
    wasiCalls: namesFrom(module, WASI_MODULE),
    voidForm: readVoidForm(module),
    entryPoints,
    hasStart: module.startFunction !== null,
    memory: memory ? { minPages: memory.min, maxPages: memory.max } : null,
    customSections: module.customSections,
  };
}

function checkImport(module: WasmModule, row: WasmImport, rules: InspectRules): CheckedImport {
  const shown = `${quotePrintable(row.module)}.${quotePrintable(row.name)}`;
  const type = signatureOf(module, row);
  if (type === null) return { row, verdict: 'foreign', reason: `${shown} (${row.kind})` };
  if (row.module === EXTISM_USER_MODULE) return checkHostCall(row, type, rules.callNamed ?? syscallByName);
  const wanted = FIXED_MODULES.get(row.module)?.get(row.name);
  if (wanted === undefined) {
    const advice = row.module === 'env' ? rules.envAdvice?.get(row.name) : undefined;
    return { row, verdict: 'foreign', reason: advice === undefined ? shown : `${shown} (${advice})` };
  }
  if (equalSignatures(type, wanted)) return { row, verdict: 'fine', reason: '' };
  return {
    row,
    verdict: 'wrong_type',
    reason: `${shown} is ${formatSignature(wanted)}, not ${formatSignature(type)}`,
  };
}

function checkHostCall(
  row: WasmImport,
  type: FunctionSignature,
  callNamed: (name: string) => SyscallRow | undefined,
): CheckedImport {
  const call = callNamed(row.name);
  if (call === undefined) {
    return { row, verdict: 'foreign', reason: `${quotePrintable(row.module)}.${quotePrintable(row.name)}` };
  }
  const wanted = hostCallSignatures(call);
  if (!wanted.some((one) => equalSignatures(one, type))) {
    const expected = wanted.map(formatSignature).join(' or ');
    return { row, verdict: 'wrong_type', reason: `${call.name} is ${expected}, not ${formatSignature(type)}` };
  }
  if (call.since === null) return { row, verdict: 'not_served', reason: call.name };
  return { row, verdict: 'fine', reason: '' };
}

/** One i64 per argument; an i64 back, or nothing from a void call of generations 1 and 2 (ABI reference 1.1). */
function hostCallSignatures(call: SyscallRow): FunctionSignature[] {
  const params = call.params.map(() => 'i64' as const);
  const withResult: FunctionSignature = { params, results: ['i64'] };
  return call.returns === 'void' ? [{ params, results: [] }, withResult] : [withResult];
}

const REFUSALS: readonly { verdict: Verdict; code: 'bad_module' | 'not_served'; message: string }[] = [
  { verdict: 'foreign', code: 'bad_module', message: 'the module imports what this system does not have' },
  { verdict: 'wrong_type', code: 'bad_module', message: 'the module imports functions with another type' },
  { verdict: 'not_served', code: 'not_served', message: 'the module imports calls that this version does not serve' },
];

function refuseImports(checked: readonly CheckedImport[]): void {
  for (const { verdict, code, message } of REFUSALS) {
    const reasons = checked.filter((one) => one.verdict === verdict).map((one) => one.reason);
    if (reasons.length === 0) continue;
    throw new Fault(code, `${message}: ${joinBounded([...new Set(reasons)])}`, { field: 'import section' });
  }
}

function readVoidForm(module: WasmModule): ModuleReport['voidForm'] {
  const forms = new Map<'void' | 'i64', string>();
  for (const row of module.imports) {
    if (row.module !== EXTISM_USER_MODULE || syscallByName(row.name)?.returns !== 'void') continue;
    forms.set(signatureOf(module, row)?.results.length === 0 ? 'void' : 'i64', row.name);
  }
  const [bare, withResult] = [forms.get('void'), forms.get('i64')];
  if (bare !== undefined && withResult !== undefined) {
    throw new Fault(
      'bad_module',
      `the module mixes two ABI generations: it imports ${bare} without a result and ${withResult} with an i64`,
      { field: 'import section' },
    );
  }
  if (bare !== undefined) return 'void';
  return withResult === undefined ? 'none' : 'i64';
}

function readEntryPoints(module: WasmModule): EntryPoint[] {
  const found: EntryPoint[] = [];
  for (const name of ENTRY_POINTS) {
    const row = module.exports.find((one) => one.name === name);
    if (row === undefined) continue;
    const type = signatureOf(module, row);
    if (type === null || type.params.length > 0 || type.results.join() !== 'i32') {
      const is = type === null ? `a ${row.kind}` : formatSignature(type);
      throw new Fault('bad_module', `export ${name} must be a function () -> (i32), it is ${is}`, {
        field: 'export section',
      });
    }
    found.push(name);
  }
  if (!found.includes('astrid_hook_trigger') && !found.includes('run')) {
    const offered = module.exports.map((row) => quotePrintable(row.name));
    throw new Fault(
      'bad_module',
      `the module exports neither astrid_hook_trigger nor run; it exports ${joinBounded(offered) || 'nothing'}`,
      { field: 'export section' },
    );
  }
  return found;
}

function namesFrom(module: WasmModule, from: string): string[] {
  return [...new Set(module.imports.filter((row) => row.module === from).map((row) => row.name))].sort();
}
