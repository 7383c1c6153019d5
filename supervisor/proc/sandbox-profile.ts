import { LIMITS } from '../../abi/limits.js';

/** One option of the jail, with what it takes away or gives. A test checks that each is there and needed. */
export interface SandboxRule {
  readonly args: readonly string[];
  readonly why: string;
}

/** Namespaces and rights. The order matters to bubblewrap: binds come after these, `--remount-ro /` after the binds. */
export const JAIL_RULES: readonly SandboxRule[] = [
  { args: ['--unshare-user'], why: 'no rights over anything outside, even as root' },
  { args: ['--unshare-ipc'], why: 'no shared memory or semaphores of others' },
  { args: ['--unshare-pid'], why: 'no other process can be seen or signalled' },
  { args: ['--unshare-net'], why: 'no network, not even loopback' },
  { args: ['--unshare-uts'], why: 'no host name' },
  { args: ['--unshare-cgroup-try'], why: 'no view of the control groups' },
  { args: ['--uid', '65534', '--gid', '65534'], why: 'nobody inside' },
  { args: ['--cap-drop', 'ALL'], why: 'no capability inside the namespace either' },
  { args: ['--new-session'], why: 'no terminal to push characters into' },
  { args: ['--die-with-parent'], why: 'the capsule does not outlive the supervisor' },
  { args: ['--clearenv'], why: 'no environment' },
];

/** No `--proc`: with it the guest could open the memory of the namespace's first process. No `--dev`: not needed. */
export const JAIL_AFTER_BINDS: readonly SandboxRule[] = [
  { args: ['--remount-ro', '/'], why: 'the root is a writable tmpfs otherwise' },
  { args: ['--chdir', '/'], why: 'a directory that exists' },
];

/** Resource limits that prlimit sets before the program starts, in its option names. */
export const RLIMITS: readonly { readonly name: string; readonly value: number; readonly why: string }[] = [
  { name: 'core', value: LIMITS.coreBytesMax, why: 'a core file holds the memory of the guest and its messages' },
  { name: 'nofile', value: LIMITS.openFilesMax, why: 'descriptors are a shared resource' },
  { name: 'fsize', value: 0, why: 'a worker writes no file at all' },
];

export interface JailPaths {
  readonly node: string;
  /** Shared libraries and the loader, as `ldd` names them. */
  readonly libraries: readonly string[];
  readonly workerBundle: string;
}

/** Where the worker's program lies inside the jail. */
export const JAIL_BUNDLE = '/astrid/worker.mjs';

/** Arguments for bubblewrap up to and without the program itself. */
export function jailArguments(paths: JailPaths): string[] {
  const binds = [...paths.libraries, paths.node].flatMap((path) => ['--ro-bind', path, path]);
  return [
    ...JAIL_RULES.flatMap((rule) => rule.args),
    ...binds,
    '--ro-bind',
    paths.workerBundle,
    JAIL_BUNDLE,
    ...JAIL_AFTER_BINDS.flatMap((rule) => rule.args),
    '--',
  ];
}

/** Arguments for prlimit, which then becomes the program that follows. */
export function rlimitArguments(): string[] {
  return [...RLIMITS.map(({ name, value }) => `--${name}=${value}:${value}`), '--'];
}
