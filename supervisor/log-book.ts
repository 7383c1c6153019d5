import { createWriteStream, mkdirSync, readdirSync, statSync, unlinkSync, type WriteStream } from 'node:fs';
import { join } from 'node:path';
import type { LogRow } from '../abi/control.js';
import { showHiddenInLine } from '../abi/hidden-text.js';
import { LIMITS } from '../abi/limits.js';
import type { LogLevel } from '../abi/worker-protocol.js';

const DAYS_KEPT = 7;
const LINES_PER_SECOND_MAX = 500;
const FILE_RETRY_MS = 10_000;
const FILE_BYTES_PER_DAY_MAX = 64 * 1024 * 1024;

interface CapsuleLog {
  readonly rows: LogRow[];
  /** Of the messages in `rows`. */
  chars: number;
  second: number;
  linesThisSecond: number;
  suppressed: number;
  file: WriteStream | null;
  fileDay: string;
  fileBytes: number;
  /** Not opened before, after it could not be. */
  retryAt: number;
}

/**
 * What capsules say: the last lines of each in memory, all of them (within bounds) in one file per capsule and day, in the
 * original's line format (ABI reference 2.11). A flood is cut per second and per day, and the cut is said.
 */
export class LogBook {
  readonly #directory: string;
  readonly #now: () => number;
  readonly #logs = new Map<string, CapsuleLog>();
  readonly #followers = new Set<(row: LogRow) => void>();

  constructor(directory: string, now: () => number = Date.now) {
    this.#directory = directory;
    this.#now = now;
  }

  write(capsule: string, level: LogLevel, message: string): void {
    const time = this.#now();
    const log = this.#logFor(capsule);
    const second = Math.floor(time / 1000);
    if (log.second !== second) {
      if (log.suppressed > 0)
        this.#keep(log, { time, capsule, level: 'warn', message: `${log.suppressed} more lines in that second` });
      log.second = second;
      log.linesThisSecond = 0;
      log.suppressed = 0;
    }
    if (++log.linesThisSecond > LINES_PER_SECOND_MAX) log.suppressed++;
    else this.#keep(log, { time, capsule, level, message });
  }

  /** The last lines, of one capsule or of all in order of time. */
  tail(capsule: string | undefined, lines: number): LogRow[] {
    const logs = capsule === undefined ? [...this.#logs.values()] : [this.#logs.get(capsule)];
    const rows = logs.flatMap((log) => log?.rows ?? []);
    if (logs.length > 1) rows.sort((a, b) => a.time - b.time);
    return lines === 0 ? [] : rows.slice(-lines);
  }

  follow(onRow: (row: LogRow) => void): () => void {
    this.#followers.add(onRow);
    return () => void this.#followers.delete(onRow);
  }

  async close(): Promise<void> {
    const files = [...this.#logs.values()].map((log) => log.file).filter((file) => file !== null);
    await Promise.all(files.map((file) => new Promise<void>((resolve) => file.end(() => resolve()))));
  }

  #logFor(capsule: string): CapsuleLog {
    let log = this.#logs.get(capsule);
    if (log === undefined) {
      log = {
        rows: [],
        chars: 0,
        second: 0,
        linesThisSecond: 0,
        suppressed: 0,
        file: null,
        fileDay: '',
        fileBytes: 0,
        retryAt: 0,
      };
      this.#logs.set(capsule, log);
    }
    return log;
  }

  #keep(log: CapsuleLog, row: LogRow): void {
    log.rows.push(row);
    log.chars += row.message.length;
    while (log.rows.length > LIMITS.logLinesKeptPerCapsule || log.chars > LIMITS.logCharsKeptPerCapsule)
      log.chars -= log.rows.shift()!.message.length;
    for (const follower of this.#followers) follower(row);
    this.#append(log, row);
  }

  #append(log: CapsuleLog, row: LogRow): void {
    const day = new Date(row.time).toISOString().slice(0, 10);
    if (log.fileDay !== day && row.time >= log.retryAt) this.#openFile(log, row.capsule, day, row.time);
    // One line per row, whatever the capsule put into it: an injected newline must not look like another row, nor may anything in it
    // steer the terminal of who opens the file.
    const text = showHiddenInLine(row.message);
    const line = `${(row.time / 1000).toFixed(3)} ${row.level.toUpperCase()} [${row.capsule}] ${text}\n`;
    log.fileBytes += line.length;
    if (log.fileBytes <= FILE_BYTES_PER_DAY_MAX) log.file?.write(line);
  }

  /**
   * A log file that cannot be made or written (a full disk) must not take the kernel down: the lines stay in memory, and it is tried
   * again with a later one.
   */
  #openFile(log: CapsuleLog, capsule: string, day: string, time: number): void {
    log.fileDay = day;
    log.file?.end();
    log.file = null;
    const giveUp = () => {
      log.fileDay = '';
      log.retryAt = time + FILE_RETRY_MS;
    };
    const directory = join(this.#directory, capsule);
    const path = join(directory, `${day}.log`);
    try {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      log.fileBytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
      removeOldFiles(directory, day);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      giveUp();
      return;
    }
    const file = createWriteStream(path, { flags: 'a', mode: 0o600 });
    file.on('error', () => {
      if (log.file !== file) return;
      log.file = null;
      giveUp();
    });
    log.file = file;
  }
}

/** Seven days are kept (ABI reference 2.11). */
function removeOldFiles(directory: string, today: string): void {
  const names = readdirSync(directory).filter((name) => /^\d{4}-\d{2}-\d{2}\.log$/.test(name) && name < today);
  for (const name of names.sort().slice(0, -(DAYS_KEPT - 1))) unlinkSync(join(directory, name));
}
