/** Function exports the kernel may call; all take nothing and return an i32. Source: ABI reference 3.1. */
export const ENTRY_POINTS = [
  'astrid_hook_trigger',
  'run',
  'astrid_install',
  'astrid_upgrade',
  'astrid_command_run',
  'astrid_tool_call',
  'astrid_cron_trigger',
  'astrid_export_schemas',
] as const;
/** Exports that only SDKs up to 0.4 make (ABI reference 3.1): the one sure sign of their age. */
export const OLDEST_EXPORTS: readonly string[] = ['astrid_tool_call', 'astrid_cron_trigger', 'astrid_export_schemas'];
export type EntryPoint = (typeof ENTRY_POINTS)[number];
