import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../kit/package-root.js';

/** What upstream's own releases are built for. On wasm32-unknown-unknown a dependency of the SDK finds no randomness. */
const TARGET = 'wasm32-wasip1';
/**
 * A cold build takes minutes and the whole suite has ten: CI and `npm run test:rust` make it, and what was built is kept for
 * `npm test`.
 */
const MAY_TAKE_LONG = process.env['CI'] === 'true' || process.env['ASTRID_RUST'] === 'build';
const BUILD_MS_MAX = MAY_TAKE_LONG ? 900_000 : 90_000;
export const TEST_MS_MAX = 3 * BUILD_MS_MAX + 60_000;
const TOO_SLOW = 'too slow';
const TARGET_DIR = join(PACKAGE_ROOT, 'dist/rust-target');

export interface RustBuild {
  /** Why nothing can be built here, or null. */
  readonly skip: string | null;
  /** The module of a crate, by its name with underscores. */
  wasm(name: string): Buffer;
}

/** A way to build for TARGET: what cargo is told besides the command, and what is in its environment. */
interface Toolchain {
  readonly choice: readonly string[];
  readonly options: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** Builds a crate or workspace with the versions of its lock file, untouched; kept between runs. */
export function buildRust(directory: string): RustBuild {
  const wasm = (name: string) => readFileSync(join(TARGET_DIR, TARGET, 'release', `${name}.wasm`));
  if (!MAY_TAKE_LONG && !existsSync(TARGET_DIR)) return { skip: 'nothing is built yet: npm run test:rust', wasm };
  const toolchain = findToolchain();
  if (typeof toolchain === 'string') return { skip: toolchain, wasm };
  const manifest = ['--manifest-path', join(PACKAGE_ROOT, directory, 'Cargo.toml'), '--locked', '--target', TARGET];
  const fetched = cargo(toolchain, ['fetch', ...manifest, ...toolchain.options]);
  if (fetched !== null) return { skip: `the crates can't be had: ${fetched}`, wasm };
  const slow = `building takes longer than ${BUILD_MS_MAX / 1000} s here: npm run test:rust`;
  const failed = cargo(toolchain, ['build', ...manifest, ...toolchain.options, '--offline', '--release']);
  if (failed === TOO_SLOW) return { skip: slow, wasm };
  if (failed !== null) throw new Error(`cargo build failed: ${failed}`);
  return { skip: null, wasm };
}

/** One that has the target, or what it is built from; or why there is none. */
function findToolchain(): Toolchain | string {
  if (spawnSync('cargo', ['--version']).status !== 0) return 'there is no cargo';
  for (const choice of [[], ['+stable'], ['+nightly']]) {
    const libraries = askRustc([...choice, '--print', 'target-libdir', '--target', TARGET]);
    if (libraries !== null && existsSync(libraries)) return { choice, options: [], env: {} };
  }
  return findSources() ?? `no Rust toolchain here has the target ${TARGET}; with rustup: rustup target add ${TARGET}`;
}

/** Debian's packages rustc-web, cargo-web, rust-web-src, lld and wasi-libc: the standard library is built along (docs/capsules.md). */
function findSources(): Toolchain | null {
  const sysroot = askRustc(['--print', 'sysroot']);
  if (sysroot === null || spawnSync('wasm-ld', ['--version']).status !== 0) return null;
  const libc = join(sysroot, 'lib/wasm32-wasi');
  if (!existsSync(join(sysroot, 'lib/rustlib/src/rust/library')) || !existsSync(libc)) return null;
  const env = {
    RUSTC_BOOTSTRAP: '1',
    CARGO_TARGET_WASM32_WASIP1_LINKER: 'wasm-ld',
    CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS: `-C link-self-contained=no -L native=${libc}`,
  };
  return { choice: [], options: ['-Z', 'build-std=std,panic_abort'], env };
}

/** What rustc prints, or null. */
function askRustc(args: readonly string[]): string | null {
  const { status, stdout } = spawnSync('rustc', args);
  return status === 0 ? stdout.toString('utf8').trim() : null;
}

/** The last lines of what cargo said, or null when it went well. */
function cargo({ choice, env: more }: Toolchain, args: readonly string[]): string | null {
  const env = { ...process.env, ...more, CARGO_TARGET_DIR: TARGET_DIR, CARGO_TERM_COLOR: 'never' };
  const { status, signal, stderr } = spawnSync('cargo', [...choice, ...args], { env, timeout: BUILD_MS_MAX });
  if (signal === 'SIGTERM') return TOO_SLOW;
  return status === 0 ? null : stderr.toString('utf8').trim().split('\n').slice(-8).join('\n');
}
