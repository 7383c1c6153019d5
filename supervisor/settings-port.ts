import type { EnvValueRow } from '../abi/control.js';
import { asFault, Fault } from '../abi/errno.js';
import type { CapsuleManifest } from '../abi/manifest.js';
import type { EnvService } from './lifecycle/env-service.js';

/** Settings and secrets of installed capsules, as the operator has them. */
export class SettingsPort {
  readonly #env: EnvService;
  readonly #manifestOf: (capsule: string) => Promise<CapsuleManifest>;
  readonly #principal: string;

  constructor(env: EnvService, principal: string, manifestOf: (capsule: string) => Promise<CapsuleManifest>) {
    this.#env = env;
    this.#principal = principal;
    this.#manifestOf = async (capsule) => {
      try {
        return await manifestOf(capsule);
      } catch (thrown) {
        if (asFault(thrown).code !== 'not_found') throw thrown;
        const message = `no capsule ${capsule} is installed; see: astrid capsule list`;
        throw new Fault('not_found', message, { field: 'capsule', cause: thrown });
      }
    };
  }

  async rows(capsule: string): Promise<EnvValueRow[]> {
    return this.#env.rows(this.#principal, await this.#manifestOf(capsule));
  }

  async change(
    capsule: string,
    set: Readonly<Record<string, string>>,
    unset: readonly string[],
  ): Promise<EnvValueRow[]> {
    const manifest = await this.#manifestOf(capsule);
    await this.#env.change(this.#principal, manifest, new Map(Object.entries(set)), unset);
    return this.#env.rows(this.#principal, manifest);
  }

  /** `null` removes. */
  async changeSecret(capsule: string, key: string, value: string | null): Promise<boolean> {
    return this.#env.changeSecret(this.#principal, await this.#manifestOf(capsule), key, value);
  }
}
