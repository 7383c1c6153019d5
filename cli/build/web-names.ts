import { existsSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Modules of the SDK whose exports are names of the web that code uses without importing them. The bundler puts an export
 * in the place of such a name where it is not declared, and leaves the module out where none of them is used.
 */
const WEB_MODULES: Readonly<Record<string, readonly string[]>> = {
  'astrid/sdk/fetch': ['fetch', 'Request', 'Response'],
  'astrid/sdk/headers': ['Headers'],
  'astrid/sdk/url': ['URL'],
  'astrid/sdk/url-search-params': ['URLSearchParams'],
  'astrid/sdk/abort': ['AbortController', 'AbortSignal'],
  'astrid/sdk/crypto': ['crypto'],
  'astrid/sdk/structured-clone': ['structuredClone'],
  'astrid/sdk/timers': ['setTimeout', 'setInterval', 'clearTimeout', 'clearInterval'],
};

/** Those that an SDK directory has. */
export function listWebModules(sdkDir: string): string[] {
  return Object.keys(WEB_MODULES).filter((name) => existsSync(join(sdkDir, `${name.slice('astrid/sdk/'.length)}.ts`)));
}

/** `globalThis.fetch` is the same as `fetch`. */
export function listWebDefines(modules: readonly string[]): Record<string, string> {
  const names = modules.flatMap((module) => WEB_MODULES[module] ?? []);
  return Object.fromEntries(names.map((name) => [`globalThis.${name}`, name]));
}
