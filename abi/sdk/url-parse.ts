import { ESCAPED, percentEncode } from './url-encode.js';
import { parseHost } from './url-host.js';

/** A URL in parts (URL standard, section 4.1). `path` is text when it is opaque (`mailto:…`). */
export interface UrlRecord {
  scheme: string;
  username: string;
  password: string;
  host: string | null;
  port: number | null;
  path: string[] | string;
  query: string | null;
  fragment: string | null;
}

const DEFAULT_PORTS: ReadonlyMap<string, number | null> = new Map([
  ['http', 80],
  ['https', 443],
  ['ws', 80],
  ['wss', 443],
  ['ftp', 21],
  ['file', null],
]);
const PORT_MAX = 65_535;
const DRIVE = /^[a-zA-Z][:|]$/;
const STARTS_WITH_DRIVE = /^[a-zA-Z][:|](?:[/\\?#]|$)/;

export const isSpecial = (scheme: string): boolean => DEFAULT_PORTS.has(scheme);

/** The standard's parser; null when the text is no URL. Written over whole components instead of one character at a time. */
export function parseUrl(input: string, base: UrlRecord | null): UrlRecord | null {
  const text = input.replace(/^[\0-\x20]+|[\0-\x20]+$/g, '').replace(/[\t\n\r]/g, '');
  const [, fragment] = splitAt(text, '#');
  const [rest] = splitAt(text, '#');
  const record = parseWithoutFragment(rest, base, fragment !== null);
  if (record === null) return null;
  record.fragment = fragment === null ? null : percentEncode(fragment, ESCAPED.fragment);
  return record;
}

function splitAt(text: string, mark: string): [string, string | null] {
  const at = text.indexOf(mark);
  return at === -1 ? [text, null] : [text.slice(0, at), text.slice(at + 1)];
}

function parseWithoutFragment(text: string, base: UrlRecord | null, hasFragment: boolean): UrlRecord | null {
  const scheme = /^([a-zA-Z][a-zA-Z0-9+.-]*):/.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined) {
    if (base === null) return null;
    if (typeof base.path === 'string') return text === '' && hasFragment ? { ...base } : null;
    return base.scheme === 'file' ? parseFile(text, base) : parseRelative(text, base);
  }
  const rest = text.slice(scheme.length + 1);
  if (scheme === 'file') return parseFile(rest, base?.scheme === 'file' ? base : null);
  const record = makeRecord(scheme);
  if (isSpecial(scheme)) {
    if (base?.scheme === scheme && !/^\/\//.test(rest)) return parseRelative(rest, base);
    return parseAuthority(rest.replace(/^[/\\]+/, ''), record);
  }
  if (rest.startsWith('//')) return parseAuthority(rest.slice(2), record);
  if (rest.startsWith('/')) return parsePathAndQuery(rest, record);
  const [path, query] = splitAt(rest, '?');
  record.path = percentEncode(path, ESCAPED.control);
  // Spaces at the end would be lost when the text is read again.
  if (/ $/.test(path)) record.path = record.path.replace(/ $/, '%20');
  record.query = query === null ? null : percentEncode(query, ESCAPED.query);
  return record;
}

export function makeRecord(scheme: string): UrlRecord {
  return { scheme, username: '', password: '', host: null, port: null, path: [], query: null, fragment: null };
}

function parseRelative(text: string, base: UrlRecord): UrlRecord | null {
  const slashes = isSpecial(base.scheme) ? /^[/\\]/ : /^\//;
  if (slashes.test(text)) {
    if (slashes.test(text.slice(1))) {
      const rest = text.slice(2);
      return parseAuthority(isSpecial(base.scheme) ? rest.replace(/^[/\\]+/, '') : rest, makeRecord(base.scheme));
    }
    return parsePathAndQuery(text, { ...base, path: [], query: null });
  }
  return parseOnBase(text, base, true);
}

function parseOnBase(text: string, base: UrlRecord, shortens: boolean): UrlRecord | null {
  const record: UrlRecord = { ...base, path: [...base.path], fragment: null };
  if (text === '') return record;
  record.query = null;
  if (text.startsWith('?')) return parsePathAndQuery(text, record, true);
  if (shortens) shorten(record);
  else record.path = [];
  return parsePathAndQuery(text, record);
}

function parseFile(text: string, base: UrlRecord | null): UrlRecord | null {
  const record: UrlRecord = { ...makeRecord('file'), host: '' };
  if (!/^[/\\]/.test(text)) {
    return base === null ? parsePathAndQuery(text, record) : parseOnBase(text, base, !STARTS_WITH_DRIVE.test(text));
  }
  if (/^[/\\]{2}/.test(text)) return parseFileHost(text.slice(2), record);
  if (base !== null) {
    record.host = base.host;
    const drive = base.path[0] ?? '';
    if (!STARTS_WITH_DRIVE.test(text.slice(1)) && /^[a-zA-Z]:$/.test(drive)) record.path = [drive];
  }
  return parsePathAndQuery(text, record);
}

function parseFileHost(text: string, record: UrlRecord): UrlRecord | null {
  const name = /^[^/\\?#]*/.exec(text)?.[0] ?? '';
  if (DRIVE.test(name)) return parsePathAndQuery(text, record);
  if (name !== '') {
    const host = parseHost(name, true);
    if (host === null) return null;
    record.host = host === 'localhost' ? '' : host;
  }
  return parsePathAndQuery(text.slice(name.length), record);
}

function parseAuthority(text: string, record: UrlRecord): UrlRecord | null {
  const end = isSpecial(record.scheme) ? /[/\\?]/ : /[/?]/;
  const at = text.search(end);
  const authority = at === -1 ? text : text.slice(0, at);
  const rest = at === -1 ? '' : text.slice(at);
  const sign = authority.lastIndexOf('@');
  if (sign !== -1) {
    const [username, password] = splitAt(authority.slice(0, sign), ':');
    record.username = percentEncode(username, ESCAPED.userinfo);
    record.password = percentEncode(password ?? '', ESCAPED.userinfo);
  }
  const hostAndPort = authority.slice(sign + 1);
  if (sign !== -1 && hostAndPort === '') return null;
  return setHostAndPort(hostAndPort, record) ? parsePathAndQuery(rest, record) : null;
}

/** False when one of the two is none. */
export function setHostAndPort(text: string, record: UrlRecord): boolean {
  const [, name = '', port] = /^(\[[^\]]*\]?[^:]*|[^:]*)(?::(.*))?$/s.exec(text) ?? [];
  const special = isSpecial(record.scheme);
  if (name === '' && (special || port !== undefined)) return false;
  const host = parseHost(name, special);
  if (host === null) return false;
  if (port !== undefined && !setPort(port, record)) return false;
  record.host = host;
  return true;
}

export function setPort(text: string, record: UrlRecord): boolean {
  if (!/^\d*$/.test(text) || Number(text) > PORT_MAX) return false;
  const port = text === '' ? null : Number(text);
  record.port = port === DEFAULT_PORTS.get(record.scheme) ? null : port;
  return true;
}

/** From the path's start; the path so far is what it is appended to. */
function parsePathAndQuery(text: string, record: UrlRecord, queryOnly = false): UrlRecord {
  const [path, query] = splitAt(text, '?');
  if (query !== null) {
    record.query = percentEncode(query, isSpecial(record.scheme) ? ESCAPED.specialQuery : ESCAPED.query);
  }
  if (!queryOnly) appendPath(path, record);
  return record;
}

export function appendPath(text: string, record: UrlRecord): void {
  const path = record.path as string[];
  const special = isSpecial(record.scheme);
  if (text === '' && !special) return;
  const separator = special ? /[/\\]/ : /\//;
  const segments = (separator.test(text[0] ?? '') ? text.slice(1) : text).split(separator);
  for (const [index, raw] of segments.entries()) {
    const isLast = index === segments.length - 1;
    const dots = raw.replace(/%2e/gi, '.');
    if (dots === '..') shorten(record);
    if (dots === '.' || dots === '..') {
      if (isLast) path.push('');
      continue;
    }
    const isDrive = record.scheme === 'file' && path.length === 0 && DRIVE.test(raw);
    path.push(isDrive ? `${raw[0]}:` : percentEncode(raw, ESCAPED.path));
  }
}

/** Removes the last segment; a drive letter of a file URL stays. */
function shorten(record: UrlRecord): void {
  const path = record.path as string[];
  if (record.scheme === 'file' && path.length === 1 && /^[a-zA-Z]:$/.test(path[0] ?? '')) return;
  path.pop();
}

export function showPath({ path }: UrlRecord): string {
  return typeof path === 'string' ? path : path.map((segment) => `/${segment}`).join('');
}

export function showUrl(record: UrlRecord): string {
  const { scheme, username, password, host, port, path, query, fragment } = record;
  let out = `${scheme}:`;
  if (host !== null) {
    const secret = password === '' ? '' : `:${password}`;
    const user = username === '' && password === '' ? '' : `${username}${secret}@`;
    out += `//${user}${host}${port === null ? '' : `:${port}`}`;
  } else if (typeof path !== 'string' && path.length > 1 && path[0] === '') out += '/.';
  out += showPath(record);
  if (query !== null) out += `?${query}`;
  return fragment === null ? out : `${out}#${fragment}`;
}
