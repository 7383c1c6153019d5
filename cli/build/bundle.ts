import { existsSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { type BuildOptions, type BuildResult, build, type Message, type OutputFile, stop } from 'esbuild';
import { Fault } from '../../abi/errno.js';
import { syscallByName } from '../../abi/table.js';
import { SCRIPT_FILE } from './adaptor-layout.js';
import { refuseNode, resolveSdk, SDK_NAMESPACE } from './bundle-plugins.js';

const ERRORS_SHOWN_MAX = 10;
const CALL_LITERAL = /["'`](astrid_[a-z0-9_]+)["'`]/g;

export interface Bundle {
  /** One script for QuickJS. */
  readonly script: string;
  /** Source map (version 3, JSON) from the script to the author's files. */
  readonly sourceMap: string;
  /** Host calls whose names stand in the script. */
  readonly calls: readonly string[];
  /** Files that went in, absolute, sorted. */
  readonly inputs: readonly string[];
}

export interface BundleOptions {
  readonly entry: string;
  readonly sdkDir: string;
  readonly minify: boolean;
}

/**
 * Bundles an entry file and the SDK modules it uses. The script depends on the sources alone: on no path of this machine,
 * no tsconfig.json that happens to lie above, no time. Throws Fault `invalid_argument` for source that does not parse and
 * `not_found` for an import that does not resolve, with file, line and column of each.
 */
export async function bundleCapsule(options: BundleOptions): Promise<Bundle> {
  const entry = await requirePath('entry', options.entry);
  const sdkDir = await requirePath('sdkDir', options.sdkDir);
  const base = findBase(entry);
  const result = await runBundler(entry, sdkDir, base, options.minify);
  const script = textOf(result.outputFiles, SCRIPT_FILE);
  return {
    script,
    sourceMap: textOf(result.outputFiles, `${SCRIPT_FILE}.map`),
    calls: findCalls(script),
    inputs: Object.keys(result.metafile?.inputs ?? {})
      .map((name) => {
        const inSdk = name.startsWith(`${SDK_NAMESPACE}:`);
        return inSdk ? join(sdkDir, name.slice(SDK_NAMESPACE.length + 1)) : resolve(base, name);
      })
      .sort(),
  };
}

/** Ends esbuild's service process; the next bundle starts another. */
export async function closeBundler(): Promise<void> {
  await stop();
}

/** Host calls whose names stand in a script as string literals; unused stubs of the SDK are not in it any more. */
export function findCalls(script: string): string[] {
  const names = new Set([...script.matchAll(CALL_LITERAL)].map((match) => match[1] ?? ''));
  return [...names].filter((name) => syscallByName(name) !== undefined).sort();
}

async function requirePath(field: string, path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (cause) {
    throw new Fault('not_found', `${field}: there is no ${path}`, { field, cause });
  }
}

/**
 * Paths in the script (of CommonJS dependencies) are relative to this: the nearest directory with dependencies. So they
 * read `node_modules/x/index.js` wherever a checkout lies.
 */
function findBase(entry: string): string {
  const own = dirname(entry);
  for (let directory = own; ; directory = dirname(directory)) {
    if (existsSync(join(directory, 'node_modules'))) return directory;
    if (directory === dirname(directory)) return own;
  }
}

async function runBundler(entry: string, sdkDir: string, base: string, minify: boolean): Promise<BuildResult> {
  const options: BuildOptions = {
    absWorkingDir: base,
    entryPoints: [entry],
    outfile: join(dirname(entry), SCRIPT_FILE),
    bundle: true,
    write: false,
    metafile: true,
    format: 'iife',
    target: 'es2023',
    platform: 'neutral',
    mainFields: ['module', 'main'],
    conditions: ['module'],
    // Always: comments carry paths, and a machine reads this text. Names stay, for stack traces.
    minifyWhitespace: true,
    minifyIdentifiers: minify,
    minifySyntax: minify,
    legalComments: 'none',
    charset: 'ascii',
    sourcemap: 'external',
    sourcesContent: false,
    tsconfigRaw: '{}',
    define: { 'process.env.NODE_ENV': '"production"', global: 'globalThis' },
    logLevel: 'silent',
    plugins: [refuseNode(), resolveSdk(sdkDir)],
  };
  try {
    return await build(options);
  } catch (error) {
    throw asBundleFault(error);
  }
}

function asBundleFault(error: unknown): unknown {
  const messages = (error as { errors?: Message[] }).errors;
  if (!Array.isArray(messages) || messages.length === 0) return error;
  const lines = messages.slice(0, ERRORS_SHOWN_MAX).map(formatMessage);
  const left = messages.length - lines.length;
  if (left > 0) lines.push(`and ${left} more`);
  const unresolved = messages.some((message) =>
    /^Could not resolve|is a module of Node|the SDK has no/.test(message.text),
  );
  const place = messages[0]?.location;
  return new Fault(unresolved ? 'not_found' : 'invalid_argument', lines.join('\n'), {
    field: place ? `${place.file}:${place.line}:${place.column + 1}` : 'entry',
    cause: error,
  });
}

function formatMessage({ location, text, notes }: Message): string {
  const place = location ? `${location.file}:${location.line}:${location.column + 1}: ` : '';
  const hint = notes.find((note) => note.location === null && note.text !== '');
  return hint === undefined ? place + text : `${place}${text} (${hint.text})`;
}

function textOf(files: readonly OutputFile[] | undefined, name: string): string {
  const found = files?.find((file) => file.path.endsWith(name));
  if (found === undefined) throw new Fault('internal', `the bundler made no ${name}`);
  return found.text;
}
