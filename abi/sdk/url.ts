import { ESCAPED, percentEncode } from './url-encode.js';
import {
  appendPath,
  isSpecial,
  parseUrl,
  setHostAndPort,
  setPort,
  showPath,
  showUrl,
  type UrlRecord,
} from './url-parse.js';
import { URLSearchParams } from './url-search-params.js';

/**
 * The `URL` of the web (url.spec.whatwg.org), as a global. Different from browsers: host names that are not ASCII are
 * refused, because the tables of IDNA are larger than a capsule; give them in their `xn--` form. No `createObjectURL`.
 */
export class URL {
  #record: UrlRecord;
  readonly searchParams = new URLSearchParams();

  constructor(url: string | URL, base?: string | URL) {
    this.#record = parse(String(url), base);
    this.#bind();
  }

  static canParse(url: string | URL, base?: string | URL): boolean {
    return URL.parse(url, base) !== null;
  }

  static parse(url: string | URL, base?: string | URL): URL | null {
    try {
      return new URL(url, base);
    } catch {
      return null;
    }
  }

  #bind(): void {
    URLSearchParams.__bind(this.searchParams, this.#record.query ?? '', () => {
      const query = this.searchParams.toString();
      this.#record.query = query === '' ? null : query;
    });
  }

  get href(): string {
    return showUrl(this.#record);
  }

  set href(value: string) {
    this.#record = parse(String(value), undefined);
    this.#bind();
  }

  /** `null` as text for schemes without one. */
  get origin(): string {
    const { scheme } = this.#record;
    return isSpecial(scheme) && scheme !== 'file' ? `${this.protocol}//${this.host}` : 'null';
  }

  get protocol(): string {
    return `${this.#record.scheme}:`;
  }

  /** A special scheme cannot become another kind, and the other way round; such a value is ignored. */
  set protocol(value: string) {
    const scheme = /^([a-zA-Z][a-zA-Z0-9+.-]*)(?::|$)/.exec(String(value))?.[1]?.toLowerCase();
    const record = this.#record;
    if (scheme === undefined || isSpecial(scheme) !== isSpecial(record.scheme)) return;
    const hasAuthority = record.username !== '' || record.password !== '' || record.port !== null;
    if ((scheme === 'file' && hasAuthority) || (record.scheme === 'file' && record.host === '')) return;
    record.scheme = scheme;
    if (record.port !== null) setPort(String(record.port), record);
  }

  get username(): string {
    return this.#record.username;
  }

  set username(value: string) {
    if (this.#canHaveUser()) this.#record.username = percentEncode(String(value), ESCAPED.userinfo);
  }

  get password(): string {
    return this.#record.password;
  }

  set password(value: string) {
    if (this.#canHaveUser()) this.#record.password = percentEncode(String(value), ESCAPED.userinfo);
  }

  get host(): string {
    return this.port === '' ? this.hostname : `${this.hostname}:${this.port}`;
  }

  set host(value: string) {
    this.#setHost(String(value));
  }

  get hostname(): string {
    return this.#record.host ?? '';
  }

  set hostname(value: string) {
    const name = String(value);
    if (name.startsWith('[') || !name.includes(':')) this.#setHost(name);
  }

  get port(): string {
    return String(this.#record.port ?? '');
  }

  set port(value: string) {
    const digits = /^\d*/.exec(String(value))?.[0] ?? '';
    if (this.#canHaveUser() && (digits !== '' || String(value) === '')) setPort(digits, this.#record);
  }

  get pathname(): string {
    return showPath(this.#record);
  }

  set pathname(value: string) {
    if (typeof this.#record.path === 'string') return;
    const text = String(value).replace(/[\t\n\r]/g, '');
    this.#record.path = [];
    // In a setter, both begin nothing new.
    appendPath(text.replaceAll('?', '%3F').replaceAll('#', '%23'), this.#record);
  }

  get search(): string {
    return this.#record.query ? `?${this.#record.query}` : '';
  }

  set search(value: string) {
    const text = String(value)
      .replace(/[\t\n\r]/g, '')
      .replace(/^\?/, '');
    const escaped = isSpecial(this.#record.scheme) ? ESCAPED.specialQuery : ESCAPED.query;
    this.#record.query = String(value) === '' ? null : percentEncode(text, escaped);
    this.#bind();
  }

  get hash(): string {
    return this.#record.fragment ? `#${this.#record.fragment}` : '';
  }

  set hash(value: string) {
    const text = String(value)
      .replace(/[\t\n\r]/g, '')
      .replace(/^#/, '');
    this.#record.fragment = String(value) === '' ? null : percentEncode(text, ESCAPED.fragment);
  }

  toString(): string {
    return this.href;
  }

  toJSON(): string {
    return this.href;
  }

  #canHaveUser(): boolean {
    const { host, scheme } = this.#record;
    return host !== null && host !== '' && scheme !== 'file';
  }

  #setHost(value: string): void {
    if (typeof this.#record.path === 'string') return;
    const name = /^[^/\\?#]*/.exec(value.replace(/[\t\n\r]/g, ''))?.[0] ?? '';
    const changed = { ...this.#record };
    if (!name.includes('@') && setHostAndPort(name, changed)) this.#record = changed;
  }
}

function parse(text: string, base: string | URL | undefined): UrlRecord {
  const baseRecord = base === undefined ? null : parseUrl(String(base), null);
  const record = base !== undefined && baseRecord === null ? null : parseUrl(text, baseRecord);
  if (record === null) throw new TypeError(`Invalid URL: ${text.slice(0, 200)}`);
  return record;
}
