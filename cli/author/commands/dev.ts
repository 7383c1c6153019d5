import type { LogRow } from '../../../abi/control.js';
import { asFault, EXIT, exitCodeOf } from '../../../abi/errno.js';
import { closeBundler } from '../../build/bundle.js';
import { readCapsuleSource } from '../../build/capsule-source.js';
import { mapStack } from '../../build/stack-map.js';
import type { ControlClient } from '../../client.js';
import { type CommandRun, connectOrStart } from '../../context.js';
import type { EventStream } from '../../event-stream.js';
import type { Io } from '../../io.js';
import { readRecord } from '../../results.js';
import { styleOfLevel } from '../../view/log-style.js';
import { paint } from '../../view/terminal.js';
import { printBuildFault } from '../code-frame.js';
import { buildForDev } from '../dev-build.js';
import { openProject, type Project } from '../project.js';
import { expectBuild, swapIn } from '../swap.js';
import { ChangeWatcher } from '../watch.js';

/** Of a capsule that ran before anybody listened. */
const LOG_LINES = 100;

/** `astrid capsule dev [DIR] [--once] [--accept]` */
export const runCapsuleDev: CommandRun = async (context, args) => {
  const { io } = context;
  const project = await openProject(context, args);
  const { name } = await readCapsuleSource(project.dir);
  const client = await connectOrStart(context);
  const session = new DevSession(io, project, client, name, args.flag('accept'));
  try {
    return args.flag('once') ? await session.round() : await session.watch();
  } finally {
    client.close();
    await closeBundler();
  }
};

class DevSession {
  readonly #io: Io;
  readonly #project: Project;
  readonly #client: ControlClient;
  readonly #accept: boolean;
  readonly #name: string;
  #sourceMap = '';

  constructor(io: Io, project: Project, client: ControlClient, name: string, accept: boolean) {
    this.#io = io;
    this.#project = project;
    this.#client = client;
    this.#name = name;
    this.#accept = accept;
  }

  /** Until Ctrl-C, or until the supervisor is gone. */
  async watch(): Promise<number> {
    const { err } = this.#io;
    let exitCode: number = EXIT.interrupted;
    const watcher = new ChangeWatcher(this.#project.dir, (error) => {
      err.line(paint('red', `cannot watch any more: ${error.message}`));
      exitCode = EXIT.failed;
      watcher.close();
    });
    const release = this.#io.onInterrupt(() => watcher.close());
    void this.#client.closed.then((fault) => {
      if (fault.code === 'cancelled') return;
      err.line(paint('red', `the supervisor is gone: ${fault.message}`));
      exitCode = EXIT.notRunning;
      watcher.close();
    });
    let logs = await this.#followLogs(0);
    try {
      do {
        await this.round();
        // Installed just now: everything it said is new.
        logs ??= await this.#followLogs(LOG_LINES);
      } while (await watcher.next());
    } finally {
      watcher.close();
      release();
      logs?.stream.cancel();
      await logs?.printing;
    }
    return exitCode;
  }

  /** Null while there is no such capsule. */
  async #followLogs(lines: number) {
    try {
      const stream = await this.#client.stream('logs', { capsule: this.#name, lines, follow: true });
      return { stream, printing: this.#printLogs(stream) };
    } catch (error) {
      if (asFault(error).code === 'not_found') return null;
      throw error;
    }
  }

  /** One build and one swap; what is wrong is printed, and the old one runs on. */
  async round(): Promise<number> {
    const { out, err } = this.#io;
    const startedMs = performance.now();
    expectBuild(this.#client, this.#name);
    try {
      const build = await buildForDev(this.#project);
      const builtMs = performance.now();
      // Before the swap: what the new one logs while it starts is already its own.
      this.#sourceMap = build.sourceMap;
      await swapIn(this.#client, build, `path:${this.#project.dir}`, (reasons) => this.#agrees(reasons));
      const ms = (from: number, to: number) => `${Math.round(to - from)} ms`;
      const took = `built in ${ms(startedMs, builtMs)}, swapped in ${ms(builtMs, performance.now())}`;
      out.line(paint('green', `${build.name}: `), took);
      for (const line of build.printed) out.line(paint('dim', `${build.name}: says ${line}`));
      return EXIT.ok;
    } catch (error) {
      const fault = asFault(error);
      await printBuildFault(err, this.#project.dir, fault);
      if (fault.code === 'approval_denied') err.line(paint('dim', '  agree with: astrid capsule dev --accept'));
      return exitCodeOf(fault.code);
    }
  }

  #agrees(reasons: readonly string[]): boolean {
    if (this.#accept) for (const reason of reasons) this.#io.out.line(paint('yellow', `accepted: ${reason}`));
    return this.#accept;
  }

  async #printLogs(stream: EventStream): Promise<void> {
    try {
      for await (const event of stream) {
        const { level, message } = readRecord<LogRow>(event, 'logs');
        for (const line of mapStack(message, this.#sourceMap).split('\n')) {
          this.#io.out.line(paint('dim', `${level.padEnd(5)} `), paint(styleOfLevel(level), line));
        }
      }
    } catch (error) {
      // A connection that is lost is told once, by whoever watches it.
      if (!this.#client.isClosed) this.#io.err.line(paint('red', asFault(error).message));
    }
  }
}
