import type { PositionalOptions } from 'yargs';
import type { CommandRow } from './command-table.js';

const DIR: PositionalOptions = { type: 'string', describe: 'directory of the capsule [the current one]' };

/** The commands of `astrid capsule` for people who write one. */
export const CAPSULE_AUTHOR_COMMANDS: readonly CommandRow[] = [
  {
    syntax: 'new <name>',
    summary: 'make a directory with a capsule that builds and a test that passes',
    options: {
      template: {
        type: 'string',
        requiresArg: true,
        describe: 'tool, provider, orchestrator, uplink, interceptor or as (AssemblyScript) [tool]',
      },
    },
    positionals: { name: { type: 'string', describe: 'name of the capsule and of the directory' } },
    load: async () => (await import('./author/commands/new.js')).runCapsuleNew,
  },
  {
    syntax: 'dev [dir]',
    summary: 'watch, rebuild and swap the capsule in the running system; follow its log',
    options: {
      once: { type: 'boolean', describe: 'build and swap once, then exit' },
      accept: { type: 'boolean', describe: 'agree to what the manifest asks for, also when it asks for more' },
    },
    positionals: { dir: DIR },
    load: async () => (await import('./author/commands/dev.js')).runCapsuleDev,
  },
  {
    syntax: 'test [dir]',
    summary: "run the capsule's *.test.ts against a real worker and a kernel of their own",
    options: { only: { type: 'string', requiresArg: true, describe: 'only test files whose path contains this text' } },
    positionals: { dir: DIR },
    load: async () => (await import('./author/commands/test.js')).runCapsuleTest,
  },
  {
    syntax: 'check [dir]',
    summary: 'hold the manifest against the code: asked but unused, used but not asked',
    options: { strict: { type: 'boolean', describe: 'exit 1 for warnings, too' } },
    positionals: { dir: DIR },
    load: async () => (await import('./author/commands/check.js')).runCapsuleCheck,
  },
  {
    syntax: 'build [dir]',
    summary: 'one module, the same bytes for the same source; as astrid build',
    options: {
      out: {
        type: 'string',
        alias: 'o',
        requiresArg: true,
        describe: 'where the result goes [dist beside the capsule]',
      },
    },
    positionals: { dir: DIR },
    load: async () => (await import('./commands/build.js')).runBuild,
  },
  {
    syntax: 'pack [dir]',
    summary: 'one .capsule file to give away; builds what is not built; the same input gives the same bytes',
    options: { out: { type: 'string', alias: 'o', requiresArg: true, describe: 'the file [NAME-VERSION.capsule]' } },
    positionals: { dir: DIR },
    load: async () => (await import('./capsule/pack-command.js')).runCapsulePack,
  },
];
