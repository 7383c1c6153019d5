import type { EnvValueRow } from '../../abi/control.js';
import { Fault } from '../../abi/errno.js';
import type { CapsuleManifest, EnvRow } from '../../abi/manifest.js';
import { checkSecretKey, type SecretStore } from '../secrets/secret-store.js';
import type { EnvFile } from './env-file.js';
import { checkEnvValue, describeField, resolveEnv } from './env-values.js';

const ONBOARDING_TOPIC = 'astrid.v1.onboarding.required';

export interface EnvParts {
  readonly file: EnvFile;
  readonly kv: {
    get(principal: string, capsule: string, key: string): Buffer | null;
    set(principal: string, capsule: string, key: string, value: Uint8Array): Promise<void>;
    delete(principal: string, capsule: string, key: string): Promise<unknown>;
  };
  readonly secrets: SecretStore;
  readonly publish: (topic: string, payload: unknown, principal: string) => void;
  readonly log: (capsule: string, message: string) => void;
}

type Described = Pick<CapsuleManifest, 'name' | 'env'>;

/** Values of `[env]`: read at every load, shown and changed by the operator. */
export class EnvService {
  readonly #parts: EnvParts;
  #changing: Promise<unknown> = Promise.resolve();

  constructor(parts: EnvParts) {
    this.#parts = parts;
  }

  /**
   * What `get_config` answers in the instance that is being loaded. Values of the file are copied into the capsule's keys first, as
   * in the original; what stays unset is announced once.
   */
  async load(principal: string, manifest: Described): Promise<Record<string, string>> {
    const { name: capsule, env } = manifest;
    if (env.length === 0) return {};
    // In turn with a removal: a copy that is made after it would be the next capsule's of this name.
    await this.#serially(() => this.#copyFile(principal, manifest));
    const values: [string, string][] = [];
    const missing: EnvRow[] = [];
    for (const row of env) {
      const resolved = resolveEnv(row, this.#stored(principal, capsule, row));
      values.push([row.name, resolved.text]);
      if (resolved.source !== 'unset') continue;
      if (row.type !== 'secret' || !(await this.#hasSecret(principal, capsule, row.name))) missing.push(row);
    }
    if (missing.length > 0) {
      const payload = { type: 'onboarding_required', capsule_id: capsule, fields: missing.map(describeField) };
      this.#parts.publish(ONBOARDING_TOPIC, payload, principal);
    }
    return Object.fromEntries(values);
  }

  /** Secrets say `set` or not, and never what. */
  async rows(principal: string, manifest: Described): Promise<EnvValueRow[]> {
    const file = await this.#parts.file.read(principal, manifest.name);
    return Promise.all(
      manifest.env.map(async (row) => {
        const { name, type, description } = row;
        const base = { name, type, description, choices: row.enumValues };
        if (type === 'secret') {
          const set = await this.#hasSecret(principal, manifest.name, name);
          return { ...base, value: null, source: set ? 'value' : 'unset' } as const;
        }
        const resolved = resolveEnv(row, file.get(name) ?? this.#stored(principal, manifest.name, row));
        return { ...base, value: resolved.source === 'unset' ? null : resolved.text, source: resolved.source };
      }),
    );
  }

  /** All or nothing: every value is checked before the file is replaced. The capsule sees it at its next load. */
  change(
    principal: string,
    manifest: Described,
    set: ReadonlyMap<string, string>,
    unset: readonly string[],
  ): Promise<void> {
    return this.#serially(async () => {
      const { name: capsule } = manifest;
      const checked = [...set].map(([name, text]) => [name, checkEnvValue(findRow(manifest, name), text)] as const);
      for (const name of unset) requirePlain(findRow(manifest, name));
      const values = new Map(await this.#parts.file.read(principal, capsule));
      for (const [name, text] of checked) values.set(name, text);
      for (const name of unset) values.delete(name);
      await this.#parts.file.write(principal, capsule, values);
      for (const name of unset) await this.#parts.kv.delete(principal, capsule, name);
    });
  }

  /**
   * `null` removes it. Returns whether there was one to remove. A key is one that the manifest lists, or that is stored already:
   * an install hook may ask for secrets that `[env]` does not list. Throws Fault `not_found` for any other: nothing would read it.
   */
  async changeSecret(principal: string, manifest: Described, key: string, value: string | null): Promise<boolean> {
    const space = { principal, capsule: manifest.name };
    checkSecretKey(key);
    if (!(await this.#hasSecret(principal, manifest.name, key))) requireSecret(manifest, key);
    if (value === null) return this.#parts.secrets.remove(space, key);
    await this.#parts.secrets.set(space, key, Buffer.from(value));
    return true;
  }

  /** Forgets the file's values and their copies among the capsule's keys; all other keys are its store's to clear. */
  async removeAll(principal: string, capsule: string): Promise<void> {
    await this.#serially(async () => {
      const values = await this.#parts.file.read(principal, capsule);
      for (const name of values.keys()) await this.#parts.kv.delete(principal, capsule, name);
      if (values.size > 0) await this.#parts.file.write(principal, capsule, new Map());
    });
  }

  async #copyFile(principal: string, { name: capsule, env }: Described): Promise<void> {
    const file = await this.#parts.file.read(principal, capsule);
    for (const [name, text] of file) {
      const row = env.find((entry) => entry.name === name);
      if (row?.type === 'secret') {
        const way = `astrid capsule secret ${capsule} ${name}`;
        this.#parts.log(
          capsule,
          `${name} is a secret: its value in ${capsule}.env.json is ignored; set it with ${way}`,
        );
        continue;
      }
      if (row === undefined) continue;
      const bytes = Buffer.from(text);
      if (this.#parts.kv.get(principal, capsule, name)?.equals(bytes) === true) continue;
      await this.#parts.kv.set(principal, capsule, name, bytes);
    }
  }

  #stored(principal: string, capsule: string, row: EnvRow): string | null {
    return this.#parts.kv.get(principal, capsule, row.name)?.toString('utf8') ?? null;
  }

  #hasSecret(principal: string, capsule: string, key: string): Promise<boolean> {
    return this.#parts.secrets.has({ principal, capsule }, key);
  }

  #serially<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#changing.then(work);
    this.#changing = done.catch(() => undefined);
    return done;
  }
}

function findRow({ name: capsule, env }: Described, name: string): EnvRow {
  const row = env.find((entry) => entry.name === name);
  if (row !== undefined) return row;
  const known = env.map((entry) => entry.name).join(', ');
  const message = `${name}: ${capsule} has no such setting; it has ${known === '' ? 'none' : known}`;
  throw new Fault('not_found', message, { field: name });
}

function requireSecret({ name: capsule, env }: Described, key: string): void {
  const row = env.find((entry) => entry.name === key);
  if (row?.type === 'secret') return;
  if (row !== undefined) {
    const message = `${key}: is no secret; set it with: astrid capsule config ${capsule} --set ${key}=VALUE`;
    throw new Fault('invalid_argument', message, { field: key });
  }
  const known = env.filter(({ type }) => type === 'secret').map(({ name }) => name);
  const message = `${key}: ${capsule} has no such secret; it has ${known.length === 0 ? 'none' : known.join(', ')}`;
  throw new Fault('not_found', message, { field: key });
}

function requirePlain(row: EnvRow): void {
  if (row.type !== 'secret') return;
  const message = `${row.name}: is a secret; remove it with: astrid capsule secret NAME ${row.name} --remove`;
  throw new Fault('invalid_argument', message, { field: row.name });
}
