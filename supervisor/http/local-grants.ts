import { isIP } from 'node:net';
import { bareHost, normalHost } from '../host-names.js';
import { judgeAddress } from './address.js';
import type { HttpTarget } from './target.js';

const FORM = /^(?<host>\[[^\]]+\]|[^:[\]]+):(?<port>[0-9]{1,5})$/;

/**
 * The operator's `[net] local`: host and port, as a capsule will request them. `localhost:11434` opens nothing for
 * `127.0.0.1:11434`, and the reverse.
 */
export class LocalGrants {
  readonly #places: ReadonlySet<string>;

  constructor(entries: readonly string[]) {
    this.#places = new Set(entries.map((entry) => normalGrant(entry)).filter((place) => place !== null));
  }

  covers({ hostname, port }: Pick<HttpTarget, 'hostname' | 'port'>): boolean {
    return this.#places.has(`${hostname}:${port}`);
  }
}

/** The entry in its one spelling; null when it names no host and port, or an address that no grant can open. */
export function normalGrant(entry: string): string | null {
  const { host, port } = FORM.exec(entry)?.groups ?? {};
  const hostname = normalHost(host ?? '');
  const number = Number(port);
  if (hostname === null || !(number >= 1 && number <= 65_535)) return null;
  const literal = bareHost(hostname);
  if (isIP(literal) !== 0 && judgeAddress(literal) !== 'local') return null;
  return `${hostname}:${number}`;
}
