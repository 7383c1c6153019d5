import { asFault, Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { HeldDirectory } from '../capsule/held-directory.js';
import { requireName } from '../capsule/names.js';
import { openSecrets, type SecretNamespace, sealSecrets } from './secret-codec.js';
import { loadSecretKey } from './secret-key.js';
import { checkSecretKey, checkSecretValue, type SecretStore } from './secret-store.js';

/**
 * Secrets in `var/secrets/<principal>/<capsule>.secrets`, outside of every directory that a guest path can lead to. Each file is
 * replaced as a whole, mode 0600, and synced; changes happen one after the other.
 */
export class FileSecretStore implements SecretStore {
  readonly #home: string;
  readonly #keyPath: string;
  #changing: Promise<unknown> = Promise.resolve();

  constructor(home: string, keyPath: string) {
    this.#home = home;
    this.#keyPath = keyPath;
  }

  async has(space: SecretNamespace, key: string): Promise<boolean> {
    checkSecretKey(key);
    return (await this.#load(space)).has(key);
  }

  async read(space: SecretNamespace, key: string): Promise<Buffer | null> {
    checkSecretKey(key);
    return (await this.#load(space)).get(key) ?? null;
  }

  set(space: SecretNamespace, key: string, value: Uint8Array): Promise<void> {
    checkSecretKey(key);
    checkSecretValue(value);
    const own = Buffer.from(value);
    return this.#change(async () => {
      const secrets = await this.#load(space);
      if (!secrets.has(key) && secrets.size >= LIMITS.secretsPerCapsuleMax) {
        const message = `a capsule has at most ${LIMITS.secretsPerCapsuleMax} secrets`;
        throw new Fault('quota_exceeded', message, { field: 'key' });
      }
      await this.#save(space, secrets.set(key, own));
    });
  }

  remove(space: SecretNamespace, key: string): Promise<boolean> {
    checkSecretKey(key);
    return this.#change(async () => {
      const secrets = await this.#load(space);
      if (!secrets.delete(key)) return false;
      await this.#save(space, secrets);
      return true;
    });
  }

  /** Also for a file that cannot be opened any more: what is left after it is nothing. */
  removeAll(space: SecretNamespace): Promise<void> {
    return this.#change(async () => {
      const there = await this.#inside(space, false, (directory, file) => directory.readFile(file, 0)).then(
        () => true,
        (error: unknown) => asFault(error).code !== 'not_found',
      );
      if (there) await this.#save(space, new Map());
    });
  }

  #change<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#changing.then(work);
    this.#changing = done.catch(() => undefined);
    return done;
  }

  async #load(space: SecretNamespace): Promise<Map<string, Buffer>> {
    let bytes: Buffer;
    try {
      bytes = await this.#inside(space, false, (directory, file) =>
        directory.readFile(file, LIMITS.secretFileBytesMax, { privateOnly: true }),
      );
    } catch (error) {
      if (asFault(error).code === 'not_found') return new Map();
      throw error;
    }
    return openSecrets(await loadSecretKey(this.#keyPath), space, bytes);
  }

  async #save(space: SecretNamespace, secrets: ReadonlyMap<string, Buffer>): Promise<void> {
    const sealed = sealSecrets(await loadSecretKey(this.#keyPath), space, secrets);
    await this.#inside(space, true, (directory, file) => directory.writeFileAtomic(file, sealed));
  }

  /** Every component opened without following links. */
  async #inside<T>(
    { principal, capsule }: SecretNamespace,
    create: boolean,
    work: (directory: HeldDirectory, file: string) => Promise<T>,
  ): Promise<T> {
    const file = `${requireName('capsule', capsule)}.secrets`;
    const held = [await HeldDirectory.openRoot(this.#home, 'home of Astrid')];
    try {
      for (const name of ['var', 'secrets', requireName('principal', principal)])
        held.push(await held.at(-1)!.openDirectory(name, { create }));
      return await work(held.at(-1)!, file);
    } finally {
      for (const directory of held.reverse()) await directory.close();
    }
  }
}
