/** The catalog of manifest capabilities: one line for humans, and how much harm a wrong grant can do. */
export interface CapabilityRow {
  /** Key in `[capabilities]` of Capsule.toml. */
  readonly name: string;
  /** `list`: patterns, deny by default; `flag`: a boolean, false by default. */
  readonly kind: 'list' | 'flag';
  /** `low` needs no second look at install; `high` is shown in red. */
  readonly danger: 'low' | 'medium' | 'high';
  /** Completes the sentence "This capsule may …". */
  readonly may: string;
}

export const CAPABILITIES = {
  fs_read: { name: 'fs_read', kind: 'list', danger: 'medium', may: 'read files below' },
  fs_write: { name: 'fs_write', kind: 'list', danger: 'high', may: 'change files below' },
  ipc_publish: { name: 'ipc_publish', kind: 'list', danger: 'low', may: 'publish messages on' },
  ipc_subscribe: { name: 'ipc_subscribe', kind: 'list', danger: 'medium', may: 'receive messages on' },
  kv: { name: 'kv', kind: 'list', danger: 'low', may: 'keep values under' },
  net: { name: 'net', kind: 'list', danger: 'high', may: 'make requests to' },
  net_bind: { name: 'net_bind', kind: 'list', danger: 'high', may: 'listen on' },
  host_process: { name: 'host_process', kind: 'list', danger: 'high', may: 'run commands' },
  identity: { name: 'identity', kind: 'list', danger: 'high', may: 'manage identities:' },
  cron: { name: 'cron', kind: 'flag', danger: 'medium', may: 'wake up by itself at set times' },
  uplink: { name: 'uplink', kind: 'flag', danger: 'medium', may: 'speak for people who connect through it' },
  allow_prompt_injection: {
    name: 'allow_prompt_injection',
    kind: 'flag',
    danger: 'high',
    may: "change the model's instructions",
  },
} as const satisfies Record<string, CapabilityRow>;

export type CapabilityName = keyof typeof CAPABILITIES;
export const CAPABILITY_NAMES = Object.keys(CAPABILITIES) as CapabilityName[];
