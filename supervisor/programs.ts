import { fileURLToPath } from 'node:url';

/**
 * What other processes and threads of the supervisor begin with. Named here, and relative to this directory, since the
 * supervisor runs as one bundled file that lies here: relative to the file that starts them it would find neither.
 */
export const PROGRAMS = {
  auditor: fileURLToPath(new URL('./auditor/main.js', import.meta.url)),
  tasks: new URL('./pool/tasks.js', import.meta.url),
} as const;
