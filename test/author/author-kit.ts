import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCapsule, type TemplateName } from '../../cli/author/new-capsule.js';
import { type FakeIo, makeFakeIo } from '../kit/fake-io.js';
import { PACKAGE_ROOT } from '../kit/package-root.js';
import { type CliResult, runCli } from '../kit/run-cli.js';
import { TOOLCHAIN_DIR } from '../kit/toolchain.js';
import { startWorker } from '../kit/worker-bench.js';

/** A cache of its own for each test file, with the merged QuickJS that was made already: it takes seconds. */
const CACHE = mkdtempSync(join(tmpdir(), 'astrid-author-cache-'));
cpSync(TOOLCHAIN_DIR, join(CACHE, 'astrid/toolchain'), {
  recursive: true,
  filter: (from) => from === TOOLCHAIN_DIR || /\/template-[0-9a-f]+\.wasm$/.test(from),
});
process.on('exit', () => rmSync(CACHE, { recursive: true, force: true }));

interface TeardownScope {
  teardown(run: () => unknown): void;
}

/** A directory for capsules; removed after the test. */
export class Workshop {
  readonly root: string;

  constructor(t: TeardownScope) {
    this.root = mkdtempSync(join(tmpdir(), 'astrid-author-'));
    t.teardown(() => rmSync(this.root, { recursive: true, force: true }));
  }

  /** Makes a capsule from a template, with other files laid over it; answers its directory. */
  async make(
    name: string,
    template: TemplateName = 'tool',
    files: Readonly<Record<string, string>> = {},
  ): Promise<string> {
    await createCapsule({ parent: this.root, name, template, packageRoot: PACKAGE_ROOT });
    const dir = join(this.root, name);
    for (const [file, text] of Object.entries(files)) writeFileSync(join(dir, file), text);
    return dir;
  }

  get env(): Record<string, string | undefined> {
    return { PATH: process.env['PATH'], XDG_CACHE_HOME: CACHE };
  }

  run(...argv: string[]): Promise<CliResult> {
    return runCli(argv, join(this.root, 'home'), { cwd: this.root, env: this.env });
  }

  io(): FakeIo {
    return makeFakeIo({ cwd: this.root, env: this.env });
  }
}

/** The smallest capsule around a main file; `more` is appended to its manifest. */
export function manifestOf(name: string, more = ''): string {
  return `[package]\nname = "${name}"\nversion = "0.1.0"\nabi = 3\n\n[[component]]\nid = "main"\nfile = "${name}.wasm"\n\n${more}`;
}

/** What a module answers to the interceptor `go`: its return code, its error and its result; or what it trapped with. */
export async function answerOf(wasm: Uint8Array): Promise<string> {
  const worker = await startWorker({ wasm });
  try {
    const outcome = await worker.invoke('astrid_hook_trigger', '{"name":"go","arguments":[]}');
    return outcome.kind === 'done'
      ? `${outcome.returnCode}${outcome.error}:${outcome.output.subarray(1)}`
      : outcome.fault.message;
  } finally {
    await worker.end();
  }
}
