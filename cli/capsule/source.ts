import { isAbsolute, resolve } from 'node:path';
import semver from 'semver';
import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';

/** Where a capsule comes from, as it was understood. `text` is its one spelling: what is shown, kept and fetched again. */
export type CapsuleSourceSpec =
  | { readonly kind: 'path'; readonly text: string; readonly path: string }
  | { readonly kind: 'url'; readonly text: string; readonly url: URL }
  | { readonly kind: 'npm'; readonly text: string; readonly name: string; readonly range: string | null }
  | {
      readonly kind: 'git';
      readonly text: string;
      readonly url: string;
      readonly protocol: 'https' | 'ssh' | 'file';
      readonly ref: string;
    };

export interface SourceOptions {
  readonly cwd: string;
  /** Allows plain http, to this machine alone. */
  readonly insecureLocal: boolean;
}

const EXPECTED =
  'a directory, a .capsule file, an https URL of one, npm:NAME[@RANGE], or git+https:, git+ssh:, git+file: with #REF';

const NPM_NAME = /^(?:@[a-z0-9~][a-z0-9._~-]*\/)?[a-z0-9~][a-z0-9._~-]*$/;
const NPM_NAME_CHARS_MAX = 214;
const NPM_TAG = /^[A-Za-z][A-Za-z0-9._-]{0,63}$/;
/** A branch, a tag or a commit. No colon, plus, tilde or caret: those would make it something else to git. */
const GIT_REF = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$/;
const HOST = /^(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.|$))+$|^\[[0-9a-f:]+\]$/;
const GIT_PATH = /^\/[A-Za-z0-9._~/+@-]*$/;

function wrong(text: string, why: string): Fault {
  return new Fault('invalid_argument', `source: ${why}; got ${JSON.stringify(text.slice(0, 200))}`, {
    field: 'source',
  });
}

/**
 * Reads what a person typed, or what was written down at an install. Whatever could be an option, a second argument or
 * another protocol to the programs that fetch it is refused here, before they see it.
 * @throws Fault `invalid_argument`, field `source`
 */
export function parseSource(text: string, options: SourceOptions): CapsuleSourceSpec {
  if (text === '' || text.length > LIMITS.sourceCharsMax || /[\x00-\x1f\x7f-\x9f]/.test(text)) {
    throw wrong(text, `expected ${EXPECTED}`);
  }
  if (text.startsWith('npm:')) return parseNpm(text);
  if (text.startsWith('git+')) return parseGit(text);
  if (/^https?:/i.test(text)) return parseUrl(text, options.insecureLocal);
  const path = text.startsWith('path:') ? text.slice('path:'.length) : text;
  if (/^[A-Za-z][A-Za-z0-9+.-]*:\/\//.test(path) || path === '') throw wrong(text, `expected ${EXPECTED}`);
  const absolute = isAbsolute(path) ? resolve(path) : resolve(options.cwd, path);
  return { kind: 'path', text: `path:${absolute}`, path: absolute };
}

function parseNpm(text: string): CapsuleSourceSpec {
  const [, name = '', range] = /^npm:(@?[^@]*)(?:@(.*))?$/.exec(text) ?? [];
  if (!NPM_NAME.test(name) || name.length > NPM_NAME_CHARS_MAX) {
    throw wrong(text, 'expected the name of an npm package, in small letters, with or without a scope');
  }
  if (range === undefined) return { kind: 'npm', text: `npm:${name}`, name, range: null };
  // npm takes an address, a path or another package's name where a version belongs: only versions and tags get there.
  const isRange = /^[0-9A-Za-z.^~<>=|*+ -]+$/.test(range) && semver.validRange(range) !== null;
  if (!isRange && !NPM_TAG.test(range)) throw wrong(text, 'expected a version, a range or a tag behind the @');
  return { kind: 'npm', text: `npm:${name}@${range}`, name, range };
}

function parseUrl(text: string, insecureLocal: boolean): CapsuleSourceSpec {
  const url = readUrl(text, text);
  requirePlain(url, text);
  if (url.protocol === 'http:' && !(insecureLocal && isLoopbackName(url.hostname))) {
    throw wrong(text, 'expected https; plain http is for this machine alone, with --insecure-local');
  }
  url.hash = '';
  return { kind: 'url', text: url.href, url };
}

export function isLoopbackName(host: string): boolean {
  return host === 'localhost' || host === '127.0.0.1' || host === '[::1]';
}

function parseGit(text: string): CapsuleSourceSpec {
  const url = readUrl(text.slice('git+'.length), text);
  const protocol = { 'https:': 'https', 'ssh:': 'ssh', 'file:': 'file' }[url.protocol];
  if (protocol !== 'https' && protocol !== 'ssh' && protocol !== 'file') {
    throw wrong(text, 'expected git+https:, git+ssh: or git+file:');
  }
  const ref = url.hash === '' ? 'HEAD' : url.hash.slice(1);
  if (!GIT_REF.test(ref) || ref.includes('..') || ref.includes('//') || ref.endsWith('.lock')) {
    throw wrong(text, 'expected a branch, tag or commit behind the #');
  }
  if (protocol !== 'ssh') requirePlain(url, text);
  const odd = url.password !== '' || url.search !== '' || !/^[A-Za-z0-9._-]*$/.test(url.username);
  // A host or user that begins with a dash is an option to ssh.
  if (odd || url.username.startsWith('-') || !GIT_PATH.test(url.pathname))
    throw wrong(text, 'expected a plain address');
  if (protocol === 'file' ? url.host !== '' : !HOST.test(url.hostname)) throw wrong(text, 'expected a plain host');
  url.hash = '';
  return { kind: 'git', text: `git+${url.href}#${ref}`, url: url.href, protocol, ref };
}

function readUrl(address: string, text: string): URL {
  try {
    return new URL(address);
  } catch {
    throw wrong(text, `expected ${EXPECTED}`);
  }
}

/** What is written down and shown must not hold a password. */
function requirePlain(url: URL, text: string): void {
  if (url.username === '' && url.password === '') return;
  const without = `${url.protocol}//…@${url.host}`;
  throw wrong(text === '' ? '' : without, 'expected no user name and no password in the address');
}
