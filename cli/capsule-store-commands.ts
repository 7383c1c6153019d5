import type { Options, PositionalOptions } from 'yargs';
import type { CommandRow } from './command-table.js';
import { PRESET_OPTIONS } from './elicit-prompt.js';

const YES: Options = { type: 'boolean', describe: 'consent to exactly what is shown' };
const DOWNGRADE: Options = { type: 'boolean', describe: 'accept a version older than the installed one' };
const LOCAL: Options = { type: 'boolean', describe: 'accept plain http from this machine' };
const NAME: PositionalOptions = { type: 'string', describe: 'name of an installed capsule' };
const SOURCE: PositionalOptions = {
  type: 'string',
  describe: 'a directory, a .capsule file, its https URL, npm:NAME[@RANGE], git+https://…[#REF]',
};

/** Installing, upgrading, removing and looking at capsules. */
export const CAPSULE_STORE_COMMANDS: readonly CommandRow[] = [
  {
    syntax: 'install <source>',
    summary: 'show what a capsule asks for, then install it',
    options: { yes: YES, 'allow-downgrade': DOWNGRADE, 'insecure-local': LOCAL, ...PRESET_OPTIONS },
    positionals: { source: SOURCE },
    load: async () => (await import('./capsule/install-command.js')).runCapsuleInstall,
  },
  {
    syntax: 'update [name]',
    summary: 'fetch again from where it came from; asks when it wants more than before',
    options: { yes: YES, 'allow-downgrade': DOWNGRADE, 'insecure-local': LOCAL, ...PRESET_OPTIONS },
    positionals: { name: NAME },
    load: async () => (await import('./capsule/install-command.js')).runCapsuleUpdate,
  },
  {
    syntax: 'remove <name>',
    summary: 'end and remove a capsule that no other needs, with its secrets, settings and timers',
    options: { purge: { type: 'boolean', describe: 'what it stored goes, too, also if it is removed already' } },
    positionals: { name: NAME },
    load: async () => (await import('./capsule/list-commands.js')).runCapsuleRemove,
  },
  {
    syntax: ['list', '$0'],
    summary: 'what is installed',
    load: async () => (await import('./capsule/list-commands.js')).runCapsuleList,
  },
  {
    syntax: 'tree',
    summary: 'who exports what to whom',
    load: async () => (await import('./capsule/list-commands.js')).runCapsuleTree,
  },
  {
    syntax: 'inspect <target>',
    summary: 'everything about a capsule: manifest explained, module, permissions',
    options: { 'insecure-local': LOCAL },
    positionals: {
      target: { ...SOURCE, describe: 'name of an installed capsule, or a source (a directory as ./DIR)' },
    },
    load: async () => (await import('./capsule/list-commands.js')).runCapsuleInspect,
  },
  {
    syntax: 'verify [name]',
    summary: 'compare what is installed with its hashes',
    positionals: { name: NAME },
    load: async () => (await import('./capsule/list-commands.js')).runCapsuleVerify,
  },
  {
    syntax: 'gc',
    summary: 'modules that nothing refers to: shows them, removes them with --yes',
    options: { yes: { type: 'boolean', describe: 'remove them' } },
    load: async () => (await import('./capsule/list-commands.js')).runCapsuleGc,
  },
];
