import { execFile } from 'node:child_process';
import { Fault } from '../../abi/errno.js';
import type { SecretNamespace } from './secret-codec.js';
import { checkSecretKey, checkSecretValue, type SecretStore } from './secret-store.js';

const WAIT_MS = 30_000;
const OUTPUT_BYTES_MAX = 1024 * 1024;

/** What a run of the program came to. */
interface Ended {
  readonly code: number;
  readonly stdout: Buffer;
  /** It said something on stderr: what is not there is answered in silence, a keyring out of reach is not. */
  readonly complained: boolean;
}

/**
 * Secrets in the desktop's keyring, through libsecret's `secret-tool`. Values go in over standard input, as base64, and come back
 * over standard output; the argument list holds names only.
 */
export class KeyringSecretStore implements SecretStore {
  readonly #program: string | null;

  /** @param program path of `secret-tool`, null where there is none: then everything is refused and says so */
  constructor(program: string | null) {
    this.#program = program;
  }

  async has(space: SecretNamespace, key: string): Promise<boolean> {
    return (await this.read(space, key)) !== null;
  }

  async read(space: SecretNamespace, key: string): Promise<Buffer | null> {
    checkSecretKey(key);
    const { code, stdout, complained } = await this.#run(['lookup', ...attributes(space, key)]);
    if (code === 0 && stdout.length > 0) return Buffer.from(stdout.toString('latin1'), 'base64');
    if (code !== 0 && complained) throw unreachable();
    return null;
  }

  async set(space: SecretNamespace, key: string, value: Uint8Array): Promise<void> {
    checkSecretKey(key);
    checkSecretValue(value);
    const label = `--label=Astrid ${space.capsule}`;
    const input = Buffer.from(value).toString('base64');
    const { code } = await this.#run(['store', label, ...attributes(space, key)], input);
    if (code !== 0) throw unreachable();
  }

  async remove(space: SecretNamespace, key: string): Promise<boolean> {
    if (!(await this.has(space, key))) return false;
    await this.#clear(attributes(space, key));
    return true;
  }

  async removeAll(space: SecretNamespace): Promise<void> {
    await this.#clear(attributes(space));
  }

  async #clear(names: readonly string[]): Promise<void> {
    const { code, complained } = await this.#run(['clear', ...names]);
    if (code !== 0 && complained) throw unreachable();
  }

  #run(args: readonly string[], input = ''): Promise<Ended> {
    const program = this.#program;
    if (program === null) throw notInstalled();
    return new Promise((resolve, reject) => {
      const options = { timeout: WAIT_MS, maxBuffer: OUTPUT_BYTES_MAX, encoding: 'buffer' } as const;
      const child = execFile(program, args, options, (error, stdout, stderr) => {
        const complained = stderr.length > 0;
        if (error === null) resolve({ code: 0, stdout, complained });
        else if (typeof error.code === 'number') resolve({ code: error.code, stdout, complained });
        // Without the cause: an error of execFile carries the command line and the output.
        else reject(unreachable());
      });
      child.stdin?.on('error', () => undefined);
      child.stdin?.end(input);
    });
  }
}

function attributes({ principal, capsule }: SecretNamespace, key?: string): string[] {
  const names = ['application', 'astrid', 'principal', principal, 'capsule', capsule];
  return key === undefined ? names : [...names, 'key', key];
}

function notInstalled(): Fault {
  const message =
    'the OS keyring is not available: secret-tool is not installed (Debian and Ubuntu: apt-get install libsecret-tools); or set [secrets] store = "file" in etc/config.toml';
  return new Fault('not_supported', message, { field: 'secrets.store' });
}

function unreachable(): Fault {
  const message =
    'the OS keyring is not available: secret-tool cannot reach it; unlock it, or set [secrets] store = "file" in etc/config.toml';
  return new Fault('io_error', message, { field: 'secrets.store' });
}
