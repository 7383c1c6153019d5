import { EXIT } from '../../../abi/errno.js';
import type { CommandRun } from '../../context.js';
export const runCapsuleCheck: CommandRun = async () => EXIT.ok;
