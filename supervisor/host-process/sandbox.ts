import { LIMITS } from '../../abi/limits.js';

/** A program and its arguments, as they are given to execve(2). Never a line for a shell. */
export type Argv = readonly string[];

/** Programs that a command is started with; all but bubblewrap are of util-linux. */
export interface SandboxTools {
  readonly bwrap: string;
  readonly prlimit: string;
  readonly setpriv: string;
}

/** Where a command's name is looked for, inside the sandbox. */
const INNER_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** Where `unshare`, `mount` and the shell of the script below are looked for. Nothing of a workspace is in it. */
export const OUTER_ENV: Readonly<Record<string, string>> = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };

/** Descriptors of the script: the supervisor's channel, then the two layers (4 and 5) that the paths must lead to. */
export const CHANNEL_FD = 3;
export const BELOW_FD = 5;

/**
 * Runs in a mount namespace of its own and makes the view there; constant text, every value is an argument. The two layers
 * are mounted by path, so each is compared with the directory that the supervisor holds open. The overlay's options name
 * directories relative to here: no path is glued into them. Root owns the machine's device nodes in every namespace, so it
 * gets them from a mount that lets them be used and not be changed. When the command has ended, the view stays until the
 * supervisor has looked at it and closes the channel.
 */
const VIEW_SCRIPT = `
set -eu
workspace=$1 layer=$2 below=$3 uid=$4
shift 4
read -r go <&3
[ "$go" = go ]
cd -- "$layer"
mount --bind -- "$workspace" lower
mount --bind -- "$below" below
[ lower -ef /proc/self/fd/4 ] || exit 70
[ below -ef /proc/self/fd/5 ] || exit 70
exec 4<&- 5<&-
if [ "$uid" = 0 ]; then
  mount --bind /dev /dev
  mount -o remount,bind,ro /dev
fi
mount -i -t overlay -o lowerdir=below:lower,upperdir=upper,workdir=work,userxattr -- astrid "$workspace"
cd -- "$workspace"
echo mounted >&3
unset PWD OLDPWD
code=0
"$@" || code=$?
echo "ended $code" >&3
read -r done <&3 || :
`;

/** One option of the sandbox, with what it takes away or gives. */
interface SandboxRule {
  readonly args: readonly string[];
  readonly why: string;
}

const BEFORE_BINDS: readonly SandboxRule[] = [
  { args: ['--unshare-user'], why: 'no rights over anything outside, even as root' },
  { args: ['--disable-userns'], why: 'no further namespace, and with it no mount, no capability' },
  { args: ['--unshare-ipc'], why: 'no shared memory or semaphores of others' },
  { args: ['--unshare-pid'], why: 'no other process can be seen or signalled, and none survives' },
  { args: ['--unshare-uts'], why: 'no host name' },
  { args: ['--unshare-cgroup-try'], why: 'no view of the control groups' },
  { args: ['--cap-drop', 'ALL'], why: 'no capability inside the namespace either' },
  { args: ['--new-session'], why: 'no terminal to push characters into' },
  { args: ['--die-with-parent'], why: 'the command does not outlive the script, nor that the supervisor' },
  { args: ['--clearenv'], why: 'no environment' },
  {
    args: ['--json-status-fd', String(CHANNEL_FD)],
    why: 'the pid of the namespace, to signal it and to wait for its end',
  },
];

const INNER_ENV: Readonly<Record<string, string>> = { PATH: INNER_PATH, HOME: '/tmp', LANG: 'C.UTF-8', TERM: 'dumb' };

/**
 * What programs need of /etc. No account's secret: as root, the sandbox could read them. `resolv.conf` and `hosts` say
 * nothing that a command without network could use.
 */
const ETC: readonly string[] = [
  'alternatives',
  'ca-certificates',
  'gai.conf',
  'group',
  'host.conf',
  'hosts',
  'ld.so.cache',
  'ld.so.conf',
  'ld.so.conf.d',
  'localtime',
  'mime.types',
  'nsswitch.conf',
  'os-release',
  'passwd',
  'pki/ca-trust',
  'pki/tls/certs',
  'protocols',
  'resolv.conf',
  'services',
  'ssl/cert.pem',
  'ssl/certs',
  'ssl/openssl.cnf',
  'terminfo',
  'timezone',
];

/** Bound read-only where they are directories; on most systems all but /usr are links into it. */
export const SYSTEM_DIRS: readonly string[] = ['/usr', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32'];
/** Made inside; a workspace must not be one of them or hold one. */
export const MADE_DIRS: readonly string[] = ['/proc', '/dev', '/etc', '/tmp'];

/** Resource limits, as options of prlimit. The kernel does not hold root to `nproc`: there a control group does (tasks-group.ts). */
const RLIMITS: Readonly<Record<string, number>> = {
  core: LIMITS.coreBytesMax,
  nofile: LIMITS.processOpenFilesMax,
  nproc: LIMITS.processTasksMax,
  cpu: LIMITS.processCpuSecondsMax,
  data: LIMITS.processDataBytesMax,
  fsize: LIMITS.processFileBytesMax,
};

/** An entry of the workspace that the command sees as an empty directory, or as a file that cannot be opened. */
export interface HiddenPath {
  readonly path: string;
  readonly isDirectory: boolean;
}

export interface SandboxSpec {
  readonly workspace: string;
  readonly hidden: readonly HiddenPath[];
  readonly network: boolean;
  /** Of the system directories: what it links to, or null for a directory of its own. Missing ones are not in it. */
  readonly systemDirs: ReadonlyMap<string, string | null>;
  readonly uid: number;
  readonly gid: number;
}

export interface ViewPaths {
  readonly workspace: string;
  /** Of this command: its upper layer and the mount points. */
  readonly layer: string;
  /** The session's own upper layer, which is below. */
  readonly below: string;
}

/** The whole command line: namespace, script, limits, bubblewrap, command. */
export function commandLine(tools: SandboxTools, paths: ViewPaths, spec: SandboxSpec, argv: Argv): Argv {
  const root = spec.uid === 0;
  return [
    // Kept across the exec of unshare; set again in the namespace, whose credentials are new.
    ...([tools.setpriv, '--pdeathsig', 'KILL', '--'] as const),
    // Root needs no namespace of users to mount, and in one it could not copy up what belongs to others.
    ...['unshare', ...(root ? [] : ['--user', '--map-root-user']), '--mount', '--propagation', 'private', '--'],
    ...[tools.setpriv, '--pdeathsig', 'KILL', '--'],
    ...['/bin/sh', '-c', VIEW_SCRIPT, 'astrid-view', paths.workspace, paths.layer, paths.below],
    String(spec.uid),
    ...[tools.prlimit, ...Object.entries(RLIMITS).map(([name, value]) => `--${name}=${value}:${value}`), '--'],
    ...[tools.bwrap, ...sandboxArguments(spec), '--', ...argv],
  ];
}

function sandboxArguments(spec: SandboxSpec): string[] {
  const { workspace, hidden } = spec;
  const readOnly = (...paths: readonly string[]) => paths.flatMap((path) => ['--remount-ro', path]);
  const tmpfs = (path: string) => ['--size', String(LIMITS.processTmpBytesMax), '--tmpfs', path];
  const system = [...spec.systemDirs].flatMap(([path, target]) =>
    target === null ? ['--ro-bind', path, path] : ['--symlink', target, path],
  );
  return [
    ...BEFORE_BINDS.flatMap(({ args }) => args),
    ...(spec.network ? [] : ['--unshare-net']),
    ...['--uid', String(spec.uid), '--gid', String(spec.gid)],
    ...Object.entries(INNER_ENV).flatMap(([name, value]) => ['--setenv', name, value]),
    ...system,
    ...ETC.flatMap((name) => ['--ro-bind-try', `/etc/${name}`, `/etc/${name}`]),
    // Root is root to the files of /proc/sys, whatever namespace it is in.
    ...['--proc', '/proc', ...readOnly('/proc')],
    ...['--dev', '/dev', ...tmpfs('/dev/shm'), ...readOnly('/dev')],
    ...tmpfs('/tmp'),
    ...['--bind', workspace, workspace],
    // A device on a mount without devices: it cannot be opened, and neither replaced nor removed while it is mounted over.
    ...hidden.flatMap(({ path, isDirectory }) =>
      isDirectory ? ['--tmpfs', path, ...readOnly(path)] : ['--ro-bind', '/dev/null', path],
    ),
    ...['--chdir', workspace, ...readOnly('/')],
  ];
}
