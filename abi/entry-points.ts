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
export type EntryPoint = (typeof ENTRY_POINTS)[number];
