import { execFileSync } from 'node:child_process';

/** Why there is no pseudo terminal here, or false: util-linux's `script` gives a child one; other implementations take other options. */
export function missingScript(): string | false {
  try {
    return /util-linux/.test(execFileSync('script', ['--version'], { encoding: 'utf8' })) ? false : 'another script(1)';
  } catch {
    return 'no script(1) here';
  }
}
