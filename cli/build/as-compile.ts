import { readFile, realpath } from 'node:fs/promises';
import { isAbsolute, join, normalize, resolve, sep } from 'node:path';
import { Fault } from '../../abi/errno.js';
import { frameAt } from './code-frame.js';
import { isBelow } from './confine.js';

/** What an AssemblyScript capsule imports the guest SDK by: `astrid/as/kv`. */
const SDK_PATH = /^@astrid\/astrid\/as\/([a-z0-9-]+)\.ts$/;
const LIBRARY = '@astrid';
const ENTRY = '@astrid/entry.ts';
const INDEX = 'assembly/index.ts';
const OUTPUT = 'capsule.wasm';
const ERRORS_SHOWN_MAX = 10;

/**
 * The first source: it makes the author's exports the module's, and has the SDK's abort among the sources. Nothing of
 * `env` is left to import: an uncaught error is one line in the capsule's log and a trap.
 */
const ENTRY_TEXT = "import 'astrid/as/abort';\nexport * from '../assembly/index';\n";
const OPTIONS = [
  '--lib',
  LIBRARY,
  '--outFile',
  OUTPUT,
  '--runtime',
  'incremental',
  '--use',
  'abort=~lib/astrid/as/abort/abortCapsule',
  '--use',
  'seed=~lib/astrid/as/abort/drawSeed',
  // Not --converge: it takes four times as long, for 9 bytes of the 42,000 of the example.
  '-O3',
  '--shrinkLevel',
  '1',
  '--noColors',
];

export interface AsSource {
  /** Holds `assembly/index.ts`. */
  readonly dir: string;
  /** Sources of the AssemblyScript SDK. */
  readonly sdkDir: string;
}

export interface AsModule {
  readonly wasm: Uint8Array;
  /** Files that were read, absolute, sorted. */
  readonly inputs: readonly string[];
}

interface Inputs {
  readonly files: Set<string>;
  /** By the compiler's name of the file. */
  readonly texts: Map<string, string>;
  /** What was asked for and lies elsewhere, by the name without its end; to the compiler it does not exist. */
  readonly outside: Map<string, string>;
}

interface Place {
  readonly source: { readonly normalizedPath: string } | null;
  readonly start: number;
}

interface Diagnostic {
  /** 3: an error. */
  readonly category: number;
  readonly message: string;
  readonly range: Place | null;
}

interface Compiler {
  main(
    args: readonly string[],
    io: {
      readFile(name: string, baseDir: string): Promise<string | null>;
      writeFile(name: string, content: string | Uint8Array): void;
      listFiles(): string[];
      reportDiagnostic(diagnostic: Diagnostic): void;
    },
  ): Promise<{ readonly error: Error | null }>;
}

/** The compiler's only word about what `readFile` did not give. */
const NOT_FOUND = /^File '(.+)' not found\.$/;

/** Not a literal: the package's types declare AssemblyScript's own names for the whole program. */
const COMPILER: string = 'assemblyscript/asc';
const CATEGORY_ERROR = 3;

/**
 * Compiles an AssemblyScript capsule, in this process and without touching the file system but to read sources. Throws Fault
 * `invalid_argument` with file, line, column and the line itself for source that does not compile.
 */
export async function compileAssemblyScript(source: AsSource): Promise<AsModule> {
  const { main } = (await import(COMPILER)) as Compiler;
  const place = { dir: await realpath(source.dir), sdkDir: source.sdkDir };
  const inputs: Inputs = { files: new Set(), texts: new Map(), outside: new Map() };
  const diagnostics: Diagnostic[] = [];
  let wasm: Uint8Array | null = null;
  const result = await main([ENTRY, ...OPTIONS], {
    // Names from the library's directory come relative to it.
    readFile: (name, baseDir) => readSource(place, baseDir === LIBRARY ? `${LIBRARY}/${name}` : name, inputs),
    writeFile: (name: string, content: string | Uint8Array) => {
      if (name === OUTPUT && typeof content !== 'string') wasm = content;
    },
    listFiles: () => [],
    reportDiagnostic: (diagnostic) => void diagnostics.push(diagnostic),
  });
  const errors = diagnostics.filter(({ category }) => category === CATEGORY_ERROR);
  if (errors.length > 0) throw asFault(errors, inputs);
  if (result.error !== null) throw new Fault('invalid_argument', `${INDEX}: ${result.error.message}`);
  if (wasm === null) throw new Fault('internal', 'the AssemblyScript compiler made no module');
  return { wasm, inputs: [...inputs.files].sort() };
}

/**
 * Names come relative to the capsule. What is not there is null, and the compiler says so itself. Nothing but source is read:
 * an asconfig.json could name programs that the compiler runs.
 */
async function readSource({ dir, sdkDir }: AsSource, name: string, inputs: Inputs): Promise<string | null> {
  const plain = name.split('\\').join('/');
  if (plain === ENTRY) return ENTRY_TEXT;
  if (!plain.endsWith('.ts')) return null;
  const [, module] = SDK_PATH.exec(plain) ?? [];
  const path = module === undefined ? await findInside(dir, plain, inputs) : join(sdkDir, `${module}.ts`);
  const text = path === null ? null : await readFile(path, 'utf8').catch(() => null);
  if (text !== null && path !== null) {
    inputs.files.add(path);
    inputs.texts.set(module === undefined ? plain : `~lib/astrid/as/${module}.ts`, text);
  }
  return text;
}

/**
 * The real path of a source in the capsule's directory: the same directory elsewhere then gives the same module, and neither
 * a name nor a link carries another file of this machine away in it.
 */
async function findInside(dir: string, name: string, inputs: Inputs): Promise<string | null> {
  const named = resolve(dir, name);
  const leaves = isAbsolute(name) || normalize(name).split(sep, 1)[0] === '..';
  const path = leaves ? named : await realpath(named).catch(() => null);
  if (path === null || (!leaves && isBelow([dir], path))) return path;
  inputs.outside.set(stemOf(name), path);
  return null;
}

/** Of the names that the compiler tries for one import: `a.ts`, `a/index.ts`, `a.d.ts`. */
const stemOf = (name: string): string => name.replace(/(?:\/index|\.d)?\.ts$/, '');

function asFault(errors: readonly Diagnostic[], inputs: Inputs): Fault {
  const shown = errors.slice(0, ERRORS_SHOWN_MAX).map(({ message: said, range }) => {
    const message = explain(said, inputs.outside);
    const normalizedPath = range?.source?.normalizedPath ?? ENTRY;
    if (range === null || normalizedPath === ENTRY) return { place: INDEX, text: `${INDEX}: ${message}` };
    const text = inputs.texts.get(normalizedPath);
    if (text === undefined) return { place: normalizedPath, text: `${normalizedPath}: ${message}` };
    const before = text.slice(0, range.start).split('\n');
    const line = before.length;
    const column = (before.at(-1)?.length ?? 0) + 1;
    const place = `${normalizedPath}:${line}:${column}`;
    return { place, text: `${place}: ${message}${frameAt(text.split('\n')[line - 1], line, column)}` };
  });
  const lines = shown.map((line) => line.text);
  if (errors.length > shown.length) lines.push(`and ${errors.length - shown.length} more`);
  return new Fault('invalid_argument', lines.join('\n'), { field: shown[0]?.place ?? INDEX });
}

function explain(message: string, outside: ReadonlyMap<string, string>): string {
  const path = outside.get(stemOf(NOT_FOUND.exec(message)?.[1] ?? ''));
  return path === undefined ? message : `${path} lies outside of the capsule: expected a file in its directory`;
}
