import type { CommandRow } from './command-table.js';

const NAME = { type: 'string', describe: 'name of an installed capsule' } as const;

/** Settings and secrets of a capsule, below `astrid capsule`. */
export const CAPSULE_CONFIG_COMMANDS: readonly CommandRow[] = [
  {
    syntax: 'config <name>',
    summary: 'show or change the settings of a capsule',
    options: {
      set: { type: 'string', array: true, requiresArg: true, describe: 'KEY=VALUE; may be given many times' },
      unset: { type: 'string', array: true, requiresArg: true, describe: 'KEY: back to its default' },
    },
    positionals: { name: NAME },
    load: async () => (await import('./commands/capsule-config.js')).runCapsuleConfig,
  },
  {
    syntax: 'secret <name> <key>',
    summary: 'keep a secret, from standard input or a hidden prompt',
    options: { remove: { type: 'boolean', describe: 'forget it' } },
    positionals: { name: NAME, key: { type: 'string', describe: 'name of the secret' } },
    load: async () => (await import('./commands/capsule-config.js')).runCapsuleSecret,
  },
];
