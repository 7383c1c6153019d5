import { EXIT } from '../../../abi/errno.js';
import type { CommandRun } from '../../context.js';
export const runCapsuleDev: CommandRun = async () => EXIT.ok;
