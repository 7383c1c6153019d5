import { Socket } from 'node:net';
import { parseArgs } from 'node:util';
import { asFault, type Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { FrameConnection } from '../../bus/connection.js';
import { closeInheritedFiles } from '../../bus/inherited-files.js';
import { preparePrivateDirectory } from '../private-files/directory.js';
import { openLogKey } from './key-file.js';
import { takeLock } from './lock.js';
import { AuditLog, type OpenedLog } from './log.js';
import { listSegments } from './recovery.js';
import { AuditorService } from './service.js';

/**
 * The auditor: the one process that appends to the log and holds its key. It talks on fd 3 and lives as long as fd 3 does:
 * when the supervisor is gone, it finishes what it received and ends. Signals that a terminal or a service manager sends to the
 * whole group are ignored, so that what the supervisor does while it stops is still logged; SIGKILL is safe at any moment.
 *
 * Exit codes: 0 after fd 3 closed, 1 refused or a broken protocol, 2 wrong arguments.
 */
const SUPERVISOR_FD = 3;

interface Arguments {
  readonly logDir: string;
  readonly keyPath: string;
  readonly pubPath: string;
  readonly origin: string;
}

function readArguments(argv: readonly string[]): Arguments {
  const text = { type: 'string' } as const;
  const options = { 'log-dir': text, key: text, pub: text, origin: text };
  const { values } = parseArgs({ args: [...argv], options });
  const need = (name: keyof typeof values): string => {
    const value = values[name];
    if (value === undefined || value === '') throw new Error(`--${name} is missing`);
    return value;
  };
  return { logDir: need('log-dir'), keyPath: need('key'), pubPath: need('pub'), origin: need('origin') };
}

async function openLog(paths: Arguments, known: string | null): Promise<OpenedLog> {
  await preparePrivateDirectory(paths.logDir);
  takeLock(paths.logDir);
  const key = await openLogKey(paths, listSegments(paths.logDir).length === 0);
  return AuditLog.open({ directory: paths.logDir, key }, known);
}

function serve(paths: Arguments): void {
  const connection = new FrameConnection(new Socket({ fd: SUPERVISOR_FD }), {
    frameBytesMax: LIMITS.auditFrameBytesMax,
  });
  const fail = (fault: Fault): void => {
    process.stderr.write(`auditor: ${fault.code}: ${fault.message}\n`);
    process.exitCode = 1;
    connection.close();
  };
  const service = new AuditorService({
    open: (known) => openLog(paths, known),
    send: (message) => connection.send(message),
    fail,
  });
  connection.onFrame((value) => service.take(value));
  connection.onClose((fault) => {
    if (fault !== null) process.exitCode = 1;
    service.close().then(
      () => process.exit(),
      (thrown) => {
        process.stderr.write(`auditor: ${asFault(thrown).message}\n`);
        process.exit(1);
      },
    );
  });
}

process.umask(0o077);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
try {
  closeInheritedFiles(SUPERVISOR_FD);
  serve(readArguments(process.argv.slice(2)));
} catch (thrown) {
  process.stderr.write(`auditor: ${asFault(thrown).message}\n`);
  process.exit(2);
}
