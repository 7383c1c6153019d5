import { LIMITS } from '../../abi/limits.js';
import type { GuestRole } from './case.js';

const head = (name: string) =>
  `[package]\nname = "${name}"\nversion = "1.0.0"\nrestart = "always"\n\n[[component]]\nid = "main"\nfile = "${name}.wasm"\n`;

/** Everything that a case needs, and beside each grant something that it leaves out. */
const FULL = `
[capabilities]
fs_read = ["cwd://", "home://granted", "tmp://"]
fs_write = ["cwd://", "home://granted", "tmp://"]
ipc_publish = ["conform.v1.*", "conform.v1.deep.*.end", "tool.v1.execute.*", "cli.v1.command.execute", "a.a.a.a.a.a.a.a"]
ipc_subscribe = ["conform.v1.*", "conform.v1.deep.here", "agent.v1.response", "a.a.a.a.a.a.a.a", "*"]
net = ["127.0.0.1", "localhost"]
net_bind = ["unix:*"]
host_process = ["echo", "sh -c"]
identity = ["admin"]
allow_prompt_injection = true
cron = true
uplink = true

[env]
GREETING = { type = "string", default = "hello \\"you\\"" }
EMPTY = { type = "string" }

[[uplink]]
name = "conform"
platform = "test"
profile = "chat"
`;

export const MANIFESTS: Readonly<Record<GuestRole, (name: string) => string>> = {
  full: (name) => `${head(name)}${FULL}`,
  peer: (name) => `${head(name)}${FULL}`,
  bare: (name) => head(name),
  loop: (name) => `${head(name)}${FULL}\n[[interceptor]]\nevent = "conform.v1.looped"\naction = "hear"\n`,
};

/** Files of every workspace. */
export const workspaceFiles: Readonly<Record<string, string>> = {
  'note.txt': 'first line\n',
  'dir/inner.txt': 'inner',
  'full/of/things.txt': 'things',
  'gone.txt': 'to be removed',
};

/** Sparse files of every workspace, by their size in bytes. */
export const sparseFiles: Readonly<Record<string, number>> = {
  'at-limit.bin': LIMITS.payloadBytesMax,
  'past-limit.bin': LIMITS.payloadBytesMax + 1,
};
