import { readdir } from 'node:fs/promises';
import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { readBelow } from './held-file.js';
import { type CapsulePackage, openPackage } from './package.js';
import { withPrivateDirectory } from './private-directory.js';
import { fetchEnvironment, runProgram } from './program.js';

const ENVIRONMENT = ['PATH', 'HOME', 'NPM_CONFIG_REGISTRY', 'npm_config_registry', 'NPM_CONFIG_USERCONFIG'];
const OUTPUT_BYTES_MAX = 1024 * 1024;

export interface NpmWish {
  readonly name: string;
  readonly range: string | null;
}

/** Arguments of `npm pack`. The package is the last one, behind `--`: whatever it is called, it is not an option. */
export function npmArguments({ name, range }: NpmWish, directory: string): string[] {
  const spec = range === null ? name : `${name}@${range}`;
  const quiet = ['--loglevel=error', '--no-update-notifier', '--no-fund', '--no-audit'];
  return ['pack', '--ignore-scripts', ...quiet, '--pack-destination', directory, '--', spec];
}

/** Fetches through the installed npm, with the person's own registry settings and no script run. */
export function fetchFromNpm(
  wish: NpmWish,
  env: Readonly<Record<string, string | undefined>>,
): Promise<CapsulePackage> {
  return withPrivateDirectory(async (directory) => {
    await runProgram({
      file: 'npm',
      args: npmArguments(wish, directory),
      cwd: directory,
      env: fetchEnvironment(env, ENVIRONMENT),
      outputBytesMax: OUTPUT_BYTES_MAX,
    });
    const [tarball, second] = (await readdir(directory)).filter((name) => name.endsWith('.tgz'));
    if (tarball === undefined || second !== undefined) {
      throw new Fault('io_error', `npm left ${second === undefined ? 'no' : 'more than one'} tarball`, {
        field: 'source',
      });
    }
    return openPackage(await readBelow(directory, tarball, LIMITS.archiveBytesMax));
  });
}
