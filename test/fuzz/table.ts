import type { FuzzTarget } from './target.js';
import { ADDRESSES } from './targets/addresses.js';
import { ARCHIVES } from './targets/archives.js';
import { COMMANDS } from './targets/commands.js';
import { FRAMES } from './targets/frames.js';
import { MANIFESTS } from './targets/manifests.js';
import { MODULES } from './targets/modules.js';
import { PATHS } from './targets/paths.js';
import { SCHEDULES } from './targets/schedules.js';
import { SECRETS } from './targets/secrets.js';
import { TOPICS } from './targets/topics.js';

/** Whatever reads bytes or texts that an attacker may have written. */
export const TARGETS: ReadonlyMap<string, FuzzTarget> = new Map([
  ['frames', FRAMES],
  ['manifests', MANIFESTS],
  ['archives', ARCHIVES],
  ['addresses', ADDRESSES],
  ['topics', TOPICS],
  ['paths', PATHS],
  ['modules', MODULES],
  ['secrets', SECRETS],
  ['schedules', SCHEDULES],
  ['commands', COMMANDS],
]);
