import { createHash } from 'node:crypto';
import { mkdir, readFile, realpath, rename, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Fault } from '../../abi/errno.js';
import { buildIfChanged, type CachedBuild } from '../build/cache.js';
import { readManifestFile } from '../capsule/package.js';
import type { CommandArguments, CommandContext } from '../context.js';
import type { Io } from '../io.js';
import { findPackageRoot } from '../package-root.js';

/** Where a capsule's generated settings lie; `tsconfig.json` extends the file in it, and git ignores it. */
const GENERATED = '.astrid';
const TSCONFIG = 'tsconfig.json';

/** A capsule that somebody works on, and where its build goes. */
export interface Project {
  readonly dir: string;
  /** As it was named on the command line, for messages. */
  readonly shown: string;
  readonly packageRoot: string;
  readonly sdkDir: string;
  /** Builds of this directory; never inside the capsule, where they would be part of its source. */
  readonly outDir: string;
  /** What all builds share: QuickJS merged with the adaptor. */
  readonly toolchainDir: string;
}

/** The directory named by `[DIR]`, the current one when absent. Fault `not_found`, also when no capsule lies in it. */
export async function openProject(context: CommandContext, args: CommandArguments): Promise<Project> {
  const shown = args.text('dir') ?? '.';
  const dir = await realpath(resolve(context.io.cwd, shown)).catch((cause: unknown) => {
    throw new Fault('not_found', `there is no directory ${shown}`, { field: 'dir', cause });
  });
  await readManifestFile(dir);
  const project: Project = { dir, shown, ...placesFor(dir, context.io.env) };
  await refreshTypes(project);
  return project;
}

/** Where the build of a directory goes, and what it is made with. */
export function placesFor(dir: string, env: Io['env']): Omit<Project, 'dir' | 'shown'> {
  const packageRoot = findPackageRoot(fileURLToPath(import.meta.url));
  const cache = cacheDirectory(env);
  const key = createHash('sha256').update(dir).digest('hex').slice(0, 16);
  return {
    packageRoot,
    sdkDir: join(packageRoot, 'abi/sdk'),
    outDir: join(cache, 'build', key),
    toolchainDir: join(cache, 'toolchain'),
  };
}

export function buildProject({ dir, outDir, sdkDir, toolchainDir }: Project): Promise<CachedBuild> {
  return buildIfChanged(dir, outDir, { sdkDir, cacheDir: toolchainDir });
}

/** `XDG_CACHE_HOME`, which counts only when it is absolute, else `~/.cache`. */
function cacheDirectory(env: Io['env']): string {
  const { XDG_CACHE_HOME: named, HOME: home } = env;
  const base = named !== undefined && isAbsolute(named) ? named : join(home ?? homedir(), '.cache');
  return join(base, 'astrid');
}

/** The compiler options that depend on where this package is installed: what editors resolve `astrid/sdk` by. */
function makeTypesConfig(packageRoot: string): string {
  const at = (path: string) => [join(packageRoot, path)];
  const config = {
    compilerOptions: {
      target: 'ES2023',
      lib: ['ES2023'],
      types: [],
      module: 'ESNext',
      moduleResolution: 'Bundler',
      strict: true,
      noUncheckedIndexedAccess: true,
      verbatimModuleSyntax: true,
      isolatedModules: true,
      skipLibCheck: true,
      noEmit: true,
      paths: {
        'astrid/sdk': at('abi/sdk/capsule.ts'),
        'astrid/sdk/*': at('abi/sdk/*.ts'),
        'astrid/testing': at('abi/testing/testing.ts'),
      },
    },
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}

/**
 * Writes the generated options where they are missing or name another installation, as after a clone. A project whose
 * tsconfig.json does not ask for them is left alone.
 */
export async function refreshTypes({ dir, packageRoot }: Pick<Project, 'dir' | 'packageRoot'>): Promise<void> {
  const own = await readFile(join(dir, TSCONFIG), 'utf8').catch(() => '');
  if (!own.includes(`${GENERATED}/${TSCONFIG}`)) return;
  const file = join(dir, GENERATED, TSCONFIG);
  const wanted = makeTypesConfig(packageRoot);
  if ((await readFile(file, 'utf8').catch(() => '')) === wanted) return;
  await mkdir(join(dir, GENERATED), { recursive: true });
  const temporary = `${file}.${process.pid}.tmp`;
  await writeFile(temporary, wanted, { flag: 'wx' });
  await rename(temporary, file);
}
