import { join } from 'node:path';
import { PACKAGE_ROOT } from './package-root.js';

/** Where the build of the system's own capsules keeps the merged QuickJS, which takes seconds to make. */
export const TOOLCHAIN_DIR = join(PACKAGE_ROOT, '.build/toolchain');
