import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import type { PolicyConfig } from '../config.js';
import { findBlock, trimDot } from '../host-names.js';
import { Glob } from './glob.js';
import { type Action, deny, type Layer, PASS, type Verdict } from './types.js';

/** Schemes of paths that rules can name (ABI reference 2.1). */
const PATH_FORM = /^(cwd|home|tmp):\/\//;
/** A segment that canonical paths do not have: a rule could be walked around through it. */
const UNCANONICAL = /(?:^|\/)(?:\.{0,2})(?:\/|$)|[\0\\]/;
/**
 * tmp is a directory of the home tree, so each file in it has two names: a rule on one must hold for the other.
 */
const TMP_IN_HOME = 'home://.local/tmp';

/**
 * The operator's hard blocks. They come before everything that can say yes: no token, approval or mode lifts one.
 */
export function makePolicyLayer(policy: PolicyConfig, foldsNames = namesFoldOn(process.platform)): Layer {
  const fold = foldsNames ? foldName : (text: string) => text;
  const paths = policy.denyPaths.map((pattern) => ({ pattern, glob: new Glob(fold(pattern)) }));
  const capsules = new Set(policy.denyCapsules);
  const actions = new Set(policy.denyActions);
  const judge = (action: Action): Verdict => {
    if (action.argBytes > policy.argumentBytesMax) {
      return block(
        `arguments of ${action.argBytes} bytes, at most ${policy.argumentBytesMax} are allowed`,
        'argument_bytes_max',
      );
    }
    if (capsules.size > 0 && capsules.has(action.capsule)) return block('this capsule is blocked', 'deny_capsules');
    if (actions.size > 0 && actions.has(action.name)) return block(`${action.name} is blocked`, 'deny_actions');
    if (policy.denyHosts.length > 0 && action.call.capability === 'net') {
      return judgeHost(action.resource, policy.denyHosts);
    }
    return paths.length === 0 ? PASS : judgePath(action.resource, paths, fold);
  };
  return { name: 'policy', judge };
}

/**
 * The same path rules for what acts on many paths at once and names none of them: a command over the workspace. Null when no
 * rule can hold for a path with this scheme.
 */
export function makePathRule(
  { denyPaths }: PolicyConfig,
  scheme: string,
  foldsNames = namesFoldOn(process.platform),
): ((path: { readonly display: string }) => boolean) | null {
  const fold = foldsNames ? foldName : (text: string) => text;
  const others = (pattern: string) => PATH_FORM.test(pattern) && !pattern.startsWith(scheme);
  const paths = denyPaths
    .filter((pattern) => !others(pattern))
    .map((pattern) => ({ pattern, glob: new Glob(fold(pattern)) }));
  return paths.length === 0 ? null : ({ display }) => judgePath(display, paths, fold) !== PASS;
}

function judgePath(
  resource: string,
  paths: readonly { pattern: string; glob: Glob }[],
  fold: (text: string) => string,
): Verdict {
  const scheme = PATH_FORM.exec(resource)?.[0];
  if (scheme === undefined) return PASS; // not a path: a topic, a key, a command
  const rest = resource.slice(scheme.length);
  if ((rest !== '' && UNCANONICAL.test(hideEscapes(rest))) || resource.length >= LIMITS.gateResourceCharsMax) {
    return block('the path is not in a form that the path rules can be checked against', 'deny_paths');
  }
  for (const name of namesOf(resource)) {
    const folded = fold(name);
    for (const { pattern, glob } of paths) {
      if (glob.matches(folded)) return block(`the path is blocked by "${pattern}"`, 'deny_paths');
    }
  }
  return PASS;
}

/** A request names its host itself (`GET https://example.org/`): where that leads is not asked for what is not sent. */
function judgeHost(resource: string, blocks: readonly string[]): Verdict {
  const address = resource.slice(resource.indexOf(' ') + 1);
  if (!URL.canParse(address))
    return block('the request names no host that the rules can be checked against', 'deny_hosts');
  const found = findBlock(blocks, trimDot(new URL(address).hostname));
  return found === null ? PASS : block(`the host is blocked by "${found}"`, 'deny_hosts');
}

/** A shown path escapes the backslash as two and other characters as `\u{…}`; a backslash beside those is not ours. */
function hideEscapes(path: string): string {
  return !path.includes('\\') ? path : path.replace(/\\\\|\\u\{[0-9a-f]{1,6}\}/g, '_');
}

function namesOf(resource: string): string[] {
  if (resource === TMP_IN_HOME || resource.startsWith(`${TMP_IN_HOME}/`)) {
    return [resource, `tmp://${resource.slice(TMP_IN_HOME.length + 1)}`];
  }
  if (!resource.startsWith('tmp://')) return [resource];
  const below = resource.slice('tmp://'.length);
  return [resource, below === '' ? TMP_IN_HOME : `${TMP_IN_HOME}/${below}`];
}

/** The guest learns which kind of rule it met, the log which rule. */
function block(reason: string, key: string): Verdict {
  const field = `policy.${key}`;
  const fault = new Fault('policy_denied', `the operator's policy forbids this (${field})`, { field });
  return deny('policy', fault, `${field}: ${reason}`);
}

/** Where the file system takes `Secret` and `secret`, or two forms of one accented letter, for the same file. */
function namesFoldOn(platform: NodeJS.Platform): boolean {
  return platform === 'darwin' || platform === 'win32';
}

function foldName(text: string): string {
  return text.normalize('NFC').toLowerCase().normalize('NFC');
}
