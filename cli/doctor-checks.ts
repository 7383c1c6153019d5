import { asFault } from '../abi/errno.js';
import { formatBytes } from './view/human.js';

/** What the checks look at. Handed in, so that a test can be another machine. */
export interface Machine {
  readonly platform: string;
  readonly nodeVersion: string;
  readonly homePath: string;
  /** Text of a file, or null when it cannot be read. */
  readonly readText: (path: string) => Promise<string | null>;
  /** Exit code and first line of a program's output; null when it cannot be started. */
  readonly run: (
    file: string,
    args: readonly string[],
  ) => Promise<{ readonly code: number; readonly line: string } | null>;
  readonly canWrite: (path: string) => Promise<boolean>;
  readonly freeBytes: (path: string) => Promise<number | null>;
  /** Null: the home is fine, or is not there yet; else what is wrong with it. */
  readonly homeFault: () => Promise<string | null>;
  /** Throws Fault when one may run and cannot be asked. */
  readonly supervisor: () => Promise<string>;
}

/** `missing`: something does not work without it. `wrong`: it is there and cannot be used as it is. `limited`: it works with less. */
export type CheckState = 'ok' | 'missing' | 'wrong' | 'limited';

export interface CheckRow {
  readonly check: string;
  readonly state: CheckState;
  readonly found: string;
  /** What to do; empty when there is nothing to do. */
  readonly advice: string;
}

type Check = (machine: Machine) => Promise<CheckRow>;

const NODE_MAJOR_MIN = 20;
const NODE_MINOR_MIN = 19;
const FREE_BYTES_MIN = 512 * 1024 * 1024;
const SOCKET_PATH_BYTES_MAX = 103;

const ok = (check: string, found: string): CheckRow => ({ check, state: 'ok', found, advice: '' });
const missing = (check: string, found: string, advice: string): CheckRow => ({
  check,
  state: 'missing',
  found,
  advice,
});
const wrong = (check: string, found: string, advice: string): CheckRow => ({ check, state: 'wrong', found, advice });
const limited = (check: string, found: string, advice: string): CheckRow => ({
  check,
  state: 'limited',
  found,
  advice,
});

const checkNode: Check = async ({ nodeVersion }) => {
  const [major = 0, minor = 0] = nodeVersion.replace(/^v/, '').split('.').map(Number);
  const enough = major > NODE_MAJOR_MIN || (major === NODE_MAJOR_MIN && minor >= NODE_MINOR_MIN);
  if (enough) return ok('node', nodeVersion);
  return missing('node', nodeVersion, `install Node ${NODE_MAJOR_MIN}.${NODE_MINOR_MIN} or newer`);
};

const checkBubblewrap: Check = async (machine) => {
  const found = await machine.run('bwrap', ['--version']);
  if (found !== null && found.code === 0) return ok('bubblewrap', found.line);
  const advice = 'install the package bubblewrap; without it only first-party capsules (tier process) start';
  return missing('bubblewrap', 'not found', advice);
};

/** The one proof that a jail can be made is to make one. */
const checkNamespaces: Check = async (machine) => {
  const made = await machine.run('bwrap', ['--unshare-all', '--ro-bind', '/', '/', '--', '/bin/true']);
  if (made === null) return missing('namespaces', 'not tried: no bubblewrap', 'install the package bubblewrap');
  if (made.code === 0) return ok('namespaces', 'a jail can be made');
  const restricted = await machine.readText('/proc/sys/kernel/apparmor_restrict_unprivileged_userns');
  if (restricted?.trim() === '1') {
    const advice =
      'give bwrap an AppArmor profile with userns, or: sysctl kernel.apparmor_restrict_unprivileged_userns=0';
    return missing('namespaces', 'AppArmor restricts user namespaces', advice);
  }
  const cloned = await machine.readText('/proc/sys/kernel/unprivileged_userns_clone');
  if (cloned?.trim() === '0') {
    return missing('namespaces', 'user namespaces are off', 'sysctl kernel.unprivileged_userns_clone=1');
  }
  const most = await machine.readText('/proc/sys/user/max_user_namespaces');
  if (most?.trim() === '0')
    return missing('namespaces', 'no user namespace allowed', 'sysctl user.max_user_namespaces=10000');
  return missing(
    'namespaces',
    made.line || `bwrap ended with ${made.code}`,
    'a container needs to permit user namespaces',
  );
};

const checkPrlimit: Check = async (machine) => {
  const found = await machine.run('prlimit', ['--version']);
  if (found !== null && found.code === 0) return ok('prlimit', found.line);
  return missing('prlimit', 'not found', 'install the package util-linux');
};

const checkCgroups: Check = async (machine) => {
  const fallback = 'memory is then watched by the supervisor instead; systemd: run in a unit with Delegate=yes';
  const controllers = await machine.readText('/sys/fs/cgroup/cgroup.controllers');
  if (controllers === null) {
    if (await machine.canWrite('/sys/fs/cgroup/memory')) return ok('cgroups', 'version 1, writable');
    return limited('cgroups', 'none that can be written', fallback);
  }
  const own = (await machine.readText('/proc/self/cgroup'))?.match(/^0::(\/.*)$/m)?.[1];
  const delegated = own !== undefined && (await machine.canWrite(`/sys/fs/cgroup${own}`));
  if (delegated && controllers.split(/\s+/).includes('memory')) return ok('cgroups', 'version 2, delegated');
  return limited('cgroups', 'version 2, not delegated', fallback);
};

const checkOverlay: Check = async (machine) => {
  const systems = await machine.readText('/proc/filesystems');
  if (systems !== null && /\boverlay$/m.test(systems)) return ok('kernel overlay', 'available');
  return limited('kernel overlay', 'not loaded', 'only native tools on the overlay need it: modprobe overlay');
};

const checkHome: Check = async (machine) => {
  const fault = await machine.homeFault();
  if (fault !== null) return wrong('home', fault, 'or use another one: --home, ASTRID_HOME');
  const socketBytes = Buffer.byteLength(`${machine.homePath}/run/system.sock`);
  if (socketBytes > SOCKET_PATH_BYTES_MAX) {
    return wrong('home', `${machine.homePath} is too long for a socket inside it`, 'use a shorter --home');
  }
  return ok('home', machine.homePath);
};

const checkSpace: Check = async (machine) => {
  const free = await machine.freeBytes(machine.homePath);
  if (free === null) return limited('disk space', 'unknown', '');
  if (free >= FREE_BYTES_MIN) return ok('disk space', `${formatBytes(free)} free`);
  return limited(
    'disk space',
    `${formatBytes(free)} free`,
    'a full disk stops the audit log, and with it every sensitive call',
  );
};

const checkSupervisor: Check = async (machine) => {
  if ((await machine.homeFault()) !== null) return limited('supervisor', 'not asked: the home cannot be used', '');
  try {
    return ok('supervisor', await machine.supervisor());
  } catch (error) {
    return wrong('supervisor', asFault(error).message, 'see var/supervisor.log in the home');
  }
};

const CHECKS: readonly Check[] = [
  checkNode,
  checkBubblewrap,
  checkNamespaces,
  checkPrlimit,
  checkCgroups,
  checkOverlay,
  checkHome,
  checkSpace,
  checkSupervisor,
];

/** Every check, in a fixed order. */
export async function examineMachine(machine: Machine): Promise<CheckRow[]> {
  return Promise.all(CHECKS.map((check) => check(machine)));
}
