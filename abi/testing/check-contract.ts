/** What `astrid capsule check` and the program that looks at manifest and module tell each other, as JSON. */
export interface CheckFacts {
  /** Actions the script answers to; null for a module that does not say. */
  readonly actions: readonly string[] | null;
  readonly publishes: CheckMentions;
  readonly subscribes: CheckMentions;
  readonly env: CheckMentions;
}

export interface CheckMentions {
  readonly known: readonly { readonly text: string; readonly file: string; readonly line: number }[];
  /** There are others, which only show when the code runs. */
  readonly open: boolean;
}

/** Codes are stable: scripts may compare them. */
export const CHECK_CODES = [
  'bad_manifest',
  'unknown_key',
  'manifest_note',
  'bad_module',
  'not_served',
  'missing_capability',
  'unused_capability',
  'missing_action',
  'unreachable_action',
  'unlisted_topic',
  'unused_topic',
  'undeclared_env',
  'unused_env',
  'missing_export',
] as const;
export type CheckCode = (typeof CHECK_CODES)[number];

export interface CheckFinding {
  readonly level: 'error' | 'warning';
  readonly code: CheckCode;
  /** `Capsule.toml` or a source file of the capsule. */
  readonly file: string;
  /** From 1; 0 when it has none. */
  readonly line: number;
  readonly message: string;
}
