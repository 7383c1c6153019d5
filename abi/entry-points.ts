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
/** What every module of an SDK up to 0.4 exports and no later one does (ABI reference 6.6): the sign of their age. */
export const OLDEST_EXPORT = 'astrid_tool_call';
export type EntryPoint = (typeof ENTRY_POINTS)[number];
