import { existsSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { type BuildOptions, type BuildResult, build, type Message, type OutputFile, type Plugin, stop } from 'esbuild';
import { Fault } from '../../abi/errno.js';
import { syscallByName } from '../../abi/table.js';
import { SCRIPT_FILE } from './adaptor-layout.js';
import { refuseNode, resolveSdk, SDK_NAMESPACE } from './bundle-plugins.js';
import { frameAt } from './code-frame.js';
import { confine } from './confine.js';
import { listWebDefines, listWebModules } from './web-names.js';

const ERRORS_SHOWN_MAX = 10;
const UNRESOLVED = /^Could not resolve|is a module of Node|the SDK has no/;
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
  /** In the capsule's directory: what lies outside of it does not go in, but for packages. */
  readonly entry: string;
  readonly sdkDir: string;
  readonly minify: boolean;
}

/**
 * Bundles an entry file and the SDK modules it uses. The script depends on the sources alone: on no path of this machine,
 * no tsconfig.json that happens to lie above, no time. Throws Fault `invalid_argument` for source that does not parse or
 * takes in a file from outside, and `not_found` for an import that does not resolve, with file, line and column of each.
 */
export async function bundleCapsule(options: BundleOptions): Promise<Bundle> {
  const entry = await requirePath('entry', options.entry);
  const sdkDir = await requirePath('sdkDir', options.sdkDir);
  const base = findBase(entry);
  const plugins = [refuseNode(), resolveSdk(sdkDir), confine(await realpath(dirname(options.entry)))];
  const result = await runBundler({ entry, sdkDir, base, minify: options.minify, plugins });
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

interface BundlerRun extends BundleOptions {
  readonly base: string;
  readonly plugins: Plugin[];
}

async function runBundler({ entry, sdkDir, base, minify, plugins }: BundlerRun): Promise<BuildResult> {
  const web = listWebModules(sdkDir);
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
    define: { 'process.env.NODE_ENV': '"production"', global: 'globalThis', ...listWebDefines(web) },
    inject: web,
    logLevel: 'silent',
    // A name that a module does not export is undefined at run time: a mistake that is seen here and nowhere else.
    logOverride: { 'import-is-undefined': 'error' },
    plugins,
  };
  try {
    return await build(options);
  } catch (error) {
    throw asBundleFault(error, base, dirname(entry));
  }
}

function asBundleFault(error: unknown, base: string, directory: string): unknown {
  const messages = (error as { errors?: Message[] }).errors;
  if (!Array.isArray(messages) || messages.length === 0) return error;
  const shown = messages.slice(0, ERRORS_SHOWN_MAX).map((message) => {
    const place = placeOf(message, base, directory);
    const { location } = message;
    const frame = location === null ? '' : frameAt(location.lineText, location.line, location.column + 1);
    return { place, text: place === null ? message.text : `${place}: ${message.text}${frame}` };
  });
  const lines = shown.map((line) => line.text);
  if (messages.length > shown.length) lines.push(`and ${messages.length - shown.length} more`);
  const code = messages.some((message) => UNRESOLVED.test(message.text)) ? 'not_found' : 'invalid_argument';
  return new Fault(code, lines.join('\n'), { field: shown[0]?.place ?? 'entry', cause: error });
}

/** File, line and column, counted from 1; the file as seen from the entry, as in stack traces. */
function placeOf({ location }: Message, base: string, directory: string): string | null {
  if (location === null) return null;
  const isOnDisk = location.namespace === '' || location.namespace === 'file';
  const file = isOnDisk ? relative(directory, resolve(base, location.file)).split(sep).join('/') : location.file;
  return `${file}:${location.line}:${location.column + 1}`;
}

function textOf(files: readonly OutputFile[] | undefined, name: string): string {
  const found = files?.find((file) => file.path.endsWith(name));
  if (found === undefined) throw new Fault('internal', `the bundler made no ${name}`);
  return found.text;
}
