import { formDecode, formEncode } from './url-encode.js';

type Init = string | Iterable<readonly [string, string]> | Readonly<Record<string, string>> | undefined;

/** The `URLSearchParams` of the web. */
export class URLSearchParams {
  #pairs: [string, string][];
  /** Set by the URL that these belong to. */
  #changed: (() => void) | undefined;

  constructor(init?: Init) {
    this.#pairs = readInit(init);
  }

  /** Not part of the web: binds to a URL. */
  static __bind(params: URLSearchParams, query: string, changed: () => void): void {
    params.#pairs = readInit(query);
    params.#changed = changed;
  }

  get size(): number {
    return this.#pairs.length;
  }

  append(name: string, value: string): void {
    this.#pairs.push([text(name), text(value)]);
    this.#changed?.();
  }

  delete(name: string, value?: string): void {
    this.#pairs = this.#pairs.filter((pair) => !matches(pair, name, value));
    this.#changed?.();
  }

  get(name: string): string | null {
    return this.#pairs.find((pair) => matches(pair, name))?.[1] ?? null;
  }

  getAll(name: string): string[] {
    return this.#pairs.filter((pair) => matches(pair, name)).map(([, value]) => value);
  }

  has(name: string, value?: string): boolean {
    return this.#pairs.some((pair) => matches(pair, name, value));
  }

  set(name: string, value: string): void {
    const first = this.#pairs.findIndex((pair) => matches(pair, name));
    if (first === -1) this.#pairs.push([text(name), text(value)]);
    else {
      this.#pairs = this.#pairs.filter((pair, index) => index <= first || !matches(pair, name));
      this.#pairs[first] = [text(name), text(value)];
    }
    this.#changed?.();
  }

  /** By name, in order of UTF-16 units; equal names keep their order. */
  sort(): void {
    this.#pairs.sort(([left], [right]) => (left < right ? -1 : left > right ? 1 : 0));
    this.#changed?.();
  }

  forEach(callback: (value: string, name: string, params: URLSearchParams) => void): void {
    for (const [name, value] of this.#pairs) callback(value, name, this);
  }

  *entries(): Generator<[string, string], void, void> {
    for (const [name, value] of this.#pairs) yield [name, value];
  }

  *keys(): Generator<string, void, void> {
    for (const [name] of this.#pairs) yield name;
  }

  *values(): Generator<string, void, void> {
    for (const [, value] of this.#pairs) yield value;
  }

  [Symbol.iterator](): Generator<[string, string], void, void> {
    return this.entries();
  }

  toString(): string {
    return this.#pairs.map(([name, value]) => `${formEncode(name)}=${formEncode(value)}`).join('&');
  }
}

/** Lone surrogates become U+FFFD, as everywhere on the web. */
function text(value: unknown): string {
  return String(value).replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, '\ufffd');
}

function matches(pair: readonly [string, string], name: string, value?: string): boolean {
  return pair[0] === text(name) && (value === undefined || pair[1] === text(value));
}

function readInit(init: Init): [string, string][] {
  if (init === undefined || init === null) return [];
  if (typeof init !== 'object') return readQuery(String(init));
  if (typeof (init as Iterable<unknown>)[Symbol.iterator] !== 'function') {
    return Object.entries(init).map(([name, value]) => [text(name), text(value)]);
  }
  return [...(init as Iterable<Iterable<string>>)].map((pair) => {
    const [name, value, ...more] = [...pair];
    if (value === undefined || more.length > 0) throw new TypeError('each pair must be a name and a value');
    return [text(name), text(value)];
  });
}

function readQuery(query: string): [string, string][] {
  const pairs = query.replace(/^\?/, '').split('&');
  return pairs
    .filter((pair) => pair !== '')
    .map((pair) => {
      const at = pair.indexOf('=');
      const name = at === -1 ? pair : pair.slice(0, at);
      return [formDecode(text(name)), formDecode(text(at === -1 ? '' : pair.slice(at + 1)))];
    });
}
