type Init = Headers | Iterable<readonly [string, string]> | Readonly<Record<string, string>> | undefined;

const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** The `Headers` of the web. Names are lower-case; values are ASCII without line breaks (`TypeError`). */
export class Headers {
  readonly #values = new Map<string, string>();

  constructor(init?: Init) {
    if (init === undefined || init === null) return;
    const isList = typeof (init as Iterable<unknown>)[Symbol.iterator] === 'function';
    const pairs = isList ? (init as Iterable<readonly [string, string]>) : Object.entries(init);
    for (const [name, value] of pairs) this.append(name, value);
  }

  append(name: string, value: string): void {
    const key = requireName(name);
    const known = this.#values.get(key);
    const text = requireValue(key, value);
    this.#values.set(key, known === undefined ? text : `${known}, ${text}`);
  }

  set(name: string, value: string): void {
    const key = requireName(name);
    this.#values.set(key, requireValue(key, value));
  }

  get(name: string): string | null {
    return this.#values.get(requireName(name)) ?? null;
  }

  has(name: string): boolean {
    return this.#values.has(requireName(name));
  }

  delete(name: string): void {
    this.#values.delete(requireName(name));
  }

  /** The kernel tells one value per name, so this has at most one entry. */
  getSetCookie(): string[] {
    const cookie = this.get('set-cookie');
    return cookie === null ? [] : [cookie];
  }

  forEach(callback: (value: string, name: string, headers: Headers) => void): void {
    for (const [name, value] of this) callback(value, name, this);
  }

  *entries(): Generator<[string, string], void, void> {
    yield* [...this.#values].sort(([left], [right]) => (left < right ? -1 : 1));
  }

  *keys(): Generator<string, void, void> {
    for (const [name] of this.entries()) yield name;
  }

  *values(): Generator<string, void, void> {
    for (const [, value] of this.entries()) yield value;
  }

  [Symbol.iterator](): Generator<[string, string], void, void> {
    return this.entries();
  }
}

function requireName(name: string): string {
  const text = String(name);
  if (!NAME.test(text)) throw new TypeError(`"${text.slice(0, 60)}" is not a header name`);
  return text.toLowerCase();
}

/** The value itself stays out of the message: it may be a key. */
function requireValue(name: string, value: string): string {
  const text = String(value).replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, '');
  if (/[^\t\x20-\x7e]/.test(text)) throw new TypeError(`the value of header ${name} is not plain ASCII`);
  return text;
}
