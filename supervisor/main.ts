import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { pino } from 'pino';
import { asFault } from '../abi/errno.js';
import { bootKernel, type Kernel } from './boot.js';
import { OwnLog } from './own-log.js';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const EXIT_FAILED = 1;
/** After this long an orderly stop is given up: whatever hangs must not keep the machine. */
const STOP_MS_MAX = 20_000;
/** The last lines wait so long for their reader. */
const LOG_FLUSH_MS = 500;

process.umask(0o077);
const { values } = parseArgs({
  options: {
    home: { type: 'string', default: process.env['ASTRID_HOME'] || join(homedir(), '.astrid') },
    builtins: { type: 'string', default: join(HERE, '../capsules') },
  },
});
const LOG_FILE = { path: join(values.home, 'var/supervisor.log') };
const ownLog = new OwnLog(1, LOG_FILE);
const logger = pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime }, ownLog);
const { version } = JSON.parse(readFileSync(join(HERE, '../../package.json'), 'utf8')) as { version: string };

let kernel: Kernel | null = null;
let stopping = false;

async function stop(why: string, exitCode = 0): Promise<void> {
  if (stopping) return;
  stopping = true;
  // Armed before anything else. By a signal: an exit waits for threads, and one of them may be what hangs.
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), STOP_MS_MAX).unref();
  logger.info({ why }, 'stopping');
  await kernel?.stop();
  logger.info('stopped');
  await end(exitCode);
}

/**
 * The home was removed, and with it the log that this would be told in. Where another home is in its place by now, nothing is
 * undone: its socket, marker and checkpoint have the names of ours. The processes below end with this one.
 */
async function endLost(why: string, how: 'gone' | 'replaced'): Promise<void> {
  const stderr = new OwnLog(2, LOG_FILE);
  stderr.write(`astrid supervisor ${process.pid}: ${why}; ending\n`);
  await stderr.flush(LOG_FLUSH_MS);
  logger.error({ reason: why }, 'home lost');
  await (how === 'gone' ? stop(why, EXIT_FAILED) : end(EXIT_FAILED));
}

async function end(exitCode: number): Promise<never> {
  await ownLog.flush(LOG_FLUSH_MS);
  process.exit(exitCode);
}

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => void stop(signal));
// A mistake of ours must not leave capsules running without their kernel: say it, walk back, start again from outside.
process.on('uncaughtException', (error) => {
  logger.fatal({ reason: error.message, stack: error.stack }, 'uncaught');
  void stop('uncaught exception', EXIT_FAILED);
});
process.on('unhandledRejection', (reason) => {
  logger.fatal({ reason: asFault(reason).message, stack: asFault(reason).stack }, 'unhandled rejection');
  void stop('unhandled rejection', EXIT_FAILED);
});

try {
  kernel = await bootKernel({
    home: values.home,
    version,
    builtins: values.builtins,
    workerBundle: join(HERE, '../worker/worker.bundle.mjs'),
    searchPath: process.env['PATH'] ?? '/usr/bin:/bin',
    logger,
    requestStop: (why, lost) => void setImmediate(() => void (lost === undefined ? stop(why) : endLost(why, lost))),
  });
} catch (error) {
  const { code, message } = asFault(error);
  logger.fatal({ code, reason: message }, 'boot failed');
  await end(EXIT_FAILED);
}
