import { assemble, type GuestText, guestText } from './guest-wat.js';
import type { InstalledGuest } from './real-supervisor.js';

export interface GuestOptions extends Partial<GuestText> {
  readonly name: string;
  /** Lines of Capsule.toml behind the package and component sections. */
  readonly manifest?: string;
  readonly restart?: 'always' | 'on-failure' | 'never';
  /** Body of `astrid_hook_trigger`. */
  readonly body?: string;
}

/** Every guest of these tests hears the prompt of a person and may log; the rest is the test's. */
export const HEARS_PROMPTS = `
[[interceptor]]
event = "user.v1.prompt"
action = "go"
`;

/** A capsule of generation 3 written as text, with its manifest. */
export async function makeGuest(options: GuestOptions): Promise<InstalledGuest> {
  const { name, manifest = HEARS_PROMPTS, restart = 'on-failure', body = '(i32.const 0)' } = options;
  const calls = { astrid_log: { params: 2, result: true }, ...options.calls };
  const data = { 16: 'info', 32: 'heard', ...options.data };
  const exports = { astrid_hook_trigger: body, ...options.exports };
  const wasm = await assemble(guestText({ ...options, calls, data, exports }));
  const header = `[package]\nname = "${name}"\nversion = "1.0.0"\nabi = 3\nrestart = "${restart}"\n\n[[component]]\nid = "main"\nfile = "${name}.wasm"\n`;
  return { manifest: `${header}${manifest}`, wasm };
}

/** `astrid_log("info", text at address)`, for a body. */
export function logAt(address: number, bytes: number): string {
  return `(drop (call $astrid_log (call $block (i32.const 16) (i32.const 4)) (call $block (i32.const ${address}) (i32.const ${bytes}))))`;
}

export const SAYS_HEARD = `${logAt(32, 5)} (i32.const 0)`;
