import { asFault, Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { HeldDirectory } from '../capsule/held-directory.js';
import { requireName } from '../capsule/names.js';

/** Values by name; a map, so that a name such as `__proto__` is only a name. */
export type EnvFileValues = ReadonlyMap<string, string>;

/**
 * `home/<principal>/.config/env/<capsule>.env.json` (ABI reference 6.7): a flat JSON object of texts, mode 0600. No file means no
 * values. Links are not followed, and a file that others can read is refused.
 */
export class EnvFile {
  readonly #home: string;

  constructor(home: string) {
    this.#home = home;
  }

  async read(principal: string, capsule: string): Promise<EnvFileValues> {
    try {
      return await this.#inside(principal, capsule, async (directory, file) =>
        parseEnv(await directory.readFile(file, LIMITS.envFileBytesMax, { privateOnly: true }), file),
      );
    } catch (error) {
      if (asFault(error).code === 'not_found') return new Map();
      throw error;
    }
  }

  async write(principal: string, capsule: string, values: EnvFileValues): Promise<void> {
    const bytes = Buffer.from(`${JSON.stringify(Object.fromEntries(values), null, 2)}\n`);
    if (bytes.length > LIMITS.envFileBytesMax)
      throw new Fault('too_large', `the values have more than ${LIMITS.envFileBytesMax} bytes`, { field: 'set' });
    await this.#inside(principal, capsule, (directory, file) => directory.writeFileAtomic(file, bytes), true);
  }

  async #inside<T>(
    principal: string,
    capsule: string,
    work: (directory: HeldDirectory, file: string) => Promise<T>,
    create = false,
  ): Promise<T> {
    const file = `${requireName('capsule', capsule)}.env.json`;
    const held = [await HeldDirectory.openRoot(this.#home, 'home of Astrid')];
    try {
      for (const name of ['home', requireName('principal', principal), '.config', 'env'])
        held.push(await held.at(-1)!.openDirectory(name, { create }));
      return await work(held.at(-1)!, file);
    } finally {
      for (const directory of held.reverse()) await directory.close();
    }
  }
}

function parseEnv(bytes: Buffer, file: string): EnvFileValues {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    // Without the parser's words: they quote the file, and a value may be meant to stay private.
    throw new Fault('bad_config', `${file}: expected JSON`, { field: file, cause: asFault(cause).name });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Fault('bad_config', `${file}: expected an object of texts`, { field: file });
  const values = new Map<string, string>();
  for (const [name, entry] of Object.entries(value)) {
    if (typeof entry !== 'string') throw new Fault('bad_config', `${file}: ${name}: expected a text`, { field: name });
    values.set(name, entry);
  }
  return values;
}
