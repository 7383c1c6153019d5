import type { Fault } from '../abi/errno.js';

interface CallTexts {
  /** Before what the gate says. */
  readonly denied: string;
  /** Before everything else. */
  readonly failed: string;
}

const kv = (name: string): CallTexts => ({ denied: `${name} failed: `, failed: `${name} failed: ` });

/**
 * How errors begin for guests of generations 1 and 2, which have no codes: some look at the text (ABI reference 2.1 and 2.4). What
 * follows is our own message; the original's names host paths.
 */
const CALL_TEXTS: Readonly<Record<string, CallTexts>> = {
  astrid_fs_exists: { denied: 'security denied exists check: ', failed: '' },
  astrid_fs_mkdir: { denied: 'security denied mkdir: ', failed: 'mkdir failed: ' },
  astrid_fs_readdir: { denied: 'security denied readdir: ', failed: 'readdir failed: ' },
  astrid_fs_stat: { denied: 'security denied stat: ', failed: 'stat failed: ' },
  astrid_fs_unlink: { denied: 'security denied unlink: ', failed: 'unlink failed: ' },
  astrid_read_file: { denied: 'security denied read_file: ', failed: 'IO error: ' },
  astrid_write_file: { denied: 'security denied write_file: ', failed: 'write_file failed: ' },
  astrid_kv_get: kv('kv_get'),
  astrid_kv_set: kv('kv_set'),
  astrid_kv_delete: kv('kv_delete'),
  astrid_kv_list_keys: kv('kv_list_keys'),
  astrid_kv_clear_prefix: kv('kv_clear_prefix'),
  astrid_http_request: { denied: 'security denied network access: ', failed: '' },
  astrid_http_stream_start: { denied: 'security denied network access: ', failed: '' },
  astrid_net_bind_unix: { denied: 'security denied net_bind: ', failed: '' },
  astrid_spawn_host: { denied: 'Security Check Failed: ', failed: '' },
  astrid_spawn_background_host: { denied: 'Security Check Failed: ', failed: '' },
};

const DENIALS: ReadonlySet<string> = new Set([
  'capability_missing',
  'policy_denied',
  'approval_denied',
  'approval_queued',
  'over_budget',
]);

/** A path that leads out of its root is told so by every call alike (ABI reference 2.1). */
const ESCAPES = 'path escapes root boundary: ';

export function legacyText(call: string, { code, message }: Fault): string {
  if (code === 'escapes_root') return `${ESCAPES}${message}`;
  const texts = CALL_TEXTS[call];
  if (texts === undefined) return message;
  return `${DENIALS.has(code) ? texts.denied : texts.failed}${message}`;
}
