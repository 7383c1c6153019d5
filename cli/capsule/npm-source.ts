import { readdir } from 'node:fs/promises';
import { asFault, Fault } from '../../abi/errno.js';
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
    }).catch((thrown: unknown) => {
      throw explain(wish, thrown);
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

/** The two failures that are answers, in one line; npm says them in many. Its codes are the same in all of its versions. */
function explain({ name, range }: NpmWish, thrown: unknown): unknown {
  const code = /\bcode (E404|ETARGET)\b/.exec(asFault(thrown).message)?.[1];
  if (code === undefined) return thrown;
  const what = code === 'E404' ? `package ${name}` : `version of ${name} that fits ${range ?? 'its newest'}`;
  return new Fault('not_found', `the npm registry has no ${what}`, { field: 'source', cause: thrown });
}
