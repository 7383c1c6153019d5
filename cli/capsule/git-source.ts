import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import {
  type CapsulePackage,
  checkModuleSize,
  decodeManifest,
  MANIFEST_FILE,
  missingModule,
  readNamedFiles,
} from './package.js';
import { withPrivateDirectory } from './private-directory.js';
import { fetchEnvironment, runProgram } from './program.js';

const ENVIRONMENT = ['PATH', 'HOME', 'SSH_AUTH_SOCK'];
/** Of a tree listing: one line. */
const LISTING_BYTES_MAX = 64 * 1024;

export interface GitWish {
  readonly url: string;
  readonly protocol: 'https' | 'ssh' | 'file';
  readonly ref: string;
}

/** Settings that no configuration of the person or of the repository overrides: one protocol, no hooks, no helpers. */
function gitSettings(protocol: GitWish['protocol']): string[] {
  const settings = {
    'protocol.allow': 'never',
    [`protocol.${protocol}.allow`]: 'always',
    'core.hooksPath': '/dev/null',
    'core.fsmonitor': 'false',
    'submodule.recurse': 'false',
    'fetch.recurseSubmodules': 'false',
    'gc.auto': '0',
    'maintenance.auto': 'false',
  };
  return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

/** Address and ref stand behind `--`, where they cannot be options. */
export function gitFetchArguments({ url, protocol, ref }: GitWish): string[] {
  const how = ['--depth=1', '--no-tags', '--no-recurse-submodules', '--quiet', '--no-write-commit-graph'];
  return [...gitSettings(protocol), 'fetch', ...how, '--', url, ref];
}

/**
 * Fetches one commit through the installed git and reads the files from its objects. Nothing is checked out, so there are
 * no hooks, no filters, no links and no submodules to be careful about.
 */
export function fetchFromGit(
  wish: GitWish,
  env: Readonly<Record<string, string | undefined>>,
): Promise<CapsulePackage> {
  return withPrivateDirectory(async (directory) => {
    const git = (args: readonly string[], outputBytesMax: number) =>
      runProgram({ file: 'git', args, cwd: directory, env: gitEnvironment(env), outputBytesMax });
    await git([...gitSettings(wish.protocol), 'init', '--quiet', '--template='], LISTING_BYTES_MAX);
    await git(gitFetchArguments(wish), LISTING_BYTES_MAX);
    const read = async (path: string, bytesMax: number) => {
      await requireFile(git, path);
      return git(['cat-file', 'blob', `FETCH_HEAD:${path}`], bytesMax);
    };
    const manifestText = decodeManifest(await read(MANIFEST_FILE, LIMITS.manifestBytesMax));
    const { module } = readNamedFiles(manifestText);
    if (module === null) return { manifestText, wasm: null };
    return { manifestText, wasm: checkModuleSize(await read(module, LIMITS.moduleBytesMax)) };
  });
}

type Git = (args: readonly string[], outputBytesMax: number) => Promise<Buffer>;

/** A regular file at this very path: a link's content is a path, and a submodule has none. */
async function requireFile(git: Git, path: string): Promise<void> {
  const args = ['--literal-pathspecs', 'ls-tree', '-z', 'FETCH_HEAD', '--', path];
  const listing = (await git(args, LISTING_BYTES_MAX)).toString('utf8');
  if (listing === '' && path === MANIFEST_FILE) {
    throw new Fault('not_found', `the repository has no ${MANIFEST_FILE} at its top`, { field: 'source' });
  }
  if (listing === '') throw missingModule(path);
  if (!/^100(644|755) blob /.test(listing)) {
    throw new Fault('escapes_root', `${path} is not a regular file in the repository`, { field: path });
  }
}

function gitEnvironment(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return {
    ...fetchEnvironment(env, ENVIRONMENT),
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    GIT_SSH_COMMAND: 'ssh -oBatchMode=yes',
    GIT_NO_LAZY_FETCH: '1',
  };
}
