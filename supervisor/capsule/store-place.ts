import { asFault } from '../../abi/errno.js';
import { HeldDirectory } from './held-directory.js';
import { requireName } from './names.js';

export const CAPSULES_PATH = ['.local', 'capsules'] as const;

/** Where things lie below the Astrid home (ABI reference 6.7), each directory opened component by component. */
export class StorePlace {
  readonly #home: string;

  constructor(home: string) {
    this.#home = home;
  }

  insideCapsule<T>(
    principal: string,
    name: string,
    create: boolean,
    work: (directory: HeldDirectory) => Promise<T>,
  ): Promise<T> {
    const path = ['home', requireName('principal', principal), ...CAPSULES_PATH, requireName('capsule', name)];
    return this.inside(path, create, work);
  }

  insideCapsules<T>(principal: string, work: (directory: HeldDirectory) => Promise<T>): Promise<T> {
    return this.inside(['home', requireName('principal', principal), ...CAPSULES_PATH], true, work);
  }

  /** Opens one component after the other, works in the last, and closes all of them. */
  async inside<T>(path: readonly string[], create: boolean, work: (at: HeldDirectory) => Promise<T>): Promise<T> {
    const held = [await HeldDirectory.openRoot(this.#home, 'home of Astrid')];
    try {
      for (const name of path) held.push(await held.at(-1)!.openDirectory(name, { create }));
      return await work(held.at(-1)!);
    } finally {
      for (const directory of held.reverse()) await directory.close();
    }
  }

  /** Entries of a directory, none when it is not there. */
  async list(path: readonly string[]): Promise<string[]> {
    try {
      return await this.inside(path, false, (at) => at.list());
    } catch (thrown) {
      if (asFault(thrown).code === 'not_found') return [];
      throw thrown;
    }
  }
}
